"""The ways an attempt can go wrong: each has its status, and touches neither its siblings nor the machine."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from tts.executors.rollout import RolloutRunner
from tts.hostile import cut
from tts.protocols import Attempt, Work
from tts.sandboxes.box import MIB, Caps, Order
from tts.sandboxes.bwrap import Bwrap
from tts.sandboxes.groups import controllers
from tts.types import Effect, Rollout, Status, Step, Task
from tts.workspaces.git import GitWorkspaces

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

CAPS = Caps(
    memory_bytes=160 * MIB, processes=40, file_bytes=4 * MIB, total_bytes=16 * MIB, output_bytes=20_000
)
EDIT = "echo 'x = 1' >>code.py; "
EDITED = ("+x = 1",)
WITH_GROUPS: Status = "limit" if len(controllers()) else "finished"
"""Without control groups the kernel only refuses memory and forks, and the command ends by itself."""

PYTHON = "exec python3 - <<'END'\n"


@dataclass(frozen=True)
class Way:
    """A script that goes wrong, and what must become of it: `holds` and `lacks` are of the patch.

    `says` and `hides` are of the output that was recorded. `code` is the return code, where it is known.
    """

    script: str
    status: Status = "finished"
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ("canary", "of a sibling", "Subproject commit")
    says: tuple[str, ...] = ()
    hides: tuple[str, ...] = ("of a sibling", "in the canary")
    code: int | None = None
    seconds: float = 10.0


HOSTILE_CONFIG = """
printf '#!/bin/sh\\ntouch "%s/pwned"\\n' "$CANARY" >evil; chmod +x evil
mkdir -p .git/hooks
for hook in post-checkout pre-commit post-index-change fsmonitor-watchman; do cp evil .git/hooks/$hook; done
git config core.fsmonitor "$PWD/evil"; git config core.hooksPath "$PWD/.git/hooks"
git config core.pager "touch $CANARY/pwned"; git config diff.external "touch $CANARY/pwned"
git config diff.evil.textconv "touch $CANARY/pwned; cat"; git config diff.evil.command "touch $CANARY/pwned"
git config filter.evil.clean "touch $CANARY/pwned; cat"; git config filter.evil.process "touch $CANARY/pwned"
git config core.sshCommand "touch $CANARY/pwned"; git config include.path "$CANARY/config"
echo '* filter=evil diff=evil merge=evil' >.gitattributes
"""

FORKS = """
import os
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
END
"""

NAMELESS = """
import os, time
files = []
for n in range(12):
    files.append(open(f"/tmp/f{n}", "wb"))
    os.unlink(f"/tmp/f{n}")
    files[-1].write(bytes(3 << 20))
    files[-1].flush()
    time.sleep(0.05)
time.sleep(8)
END
"""

SOCKETS = """
import os, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print("own", socket.create_connection(server.getsockname()).getsockname()[0])
for family, address in [(2, ("127.0.0.1", int(os.environ["PORT"]))), (2, ("192.0.2.1", 80))]:
    try:
        socket.socket(family).connect(address)
        print("through")
    except OSError as error:
        print("closed")
END
"""

WAYS = {
    "deletes .git": Way(EDIT + "rm -rf .git", holds=EDITED),
    "replaces .git by a file": Way(EDIT + "rm -rf .git; echo 'gitdir: /nowhere' >.git", holds=EDITED),
    "replaces .git by a link": Way(EDIT + "rm -rf .git; ln -s /tmp .git", holds=EDITED),
    "breaks .git": Way(EDIT + "echo bad >.git/HEAD; echo bad >.git/index; rm -rf .git/objects", holds=EDITED),
    "leaves locks in .git": Way(EDIT + "touch .git/index.lock .git/HEAD.lock", holds=EDITED),
    "leaves a daemon": Way(
        EDIT + "setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 1; done' >/dev/null 2>&1 & sleep 0.1",
        holds=EDITED,
    ),
    "leaves a daemon that keeps the output open": Way("(sleep 60 &); echo done", says=("done",), code=0),
    "fills the disk": Way(
        "n=0; while :; do head -c 3000000 /dev/zero >$HOME/$n; n=$((n+1)); done", "limit", code=-9
    ),
    "fills the disk with files without names": Way(PYTHON + NAMELESS, "limit", code=-9),
    "fills the memory disk": Way("head -c 200000000 /dev/zero >/dev/shm/f; echo $?", hides=("\n0\n",)),
    "forks without end": Way("f() { f | f & }; f; wait; sleep 5", WITH_GROUPS),
    "forks into new sessions without end": Way(PYTHON + FORKS, "limit", code=-9),
    "writes outside": Way(
        'echo bad >"$CANARY/file"; mkdir -p "$CANARY"; cp code.py /; '
        "for place in /etc/hosts /etc/profile /usr/bin/x; do echo bad >>$place; done",
        lacks=("diff --git",),
    ),
    "writes over the template": Way(
        '(echo bad >>"$TEMPLATE/tree/code.py"; rm -rf "$TEMPLATE") 2>/dev/null; '
        "find / -name usr -prune -o -name proc -prune -o -name 'template-*' -print",
        lacks=("diff --git",),
        hides=("template-",),
    ),
    "reads the clone's siblings": Way(
        'cat "$SIBLING/own.txt" ../*/own.txt ../*/*/own.txt /proc/*/cwd/own.txt; ls "$SIBLING/../.."; true'
    ),
    "reads the machine": Way(
        'cat "$CANARY/file" /etc/shadow /root/.bashrc /proc/1/environ; ls /root /home/* /var; ps -ef; true'
    ),
    "opens sockets": Way(PYTHON + SOCKETS, says=("own 127.0.0.1\nclosed\nclosed",), hides=("through",)),
    "rewrites history": Way(
        "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a;"
        + EDIT
        + "git checkout -q --orphan new; git add -A; git commit -qm all; git branch -D main; git tag base;"
        + "git reflog expire --all --expire=now; git gc -q --prune=now",
        holds=EDITED,
    ),
    "commits on branches and stashes": Way(
        "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a;"
        + EDIT
        + "git checkout -qb b; git commit -qam one; echo 'y = 2' >>code.py; git stash -q; echo 3 >new",
        holds=(*EDITED, "+++ b/new"),
        lacks=("y = 2",),
    ),
    "hides its changes from git": Way(
        "git update-index --assume-unchanged code.py; git config core.fileMode false;"
        "echo '*' >.git/info/exclude;" + EDIT + "chmod +x run.sh; echo new >new",
        holds=(*EDITED, "+++ b/new", "new mode 100755"),
    ),
    "makes a sparse file of 1 GB": Way(EDIT + "truncate -s 1G big; echo $?", holds=EDITED, hides=("\n0\n",)),
    "makes files that no patch may hold": Way(
        EDIT + "for n in 1 2 3; do head -c 4000000 /dev/zero >big$n; done", status="limit"
    ),
    "very deep folders": Way(
        EDIT + f"for i in 1 2 3 4 5; do mkdir -p {'d/' * 500}; cd {'d/' * 500}; done; echo x >f", holds=EDITED
    ),
    "makes a real file of 1 GB": Way(EDIT + "head -c 1073741824 /dev/zero >$HOME/big; true", holds=EDITED),
    "makes a real file of 1 GB in the tree": Way(
        EDIT + "head -c 1073741824 /dev/zero >big; true", holds=EDITED
    ),
    "names and contents that are no UTF-8": Way(
        'printf "a\\377b\\n" >"$(printf "n\\377.txt")"; printf "\\377\\376"; ' + EDIT,
        holds=(*EDITED, '"b/n\\377.txt"', "GIT binary patch"),
    ),
    "symlinks out of the tree": Way(
        'ln -s /etc/passwd out; ln -s "$CANARY" folder; echo bad >folder/file; ln -s ../.. up;' + EDIT,
        holds=(*EDITED, "new file mode 120000", "+/etc/passwd"),
        lacks=("root:", "in the canary"),
    ),
    "replaces folders by symlinks": Way(
        'mv pkg old; ln -s "$CANARY" pkg; rm code.py; ln -s "$CANARY/file" code.py',
        holds=("new file mode 120000",),
        lacks=("in the canary",),
    ),
    "loops of symlinks": Way("ln -s loop loop; ln -s . self; ln -s pkg/back pkg/back; " + EDIT, holds=EDITED),
    "a submodule": Way(
        "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a;"
        "git init -q $HOME/other; git -C $HOME/other commit -q --allow-empty -m one;"
        "git -c protocol.file.allow=always submodule --quiet add $HOME/other sub; " + EDIT,
        holds=EDITED,
    ),
    "a repository in the tree": Way("git init -q inner; echo x >inner/file; " + EDIT, holds=EDITED),
    "CRLF": Way("printf 'a = 1\\r\\nb = 2\\r\\n' >code.py", holds=("+a = 1\r\n",)),
    "changes only modes": Way(
        "chmod 755 code.py; chmod 700 pkg", holds=("old mode 100644\nnew mode 100755",)
    ),
    "prints escape codes": Way(
        'printf "\\033[2J\\033]0;title\\007\\033[31mred"; touch "$(printf "\\033[31m.txt")"',
        holds=('"b/\\033[31m.txt"',),
        lacks=("\x1b",),
        says=("red",),
        hides=("\x1b", "\x07"),
    ),
    "ignores SIGTERM": Way(EDIT + "trap '' TERM INT HUP; sleep 60", "limit", EDITED, code=-9, seconds=0.2),
    "sleeps past its time-out": Way(EDIT + "sleep 60", "limit", EDITED, code=-9, seconds=0.2),
    "FIFOs and sockets in the tree": Way(
        "mkfifo pipe pkg/pipe; python3 -c 'import socket; socket.socket(1).bind(\"sock\")'; " + EDIT,
        holds=EDITED,
        lacks=("pipe", "sock"),
    ),
    "unreadable files": Way(EDIT + "echo 1 >new; chmod 000 new pkg; chmod 400 code.py"),
    "takes the rights to its tree": Way(EDIT + "chmod 000 pkg . ; ls"),
    "huge output": Way(
        EDIT + "yes | tr -d '\\n' | head -c 20000000; echo end", holds=EDITED, says=("end", "left out")
    ),
    "closes its own output": Way("exec >&- 2>&- <&-; " + EDIT, holds=EDITED),
    "kills its parent": Way(EDIT + "kill -9 $PPID 1; kill -9 -1; sleep 0.1", holds=EDITED),
    "allocates memory without end": Way(
        "exec python3 -c 'x = [bytes(1 << 20) for _ in iter(int, 1)]'", WITH_GROUPS
    ),
    "ends with a signal": Way(EDIT + "kill -SEGV $$", holds=EDITED, code=139),
    "fails": Way(EDIT + "exit 3", holds=EDITED, code=3),
    "sets hooks and commands of git": Way(
        HOSTILE_CONFIG + EDIT, holds=(*EDITED, "+++ b/.gitattributes"), lacks=("in the canary",)
    ),
    "hides a change by attributes": Way(EDIT + "echo '*.py -diff' >.gitattributes", holds=("b/code.py",)),
    "hard links": Way(
        "ln code.py twin; ln /usr/bin/env tool; " + EDIT, holds=(*EDITED, "+++ b/twin"), lacks=("tool",)
    ),
    "deletes everything": Way(
        "rm -rf /testbed /testbed/* /testbed/.[!.]* /home /tmp /etc", holds=("deleted file mode",)
    ),
    "moves its tree": Way("mv /testbed /tmp/x; mkdir /testbed2; " + EDIT, holds=EDITED),
    "sets its clock and its limits": Way(
        "date -s 2001-01-01 && echo set; ulimit -c unlimited && echo set; ulimit -f unlimited && echo set; "
        "renice -n -5 $$ && echo set; true",
        hides=("\nset\n",),
    ),
    "dumps core": Way("ulimit -c unlimited; sh -c 'kill -ABRT $$'; true", lacks=("core",), code=0),
    "makes devices and mounts": Way(
        "mknod sda b 8 0 && echo made; mount -t tmpfs x /tmp && echo made; unshare -U true && echo made; "
        "chroot / true && echo made; cp /usr/bin/id id; chmod u+s id; ./id -u",
        says=("1000",),
        hides=("made",),
    ),
}


@dataclass
class Ears:
    steps_heard: list[Step] = field(default_factory=list)

    def record(self, step: Step) -> None:
        self.steps_heard.append(step)

    def spend(self, usage: object) -> None: ...
    def progress(self, length: float | None, *, thought: bool = False) -> None: ...
    def load(self, key: str, returns: type) -> object: ...
    def steps(self, key: str) -> list[Step]: ...


@dataclass
class Agent:
    """Attempt 0 goes wrong, with all that it could want to know; attempt 1 works until it has."""

    way: Way
    env: dict[str, str]
    fingerprint: str = "way"
    sibling: Path = Path()
    ready: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, task: Task, attempt: Attempt) -> Rollout:
        assert attempt.workspace is not None
        if attempt.index == 1:
            return await self.work(attempt, attempt.workspace)
        await self.ready.wait()
        env = {**self.env, "SIBLING": str(self.sibling)}
        async with Bwrap(CAPS).open(attempt.workspace) as box:
            result = await box.run(Order(["sh", "-c", self.way.script], env=env, seconds=self.way.seconds))
        attempt.record(
            Step(action="way", observation=cut(result.output, 30_000), returncode=result.returncode)
        )
        return Rollout(status="finished" if result.ended == "exited" else "limit", answer=result.ended)

    async def work(self, attempt: Attempt, workspace: Path) -> Rollout:
        def begun(line: str) -> None:
            self.sibling = workspace
            self.ready.set()

        script = "echo of a sibling >own.txt; echo begun; until [ -e go ]; do sleep 0.02; done; rm go"
        async with Bwrap(CAPS).open(workspace) as box:
            result = await box.run(Order(["sh", "-c", script], env=self.env, heard=begun, seconds=30))
        attempt.record(Step(action="work", returncode=result.returncode))
        return Rollout(answer=result.ended)


@dataclass(frozen=True)
class Place:
    """A repository, the workspaces of it, and a folder that nobody may touch."""

    task: Task
    workspaces: GitWorkspaces
    root: Path
    canary: Path

    def snapshot(self) -> dict[str, str]:
        """What lies outside of the attempts: the canary, the template and the repository."""
        found: dict[str, str] = {}
        for root in (self.canary, self.root, Path(self.task.repo)):
            for place, folders, files in os.walk(root):
                for path in (Path(place, name) for name in (*folders, *files)):
                    mode = path.lstat().st_mode
                    body = path.read_bytes() if stat.S_ISREG(mode) else b""
                    found[str(path)] = f"{mode:o} {hashlib.sha256(body).hexdigest()}"
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    top = tmp_path_factory.mktemp("ways")
    source, canary = top / "source", top / "canary"
    (source / "pkg").mkdir(parents=True)
    (source / "code.py").write_text("a = 1\nb = 2\n")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "pkg" / "inner.py").write_text("c = 3\n")
    canary.mkdir()
    (canary / "file").write_text("in the canary\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-qm", "base"]):
        subprocess.run(["git", *words], cwd=source, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, check=True, capture_output=True, text=True
    )
    task = Task("ways", "do", str(source), commit.stdout.strip())
    made = Place(task, GitWorkspaces(top / "attempts", max_patch_bytes=11 * MIB), top / "attempts", canary)

    async def main() -> None:
        async with made.workspaces.open(task):
            pass

    anyio.run(main)
    return made


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def carrying(mark: str) -> list[str]:
    """The living processes whose environment holds a mark."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [path.parent.name] if mark.encode() in path.read_bytes() else []
        except OSError:
            continue
    return found


@pytest.mark.parametrize("name", WAYS)
def test_a_way_to_go_wrong(name: str, place: Place, port: int) -> None:
    way, mark = WAYS[name], secrets.token_hex(16)
    template = next(place.root.glob("template-*"))
    env = {"CANARY": str(place.canary), "TEMPLATE": str(template), "PORT": str(port), "MARK": mark}
    before, clock = place.snapshot(), time.time()
    rollouts: dict[int, Rollout] = {}
    heard = [Ears(), Ears()]

    async def main() -> None:
        agent = Agent(way, env)
        runner = RolloutRunner(agent, place.workspaces)

        async def one(index: int) -> None:
            effect = Effect("rollout", place.task, Rollout, "way", occurrence=index)
            work: Work = heard[index]  # type: ignore[assignment]
            (rollouts[index],) = await runner.perform([effect], work)
            if index == 0:
                assert agent.sibling.joinpath("own.txt").read_text() == "of a sibling\n"
                assert 1 not in rollouts, "the sibling was to work for as long as that"
                agent.sibling.joinpath("go").touch()

        async with anyio.create_task_group() as group:
            group.start_soon(one, 0)
            group.start_soon(one, 1)

    anyio.run(main)
    wrong, sibling, step = rollouts[0], rollouts[1], heard[0].steps_heard[0]
    told = f"\n{step.observation}\n"
    assert wrong.status == way.status, (wrong.answer, wrong.error, told[:500])
    assert [text for text in way.holds if text not in (wrong.patch or "")] == [], (wrong.patch or "")[:500]
    assert [text for text in way.lacks if text in (wrong.patch or "")] == []
    assert [text for text in way.says if text not in told] == [], told[:500]
    assert [text for text in way.hides if text in told] == []
    assert step.returncode == way.code or way.code is None
    assert (sibling.status, sibling.answer, heard[1].steps_heard[0].returncode) == ("finished", "exited", 0)
    assert sibling.patch is not None
    assert sibling.patch.count("diff --git") == 1
    assert "+of a sibling" in sibling.patch
    assert place.snapshot() == before, "something outside of the workspace has changed"
    assert carrying(mark) == []
    assert time.time() - clock < 60


def test_there_are_thirty_and_more() -> None:
    assert len(WAYS) >= 30
    assert sys.platform == "linux"
