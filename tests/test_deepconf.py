"""Log-probabilities from a server's stream to signals, and DeepConf online over them."""

from collections import Counter

import anyio
import anyio.lowlevel
import httpx2
import pytest
from tts_strategies.deepconf_online import DeepConfOnline

import tts
from tts.agents.chat import ChatAgent
from tts.cli.main import call
from tts.confidence import confidences
from tts.errors import UsageError
from tts.models.call import Patience
from tts.models.names import model
from tts.pipeline import Pipeline
from tts.registry import resolve
from tts.testing import ScriptedAgent, StageContract, opened, strategy_run
from tts.testing.provider import Fault, ModelServer, Says
from tts.types import Budget, Pool, Rollout, Usage

QUICK = Patience(total_seconds=20, stall_seconds=2.0, first_wait_seconds=0.001, longest_wait_seconds=0.01)
QUESTION = "What is 6 times 7?"
ROWS = ((-0.5, -1.5, -9.0), (-2.0, -4.0), (-0.1, -8.1, -0.1))


def agent_at(server, **options):
    chat = model("openai/m", base_url=server.openai_url, patience=QUICK)
    return ChatAgent(model=chat, **options)


def signals_of(says, **options):
    """Return the signals of one rollout, and the body of the last request."""
    with ModelServer(lambda asked: says(asked) if callable(says) else says) as server:
        result = tts.solve_sync(QUESTION, agent=agent_at(server, **options), strategy="single")
        return result.winner.signals, server.requests[-1].asked.body


# From the stream to the signals


def test_log_probabilities_of_the_stream_become_signals():
    says = Says("word " * 9, thinking="hmm " * 4, logprobs=ROWS)
    found, body = signals_of(says, logprobs=2, window=5)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    n_tokens = 12 + 4  # four bytes a token
    assert found == pytest.approx(confidences([ROWS[i % 3][:2] for i in range(n_tokens)], window=5))
    assert found["confidence_lowest_group"] == pytest.approx((1 + 3 + 4.1 + 1 + 3) / 5)


def test_they_are_not_asked_for_unless_wanted():
    found, body = signals_of(Says("42", logprobs=ROWS))
    assert found == {}
    assert "logprobs" not in body


def test_a_stream_that_begins_anew_counts_from_the_start():
    def script(asked):
        first = Says("word " * 8, logprobs=((-9.0,),), fault=Fault("cut", after_tokens=6))
        return first if asked.index == 0 else Says("word " * 8, logprobs=((-1.0,),))

    found, _ = signals_of(script, logprobs=1, window=2)
    assert set(found.values()) == {1.0}


def test_what_else_is_asked_otherwise_is_refused_before_anything_is_spent():
    for name in ("openai/responses/m", "anthropic/m"):
        with pytest.raises(UsageError, match="Chat Completions"):
            tts.chat(name, logprobs=20)
    with pytest.raises(UsageError, match="window"):
        tts.chat("openai/m", window=0)
    plain, asking = tts.chat("openai/m"), tts.chat("openai/m", logprobs=20)
    assert plain.fingerprint == tts.chat("openai/m", window=7).fingerprint != asking.fingerprint


def test_the_provider_tells_them_as_openai_does():
    with ModelServer(lambda asked: Says("sixteen bytes so", logprobs=ROWS)) as server:
        ask = {"model": "m", "messages": [{"role": "user", "content": "?"}], "logprobs": True}
        url, key = f"{server.openai_url}/chat/completions", {"Authorization": "Bearer key"}
        said = httpx2.post(url, json=ask | {"top_logprobs": 2}, headers=key).json()
        told = said["choices"][0]["logprobs"]["content"]
        assert "".join(token["token"] for token in told) == "sixteen bytes so"
        assert [[top["logprob"] for top in token["top_logprobs"]] for token in told] == [
            [-0.5, -1.5],
            [-2.0, -4.0],
            [-0.1, -8.1],
            [-0.5, -1.5],
        ]
        assert httpx2.post(url, json=ask | {"top_logprobs": 21}, headers=key).status_code == 400


# DeepConf online


def sure(confidences_, answers, *, tokens=10, fall_at=5):
    """Return an agent whose attempt i falls to confidences_[i] at its token `fall_at`."""
    ended = []

    async def think(task, attempt):
        i, lowest = attempt.index, 99.0
        for token in range(1, tokens + 1):
            attempt.spend(Usage(output_tokens=1))
            if token == fall_at:
                lowest = confidences_[i]
            attempt.progress(float(token), signals={"confidence_lowest_group": lowest})
            await anyio.lowlevel.checkpoint()
        ended.append(i)
        return Rollout(answer=answers[i], signals={"confidence_lowest_group": lowest})

    return ScriptedAgent(think), ended


def play(stage, agent, budget=Budget()):
    async def main():
        async with opened(agent=agent) as ledger:
            run = strategy_run(ledger, agent=agent, budget=budget)
            return await Pipeline(stage)(Pool(), run.scope()), run.spending

    return anyio.run(main)


class TestDeepConfOnline(StageContract):
    stage = DeepConfOnline(n=9, warmup=4, wave=2, eta=50.0)
    agent = sure([5, 3, 4, 1, 2, 6, 3, 9, 1], "ababababa")[0]


def test_what_is_less_sure_than_the_threshold_is_cut_where_it_falls():
    agent, ended = sure([2, 4, 1, 3, 2.9, 5, 3, 1], "abaaabba")
    made, spending = play(DeepConfOnline(n=8, warmup=4, wave=4, eta=50.0), agent)
    assert sorted(ended) == [0, 1, 2, 3, 5, 6]  # the threshold is 3, of the upper half of 2 4 1 3
    assert {r.index for r in made} == set(ended)
    assert made.rollouts[0].answer == "b"  # 4 + 5 + 3 against 3
    assert not made.incomplete
    assert made.ranked
    assert 6 * 10 + 2 * 5 <= spending.usage.output_tokens <= 6 * 10 + 2 * 6
    assert spending.rollouts == 8


def test_it_stops_once_the_leader_has_its_share():
    agent, ended = sure([2, 4, 3, 4] + [4] * 20, "babb" + "b" * 20)
    made, _ = play(DeepConfOnline(n=24, warmup=4, wave=2, eta=50.0, consensus=0.7), agent)
    # the threshold is 4: one a and one b vote, half; after the next wave three b of four
    assert len(ended) == 6
    assert made.rollouts[0].answer == "b"


def test_a_warm_up_that_agrees_is_all():
    agent, ended = sure([1, 2, 3, 4, 5], "aaaaa")
    play(DeepConfOnline(n=5, warmup=4), agent)
    assert len(ended) == 4


def test_without_signals_nothing_is_cut_and_heads_count():
    async def plain(task, attempt):
        attempt.progress(1.0)
        await anyio.lowlevel.checkpoint()
        return Rollout(answer="aab"[attempt.index % 3])

    made, _ = play(DeepConfOnline(n=9, warmup=3, wave=4), ScriptedAgent(plain))
    assert Counter(r.answer for r in made) == {"a": 6, "b": 3}
    assert made.rollouts[0].answer == "a"


def test_a_budget_that_ends_is_told():
    agent, ended = sure([5] * 8, "ab" * 4)
    made, _ = play(DeepConfOnline(n=8, warmup=4, wave=2), agent, Budget(rollouts=5))
    assert len(made) == len(ended) == 5
    assert made.incomplete


def test_the_stream_of_an_unsure_attempt_is_closed():
    def script(asked):
        if asked.index < 3:
            return Says(f"word word word {asked.index}", logprobs=((-3.0,),))
        return Says("word " * 4000, logprobs=((-1.0,),), seconds_per_token=0.001)

    with ModelServer(script) as server:
        agent = agent_at(server, logprobs=1, window=4)
        stage = DeepConfOnline(n=4, warmup=3, eta=100.0)
        result = tts.solve_sync(QUESTION, agent=agent, strategy=stage)
        server.wait_until(lambda s: s.connections_open == 0)
        assert len(result.choice.pool) == 3
        last = max(server.requests, key=lambda request: request.asked.index)
        assert 4 <= last.output_tokens < 4000
    assert not result.incomplete


def test_parameters():
    assert str(resolve("deepconf-online@8").run) == "deepconf_online(n=8, warmup=8)"
    for bad in ({"n": 3}, {"warmup": 0}, {"wave": 0}, {"eta": 101.0}, {"consensus": 0.0}):
        with pytest.raises(UsageError):
            DeepConfOnline(**bad)


def test_the_command_line_asks_for_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "t", "prompt": "?", "expected": "42"}\n')
    line = ["run", "--tasks", str(tasks), "-o", str(tmp_path / "run"), "-s", "deepconf@2", "--logprobs", "20"]
    with ModelServer(lambda asked: Says("42", logprobs=ROWS)) as server:
        assert call([*line, "--model", "openai/m", "--base-url", server.openai_url]) == 0
        assert {request.asked.body["top_logprobs"] for request in server.requests} == {20}
    assert call([*line, "--agent", "some:thing"]) == 2
    assert "--logprobs is for --model" in capsys.readouterr().err
