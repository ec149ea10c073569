"""Grades a patch without Docker: in a prepared environment under a sandbox, by swebench's own parsers."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
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
from tts.benches.swebench.verdict import Verdict, kind_of, log_parser, seen, verdict
from tts.errors import Infra, UsageError
from tts.sandboxes.box import INSIDE, Mount, Order, Ran
from tts.types import FREE, Budget, Grade, Rollout, Task, digest

WITNESS_BYTES = 64 * 1024 * 1024

SCRIPT = 'export TTS_WITNESS="$TTS_WITNESS:$$"\n{command}\ncode=$?\nexit $code\n'
"""Bash stays the parent of what the command starts, so that the witness knows its process."""


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
        async with merged(
            env,
            patch,
            test_patch=truth.test_patch,
            gold=truth.patch,
            test_cmd=recipe.test_cmd,
            sandbox=self._environments.sandbox,
        ) as whole:
            if whole is None:
                return Grade(outcome="patch does not apply", detail="the patch does not apply to the base")
            grades = [await self._once(truth, recipe, env, whole) for _ in range(self._settings.repeats)]
            return _told(majority(grades), dropped_text(whole.dropped))

    async def _once(self, truth: Truth, recipe: Recipe, env: Environment, whole: Merged) -> Grade:
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
        told = seen(text, word)
        if ran.ended == "timeout":
            return Grade(outcome="timeout", detail=f"the tests took longer than {self._seconds(recipe):g} s")
        if ran.ended != "exited":
            return Grade(outcome="unresolved", detail=f"the tests were stopped at the limit of {ran.ended}")
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
