"""Who plays a role: by name, as an object, or by the name of a model; and what that comes to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import tts
from tts.agents.chat import ChatAgent
from tts.ceiling import ceiling
from tts.errors import UsageError
from tts.experiment import check_bounds, strategy_of
from tts.judges.evidence import EvidenceJudge
from tts.judges.model import ModelJudge
from tts.models.model import Model
from tts.prompts import Prompts
from tts.protocols import Agent, reckoning_of
from tts.roles import agent_of, bounded, chat, grader_of, judge_of, summarizer_of
from tts.scope import Cast, role
from tts.summarizers.extractive import ExtractiveSummarizer
from tts.summarizers.model import ModelSummarizer
from tts.testing import ScriptedAgent, ScriptedJudge, ScriptedSummarizer
from tts.testing.provider import Asked, ModelServer, Says, default_script
from tts.types import Budget, Summary, Task

TASK = Task("t", "What is six times seven?")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


def answer(task: Task) -> str:
    """An agent for these tests, found by its name."""
    return task.id


def last_word(text: str) -> str:
    return text.split()[-1]


# Names


@pytest.mark.parametrize("name", ["openai/gpt-5", "openai/llama3:8b", "bedrock/anthropic.x-v1:0", "azure/d"])
def test_a_models_name_is_an_agent_a_judge_or_a_summarizer(name: str) -> None:
    agent, judge = agent_of(name), judge_of(name)
    assert isinstance(agent, ChatAgent)
    assert isinstance(judge, ModelJudge)
    for player in (agent, judge):
        assert isinstance(player.model, Model)
        assert player.model.name == name


def test_a_models_name_is_a_summarizer() -> None:
    prompts = Prompts()
    found = summarizer_of("anthropic/claude-sonnet-4-5", prompts=prompts)
    assert isinstance(found, ModelSummarizer)
    assert found.prompts is prompts


def test_registered_names_and_places_are_found() -> None:
    assert isinstance(judge_of("evidence"), EvidenceJudge)
    assert isinstance(summarizer_of("extractive"), ExtractiveSummarizer)
    assert isinstance(judge_of("tts.testing:ScriptedJudge"), ScriptedJudge)
    assert isinstance(agent_of("tts.testing:ScriptedAgent"), ScriptedAgent)
    assert agent_of("shutil:which").fingerprint.startswith("function:which")


def test_what_is_no_name_stays_as_it_is() -> None:
    judge, summarizer, agent = ScriptedJudge(), ScriptedSummarizer(), ScriptedAgent()
    assert judge_of(judge) is judge
    assert summarizer_of(summarizer) is summarizer
    assert agent_of(agent) is agent
    assert isinstance(agent_of(answer), Agent)


@pytest.mark.parametrize("finder", [agent_of, judge_of, summarizer_of])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mistral/large", "'mistral/large' is no model: write PROVIDER/NAME with one of openai, anthropic"),
        ("openai/", "'openai/' is no model"),
        ("absent", "there is no "),
        ("json:absent", "the module 'json' has no 'absent'"),
        ("./agent.py:solve", "cannot be imported"),
        (":x", "is not module:attribute"),
        ("os:sep", "'os:sep' is not a"),
    ],
)
def test_a_name_of_nobody(finder: Any, name: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        finder(name)
    assert told in str(caught.value)


def test_a_grader_is_a_function_or_an_object() -> None:
    assert grader_of("shutil:which").fingerprint.startswith("function:which")
    with pytest.raises(UsageError, match="is not a grader"):
        grader_of("os:sep")


# Chat


def test_chat_takes_the_options_of_a_model() -> None:
    agent = tts.chat("openai/m", answer="boxed", thinking="hidden", temperature=0.5, base_url="http://x/v1")
    assert isinstance(agent.model, Model)
    assert (agent.answer.name, agent.thinking) == ("boxed", "hidden")
    assert (agent.model.settings.temperature, agent.model.base_url) == (0.5, "http://x/v1")


def test_chat_takes_a_model_that_is_made() -> None:
    made = tts.model("openai/m", max_output_tokens=100)
    assert tts.chat(made).model is made
    with pytest.raises(UsageError, match=r"temperature: give this to tts\.model"):
        tts.chat(made, temperature=0.5)


def test_chat_takes_a_function_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "answer.jinja").write_text(
        "{% block system %}{% endblock %}{% block question %}x{% endblock %}"
    )
    agent = chat("openai/m", answer=last_word, prompts=tmp_path)
    assert agent.prompts == Prompts(tmp_path)
    assert agent.answer("It is 42") == "42"
    with pytest.raises(UsageError, match="no prompts"):
        chat("openai/m", prompts=tmp_path / "absent")
    with pytest.raises(UsageError, match="no form of answer"):
        chat("openai/m", answer="boxd")


# Bounds


def test_a_bounded_agent_passes_on_what_its_agent_has() -> None:
    inner = chat("openai/gpt-5", max_output_tokens=1000)
    agent = bounded(inner, Budget(usd=0.01))
    reckoning = reckoning_of(agent)
    assert reckoning is not None
    assert reckoning(TASK, ()) == inner.bound_for(TASK, ())
    assert getattr(agent, "ready", None) == inner.ready
    assert agent.fingerprint == inner.fingerprint
    limit = role(agent)
    assert limit is not None
    assert limit.bound_on(TASK).usd == 0.01
    assert limit.bound_on(TASK).tokens == inner.bound_for(TASK, ()).tokens


def test_a_bounded_agent_has_nothing_that_its_agent_lacks() -> None:
    agent = agent_of(answer, Budget(usd=1.0))
    assert reckoning_of(agent) is None
    assert not hasattr(agent, "ready")
    assert not hasattr(agent, "anything")
    assert agent_of(answer).fingerprint == agent.fingerprint


def test_a_given_bound_goes_before_the_agents_own() -> None:
    own = SimpleNamespace(fingerprint="x", run=answer, bound=Budget(usd=1.0, tokens=5))
    found: Any = bounded(own, Budget(usd=2.0))  # type: ignore[arg-type]
    assert found.bound == Budget(usd=2.0, tokens=5)
    assert bounded(own, Budget()) is own  # type: ignore[comparison-overlap,arg-type]


def test_a_limit_on_dollars_without_a_price_says_what_is_missing() -> None:
    cast = Cast(role(chat("openai/own")), None, role(judge_of("openai/own")))
    with pytest.raises(
        UsageError, match=r"give --rollout-usd or give its model a `price` or give it a `bound`"
    ):
        check_bounds(cast, [Budget(usd=1.0)])
    check_bounds(cast, [Budget(tokens=1_000_000)])
    with pytest.raises(UsageError, match=r"of the judge .* unknown: give its model a `price`"):
        check_bounds(Cast(None, None, cast.judge), [Budget(usd=1.0)])


# What a run of models can come to


def most_tokens(tasks: list[Task], *strategies: str, **players: Any) -> tuple[int, int]:
    """Return the most rollouts, and the most tokens."""
    cast = Cast(*(role(players.get(name)) for name in ("agent", "summarizer", "judge")))
    found = anyio.run(lambda: ceiling(tasks, [strategy_of(s) for s in strategies], cast))
    assert found.cost.tokens is not None
    return found.rollouts, found.cost.tokens


def test_the_ceiling_reads_long_summaries() -> None:
    agent = chat("openai/m", max_output_tokens=100, max_prior_tokens=3_000)
    _, single = most_tokens([TASK], "single", agent=agent)
    long = Summary(key="s", rollout="r", claims=("claim " * 100_000,))
    most = agent.bound_for(TASK, [long]).tokens
    found = most_tokens([TASK], "sample(1) | refine(1)", agent=agent, summarizer=summarizer_of("extractive"))
    assert most is not None
    assert most > 2 * 3_000
    assert found == (2, single + most)


def test_the_ceiling_has_trajectories_of_any_length() -> None:
    players = {"agent": agent_of(answer, Budget(tokens=0)), "judge": judge_of("evidence")}
    summarizer = ModelSummarizer(model=tts.model("openai/m"))
    _, tokens = most_tokens([TASK], "sample(2) | rtv()", summarizer=summarizer, **players)
    assert tokens == 2 * (summarizer.bound.tokens or 0) > 0


def test_the_ceiling_goes_by_the_longest_prompt() -> None:
    tasks = [TASK, Task("long", "Think. " * 1000), Task("u", "x")]
    agent = chat("openai/m", max_output_tokens=100)
    _, tokens = most_tokens(tasks, "single", agent=agent)
    assert tokens == 3 * (agent.bound_for(tasks[1], ()).tokens or 0)


def test_the_ceiling_of_a_race_beside_another_strategy_has_all_its_lanes() -> None:
    assert most_tokens([TASK], "vote@4", "short-3@8", agent=chat("openai/m"))[0] == 8


# In the Python API


def pupil(asked: Asked) -> Says:
    return default_script(asked) if asked.schema is not None else Says(f"It is {40 + asked.index % 4}.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    with ModelServer(pupil) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


def test_solve_takes_models_by_name(server: ModelServer) -> None:
    result = tts.solve_sync(
        "What is six times seven?", agent="openai/scripted", judge="anthropic/scripted", strategy="rtv@2"
    )
    assert result.winner.answer in ("It is 40.", "It is 41.")
    assert {r.api for r in server.requests} == {"chat", "messages"}


def test_solve_takes_a_chat_agent(server: ModelServer) -> None:
    agent = tts.chat(tts.model("openai/scripted", base_url=server.openai_url), answer="number")
    result = tts.solve_sync("What is six times seven?", agent=agent, strategy="vote@4")
    assert result.winner.answer in ("40", "41", "42", "43")


def test_select_takes_a_judge_by_name(server: ModelServer) -> None:
    chosen = anyio.run(
        lambda: tts.select("What is six times seven?", ["42", "41"], judge="openai/scripted", strategy="rtv")
    )
    assert chosen.winner.answer in ("41", "42")
    assert {r.model for r in server.requests} == {"scripted"}
