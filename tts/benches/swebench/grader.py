"""Grades a patch without Docker: in a prepared environment under a sandbox, by swebench's own parsers."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from anyio import to_thread

from tts import hostile
from tts.benches.swebench.environment import Environment, Environments
from tts.benches.swebench.instances import Truth
from tts.benches.swebench.patching import Merged, merged
from tts.benches.swebench.placed import changed, states
from tts.benches.swebench.recipes import Recipe
from tts.benches.swebench.tamper import dropped_text
from tts.benches.swebench.verdict import Seen, Verdict, kind_of, log_parser, seen, verdict
from tts.errors import Infra, UsageError
from tts.sandboxes.box import INSIDE, MIB, Caps, Ended, Mount, Order, Ran
from tts.types import FREE, Budget, Grade, Rollout, Task, digest

WITNESS_BYTES = 64 * 1024 * 1024

SCRIPT = 'export TTS_WITNESS="$TTS_WITNESS:$$"\n{command}\ncode=$?\nexit $code\n'
"""Bash stays the parent of what the command starts, so that the witness knows its process."""


def caps_of(memory_gib: int) -> Caps:
    """Return the limits of one instance's install and tests: all grow with the memory; 64 MiB of log."""
    memory = memory_gib * 1024 * MIB
    return Caps(
        memory_bytes=memory,
        processes=256 * memory_gib,
        file_bytes=memory // 2,
        total_bytes=2 * memory,
        output_bytes=64 * MIB,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """`repeats`: how often the tests are run, the majority decides. `network`: whether they may reach it.

    `timeout`: seconds of one run, None: what the recipe says.
    """

    repeats: int = 1
    network: bool = False
    timeout: float | None = None


class LocalGrader:
    """Resolves a rollout as SWE-bench does, without its images.

    `truths` are by task id; each has a recipe. The score is 1 for a resolved rollout, else 0, as SWE-bench
    counts; the detail tells how many of the listed tests end as they should. Outcomes are "resolved",
    "unresolved", "empty patch", "patch does not apply" and "timeout".
    """

    bound: ClassVar[Budget] = FREE
    version: ClassVar[str] = "2"

    def __init__(
        self, truths: Mapping[str, Truth], environments: Environments, settings: Settings = Settings()
    ) -> None:
        if settings.repeats < 1:
            raise UsageError(f"tests are repeated once or more, not {settings.repeats} times")
        for truth in truths.values():
            if truth.recipe is None:
                raise UsageError(
                    f"{truth.instance_id} has no recipe for grading without Docker: give a file of recipes"
                )
            log_parser(truth, truth.recipe)
        self._truths, self._environments, self._settings = dict(truths), environments, settings
        self._reference: dict[str, Ended] = {}

    @property
    def fingerprint(self) -> str:
        """Versions of this and of swebench, the sandbox, the settings and the content of every truth."""
        told = [asdict(truth) for _, truth in sorted(self._truths.items())]
        sandbox = self._environments.sandbox.fingerprint
        inner = digest([told, sandbox, asdict(self._settings)])[:16]
        return f"swebench-local/{self.version}/{_swebench()}/{inner}"

    async def grade(self, task: Task, rollout: Rollout) -> Grade:
        """Return the grade of one rollout.

        Raises:
            UsageError: the task has no truth here, or there is no such Python or repository.
            Infra: the sandbox, the install or git failed.
        """
        truth = self._truths.get(task.id)
        if truth is None or truth.recipe is None:
            raise UsageError(f"no truth for task {task.id}")
        patch = rollout.patch or ""
        if not patch.strip():
            return Grade(rollout.key, outcome="empty patch", detail="empty patch")
        async with self._environments.open(task, truth.recipe) as env:
            grade = await self._graded(truth, truth.recipe, env, patch)
        return replace(grade, rollout=rollout.key)

    async def _graded(self, truth: Truth, recipe: Recipe, env: Environment, patch: str) -> Grade:
        async with self._merged(truth, recipe, env, patch) as whole:
            if whole is None:
                return Grade(outcome="patch does not apply", detail="the patch does not apply to the base")
            grades = [await self._once(truth, recipe, env, whole) for _ in range(self._settings.repeats)]
            return _told(majority(grades), dropped_text(whole.dropped))

    def _merged(
        self, truth: Truth, recipe: Recipe, env: Environment, patch: str
    ) -> AbstractAsyncContextManager[Merged | None]:
        return merged(
            env,
            patch,
            test_patch=truth.test_patch,
            gold=truth.patch,
            test_cmd=recipe.test_cmd,
            sandbox=self._environments.sandbox,
        )

    async def _once(self, truth: Truth, recipe: Recipe, env: Environment, whole: Merged) -> Grade:
        ran, told, rewritten = await self._tested(recipe, env, whole)
        if ran.ended == "timeout":
            return Grade(outcome="timeout", detail=f"the tests took longer than {self._seconds(recipe):g} s")
        if ran.ended != "exited":
            return await self._stopped(truth, recipe, env, ran.ended)
        if not told.started and kind_of(log_parser(truth, recipe)):
            raise Infra(
                "no Python of the environment was started by the test command itself:"
                f" {hostile.line(ran.output[-300:], 200)}"
            )
        found = verdict(truth, recipe, ran.output, ran.returncode, told)
        if found.resolved and rewritten:
            found = Verdict(False, f"the tests or their settings were rewritten: {', '.join(rewritten[:5])}")
        lost = f"; {ran.lost_bytes} bytes of the log were not kept" if ran.lost_bytes else ""
        return Grade(
            resolved=found.resolved,
            score=float(found.resolved),
            outcome="resolved" if found.resolved else "unresolved",
            detail=found.detail + lost,
        )

    async def _stopped(self, truth: Truth, recipe: Recipe, env: Environment, limit: Ended) -> Grade:
        """Return the grade of tests that were stopped at a limit which the reference patch keeps.

        Raises:
            Infra: the reference patch is stopped at it too, so the limit is too low.
        """
        if truth.instance_id not in self._reference:
            async with self._merged(truth, recipe, env, truth.patch) as whole:
                ran = (await self._tested(recipe, env, whole))[0] if whole else Ran(0)
            self._reference[truth.instance_id] = ran.ended
        stopped = f"the tests were stopped at the sandbox's limit of {limit}"
        if self._reference[truth.instance_id] == limit:
            raise Infra(f"{stopped}, with the reference patch too: raise it with --memory")
        return Grade(outcome="unresolved", detail=f"{stopped}; with the reference patch they are not")

    async def _tested(
        self, recipe: Recipe, env: Environment, whole: Merged
    ) -> tuple[Ran, Seen, Sequence[str]]:
        """Return how the tests ran, what the witness told, and which of their own files were rewritten."""
        word = secrets.token_hex(16)
        async with env.copy() as tree:
            await whole.place(tree)
            placed = await to_thread.run_sync(states, tree, whole.fixed)
            with tempfile.TemporaryDirectory(prefix="witness-", dir=env.place) as name:
                path = Path(name) / "told"
                path.touch()
                ran = await self._run(recipe, env, tree, f"{path}:{word}")
                text = await to_thread.run_sync(_read, path)
            rewritten = await to_thread.run_sync(changed, tree, placed)
        return ran, seen(text, word), rewritten

    async def _run(self, recipe: Recipe, env: Environment, tree: Path, witness: str) -> Ran:
        path = Path(witness.rpartition(":")[0])
        mounts = (*env.mounts(), Mount(path, writable=True))
        order = Order(
            ["bash", "-c", SCRIPT.format(command=recipe.test_cmd)],
            env={**env.variables(), "TTS_WITNESS": witness},
            network=self._settings.network,
            seconds=self._seconds(recipe),
        )
        async with self._environments.sandbox.open(tree, at=INSIDE, mounts=mounts) as box:
            return await box.run(order)

    def _seconds(self, recipe: Recipe) -> float:
        return recipe.timeout if self._settings.timeout is None else self._settings.timeout


def majority(grades: list[Grade]) -> Grade:
    """Return the grade of several runs: resolved when more than half are."""
    if len(grades) == 1:
        return grades[0]
    n = sum(grade.resolved for grade in grades)
    wins = 2 * n > len(grades)
    one = next(grade for grade in grades if grade.resolved is wins)
    return replace(one, detail=f"resolved in {n} of {len(grades)} runs; {one.detail}")


def _told(grade: Grade, dropped: str) -> Grade:
    detail = hostile.line("; ".join(filter(None, [grade.detail, dropped])), 2000)
    return replace(grade, detail=detail)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(WITNESS_BYTES).decode("utf-8", "replace")


def _swebench() -> str:
    try:
        return version("swebench")
    except PackageNotFoundError:
        return "none"
