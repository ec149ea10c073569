"""The command line with models: every option and error, over real HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tts.cli.main import call
from tts.cli.models import Voices, names_of, options_of, urls_of, voices_of
from tts.errors import UsageError
from tts.models.throttle import Limits
from tts.testing.provider import Asked, Fault, ModelServer, Says, Script, default_script

OPENAI_KEY = "sk-marked-openai-0123456789"
ANTHROPIC_KEY = "sk-ant-marked-0123456789"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", ANTHROPIC_KEY)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    rows = [{"id": f"t{i}", "prompt": f"What is {i} times {i}?", "expected": str(i * i)} for i in range(3)]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pupil(asked: Asked) -> Says:
    """Answers questions about squares, rightly three times in four, and everything with a schema."""
    if asked.schema is not None:
        return default_script(asked)
    number = int(re.findall(r"What is (\d+)", asked.prompt)[0])
    seed = (asked.seed or 0) % 4
    return Says(f"So it is \\boxed{{{number**2 + (seed == 0)}}}.", thinking="hmm " * (20 + 10 * seed))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(pupil, models=["m", "j", "s"]) as found:
        yield found


def command(tasks: Path, *more: str) -> list[str]:
    return ["run", "--tasks", str(tasks), "-o", str(tasks.parent / "run"), *more]


def at(server: ModelServer) -> list[str]:
    return ["--model", "openai/m", "--base-url", server.openai_url, "--answer", "boxed"]


def judged_at(server: ModelServer) -> list[str]:
    return [*at(server), "--judge", "anthropic/j", "--base-url", f"judge={server.anthropic_url}"]


def bodies(server: ModelServer, model: str = "m") -> list[dict[str, Any]]:
    served = sorted((r for r in server.requests if r.model == model), key=lambda r: r.index)
    return [dict(r.asked.body) for r in served if r.asked is not None]


# Runs


def test_a_run_of_models_and_its_resume(
    tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = ["--price", "1,4", "--price", "anthropic/j=3,15,0.3,3.75"]
    limits = ["--max-tokens", "30000000", "--max-cost", "400"]
    strategies = ["-s", "sample(4) | rtv()", "-s", "short-3@8"]
    line = command(tasks, *judged_at(server), *prices, *limits, *strategies)
    assert call(line) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("At most 24 rollouts, 12 summaries, ")
    assert "the run stops at $400.00, 30,000,000 tokens" in captured.err
    assert "short-3@8" in captured.out
    assert {r.model for r in server.requests} == {"m", "j"}
    assert {r.api for r in server.requests if r.model == "j"} == {"messages"}
    n = len(server.requests)
    assert call([*line, "--json"]) == 0
    captured = capsys.readouterr()
    assert len(server.requests) == n
    assert "0 rollouts run, " in captured.err
    bill = json.loads(captured.out)["bill"]
    assert 0 < bill["usd"] < 1
    assert bill["tokens"] > bill["input_tokens"] > 0
    assert (bill["retries"], bill["unpriced_calls"]) == (0, 0)


def test_what_is_stored_needs_no_key(
    tasks: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = command(tasks, "--model", "openai/m", "-s", "single")
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
    assert call(line) == 0
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert call([*line, "-s", "vote@1"]) == 0
    assert "0 rollouts run, 3 found" in capsys.readouterr().out


def test_an_agent_by_a_models_name_is_that_model(tasks: Path, server: ModelServer) -> None:
    line = command(tasks, "--agent", "openai/m", "--base-url", server.openai_url, "--temperature", "0.5")
    assert call([*line, "-s", "single"]) == 0
    assert [body["temperature"] for body in bodies(server)] == [0.5] * 3


def test_the_options_of_the_model_are_in_its_requests_alone(tasks: Path, server: ModelServer) -> None:
    own = ["--temperature", "0.7", "--option", "reasoning_effort=high", "--option", "top_p=0.9"]
    line = command(tasks, *judged_at(server), *own, "--max-output-tokens", "900", "-s", "rtv@2")
    assert call(line) == 0
    for body in bodies(server):
        assert (body["temperature"], body["reasoning_effort"], body["top_p"]) == (0.7, "high", 0.9)
    assert {r.asked.max_tokens for r in server.requests if r.asked} == {900}
    judged = bodies(server, "j")
    assert judged
    assert not any(body.keys() & {"temperature", "reasoning_effort", "top_p"} for body in judged)


def test_every_role_can_be_a_model(tasks: Path, server: ModelServer) -> None:
    line = command(tasks, *judged_at(server), "--summarizer", "openai/s", "-s", "sample(2) | rtv()")
    assert call(line) == 0
    assert {r.model for r in server.requests} == {"m", "j", "s"}


def test_without_schemas_the_judge_is_asked_in_words(tasks: Path) -> None:
    def script(asked: Asked) -> Says:
        if "Your verdict" in asked.prompt:
            return Says('{"reasons": "It is shorter.", "verdict": "A"}')
        return Says(f"{asked.index}")

    with ModelServer(script, schemas=False, models=["m"]) as plain:
        line = command(tasks, "--model", "openai/m", "--judge", "openai/m", "--base-url", plain.openai_url)
        assert call([*line, "--no-schema", "-s", "rtv@2"]) == 0
        assert {r.status for r in plain.requests} == {200}
        assert not any("response_format" in body for body in bodies(plain))


def test_the_users_prompts_take_the_place_of_ours(tasks: Path, server: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    own = "{% block system %}Be brief.{% endblock %}{% block question %}{{ prompt }} Quick!{% endblock %}"
    (tmp_path / "prompts" / "answer.jinja").write_text(own)
    assert call(command(tasks, *at(server), "--prompts", str(tmp_path / "prompts"), "-s", "single")) == 0
    assert {r.asked.system for r in server.requests if r.asked} == {"Be brief."}
    assert all(r.asked.prompt.endswith("Quick!") for r in server.requests if r.asked)


def test_hidden_thinking_is_another_agent(tasks: Path, server: ModelServer) -> None:
    assert call(command(tasks, *at(server), "-s", "single")) == 0
    assert call(command(tasks, *at(server), "--thinking", "hidden", "-s", "single")) == 0
    assert len(server.requests) == 6


def test_retries_are_on_the_bill(tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def script(asked: Asked) -> Says:
        return Says("4", fault=Fault("cut", after_tokens=1) if asked.index == 0 else None)

    with ModelServer(script, models=["m"]) as server:
        line = command(tasks, "--model", "openai/m", "--base-url", server.openai_url, "-s", "single")
        assert call([*line, "--price", "1000,2000"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"1 retry cost [1-9]\d* tokens \(\$0\.0\d+\)\.", out)
    assert call(["report", str(tasks.parent / "run"), "--json"]) == 0
    bill = json.loads(capsys.readouterr().out)["bill"]
    assert bill["retries"] == 1
    assert bill["retry_tokens"] > 0 < bill["retry_usd"]


def test_caches_and_unknown_prices_are_on_the_bill(
    tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tasks.with_name("long.jsonl")
    long.write_text(json.dumps({"id": "a", "prompt": f"What is 3 times 3? {'Think. ' * 1500}"}) + "\n")
    assert call([*command(long, *at(server), "--workers", "1"), "-s", "vote@3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Of unknown price: 3 calls." in out
    assert re.search(r"Prompt caches: \d,\d{3} of \d,\d{3} input tokens read from one\.", out)


# Before a run


def test_the_ceiling_of_models_is_reckoned(
    tasks: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    models = ["--model", "openai/gpt-5", "--judge", "openai/gpt-5-mini", "--max-output-tokens", "1000"]
    line = command(tasks, *models, "-s", "rtv@2", "--dry-run", "--json")
    assert call(line) == 0
    found = json.loads(capsys.readouterr().out)["ceiling"]
    assert (found["rollouts"], found["verdicts"]) == (6, 36)
    assert found["cost"]["usd"] > 0
    # A candidate is read up to 24,000 tokens; two for each vote, asked twice.
    assert found["cost"]["tokens"] > 36 * 2 * 2 * 24_000
    assert not (tmp_path / "run").exists()


def test_an_unknown_price_says_which_flag_gives_it(tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = command(tasks, "--model", "openai/own", "-s", "single")
    assert call([*line, "--dry-run"]) == 0
    assert "how many dollars is unknown without --price" in capsys.readouterr().out
    assert call([*line, "--max-cost", "1"]) == 2
    assert "give --price openai/own=IN,OUT" in capsys.readouterr().err
    assert call([*line, "--max-cost", "1", "--price", "1,2", "--dry-run"]) == 0
    assert call([*line, "--max-cost", "1", "--rollout-usd", "0.1", "--dry-run"]) == 0


def trouble(tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str], name: str) -> str:
    """Return the line of a run with the model of that name that must not begin."""
    line = command(tasks, "--model", name, "--base-url", server.openai_url, "-s", "single")
    assert call(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert OPENAI_KEY not in captured.err
    assert server.requests == []
    assert not (tasks.parent / "run").exists()
    return captured.err


def test_a_wrong_key_stops_the_run_before_it_begins(tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(models=["m"], keys=["another"]) as server:
        assert "401" in trouble(tasks, server, capsys, "openai/m")


def test_an_unknown_model_stops_the_run_before_it_begins(
    tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not serve it; it has m, j, s" in trouble(tasks, server, capsys, "openai/nope")


def test_a_judge_that_cannot_be_had_stops_the_run_too(
    tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*at(server), "--judge", "anthropic/nope", "--base-url", f"judge={server.anthropic_url}"]
    assert call(command(tasks, *line, "-s", "rtv@2")) == 2
    assert "anthropic/nope" in capsys.readouterr().err
    assert server.requests == []


def test_a_missing_key_is_named(
    tasks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert call(command(tasks, "--model", "anthropic/m", "-s", "single")) == 2
    assert capsys.readouterr().err.startswith("error: ANTHROPIC_API_KEY is not set")
    assert call(command(tasks, "--model", "anthropic/m", "-s", "single", "--dry-run")) == 0


M = ["--model", "openai/m"]
BAD: dict[str, tuple[list[str], str]] = {
    "nobody": ([], "one of --agent and --model is needed"),
    "both": ([*M, "--agent", "x:y"], "--agent and --model exclude each other"),
    "provider": (["--model", "foo/bar"], "'foo/bar' is no model: write PROVIDER/NAME with one of openai,"),
    "no provider": (["--model", "gpt-5"], "'gpt-5' is no model"),
    "judge": ([*M, "--judge", "foo/bar"], "'foo/bar' is no model"),
    "judge name": ([*M, "--judge", "evidance"], "did you mean 'evidence'?"),
    "temperature": ([*M, "--temperature", "3"], "a temperature is from 0 to 2, not 3.0"),
    "cap": ([*M, "--max-output-tokens", "0"], "--max-output-tokens"),
    "price": ([*M, "--price", "cheap"], "'cheap' is no price: write INPUT,OUTPUT"),
    "price of nobody": ([*M, "--price", "x/y=1,2"], "no role is played by 'x/y'; the models are openai/m"),
    "price without model": (["--agent", "x:y", "--price", "1,2"], "there is no --model"),
    "negative price": ([*M, "--price", "1,-2"], "a price is zero or more dollars"),
    "option": ([*M, "--option", "high"], "write KEY=VALUE, such as reasoning_effort=high"),
    "no key": ([*M, "--option", "=high"], "write KEY=VALUE"),
    "taken option": ([*M, "--option", "stream=false"], "stream is set by tts itself"),
    "url": ([*M, "--base-url", "localhost:8000"], "write an http or https address"),
    "url scheme": ([*M, "--base-url", "file:///etc/passwd"], "write an http or https address"),
    "url port": ([*M, "--base-url", "http://x:99999"], "write an http or https address"),
    "url twice": ([*M, "--base-url", "http://a", "--base-url", "http://b"], "given twice"),
    "url of judge": ([*M, "--base-url", "judge=http://a"], "the judge is no model"),
    "url of nobody": (["--agent", "x:y", "--base-url", "http://a"], "no role is played by a model"),
    "answer": ([*M, "--answer", "boxd"], "there is no form of answer 'boxd'; the choices are text, boxed"),
    "regex": ([*M, "--answer", "regex:("], "is no regular expression"),
    "thinking": ([*M, "--thinking", "loud"], "--thinking"),
    "prompts": ([*M, "--prompts", "/absent"], "no prompts in /absent"),
    "rpm": ([*M, "--rpm", "0"], "--rpm"),
    "tpm": ([*M, "--tpm", "-1"], "--tpm"),
    "concurrency": ([*M, "--concurrency", "0"], "--concurrency"),
    "start": ([*M, "--start", "0"], "--start"),
    "of an agent": (
        ["--agent", "tts.testing:ScriptedAgent", "--answer", "boxed"],
        "--answer is for --model, and the agent here is tts.testing:ScriptedAgent",
    ),
    "no price": ([*M, "--task-max-cost", "1"], "give --price openai/m=IN,OUT"),
    "judge's price": (
        [*M, "--rollout-usd", "1", "--judge", "openai/j", "--max-cost", "1"],
        "give --price openai/j=IN,OUT",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_line_and_code_2(
    name: str, tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, told = BAD[name]
    assert call(command(tasks, *arguments, "-s", "single")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tasks.parent / "run").exists()


def test_a_password_in_an_address_is_refused_and_not_repeated(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("https://me:hidden@host/v1", "judge=https://me:hidden@host/v1", "ftp://me:hidden@host"):
        assert call(command(tasks, *M, "--base-url", url, "-s", "single")) == 2
        captured = capsys.readouterr()
        assert "holds no password" in captured.err
        assert "hidden" not in captured.err


# What the options come to


def test_a_plain_url_is_for_the_provider_named_first() -> None:
    names = names_of(model="openai/m", judge="openai/j", summarizer="anthropic/s")
    found = voices_of(names, base_url=["http://a/v1"])
    assert [(role, m.base_url) for role, m in found.models] == [
        ("model", "http://a/v1"),
        ("judge", "http://a/v1"),
        ("summarizer", ""),
    ]


def test_a_url_of_a_role_goes_before_the_plain_one() -> None:
    names = names_of(agent="my:agent", judge="openai/j", summarizer="openai/s")
    found = voices_of(names, base_url=["judge=http://b", "http://a"])
    assert [(role, m.base_url) for role, m in found.models] == [
        ("judge", "http://b"),
        ("summarizer", "http://a"),
    ]
    with pytest.raises(UsageError, match="no password or query"):
        urls_of(["http://x/?key=secret"], names)


def test_a_model_in_two_roles_is_one_where_its_settings_agree() -> None:
    found = voices_of(names_of(model="openai/m", judge="openai/m"), price=["1,2"])
    assert found.model("model", "openai/m") == found.model("judge", "openai/m")
    warm = voices_of(names_of(model="openai/m", judge="openai/m"), price=["1,2"], temperature=1.0)
    assert warm.model("model", "openai/m") != warm.model("judge", "openai/m")


def test_limits_are_for_every_model() -> None:
    limits = Limits(10, 20_000, 3)
    found: Voices = voices_of(names_of(model="openai/m", judge="anthropic/j"), limits=limits)
    assert {m.limits for _, m in found.models} == {limits}


def test_as_many_requests_as_are_told_go_out_before_a_model_has_answered(
    server: ModelServer, tasks: Path
) -> None:
    flags = ["--base-url", server.openai_url, "--answer", "boxed", "--start", "1", "--workers", "3"]
    assert call(command(tasks, *M, *flags, "-s", "single")) == 0
    first, *others = server.requests
    assert len(others) == 2
    assert all(request.opened_at >= first.sent_at[-1] for request in others)


def test_a_value_that_is_no_json_is_text() -> None:
    given = ["a=1", "b=high", 'c={"d": [true]}', "e=x=y", "f=NaN", "g="]
    found = {"a": 1, "b": "high", "c": {"d": [True]}, "e": "x=y", "f": "NaN", "g": ""}
    assert options_of(given) == found


def test_a_price_is_of_the_model_that_has_its_name() -> None:
    names = names_of(model="openai/m", judge="bedrock/x.y-v1:0")
    found = voices_of(names, price=["bedrock/x.y-v1:0=3,15,0.3", "1,2"])
    assert [m.price and m.price.input for _, m in found.models] == [1, 3]
    with pytest.raises(UsageError, match="write NAME=INPUT,OUTPUT"):
        voices_of(names, price=["bedrock/x=3,15"])


# tts check


def test_check_lists_the_keys_without_their_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert call(["check"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^openai +OPENAI_API_KEY is set$", out, re.M)
    assert re.search(r"^anthropic +ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN is not set$", out, re.M)
    assert call(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {k["provider"]: k["variable"] for k in found["keys"]} == {
        "openai": "OPENAI_API_KEY",
        "anthropic": "",
        "azure": "",
        "bedrock": "",
        "vertex_ai": "",
    }
    assert "marked" not in out + json.dumps(found)


def test_check_asks_servers_for_their_models_and_pays_nothing(
    server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = ["--base-url", server.openai_url, "--base-url", f"judge={server.anthropic_url}"]
    assert call(["check", "--model", "openai/m", "--judge", "anthropic/j", *urls]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"  server  answers at http://\S+, and has the model", out)) == 2
    assert "  price   not known; tts run --price openai/m=IN,OUT gives it" in out
    assert server.requests == []
    assert call(["check", "--model", "openai/m", "--model", "openai/x", *urls[:2], "--json"]) == 1
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(m["name"], m["fine"]) for m in models] == [("openai/m", True), ("openai/x", False)]
    assert "does not serve it" in models[1]["error"]


def test_check_knows_published_prices(server: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(models=["gpt-4o"]) as known:
        assert call(["check", "--model", "openai/gpt-4o", "--base-url", known.openai_url]) == 0
    assert "  price   $2.50 in, $10.00 out per million tokens" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["openai/m", "openai/responses/m", "anthropic/m"])
def test_check_can_ask_for_a_few_tokens(
    name: str, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(models=["m"]) as found:
        url = found.anthropic_url if name.startswith("anthropic") else found.openai_url
        assert call(["check", "--model", name, "--base-url", url, "--ask"]) == 0
        (asked,) = (r.asked for r in found.requests if r.asked)
    assert asked.max_tokens == 16
    assert re.search(r"  asked   answered in \d\.\d\d s \(\d+ tokens, \?\)", capsys.readouterr().out)


def test_check_tells_what_went_wrong_with_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(lambda asked: Fault("context"), models=["m"]) as found:
        assert call(["check", "--model", "openai/m", "--base-url", found.openai_url, "--ask"]) == 1
    assert "  asked   NO: openai/m: 400" in capsys.readouterr().out


def test_check_of_a_missing_key_a_wrong_key_and_a_dead_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer(models=["m"], keys=["another"]) as found:
        url = found.openai_url
        assert call(["check", "--model", "openai/m", "--base-url", url]) == 1
    assert "  server  NO: openai/m: 401" in capsys.readouterr().out
    assert call(["check", "--model", "openai/m", "--base-url", url]) == 1
    assert "  server  NO: 127.0.0.1:" in capsys.readouterr().out
    monkeypatch.delenv("OPENAI_API_KEY")
    assert call(["check", "--model", "openai/m"]) == 1
    out = capsys.readouterr().out
    assert "  key     OPENAI_API_KEY is not set" in out
    assert "  server  NO: OPENAI_API_KEY is not set" in out


def test_a_server_of_ones_own_needs_no_key(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert call(["check", "--model", "openai/m", "--base-url", server.openai_url]) == 0
    assert "OPENAI_API_KEY is not set; a server of your own may need none" in capsys.readouterr().out


def test_what_a_server_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile: Script = lambda asked: Fault("context", message="\x1b[2J\u202eowned\x07 [bold]x[/bold]")  # noqa: E731
    with ModelServer(hostile, models=["m"]) as found:
        assert call(["check", "--model", "openai/m", "--base-url", found.openai_url, "--ask"]) == 1
    out = capsys.readouterr().out
    assert "owned" in out
    assert "[bold]x[/bold]" in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "m"], "'m' is no model"),
        (["--judge", "evidence"], "'evidence' is no model"),
        (["--model", "openai/m", "--base-url", "x"], "write an http or https address"),
        (["--base-url", "http://x"], "no role is played by a model"),
    ],
)
def test_bad_input_of_check(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1


# Help


def test_the_help_of_run_is_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "--help"]) == 0
    out = capsys.readouterr().out
    heads = re.findall(r"^(\w+):$", out, re.M)
    assert heads == ["Options", "Models", "Tests", "Limits", "Machines"]
    assert "--price" in out.split("\nModels:\n")[1].split("\nLimits:\n")[0]
    assert call(["check", "--help"]) == 0
    assert "  tts check" in capsys.readouterr().out.split("Examples:")[1]


def test_the_shell_completes_judges() -> None:
    code = "from tts.cli.main import main; main()"
    words = {"_TTS_COMPLETE": "complete_bash", "COMP_WORDS": "tts run --judge ev", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["evidence"]


def test_no_key_is_written_or_said(
    tasks: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command(tasks, *judged_at(server), "-s", "rtv@2")) == 0
    captured = capsys.readouterr()
    told = (captured.out + captured.err).encode()
    written: Callable[[Path], bytes] = Path.read_bytes
    everything = b"".join([told, *(written(p) for p in tasks.parent.rglob("*") if p.is_file())])
    assert OPENAI_KEY.encode() not in everything
    assert ANTHROPIC_KEY.encode() not in everything


def test_a_cap_on_answers_may_be_for_one_role() -> None:
    names = names_of(model="openai/m", judge="openai/j")
    found = dict(voices_of(names, max_output_tokens=["judge=300", "900"]).models)
    assert {role: m.settings.max_output_tokens for role, m in found.items()} == {"model": 900, "judge": 300}
    for wrong in (["x"], ["0"], ["jugde=3"], ["1", "2"], ["judge="], ["-1"]):
        with pytest.raises(UsageError, match="--max-output-tokens"):
            voices_of(names, max_output_tokens=wrong)
