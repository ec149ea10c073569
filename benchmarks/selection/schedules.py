"""The fast path: schedules of votes, played on all tasks of a world at once.

`field` (tasks, n) names the candidates that enter, by number in the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tts_strategies.arena import Arena
from tts_strategies.beliefs import Beliefs
from tts_strategies.rtv import RTV

from benchmarks.selection.world import Floats, Ints, World


@dataclass(frozen=True, slots=True)
class Play:
    """What a schedule kept, best first (tasks, keep), and what it spent, one value a task each.

    `votes` are judge calls, `prompts` the different prompts (a pair in an order shown) that they were asked
    on, `rounds` how many calls waited for one another.
    """

    kept: Ints
    votes: Floats
    prompts: Floats
    rounds: Floats

    @property
    def choice(self) -> Ints:
        """The best one of each task."""
        return self.kept[:, 0]


def rtv(world: World, field: Ints, stage: RTV) -> Play:
    """Play a tournament of pairs with the rules of the stage; the field is a power of two."""
    rng = np.random.default_rng([world.seed, 4])
    before = world.asked.copy()
    record: Floats = np.zeros(world.right.shape, dtype=np.float64)
    rounds: Floats = np.zeros((world.tasks,), dtype=np.float64)
    left: Ints = field
    rows: Ints = np.arange(world.tasks, dtype=np.int64)[:, None]
    while left.shape[1] > stage.keep:
        left = np.asarray(rng.permuted(np.sort(left, axis=1), axis=1))
        one, two = np.sort([left[:, 0::2], left[:, 1::2]], axis=0)
        for_one, cast, extra = _match(world, rows, one, two, stage)
        rounds = np.asarray(rounds + 1 + extra, dtype=np.float64)
        better = np.sign(record[rows, one] - record[rows, two])
        tie = np.where(better == 0, rng.choice([-1, 1], size=one.shape), better)
        one_wins = np.where(2 * for_one == cast, tie, 2 * for_one - cast) > 0
        left = np.choose(one_wins, [two, one])
        record[rows, left] += 1 + np.where(one_wins, for_one, cast - for_one) / 1000
    best_first = np.argsort(-record[rows, left], axis=1, kind="stable")
    return _played(world, before, np.take_along_axis(left, best_first, axis=1), rounds)


def _match(world: World, rows: Ints, one: Ints, two: Ints, stage: RTV) -> tuple[Ints, Ints, Ints]:
    """Return for each match the votes for the first and the votes cast, and by task the rounds of ties."""
    at_rows = np.broadcast_to(rows, one.shape)
    for_one, cast = np.zeros_like(one), np.zeros_like(one)
    extra: Ints = np.zeros(len(one), dtype=np.int64)
    for again in range(1 + stage.tie_rounds):
        tied = np.nonzero(2 * for_one == cast)
        for _ in range(stage.tie_votes if again else stage.votes):
            swap = cast[tied] % 2 == 1
            first, second = np.where(swap, two[tied], one[tied]), np.where(swap, one[tied], two[tied])
            preferred = world.vote(at_rows[tied], first, second)
            for_one[tied] += np.where(swap, preferred, 1 - preferred)
            cast[tied] += 1
        extra[tied[0]] = again
    return for_one, cast, extra


def arena(world: World, field: Ints, stage: Arena, lead: Floats) -> Play:
    """Play what the stage does; `lead` (tasks, n) is the evidence, in logits of strength."""
    before = world.asked.copy()
    kept: Ints = np.zeros((world.tasks, stage.keep), dtype=np.int64)
    rounds: Floats = np.zeros((world.tasks,), dtype=np.float64)
    live = np.arange(world.tasks, dtype=np.int64)
    beliefs, asked = Beliefs(lead, stage.model, keep=stage.keep), 0
    while len(live):
        room = (stage.votes - asked) // stage.each
        pairs, gains = beliefs.next_pairs(min(stage.wave, room), each=stage.each)
        over = (gains < stage.gain) | (beliefs.chance >= stage.level) | (room == 0)
        order = beliefs.ranking[over, : stage.keep]
        kept[live[over]] = np.take_along_axis(field[live[over]], order, axis=1)
        live, beliefs = live[~over], beliefs.only(~over)
        rounds[live] += 1
        _ask(world, field, beliefs, live, [(low[~over], high[~over]) for low, high in pairs], stage.each)
        asked += len(pairs) * stage.each
    return _played(world, before, kept, rounds)


def _ask(
    world: World, field: Ints, beliefs: Beliefs, live: Ints, pairs: list[tuple[Ints, Ints]], each: int
) -> None:
    told: list[tuple[Ints, Ints, Ints]] = []
    for low, high in pairs:
        ones, others = field[live, low], field[live, high]
        ahead, behind = world.asked[live, ones, others], world.asked[live, others, ones]
        swap = np.where(ahead == behind, (low + high) % 2 == 0, ahead > behind)
        first, second = np.where(swap, high, low), np.where(swap, low, high)
        shown = field[live, first], field[live, second]
        told += [(first, second, world.vote(live, *shown)) for _ in range(each)]
    for vote in told:
        beliefs.observe(*vote)


def _played(world: World, before: Ints, kept: Ints, rounds: Floats) -> Play:
    asked = (world.asked - before).reshape(world.tasks, -1)
    return Play(kept, asked.sum(axis=1).astype(float), (asked > 0).sum(axis=1).astype(float), rounds)
