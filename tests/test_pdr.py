from collections import Counter
from dataclasses import dataclass, replace

import anyio
import pytest
from tts_strategies.pdr import PDR
from tts_strategies.refine import Refine
from tts_strategies.rtv import RTV
from tts_strategies.sample import Sample
from tts_strategies.vote import Vote

from tts.ceiling import ceiling
from tts.errors import Infra, StrategyError, UsageError
from tts.executors.distil import merged
from tts.lineage import lineage
from tts.pipeline import Pipeline, label, needs
from tts.registry import Strategy, resolve
from tts.replay import replay
from tts.run import Choice
from tts.testing import (
    TASK,
    FailingJudge,
    ScriptedAgent,
    ScriptedJudge,
    ScriptedSummarizer,
    StageContract,
    opened,
    stored,
    strategy_run,
)
from tts.trace import Spending
from tts.types import FREE, Budget, Candidate, Command, Pool, Rollout, Summary, TestRun, Usage

# A draft takes 10 tokens in the first round, 20 in the second, and so on; its answer names round and index.


async def draft(task, attempt):
    r = max((int(claim.split(".")[0]) + 1 for s in attempt.priors for claim in rounds_of(s)), default=0)
    attempt.spend(Usage(calls=1, input_tokens=4, output_tokens=10 * (r + 1) - 4))
    return Rollout(answer=f"{r}.{attempt.index:02}")


def rounds_of(summary):
    return [claim.rpartition(": ")[2] for claim in summary.claims]


@dataclass(frozen=True, slots=True)
class Distilling(ScriptedSummarizer):
    """A summarizer that distils the drafts into their number and the latest claim; each call takes tokens."""

    fingerprint: str = "distilling"
    error: Exception | None = None

    async def summarize(self, task, rollout, steps):
        return Summary(claims=(rollout.output or "",), usage=Usage(calls=1, output_tokens=1))

    async def distil(self, task, drafts):
        if self.error:
            raise self.error
        claims = tuple(sorted(d.rollout.answer for d in drafts)[-1:])
        return Summary(claims=claims, usage=Usage(calls=1, input_tokens=3, output_tokens=2))


@dataclass(frozen=True)
class Played:
    pool: Pool
    run: object
    rollouts: dict
    summaries: dict

    @property
    def answers(self):
        return [rollout.answer for rollout in self.pool]

    @property
    def kinds(self):
        return Counter(use.kind for use in self.run.uses.values())

    def priors(self, rollout):
        """The answers of the drafts that a draft was told of."""
        return [self.rollouts[key].answer for key in rollout.priors]


def play(*stages, agent=None, summarizer=None, judge=None, seed=0, pool=Pool(), budget=Budget(), folder=None):
    people = {
        "agent": agent or ScriptedAgent(draft),
        "summarizer": summarizer or ScriptedSummarizer(),
        "judge": judge or ScriptedJudge(),
    }

    async def main():
        async with opened(**people, folder=folder) as ledger:
            run = strategy_run(ledger, **people, seed=seed, budget=budget)
            made = await Pipeline(*stages)(await stored(pool, run), run.scope())
            found = {key: ledger.store.find(key) for key in run.uses}
            rollouts = {k: r.read(Rollout) for k, r in found.items() if r.kind in ("rollout", "given")}
            summaries = {k: r.read(Summary) for k, r in found.items() if r.kind in ("summary", "distil")}
            return Played(made, run, rollouts, summaries)

    return anyio.run(main)


def drawn(n):
    return Pool(tuple(Rollout(answer=f"0.{i:02}", index=i) for i in range(n)))


# The contract, for each distiller


class TestGlobal(StageContract):
    stage = PDR((3, 2))


class TestShared(StageContract):
    stage = PDR((3, 3, 2), distill="shared", k=2)


class TestPerSample(StageContract):
    stage = PDR((3, 3, 2), distill="per-sample", k=2)


class TestRandom(StageContract):
    stage = PDR((3, 2), distill="random", k=2)


class TestSequential(StageContract):
    stage = PDR((1, 1, 1))


class TestWithinTokens(StageContract):
    stage = PDR((3, 2, 2), sequential_tokens=2, total_tokens=9)


# Who is told of what


def test_global_gives_every_draft_one_workspace_of_all():
    played = play(PDR((4, 3, 2)), summarizer=Distilling())
    assert played.answers == ["2.00", "2.01"]
    assert [r.iteration for r in played.pool] == [2, 2]
    assert [played.priors(r) for r in played.pool] == [["1.00", "1.01", "1.02"]] * 2
    middle = [r for r in played.rollouts.values() if r.iteration == 1]
    assert [played.priors(r) for r in middle] == [["0.00", "0.01", "0.02", "0.03"]] * 3
    assert played.kinds == {"rollout": 4 + 3 + 2, "summary": 4 + 3, "distil": 2}
    assert not played.pool.ranked
    assert not played.pool.incomplete


def test_a_workspace_is_a_summary_of_its_sources():
    played = play(PDR((4, 2)), summarizer=Distilling())
    [workspace] = [s for s in played.summaries.values() if s.sources]
    assert [played.rollouts[key].answer for key in workspace.sources] == ["0.00", "0.01", "0.02", "0.03"]
    assert workspace.rollouts == workspace.sources
    assert workspace.rollout == ""
    assert workspace.claims == ("0.03",)
    assert workspace.render().startswith("Workspace distilled from 4 drafts\n- covers 100% of them")


def test_shared_gives_every_draft_the_k_best_by_one_round_of_groups():
    best = ScriptedJudge(value=lambda candidate: candidate.rollout.answer)
    played = play(PDR((8, 3), distill="shared", k=2), judge=best)
    told = [played.priors(r) for r in played.pool]
    assert told == [told[0]] * 3
    assert len(told[0]) == 2
    assert "0.07" in told[0]
    assert played.kinds == {"rollout": 8 + 3, "summary": 8, "verdict": 2}
    assert [len(m.group) for stage in played.run.trace(played.pool) for m in stage.matches] == [4, 4]


def test_shared_is_a_tournament_and_a_refinement():
    alone = play(PDR((6, 3), distill="shared", k=2, votes=2))
    written = play(Sample(6), RTV(keep=2, group=3, votes=2, merge=None), Refine(3))
    assert alone.pool.keys == written.pool.keys


def test_random_is_a_refinement_with_priors_at_random():
    alone = play(PDR((6, 4), distill="random", k=2))
    assert alone.pool.keys == play(Sample(6), Refine(4, priors="random", k=2)).pool.keys
    told = [tuple(alone.priors(r)) for r in alone.pool]
    assert {len(priors) for priors in told} == {2}
    assert len(set(told)) > 1
    assert alone.kinds == {"rollout": 10, "summary": 6}


def test_per_sample_gives_each_draft_winners_of_its_own_groups():
    best = ScriptedJudge(value=lambda candidate: candidate.rollout.answer)
    played = play(PDR((12, 4), distill="per-sample", k=3), judge=best)
    told = [tuple(sorted(played.priors(r))) for r in played.pool]
    assert all(len(priors) == 3 and "0.11" in priors for priors in told)
    assert len(set(told)) > 1
    assert played.kinds == {"rollout": 12 + 4, "summary": 12, "verdict": 3 * 4}
    [matches] = [stage.matches for stage in played.run.trace(played.pool) if stage.matches]
    assert [len(match.group) for match in matches] == [4] * 12


def test_per_sample_votes_on_a_group_once():
    played = play(PDR((2, 5), distill="per-sample", k=1))
    assert played.kinds["verdict"] == 1
    assert [len(r.priors) for r in played.pool] == [1] * 5


def test_drafts_without_an_output_win_no_group():
    async def mostly_silent(task, attempt):
        return Rollout(answer="0.00" if attempt.index == 1 or attempt.priors else None)

    for distill in ("shared", "per-sample"):
        played = play(PDR((4, 2), distill=distill, k=2), agent=ScriptedAgent(mostly_silent))
        assert [played.priors(r) for r in played.pool] == [["0.00"]] * 2
        assert played.kinds["verdict"] == 0


@pytest.mark.parametrize("distill", ["global", "shared", "per-sample", "random"])
def test_one_draft_a_round_is_sequential_refinement(distill):
    played = play(PDR((1, 1, 1), distill=distill))
    assert played.pool.keys == play(Sample(1), Refine(1), Refine(1)).pool.keys
    assert played.kinds == {"rollout": 3, "summary": 2}
    assert [played.priors(r) for r in played.pool] == [["1.00"]]


@pytest.mark.parametrize("distill", ["global", "shared", "per-sample", "random"])
def test_the_first_round_is_shared_with_other_strategies(distill):
    played = play(PDR((3, 2), distill=distill))
    assert set(play(Sample(3)).pool.keys) < set(played.run.uses)


def test_a_pool_counts_as_the_first_round():
    assert play(Sample(4), PDR((9, 2))).pool.keys == play(PDR((4, 2))).pool.keys
    given = play(PDR((9, 2)), pool=drawn(4))
    assert given.kinds == {"given": 4, "summary": 4, "distil": 1, "rollout": 2}
    assert len(play(PDR((9,)), pool=drawn(4)).pool) == 4


def test_k_at_least_the_drafts_takes_them_all():
    for distill in ("shared", "per-sample", "random"):
        played = play(PDR((2, 2), distill=distill, k=4))
        assert [sorted(played.priors(r)) for r in played.pool] == [["0.00", "0.01"]] * 2
        assert played.kinds["verdict"] == 0


# The distillation


def test_a_summarizer_that_cannot_distil_has_its_summaries_merged():
    played = play(PDR((3, 1)))
    [workspace] = [s for s in played.summaries.values() if s.sources]
    assert workspace.status == "finished"
    assert workspace.claims == ("draft 1: 0.00", "draft 2: 0.01", "draft 3: 0.02")


def drafts(*summaries):
    return [Candidate(Rollout(key=f"k{i}"), replace(s, key=f"s{i}")) for i, s in enumerate(summaries)]


def test_merging_keeps_equal_entries_once_and_evidence_apart_from_claims():
    seen = TestRun(3, "pytest", 0, passed=2)
    made = merged(
        drafts(
            Summary(claims=("it is 4", "done"), tests=(seen,), final_state="answered 4"),
            Summary(claims=("it is 5",), commands=(Command(1, "ls", 0, "a.py"),), final_state="answered 4"),
            Summary(claims=("it is 4",), tests=(seen,), covered=0.4),
        )
    )
    assert made.claims == ("drafts 1, 3: it is 4", "draft 1: done", "draft 2: it is 5")
    assert made.tests == (replace(seen, command="drafts 1, 3: pytest"),)
    assert made.commands == (Command(1, "draft 2: ls", 0, "a.py"),)
    assert made.final_state == "drafts 1, 2: answered 4"
    assert made.covered == pytest.approx(0.8)


def test_merging_is_bounded_and_says_what_it_left_out():
    long = [Summary(claims=(f"{i}" * 900, f"{i}" * 900, "x" * 5000), approach=("y" * 900,)) for i in range(8)]
    made = merged(drafts(*long), size=4000)
    assert len(made.render()) < 6000
    assert "characters cut]" in made.render()
    assert 0.05 < made.covered < 0.1
    many = merged(drafts(*(Summary(tests=(TestRun(1, "t" * 300, 1),) * 2) for _ in range(9))), size=900)
    assert many.final_state == "[9 more entries of the drafts' summaries do not fit]"
    assert many.covered == 0


def test_merging_tells_of_drafts_without_a_summary():
    failed = Summary(status="failed", covered=0.0, error="RuntimeError: no")
    assert (
        merged(drafts(failed, Summary(claims=("a",)))).final_state == "draft 1: no summary: RuntimeError: no"
    )


def test_a_distiller_that_fails_leaves_a_failed_workspace_with_the_summaries():
    played = play(PDR((3, 2)), summarizer=Distilling(error=RuntimeError("out of luck")))
    [workspace] = [s for s in played.summaries.values() if s.sources]
    assert (workspace.status, workspace.error) == ("failed", "RuntimeError: out of luck")
    assert workspace.claims == ("draft 1: 0.00", "draft 2: 0.01", "draft 3: 0.02")
    assert "This summary failed\n- RuntimeError: out of luck" in workspace.render()
    assert played.answers == ["1.00", "1.01"]


@pytest.mark.parametrize("error", [Infra("down"), ConnectionError("no network")])
def test_where_the_machine_fails_the_drafts_are_kept_and_the_run_is_unfinished(error):
    played = play(PDR((3, 2, 1)), summarizer=Distilling(error=error))
    assert played.answers == ["0.00", "0.01", "0.02"]
    assert played.pool.incomplete
    assert played.run.unfinished


@pytest.mark.parametrize("distill", ["shared", "per-sample"])
def test_where_no_judge_says_anything_chance_picks_k(distill):
    for judge in (FailingJudge(), ScriptedJudge(value=lambda candidate: None)):
        played = play(PDR((4, 2), distill=distill, k=2), judge=judge)
        assert [len(r.priors) for r in played.pool] == [2, 2]
        assert played.pool.keys == play(PDR((4, 2), distill=distill, k=2), judge=judge).pool.keys


# Budgets


def test_tokens_on_the_longest_path_are_counted():
    spending = play(PDR((4, 3, 2)), summarizer=Distilling()).run.spending
    # A draft of each round, a summary and a distillation between rounds.
    assert spending.critical_tokens == 10 + 1 + 5 + 20 + 1 + 5 + 30
    assert spending.usage.tokens == 4 * 10 + 4 + 5 + 3 * 20 + 3 + 5 + 2 * 30
    assert spending.summaries == 7 + 2


def test_votes_of_one_batch_stand_side_by_side_on_the_path():
    @dataclass(frozen=True)
    class Judge(ScriptedJudge):
        async def compare(self, task, shown, *, n=1):
            return [replace(v, usage=Usage(output_tokens=7)) for v in await super().compare(task, shown, n=n)]

    spending = play(Sample(2), RTV(votes=8), judge=Judge()).run.spending
    assert spending.critical_tokens == 10 + 7
    assert spending.usage.tokens == 2 * 10 + 8 * 7


@pytest.mark.parametrize(
    ("limit", "rounds"),
    # After the first round the path has 10 tokens and a draft took 10; after the second 36 and 20.
    [(1, 1), (19, 1), (20, 2), (55, 2), (56, 3), (None, 3)],
)
def test_no_round_starts_that_would_pass_the_sequential_budget(limit, rounds):
    played = play(PDR((4, 3, 2), sequential_tokens=limit), summarizer=Distilling())
    assert {r.iteration for r in played.pool} == {rounds - 1}
    assert not played.pool.incomplete
    assert not played.run.refusals


@pytest.mark.parametrize(
    ("limit", "rounds"),
    # 40 and three drafts of 10; 109 and two of 20.
    [(1, 1), (69, 1), (70, 2), (148, 2), (149, 3)],
)
def test_no_round_starts_that_would_pass_the_total_budget(limit, rounds):
    played = play(PDR((4, 3, 2), total_tokens=limit), summarizer=Distilling())
    assert {r.iteration for r in played.pool} == {rounds - 1}
    assert not played.pool.incomplete


def test_what_stages_before_it_took_counts_too():
    assert {r.iteration for r in play(Sample(4), PDR((4, 3), total_tokens=69)).pool} == {0}
    assert {r.iteration for r in play(Sample(4), PDR((4, 3), sequential_tokens=20)).pool} == {1}


def test_a_budget_of_the_strategy_that_ends_it_leaves_the_last_round_incomplete():
    priced = ScriptedAgent(draft, bound=Budget(usd=0.0, tokens=30, seconds=60.0, rollouts=1))
    played = play(PDR((4, 3, 2)), agent=priced, budget=Budget(rollouts=4))
    # Each round leaves a share of 15 % to those after it.
    assert 1 <= played.kinds["rollout"] <= 4
    assert played.run.refusals
    assert play(PDR((4, 3)), agent=priced, budget=Budget(rollouts=0)).pool == Pool(incomplete=True)


def test_the_ceiling_counts_every_round():
    strategy = Strategy("pdr", Pipeline(PDR((4, 3, 2))))

    async def main():
        async with opened() as ledger:
            return await ceiling([TASK], [strategy], strategy_run(ledger).cast)

    found = anyio.run(main)
    assert (found.rollouts, found.summaries, found.verdicts) == (9, 7 + 2, 0)


# Resume and determinism


@pytest.mark.parametrize("distill", ["global", "shared", "per-sample", "random"])
def test_a_second_run_performs_nothing(tmp_path, distill):
    stage = PDR((4, 3, 2), distill=distill, k=2, sequential_tokens=10_000)
    first = play(stage, summarizer=Distilling(), folder=tmp_path)

    async def refuse(task, attempt):
        raise AssertionError("it was performed again")

    again = play(
        stage,
        agent=ScriptedAgent(refuse),
        summarizer=Distilling(error=AssertionError("it was distilled again")),
        judge=FailingJudge(AssertionError("it was judged again"), fingerprint="scripted"),
        folder=tmp_path,
    )
    assert again.pool == first.pool
    assert again.kinds == first.kinds
    assert again.run.spending == first.run.spending


@pytest.mark.parametrize("distill", ["shared", "per-sample", "random"])
def test_lots_go_by_the_seed(distill):
    stage = PDR((8, 3), distill=distill, k=2)
    told = [
        {tuple(p.priors(r)) for r in p.pool}
        for p in (play(stage, seed=0), play(stage, seed=0), play(stage, seed=1))
    ]
    assert told[0] == told[1] != told[2]


# Names, roles, readers


def test_its_text_parses_back():
    for stage in (
        PDR(),
        PDR((1,)),
        PDR((5, 2), "per-sample", k=2, votes=3, sequential_tokens=9, total_tokens=99),
    ):
        assert resolve(label(stage)).run.stages == (stage,)
    assert resolve("pdr(rounds=(16,8,4), distill=shared)").run.stages == (PDR(distill="shared"),)
    assert resolve("pdr(rounds=[4, 2])").run.stages == (PDR((4, 2)),)
    assert resolve("pdr-short@8").run.stages == (PDR((8, 4, 2)), Vote())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pdr(rounds=())", "whole numbers >= 1, as in (16, 8, 4), not ()"),
        ("pdr(rounds=(4, 0))", "not (4, 0)"),
        ("pdr(rounds=(4, 2.5))", "not (4, 2.5)"),
        ("pdr(rounds=8)", "not 8"),
        ("pdr(rounds=(True,))", "not (True,)"),
        ("pdr(distill=all)", "'global' or 'shared' or 'per-sample' or 'random', not 'all'"),
        ("pdr(k=0)", "k >= 1 and votes >= 1, not k=0"),
        ("pdr(votes=0)", "votes=0"),
        ("pdr(sequential_tokens=0)", "sequential_tokens of 1 or more, or None, not 0"),
        ("pdr(total_tokens=-1)", "total_tokens of 1 or more, or None, not -1"),
    ],
)
def test_bad_parameters_get_one_line(text, wanted):
    with pytest.raises(StrategyError) as caught:
        resolve(text)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_distiller_is_refused_in_python_too():
    with pytest.raises(UsageError, match="distill is 'global', 'shared', 'per-sample' or 'random'"):
        PDR(distill="best")


def test_only_those_that_pick_need_a_judge():
    assert needs(PDR()) == needs(PDR(distill="random")) == {"agent", "summarizer"}
    assert (
        needs(PDR(distill="shared")) == needs(PDR(distill="per-sample")) == {"agent", "summarizer", "judge"}
    )
    assert needs(PDR((16,), distill="shared")) == {"agent"}


def test_an_effect_of_any_kind_needs_somebody_to_play_its_role():
    async def main():
        async with opened() as ledger:
            run = strategy_run(ledger)
            run.cast = replace(run.cast, judge=None)
            effect = run.scope().effect("debate", Summary, by="summarizer", inputs=["a", "b"], occurrence=2)
            assert (effect.performer, effect.bound, effect.inputs) == ("scripted", FREE, ("a", "b"))
            for nobody in ("judge", "critic"):
                with pytest.raises(UsageError, match=f"needs a {nobody}, and none was given"):
                    run.scope().effect("debate", Summary, by=nobody)

    anyio.run(main)


def test_the_lineage_leads_back_to_the_first_round():
    played = play(PDR((3, 2, 1)))
    graph = lineage(
        Choice(
            task_id=TASK.id,
            strategy="pdr",
            text="pdr()",
            winner=played.pool.keys[0],
            used=tuple(played.rollouts),
            stages=played.run.trace(played.pool),
        ),
        played.rollouts,
    )
    assert sum(1 for *_, data in graph.edges(data=True) if data["kind"] == "prior") == 3 * 2 + 2 * 1


def test_a_replay_has_one_round_and_says_what_is_missing_for_more():
    pool = [{"task_id": "t", "sample": i, "answer": "a", "correct": True} for i in range(4)]
    assert replay(pool, [Pipeline(PDR((3,)))]).strategies[0].accuracy == 1
    with pytest.raises(UsageError, match="effects of kind 'distil' are not recorded"):
        replay(pool, [Pipeline(PDR((3, 1)))])
    with pytest.raises(UsageError, match="tokens on the longest path are not recorded"):
        replay(pool, [Pipeline(PDR((3, 1), sequential_tokens=9))])


def test_a_stored_spending_without_path_tokens_still_reads():
    from tts.records import decode

    assert decode(b'{"rollouts": 2, "critical_seconds": 1.5}', Spending).critical_tokens == 0
    assert decode(b'{"rollout": "k"}', Summary).sources == ()
