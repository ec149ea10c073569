"""The answer in one sentence: which strategy to take, how sure that is, and what it costs."""

from __future__ import annotations

from tts.comparison import Paired, Result
from tts.report import text
from tts.report.facts import Report


def answer_of(report: Report) -> str:
    """Return the sentence: the best strategy, or the cheapest that cannot be told from it."""
    ranked = sorted(
        (r for r in report.honest if r.accuracy is not None), key=lambda r: r.accuracy or 0.0, reverse=True
    )
    if not ranked:
        return "Nothing is graded, so no strategy can be preferred."
    if len(ranked) == 1:
        return f"There is one strategy: {_stands(ranked[0])}."
    best = ranked[0]
    equals = [r for r in ranked[1:] if not _apart(report, best, r)]
    cheap = min([best, *equals], key=_price)
    if not equals:
        return f"Take {text.line(best.name, 48)}: {_stands(best)}, above every other beyond the error."
    told = f"{text.line(best.name, 48)} scores highest, {_stands(best)}"
    if cheap.name != best.name:
        return (
            f"{told}; {text.line(cheap.name, 48)} cannot be told from it and costs least, {_stands(cheap)}."
        )
    names = ", ".join(text.line(r.name, 32) for r in equals[:4]) + (" and others" if len(equals) > 4 else "")
    return f"{told} and costs least of those that cannot be told apart ({names})."


def _stands(one: Result) -> str:
    spread = f" (95 % interval {text.interval(one.ci95)})" if one.ci95 else ""
    price = f" for {text.usd(one.cost.usd)} a task" if one.cost.usd else ""
    return f"{text.percent(one.accuracy)} %{spread}{price}"


def _apart(report: Report, best: Result, other: Result) -> bool:
    """Whether the interval of their difference leaves out 0, all comparisons counted."""
    pair = _pair(report, best.name, other.name)
    return pair is not None and pair.p_holm is not None and pair.p_holm < 0.05


def _pair(report: Report, a: str, b: str) -> Paired | None:
    return next((p for p in report.comparison.comparisons if {p.a, p.b} == {a, b}), None)


def _price(one: Result) -> tuple[float, float]:
    cost = one.cost
    return (cost.usd or 0.0, cost.calls or cost.critical_seconds or 0.0)
