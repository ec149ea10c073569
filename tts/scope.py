"""What a stage is handed: the one door to effects, sugar over it, and the account of its strategy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from random import Random
from typing import Any, TypeVar

import anyio

from tts.budget import ZERO, Account, Amount, Reservation, charge, plus, tighter
from tts.errors import Infra, Refused, UsageError
from tts.flights import Done
from tts.lanes import Drawn, LedgerLanes
from tts.ledger import STOPPED, Ledger
from tts.protocols import Lanes, Performer, Reckoning, bound_of, reckoning_of
from tts.trace import Match, OpenTrace, Point, Spending, StageTrace, Use, latest, setting
from tts.types import Budget, Candidate, Effect, Pool, Rollout, Summary, Tally, Task, Usage, Verdict, digest

T = TypeVar("T")

INFRASTRUCTURE = "infrastructure: "
"""How the reason of an effect begins that an infrastructure failure took away."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who does a kind of effect, as far as keys and budgets need to know.

    `kinds` are those of the tests that a tester can get, None where it does not say.
    """

    fingerprint: str
    bound: Budget = Budget()
    reckoning: Reckoning | None = None
    kinds: frozenset[str] | None = None

    def bound_on(self, task: Task, read: Sequence[Any] = ()) -> Budget:
        """Return the most that an effect which reads this can cost."""
        if self.reckoning is None:
            return self.bound
        return tighter(self.bound, self.reckoning(task, read))


def role(performer: Performer | None) -> Role | None:
    """Return the role of a performer, None for None."""
    if performer is None:
        return None
    kinds: frozenset[str] | None = getattr(performer, "kinds", None)
    return Role(performer.fingerprint, bound_of(performer), reckoning_of(performer), kinds)


@dataclass(frozen=True, slots=True)
class Cast:
    """The roles of a run. A stage that needs a role nobody plays gets a clear error."""

    agent: Role | None = None
    summarizer: Role | None = None
    judge: Role | None = None
    tester: Role | None = None

    def played(self, name: str) -> Role:
        """Return the role of that name.

        Raises:
            UsageError: nobody plays it.
        """
        found: Role | None = getattr(self, name, None)
        if found is None:
            raise UsageError(f"the strategy needs a {name}, and none was given")
        return found

    @property
    def fingerprints(self) -> dict[str, str]:
        """Who plays the roles, by role."""
        return {name: role.fingerprint for name, role in self._roles.items()}

    @property
    def bounds(self) -> list[Budget]:
        """The most that one effect of each role can cost, in the order of the roles."""
        return [role.bound for role in self._roles.values()]

    @property
    def _roles(self) -> dict[str, Role]:
        roles = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: role for name, role in roles.items() if role is not None}


@dataclass(slots=True, eq=False)
class StrategyRun:
    """One strategy on one task: its budget, what it used, what it was refused, and its trace."""

    task: Task
    ledger: Ledger
    cast: Cast
    seed: int = 0
    budget: Budget = Budget()
    uses: dict[str, Use] = field(default_factory=dict[str, Use])
    stages: list[OpenTrace] = field(default_factory=list[OpenTrace])
    refusals: list[str] = field(default_factory=list[str])

    def scope(self) -> StageScope:
        """Return the scope of the whole strategy, before its first stage."""
        return StageScope(self, Account(self.budget), (), OpenTrace(""))

    @property
    def setting(self) -> str:
        """What the choice rests on besides the strategy: task, seed and performers, as a hash."""
        return setting(self.task, self.seed, self.cast.fingerprints)

    @property
    def unfinished(self) -> bool:
        """Whether a stop, or an infrastructure failure that may pass, cut the strategy short."""
        return any(reason.startswith((STOPPED, INFRASTRUCTURE)) for reason in self.refusals)

    @property
    def spending(self) -> Spending:
        """What the strategy would have cost alone."""
        return Spending.of(self.uses.values())

    def trace(self, final: Pool) -> tuple[StageTrace, ...]:
        """Return the traces of its stages, given the pool that the last one returned."""
        returned = [*(stage.given for stage in self.stages[1:]), final.keys]
        return tuple(stage.close(keys) for stage, keys in zip(self.stages, returned, strict=False))


class StageScope:
    """All that one stage may do; implements `tts.protocols.Scope`."""

    def __init__(self, run: StrategyRun, account: Account, keys: Sequence[str], trace: OpenTrace) -> None:
        self._run = run
        self._account = account
        self._keys = sorted(keys)
        self._trace = trace
        self._clock = self._finish(run.uses)

    @property
    def task(self) -> Task:
        """The task at hand."""
        return self._run.task

    @property
    def remaining(self) -> Budget:
        """What this stage may still spend, counted as if its strategy ran alone."""
        return self._account.remaining

    @property
    def usage(self) -> Usage:
        """What the strategy has used so far, counted as if it ran alone."""
        return self._run.spending.usage

    @property
    def path_tokens(self) -> int:
        """The tokens on the longest path of that."""
        return self._run.spending.critical_tokens

    def rng(self, *labels: str) -> Random:
        """Return a generator derived from run seed, task, the stage's pool and the labels."""
        return Random(int(digest([self._run.seed, self.task.digest, self._keys, labels])[:16], 16))

    def enter(self, pool: Pool, *, label: str, keep: float = 0.0, keep_rollouts: float = 0.0) -> StageScope:
        """Return the next stage's scope; the shares (0 to 1) of what remains are left to later stages."""
        trace = OpenTrace(label, pool.keys)
        self._run.stages.append(trace)
        return StageScope(self._run, self._account.share(keep, keep_rollouts), pool.keys, trace)

    def effect(
        self,
        kind: str,
        returns: type[T],
        *,
        by: str,
        inputs: Sequence[str] = (),
        read: Sequence[Any] = (),
        params: Mapping[str, Any] | None = None,
        occurrence: int = 0,
    ) -> Effect[T]:
        """Return an effect that a role carries out: its fingerprint, its bound, and the run's seed."""
        role, seed = self._run.cast.played(by), self._run.seed
        given = tuple(inputs), params or {}, occurrence, seed, role.bound_on(self.task, read)
        return Effect(kind, self.task, returns, role.fingerprint, *given)

    async def do(self, effect: Effect[T]) -> T:
        """Return the effect's result; see the protocol for what it raises."""
        if effect.kind == "grade":
            raise UsageError("a stage has no access to grades")
        (done,) = await self._ask([effect])
        if done.error is not None:
            raise done.error
        self._clock = latest([self._clock, self._finish([effect.key])])
        assert done.result is not None
        return done.result

    async def sample(self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()) -> list[Rollout]:
        """Return the rollouts `start` to `start + n - 1` that could be had."""
        asked = await self._ask_each([[effect] for effect in self.rollouts(n, start, priors)])
        return [done.result for (done,) in asked if done.result is not None]

    def lanes(
        self, n: int, *, start: int = 0, priors: Sequence[Summary] = ()
    ) -> AbstractAsyncContextManager[Lanes]:
        """Return the same rollouts as they go."""
        effects, refused = self.rollouts(n, start, priors), self._run.refusals.append
        return LedgerLanes(self._run.ledger, self._account, effects, used=self._lane, refused=refused)

    async def summarize(self, rollout: Rollout) -> Summary:
        """Return the rollout's summary, made once; one without content where it could not be made."""
        (done,) = await self._ask([self._summary(rollout)])
        if done.result is not None:
            return done.result
        return Summary(rollout=rollout.key, status="failed", covered=0.0, error=str(done.error))

    async def compare(
        self,
        groups: Sequence[Sequence[Rollout]],
        *,
        votes: int,
        ordered: bool = False,
        told: Mapping[str, Summary] | None = None,
    ) -> list[Tally]:
        """Return the first `votes` votes on each group: as it stands, or in the `display_orders`."""
        candidates = await self._candidates((rollout for group in groups for rollout in group), told or {})
        held = [[r.key for r in group if r.key in candidates] for group in groups]
        orders = [[(tuple(g), votes)] if ordered and len(g) > 1 else display_orders(g, votes) for g in held]
        ballots = [
            [self._ballot([candidates[key] for key in order], n) for order, n in each] for each in orders
        ]
        asked = iter(await self._ask_each([effects for ballot in ballots for effects in ballot]))
        answers = [[next(asked) for _ in ballot] for ballot in ballots]
        tallies = [
            Tally(tuple(r.key for r in group), _interleaved(answer))
            for group, answer in zip(groups, answers, strict=True)
        ]
        self._trace.matches += [Match(t.group, tuple(t.votes.values())) for t in tallies]
        used = (effect.key for ballot in ballots for effects in ballot for effect in effects)
        self._clock = latest([self._clock, self._finish(used)])
        return tallies

    def rollouts(self, n: int, start: int = 0, priors: Sequence[Summary] = ()) -> list[Effect[Rollout]]:
        """Return the effects of n rollouts from the same priors."""
        limits = self._run.cast.played("agent").bound
        inputs = tuple(prior.key for prior in priors)
        params = {"limits": {name: x for name, x in asdict(limits).items() if x is not None}}
        first = self.effect("rollout", Rollout, by="agent", inputs=inputs, read=priors, params=params)
        bound = replace(first.bound, rollouts=1)
        return [replace(first, occurrence=start + i, bound=bound) for i in range(n)]

    def _summary(self, rollout: Rollout) -> Effect[Summary]:
        return self.effect("summary", Summary, by="summarizer", inputs=(rollout.key,), read=(rollout,))

    def _ballot(self, shown: Sequence[Candidate], n: int) -> list[Effect[Verdict]]:
        """Return n verdict effects on one display order."""
        keys = tuple(candidate.summary.key for candidate in shown)
        first = self.effect("verdict", Verdict, by="judge", inputs=keys, read=shown)
        return [replace(first, occurrence=i) for i in range(n)]

    async def _candidates(
        self, rollouts: Iterable[Rollout], told: Mapping[str, Summary]
    ) -> dict[str, Candidate]:
        """Return the candidates by rollout key, those whose summary is given or could be had."""
        listed = {rollout.key: rollout for rollout in rollouts}
        missing = [rollout for rollout in listed.values() if rollout.key not in told]
        asked = await self._ask_each([[self._summary(rollout)] for rollout in missing])
        had = {
            r.key: done.result for r, (done,) in zip(missing, asked, strict=True) if done.result is not None
        }
        return {key: Candidate(r, s) for key, r in listed.items() if (s := told.get(key, had.get(key)))}

    async def _ask_each(self, questions: Sequence[Sequence[Effect[T]]]) -> list[list[Done[T]]]:
        """Ask several questions at once, reserving in their order; return the answers in that order."""
        answers: list[list[Done[T]]] = [[] for _ in questions]

        async def ask(i: int) -> None:
            answers[i] = await self._ask(questions[i])

        async with anyio.create_task_group() as group:
            for i in range(len(questions)):
                group.start_soon(ask, i)
        return answers

    async def _ask(self, effects: Sequence[Effect[T]]) -> list[Done[T]]:
        """Ask one question, in as many rounds as the strategy's budget takes."""
        since = self._clock
        done: dict[str, Done[T]] = {}
        left: list[Effect[T]] = list(effects)
        while left:
            ended = await self._ask_what_fits(left, since)
            done |= ended
            left = [effect for effect in left if effect.key not in done]
            if not ended:
                break
        refused: Done[T] = Done(error=Refused("the strategy's budget is spent"))
        return [done.get(effect.key, refused) for effect in effects]

    async def _ask_what_fits(self, effects: Sequence[Effect[T]], since: Point) -> dict[str, Done[T]]:
        """Reserve in the strategy's account, go through the ledger, note what was used, and settle."""
        new = [effect for effect in effects if effect.key not in self._run.uses]
        reservation, reason = await self._reserve(new)
        # What an earlier asking has brought in the meantime needs no budget any more.
        kept = {effect.key for effect in new[reservation.n :] if effect.key not in self._run.uses}
        if kept and reason:
            self._run.refusals.append(reason)
        asked = [effect for effect in effects if effect.key not in kept]
        spent = ZERO
        try:
            ended = await self._run.ledger.do(asked)
            for effect, one in zip(asked, ended, strict=True):
                spent = plus(spent, self._note(effect, one, since))
                # What one batch brings has each its share of the batch's time, but the tokens side by side.
                since = since._replace(seconds=max(since.seconds, self._finish([effect.key]).seconds))
        finally:
            self._account.settle(reservation, spent)
        return {effect.key: one for effect, one in zip(asked, ended, strict=True)}

    async def _reserve(self, effects: Sequence[Effect[Any]]) -> tuple[Reservation, str]:
        """Return a reservation for as many of the effects as fit, and why it is for none where it is."""
        if not effects:
            return await self._account.reserve([]), ""
        try:
            return await self._account.reserve([effect.bound for effect in effects]), ""
        except Refused as refusal:
            return await self._account.reserve([]), str(refusal)

    def _note(self, effect: Effect[Any], done: Done[Any], since: Point) -> Amount:
        """Note the use of an effect; return what it adds to the strategy's account, once."""
        if done.error is not None:
            infra = isinstance(done.error, Infra)
            self._run.refusals.append(f"{INFRASTRUCTURE if infra else ''}{done.error}")
            return charge(effect.bound, done.usage, done.seconds) if infra else ZERO
        if effect.key in self._run.uses:
            return ZERO
        self._run.uses[effect.key] = self._use(effect, done.usage, done.seconds, since)
        return charge(effect.bound, done.usage, done.seconds)

    def _use(self, effect: Effect[Any], usage: Usage, seconds: float, since: Point) -> Use:
        start = latest([since, self._finish(effect.inputs)])
        finish = Point(start.seconds + seconds, start.tokens + usage.tokens)
        return Use(effect.kind, usage, seconds, finish)

    def _finish(self, keys: Iterable[str]) -> Point:
        """Return when the latest of some effects ended, as far as they were used."""
        return latest(self._run.uses[key].finish for key in keys if key in self._run.uses)

    def _lane(self, effect: Effect[Rollout], drawn: Drawn) -> Amount:
        """Note a lane of a race; return what it adds to the strategy's account, once."""
        if effect.key in self._run.uses:
            return ZERO
        self._run.uses[effect.key] = self._use(effect, drawn.usage, drawn.seconds, self._clock)
        return charge(effect.bound, drawn.usage, drawn.seconds)


def display_orders(group: Sequence[str], votes: int) -> list[tuple[tuple[str, ...], int]]:
    """Return the display orders of a group with the number of votes that each gets.

    The orders are the rotations of the sorted keys, and vote v goes to order v mod G.  So every candidate
    stands first equally often (within one where G does not divide the votes), the first votes are the same
    for every number of votes, and the order in which the group was named does not matter.
    """
    base, size = sorted(group), len(group)
    if size < 2:
        return []
    orders = [tuple(base[i:] + base[:i]) for i in range(size)]
    counts = [(votes + size - 1 - i) // size for i in range(size)]
    return [(order, n) for order, n in zip(orders, counts, strict=True) if n]


def _interleaved(answers: Sequence[Sequence[Done[Verdict]]]) -> tuple[Verdict, ...]:
    """Return the verdicts that were had, first those of occurrence 0 in every order, and so on."""
    longest = max((len(answer) for answer in answers), default=0)
    rows = ([answer[i] for answer in answers if i < len(answer)] for i in range(longest))
    return tuple(done.result for row in rows for done in row if done.result is not None)
