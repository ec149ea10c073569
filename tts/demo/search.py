"""What to try next and what to hand in: draws edits, learns from trials, and never touches a file."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from math import exp, log1p, prod
from random import Random

from tts.demo.edits import Edit, apply, overlap
from tts.demo.localize import Line
from tts.demo.operators import OPERATORS
from tts.demo.priors import Progress, Texts, Trial

Edits = tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Habits:
    """How the agent searches; the same for every task.

    `n_trials`: the most edits that it tries. `n_more`: with priors, the edits that it still tries once
    one passes all tests. `careful`: probability that an attempt runs the whole suite before it hands
    in. `stack`: probability that a trial builds on the best partial repair. `focus`: exponent of a
    line's suspiciousness. `temper`: spread of an attempt's own liking for each operator.
    """

    n_trials: int = 16
    n_more: int = 4
    careful: float = 0.5
    stack: float = 0.5
    focus: float = 4.0
    temper: float = 0.5


HABITS = Habits()
"""The habits of the demo."""

DULL, LIVELY = 0.6, 1.5
"""What a trial makes of its line's weight: the failure stayed the same, or became another."""

LEAST, MOST = 0.25, 2.5
"""The bounds of what all trials together make of it."""

SAME_LINE = 0.1
"""What a second edit at the line of the first weighs beside one at another line."""


class Search:
    """The candidates of one attempt, their weights, and the trials so far: its own and those of priors.

    `start` is the trial without an edit.
    """

    def __init__(
        self, edits: Sequence[Edit], sources: Mapping[str, bytes], start: Trial, habits: Habits, rng: Random
    ) -> None:
        self._sources, self._start, self._habits, self._rng = sources, start, habits, rng
        self._by_text = {edit.text: edit for edit in edits}
        self._weights: dict[str, float] = {}
        self._open: list[tuple[Edit, Line, float]] = []
        self._factors: dict[Line, float] = {}
        self._trials: dict[Texts, Trial] = {}
        self._seen: Counter[Texts] = Counter()

    def weigh(self, suspicion: Mapping[Line, float], favoured: set[Line]) -> None:
        """Set the weights from the lines' suspiciousness; `favoured` lines count double."""
        liking = {op.__name__: exp(self._rng.gauss(0, self._habits.temper)) for op, _ in OPERATORS}
        lines = {line: s**self._habits.focus * (1 + (line in favoured)) for line, s in suspicion.items()}
        for text, edit in self._by_text.items():
            line = (edit.file, edit.line)
            if line in lines:
                self._weights[text] = edit.share * liking[edit.operator] * lines[line]
                self._open.append((edit, line, self._weights[text]))

    def learn(self, trial: Trial) -> None:
        """Take a trial into account; a text that is no candidate's is left aside."""
        if not trial.texts or self.edits_of(trial.texts) is None:
            return
        if trial.texts not in self._trials and trial.progress is not None:
            for edit in self.edits_of(trial.texts) or ():
                line = (edit.file, edit.line)
                felt = DULL if trial.failure == self._start.failure else LIVELY
                factor = self._factors.get(line, 1.0) * felt
                self._factors[line] = min(max(factor, LEAST), MOST)
        self._trials[trial.texts] = _merged(self._trials.get(trial.texts), trial)
        self._seen[trial.texts] += 1

    def edits_of(self, texts: Texts) -> Edits | None:
        """Return the candidates with these texts, None where one is unknown."""
        found = [self._by_text[text] for text in texts if text in self._by_text]
        return tuple(found) if len(found) == len(texts) else None

    def draw(self) -> Edits | None:
        """Return edits that were not tried and whose result is Python; None when none is left.

        Two edits that each helped are tried together first; else one that helped may get a second one.
        """
        partials = self._partials() if self._rng.random() < self._habits.stack else []
        pairs = self._pairs(partials)
        if pairs:
            return self._rng.choices(pairs, [self._weight_of(pair) for pair in pairs])[0]
        below = self._rng.choice(partials) if partials else ()
        taught = {(e.file, e.line): SAME_LINE for e in below} if below else self._factors
        weights = [weight * taught.get(line, 1.0) for _, line, weight in self._open]
        while sum(weights) > 0:
            (at,) = self._rng.choices(range(len(weights)), weights)
            weights[at] = 0.0
            edits = (*below, self._open[at][0])
            if self._is_new(edits):
                return edits
        return None

    def _pairs(self, partials: Sequence[Edits]) -> list[Edits]:
        both = ((*one, *two) for one, two in combinations(partials, 2))
        return [edits for edits in both if self._is_new(edits)]

    def _weight_of(self, edits: Edits) -> float:
        return prod(self._weights.get(edit.text, 0.0) + 1e-9 for edit in edits)

    def _is_new(self, edits: Edits) -> bool:
        *below, edit = edits
        key = texts_of(edits)
        tried = key in self._trials or key[::-1] in self._trials
        return not tried and not any(overlap(edit, other) for other in below) and self._is_python(edit)

    def _is_python(self, edit: Edit) -> bool:
        return is_python(self._sources[edit.file], edit)

    def _partials(self) -> list[Edits]:
        """Single edits that came further than the start without passing, the furthest ones first."""
        start = self._start.progress or Progress()
        helped = [t for t in self._trials.values() if t.progress and t.progress > start]
        open_ones = [t for t in helped if not t.issue_passed and len(t.texts) == 1]
        ordered = sorted(open_ones, key=lambda t: t.progress or start, reverse=True)
        return [edits for t in ordered if (edits := self.edits_of(t.texts))]

    def unverified(self) -> list[Edits]:
        """Return the edits that pass the issue's tests and never met the whole suite, likeliest first."""
        waiting = [t for t in self._trials.values() if t.issue_passed and t.suite_passed is None]
        ordered = sorted(waiting, key=self._merit, reverse=True)
        return [edits for t in ordered if (edits := self.edits_of(t.texts))]

    def verified(self) -> list[Trial]:
        """Return the trials that passed the whole suite."""
        return [t for t in self._trials.values() if t.suite_passed]

    def choice(self) -> Trial:
        """Return what to hand in: best evidence, then greatest merit; the start where nothing helped."""
        ranked = sorted(self._trials.values(), key=self._standing, reverse=True)
        if ranked and ranked[0].issue_passed:
            return ranked[0]
        partials = self._partials()
        return self._trials[texts_of(partials[0])] if partials else self._start

    def _standing(self, trial: Trial) -> tuple[float, ...]:
        suite = {True: 2.0, None: 1.0, False: 0.0}[trial.suite_passed]
        return (float(bool(trial.issue_passed)), suite, self._merit(trial))

    def _merit(self, trial: Trial) -> float:
        """How likely edits are right before any test: few, at suspicious lines, found by several attempts."""
        merit = 1.0 + log1p(self._seen[trial.texts])
        for edit in self.edits_of(trial.texts) or ():
            merit *= 0.01 + self._weights.get(edit.text, 0.0)
        return merit


@lru_cache(maxsize=16384)
def is_python(source: bytes, edit: Edit) -> bool:
    """Return whether the source with the edit can be parsed; remembered, as attempts share edits."""
    try:
        ast.parse(apply(source, [edit]))
    except (SyntaxError, ValueError):
        return False
    return True


def _merged(old: Trial | None, new: Trial) -> Trial:
    if old is None:
        return new
    return replace(
        new,
        progress=new.progress or old.progress,
        failure=new.failure or old.failure,
        issue_passed=old.issue_passed if new.issue_passed is None else new.issue_passed,
        suite_passed=old.suite_passed if new.suite_passed is None else new.suite_passed,
    )


def texts_of(edits: Edits) -> Texts:
    """Return the edits as texts."""
    return tuple(edit.text for edit in edits)
