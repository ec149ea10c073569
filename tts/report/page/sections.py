"""The first screen and the sections of the page, as plain cells: each figure with the value that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from tts.comparison import Result
from tts.report import text
from tts.report.facts import Report
from tts.report.sentences import bill_lines, legend, reading
from tts.report.study import Study
from tts.report.study.answer import answer_of
from tts.report.study.duels import Duel
from tts.report.study.refinement import Refinement
from tts.report.tables import gap_recovered


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, and the value behind it ("": none), by which a column is sorted."""

    text: str
    value: float | int | str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table; its first cell is its name."""

    cells: tuple[Cell, ...]
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with its notes, and the plot that stands below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Line, ...]
    id: str = ""
    notes: tuple[str, ...] = ()
    plot: Markup | str = ""
    caption: str = ""
    folded: bool = False
    label: str = "table"

    def without_empty(self) -> Grid:
        """Return the table without the columns after the first that tell nothing: empty, unknown or zero."""
        told = [0] + [
            i
            for i in range(1, len(self.columns))
            if any(row.cells[i].value not in ("", 0) for row in self.rows)
        ]
        rows = tuple(replace(row, cells=tuple(row.cells[i] for i in told)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in told), rows=rows)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    lines: tuple[str, ...] = ()
    tables: tuple[Grid, ...] = ()
    plot: Markup | str = ""
    caption: str = ""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Head:
    """All of the page but its tasks."""

    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


def head_of(
    report: Report, study: Study, drawn: Mapping[str, Markup], captions: Mapping[str, str], title: str
) -> Head:
    """Return the values of the page's template."""
    plots = {name: (plot, captions[name]) for name, plot in drawn.items()}
    sections = [section for section in _sections(report, study, plots) if section is not None]
    nav = [("answer", "Answer"), *((s.id, s.title) for s in sections), ("tasks", "Tasks")]
    return Head(
        {
            "title": text.line(title, 120),
            "nav": nav if report.bill is not None else nav[:-1],
            "answer": answer_of(report),
            "reading": reading(report),
            "warning": _warning(study),
            "tables": [strategies(report, study, plots.get("cost"))],
            "sections": sections,
            "strategies": [text.line(r.name, 60) for r in report.honest],
        }
    )


def _warning(study: Study) -> str:
    if not study.few_clusters:
        return ""
    return (
        f"The tasks come in clusters that tell as much as {study.effective_clusters:.1f} of one size. Below "
        "30 even corrected intervals are rough: they cover less than they say, or more."
    )


def strategies(report: Report, study: Study, plot: tuple[Markup, str] | None) -> Grid:
    """Return the table of strategies: accuracy, interval, difference, oracle gap, and cost of each."""
    base = report.baseline
    columns = (
        *("strategy", "accuracy %", "95 % interval", f"− {text.line(base.name, 24)}" if base else "−"),
        *("95 % interval", "p (Holm)", "recovered", "calls", "tokens in", "tokens out"),
        *("dollars", "critical path", "on the front"),
    )
    rows = tuple(_strategy(report, study, r) for r in (*report.honest, *report.oracles))
    notes = (*legend(report), "Costs are means per task. Oracles use the truth and are no strategies.")
    drawn, caption = plot or ("", "")
    return Grid("Strategies", columns, rows, "strategies", notes, drawn, caption).without_empty()


def _strategy(report: Report, study: Study, one: Result) -> Line:
    pair = None if one.oracle else report.against_baseline(one.name)
    shares = {place.name: place.share for place in study.front}
    gap = None if one.oracle else gap_recovered(report, one.name)
    recovered = gap and gap[0]
    cost, share = one.cost, shares.get(one.name)
    return Line(
        (
            Cell(text.line(one.name, 60) + " (oracle)" * one.oracle),
            Cell(text.percent(one.accuracy), _value(one.accuracy)),
            Cell(text.interval(one.ci95), _value(one.ci95 and one.ci95[0])),
            Cell(text.points(pair.difference) if pair else "", _value(pair.difference if pair else None)),
            Cell(
                text.interval(pair.ci95) if pair else "", _value(pair.ci95[0] if pair and pair.ci95 else None)
            ),
            Cell(text.p_value(pair.p_holm) if pair else "", _value(pair.p_holm if pair else None)),
            Cell("" if recovered is None else f"{100 * recovered:.0f} %", _value(recovered)),
            Cell(text.count(cost.calls), _value(cost.calls)),
            Cell(text.count(cost.input_tokens), _value(cost.input_tokens)),
            Cell(text.count(cost.output_tokens), _value(cost.output_tokens)),
            Cell(text.usd(cost.usd), _value(cost.usd)),
            Cell(text.seconds(cost.critical_seconds), _value(cost.critical_seconds)),
            Cell("" if share is None else f"{100 * share:.0f} %", _value(share)),
        ),
        one.oracle,
    )


def _value(number: float | None) -> float | str:
    return "" if number is None else number


Plots = Mapping[str, tuple[Markup, str]]


def _sections(report: Report, study: Study, plots: Plots) -> Iterator[Section | None]:
    yield _growth(study, plots)
    yield _pairs(report, study)
    yield _changes(study)
    yield _refined(study, plots)
    yield _judged(study, plots)
    yield _failures(report)
    yield _setting(report)


def _growth(study: Study, plots: Plots) -> Section | None:
    if not study.growth:
        return None
    rows = (
        Line(
            (
                Cell(curve.form.format(k=step.k) + " (oracle)" * curve.oracle),
                Cell(str(step.k), step.k),
                Cell(text.percent(step.accuracy), step.accuracy),
                Cell(text.interval(step.ci95), _value(step.ci95 and step.ci95[0])),
                Cell(str(step.n_tasks), step.n_tasks),
            )
        )
        for curve in study.growth
        for step in curve.steps
    )
    columns = ("estimator", "k", "accuracy %", "95 % interval", "tasks")
    table = Grid("The same as a table", columns, tuple(rows), folded=True)
    return Section("growth", "Accuracy against attempts", (), (table,), *plots.get("growth", ("", "")))


def _pairs(report: Report, study: Study) -> Section | None:
    if not study.duels:
        return None
    oracles = {r.name: r.oracle for r in report.comparison.strategies}
    columns = (
        *("pair", "first gains", "second gains", "difference", "95 % interval", "p", "p (Holm)"),
        *("McNemar's exact p", "tasks to see 5 points"),
    )
    names = {name for name, oracle in oracles.items() if oracle}
    honest = [duel for duel in study.duels if not names & {duel.pair.a, duel.pair.b}]
    rest = [duel for duel in study.duels if duel not in honest]
    tables = [Grid("", columns, tuple(map(_pair, honest)), label="pairs of strategies")] if honest else []
    tables += [Grid("With oracles", columns, tuple(map(_pair, rest)), folded=True)] if rest else []
    told = "Paired by task. So many tasks would show a difference of five points four times in five."
    return Section("pairs", "Wins and losses", (told,), tuple(tables))


def _pair(duel: Duel) -> Line:
    pair = duel.pair
    return Line(
        (
            Cell(f"{text.line(pair.a, 40)} − {text.line(pair.b, 40)}"),
            Cell(str(len(duel.gained)), len(duel.gained)),
            Cell(str(len(duel.lost)), len(duel.lost)),
            Cell(text.points(pair.difference), _value(pair.difference)),
            Cell(text.interval(pair.ci95), _value(pair.ci95 and pair.ci95[0])),
            Cell(text.p_value(pair.p), _value(pair.p)),
            Cell(text.p_value(pair.p_holm), _value(pair.p_holm)),
            Cell("" if duel.mcnemar is None else text.p_value(duel.mcnemar), _value(duel.mcnemar)),
            Cell("" if duel.needed is None else f"{duel.needed:,}", _value(duel.needed)),
        )
    )


MOST_IDS = 60


def _changes(study: Study) -> Section | None:
    """Return the tasks that each strategy gains and loses against the first one."""
    first = study.duels[0].pair.a if study.duels else ""
    against = [duel for duel in study.duels if duel.pair.a == first]
    if not against:
        return None
    rows = tuple(
        Line((Cell(text.line(duel.pair.b, 40)), Cell(_listed(duel.lost)), Cell(_listed(duel.gained))))
        for duel in against
    )
    table = Grid("", ("strategy", "gains", "loses"), rows)
    return Section("changes", f"Tasks gained and lost against {text.line(first, 40)}", (), (table,))


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_IDS:,} more" if len(ids) > MOST_IDS else ""
    return ", ".join(text.line(one, 60) for one in ids[:MOST_IDS]) + more


def _refined(study: Study, plots: Plots) -> Section | None:
    if not study.refinements:
        return None
    tables = [table for one in study.refinements for table in _refinement(one)]
    return Section("refinement", "What refinement did", (), tuple(tables), *plots.get("passes", ("", "")))


def _refinement(one: Refinement) -> Iterator[Grid]:
    name = text.line(one.strategy, 40)
    by_iteration = tuple(
        Line(
            (
                Cell(f"iteration {i}"),
                Cell(text.percent(one.accuracy[i]), one.accuracy[i]),
                Cell(str(one.mixed[i]), one.mixed[i]),
                Cell(", ".join(f"{passes}: {n}" for passes, n in counts.items())),
            )
        )
        for i, counts in one.passes.items()
    )
    columns = ("", "mean accuracy %", "mixed tasks", "tasks by right attempts")
    yield Grid(f"{name}: before and after", columns, by_iteration)
    rows = tuple(
        Line(
            (
                Cell(f"{row.passing} of {row.of} right"),
                Cell(text.percent(row.accuracy), row.accuracy),
                Cell(str(row.n_tasks), row.n_tasks),
                Cell(str(row.n_rollouts), row.n_rollouts),
            )
        )
        for row in one.by_priors
    )
    yield Grid(f"{name}: by what was read", ("priors", "accuracy %", "tasks", "attempts"), rows)


def _judged(study: Study, plots: Plots) -> Section | None:
    judging = study.judging
    if judging is None or not judging.votes:
        return None
    lines = [f"{text.plural(judging.votes, 'vote')}, of which {judging.abstained:,} name nobody."]
    if judging.on_pairs:
        share = 100 * judging.first / judging.on_pairs
        lines.append(
            f"Of {text.plural(judging.on_pairs, 'vote')} on pairs {share:.1f} % are for the one shown first."
        )
    if judging.compared:
        share = 100 * judging.agreeing / judging.compared
        lines.append(f"Two votes on the same pair agree in {share:.1f} % of {judging.compared:,} cases.")
    rows = tuple(
        Line(
            (
                Cell(f"{text.line(r.strategy, 40)}, {text.line(r.stage, 60)}"),
                Cell(str(r.number), r.number),
                Cell(str(r.pairs), r.pairs),
                Cell(str(r.votes), r.votes),
                Cell(text.percent(r.accuracy), r.accuracy),
            )
        )
        for r in judging.rounds
    )
    columns = ("stage", "round", "mixed pairs", "votes", "for the right one, %")
    tables = (Grid("On pairs of which one is right", columns, rows),) if rows else ()
    return Section("judging", "How the judges did", tuple(lines), tables, *plots.get("rounds", ("", "")))


def _failures(report: Report) -> Section | None:
    if not report.failures:
        return None
    rows = tuple(
        Line((Cell(text.line(error, 300)), Cell(f"{n:,}", n)))
        for error, n in list(report.failures.items())[:50]
    )
    return Section("failures", "Failures by kind", (), (Grid("", ("what", "times"), rows),))


def _setting(report: Report) -> Section | None:
    if report.bill is None:
        return None
    rows = tuple(
        Line((Cell(text.line(name, 60)), Cell(text.line(value, 400))))
        for name, value in report.setting.items()
    )
    table = Grid("", ("", ""), rows)
    texts = {text.line(name, 60): text.clean(told) for name, told in report.templates.items()}
    return Section("setting", "Configuration and bill", tuple(bill_lines(report)), (table,), texts=texts)
