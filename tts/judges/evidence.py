"""A judge without a model: it compares captured evidence, criterion by criterion, and never reads claims."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from tts.diffs import FileDiff, parse_patch
from tts.summarizers.runs import Selection, passing, same_tests, selection
from tts.types import FREE, Budget, Candidate, Rollout, Task, TestRun, Verdict

Value = tuple[float, ...]
"""What a criterion says of a candidate; the larger, the better."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the criteria read of one candidate.

    `runs` are all captured test runs, `current` the last run of each test command after the last known
    edit; `issue` are the ids of the issue's own tests where the task names them, else none.
    """

    rollout: Rollout
    files: tuple[FileDiff, ...]
    runs: tuple[TestRun, ...]
    current: tuple[TestRun, ...]
    issue: tuple[str, ...]
    unresolved: int


def evidence_of(task: Task, candidate: Candidate) -> Evidence:
    """Return a candidate's evidence: its patch and what its summary holds as captured."""
    summary = candidate.summary
    last = {same_tests(run.command): run for run in summary.tests if run.step >= summary.last_edit}
    named: object = task.metadata.get("visible")
    listed = isinstance(named, (list, tuple))
    return Evidence(
        rollout=candidate.rollout,
        files=tuple(parse_patch(candidate.rollout.patch or "")),
        runs=summary.tests,
        current=tuple(last.values()),
        issue=tuple(str(test) for test in cast("Sequence[object]", named)) if listed else (),
        unresolved=sum(not problem.resolved for problem in summary.errors),
    )


def qualified(seen: Evidence) -> Value:
    """1; 0 without output, without a patch after a failure or limit, or if only tests change or tests go."""
    rollout = seen.rollout
    blank = not (rollout.output or "").strip()
    broken = rollout.status != "finished" and not (rollout.patch or (rollout.patch is None and not blank))
    only_tests = bool(seen.files) and all(is_test_file(file.path) for file in seen.files)
    return (float(not (blank or broken or only_tests or any(map(_deletes_tests, seen.files)))),)


def correct(seen: Evidence) -> Value:
    """3 when the issue's tests pass and no test fails, 2 when another fails, 1 unknown, 0 when they fail."""
    fails = any(not passing(run) for run in seen.current)
    if _issue_passes(seen):
        return (2.0 if fails else 3.0,)
    return (0.0 if fails else 1.0,)


def complete(seen: Evidence) -> Value:
    """The share of the captured tests that pass, 0 to 1; then 1 where the whole suite was run."""
    widest = max(seen.current, key=_counted, default=None)
    whole = any((picked := selection(r.command)) and picked.whole for r in seen.current)
    if widest is None:
        return (0.0, 0.0)
    n = _counted(widest)
    share = (widest.passed or 0) / n if n else float(passing(widest))
    return (share, float(whole))


def validly_verified(seen: Evidence) -> Value:
    """1 where tests ran after the last edit; then 1 where tests that failed before pass now."""
    turned = any(passing(now) and _failed_before(seen.runs, now) for now in seen.current)
    return (float(bool(seen.current)), float(turned))


def test_results(seen: Evidence) -> Value:
    """The tests that pass in the widest captured run; then the fewest that fail."""
    passed = max((run.passed or 0 for run in seen.current), default=0)
    return (float(passed), -float(max((run.failed or 0 for run in seen.current), default=0)))


def narrow(seen: Evidence) -> Value:
    """1 where no test file is touched; then the fewest files, then the fewest lines changed."""
    lines = sum(len(h.marked("+")) + len(h.marked("-")) for f in seen.files for h in f.hunks)
    clean = not any(is_test_file(file.path) for file in seen.files)
    return (float(clean), -float(len(seen.files)), -float(lines))


def ran_cleanly(seen: Evidence) -> Value:
    """The fewest captured errors that no later success resolved."""
    return (-float(seen.unresolved),)


CRITERIA: tuple[tuple[str, Callable[[Evidence], Value]], ...] = (
    ("disqualification", qualified),
    ("correctness", correct),
    ("completeness", complete),
    ("validity of the verification", validly_verified),
    ("test results", test_results),
    ("scope of the fix", narrow),
    ("execution evidence", ran_cleanly),
)
"""The order of arXiv 2604.16529's judge prompts (METHODS): the first that tells candidates apart decides."""


@dataclass(frozen=True, slots=True)
class EvidenceJudge:
    """Prefers the candidate with the better captured evidence, at no cost; abstains where it is equal.

    The criteria are compared in the order of `CRITERIA`. Claims, length and wording count for nothing,
    and neither does the order shown.
    """

    bound: ClassVar[Budget] = FREE
    fingerprint: ClassVar[str] = "evidence/1"

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        """Return `n` equal verdicts; the reason names the criterion that decided, and its values."""
        preferred, reason = _decide([evidence_of(task, candidate) for candidate in shown])
        keys = tuple(candidate.rollout.key for candidate in shown)
        return [Verdict(shown=keys, preferred=preferred, reason=reason)] * n


def _decide(candidates: Sequence[Evidence]) -> tuple[str | None, str]:
    left = list(candidates)
    for name, criterion in CRITERIA:
        values = [criterion(seen) for seen in left]
        kept = [seen for seen, value in zip(left, values, strict=True) if value == max(values)]
        if len(kept) == 1 and len(left) > 1:
            said = sorted(f"{s.rollout.key}: {_text(v)}" for s, v in zip(left, values, strict=True))
            return kept[0].rollout.key, f"{name} ({'; '.join(said)})"
        left = kept
    if len(candidates) == 1:
        return candidates[0].rollout.key, "the only candidate"
    return None, f"the captured evidence of {len(left)} candidates is equal"


def _text(value: Value) -> str:
    return ", ".join(f"{part:g}" for part in value)


_TEST_FILE = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__)/|(?:^|/)(?:test_[^/]*|[^/]*_test\.\w+|conftest\.py)$"
)
_TEST_NAME = re.compile(r"\s*(?:async\s+)?def\s+(test\w*)")


def is_test_file(path: str) -> bool:
    """Return whether the path is a test's, by its folder or name."""
    return bool(_TEST_FILE.search(path) or re.search(r"\.(?:test|spec)\.\w+$", path))


def _deletes_tests(file: FileDiff) -> bool:
    if not is_test_file(file.path):
        return False
    gone, there = (
        {match[1] for h in file.hunks for text in h.marked(mark) if (match := _TEST_NAME.match(text))}
        for mark in "-+"
    )
    return file.deleted or bool(gone - there)


def _issue_passes(seen: Evidence) -> bool:
    """Whether the last run of the issue's tests passes, alone or within a wider run."""
    if not seen.issue:
        return bool(seen.current) and passing(max(seen.current, key=lambda run: run.step))
    picked = ((run, selection(run.command)) for run in seen.current)
    return any(passing(run) and _covers(chosen, seen.issue) for run, chosen in picked)


def _covers(chosen: Selection | None, ids: Sequence[str]) -> bool:
    return chosen is not None and chosen.covers(ids)


def _failed_before(runs: Sequence[TestRun], now: TestRun) -> bool:
    same = same_tests(now.command)
    return any(r.step < now.step and not passing(r) and same_tests(r.command) == same for r in runs)


def _counted(run: TestRun) -> int:
    return (run.passed or 0) + (run.failed or 0)
