"""Split an amount so that the shares add up to it."""

from collections.abc import Mapping, Sequence


def split_evenly(total: int, people: Sequence[str]) -> dict[str, int]:
    """Return everyone's share in cents; those named first carry the odd cents."""
    if not people:
        raise ValueError("nobody to split with")
    share, extra = divmod(total, len(people))
    return {name: share + (1 if at < extra else 0) for at, name in enumerate(people)}


def split_by_weight(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return shares in proportion to the weights; odd cents go to the largest remainders."""
    whole = sum(weights.values())
    if whole <= 0:
        raise ValueError("the weights add up to nothing")
    shares = {name: total * weight // whole for name, weight in weights.items()}
    remainders = {name: total * weight % whole for name, weight in weights.items()}
    left = total - sum(shares.values())
    ranked = sorted(remainders, key=lambda name: -remainders[name])
    for name in ranked[:left]:
        shares[name] += 1
    return shares
