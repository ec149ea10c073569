"""The methods of the catalogue on recorded data, beside figures that were computed apart from this project.

The data are read from the folder that TTS_DATA names, as in `benchmarks.recorded`.  CodeT's selection and the
PandaLM verdicts are counted exactly; PandaLM also goes through the stage RTV in a replay, and adaptive
consistency and ESC through their own stages.  What has no goal is printed beneath.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from tts_strategies.codet import Consensus, codet

from benchmarks.goals import Figure, document, report
from benchmarks.recorded import GAME24_FILE, MATH_FILE, Record, contest, game24, rows
from tts.replay import replay

CODET_FILE = "codet_humaneval_codegen16b/samples.jsonl"
PANDALM_FILE = "pandalm/pairs.jsonl"
GYM_FILE = "reasoning_gym_eval/zero_shot_easy.jsonl"
FILES = (CODET_FILE, PANDALM_FILE, GYM_FILE, MATH_FILE, GAME24_FILE)
FOURTH = 0.00005
"""Half a unit of the fourth digit."""

CODET = {"distinct tests": 0.3735, "tests by how often": 0.3710}
CODET_PARTS = {"largest group": 0.268, "most tests passed": 0.2075, "mean": 0.2213}
PANDALM = {"gpt35": (0.698, 0.7992), "pandalm7b": (0.668, 0.7522)}
"""By judge: agreement with the human majority, and how often a tournament of two picks its choice."""
GAME24 = {"with non-answers": 0.08, "without non-answers": 0.09}
"""Majority of 100; the second is the published figure."""
MATH_STRATEGIES = (
    "vote@50",
    "vote@40",
    "adaptive(cap=40) | vote()",
    "esc(window=5, cap=40) | vote()",
    "vote@9",
    "short-1@9",
    "short-3@9",
)
GYM_STRATEGIES = ("vote@3", "adaptive(cap=3) | vote()", "esc(window=2, cap=3) | vote()", "short-1@3")
EXPRESSION = re.compile(r"[0-9+\-*/(). ]+")


# CodeT


def top_one(groups: Sequence[Consensus], worth: Callable[[Consensus], float], right: Sequence[bool]) -> float:
    """Return the share of right solutions in the group of the largest worth, the mean over equal ones."""
    best = max(map(worth, groups))
    shares = [fmean(right[i] for i in g.solutions) for g in groups if worth(g) >= best - 1e-9]
    return fmean(shares)


def codet_shares(row: Record) -> dict[str, float]:
    """Return what each way to select comes to on one problem."""
    passes = [[int(bit) for bit in sample["passes"]] for sample in row["samples"]]
    right = [bool(sample["correct"]) for sample in row["samples"]]
    often = [float(times) for _, times in row["gen_tests"]]
    groups = codet(passes)
    return {
        "distinct tests": top_one(groups, lambda g: g.score, right),
        "tests by how often": top_one(codet(passes, often), lambda g: g.score, right),
        "largest group": top_one(groups, lambda g: len(g.solutions), right),
        "most tests passed": top_one(groups, lambda g: len(g.tests), right),
        "mean": fmean(right),
    }


def codet_figures(data: Path) -> list[Figure]:
    """Return CodeT's selection on the recorded HumanEval samples."""
    found = [codet_shares(row) for row in rows(data / CODET_FILE)]
    goals = {name: (goal, FOURTH) for name, goal in CODET.items()}
    goals |= {
        name: (goal, 0.0005 if name == "largest group" else FOURTH) for name, goal in CODET_PARTS.items()
    }
    return [
        Figure(f"CodeT {name}", fmean(one[name] for one in found), goal, tolerance)
        for name, (goal, tolerance) in goals.items()
    ]


# PandaLM


def agreement(pairs: Sequence[Record], judge: str) -> tuple[float, float]:
    """Return how often a judge says what the human majority says, ties included, and a tournament's choice.

    The second is the share of the pairs in which the majority prefers one whose preferred one wins; a tie or
    an unread verdict counts one half.
    """
    decided = [pair for pair in pairs if pair["human_majority"]]
    won = [pair[judge] == pair["human_majority"] if pair[judge] else 0.5 for pair in decided]
    return fmean(pair[judge] == pair["human_majority"] for pair in pairs), fmean(won)


def tournament(pairs: Sequence[Record], judge: str, draws: int) -> tuple[float, float]:
    """Return how often the stage RTV picks the human majority's choice in a replay, and four standard errors.

    The samples of a task are the two responses, by name; the recorded verdict is the only vote, so that a tie
    or an unread one is decided by lot.
    """
    decided = [pair for pair in pairs if pair["human_majority"]]
    samples = (
        {
            "task_id": f"pair-{p['idx']}",
            "sample": i,
            "answer": f"response {i}",
            "correct": i == p["human_majority"],
        }
        for p in decided
        for i in (1, 2)
    )
    verdicts = (
        {"task_id": f"pair-{p['idx']}", "shown": [1, 2], "preferred": p[judge] or None, "judge": judge}
        for p in decided
    )
    strategy = "sample(2) | rtv(votes=1, tie_rounds=0, merge=None)"
    (found,) = replay(samples, [strategy], verdicts=verdicts, draws=draws).strategies
    return found.accuracy or 0.0, 4 * (found.mc_se or 0.0)


def pandalm_figures(data: Path, draws: int) -> list[Figure]:
    """Return the judges' agreement with the annotators, and what tournaments of two come to."""
    pairs = list(rows(data / PANDALM_FILE))
    found: list[Figure] = []
    for judge, (agree, choice) in PANDALM.items():
        said, won = agreement(pairs, judge)
        played, error = tournament(pairs, judge, draws)
        found += [
            Figure(f"PandaLM {judge} agrees with the majority", said, agree, 0.0005),
            Figure(f"PandaLM {judge} tournament of two, counted", won, choice, FOURTH),
            Figure(f"PandaLM {judge} tournament of two, RTV replayed", played, choice, error + FOURTH),
        ]
    return found


# Game of 24


def game24_figures(data: Path) -> list[Figure]:
    """Return the majority of 100 chains of thought: what is no expression votes, or abstains."""
    pool = list(game24(data / GAME24_FILE, method="cot"))
    answering = [row | {"answer": _expression(row["answer"])} for row in pool]
    pools = dict(zip(GAME24, (pool, answering), strict=True))
    return [
        Figure(f"Game of 24 cot vote@100 {name}", _accuracy(pools[name], "vote@100"), goal, FOURTH)
        for name, goal in GAME24.items()
    ]


def _expression(answer: str | None) -> str | None:
    return answer if answer and EXPRESSION.fullmatch(answer) else None


def _accuracy(pool: Sequence[Record], strategy: str) -> float | None:
    return replay(pool, [strategy]).strategies[0].accuracy


# Stopping early


def gym(path: Path, *, models: int) -> Iterator[Record]:
    """Yield the three samples of each question and model, of the first so many models of each question.

    Left out is what no vote can decide: a question of which a model's samples score, but bear no answer.
    """
    for row in rows(path):
        for model, samples in list(row["samples"].items())[:models]:
            if any(score for _, score, _ in samples) and not any(answer for answer, _, _ in samples):
                continue
            task = f"{model}/{row['dataset']}/{row['idx']}"
            for i, (answer, score, chars) in enumerate(samples):
                yield {"task_id": task, "sample": i, "answer": answer, "correct": score, "length": chars}


def printed(data: Path, *, draws: int, models: int) -> list[tuple[str, float, float]]:
    """Return strategies with their samples and accuracy on the reasoning-gym sets, which have no goals."""
    found = _replayed("AIME24", contest(data / MATH_FILE, "aime24"), MATH_STRATEGIES, draws)
    found += _replayed("AMC23", contest(data / MATH_FILE), MATH_STRATEGIES, draws)
    return found + _replayed("zero-shot", gym(data / GYM_FILE, models=models), GYM_STRATEGIES, 2)


def _replayed(
    name: str, pool: Iterator[Record], strategies: Sequence[str], draws: int
) -> list[tuple[str, float, float]]:
    results = replay(pool, strategies, draws=draws).strategies
    return [(f"{name} {r.name}", r.cost.calls or 0.0, r.accuracy or 0.0) for r in results]


# All of it


def measured(data: Path, *, draws: int = 50) -> list[Figure]:
    """Return the figures that have goals; `draws` are the replays of each tournament."""
    return [*codet_figures(data), *pandalm_figures(data, draws), *game24_figures(data)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 0, 1 where a goal is missed, 2 where the data are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer draws and models: some seconds")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    folder = os.environ.get("TTS_DATA", "")
    missing = [f for f in FILES if not (Path(folder) / f).is_file()]
    if not folder or missing:
        said = f"the folder of TTS_DATA has no {', '.join(missing)}" if folder else "TTS_DATA is not set"
        print(f"{said}; let it name the folder of the recorded data sets", file=sys.stderr)
        return 2
    figures = measured(Path(folder), draws=20 if options.quick else 50)
    shown = printed(Path(folder), draws=10 if options.quick else 25, models=1 if options.quick else 9)
    if options.json:
        rest = [{"name": name, "samples": n, "accuracy": accuracy} for name, n, accuracy in shown]
        print(json.dumps(document("catalogue", figures) | {"printed": rest}, ensure_ascii=False))
        return int(not all(figure.met for figure in figures))
    code = report("catalogue", figures)
    print("\nwithout goals: samples a task, accuracy")
    for name, n, accuracy in shown:
        print(f"{name:<42}  {n:6.2f}  {accuracy:.4f}")
    return code


if __name__ == "__main__":
    sys.exit(main())
