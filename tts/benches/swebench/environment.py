"""Prepared environments: an instance's checkout after its install, made once and copied for each grading."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CancelScope, to_thread

from tts import hostile
from tts.benches.swebench.indexes import install_setting
from tts.benches.swebench.locks import free, locked
from tts.benches.swebench.pythons import Interpreter, find_python, make_venv
from tts.benches.swebench.recipes import Recipe
from tts.errors import Infra
from tts.sandboxes.box import INSIDE, Mount, Order, Sandbox
from tts.sandboxes.setting import SYSTEM_PATH
from tts.types import Task, digest
from tts.workspaces.git import check_place, git, not_fetched, serving
from tts.workspaces.removal import remove

VERSION = 1
WITNESS = "_tts_witness"

INSTALL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A prepared environment below `place`.

    `base` is a git directory that holds the base commit alone, `tree` the checkout as the install left it,
    `venv` its Python. `fixed`: the sandbox shows a checkout where it lies, so there is one place for all.
    """

    place: Path
    python: Interpreter
    fixed: bool

    @property
    def base(self) -> Path:
        """The git directory, which no command of the instance ever sees."""
        return self.place / "base.git"

    @property
    def tree(self) -> Path:
        """The checkout after the install, to be copied."""
        return self.place / "tree"

    @property
    def venv(self) -> Path:
        """The virtual environment; it is mounted where it was made."""
        return self.place / "venv"

    @property
    def site_packages(self) -> Path:
        """Where the environment's packages lie."""
        (found,) = self.venv.glob("lib/python3*/site-packages")
        return found

    def mounts(self, *, writable: bool = False) -> tuple[Mount, ...]:
        """Return what the sandbox must show: the environment, and the Python it was made with."""
        own = () if self.python.prefix.is_relative_to("/usr") else (Mount(self.python.prefix),)
        return (*own, Mount(self.venv, writable=writable))

    def variables(self) -> dict[str, str]:
        """Return the variables of the activated environment; hashes are the same in every run."""
        path = os.pathsep.join((f"{self.venv}/bin", f"{self.python.prefix}/bin", *SYSTEM_PATH))
        return {"PATH": path, "VIRTUAL_ENV": str(self.venv), "PYTHONHASHSEED": "0", "TZ": "UTC"}

    @asynccontextmanager
    async def copy(self) -> AsyncGenerator[Path]:
        """Yield a copy of the checkout, removed afterwards; where there is one place for all, in turn."""
        if self.fixed:
            async with locked(self.place / "work.lock"), _copied(self.tree, self.place / "work") as place:
                yield place
        else:
            (self.place / "runs").mkdir(exist_ok=True)
            own = Path(tempfile.mkdtemp(prefix="run-", dir=self.place / "runs"))
            async with _copied(self.tree, own) as place:
                yield place


@asynccontextmanager
async def _copied(tree: Path, own: Path) -> AsyncGenerator[Path]:
    try:
        await to_thread.run_sync(_empty, own)
        await _run("cp", "-a", "--reflink=auto", str(tree), str(own / "testbed"))
        yield own / "testbed"
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(remove, own)


class Environments:
    """Prepared environments below `root`, at most `keep` of them; the one unused longest goes first.

    An environment is made once for its recipe and base commit, also among several processes.
    """

    def __init__(self, root: Path, sandbox: Sandbox, *, keep: int = 50) -> None:
        self._root, self._sandbox, self._keep = root.absolute(), sandbox, keep
        self._fixed: bool | None = None

    @property
    def sandbox(self) -> Sandbox:
        """Where installs and tests run."""
        return self._sandbox

    @asynccontextmanager
    async def open(self, task: Task, recipe: Recipe) -> AsyncGenerator[Environment]:
        """Yield the environment of a task; while it is held, nothing removes it.

        Raises:
            UsageError: there is no such Python, or no such repository and commit.
            Infra: the install failed; the message ends with its last lines.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        python = await to_thread.run_sync(find_python, recipe.python)
        found = Environment(
            self._root / self._name(task, recipe, await self._in_place()), python, bool(self._fixed)
        )
        lock = found.place.with_suffix(".lock")
        ready = found.place / "ready"
        while True:
            await _swept(found.place, lock)
            async with locked(lock, shared=True):
                if ready.exists():
                    ready.touch()
                    _place_witness(found.site_packages)
                    yield found
                    return
            async with locked(lock):
                if not ready.exists():
                    await self._make(found, task, recipe)
            await self._trim(found.place)

    def _name(self, task: Task, recipe: Recipe, fixed: bool) -> str:
        told = [VERSION, task.base_commit, recipe.python, list(recipe.install), recipe.pip, fixed]
        repo = str(task.metadata.get("group", task.repo))
        return f"env-{digest([repo, *told])[:20]}"

    async def _in_place(self) -> bool:
        """Return whether the sandbox shows a folder at its real path only."""
        if self._fixed is None:
            with tempfile.TemporaryDirectory(prefix="probe-", dir=self._root) as name:
                place = Path(name) / "workspace"
                place.mkdir()
                async with self._sandbox.open(place, at=INSIDE) as box:
                    self._fixed = box.cwd != INSIDE
        return self._fixed

    async def _make(self, env: Environment, task: Task, recipe: Recipe) -> None:
        await to_thread.run_sync(remove, env.place)
        work = env.place / "work" / "testbed"
        work.parent.mkdir(parents=True)
        try:
            await check_out(task, env.base, work)
            await make_venv(env.python, env.venv, pip=recipe.pip)
            await self._install(env, work, recipe.install)
            work.rename(env.tree)
            (env.place / "ready").touch()
        except BaseException:
            with CancelScope(shield=True):
                await to_thread.run_sync(remove, env.place)
            raise

    async def _install(self, env: Environment, work: Path, commands: Sequence[str]) -> None:
        setting, shown = install_setting()
        variables = {**setting, **env.variables()}
        async with self._sandbox.open(work, at=INSIDE, mounts=(*shown, *env.mounts(writable=True))) as box:
            for command in commands:
                ran = await box.run(
                    Order(["bash", "-c", command], env=variables, network=True, seconds=INSTALL_SECONDS)
                )
                if ran.returncode or ran.ended != "exited":
                    how = f"exit code {ran.returncode}" if ran.ended == "exited" else f"stopped: {ran.ended}"
                    said = "\n".join(hostile.clean(ran.output).strip().splitlines()[-15:])
                    raise Infra(f"install failed ({how}): {command[:200]}\n{said[-3000:]}")

    async def _trim(self, used: Path) -> None:
        """Remove what is beyond `keep`, longest unused first; what somebody holds stays."""
        made = [path.parent for path in self._root.glob("env-*/ready")]
        for place in sorted(made, key=_last_used, reverse=True)[self._keep :]:
            async with free(place.with_suffix(".lock")) as held:
                if held and place != used:
                    (place / "ready").unlink(missing_ok=True)
                    await to_thread.run_sync(remove, place)


def _place_witness(packages: Path) -> None:
    """Put the witness into an environment, at once and whole; it may be newer than the environment."""
    source = Path(__file__).with_name("witness.py").read_text()
    for name, text in ((f"{WITNESS}.py", source), (f"{WITNESS}.pth", f"import {WITNESS}\n")):
        target = packages / name
        if not target.exists() or target.read_text() != text:
            draft = packages / f".{name}.{os.getpid()}"
            draft.write_text(text)
            draft.replace(target)


def _last_used(place: Path) -> float:
    try:
        return (place / "ready").stat().st_mtime
    except OSError:
        return 0.0


async def _swept(place: Path, lock: Path) -> None:
    """Remove the copies that a killed process left, where nobody uses the environment."""
    if (place / "runs").exists():
        async with free(lock) as held:
            if held:
                await to_thread.run_sync(remove, place / "runs")


async def check_out(task: Task, base: Path, work: Path) -> None:
    """Fetch the base commit alone into a git directory, and check it out into a repository of its own.

    Raises:
        UsageError: the repository or the commit is not there.
        Infra: a host could not be reached, or has no such commit.
    """
    check_place(task)
    fetch, source = ("fetch", "--quiet", "--no-tags", "--depth=1"), _source(task.repo)
    branch = f"{task.base_commit}:refs/heads/main"
    try:
        await git("init", "--quiet", "--bare", "--template=", str(base), cwd=work.parent)
        await git(*fetch, *serving(source), "--", source, branch, cwd=base)
    except Infra as problem:
        raise not_fetched(task, problem) from problem
    await git("symbolic-ref", "HEAD", "refs/heads/main", cwd=base)
    await git("init", "--quiet", "--template=", "--initial-branch=main", str(work), cwd=work.parent)
    await git(*fetch, *serving(str(base)), "--", str(base), "main", cwd=work)
    await git("reset", "--quiet", "--hard", task.base_commit, cwd=work)


def _source(repo: str) -> str:
    return str(Path(repo).absolute()) if Path(repo).exists() else repo


async def _run(*argv: str) -> None:
    done = await anyio.run_process(argv, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Infra(f"{argv[0]} failed: {said[-1][:300]}")


def _empty(place: Path) -> None:
    remove(place)
    place.mkdir(parents=True)
