"""No key reaches a file, a log line, an exception or a report: everything is run with marked keys."""

import json
import os
import sqlite3
import subprocess
import sys
import traceback
import zlib

import anyio
import pytest

from tts.errors import TtsError
from tts.models.call import Patience
from tts.models.chat import Ask
from tts.models.names import model
from tts.packing import trajectory
from tts.testing.provider import Fault, ModelServer, Says, default_script

MARK = "MARKEDKEYzq7"
KEYS = {"OPENAI_API_KEY": f"tts-{MARK}-openai", "ANTHROPIC_API_KEY": f"tts-{MARK}-anthropic"}
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from tts.cli.main import call
sys.exit(call(sys.argv[1:]))
"""


def script(asked):
    """Fail in every way that tells something, and let the model itself repeat the key."""
    faults = ["error_echo", "429", "500", "cut", "malformed", "context", "refusal", "529"]
    if asked.index % 3 == 0:
        return Fault(faults[asked.index // 3 % len(faults)])
    if asked.schema is not None:
        return default_script(asked)
    return Says(
        f"The key is tts-{MARK}-openai and the answer is 4{asked.index % 2}", thinking=f"tts-{MARK}-openai"
    )


def tts(folder, *arguments, server):
    """Run a command in a folder of its own, with marked keys and all logs on stderr."""
    own = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    environment = {**os.environ, **server.environment, **KEYS, **own, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def found_in(folder):
    """Return the files below a folder that hold the mark, plain or in a compressed value of a database."""
    places = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if MARK.encode() in path.read_bytes():
            places.append(str(path))
        if path.suffix == ".db":
            places += [f"{path}: {where}" for where in database(path)]
    return places


def database(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                steps = [trajectory(connection, row[0])] if table == "trajectories" else []
                for value in (*row, *steps):
                    if MARK.encode() in opened(value):
                        yield f"{table}: {opened(value)[:200]!r}"
    connection.close()


def opened(value):
    if isinstance(value, bytes):
        try:
            return zlib.decompress(value)
        except zlib.error:
            return value
    return str(value).encode()


def test_the_search_finds_what_is_there(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE t (x BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (zlib.compress(b"a" * 99 + MARK.encode()),))
    connection.close()
    assert len(found_in(tmp_path)) == 1


@pytest.mark.thorough
def test_no_key_in_any_file_or_line(tmp_path):
    rows = [{"id": f"t{i}", "prompt": "What is 6 times 7?", "expected": "42"} for i in range(3)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ModelServer(script) as server:
        names = ("--judge", "anthropic/m", "--summarizer", "openai/m", "--answer", "number")
        urls = ("--base-url", server.openai_url, "--base-url", f"judge={server.anthropic_url}")
        strategies = ("-s", "sample(4) | rtv(votes=2)", "-s", "short-1@3", "-s", "pdr-short@2")
        run = (
            "run",
            "--tasks",
            "tasks.jsonl",
            "--model",
            "openai/m",
            *names,
            *urls,
            *strategies,
            "-o",
            "out",
        )
        done = [tts(tmp_path, *run, server=server)]
        done += [
            tts(tmp_path, "report", "out", server=server),
            tts(tmp_path, "show", "out", "t1", server=server),
        ]
        done.append(tts(tmp_path, "check", "--model", "openai/m", "--ask", *urls[:2], server=server))
        assert all(request.asked.key for request in server.requests), "the keys were sent"
        assert len(server.requests) > 30
    for one in done:
        assert MARK not in one.stdout + one.stderr
    assert done[0].returncode == 0, done[0].stderr[-2000:]
    assert "DEBUG" in done[0].stderr
    assert found_in(tmp_path) == []


@pytest.mark.parametrize("name", ["openai/m", "openai/responses/m", "anthropic/m"])
@pytest.mark.parametrize("kind", ["error_echo", "401", "404", "quota", "cut", "malformed"])
def test_no_key_in_an_exception(name, kind, monkeypatch):
    for variable, key in KEYS.items():
        monkeypatch.setenv(variable, key)
    patience = Patience(total_seconds=0.05, first_wait_seconds=0.001)
    with ModelServer(lambda asked: Fault(kind)) as server:
        url = server.anthropic_url if name.startswith("anthropic") else server.openai_url
        with pytest.raises(TtsError) as caught:
            anyio.run(model(name, base_url=url, patience=patience).ask, Ask("", ("hi",)))
    assert MARK not in "".join(traceback.format_exception(caught.value))
    assert MARK not in repr(caught.value)
