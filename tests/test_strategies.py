from collections import Counter
from dataclasses import dataclass, field, replace
from math import ceil, log2
from random import Random

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_strategies.race import Race
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample
from tts_strategies.vote import Vote

from tts.errors import LimitReached, UsageError
from tts.pipeline import Pipeline
from tts.registry import resolve
from tts.testing import TASK, ScriptedAgent, ScriptedJudge, opened, stored, strategy_run
from tts.types import FREE, Budget, Pool, Rollout, Tally, Task, Usage, Verdict, digest


def pool_of(*answers, **fields):
    """Return a pool of answers; each further field is a list of one value per answer."""
    columns = [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
    rows = columns or [{}] * len(answers)
    return Pool(
        tuple(Rollout(answer=a, index=i, **row) for i, (a, row) in enumerate(zip(answers, rows, strict=True)))
    )


def letters(n):
    return pool_of(*(f"{i:02}" for i in range(n)))


@dataclass
class Played:
    pool: Pool
    run: object

    @property
    def answers(self):
        return [rollout.answer for rollout in self.pool]

    @property
    def spent(self):
        """Rollouts, summaries and votes."""
        spending = self.run.spending
        given = sum(use.kind == "given" for use in self.run.uses.values())
        return (
            len(self.run.uses) - given - spending.summaries - spending.verdicts,
            spending.summaries,
            spending.verdicts,
        )

    @property
    def matches(self):
        return [stage.matches for stage in self.run.trace(self.pool)]


def play(*stages, pool=Pool(), judge=None, agent=None, seed=0, budget=Budget(), before=()):
    """Run stages on a pool through a ledger; `before` are pipelines run earlier over the same ledger."""

    async def main():
        async with opened(agent=agent, judge=judge) as ledger:
            for pipeline in before:
                await pipeline(Pool(), strategy_run(ledger, agent=agent, judge=judge, seed=seed).scope())
            run = strategy_run(ledger, agent=agent, judge=judge, seed=seed, budget=budget)
            return Played(await Pipeline(*stages)(await stored(pool, run), run.scope()), run)

    return anyio.run(main)


@dataclass
class Table:
    """A scope without a ledger: votes come from a function of the group and the number of votes."""

    votes: object = None
    seed: int = 0
    asked: list = field(default_factory=list)
    task = TASK

    def rng(self, *labels):
        return Random(digest([self.seed, labels]))

    async def compare(self, groups, *, votes):
        self.asked.append([(len(group), votes) for group in groups])
        return [self.tally(list(group), votes) for group in groups]

    def tally(self, group, votes):
        given = self.votes(group, votes) if self.votes else {max(group, key=lambda r: r.answer).key: votes}
        verdicts = [Verdict(preferred=key) for key, n in given.items() for _ in range(n)]
        return Tally(tuple(r.key for r in group), tuple(verdicts))


def at_table(stage, pool, votes=None, seed=0):
    """Return the ranked answers and the table."""
    table = Table(votes, seed)
    keyed = replace(pool, rollouts=tuple(replace(r, key=r.key or f"key-{r.index}") for r in pool))
    return [r.answer for r in anyio.run(stage, keyed, table).rollouts], table


@dataclass(frozen=True)
class FirstShown:
    """A judge with nothing but a position bias."""

    fingerprint: str = "first"
    bound: Budget = FREE

    async def compare(self, task, shown, *, n=1):
        return [Verdict(preferred=shown[0].rollout.key)] * n


# Recursive Tournament Voting


def test_rtv_finds_the_best_of_16_with_120_votes():
    played = play(RTV(), pool=letters(16))
    assert played.answers == ["15"]
    assert played.spent == (0, 16, 120)
    [matches] = played.matches
    assert len(matches) == 8 + 4 + 2 + 1
    assert all(sorted(match.votes) == [0, 8] for match in matches)


def test_select_four_of_16_takes_96_votes():
    played = play(RTV(keep=4), pool=letters(16))
    assert played.spent == (0, 16, 96)
    assert len(played.pool) == 4
    assert played.answers[0] == "15" or "15" in played.answers
    assert played.pool.ranked


@pytest.mark.parametrize(
    ("group", "rounds"),
    [(2, [[2] * 8, [2] * 4, [2] * 2, [2]]), (4, [[4] * 4, [4]]), (8, [[8, 8], [2]]), (16, [[16]])],
)
def test_group_sizes_cut_16_as_the_paper_says(group, rounds):
    answers, table = at_table(RTV(group=group), letters(16))
    assert answers == ["15"]
    assert [[size for size, _ in asked] for asked in table.asked] == rounds


@pytest.mark.parametrize("n", range(1, 18))
@pytest.mark.parametrize("group", [2, 3, 4])
def test_every_number_of_entrants_ends_at_one(n, group):
    answers, table = at_table(RTV(group=group), letters(n))
    assert answers == [f"{n - 1:02}"]
    sizes = [size for asked in table.asked for size, _ in asked]
    assert sum(size - 1 for size in sizes) == n - 1
    assert max(sizes, default=0) <= group
    if group == 2:
        assert len(table.asked) == ceil(log2(n))


@pytest.mark.parametrize("n", range(1, 18))
@pytest.mark.parametrize("keep", [2, 3, 4, 5])
def test_a_tournament_to_k_ends_at_exactly_k(n, keep):
    answers, _ = at_table(RTV(keep=keep), letters(n))
    assert len(answers) == min(keep, n)
    assert f"{n - 1:02}" in answers


def test_an_odd_entrant_goes_on_without_a_match():
    _, table = at_table(RTV(), letters(5))
    assert [[size for size, _ in asked] for asked in table.asked] == [[2, 2], [2], [2]]


def test_over_the_votes_each_stands_first_equally_often():
    first = Counter()

    class Watching(FirstShown):
        async def compare(self, task, shown, *, n=1):
            first[shown[0].rollout.answer] += n
            return [Verdict(preferred=None)] * n

    play(RTV(group=4, tie_rounds=0), pool=letters(4), judge=Watching())
    assert first == {"00": 2, "01": 2, "02": 2, "03": 2}


def test_a_pure_position_bias_ties_and_costs_the_capped_extra_votes():
    played = play(RTV(), pool=letters(4), judge=FirstShown())
    [matches] = played.matches
    assert Counter(match.votes for match in matches) == {(4, 4): 3, (5, 5): 3, (6, 6): 3}
    assert played.spent == (0, 4, 3 * 12)
    assert len(played.pool) == 1


def test_a_tie_ends_when_more_votes_break_it():
    def votes(group, n):
        better, worse = sorted((r.key for r in group), reverse=True)
        return {better: n - 4, worse: 4}

    answers, table = at_table(RTV(), letters(2), votes)
    assert answers == ["01"]
    assert table.asked == [[(2, 8)], [(2, 10)]]


def test_only_tied_groups_are_voted_on_again():
    def votes(group, n):
        keys = sorted(r.key for r in group)
        return {keys[0]: n // 2, keys[1]: n // 2} if "key-0" in keys else {keys[1]: n}

    _, table = at_table(RTV(keep=2, tie_rounds=1), letters(4), votes)
    assert [len(asked) for asked in table.asked] == [2, 1]


@pytest.mark.parametrize("seed", range(6))
def test_a_tie_that_stays_goes_to_the_better_record(seed):
    def votes(group, n):
        """Whoever meets "00" loses 8 to 0, others win 5 to 3; the final is a tie."""
        first, second = sorted(group, key=lambda r: r.answer)
        if n == 8 and first.answer == "00" and not final[0]:
            return {first.key: 8}
        if not final[0]:
            return {second.key: 5, first.key: 3}
        return {first.key: n // 2, second.key: n // 2}

    final = [False]

    class TwoRounds(Table):
        async def compare(self, groups, *, votes):
            final[0] = len(groups) == 1
            return await super().compare(groups, votes=votes)

    keyed = Pool(tuple(replace(r, key=f"key-{r.index}") for r in letters(4)))
    won = anyio.run(RTV(), keyed, TwoRounds(votes, seed))
    assert [r.answer for r in won] == ["00"]


def test_where_all_abstain_the_draw_decides_and_stays():
    silent = ScriptedJudge(value=lambda candidate: None)
    winners = [
        play(RTV(), pool=letters(8), judge=silent, seed=seed).answers[0] for seed in (0, 0, 1, 2, 3, 4)
    ]
    assert winners[0] == winners[1]
    assert len(set(winners)) > 1


def test_one_readable_vote_outweighs_abstentions():
    def votes(group, n):
        return {min(group, key=lambda r: r.answer).key: 1}

    assert at_table(RTV(), letters(8), votes)[0] == ["00"]


def test_identical_outputs_enter_once():
    pool = pool_of(*"abbbabbbbbbaaaab")
    assert play(RTV(), pool=pool).spent == (0, 2, 8)
    assert play(RTV(merge=None), pool=pool).spent[1] == 16
    assert play(RTV(), pool=pool_of("a", "a", "a")).spent == (0, 0, 0)


def test_outputs_are_merged_by_the_named_equivalence():
    pool = pool_of("Yes.", "yes", " YES ", "no")
    assert play(RTV(merge="text"), pool=pool).spent == (0, 2, 8)
    assert play(RTV(), pool=pool).spent == (0, 4, 24)


def test_rollouts_without_output_stay_out():
    played = play(RTV(keep=3), pool=pool_of(None, "a", "", "b", "  "))
    assert sorted(played.answers) == ["a", "b"]
    assert played.spent == (0, 0, 0)


@pytest.mark.parametrize("merge", [None, "exact", "patch"])
def test_where_nobody_has_an_output_k_go_on_unjudged(merge):
    played = play(RTV(keep=3, merge=merge), pool=pool_of(None, "", None, " ", None))
    assert len(played.pool) == 3
    assert played.spent == (0, 0, 0)


@dataclass(frozen=True)
class Noisy:
    """Names the better one with probability `right`, by noise of its own for each vote."""

    right: float
    fingerprint: str = "noisy"
    bound: Budget = FREE

    async def compare(self, task, shown, *, n=1):
        rng = Random(repr((task.id, [c.rollout.key for c in shown])))
        ranked = sorted(shown, key=lambda c: c.rollout.answer, reverse=True)
        picks = [ranked[0 if rng.random() < self.right else 1] for _ in range(n)]
        return [Verdict(preferred=c.rollout.key) for c in picks]


def test_more_votes_find_the_best_more_often_under_noise():
    judge = Noisy(0.7)

    async def main():
        found = Counter()
        async with opened(judge=judge) as ledger:
            for i in range(30):
                for votes in (1, 9):
                    run = strategy_run(ledger, task=Task(f"task-{i}", "?"), judge=judge)
                    won = await Pipeline(RTV(votes=votes))(await stored(letters(8), run), run.scope())
                    found[votes] += won.rollouts[0].answer == "07"
        return found

    found = anyio.run(main)
    # Three rounds: 0.7 ** 3 = 0.34 with one vote, 0.90 ** 3 = 0.73 with nine.
    assert 4 <= found[1] <= 17
    assert 17 <= found[9] <= 28


def test_noise_is_the_same_again():
    games = [play(RTV(), pool=letters(9), judge=Noisy(0.6)) for _ in range(2)]
    assert games[0].answers == games[1].answers
    assert games[0].matches == games[1].matches


answer_lists = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@given(answer_lists, st.randoms(use_true_random=False), st.integers(1, 4), st.integers(2, 5))
@settings(max_examples=100)
def test_rtv_picks_and_does_not_mind_the_order_of_arrival(answers, random, keep, group):
    rollouts = [replace(r, key=f"key-{r.index}") for r in pool_of(*answers)]
    shuffled = random.sample(rollouts, len(rollouts))
    stage = RTV(keep=keep, group=group)
    kept, _ = at_table(stage, Pool(tuple(rollouts)))
    assert kept == at_table(stage, Pool(tuple(shuffled)))[0]
    assert len(kept) == min(keep, len(set(answers)))
    assert max(answers) in kept


@given(answer_lists, st.permutations("uvwxyz"), st.integers(2, 4))
@settings(max_examples=60)
def test_rtv_does_not_mind_what_outputs_are_called(answers, names, group):
    """The judge goes by a hidden quality, so new names must not change who wins."""
    quality = dict(zip("abcdef", range(6), strict=True)) | dict(zip(names, range(6), strict=True))

    def votes(entered, n):
        return {max(entered, key=lambda r: quality[r.answer]).key: n}

    renamed = [names["abcdef".index(a)] for a in answers]
    before, after = (at_table(RTV(group=group), pool_of(*row), votes)[0] for row in (answers, renamed))
    assert [names["abcdef".index(a)] for a in before] == after


# Majority vote


@pytest.mark.parametrize(
    ("stage", "answers", "first"),
    [
        (Vote(), "aabbb", "b"),
        (Vote(same="exact"), ["A", "a", "B", "b", "b"], "b"),
        (Vote(), ["Yes.", "no", "yes", " YES ", "no"], "Yes."),
        (Vote(same="number"), ["1,000", "1e3", "2", "2", "1000.0"], "1,000"),
        (Vote(same="number"), ["0.5", "1/2", "50%", "1", "1"], "0.5"),
        (Vote(same=lambda a, b: len(a) == len(b)), ["aa", "b", "cc", "dddd", "e", "f"], "b"),
        (Vote(), ["a", None, None, None, "a", "b"], "a"),
        (Vote(), ["", "  ", "\n", "b"], "b"),
    ],
)
def test_the_largest_class_wins(stage, answers, first):
    played = play(stage, pool=pool_of(*answers))
    assert played.answers[0] == first
    assert sorted(map(str, played.answers)) == sorted(map(str, answers))
    assert played.pool.ranked
    assert played.spent == (0, 0, 0)


def test_classes_come_by_size_and_the_silent_last():
    played = play(Vote(), pool=pool_of(None, "c", "b", "a", "b", " ", "a", "a"))
    assert played.answers == ["a", "a", "a", "b", "b", "c", None, " "]


def diff(line, comment=""):
    return f"diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 0\n+{line}{comment}\n"


def test_patches_are_compared_as_patches():
    patches = (diff("x = 2"), diff("x = 1"), diff("x = 1", "  # why"), diff("x  =  1"), diff("x = 2"))
    played = play(Vote(), pool=Pool(tuple(Rollout(patch=patch) for patch in patches)))
    assert played.pool.rollouts[0].patch == diff("x = 1")


def test_where_all_abstain_the_pool_stays():
    played = play(Vote(), pool=pool_of(None, " ", None))
    assert played.answers == [None, " ", None]


def test_the_tie_rules():
    pool = pool_of(*"cbabca", length=[9.0, 4.0, 2.0, 6.0, 1.0, 8.0])
    assert play(Vote(ties="first"), pool=pool).answers == list("ccbbaa")
    shortest = play(Vote(ties="shortest"), pool=pool)
    assert [r.length for r in shortest.pool] == [1.0, 9.0, 2.0, 8.0, 4.0, 6.0]
    drawn = Counter(play(Vote(), pool=pool, seed=seed).answers[0] for seed in range(30))
    assert set(drawn) == {"a", "b", "c"}
    assert play(Vote(), pool=pool).answers == play(Vote(), pool=pool).answers


def test_an_unknown_length_is_not_the_shortest():
    pool = pool_of("unknown", "known", length=[None, 5.0])
    assert play(Vote(ties="shortest"), pool=pool).answers == ["known", "unknown"]


def test_a_majority_beats_a_shorter_minority():
    pool = pool_of(*"abb", length=[1.0, 9.0, 9.0])
    assert play(Vote(ties="shortest"), pool=pool).answers[0] == "b"


@given(answer_lists, st.randoms(use_true_random=False), st.permutations("abcdef"))
@settings(max_examples=100)
def test_a_vote_minds_neither_arrival_nor_names(answers, random, names):
    rollouts = [replace(r, key=f"key-{r.index}") for r in pool_of(*answers)]
    for ties in ("random", "first"):
        ranked, _ = at_table(Vote(ties=ties), Pool(tuple(rollouts)))
        assert ranked == at_table(Vote(ties=ties), Pool(tuple(random.sample(rollouts, len(rollouts)))))[0]
        counts = Counter(answers)
        assert counts[ranked[0]] == max(counts.values())
        renamed = pool_of(*(names["abcdef".index(a)] for a in answers))
        assert [names["abcdef".index(a)] for a in ranked] == at_table(Vote(ties=ties), renamed)[0]


# short-m@k

LENGTHS = (5, 9, 2, 7, 3, 8, 4, 6)


def thinking(lengths=LENGTHS, answers="xyxyyzxz", capped=(), broken=()):
    """Return an agent whose attempt i thinks for lengths[i] tokens and then answers."""

    async def think(task, attempt):
        for token in range(1, lengths[attempt.index] + 1):
            attempt.spend(Usage(output_tokens=1))
            attempt.progress(float(token))
            await anyio.lowlevel.checkpoint()
        if attempt.index in capped:
            raise LimitReached("out of tokens")
        if attempt.index in broken:
            raise ValueError("broken")
        attempt.progress(float(lengths[attempt.index]), thought=True)
        return Rollout(answer=answers[attempt.index])

    return ScriptedAgent(think, bound=Budget())


@pytest.mark.parametrize("m", range(1, 9))
def test_a_race_keeps_the_m_shortest_and_costs_what_the_paper_says(m):
    played = play(Race(k=8, m=m), agent=thinking())
    at = sorted(LENGTHS)[m - 1]
    assert [r.length for r in played.pool] == sorted(LENGTHS)[:m]
    assert played.run.spending.usage.output_tokens == sum(min(length, at) for length in LENGTHS)
    assert played.run.spending.rollouts == 8


def test_stored_longer_rollouts_count_as_cut():
    alone = play(Race(k=8, m=3), agent=thinking())
    after = play(Race(k=8, m=3), agent=thinking(), before=[Pipeline(Sample(8))])
    assert after.pool.keys == alone.pool.keys
    assert after.run.spending.usage.output_tokens == alone.run.spending.usage.output_tokens == 29


@pytest.mark.parametrize(
    ("m", "winner"),
    [
        (1, "x"),
        (2, "x"),  # x and y tie: x has the shortest chain
        (3, "x"),  # x y x
        (4, "x"),  # x y x x
        (8, "x"),  # x y x x z y z y: three x, three y, and x has the shortest chain
    ],
)
def test_short_m_votes_among_the_m_shortest(m, winner):
    played = play(*resolve(f"short-{m}@8").run.stages, agent=thinking())
    assert played.answers[0] == winner


def test_a_tie_goes_to_the_shortest_chain():
    agent = thinking((4, 3, 2, 1, 9), "aabbc")
    assert play(*resolve("short-4@5").run.stages, agent=agent).answers == ["b", "b", "a", "a"]


def test_a_sample_cut_off_by_its_cap_does_not_count_as_finished():
    played = play(Race(k=8, m=2), agent=thinking(capped=(2,), broken=(4,)))
    assert [r.length for r in played.pool] == [4.0, 5.0]


def test_where_fewer_than_m_finish_those_that_did_are_kept():
    played = play(Race(k=4, m=3), agent=thinking(capped=(0, 1), broken=(2,)))
    assert [r.index for r in played.pool] == [3]
    assert play(Race(k=2, m=2), agent=thinking(capped=(0, 1))).pool.rollouts == ()


def test_without_lengths_the_first_to_arrive_win():
    async def plain(task, attempt):
        for _ in range(3 * (4 - attempt.index)):
            await anyio.lowlevel.checkpoint()
        return Rollout(answer=str(attempt.index))

    played = play(Race(k=4, m=1), agent=ScriptedAgent(plain, bound=Budget()))
    assert played.answers == ["3"]


# Sampling and refinement


def test_samples_are_added_once_and_in_order():
    played = play(Sample(2), Sample(4))
    assert [r.index for r in played.pool] == [0, 1, 2, 3]
    assert played.spent == (4, 0, 0)


def test_growing_reuses_what_is_there():
    grown = play(Sample(6), before=[Pipeline(Sample(4))])
    assert [r.index for r in grown.pool] == list(range(6))


def refined(stage, pool=None, **kwargs):
    played = play(stage, pool=letters(5) if pool is None else pool, **kwargs)
    old = [key for key, use in played.run.uses.items() if use.kind == "given"]
    return played, old


def test_selected_priors_are_the_whole_pool_for_each():
    played, old = refined(Refine(3))
    assert played.spent == (3, 5, 0)
    assert [r.index for r in played.pool] == [0, 1, 2]
    assert {r.iteration for r in played.pool} == {1}
    assert {r.priors for r in played.pool} == {tuple(old)}
    assert not played.pool.ranked


def test_single_priors_are_each_ones_own():
    played, old = refined(Refine(7, priors="single"))
    assert [r.priors for r in played.pool] == [(old[i % 5],) for i in range(7)]
    assert {r.iteration for r in played.pool} == {1}


def test_random_priors_are_drawn_by_each():
    played, old = refined(Refine(8, priors="random", k=3))
    drawn = [r.priors for r in played.pool]
    assert all(len(set(priors)) == 3 and set(priors) <= set(old) for priors in drawn)
    assert len(set(drawn)) > 4
    assert refined(Refine(8, priors="random", k=3))[0].pool.keys == played.pool.keys
    assert refined(Refine(8, priors="random", k=3), seed=1)[0].pool.keys != played.pool.keys
    assert all(len(r.priors) == 5 for r in refined(Refine(2, priors="random", k=9))[0].pool)


def test_the_ranking_of_a_selection_orders_its_priors():
    played = play(RTV(keep=3), Refine(1), pool=letters(8))
    rtv, _ = played.run.trace(played.pool)
    assert played.pool.rollouts[0].priors == rtv.returned


def test_final_all_keeps_the_old_beside_the_new():
    played, old = refined(Refine(3, final="all"))
    assert played.pool.keys[:5] == tuple(old)
    assert [r.iteration for r in played.pool] == [0] * 5 + [1] * 3


def test_iterations_count_up():
    played = play(Sample(2), Refine(2), Refine(2))
    assert {r.iteration for r in played.pool} == {2}
    assert played.spent == (6, 4, 0)


def test_where_nothing_can_be_refined_the_pool_comes_back_marked():
    played = play(RTV(keep=2), Refine(4), RTV(), pool=letters(4), budget=Budget(rollouts=0))
    assert played.answers == ["03"]
    assert played.pool.incomplete
    assert refined(Refine(2), Pool())[0].pool == Pool(incomplete=True)


# Presets


@pytest.mark.parametrize(
    ("name", "rollouts", "summaries", "votes"),
    [
        ("single", 1, 0, 0),
        ("vote@16", 16, 0, 0),
        ("short-3@8", 8, 0, 0),
        ("rtv@16", 16, 16, 120),
        ("pdr@16", 32, 16, 0),
        ("pdr-rtv@16", 32, 32, 96 + 120),
    ],
)
def test_a_preset_asks_for_what_its_paper_says(name, rollouts, summaries, votes):
    played = play(*resolve(name).run.stages)
    assert played.spent == (rollouts, summaries, votes)
    assert played.pool.winner is not None
    assert not played.pool.incomplete


def test_pdr_rtv_chooses_the_best_refined_rollout():
    async def improve(task, attempt):
        return Rollout(answer=f"{len(attempt.priors)}-{attempt.index:02}")

    played = play(*resolve("pdr-rtv@16").run.stages, agent=ScriptedAgent(improve))
    assert played.answers == ["4-15"]
    assert played.pool.rollouts[0].iteration == 1
    kept = played.run.trace(played.pool)[1].returned
    assert len(kept) == 4
    assert played.pool.rollouts[0].priors == kept


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Sample(0),
        lambda: Race(k=2, m=3),
        lambda: Race(k=2, m=0),
        lambda: Race(k=2, halt="never"),
        lambda: Vote(same="nope"),
        lambda: Vote(ties="nope"),
        lambda: RTV(keep=0),
        lambda: RTV(group=1),
        lambda: RTV(votes=0),
        lambda: RTV(tie_votes=-1),
        lambda: RTV(tie_rounds=-1),
        lambda: RTV(merge="nope"),
        lambda: Refine(0),
        lambda: Refine(1, k=0),
        lambda: Refine(1, priors="nope"),
        lambda: Refine(1, final="nope"),
    ],
)
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(UsageError):
        wrong()
