"""A run that can be killed: a child program of test_kill.py, never imported by it.

It loads the engine once and forks for every run, so that a kill costs no new start of Python.  It reads one
JSON plan from its standard input and writes one JSON report to its standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tts.experiment import Experiment
from tts.protocols import Attempt
from tts.records import adapter
from tts.run import Choice, Config
from tts.store import Store
from tts.types import Budget, Candidate, Grade, Rollout, Step, Summary, Task, Usage, Verdict

TASKS = [Task("one", "first"), Task("two", "second")]
STRATEGIES = ["vote@4", "short-2@4", "sample(3) | rtv(keep=2, votes=2) | refine(2) | rtv(votes=2)"]


@dataclass(frozen=True)
class Log:
    """Lines that are written, those of rollouts to the disk itself, before the work they speak of goes on."""

    path: Path

    def __call__(self, *words: object) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (json.dumps(words) + "\n").encode())
        if words[0] == "rollout":  # a kill, unlike a power cut, loses nothing that was written
            os.fsync(descriptor)
        os.close(descriptor)


@dataclass(frozen=True)
class Worker:
    """Agent, summarizer, judge and grader in one: each logs what it does, and chooses by what it is given."""

    log: Log
    fingerprint: str = "worker"
    bound: Budget = Budget(usd=1.0)

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        priors = [prior.rollout for prior in attempt.priors]
        self.log("rollout", task.id, attempt.index, priors)
        length = 3 + attempt.seed % 7
        for i in range(length):
            await anyio.lowlevel.checkpoint()
            attempt.record(Step(action=f"step {i}", usage=Usage(1, output_tokens=1, known_usd=0.01)))
            attempt.progress(float(i + 1))
        return Rollout(answer=f"answer {attempt.seed % 5}", length=float(length))

    async def summarize(self, task: Task, rollout: Rollout, steps: Sequence[Step]) -> Summary:
        assert len(steps) == rollout.length
        self.log("summary", task.id, rollout.key)
        await anyio.lowlevel.checkpoint()
        return Summary(claims=(rollout.answer or "",), usage=Usage(1, known_usd=0.01))

    async def compare(self, task: Task, shown: Sequence[Candidate], *, n: int = 1) -> list[Verdict]:
        self.log("verdict", task.id, [candidate.rollout.key for candidate in shown])
        await anyio.lowlevel.checkpoint()
        best = max(shown, key=lambda candidate: candidate.rollout.key)
        return [Verdict(preferred=best.rollout.key, usage=Usage(1, known_usd=0.01))] * n

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        self.log("grade", task.id, rollout.key)
        return Grade(resolved=rollout.answer == "answer 3", score=float(rollout.answer == "answer 3"))


class MortalStore(Store):
    """A store whose process dies at the n-th commit: before, amid, right after it or `seconds` later."""

    fatal: int = -1
    moment: str = "before"
    seconds: float = 0.0
    commits: int = 0

    def _commit(self, batch: Sequence[Any]) -> None:
        self.commits += 1
        if self.commits == self.fatal and self.moment == "before":
            die()
        if self.commits == self.fatal and self.moment == "during":
            batch[-1].job = dying(batch[-1].job)
        super()._commit(batch)
        if self.commits == self.fatal and self.moment == "later":
            threading.Timer(self.seconds, die).start()
        elif self.commits == self.fatal:
            die()


def dying(job: Callable[[sqlite3.Connection], Any]) -> Callable[[sqlite3.Connection], Any]:
    def run(connection: sqlite3.Connection) -> Any:
        job(connection)
        die()

    return run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def experiment(log: Log, workers: int) -> Experiment:
    worker = Worker(log)
    return Experiment(
        tasks=TASKS,
        strategies=STRATEGIES,
        agent=worker,
        summarizer=worker,
        judge=worker,
        grader=worker,
        seed=5,
        workers=workers,
    )


def play(folder: Path, log: Log, *, kill: Mapping[str, Any] = {}, workers: int = 4) -> int:
    """Run in a fork that may die; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        store = MortalStore.open(folder)
        assert isinstance(store, MortalStore)
        store.fatal, store.moment = kill.get("commit", -1), kill.get("moment", "")
        store.seconds = kill.get("seconds", 0.0)
        anyio.run(experiment(log, workers).run_in, store)
        store.close()
        (folder / "commits").write_text(str(store.commits))
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a fork must not run on into its parent's code
        traceback.print_exc()
        os._exit(1)


def wait_or_kill(pid: int, seconds: float = 60) -> bool:
    """Wait for the end of a fork, and kill it after a time; return whether it died by SIGKILL."""
    signal.sigtimedwait([signal.SIGCHLD], seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def read(folder: Path) -> dict[str, Any]:
    """Return what is committed in a run, and what was chosen."""
    if not (folder / "run.db").is_file() or not (folder / "run.db").stat().st_size:
        return {"results": [], "winners": {}}
    store = Store.open(folder)
    results = [
        _identity(r, store) for r in store.records() if r.result is not None and r.status == "finished"
    ]
    winners = {f"{c.task_id} {c.strategy}": c.winner for c in store.outcomes(Choice)}
    complete = bool(winners) and not any(c.incomplete or c.error for c in store.outcomes(Choice))
    store.close()
    return {"results": results, "winners": winners, "complete": complete}


def _identity(record: Any, store: Store) -> list[Any]:
    """Return a stored result as the log names it."""
    if record.kind == "rollout":
        rollout = record.read(Rollout)
        return ["rollout", record.task_id, record.occurrence, list(rollout.priors)]
    if record.kind == "verdict":
        return ["verdict", record.task_id, list(record.read(Verdict).shown), record.occurrence]
    return [record.kind, record.task_id, record.inputs[0]]


def lines(log: Log) -> list[Any]:
    return [json.loads(line) for line in log.path.read_text().splitlines()] if log.path.exists() else []


def trial(folder: Path, kill: dict[str, Any]) -> dict[str, Any]:
    """Kill a run as the plan says, resume it, and report what was committed and what was done after."""
    log = Log(folder / "log")
    folder.mkdir()
    while signal.sigtimedwait([signal.SIGCHLD], 0):
        pass  # the ends of earlier forks
    killed = wait_or_kill(play(folder, log, kill=kill))
    before = read(folder)
    n = len(lines(log))
    resumed = os.waitpid(play(folder, log, workers=kill.get("workers", 4)), 0)[1]
    return {
        "killed": killed,
        "resumed": resumed,
        "committed": before["results"],
        "again": lines(log)[n:],
        **read(folder),
    }


def whole(folder: Path) -> dict[str, Any]:
    """Run without a kill and report what it came to and how many commits it made."""
    folder.mkdir()
    log = Log(folder / "log")
    status = os.waitpid(play(folder, log), 0)[1]
    commits = int((folder / "commits").read_text())
    return {"resumed": status, "commits": commits, "log": lines(log), **read(folder)}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    plan = json.load(sys.stdin)
    folder = Path(plan["folder"])
    experiment(Log(folder / "log"), 1).planned()  # what is loaded here, no fork loads again
    for noun in (Rollout, Summary, Verdict, Grade, Step, Task, tuple[Step, ...], Choice, Config):
        adapter(noun)
    report: dict[str, Any] = {"whole": whole(folder / "whole"), "trials": []}
    for i, kill in enumerate(plan["kills"]):
        if "share" in kill:
            kill["commit"] = 1 + int(kill["share"] * report["whole"]["commits"])
        report["trials"].append(trial(folder / str(i), kill))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
