"""The run on disk: half-written, newer, foreign, full, open elsewhere, read while it is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tts.database import VERSION
from tts.errors import Infra, StoreError
from tts.executors.local import local
from tts.experiment import Experiment
from tts.ledger import Ledger
from tts.protocols import Attempt
from tts.records import Ending, encode
from tts.run import Run
from tts.store import Store
from tts.testing import ScriptedAgent
from tts.types import Budget, Effect, Rollout, Step, Task, Usage

TASK = Task("t", "a task")
FREE = (0.0,) * 4


def effect(index: int = 0) -> Effect[Rollout]:
    return Effect("rollout", TASK, Rollout, "agent", occurrence=index)


def ending(record: int, steps: tuple[Step, ...] = (), **fields: Any) -> Ending:
    rollout = Rollout(**fields)
    return Ending(record, "finished", encode(rollout), rollout.usage, 0.0, FREE, steps=steps)


async def kept(store: Store, index: int, steps: tuple[Step, ...] = (), **fields: Any) -> None:
    (record,) = await store.begin([effect(index)], [FREE])
    await store.end([ending(record, steps, **fields)])


def refused(place: Path, opening: Callable[[Path], Store]) -> str:
    with pytest.raises(StoreError) as told:
        opening(place)
    assert "\n" not in str(told.value)
    assert str(place) in str(told.value)
    return str(told.value)


def test_an_empty_file_becomes_a_run_and_a_reader_says_that_there_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / "run.db").write_bytes(b"")
    assert "holds no run yet" in refused(tmp_path, Store.read)
    Store.open(tmp_path).close()
    Store.read(tmp_path).close()


def test_a_left_over_log_without_its_run_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "run.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"x" * 4096)
    store = Store.open(tmp_path)
    anyio.run(kept, store, 0)
    assert store.find(effect().key) is not None
    store.close()


def test_what_is_only_in_the_log_is_found_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    store = Store.open(first)
    anyio.run(kept, store, 0)
    second.mkdir()
    for name in ("run.db", "run.db-wal"):  # as a kill leaves them: nothing was copied back into the run
        (second / name).write_bytes((first / name).read_bytes())
    store.close()
    again = Store.open(second)
    assert again.find(effect().key) is not None
    again.close()


def test_a_torn_last_commit_is_dropped_and_the_ones_before_stay(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    store = Store.open(first)
    anyio.run(kept, store, 0)
    anyio.run(kept, store, 1)
    second.mkdir()
    (second / "run.db").write_bytes((first / "run.db").read_bytes())
    (second / "run.db-wal").write_bytes((first / "run.db-wal").read_bytes()[:-700])
    store.close()
    again = Store.open(second)
    assert again.find(effect(0).key) is not None
    assert again.find(effect(1).key) is None
    again.close()


@pytest.mark.parametrize("opening", [Store.open, Store.read], ids=["open", "read"])
def test_what_is_no_run_is_refused_in_one_line(opening: Callable[[Path], Store], tmp_path: Path) -> None:
    newer, text, foreign = (tmp_path / name for name in ("newer", "text", "foreign"))
    Store.open(newer).close()
    with closing(sqlite3.connect(newer / "run.db")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert "newer tts" in refused(newer, opening)
    text.mkdir()
    (text / "run.db").write_text("not a database, " * 1000)
    assert "not a database" in refused(text, opening)
    foreign.mkdir()
    with closing(sqlite3.connect(foreign / "run.db")) as connection:
        connection.execute("CREATE TABLE songs (name)")
    assert "not a run of tts" in refused(foreign, opening)
    with closing(sqlite3.connect(foreign / "run.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_places_that_cannot_be_a_run_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "a" / "run.db").mkdir(parents=True)
    (tmp_path / "b" / "run.lock").mkdir(parents=True)
    for name in ("file", "a", "b"):
        refused(tmp_path / name, Store.open)
    assert "there is no run" in refused(tmp_path / "nowhere", Store.read)


def test_a_run_that_another_process_writes_is_refused_and_can_be_read(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tts.store import Store;"
        "store = Store.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        assert "open in another process" in refused(tmp_path, Store.open)
        Store.read(tmp_path).close()
        child.kill()
        child.wait()
    Store.open(tmp_path).close()


def test_a_reader_follows_a_live_run(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with Run.open(tmp_path) as run:
        assert run.rollouts() == {}
        anyio.run(kept, store, 0)
        assert len(run.rollouts()) == 1
        anyio.run(kept, store, 1)
        assert len(run.rollouts("t")) == 2
    store.close()


def test_text_of_every_kind_is_kept(tmp_path: Path) -> None:
    odd = Step("\x00 thought", "lone \ud800 surrogate", "tab\t, line\n, \u2028, snowman \u2603, \U0001f600")
    large = Step(observation="5 MB " * 1_000_000)

    async def main() -> None:
        store = Store.open(tmp_path)
        await kept(store, 0, (odd, large), answer="nul \x00, lone \udfff", error="\ud800")
        (record,) = await store.begin([effect(1)], [FREE])
        await store.end([Ending(record, "infra", None, Usage(), 0.0, FREE, error="lone \ud800")])
        found = store.find(effect().key)
        assert found is not None
        assert found.read(Rollout).answer == "nul \x00, lone ?"
        one, two = store.steps(effect().key)
        assert one == Step(odd.thought, "lone ? surrogate", odd.observation)
        assert two == large
        assert [r.error for r in store.records() if r.status == "infra"] == ["lone ?"]
        store.close()

    anyio.run(main)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000  # it is compressed


class Counting(Store):
    """A store that counts its commits."""

    commits = 0

    def _commit(self, batch: Any) -> None:
        self.commits += 1
        super()._commit(batch)


def test_writers_that_come_together_share_commits(tmp_path: Path) -> None:
    async def main() -> None:
        store = Counting.open(tmp_path)
        assert isinstance(store, Counting)
        async with anyio.create_task_group() as group:
            for i in range(200):
                group.start_soon(kept, store, i)
        assert sum(1 for _ in store.records()) == 200
        assert store.commits < 40  # of 400 writes
        store.close()

    anyio.run(main)


def test_a_cancelled_writer_waits_for_its_commit(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                for i in range(20):
                    group.start_soon(store.save_meta, str(i), i)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert [store.meta(str(i)) for i in range(20)] == list(range(20))
        store.close()

    anyio.run(main)


def test_agents_in_threads_do_not_keep_the_store_waiting(tmp_path: Path) -> None:
    from threading import Event

    stop = Event()

    async def main() -> None:
        store = Store.open(tmp_path)
        async with anyio.create_task_group() as group:
            for _ in range(60):  # more than the threads that anyio shares out
                group.start_soon(anyio.to_thread.run_sync, stop.wait)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(20):
                await store.save_meta("name", "value")
            stop.set()
        assert store.meta("name") == "value"
        store.close()

    anyio.run(main)


class Tight(Store):
    """A store on a disk with little room."""

    def fill(self, pages: int) -> None:
        assert self._writer is not None
        used = self._writer.execute("PRAGMA page_count").fetchone()[0]
        self._writer.execute(f"PRAGMA max_page_count = {used + pages}")


def wordy(*, steps: int = 0) -> ScriptedAgent:
    async def script(task: Task, attempt: Attempt) -> Rollout:
        import hashlib

        for i in range(steps):
            noise = hashlib.shake_256(f"{attempt.index} {i}".encode()).hexdigest(20_000)
            attempt.record(Step(observation=noise))
        return Rollout(answer=str(attempt.index))

    return ScriptedAgent(script, bound=Budget())


def test_a_full_disk_ends_the_run_with_a_clear_error_and_the_run_opens_again(tmp_path: Path) -> None:
    def experiment(n: int) -> Experiment:
        return Experiment(tasks=[TASK], strategies=[f"sample({n})"], agent=wordy(steps=10))

    async def full() -> None:
        store = Tight.open(tmp_path)
        assert isinstance(store, Tight)
        try:
            store.fill(200)
            await experiment(12).run_in(store)
        finally:
            store.close()

    with pytest.raises(BaseExceptionGroup) as told:
        anyio.run(full)
    leaves = flat(told.value)
    assert {type(error) for error in leaves} == {StoreError}
    assert "cannot be written: database or disk is full" in str(leaves[0])
    before = Store.open(tmp_path)
    there = {r.occurrence for r in before.records(kind="rollout") if r.result is not None}
    assert there
    before.close()
    with anyio.run(experiment(12).run, tmp_path) as run:
        assert len(run.rollouts()) == 12
        (choice,) = run.choices()
        assert not choice.incomplete


def flat(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in flat(inner)]
    return [error]


def test_a_write_that_fails_harms_none_that_shares_its_commit(tmp_path: Path) -> None:
    def unwritable(connection: object) -> None:
        raise TypeError("this cannot be written")

    async def main() -> None:
        store = Store.open(tmp_path)
        told = list[StoreError]()

        async def broken() -> None:
            try:
                await store.write(unwritable)
            except StoreError as error:
                told.append(error)

        async with store._turn, anyio.create_task_group() as group:  # they wait, and then share a commit
            group.start_soon(store.save_meta, "before", 1)
            group.start_soon(broken)
            group.start_soon(store.save_meta, "after", 2)
            await anyio.wait_all_tasks_blocked()
            store._turn.release()
            await anyio.wait_all_tasks_blocked()
            await store._turn.acquire()
        assert (store.meta("before"), store.meta("after")) == (1, 2)
        assert ["this cannot be written" in str(error) for error in told] == [True]
        store.close()

    anyio.run(main)


def test_a_write_that_fails_changes_nothing_and_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        await kept(store, 0)
        (record,) = await store.begin([effect(0)], [FREE])
        with pytest.raises(StoreError, match="UNIQUE"):  # a second result of one effect
            await store.end([ending(record)])
        await kept(store, 1)
        assert sum(r.result is not None for r in store.records()) == 2
        store.close()

    anyio.run(main)


def test_what_was_in_flight_when_its_writer_died_is_marked_and_charged(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        await store.begin([effect(0), effect(1)], [(1.0, 2.0, 3.0, 1.0)] * 2)
        store.close()
        store = Store.open(tmp_path)
        async with Ledger(store, local(wordy())) as ledger:
            assert ledger.bill == (2.0, 4.0, 6.0, 2.0)
        assert [(r.status, r.error) for r in store.records()] == [("infra", "the run was killed")] * 2
        store.close()

    anyio.run(main)


def test_of_several_partial_records_the_longest_is_kept_in_view(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        for length in (3.0, None, 9.0, 5.0):
            (record,) = await store.begin([effect()], [FREE])
            steps = (Step(action=str(length)),)
            await store.end([Ending(record, "cancelled", None, Usage(), 0.0, FREE, length, steps=steps)])
        assert store.find(effect().key) is None
        assert [step.action for step in store.steps(effect().key)] == ["9.0"]
        store.close()

    anyio.run(main)


def test_an_input_that_is_not_stored_is_an_infrastructure_failure(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path)
        async with Ledger(store, local(wordy())) as ledger:
            (done,) = await ledger.do([Effect("rollout", TASK, Rollout, "agent", ("missing",))])
        assert isinstance(done.error, Infra)
        store.close()

    anyio.run(main)
