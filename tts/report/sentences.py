"""Reads a report aloud: what may be said of the differences, and what the run paid."""

from __future__ import annotations

from collections.abc import Iterator

from tts.comparison import Paired
from tts.report import text
from tts.report.facts import STATUSES, Bill, Report
from tts.report.tables import gap_recovered

STARTED = {"started": "under way"}


def reading(report: Report) -> list[str]:
    """Return sentences on the strategies against the baseline, never saying more than the intervals do."""
    if not report.graded:
        return ["Nothing is graded, so there is no accuracy to compare."]
    return [*_ungraded(report), *_earlier(report), *_differences(report)]


def _differences(report: Report) -> list[str]:
    base = report.baseline
    pairs = [p for r in report.honest if (p := report.against_baseline(r.name))]
    if base is None or not pairs:
        return []
    name = text.line(base.name, 48)
    told = [_differs(p, name) for p in pairs if _is_apart(p)]
    unclear = [text.line(p.a, 48) for p in pairs if not _is_apart(p) and p.se is not None]
    blind = [text.line(p.a, 48) for p in pairs if p.se is None]
    if not told and not blind:
        return [f"No strategy differs from {name} beyond its error."]
    if unclear:
        told.append(f"No difference from {name} beyond the error: {', '.join(unclear)}.")
    if blind:
        told.append(f"Too few tasks for an error of the difference from {name}: {', '.join(blind)}.")
    return told


def legend(report: Report) -> list[str]:
    """Return what the columns of the accuracy table mean, as far as it has them."""
    if not report.graded:
        return []
    base = text.line(report.baseline.name, 24) if report.baseline else ""
    told = ["±: standard error over tasks"]
    if base and len(report.honest) > 1:
        told.append("−: paired, in points; p: of the difference, Holm-adjusted")
    gaps = dict.fromkeys(g[1] for r in report.honest if (g := gap_recovered(report, r.name)))
    if gaps:
        told.append(f"recovered: share of the gap from {base} to {' or '.join(gaps)}")
    if any(not r.exact for r in report.comparison.strategies):
        told.append("drawn ±: the part of the error that more draws would remove")
    return [f"{'. '.join(told)}."]


def _ungraded(report: Report) -> list[str]:
    """Tasks that are not graded count nowhere, which the reader must know."""
    fewer = {r.name: r.n_tasks for r in report.comparison.strategies if r.n_tasks < report.n_tasks}
    if report.bill is None or not fewer:
        return []
    of_all = f"of {text.plural(report.n_tasks, 'task')}"
    if len(set(fewer.values())) == 1 and len(fewer) == len(report.comparison.strategies):
        return [f"Only {next(iter(fewer.values())):,} {of_all} are chosen and graded; only these count."]
    told = ", ".join(f"{text.line(name, 48)} {n:,}" for name, n in fewer.items())
    return [f"Not all {of_all} are chosen, whole and graded for every line. There count for {told}."]


def _earlier(report: Report) -> list[str]:
    if not report.n_earlier:
        return []
    n = text.plural(report.n_earlier, "choice")
    return [f"Left out: {n} made with another seed, agent, summarizer, judge or task text."]


def bill_lines(report: Report) -> list[str]:
    """Return what the run paid, each payment once, and what it left open."""
    if report.bill is None:
        return []
    return [_paid(report.bill), *_of_models(report.bill), *_open_ends(report)]


def _is_apart(pair: Paired) -> bool:
    if pair.ci95 is None:  # the same difference on every task, or no error at all
        return bool(pair.difference) and pair.p is not None and pair.p < 0.05
    return not pair.ci95[0] <= 0 <= pair.ci95[1]


def _differs(pair: Paired, base: str) -> str:
    assert pair.difference is not None
    side = "above" if pair.difference > 0 else "below"
    spread = "on every task alike"
    if pair.ci95 is not None:
        low, high = sorted(abs(100 * x) for x in pair.ci95)
        spread = f"95 % interval {low:.1f} to {high:.1f}"
    said = f"{text.line(pair.a, 48)} is {abs(100 * pair.difference):.1f} points {side} {base} ({spread})"
    if pair.p_holm is not None and pair.p_holm >= 0.05:
        return f"{said}, but not once all comparisons made here are counted (Holm p = {pair.p_holm:.2f})."
    return f"{said}."


def _paid(bill: Bill) -> str:
    parts = [text.plural(bill.n_rollouts, "rollout") + _by_status(bill)]
    parts += [text.plural(bill.summaries, "summary").replace("summarys", "summaries")] * bool(bill.summaries)
    parts += [text.plural(bill.verdicts, "vote")] * bool(bill.verdicts)
    parts += [text.plural(bill.grades, "grade")] * bool(bill.grades)
    parts += [text.plural(bill.tokens, "token")] * bool(bill.tokens)
    parts += [text.usd(bill.usd), f"{text.seconds(bill.seconds)} of work"]
    return f"The run's bill, each payment once: {', '.join(parts)}."


def _of_models(bill: Bill) -> Iterator[str]:
    if bill.unpriced_calls:
        yield f"Of unknown price: {text.plural(bill.unpriced_calls, 'call')}."
    if bill.cached_input_tokens or bill.cache_write_tokens:
        of_all = f"of {text.plural(bill.input_tokens, 'input token')}"
        written = f", {bill.cache_write_tokens:,} written to one" * bool(bill.cache_write_tokens)
        yield f"Prompt caches: {bill.cached_input_tokens:,} {of_all} read from one{written}."
    if bill.retries:
        cost = f"{text.plural(bill.retry_tokens, 'token')} ({text.usd(bill.retry_usd)})"
        yield f"{text.retries(bill.retries)} cost {cost}."


def _by_status(bill: Bill) -> str:
    parts = [
        f"{n:,} {STARTED.get(status, status)}" for status in STATUSES if (n := bill.rollouts.get(status))
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _open_ends(report: Report) -> Iterator[str]:
    n_choices = sum(e.n_tasks for e in report.extras.values())
    n_incomplete = sum(e.n_incomplete for e in report.extras.values())
    reasons = dict.fromkeys(r for e in report.extras.values() for r in e.reasons)
    why = (
        f": {'; '.join(text.line(r, 100).rstrip('.') for r in list(reasons)[:3])}"
        if n_incomplete and reasons
        else ""
    )
    yield f"Incomplete choices: {n_incomplete:,} of {n_choices:,}{why}."
    for error, n in list(report.failures.items())[:3]:
        yield f"Failed, {text.plural(n, 'time')}: {text.line(error, 200)}"
    errors = dict.fromkeys(error for e in report.extras.values() for error in e.errors)
    for error in list(errors)[:3]:
        yield f"A stage raised: {text.line(error)}"
