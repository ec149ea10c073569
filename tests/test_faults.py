"""What providers get wrong at scale: every rollout is accounted for, and nothing is paid for twice."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tts.errors import Declined, Unusable
from tts.models.faults import Again, meaning, retry_after
from tts.models.secrets import scrubbed
from tts.run import Run
from tts.testing.provider import ModelServer, Says, faulty

KINDS = ["429", "500", "503", "529", "cut", "short", "malformed", "stall", "stall_after", "408", "409"]
CHILD = Path(__file__).with_name("faults_child.py")


def answers(asked):
    """Return the sum that is asked for, after some thinking."""
    a, b = re.findall(r"\d+", asked.prompt)[:2]
    return Says(str(int(a) + int(b)), thinking="carry the one, " * 3)


def run(server, folder, n_tasks):
    """Run the strategy in a process of its own, as the server runs in this one."""
    command = [sys.executable, str(CHILD), server.openai_url, str(folder), str(n_tasks)]
    done = subprocess.run(command, env={**os.environ, **server.environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.thorough
def test_at_a_fault_rate_of_thirty_per_cent_every_rollout_is_accounted_for(tmp_path):
    n_tasks, k = 200, 8
    with ModelServer(faulty(answers, 0.3, KINDS, seed=3), keep_asked=False, tokens_per_event=4) as server:
        run(server, tmp_path, n_tasks)
        with Run.open(tmp_path) as found:
            rollouts = [r for task in found.tasks() for r in found.rollouts(task.id).values()]
            records = list(found.store.records(kind="rollout"))
            comparison = found.comparison()
        served = server.requests
        again = server.billed.requests
        run(server, tmp_path, n_tasks)
        assert server.billed.requests == again, "a second run pays for nothing"

    assert Counter(r.status for r in rollouts) == {"finished": n_tasks * k}
    assert len({(r.task_id, r.index) for r in rollouts}) == n_tasks * k == len(records)
    assert comparison.strategies[0].accuracy == 1.0
    whole = [s for s in served if s.fault is None and s.status == 200]
    late = len(whole) - n_tasks * k  # answers that came after the client had given up waiting for a word
    assert 0 <= late <= 0.05 * n_tasks * k, "each answer was paid for once"
    failed = len(served) - len(whole) + late
    assert failed > 0.3 * n_tasks * k
    usage = sum((record.usage for record in records[1:]), records[0].usage)
    unseen = usage.retries - failed  # a connection that the server has just closed fails without reaching it
    assert 0 <= unseen <= 0.05 * n_tasks * k, "what the retries cost is told, and their number"
    assert usage.retry_tokens > 0
    assert usage.retry_usd > 0
    exact = sum(s.prompt_tokens + 2 * s.output_tokens for s in whole) / 1e6
    assert usage.known_usd - usage.retry_usd == pytest.approx(exact, rel=0.05 if late else 1e-9)


class Told(Exception):
    """An error as the SDKs shape it."""

    def __init__(self, message="", *, status=None, body=None, headers=None):
        super().__init__(message)
        self.body = body
        if status is not None:
            self.status_code = status
            self.response = type("Response", (), {"headers": headers or {}})


Told.__module__ = "openai"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass(status):
    assert isinstance(meaning(Told("x", status=status), "m"), Again)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_ends_the_run(status):
    assert isinstance(meaning(Told("x", status=status), "m"), Unusable)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_ends_the_rollout(status):
    assert isinstance(meaning(Told("x", status=status), "m"), Declined)


def test_an_error_inside_a_stream_goes_by_its_kind():
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    found = meaning(Told("x", status=200, body=overloaded), "m")
    assert isinstance(found, Again)
    assert found.crowded
    invalid = {"type": "invalid_request_error", "message": "no"}
    assert isinstance(meaning(Told("x", body=invalid), "m"), Declined)
    assert isinstance(meaning(Told("connection lost"), "m"), Again)


def test_no_money_is_no_reason_to_wait():
    body = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
    assert isinstance(meaning(Told("insufficient_quota", status=429, body=body), "m"), Unusable)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_how_long_the_server_asks_to_wait(headers, seconds):
    assert retry_after(headers) == seconds


def test_keys_are_scrubbed(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "tts-marked-key-1")
    monkeypatch.setenv("SHORT_API_KEY", "x")
    assert scrubbed("no tts-marked-key-1 here, x, sk-abcdefgh12345") == "no [key] here, x, [key]"
    told = str(meaning(Told("Bad key: tts-marked-key-1", status=401), "m"))
    assert "marked" not in told
