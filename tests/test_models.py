"""Models: the real SDKs against a real server on loopback, both APIs and all that can go wrong."""

import anyio
import pytest

import tts
from tts.errors import Declined, Infra, Unusable, UsageError
from tts.judges.model import ModelJudge
from tts.models.call import Patience
from tts.models.chat import Again, Ask, Began, Delta
from tts.models.connections import connected
from tts.models.hearing import sensible
from tts.models.meter import metered
from tts.models.names import model
from tts.models.prices import Price, price_of, priced
from tts.models.sharing import several
from tts.models.throttle import Limits
from tts.testing.provider import Fault, ModelServer, Says
from tts.types import Usage

QUICK = Patience(total_seconds=20, stall_seconds=0.3, first_wait_seconds=0.001, longest_wait_seconds=0.01)
ASK = Ask("Be brief.", ("What is 6 times 7?",))
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
APIS = ["openai/m", "openai/responses/m", "anthropic/m"]


def at(server, name, **settings):
    """Return a model of the server."""
    url = server.anthropic_url if name.startswith("anthropic") else server.openai_url
    return model(name, **{"base_url": url, "patience": QUICK, **settings})


def asked(chat, ask=ASK, *, n=None):
    """Return the replies, what was heard, and what was metered."""
    heard, paid = [], []

    async def main():
        with metered(paid.append):
            if n is not None:
                return await several(chat, ask, n)
            return await chat.ask(ask, heard=heard.append)

    return anyio.run(main), heard, sum(paid, Usage())


def script(*said):
    """Return a script that says one thing after another; the last is repeated."""
    return lambda request: said[min(request.index, len(said) - 1)]


@pytest.mark.parametrize("name", APIS)
def test_text_and_thinking_come_apart_and_usage_is_the_servers(name):
    with ModelServer(script(Says("The answer is 42.", thinking="six sevens " * 20))) as server:
        (reply,), heard, paid = asked(at(server, name))
        billed = server.billed
    assert (reply.text, reply.thinking, reply.stop) == ("The answer is 42.", "six sevens " * 20, "end")
    assert isinstance(heard[0], Began)
    assert "".join(d.text for d in heard if isinstance(d, Delta)) == reply.text
    assert "".join(d.thinking for d in heard if isinstance(d, Delta)) == reply.thinking
    usage = reply.usage
    assert (usage.calls, usage.estimated, usage.unpriced_calls) == (1, False, 1)
    assert usage.input_tokens == billed.prompt_tokens > 0
    assert usage.output_tokens == billed.output_tokens == 5 + 55
    assert usage.reasoning_tokens == 55
    assert paid == usage


@pytest.mark.parametrize("name", APIS)
def test_a_schema_is_sent_and_an_answer_fits_it(name):
    with ModelServer() as server:
        (reply,), _, _ = asked(at(server, name), Ask("", ("?",), schema=SCHEMA))
        assert server.requests[0].asked.schema == SCHEMA
        asked(at(server, name, schemas=False), Ask("", ("?",), schema=SCHEMA))
        assert server.requests[1].asked.schema is None
    assert reply.text.startswith('{"answer"')


def test_n_answers_of_one_request_share_the_prompt():
    with ModelServer(script(Says(["a" * 40, "b" * 80, "c" * 120]))) as server:
        replies, heard, paid = asked(at(server, "openai/m", price="1,10"), Ask("", ("?" * 4000,), n=3))
        assert len(server.requests) == 1
        prompt = server.billed.prompt_tokens
    assert [reply.text[0] for reply in replies] == ["a", "b", "c"]
    assert [reply.usage.output_tokens for reply in replies] == [10, 20, 30]
    assert [reply.usage.input_tokens for reply in replies] == [prompt, 0, 0]
    assert sum((reply.usage for reply in replies), Usage()).tokens == paid.tokens
    assert sum(reply.usage.known_usd for reply in replies) == pytest.approx(prompt / 1e6 + 60 / 1e5)
    assert {d.choice for d in heard if isinstance(d, Delta)} == {0, 1, 2}


def test_a_server_without_n_is_asked_for_the_rest():
    with ModelServer(script(Says("yes")), honours_n=False) as server:
        replies, _, _ = asked(at(server, "openai/m"), n=4)
        assert [r.asked.n for r in server.requests] == [4, 1, 1, 1]
    assert [reply.text for reply in replies] == ["yes"] * 4


@pytest.mark.parametrize("name", ["openai/responses/m", "anthropic/m"])
def test_the_first_answer_warms_the_cache_for_the_others(name):
    ask = Ask("", ("task " * 2000, "candidate " * 2000, "?"))
    with ModelServer(script(Says("yes"))) as server:
        replies, _, _ = asked(at(server, name), ask, n=4)
        usages = sorted((r.prompt_tokens, r.cached_tokens) for r in server.requests)
    assert len(replies) == 4
    cold = [cached for _, cached in usages if cached == 0]
    assert len(cold) == 1, f"one cold prompt and the rest from the cache: {usages}"
    total = sum((reply.usage for reply in replies), Usage())
    assert total.cached_input_tokens > 0.7 * total.input_tokens


RETRIED = ["429", "500", "503", "529", "408", "409", "malformed", "cut", "short", "stall", "stall_after"]


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize("kind", RETRIED)
def test_what_may_pass_is_tried_again_and_its_cost_is_counted(name, kind):
    says = Says("The answer is 42." * 10, thinking="so " * 100)
    with ModelServer(script(Fault(kind), says)) as server:
        (reply,), heard, paid = asked(at(server, name, price="1,1"))
        assert len(server.requests) == 2
        sent = server.requests[0].output_tokens
    assert reply.text == "The answer is 42." * 10
    assert heard.count(Again()) == 1
    assert "".join(d.text for d in heard[heard.index(Again()) :] if isinstance(d, Delta)) == reply.text
    assert paid.retries == reply.usage.retries == 1
    assert paid.known_usd == pytest.approx(reply.usage.known_usd)
    if sent:
        assert paid.retry_tokens > 0
        assert paid.retry_usd == pytest.approx(paid.retry_tokens / 1e6)
        assert paid.estimated
    else:
        assert paid.retry_tokens <= reply.usage.input_tokens


def test_it_waits_as_long_as_the_server_asks():
    with ModelServer(script(Fault("429", retry_after_seconds=0.25), Says("yes"))) as server:
        asked(at(server, "openai/m"))
        first, second = server.requests
        assert second.opened_at - first.closed_at >= 0.25


@pytest.mark.parametrize("name", APIS)
def test_a_wait_beyond_the_deadline_is_not_begun(name):
    with ModelServer(script(Fault("429", retry_after_seconds=3600))) as server:
        with pytest.raises(Infra, match="429"):
            asked(at(server, name))
        assert len(server.requests) == 1


def test_it_gives_up_at_the_deadline():
    patience = Patience(total_seconds=0.2, first_wait_seconds=0.01, longest_wait_seconds=0.02)
    with ModelServer(script(Fault("503"))) as server, pytest.raises(Infra, match="503"):
        asked(at(server, "openai/m", patience=patience))


def test_it_gives_up_when_lost_tries_have_cost_as_much_as_a_whole_call():
    says = Says(thinking_tokens=100, fault=Fault("cut", after_tokens=90))
    with ModelServer(script(says)) as server:
        chat = at(server, "openai/m", max_output_tokens=100)
        with pytest.raises(Infra, match=r"openai/m: "):
            asked(chat)
        n = len(server.requests)
    assert n == 2
    bound = chat.bound(10)
    assert bound.tokens is not None
    assert n * 90 <= bound.tokens


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize(
    ("kind", "error"),
    [("401", Unusable), ("404", Unusable), ("402", Unusable), ("quota", Unusable), ("context", Declined)],
)
def test_what_will_never_pass_is_not_tried_again(name, kind, error):
    with ModelServer(script(Fault(kind))) as server:
        with pytest.raises(error):
            asked(at(server, name))
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", APIS)
def test_a_refusal_and_the_cap_are_ends_of_their_own(name):
    with ModelServer(script(Fault("refusal"), Says("word " * 50))) as server:
        (refused,), _, _ = asked(at(server, name))
        (cut,), _, _ = asked(at(server, name, max_output_tokens=8))
    assert (refused.stop, cut.stop) == ("refused", "length")
    assert cut.usage.output_tokens == 8


def test_nobody_listens():
    chat = model("openai/m", base_url="http://127.0.0.1:9/v1", patience=Patience(total_seconds=0.3))
    with pytest.raises(Infra):
        asked(chat)
    with pytest.raises(Unusable, match=r"127\.0\.0\.1:9 cannot be reached"):
        anyio.run(chat.ready)


@pytest.mark.parametrize("name", APIS)
def test_ready_knows_a_bad_key_and_an_unknown_model_before_anything_is_paid(name, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-1234")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong-key-1234")
    with ModelServer(models=("m",)) as server:
        anyio.run(at(server, name).ready)
        with pytest.raises(Unusable):
            anyio.run(at(server, f"{name}x").ready)
        assert server.requests == [] or all(r.output_tokens == 0 for r in server.requests)
    with ModelServer(keys=("right",)) as server, pytest.raises(Unusable, match="401"):
        anyio.run(at(server, name).ready)


def test_a_server_that_lists_nothing_is_ready():
    with ModelServer(lists_models=False) as server:
        assert anyio.run(at(server, "openai/m").ready) is False, "it cannot be told"


@pytest.mark.parametrize("name", APIS)
def test_cancelling_closes_the_connection_and_counts_what_arrived(name):
    paid = []

    async def main(chat):
        with metered(paid.append):
            async with anyio.create_task_group() as group:
                n = 0

                def heard(event):
                    nonlocal n
                    n += isinstance(event, Delta)
                    if n == 20:
                        group.cancel_scope.cancel()

                await chat.ask(ASK, heard=heard)

    with ModelServer(script(Says(thinking_tokens=2000, seconds_per_token=0.002))) as server:
        anyio.run(main, at(server, name, price="1,1"))
        server.wait_until(lambda s: bool(s.requests), 5)
        (record,) = server.requests
    (usage,) = paid
    assert record.closed_by == "client"
    assert record.tokens_sent < 200
    assert usage.estimated
    assert usage.input_tokens > 0
    assert 15 <= usage.output_tokens <= record.tokens_sent + 1
    assert usage.known_usd == pytest.approx(usage.tokens / 1e6)


def test_all_that_ask_one_model_share_one_throttle():
    limits = Limits(start=3, concurrency=3)
    says = Says("word " * 30, seconds_per_token=0.002)

    async def main(server):
        async with connected(), anyio.create_task_group() as group:
            for i in range(12):
                group.start_soon(at(server, "openai/m", limits=limits, temperature=i / 10).ask, ASK)

    with ModelServer(script(says)) as server:
        anyio.run(main, server)
        served = server.requests
    events = sorted([(r.opened_at, 1) for r in served] + [(r.closed_at, -1) for r in served])
    at_once, most = 0, 0
    for _, step in events:
        at_once += step
        most = max(most, at_once)
    assert len(served) == 12
    assert most <= 4, "the server may see the next one before it has noticed the end of the last"


# Names, keys and prices


@pytest.mark.parametrize("name", ["gpt-5", "openai/", "nobody/m", "", "/m"])
def test_a_name_is_provider_and_model(name):
    with pytest.raises(UsageError, match="PROVIDER/NAME"):
        model(name)


def test_a_missing_key_is_named(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unusable, match="OPENAI_API_KEY is not set"):
        anyio.run(model("openai/gpt-5").ready)


def test_the_clouds_have_clients_of_their_own(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-1234")
    with ModelServer(script(Says("yes"))) as server:
        (reply,), _, _ = asked(model("azure/m", base_url=server.anthropic_url, patience=QUICK))
    assert reply.text == "yes"


def test_settings_are_in_the_fingerprint_and_the_server_is_not():
    base = model("openai/m")
    assert base.fingerprint == model("openai/m", base_url="http://a/v1", price="1,2").fingerprint
    others = [model("openai/m", temperature=0.5), model("openai/m", max_output_tokens=5)]
    others += [model("openai/m", options={"top_p": 0.5}), model("openai/n"), model("openai/m", schemas=False)]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_options_go_into_the_request_as_they_are():
    with ModelServer(script(Says("yes"))) as server:
        for name in APIS:
            asked(at(server, name, options={"top_p": 0.25}, temperature=0.5))
        bodies = [record.asked.body for record in server.requests]
    assert [(body["top_p"], body["temperature"]) for body in bodies] == [(0.25, 0.5)] * 3


def test_prices_are_published_or_given_or_unknown():
    usage = Usage(calls=1, input_tokens=1000, cached_input_tokens=400, output_tokens=100)
    assert priced(usage, "openai/gpt-4o").known_usd == pytest.approx((600 * 2.5 + 400 * 1.25 + 1000) / 1e6)
    assert priced(usage, "openai/no-such-model").usd is None
    assert priced(usage, "openai/no-such-model", Price(0, 0)).usd == 0
    assert price_of("3,15").of(usage) == pytest.approx((1000 * 3 / 1e6, 100 * 15 / 1e6))
    assert price_of("3,15,0.3,3.75").of(Usage(cache_write_tokens=1000, input_tokens=1000))[
        0
    ] == pytest.approx(3.75e-3)


def test_anthropic_writes_and_reads_of_the_cache_have_their_own_prices():
    usage = Usage(calls=1, input_tokens=3000, cached_input_tokens=1000, cache_write_tokens=1000)
    assert priced(usage, "anthropic/claude-opus-4-5").known_usd == pytest.approx(
        (1000 * 5 + 1000 * 0.5 + 1000 * 6.25) / 1e6
    )


@pytest.mark.parametrize("text", ["", "3", "a,b", "1,2,3,4,5", "-1,2", "nan,1"])
def test_a_price_that_is_none(text):
    with pytest.raises(UsageError):
        price_of(text)


def test_a_bound_holds_the_dearest_reading_of_a_call_and_a_spare():
    bound = model("anthropic/claude-opus-4-5", max_output_tokens=1000).bound(10_000)
    assert bound.usd == pytest.approx(2 * (10_000 * 6.25 + 1000 * 25) / 1e6)
    assert bound.tokens == 2 * 11_000
    assert model("openai/no-such-model").bound(10).usd is None


def test_a_model_that_takes_no_n_is_asked_one_by_one():
    with ModelServer(lambda request: Fault("400") if request.n > 1 else Says("yes")) as server:
        replies, _, _ = asked(at(server, "openai/m"), n=3)
        assert [r.asked.n for r in server.requests] == [3, 1, 1, 1]
    assert [reply.text for reply in replies] == ["yes"] * 3


def test_what_a_model_says_is_left_as_it_is_but_for_keys_in_use(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-in-use-77")
    says = Says('<div class="sk-toggleable__content"> a-key-in-use-77')
    with ModelServer(script(says)) as server:
        (reply,), _, _ = asked(at(server, "openai/m"))
    assert reply.text == '<div class="sk-toggleable__content"> [key]'


@pytest.mark.parametrize("variable", ["TOGETHER_KEY", "MY_LLM_PASSWORD"])
def test_a_key_of_any_variable_is_scrubbed_before_anything_is_cut(variable, monkeypatch):
    secret = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv(variable, secret)
    fault = Fault("400", message="x" * 270 + " " + secret)
    with ModelServer(script(fault)) as server, pytest.raises(Declined) as caught:
        asked(at(server, "openai/m", key_name=variable))
    assert secret[:8] not in str(caught.value)


def test_odd_figures_of_a_provider_make_no_negative_cost():
    odd = sensible(Usage(calls=1, input_tokens=10, cached_input_tokens=30, cache_write_tokens=9))
    assert (odd.cached_input_tokens, odd.cache_write_tokens) == (10, 0)
    assert priced(odd, "openai/m", price_of("1,1,0.1")).known_usd >= 0


def test_an_agent_in_a_thread_has_connections_of_its_own():
    with ModelServer(script(Says("42"))) as server:

        def agent(task, attempt):
            inner = tts.solve_sync("?", agent=tts.chat(at(server, "openai/m")), strategy="single")
            return inner.winner.answer

        made = tts.agent(version="1")(agent)
        judge = ModelJudge(model=at(server, "openai/m"))
        result = tts.solve_sync("?", agent=made, strategy="sample(6) | rtv()", judge=judge, workers=6)
    assert {rollout.answer for rollout in result.rollouts.values()} == {"42"}


def test_a_run_inside_an_agent_is_paid_by_the_run_around_it():
    with ModelServer(script(Says("42"))) as server:

        async def agent(task, attempt):
            inner = await tts.solve(
                "?", agent=tts.chat(at(server, "openai/m", price="1,1")), strategy="vote@2"
            )
            return inner.winner.answer

        result = tts.solve_sync("?", agent=tts.agent(version="1")(agent), strategy="single")
        assert result.usage.calls == 2 == server.billed.requests
        assert result.usage.known_usd == pytest.approx(server.billed.prompt_tokens / 1e6 + 2e-6)


def test_a_model_can_be_hashed_and_two_servers_of_a_machine_have_a_throttle_each():
    one, other = model("openai/m", base_url="http://h:1/v1"), model("openai/m", base_url="http://h:2/v1")
    assert len({one, other, model("openai/m", base_url="http://h:1/v1")}) == 2

    async def main():
        async with connected() as connections:
            return one.line(connections).throttle is other.line(connections).throttle

    assert anyio.run(main) is False


def test_the_token_of_a_provider_goes_where_it_belongs(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-bearer-token-1")

    async def main():
        async with connected() as connections:
            client = model("anthropic/m").line(connections).wire.client
            return client.api_key, client.auth_token

    assert anyio.run(main) == (None, "a-bearer-token-1")
