"""Selection, simulated: what the arena buys for its votes, beside the published tournament.

    python -m benchmarks.selection [--quick] [--json]

Plays the frozen simulator on 50,000 tasks a calibration (quick: 5,000), prints accuracy, cost in judge calls,
prompts and rounds, and paired 95 % intervals of the difference to RTV at exactly 120 votes. All of it is
simulated; a sample goes through the real stages and the real scope.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tts_strategies.arena import Arena
from tts_strategies.rtv import RTV

from benchmarks.goals import Figure, report
from benchmarks.selection import paper, real
from benchmarks.selection.arms import Arm, Outcome, by_tests, evidence, interval, measured, noise
from benchmarks.selection.curves import CACHED, WHOLE
from benchmarks.selection.refined import PASSES, Plan, piped
from benchmarks.selection.world import CALIBRATIONS, Tasks, World, passes

BASE = "rtv, 120 votes"
SMALL = {"pair-only": 60}
"""The votes of the small budget, 40 elsewhere."""


def arms(calibration: str) -> dict[str, Arm]:
    """Return what is played on a calibration."""
    small = replace(WHOLE, votes=SMALL.get(calibration, 40))
    found = {
        BASE: Arm(RTV(tie_rounds=0)),
        "rtv, ties asked again": Arm(RTV()),
        f"arena, {small.votes} votes": Arm(small),
        "arena, 120 votes": Arm(replace(WHOLE, votes=120)),
        "arena, as it is by default": Arm(Arena()),
        "arena, 30 prompts of 4 votes": Arm(replace(WHOLE, votes=120, each=4)),
        "arena, 4 rounds of 10 votes": Arm(replace(WHOLE, wave=10)),
        "arena, 4 rounds of 30 votes": Arm(replace(WHOLE, votes=120, wave=30)),
    }
    if calibration == "SWE-like":
        found |= {
            "arena, 40 votes and evidence": Arm(replace(WHOLE, votes=40), evidence),
            "arena, 40 votes and noise": Arm(replace(WHOLE, votes=40), noise),
        }
    return found


def shown(calibration: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the arms as a table."""
    costs = "accuracy  calls  prompts  cached  rounds"
    head = f"{calibration + ' (simulated)':<32}{costs}  difference to RTV, points"
    lines = [head]
    for name, one in outcomes.items():
        mean, low, high = (100 * x for x in interval(one.right - outcomes[BASE].right))
        cached = one.prompts + CACHED * (one.votes - one.prompts)
        cost = [one.votes.mean(), one.prompts.mean(), cached.mean(), one.rounds.mean()]
        spent = "".join(f"{x:>8.1f}" for x in cost)
        lines.append(
            f"  {name:<30}{100 * one.right.mean():>7.2f} {spent}   {mean:+.2f} ({low:+.2f} to {high:+.2f})"
        )
    return "\n".join(lines)


def goals(calibration: str, outcomes: Mapping[str, Outcome]) -> list[Figure]:
    """Return the lower bounds that the arena is held to, in points."""

    def low(name: str, against: str) -> float:
        return 100 * interval(outcomes[name].right - outcomes[against].right)[1]

    small = f"arena, {SMALL.get(calibration, 40)} votes"
    figures = [
        Figure(f"{calibration}: arena above rtv, 120 votes", low("arena, 120 votes", BASE), 0.0, kind="least")
    ]
    if calibration != "independent":
        figures.append(
            Figure(f"{calibration}: {small} against rtv, 120", low(small, BASE), -0.5, kind="least")
        )
    if calibration == "SWE-like":
        told, dull = "arena, 40 votes and evidence", "arena, 40 votes and noise"
        figures += [
            Figure("SWE-like: evidence above rtv, 120", low(told, BASE), 5.0, kind="least"),
            Figure("SWE-like: noise against votes alone", low(dull, small), -1.0, kind="least"),
        ]
    return figures


def real_path(calibration: str, tasks: int) -> tuple[str, float]:
    """Return a line on the real path beside the fast one, and the share of equal choices of the arena."""
    world = World(CALIBRATIONS[calibration], Tasks.mixed(tasks, 9).right, 9)
    stage = Arena()
    fast = Arm(stage).play(world.fresh(), 9)
    picks, votes = real.choices(world, stage)
    same = float((picks == fast.choice).mean())
    tournament, cast = real.choices(world, RTV())
    difference = interval(world.picked(tournament) - world.picked(Arm(RTV()).play(world.fresh(), 9).choice))
    right = world.picked(tournament).mean()
    text = (
        f"real scope, {calibration}, {tasks} tasks: arena picks the same in {same:.1%}, "
        f"for {votes.mean():.1f} votes (fast {fast.votes.mean():.1f}); rtv, whose draws differ, "
        f"is right in {right:.3f} for {cast.mean():.1f} votes, {100 * difference[0]:+.1f} points "
        f"from the fast path ({100 * difference[1]:+.1f} to {100 * difference[2]:+.1f})"
    )
    told = passes(world.right, 9, noise=False)
    tested, _ = real.choices(world, replace(stage, tests="own"), told=told)
    same_tested = float((tested == Arm(stage, by_tests).play(world.fresh(), 9).choice).mean())
    return f"{text}; with each candidate's tests arena picks the same in {same_tested:.1%}", min(
        same, same_tested
    )


def pipelines(tasks: int) -> str:
    """Return the whole pipelines at 32 rollouts, beside pdr-rtv."""
    whole = replace(WHOLE, wave=4)
    plans = {
        "pdr-rtv": Plan(RTV(keep=4), RTV()),
        "arena, defaults": Plan(Arena(keep=4), Arena()),
        "arena, 40 + 40 votes": Plan(replace(whole, keep=4), whole),
        "arena, 96 + 120 votes": Plan(replace(whole, keep=4, votes=96), replace(whole, votes=120)),
        "arena, final pools both": Plan(replace(whole, keep=4), whole, pooled=True),
        "arena, 4 of 16 without priors": Plan(replace(whole, keep=4), whole, fresh=4),
    }
    lines: list[str] = []
    for calibration in PASSES:
        found = piped(calibration, plans, tasks)
        head = f"{calibration} with refinement (simulated), 32 rollouts each"
        table = shown(calibration, {BASE: found["pdr-rtv"], **found}).splitlines()
        lines += [head, table[0].replace("RTV", "pdr-rtv"), *table[2:]]
    return "\n".join(lines)


def main(flags: Sequence[str]) -> int:
    """Print everything; return 1 unless the goals are met."""
    quick, as_json = "--quick" in flags, "--json" in flags
    out = sys.stderr if as_json else sys.stdout
    figures: list[Figure] = []
    for calibration in CALIBRATIONS:
        outcomes = measured(calibration, arms(calibration), 5_000 if quick else 50_000)
        print(shown(calibration, outcomes), flush=True, file=out)
        figures += goals(calibration, outcomes)
    print(pipelines(2_500 if quick else 20_000), flush=True, file=out)
    print(paper.report(), flush=True, file=out)
    text, same = real_path("SWE-like", 40 if quick else 300)
    print(text, flush=True, file=out)
    figures.append(Figure("real scope: same choices as the fast path", same, 0.99, kind="least"))
    return report("selection", figures, as_json=as_json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
