"""Anthropic's Messages API: what is sent, how replies and errors are read, the prompt cache and what it costs."""

import asyncio
import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from limits_parts import limits
from openai_server import Reply, error, fault, raw
from scripts import cell
from wire_servers import MessagesServer, VertexServer

from rlm_jupyter import RLM
from rlm_jupyter.engine.budget.amounts import Reservation, dollars, true_spend, worst_case
from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    MalformedReplyError,
    MissingKeyError,
    ModelError,
)
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import AnthropicChat, CachingPrice, CompletionRequest, Price, Usage
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.prices import price_of
from rlm_jupyter.models.retry import RetryPolicy

KEY = MessagesServer.key
PRICE = CachingPrice(2.0, 10.0, 0.2, 2.5)
RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
STREAMED = [False, True]


@pytest.fixture
def server():
    with MessagesServer() as server:
        yield server


@pytest.fixture
async def chat(server):
    model = AnthropicChat(
        "claude-test", base_url=server.url, api_key=KEY, timeout=20, retry=RETRY, price=PRICE
    )
    yield model
    await model.aclose()


def ask(text="How many?", *, streamed=False, system="Be brief.", **changes):
    if streamed:
        changes.setdefault("on_delta", lambda _: None)
    changes.setdefault("max_tokens", 100)
    return CompletionRequest(
        [{"role": "system", "content": system}, {"role": "user", "content": text}], **changes
    )


# What is sent, and what comes.


@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_reply_comes_byte_for_byte_with_its_usage(server, chat, streamed):
    text = "One.\r\n\u2028\x85 ```repl\nprint('ä€😀')\n```\n"
    server.script = [Reply(text, pieces=len(text))]
    pieces = []
    completion = await chat.complete(ask(on_delta=pieces.append if streamed else None))
    assert completion.text == text
    assert pieces == (list(text) if streamed else [])
    assert completion.usage == Usage(
        server.prompt_tokens, server.completion_tokens, cache_write_tokens=server.written
    )
    assert (completion.model, completion.finish_reason, completion.attempts) == ("claude-test", "stop", 1)


async def test_the_request_is_one_that_the_api_takes_with_all_fields_that_openai_has(server, chat):
    server.script = ["ok"]
    parameters = {
        "stop": ["```\n", " "],
        "seed": 1,
        "n_probs": 2,
        "user": "u1",
        "temperature": 1.7,
        "logit_bias": {},
    }
    del parameters["n_probs"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    request = ask(parameters={**parameters, "reasoning_effort": "minimal", "response_format": schema})
    assert (await chat.complete(request)).text == "ok"
    (sent,) = server.requests
    headers = server.received[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    assert sent["stop_sequences"] == ["```\n"]
    assert sent["temperature"] == 1.0
    assert sent["metadata"] == {"user_id": "u1"}
    assert sent["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    assert sent["system"][0]["text"] == "Be brief."


@pytest.mark.parametrize(
    "messages",
    [
        [("system", "Be brief.")],
        [("assistant", "hello"), ("user", "hi")],
        [("user", " \n"), ("user", "two")],
        [("system", "a"), ("system", "b"), ("user", "x"), ("system", "later"), ("assistant", "")],
        [("user", "x")],
    ],
)
async def test_any_chat_has_the_form_that_the_api_takes(server, chat, messages):
    server.script = ["ok"]
    chat_of = [{"role": role, "content": text} for role, text in messages]
    assert (await chat.complete(CompletionRequest(chat_of))).attempts == 1
    assert server.requests[0]["max_tokens"] == 4096


async def test_thoughts_are_told_apart_from_the_text_and_no_more_than_that(server, chat):
    server.script = [Reply("done", message={"thinking": "hmm" * 10})] * 2
    for streamed in STREAMED:
        completion = await chat.complete(ask(streamed=streamed))
        assert (completion.text, completion.thought_bytes) == ("done", 30)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("reason", "expected"),
    [("max_tokens", "length"), ("stop_sequence", "stop"), ("refusal", "content_filter"), ("end_turn", "stop"),
     ("model_context_window_exceeded", "length"), ("tool_use", "stop")],
)  # fmt: skip
async def test_the_ends_of_replies_have_their_common_names(server, chat, streamed, reason, expected):
    server.script = [Reply("some text", finish=reason)]
    completion = await chat.complete(ask(streamed=streamed))
    assert completion.finish_reason in (expected, "tool_calls")


async def test_images_go_as_blocks_after_their_text(server, chat):
    server.script = ["a chart"]
    image = Image((encode_images([np.zeros((4, 6), np.uint8)]))[0], 6, 4)
    messages = [{"role": "user", "content": "What is it?", "images": (image,)}]
    assert (await chat.complete(CompletionRequest(messages))).text == "a chart"
    text, block = server.requests[0]["messages"][0]["content"]
    assert text["text"] == "What is it?"
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": image.base64}


# Errors.


def refusal(status, kind, message, **options):
    return Reply(
        status=status, body={"type": "error", "error": {"type": kind, "message": message}}, **options
    )


@pytest.mark.parametrize(
    "faulty",
    [
        refusal(529, "overloaded_error", "Overloaded"),
        refusal(500, "api_error", "Internal server error"),
        refusal(429, "rate_limit_error", "This request would exceed your rate limit", headers={"retry-after": "0.01"}),
        refusal(504, "timeout_error", "timed out"),
        fault("reset"), fault("reset_mid_body"), fault("truncated"), fault("error_event"),
        raw({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        raw("<html><title>Bad gateway</title></html>", "text/html"),
        Reply(""),
    ],
    ids=["overloaded", "server", "rate", "timeout", "reset", "mid_body", "truncated", "error_event", "error_200", "html",
         "empty"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again_and_each_try_is_counted(server, chat, faulty):
    server.script = [faulty, "fine"]
    waits = []
    completion = await chat.complete(ask(streamed=True, on_wait=lambda reason, _: waits.append(reason)))
    assert (completion.text, completion.attempts, server.calls) == ("fine", 2, 2)
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(401, "authentication_error", "invalid x-api-key: {key}"), AuthenticationError, "refused the key"),
        (refusal(403, "permission_error", "Your API key does not have permission"), AuthenticationError, "key"),
        (refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), ContextTooLongError,
         "longer than the context window"),
        (refusal(413, "request_too_large", "Request exceeds the maximum size"), ContextTooLongError, "longer"),
        (refusal(404, "not_found_error", "model: claude-9"), ModelError, "It has `test-model`"),
        (refusal(400, "invalid_request_error", "Your credit balance is too low to access the API"), ModelError,
         "no credit left"),
    ],
)  # fmt: skip
async def test_what_cannot_pass_is_told_at_once_without_the_key(server, chat, answer, kind, words):
    server.script = [answer]
    with pytest.raises(kind, match=words) as caught:
        await chat.complete(ask(streamed=True))
    assert (server.calls, caught.value.attempts) == (1, 1)
    assert KEY not in str(caught.value)


async def test_a_wrong_key_is_refused_by_the_server_and_does_not_show(server):
    wrong = "sk-ant-wrong-0123456789"
    model = AnthropicChat("claude-test", base_url=server.url, api_key=wrong, retry=RETRY)
    with pytest.raises(AuthenticationError) as caught:
        await model.complete(ask())
    assert wrong not in f"{caught.value}{model!r}{model.identity}"
    await model.aclose()


async def test_a_reply_longer_than_the_model_writes_is_bounded_from_then_on(server, chat):
    too_many = (
        "max_tokens: 90000 > 64000, which is the maximum allowed number of output tokens for claude-test"
    )
    server.script = [refusal(400, "invalid_request_error", too_many), "ok", "ok"]
    assert (await chat.complete(ask(max_tokens=90000))).text == "ok"
    await chat.complete(ask(max_tokens=90000))
    assert [request["max_tokens"] for request in server.requests] == [90000, 64000, 64000]


async def test_usage_of_a_stream_that_broke_is_not_what_its_beginning_says(server, chat):
    server.script = [fault("reset_mid_body", text="some words that came " * 20)] * 3
    with pytest.raises(ModelError) as caught:
        await chat.complete(ask(streamed=True))
    assert caught.value.usage.estimated
    assert caught.value.usage.completion_tokens > 3


# The prompt cache.


def turn(number):
    messages = [
        {"role": "system", "content": "The rules. " * 50},
        {"role": "user", "content": "The question. " * 20},
    ]
    for one in range(number):
        messages += [
            {"role": "assistant", "content": f"reply {one}"},
            {"role": "user", "content": f"output {one} " * 30},
        ]
    return CompletionRequest(messages, 50, code_block=True)


async def test_each_turn_reads_all_of_the_turn_before_from_the_cache(server, chat):
    server.script = lambda _: "ok"
    for number in range(4):
        before = server.read
        usage = (await chat.complete(turn(number))).usage
        assert usage.cached_tokens == server.read - before
    sizes = [sum(len(b["text"]) for b in server._blocks(request)) for request in server.requests]
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens
    assert usage.cached_tokens + usage.cache_write_tokens == usage.prompt_tokens
    assert sizes == sorted(sizes)
    marks = [["cache_control" in block for block in server._blocks(request)] for request in server.requests]
    assert all(mark[0] and mark[-1] and sum(mark) == 2 for mark in marks)


async def test_a_question_that_is_asked_once_writes_nothing_but_the_fixed_text_to_the_cache(server, chat):
    server.script = lambda _: "ok"
    for text in ("one", "two"):
        await chat.complete(ask(text * 100, system="Rules. " * 50))
    assert [["cache_control" in b for b in server._blocks(r)] for r in server.requests] == [[True, False]] * 2
    assert server.read == server.written > 0


async def test_a_server_without_a_cache_is_sent_no_marks_from_then_on(server, chat):
    server.no_cache = True
    server.script = lambda _: "ok"
    assert (await chat.complete(turn(1))).attempts == 2
    assert (await chat.complete(turn(2))).attempts == 1
    assert server.calls == 3


# What it costs.


def spend(usage, price, prompt=1000, most=100):
    reservation = Reservation("0", prompt, most, price, turn=False, held=worst_case(prompt, most, price))
    return dollars(true_spend(reservation, usage, None, 1).cost), dollars(reservation.held.cost)


def test_the_ledger_settles_reads_and_writes_of_the_cache_at_their_prices_and_reserves_the_dearest():
    usage = Usage(1000, 100, cached_tokens=600, cache_write_tokens=300)
    cost, held = spend(usage, PRICE)
    assert cost == pytest.approx((100 * 2.0 + 600 * 0.2 + 300 * 2.5 + 100 * 10) / 1e6)
    assert held == pytest.approx((1000 * 2.5 + 100 * 10) / 1e6)
    assert spend(usage, Price(2.0, 10.0))[0] == pytest.approx((1000 * 2.0 + 1000) / 1e6)


@pytest.mark.parametrize(
    "usage",
    [None, Usage(1000, 100, 600, estimated=True, cache_write_tokens=300), Usage(400, 20, 10, estimated=True, at_most=(1000, 100)),
     Usage(1000, 100, cached_tokens=-5, cache_write_tokens=10**12)],
)  # fmt: skip
def test_what_is_not_told_for_certain_costs_the_most_that_it_can(usage):
    cost, held = spend(usage, PRICE)
    if usage is not None and not usage.estimated:
        assert cost == pytest.approx((1000 * 2.0 + 1000) / 1e6)
    else:
        assert cost == held


@pytest.mark.parametrize("read", [0, 1, 500, 1000, 5000])
@pytest.mark.parametrize("written", [0, 1, 500, 1000, 5000])
def test_no_split_of_a_prompt_costs_more_than_was_reserved(read, written):
    cost, held = spend(Usage(1000, 100, cached_tokens=read, cache_write_tokens=written), PRICE)
    assert 0 < cost <= held


def test_a_price_with_a_cache_is_a_price_and_can_be_copied():
    assert Price(2.0, 10.0) == PRICE
    for other in (copy.deepcopy(PRICE), pickle.loads(pickle.dumps(PRICE)), copy.copy(PRICE)):
        assert (other.cache_read, other.cache_write, *other) == (0.2, 2.5, 2.0, 10.0)


def test_the_prices_of_the_cache_are_those_of_the_tables():
    price = price_of("claude-sonnet-5-5", "anthropic")
    assert (*price, price.cache_read, price.cache_write) == (2.0, 10.0, 0.1, 2.5)
    assert price_of("claude-2", "anthropic") is not None
    assert not isinstance(price_of("claude-2", "anthropic"), CachingPrice)
    assert price_of("claude-99", "anthropic") is None
    assert AnthropicChat("claude-sonnet-5-5", api_key=KEY).price.cache_write == 2.5


@pytest.mark.parametrize("given", [None, (2.0, 10.0)], ids=["the model's price", "a price of one's own"])
def test_a_run_costs_what_the_server_bills_for_with_its_cache(server, given):
    turns = iter([cell("x = len(context); print(x)"), cell("print('again')"), cell("FINAL(x)")])
    server.script = lambda _: next(turns)
    model = AnthropicChat("claude-test", base_url=server.url, api_key=KEY, retry=RETRY, price=PRICE)
    rlm = RLM(
        model=model, limits=limits(cost=1.0), log_dir=None, cache=False, completion_tokens=300, price=given
    )
    with rlm.run("How long is it?", context="x" * 1000) as run:
        assert run.value == 1000
        plain = server.prompt_tokens - server.read - server.written
        bill = plain * 2.0 + server.read * 0.2 + server.written * 2.5 + server.completion_tokens * 10.0
        assert run.cost == pytest.approx(bill / 1e6)
        assert server.read > 0
        finished = [event for event in run.events if event.kind == "reply_finished"]
        assert sum(event.cached_tokens for event in finished) == server.read


# The SDK.


async def test_a_client_of_ones_own_sends_the_same_and_is_never_closed(server):
    anthropic = pytest.importorskip("anthropic")
    async with anthropic.AsyncAnthropic(base_url=server.url.removesuffix("/v1"), api_key=KEY) as client:
        model = AnthropicChat("claude-test", client=client, retry=RETRY, price=PRICE, timeout=20)
        server.script = [Reply("streamed", pieces=4), "whole", Reply("again", message={"thinking": "hm"})]
        pieces = []
        completion = await model.complete(ask(on_delta=pieces.append))
        assert (completion.text, "".join(pieces), len(pieces)) == ("streamed", "streamed", 4)
        assert completion.usage.cache_write_tokens == server.written > 0
        assert (await model.complete(ask())).text == "whole"
        warm = {"parameters": {"temperature": 0.5}, "optional": frozenset({"temperature"})}
        thought = await model.complete(ask(streamed=True, **warm))
        # Its version of the API has no temperature.
        assert (thought.thought_bytes, thought.attempts) == (2, 2)
        assert "temperature" not in server.requests[-1]
        with pytest.raises(ModelError, match="temperature: Extra inputs"):
            await model.complete(ask(parameters={"temperature": 0.5}))
        await model.aclose()
        server.script = lambda _: "open"
        assert (await model.complete(ask())).text == "open"


async def test_the_client_of_another_cloud_is_used_as_it_is():
    anthropic = pytest.importorskip("anthropic")
    with VertexServer(
        [Reply("streamed", pieces=4), "whole", refusal(529, "overloaded_error", "no"), "ok"]
    ) as server:
        client = anthropic.AsyncAnthropicVertex(
            base_url=server.url, region="europe-west1", project_id="p", access_token=server.key
        )
        async with client:
            model = AnthropicChat("claude-test", client=client, retry=RETRY, timeout=20, price=PRICE)
            pieces = []
            completion = await model.complete(ask(on_delta=pieces.append))
            assert (completion.text, len(pieces)) == ("streamed", 4)
            assert completion.usage.cache_write_tokens == server.written > 0
            assert (await model.complete(ask())).text == "whole"
            assert (await model.complete(ask(streamed=True))).attempts == 2
            ended = refusal(401, "authentication_error", f"The token {server.key} has ended")
            server.script = lambda _: ended
            with pytest.raises(AuthenticationError) as caught:
                await model.complete(ask())
            assert server.key not in str(caught.value)


@pytest.mark.parametrize(
    "faulty",
    [refusal(529, "overloaded_error", "Overloaded"), fault("error_event"), fault("reset_mid_body"), fault("truncated"),
     fault("reset")],
    ids=["overloaded", "error_event", "mid_body", "truncated", "reset"],
)  # fmt: skip
async def test_faults_through_the_sdk_are_tried_again_by_us_and_not_by_it(server, faulty):
    anthropic = pytest.importorskip("anthropic")
    async with anthropic.AsyncAnthropic(base_url=server.url.removesuffix("/v1"), api_key=KEY) as client:
        model = AnthropicChat("claude-test", client=client, retry=RETRY, timeout=20)
        server.script = [faulty, "fine"]
        completion = await model.complete(ask(streamed=True))
        assert (completion.text, completion.attempts, server.calls) == ("fine", 2, 2)


async def test_a_wrong_key_of_the_sdks_client_does_not_show(server):
    anthropic = pytest.importorskip("anthropic")
    wrong = "sk-ant-wrong-0123456789"
    async with anthropic.AsyncAnthropic(base_url=server.url.removesuffix("/v1"), api_key=wrong) as client:
        model = AnthropicChat("claude-test", client=client, retry=RETRY, timeout=20)
        with pytest.raises(AuthenticationError) as caught:
            await model.complete(ask())
    assert wrong not in str(caught.value)
    assert caught.value.__cause__ is None
    assert server.calls == 1


def test_neither_a_key_nor_a_client_is_an_error_and_no_sdk_is_loaded():
    with pytest.raises(MissingKeyError, match="api_key"):
        AnthropicChat("claude-test")
    code = (
        "import sys; from rlm_jupyter.models import AnthropicChat; AnthropicChat('m', api_key='sk-ant-0123456789');"
        "print([name for name in ('anthropic', 'openai', 'pandas') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_a_server_that_says_nothing_of_use_is_a_clear_error(server):
    async def complete():
        model = AnthropicChat("claude-test", base_url=server.url, api_key=KEY, retry=RetryPolicy(attempts=1))
        try:
            await model.complete(ask())
        finally:
            await model.aclose()

    server.script = [raw({"type": "message", "content": 7, "usage": []}), error(400, "no")]
    with pytest.raises((MalformedReplyError, ModelError)):
        asyncio.run(complete())
