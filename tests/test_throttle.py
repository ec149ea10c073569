"""The throttle: what goes out in any minute, in which order, and how many at once. Time is virtual."""

from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.errors import UsageError
from tts.models.throttle import Limits, Throttle
from tts.testing.clock import run_in_virtual_time as run


async def leave(throttle, tokens, log, *, seconds=0.0, used=None):
    """Take a place for a request; note when it left."""
    async with throttle.place(tokens) as place:
        log.append((place.at, tokens))
        await anyio.sleep(seconds)
        throttle.went_well(place, tokens if used is None else used)


def departures(limits, requests, *, seconds=0.0):
    """Return when each request left and its tokens, all wanting to leave at once."""

    async def main():
        throttle, log = Throttle(limits), []
        async with anyio.create_task_group() as group:
            for tokens in requests:
                group.start_soon(lambda t=tokens: leave(throttle, t, log, seconds=seconds))
        assert throttle.in_flight == 0
        return log

    return run(main)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(300, 900),
    st.floats(0, 40),
)
def test_no_minute_holds_more_than_its_limits(requests, n, most_tokens, seconds):
    limits = Limits(requests_per_minute=n, tokens_per_minute=most_tokens)
    log = departures(limits, requests, seconds=seconds)
    assert [tokens for _, tokens in log] == requests, "first come, first served"
    for start, _ in log:
        window = [tokens for at, tokens in log if start <= at < start + 60]
        assert len(window) <= n
        assert sum(window) <= most_tokens


def test_a_request_larger_than_the_limit_goes_alone():
    log = departures(Limits(tokens_per_minute=100), [50, 1000, 50])
    assert [at for at, _ in log] == [0.0, 60.0, 120.0]


def test_without_limits_nothing_waits():
    log = departures(Limits(), [1] * 30)
    assert {at for at, _ in log} == {0.0}


def test_what_was_reserved_and_not_used_is_free_again():
    async def main():
        throttle, log = Throttle(Limits(tokens_per_minute=1000)), []
        await leave(throttle, 900, log, used=100)
        await leave(throttle, 900, log, used=100)
        return [at for at, _ in log]

    assert run(main) == [0.0, 0.0]


def test_as_many_at_once_as_the_start_says_and_more_while_all_is_well():
    async def main():
        throttle, log = Throttle(Limits(start=2, concurrency=4)), []
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(lambda: leave(throttle, 1, log, seconds=1.0))
        starts = [at for at, _ in log]
        return [starts.count(at) for at in sorted(set(starts))], throttle.allowed

    counts, allowed = run(main)
    assert counts[0] == 2
    assert max(counts) == 4 == allowed
    assert all(later >= earlier for earlier, later in pairwise(counts[:-1]))


def test_crowded_halves_once_for_all_that_were_under_way():
    async def main():
        throttle = Throttle(Limits(start=16))
        async with throttle.place(1) as first, throttle.place(1) as second:
            await anyio.sleep(1)
            throttle.crowded(first, 0.0)
            throttle.crowded(second, 0.0)
            assert throttle.allowed == 8
            async with throttle.place(1) as later:
                await anyio.sleep(1)
                throttle.crowded(later, 0.0)
        return throttle.allowed

    assert run(main) == 4


def test_it_never_falls_below_one():
    async def main():
        throttle = Throttle(Limits(start=1))
        for _ in range(5):
            async with throttle.place(1) as place:
                await anyio.sleep(1)
                throttle.crowded(place, 0.0)
        return throttle.allowed

    assert run(main) == 1


def test_everybody_waits_as_long_as_the_server_asks():
    async def main():
        throttle, log = Throttle(Limits()), []
        async with throttle.place(1) as place:
            throttle.crowded(place, 7.5)
        await leave(throttle, 1, log)
        return log[0][0]

    assert run(main) == 7.5


def test_one_long_wait_is_not_everybodys():
    async def main():
        throttle, log = Throttle(Limits()), []
        async with throttle.place(1) as place:
            throttle.crowded(place, 3600.0)
        await leave(throttle, 1, log)
        return log[0][0]

    assert run(main) == 60.0


def test_whoever_is_cancelled_while_waiting_lets_the_next_one_pass():
    async def main():
        throttle, log = Throttle(Limits(start=1, concurrency=1)), []
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: leave(throttle, 1, log, seconds=10))
            await anyio.sleep(1)
            with anyio.move_on_after(1):
                await leave(throttle, 2, log)
            group.start_soon(lambda: leave(throttle, 3, log))
        return log, throttle.in_flight

    assert run(main) == ([(0.0, 1), (10.0, 3)], 0)


@pytest.mark.parametrize("limits", [{"requests_per_minute": 0}, {"concurrency": 0}, {"start": -1}])
def test_limits_are_one_or_more(limits):
    with pytest.raises(UsageError, match="is 1 or more"):
        Limits(**limits)
