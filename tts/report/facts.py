"""Gathers from a run, or from a replay's comparison, what the reports say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tts.comparison import Comparison, Paired, Result
from tts.errors import UsageError
from tts.records import Record
from tts.run import Choice, Run, cost_of
from tts.samples import mean_cost
from tts.suites import Execution, Suite
from tts.types import Grade, Rollout, Summary, Verdict

STATUSES = ("finished", "failed", "limit", "cancelled", "infra", "started")
"""How a rollout can stand, in the order of reports; `started` is under way or was killed."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What is told of a strategy beside its accuracy: means per task, and counts over `n_tasks` choices.

    `n_resolved` of `n_graded` winners pass in full. `reasons` say why choices are incomplete, the most
    frequent first; `errors` are those of stages that raised.
    """

    n_tasks: int
    rollouts: float | None
    summaries: float | None
    verdicts: float | None
    n_incomplete: int
    n_resolved: int
    n_graded: int
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


KINDS = ("rollout", "summary", "distil", "verdict", "generate", "execute", "evidence", "grade")
NOUNS: Mapping[str, type[Any]] = {
    "summary": Summary,
    "distil": Summary,
    "evidence": Summary,
    "verdict": Verdict,
    "generate": Suite,
    "execute": Execution,
    "grade": Grade,
}
NOTHING = "nothing to hand in: no answer of the form that was asked for, and no patch"


@dataclass(frozen=True, slots=True)
class Bill:
    """What the run paid, each payment once: dollars, tokens, seconds of effects; rollouts by status.

    `usd` and `tokens` count what was killed, or has no price, at its bound where there is one. `retries`
    brought nothing and were made again; what they cost is part of the rest. So are `input_tokens`, of which
    `cached_input_tokens` were read from a provider's cache and `cache_write_tokens` written to it.
    """

    rollouts: Mapping[str, int]
    summaries: int
    verdicts: int
    grades: int
    usd: float
    tokens: int
    seconds: float
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    unpriced_calls: int = 0
    retries: int = 0
    retry_tokens: int = 0
    retry_usd: float = 0.0

    @property
    def n_rollouts(self) -> int:
        """All rollouts that were started, the cancelled ones too."""
        return sum(self.rollouts.values())


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison and what stands beside it.

    `graded` is false while nothing is; replays have no `bill`. `failures` counts what failed by its error.
    `n_earlier` counts the choices left out, made with another seed, agent, summarizer, judge or task text
    than the run was last asked for. `performers` are the fingerprints of who played the roles. `setting` is
    what else it was asked for, by name: strategies, seed, version; `templates` the prompts, by role and name.
    """

    comparison: Comparison
    extras: Mapping[str, Extra] = field(default_factory=dict[str, Extra])
    bill: Bill | None = None
    graded: bool = True
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    n_tasks: int = 0
    n_earlier: int = 0
    performers: Mapping[str, str] = field(default_factory=dict[str, str])
    setting: Mapping[str, str] = field(default_factory=dict[str, str])
    templates: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def honest(self) -> list[Result]:
        """The strategies that did not use the truth, in order."""
        return [r for r in self.comparison.strategies if not r.oracle]

    @property
    def oracles(self) -> list[Result]:
        """The estimators that used the truth, in order."""
        return [r for r in self.comparison.strategies if r.oracle]

    @property
    def baseline(self) -> Result | None:
        """The first strategy that did not use the truth."""
        return next(iter(self.honest), None)

    def against_baseline(self, name: str) -> Paired | None:
        """Return the strategy less the baseline, None for the baseline itself."""
        base = self.baseline
        if base is None or name == base.name:
            return None
        for pair in self.comparison.comparisons:
            if (pair.a, pair.b) == (base.name, name):
                return _turned(pair)
            if (pair.a, pair.b) == (name, base.name):
                return pair
        return None


def report_of_run(run: Run, *, group: str = "") -> Report:
    """Return what is known of a run by now; it may still be going on, and need not be graded.

    `group` names the task metadata by which standard errors are clustered.
    """
    choices = list(run.current_choices())
    n_earlier = sum(1 for _ in run.choices()) - len(choices)
    grades = {task.id: run.grades(task.id) for task in run.tasks()}
    names = run.config.strategies
    by_name = {name: [c for c in choices if c.strategy == name] for name in names}
    resolved = {id_: {key: g.resolved for key, g in of_task.items()} for id_, of_task in grades.items()}
    graded = any(grades.values())
    comparison = run.comparison(group=group) if graded else _ungraded(by_name, list(grades))
    extras = {name: _extra(made, resolved) for name, made in by_name.items()}
    performers = dict(run.config.performers)
    return Report(
        comparison,
        extras,
        bill_of(run),
        graded,
        failures_of(run),
        len(grades),
        n_earlier,
        performers,
        setting_of(run),
        {
            f"{role}: {name}": told
            for role, found in run.config.templates.items()
            for name, told in found.items()
        },
    )


def setting_of(run: Run) -> dict[str, str]:
    """Return what a run was asked for, by name."""
    config = run.config
    performers = {f"{role} (fingerprint)": fingerprint for role, fingerprint in config.performers.items()}
    return {
        "strategies": ", ".join(config.strategies),
        "estimators": ", ".join(config.estimators),
        "seed": str(config.seed),
        "tts version": config.version,
        **performers,
    }


def report_of_replay(comparison: Comparison) -> Report:
    """Return the report of a replay's comparison."""
    return Report(comparison, n_tasks=len(comparison.clusters))


def failures_of(run: Run) -> dict[str, int]:
    """Return how often each error ended an effect, the most frequent first.

    A rollout that finished with nothing to hand in counts too.
    """
    records = (r for kind in KINDS for r in run.store.records(kind=kind))
    errors = Counter(error for r in records if (error := _error(r)))
    return dict(errors.most_common())


def _error(record: Record) -> str:
    what = "" if record.kind in ("rollout", "grade") else f"{record.kind}: "
    if record.status in ("failed", "infra"):
        if record.result is None:
            return what + record.error
        noun: Any = record.read(NOUNS.get(record.kind, Rollout))
        return what + str(getattr(noun, "error", "") or getattr(noun, "reason", ""))
    if record.kind == "rollout" and record.status == "finished" and record.result is not None:
        return "" if record.read(Rollout).output else NOTHING
    return ""


def bill_of(run: Run) -> Bill:
    """Return the run's bill so far."""
    counted: Counter[tuple[str, str]] = Counter()
    for (kind, _, status), n in run.store.counts().items():
        counted[kind, status] += n
    n_of = {kind: sum(n for (k, _), n in counted.items() if k == kind) for kind, _ in counted}
    usd, tokens, seconds, _ = run.store.charged()
    usage = run.store.usage()
    return Bill(
        rollouts={status: counted["rollout", status] for status in STATUSES},
        summaries=n_of.get("summary", 0) + n_of.get("distil", 0),
        verdicts=n_of.get("verdict", 0),
        grades=n_of.get("grade", 0),
        usd=usd,
        tokens=round(tokens),
        seconds=seconds,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        unpriced_calls=usage.unpriced_calls,
        retries=usage.retries,
        retry_tokens=usage.retry_tokens,
        retry_usd=usage.retry_usd,
    )


def find_task(run: Run, name: str) -> str:
    """Return the id of the task that a name or a unique beginning stands for.

    Raises:
        UsageError: it stands for none, or for several; the message names some.
    """
    ids = [task.id for task in run.tasks()]
    if name in ids:
        return name
    found = [id_ for id_ in ids if id_.startswith(name)]
    if len(found) == 1:
        return found[0]
    some = ", ".join((found or ids)[:5]) + "…" * (len(found or ids) > 5)
    told = f"{len(found)} tasks begin with {name!r}" if found else f"the run has no task {name!r}"
    raise UsageError(f"{told}: {'choose one of' if found else 'it has'} {some or 'none yet'}")


def _turned(pair: Paired) -> Paired:
    low_high = pair.ci95 and (-pair.ci95[1], -pair.ci95[0])
    less = None if pair.difference is None else 0.0 - pair.difference
    return Paired(pair.b, pair.a, less, pair.se, low_high, pair.p, pair.p_holm)


def _extra(choices: Sequence[Choice], resolved: Mapping[str, Mapping[str, bool]]) -> Extra:
    graded = [c for c in choices if resolved.get(c.task_id)]
    reasons = Counter(reason for c in choices for reason in c.refusals)
    return Extra(
        n_tasks=len(choices),
        rollouts=_mean([c.spending.rollouts for c in choices]),
        summaries=_mean([c.spending.summaries for c in choices]),
        verdicts=_mean([c.spending.verdicts for c in choices]),
        n_incomplete=sum(c.incomplete for c in choices),
        n_resolved=sum(resolved[c.task_id].get(c.winner, False) for c in graded),
        n_graded=len(graded),
        reasons=tuple(reason for reason, _ in reasons.most_common(3)),
        errors=tuple(dict.fromkeys(c.error for c in choices if c.error)),
    )


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _ungraded(by_name: Mapping[str, Sequence[Choice]], task_ids: Sequence[str]) -> Comparison:
    """Return a comparison with costs only."""
    lines = (_unknown(name, made) for name, made in by_name.items())
    return Comparison(tuple(lines), (), dict.fromkeys(task_ids, ""))


def _unknown(name: str, choices: Sequence[Choice]) -> Result:
    return Result(
        name=name,
        n_tasks=0,
        accuracy=None,
        se=None,
        ci95=None,
        oracle=False,
        mc_se=None,
        values={},
        cost=mean_cost([cost_of(c.spending) for c in choices]),
    )
