"""Hard limits: an effect's bound is reserved before it starts and settled after, so nothing overshoots.

Admission is first come, first served.  What does not fit waits until enough others have settled, and is
refused only when nothing is held any more.  So whether an effect is admitted depends on the order of
asking and on what the earlier effects cost, never on which of them ended first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from operator import add

import anyio

from tts.errors import Refused
from tts.types import Budget, Usage

NAMES = tuple(f.name for f in fields(Budget))
SLACK = 1e-9
"""Relative tolerance for rounding when sums of floats are compared with a limit."""

Amount = tuple[float, ...]
"""Dollars, tokens, seconds, rollouts."""

ZERO: Amount = (0.0,) * len(NAMES)
ENDLESS: Amount = (float("inf"),) * len(NAMES)


def plus(a: Amount, b: Amount) -> Amount:
    """Return the sum, element by element."""
    return tuple(map(add, a, b))


def amount(limit: Budget) -> Amount:
    """Return a limit as numbers; a part without a limit is endless."""
    parts = (limit.usd, limit.tokens, limit.seconds, limit.rollouts)
    return tuple(float("inf") if x is None else float(x) for x in parts)


def tighter(a: Budget, b: Budget) -> Budget:
    """Return the smaller limit of each part; a part without a limit takes the other's."""
    pairs = zip(astuple(a), astuple(b), strict=True)
    return Budget(*(y if x is None else x if y is None else min(x, y) for x, y in pairs))


def most(bound: Budget) -> Amount:
    """Return a bound as numbers; an unknown part is endless, but for rollouts: only a rollout has any."""
    return (*amount(bound)[:-1], float(bound.rollouts or 0))


def finite(bound: Budget) -> Amount:
    """Return a bound as numbers, zero where a part is unknown."""
    return tuple(0.0 if x == float("inf") else x for x in most(bound))


def charge(bound: Budget, usage: Usage, seconds: float, *, at_bound: bool = False) -> Amount:
    """Return what an effect is charged: its true usage, or its bound where a price is unknown.

    Seconds are charged up to the bound, because the time-out at the bound is the engine's own. `at_bound`
    charges no part less than the bound, for an effect whose usage is known in part only.
    """
    if at_bound:
        return tuple(map(max, charge(bound, usage, seconds), finite(bound)))
    known, floor = usage.known_usd, bound.usd or 0.0
    usd = max(known, floor) if usage.unpriced_calls else known
    time = seconds if bound.seconds is None else min(seconds, bound.seconds)
    return (usd, float(usage.tokens), time, float(bound.rollouts or 0))


@dataclass(slots=True, eq=False)
class Reservation:
    """What is held for effects in flight; `n` of the effects asked for were admitted."""

    n: int
    held: Amount


@dataclass(slots=True, eq=False)
class _Waiter:
    bounds: list[Amount]
    turn: anyio.Event = field(default_factory=anyio.Event)
    reservation: Reservation | None = None


class Account:
    """A limit, what is spent of it, and what is held. `parent` is charged too, but not asked."""

    def __init__(self, limit: Budget, *, spent: Amount = ZERO, parent: Account | None = None) -> None:
        self.limit = amount(limit)
        self.spent = spent
        self.parent = parent
        self._held: list[Reservation] = []
        self._queue: deque[_Waiter] = deque()

    @property
    def remaining(self) -> Budget:
        """The limit less what is spent and held; None where there is no limit."""
        usd, tokens, seconds, rollouts = (
            None if limit == float("inf") else max(0.0, limit - taken)
            for limit, taken in zip(self.limit, self._taken(), strict=True)
        )
        return Budget(
            usd=usd,
            tokens=None if tokens is None else int(tokens),
            seconds=seconds,
            rollouts=None if rollouts is None else int(rollouts),
        )

    async def reserve(self, bounds: Sequence[Budget]) -> Reservation:
        """Return a reservation for as many of the bounds, from the first on, as fit; waits for its turn.

        Raises:
            Refused: not even the first fits once everything else has settled.
        """
        wanted = [most(bound) for bound in bounds]
        if not self._queue and self._fitting(wanted) == len(wanted):
            return self._hold(wanted)
        waiter = _Waiter(wanted)
        self._queue.append(waiter)
        self._pump()
        try:
            await waiter.turn.wait()
        except BaseException:
            self._withdraw(waiter)
            raise
        if waiter.reservation is None:
            raise Refused(self._why(waiter.bounds[0]))
        return waiter.reservation

    def reserve_now(self, bound: Budget) -> Reservation:
        """Return a reservation without waiting for anybody.

        Raises:
            Refused: it does not fit now.
        """
        one = [most(bound)]
        if self._queue or not self._fitting(one):
            raise Refused(self._why(one[0]))
        return self._hold(one)

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        """Replace what was held by what was spent, and let the next in line try."""
        self._held.remove(reservation)
        self.add(spent)
        self._pump()

    def add(self, spent: Amount) -> None:
        """Charge (or, with negative amounts, refund) without a reservation."""
        self.spent = plus(self.spent, spent)
        if self.parent is not None:
            self.parent.add(spent)

    def share(self, keep: float, keep_rollouts: float = 0.0) -> Account:
        """Return an account for one stage: what remains here, less the shares (0 to 1) for later stages."""
        child = Account(Budget(), parent=self)
        child.limit = tuple(
            limit if limit == float("inf") else max(0.0, limit - taken) * (1 - kept)
            for limit, taken, kept in zip(
                self.limit, self._taken(), (keep, keep, keep, keep_rollouts), strict=True
            )
        )
        return child

    def _taken(self) -> Amount:
        total = self.spent
        for reservation in self._held:
            total = plus(total, reservation.held)
        return total

    def _fitting(self, bounds: Sequence[Amount]) -> int:
        """How many of the bounds, from the first on, fit together."""
        if self.limit == ENDLESS:
            return len(bounds)
        taken = self._taken()
        for n, bound in enumerate(bounds):
            taken = plus(taken, bound)
            if any(x > limit * (1 + SLACK) for x, limit in zip(taken, self.limit, strict=True)):
                return n
        return len(bounds)

    def _hold(self, bounds: Sequence[Amount]) -> Reservation:
        total = ZERO
        for bound in bounds:
            total = plus(total, bound)
        reservation = Reservation(len(bounds), total)
        self._held.append(reservation)
        return reservation

    def _pump(self) -> None:
        while self._queue:
            waiter = self._queue[0]
            n = self._fitting(waiter.bounds)
            if n < len(waiter.bounds) and self._held:
                return
            if n or not waiter.bounds:
                waiter.reservation = self._hold(waiter.bounds[:n])
            self._queue.popleft()
            waiter.turn.set()

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter.reservation is not None:
            self.settle(waiter.reservation, ZERO)
        elif waiter in self._queue:
            self._queue.remove(waiter)
            self._pump()

    def _why(self, bound: Amount) -> str:
        after = plus(self._taken(), bound)
        over = [
            name for name, x, limit in zip(NAMES, after, self.limit, strict=True) if x > limit * (1 + SLACK)
        ]
        names = " and ".join(over) or "this stage"
        if any(
            x < limit for x, limit, name in zip(self._taken(), self.limit, NAMES, strict=True) if name in over
        ):
            return f"what is left of the budget of {names} is less than the most that another effect may cost"
        return f"the budget of {names} is spent"
