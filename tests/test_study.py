"""What a report asks of a comparison: the front, the answer, the growth, each beside what counting gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.comparison import Measured, compare
from tts.report.facts import Report
from tts.report.study.answer import answer_of
from tts.report.study.duels import duels
from tts.report.study.front import front, undominated
from tts.report.study.growth import growth
from tts.samples import Cost, Sample, Samples

TASKS = [f"t{i}" for i in range(8)]


def measured(name: str, values: Sequence[float], usd: float | None, *, oracle: bool = False) -> Measured:
    costs = dict.fromkeys(TASKS, Cost(usd=usd, calls=2.0))
    return Measured(name, dict(zip(TASKS, values, strict=True)), costs, oracle=oracle)


def comparison(*many: Measured, clusters: Mapping[str, str] | None = None):
    return compare(many, clusters or dict.fromkeys(TASKS, ""))


points = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=7)


@given(points)
def test_on_the_front_is_whom_nobody_beats(given_points):
    cost, value = np.array(given_points, dtype=float).T
    found = undominated(cost[None], value[None])[0]
    for i, (c, v) in enumerate(given_points):
        beaten = any(
            (x <= c and y >= v) and (x < c or y > v) for j, (x, y) in enumerate(given_points) if j != i
        )
        assert found[i] == (not beaten)
    assert found.any()


def test_the_front_is_drawn_again_over_tasks():
    sure = measured("sure", [1] * 8, 2.0)
    cheap = measured("cheap", [1, 0, 0, 0, 0, 0, 0, 0], 1.0)
    dear = measured("dear", [1, 1, 1, 1, 1, 1, 1, 0], 3.0)
    currency, places = front(comparison(sure, cheap, dear, measured("pass@9", [1] * 8, 9.0, oracle=True)))
    found = {place.name: place for place in places}
    assert currency == "usd"
    assert set(found) == {"sure", "cheap", "dear"}
    assert (found["sure"].on_front, found["cheap"].on_front, found["dear"].on_front) == (True, True, False)
    assert (found["sure"].share, found["cheap"].share, found["dear"].share) == (1.0, 1.0, 0.0)
    even = front(comparison(measured("a", [1, 0] * 4, 1.0), measured("b", [0, 1] * 4, 1.0)))[1]
    assert 0.5 <= even[0].share <= 0.75  # each wins about half of the draws, and ties are shared


def test_without_prices_the_front_counts_what_is_known():
    currency, places = front(comparison(measured("a", [1] * 8, None), measured("b", [0] * 8, None)))
    assert currency == "critical_seconds" or (currency == "calls" and len(places) == 2)
    assert front(comparison(measured("alone", [1] * 8, 1.0))) == ("", [])


def test_the_answer_names_the_best_or_the_cheapest_of_equals():
    best = measured("best", [1] * 8, 3.0)
    none = measured("none", [0] * 8, 1.0)
    told = answer_of(Report(comparison(none, best), n_tasks=8))
    assert told.startswith("Take best: 100.0 % (95 % interval ")
    near = measured("near", [1, 1, 1, 1, 1, 1, 1, 0], 0.5)
    told = answer_of(Report(comparison(near, best), n_tasks=8))
    assert "near cannot be told from it and costs least" in told
    assert answer_of(Report(comparison(best), n_tasks=8)).startswith("There is one strategy: 100.0 %")


def test_growth_is_what_counting_gives():
    rows = [(True, "a"), (False, "b"), (True, "a"), (False, "c")]
    samples = tuple(Sample(i, answer=said, correct=float(ok)) for i, (ok, said) in enumerate(rows))
    task = Samples("t", samples, (0, 1, 0, 2))
    found = {(c.form, step.k): step.accuracy for c in growth([task, task]) for step in c.steps}
    assert found["pass@{k}", 1] == 0.5
    assert found["pass@{k}", 2] == pytest.approx(5 / 6)  # one of six pairs has no right one
    assert found["pass@{k}", 4] == 1.0
    assert found["vote@{k}", 4] == 1.0
    assert not any(form.startswith(("best", "short")) for form, _ in found)
    assert growth([]) == []


def test_duels_count_gains_and_say_how_many_tasks_would_show_five_points():
    (duel,) = duels(
        comparison(measured("a", [1, 1, 1, 0, 0, 1, 1, 1], 1.0), measured("b", [0, 0, 1, 1, 0, 1, 1, 1], 1.0))
    )
    assert (duel.gained, duel.lost) == (("t0", "t1"), ("t3",))
    assert duel.mcnemar == 1.0
    variance = np.var([1, 1, 0, -1, 0, 0, 0, 0], ddof=1)
    assert duel.needed == int(np.ceil((1.959964 + 0.841621) ** 2 * variance / 0.05**2))
    (parts,) = duels(comparison(measured("a", [0.5] * 8, 1.0), measured("b", [0.25] * 8, 1.0)))
    assert (parts.mcnemar, parts.needed) == (None, None)
