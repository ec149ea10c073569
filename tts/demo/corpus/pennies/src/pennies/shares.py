"""Shares sums of money out to the last cent."""


def split(cents, n):
    """Return `n` shares that differ by one cent at most, the larger ones first."""
    share, left = divmod(cents, n)
    return [share + 1] * left + [share] * (n - left)


def allocate(cents, weights):
    """Return a share for each weight, in proportion and without losing a cent.

    Each share is rounded down first; the cents that are left go, one each, to the shares that lost most
    in rounding, and to the earlier of two that lost the same.
    """
    whole = sum(weights)
    shares = [cents * weight // whole for weight in weights]
    left = cents - sum(shares)
    by_loss = sorted(range(len(weights)), key=lambda i: cents * weights[i] % whole, reverse=True)
    for i in by_loss[:left]:
        shares[i] += 1
    return shares
