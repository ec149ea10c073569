"""A report as one JSON document: the comparison, what stands beside it, and the bill."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tts.report.facts import Extra, Report
from tts.report.tables import gap_recovered


def document(report: Report) -> dict[str, Any]:
    """Return plain values: the comparison's document; for a run also each strategy's extras and the bill.

    Fractions are in [0, 1], means are per task, unknown figures null. `recovered` only with an oracle.
    """
    found = report.comparison.to_json()
    for entry in found["strategies"]:
        extra = report.extras.get(entry["name"])
        if extra is not None:
            entry.update(_extra(extra))
        gap = gap_recovered(report, entry["name"])
        if gap is not None and not entry["oracle"]:
            entry["recovered"] = gap[0]
    if report.bill is None:
        return found
    return found | {"bill": asdict(report.bill), "performers": dict(report.performers)}


def _extra(extra: Extra) -> dict[str, Any]:
    return {
        "rollouts": extra.rollouts,
        "summaries": extra.summaries,
        "verdicts": extra.verdicts,
        "resolved": extra.n_resolved if extra.n_graded else None,
        "incomplete": extra.n_incomplete,
        "errors": list(extra.errors),
    }
