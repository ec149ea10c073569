from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tts.comparison import Measured, compare
from tts.errors import UsageError
from tts.experiment import Experiment
from tts.graders import ExpectedAnswer
from tts.protocols import Attempt
from tts.report import text
from tts.report.bracket import bracket, drawn, rounds
from tts.report.facts import Bill, Extra, Report, find_task, report_of_run
from tts.report.json import document
from tts.report.markdown import escaped, markdown
from tts.report.sentences import reading
from tts.report.story import story_view
from tts.report.tables import gap_recovered
from tts.report.task import story_of
from tts.report.terminal import report_view, task_list_view
from tts.run import Run
from tts.samples import Cost
from tts.store import Store
from tts.testing import ScriptedAgent, ScriptedJudge, ScriptedSummarizer
from tts.trace import Match, StageTrace
from tts.types import Budget, Rollout, Step, Task

TASKS = [f"t{i}" for i in range(8)]
CLUSTERS = dict.fromkeys(TASKS, "")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe [red]bold[/red] | `x` \x9b31m"


def plain(view: RenderableType, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, markup=False, highlight=False).print(view)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def measured(name: str, values: Sequence[float], *, oracle: bool = False) -> Measured:
    by_task = dict(zip(TASKS, values, strict=True))
    costs = (
        {}
        if oracle
        else dict.fromkeys(TASKS, Cost(calls=3, input_tokens=1200, usd=0.25, critical_seconds=90))
    )
    return Measured(name, by_task, costs, oracle=oracle)


def extra(n_resolved: int, *, n_incomplete: int = 0, reasons: tuple[str, ...] = ()) -> Extra:
    return Extra(8, 6.0, 2.5, 20.0, n_incomplete, n_resolved, 8, reasons)


def small_report(second: str = "rtv@6") -> Report:
    comparison = compare(
        [
            measured("single", [0, 0, 0, 0, 0, 0, 1, 1]),
            measured(second, [1, 1, 1, 0, 0, 1, 1, 1]),
            measured("pass@6", [1, 1, 1, 1, 0, 1, 1, 1], oracle=True),
        ],
        CLUSTERS,
    )
    counts = {"finished": 40, "failed": 0, "limit": 6, "cancelled": 2, "infra": 0, "started": 0}
    bill = Bill(counts, 20, 160, 30, 4.5, 61_000, 721.0)
    extras = {"single": extra(2), second: extra(6, n_incomplete=1, reasons=("the run's budget is spent",))}
    return Report(comparison, extras, bill, n_tasks=8)


GOLDEN_MARKDOWN = """\
**Accuracy, 8 tasks**

| strategy | resolved % | 95 % interval | − single | 95 % interval | p | recovered |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| single | 25.0 ± 16.4 | 7.1 to 59.1 |  |  |  |  |
| rtv@6 | 75.0 ± 16.4 | 40.9 to 92.9 | +50.0 | 1.3 to 78.5 | 0.033 | 80 % |
| pass@6 (oracle) | 87.5 ± 12.5 | 52.9 to 97.8 |  |  |  |  |

**Cost per task, each strategy as if alone**

| strategy | rollouts | summaries | votes | calls | input tokens | dollars | critical path | incomplete |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| single | 6 | 2.5 | 20 | 3 | 1,200 | $0.25 | 90 s |  |
| rtv@6 | 6 | 2.5 | 20 | 3 | 1,200 | $0.25 | 90 s | 1/8 |

±: standard error over tasks. −: paired, in points; p: of the difference, Holm-adjusted. \
recovered: share of the gap from single to pass@6.

rtv@6 is 50.0 points above single (95 % interval 1.3 to 78.5).

The run's bill, each payment once: 48 rollouts (40 finished, 6 limit, 2 cancelled), 20 summaries, \
160 votes, 30 grades, 61,000 tokens, $4.50, 12.0 min of work.

Incomplete choices: 1 of 16: the run's budget is spent.
"""


def test_the_markdown_of_a_small_report() -> None:
    assert markdown(small_report()) == GOLDEN_MARKDOWN


def test_the_terminal_shows_the_same_figures_and_sets_the_oracle_apart() -> None:
    lines = plain(report_view(small_report())).splitlines()
    assert max(map(len, lines)) <= 100
    (row,) = [line for line in lines if line.startswith(" rtv@6") and "±" in line]
    assert row.split() == [
        "rtv@6",
        "75.0",
        "±",
        "16.4",
        "40.9",
        "to",
        "92.9",
        "+50.0",
        "1.3",
        "to",
        "78.5",
        "0.033",
        "80",
        "%",
    ]
    oracle = next(i for i, line in enumerate(lines) if "pass@6 (oracle)" in line)
    assert lines[oracle - 1] == ""


def test_the_json_document_has_extras_and_the_bill() -> None:
    found = document(small_report())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["strategies"][1]["incomplete"] == 1
    assert found["strategies"][1]["rollouts"] == 6
    assert "rollouts" not in found["strategies"][2]
    assert found["bill"]["rollouts"]["cancelled"] == 2


def test_a_difference_within_the_error_is_not_called_one() -> None:
    found = compare(
        [measured("single", [0, 1] * 4), measured("vote@3", [1, 0, 0, 1, 0, 1, 1, 1])],
        CLUSTERS,
    )
    assert reading(Report(found, n_tasks=8)) == ["No strategy differs from single beyond its error."]


def test_a_difference_that_many_comparisons_explain_is_said_with_that_reservation() -> None:
    values = [1, 1, 1, 0, 0, 1, 1, 1]
    others = [measured(f"other-{i}", [0, 0, 0, 0, 0, 0, 1, 1]) for i in range(4)]
    found = compare(
        [measured("single", [0, 0, 0, 0, 0, 0, 1, 1]), measured("rtv@6", values), *others],
        CLUSTERS,
    )
    (first, *_) = reading(Report(found, n_tasks=8))
    assert "above single (95 % interval 1.3 to 78.5), but not once all comparisons" in first


def test_a_strategy_below_the_baseline_is_said_to_be_below() -> None:
    found = compare([measured("a", [1] * 6 + [0, 0]), measured("b", [0] * 8)], CLUSTERS)
    assert reading(Report(found, n_tasks=8)) == ["b is 75.0 points below a (95 % interval 18.2 to 92.9)."]


def test_one_task_gives_no_error_and_so_no_claim() -> None:
    found = compare([Measured("a", {"t": 0.0}), Measured("b", {"t": 1.0})], {"t": ""})
    assert reading(Report(found, n_tasks=1)) == ["Too few tasks for an error of the difference from a: b."]


def test_an_oracle_is_neither_baseline_nor_compared_aloud() -> None:
    found = compare(
        [measured("pass@2", [1] * 8, oracle=True), measured("single", [0] * 8), measured("vote@2", [0] * 8)],
        CLUSTERS,
    )
    report = Report(found, n_tasks=8)
    assert report.baseline is not None
    assert report.baseline.name == "single"
    assert not any("pass@2" in sentence for sentence in reading(report))
    assert gap_recovered(report, "vote@2") == (0.0, "pass@2")


def test_figures_are_written_in_one_way() -> None:
    assert [text.usd(x) for x in (None, 0, 0.0123, 1234.5)] == ["?", "$0.00", "$0.0123", "$1,234.50"]
    assert [text.seconds(x) for x in (None, 0.5, 42, 600, 9000)] == [
        "–",
        "0.50 s",
        "42 s",
        "10.0 min",
        "2.5 h",
    ]
    assert [text.count(x) for x in (None, 6.0, 5.25, 12345)] == ["–", "6", "5.2", "12,345"]
    assert [text.p_value(x) for x in (None, 0.0001, 0.0432)] == ["–", "<0.001", "0.043"]
    assert [text.points(x) for x in (0.0, -0.0, -0.1)] == ["+0.0", "+0.0", "-10.0"]


UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_nothing_that_a_terminal_obeys_comes_through(given_text: str) -> None:
    assert not UNSAFE.search(text.clean(given_text))
    assert "\n" not in text.line(given_text)
    text.clean(given_text).encode("utf-8")


def test_markdown_cells_cannot_leave_their_cell() -> None:
    assert escaped("a|b\n# <b>`x`") == r"a\|b \# \<b\>\`x\`"
    table_rows = [line for line in markdown(small_report("x | y\n| z")).splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table_rows[:5]}
    assert bars == {8}


def test_a_tournament_is_read_into_rounds_and_drawn() -> None:
    stage = StageTrace(
        "rtv()",
        given=("a", "b", "c", "d", "e"),
        matches=(
            Match(("a", "b"), (4, 4)),
            Match(("c", "d"), (0, 8)),
            Match(("a", "b"), (4, 6)),
            Match(("b", "d"), (8, 0)),
            Match(("b", "e"), (7, 1)),
        ),
        returned=("b",),
    )
    assert [[m.group for m in r] for r in rounds(stage)] == [
        [("a", "b"), ("c", "d")],
        [("b", "d")],
        [("b", "e")],
    ]
    assert rounds(stage)[0][0].votes == (4, 6)
    places = bracket(stage)
    assert places is not None
    assert drawn(places[0], str) == [
        "a ─4─┐",
        "     ├─ b ─8─┐",
        "b ─6─┘       │",
        "             ├─ b ─7─┐",
        "c ─0─┐       │       │",
        "     ├─ d ─0─┘       ├─ b",
        "d ─8─┘               │",
        "                     │",
        "e ─────────────────1─┘",
    ]


def test_a_group_of_three_is_drawn_with_its_middle() -> None:
    stage = StageTrace("x()", ("a", "b", "c"), (Match(("a", "b", "c"), (10, 0, 2)),), ("a",))
    places = bracket(stage)
    assert places is not None
    assert drawn(places[0], str) == ["a ─10─┐", "      │", "b ──0─┼─ a", "      │", "c ──2─┘"]


def test_matches_that_are_no_tournament_have_no_bracket() -> None:
    assert bracket(StageTrace("x()", ("a", "b"), (Match(("a", "b"), (1, 1)),), ("a", "b"))) is None


async def hostile(task: Task, attempt: Attempt) -> Rollout:
    attempt.record(Step(action=f"echo {HOSTILE}", observation=f"1 passed {HOSTILE}", returncode=0))
    return Rollout(answer=f"{attempt.index} {HOSTILE}", length=float(attempt.index))


def played(folder: Path, **more: object) -> Run:
    tasks = [Task("sum-1", f"Add. {HOSTILE}"), Task("sum-2", "Add more."), Task("other", "Else.")]
    parts: dict[str, object] = {
        "tasks": tasks,
        "strategies": ["single", "rtv@4", "pdr-rtv@2", "pass@4"],
        "agent": ScriptedAgent(hostile),
        "summarizer": ScriptedSummarizer(),
        "judge": ScriptedJudge(),
        "grader": ExpectedAnswer({t.id: f"3 {HOSTILE}" for t in tasks}),
    }
    return anyio.run(Experiment(**(parts | more)).run, folder)  # type: ignore[arg-type]


def test_a_run_is_told_and_hostile_text_stays_text(tmp_path: Path) -> None:
    with played(tmp_path) as run:
        told = plain(story_view(story_of(run, "sum-1", strategy="rtv@4", steps=5)))
        tasks = plain(task_list_view(run))
        report = markdown(report_of_run(run))
    assert not UNSAFE.search((told + tasks + report).replace("\n", ""))
    assert "[red]bold[/red]" in told
    assert "winner #3" in told
    assert "grade   ✓ resolved" in told
    assert re.search(r"#\d ✗ ─0─[┐┘]", told)
    assert re.search(r"8 votes for #3", told)
    assert tasks.splitlines()[3].split() == ["other", "✗", "✓", "✗"]


def test_a_run_counts_what_it_did(tmp_path: Path) -> None:
    with played(tmp_path) as run:
        report = report_of_run(run)
    assert report.bill is not None
    assert report.bill.rollouts["finished"] == 3 * (4 + 2)
    assert (report.extras["single"].rollouts, report.extras["rtv@4"].rollouts) == (1, 4)
    assert (report.extras["rtv@4"].verdicts, report.extras["rtv@4"].n_resolved) == (24, 3)
    assert report.comparison["pass@4"].oracle


def test_priors_are_shown_with_what_they_led_to(tmp_path: Path) -> None:
    with played(tmp_path) as run:
        told = plain(story_view(story_of(run, "sum-2", strategy="pdr-rtv@2")))
    assert re.search(r"from the summaries of #[01] ✗  #[01] ✗", told)
    assert "#0′" in told


def test_a_run_without_grades_has_costs_and_no_accuracy(tmp_path: Path) -> None:
    strategies = ["single", "rtv@4", "pdr-rtv@2"]
    with played(tmp_path, grade="none", strategies=strategies) as run:
        report = report_of_run(run)
        told = plain(story_view(story_of(run, "sum-1")))
    assert not report.graded
    assert "Nothing is graded" in markdown(report)
    assert "| rtv@4 | 4 |" in escaped_off(markdown(report))
    assert [s["accuracy"] for s in document(report)["strategies"]] == [None] * 3
    assert "✗" not in told


def escaped_off(told: str) -> str:
    return told.replace("\\", "")


def test_an_empty_run_can_be_reported(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    with Run.open(tmp_path) as run:
        assert "0 rollouts" in plain(report_view(report_of_run(run)))
        plain(task_list_view(run))
        with pytest.raises(UsageError, match="none yet"):
            find_task(run, "x")


def test_an_incomplete_choice_says_why(tmp_path: Path) -> None:
    with played(tmp_path, budget=Budget(rollouts=4)) as run:
        report = report_of_run(run)
        told = plain(report_view(report))
    assert sum(e.n_incomplete for e in report.extras.values()) > 0
    assert re.search(r"Incomplete choices: [1-9]\d* of 9: the budget of rollouts is spent", told)


def test_a_task_is_found_by_its_beginning(tmp_path: Path) -> None:
    with played(tmp_path) as run:
        assert find_task(run, "o") == "other"
        with pytest.raises(UsageError, match="2 tasks begin with 'sum'"):
            find_task(run, "sum")
        with pytest.raises(UsageError, match="no task 'zzz': it has other, sum-1, sum-2"):
            find_task(run, "zzz")
        with pytest.raises(UsageError, match="there is pdr-rtv@2, rtv@4, single"):
            story_of(run, "other", strategy="nope")


def test_the_report_says_why_attempts_failed(tmp_path: Path) -> None:
    async def failing(task: Task, attempt: Attempt) -> Rollout:
        raise ValueError("no \x1b[31mluck")

    with played(tmp_path, agent=ScriptedAgent(failing), strategies=["single", "rtv@4"]) as run:
        told = plain(report_view(report_of_run(run)))
    assert "Failed, 12 times: ValueError: no" in told
    assert "\x1b[31m" not in told
