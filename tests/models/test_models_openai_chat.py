"""OpenAIChat when all goes well: streaming, usage, cost, parameters, dialects of servers, loops, concurrency."""

import asyncio
import subprocess
import sys
import threading

import openai
import pytest
from openai_server import Reply, fault

from rlm_jupyter.errors import ConfigError, ContextTooLongError, MissingKeyError, ModelError
from rlm_jupyter.models.base import ChatModel, CompletionRequest, Price, Usage
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-test-0123456789abcdef"
STREAMED = [False, True]


def ask(text="How many?", *, streamed=False, **changes):
    if streamed:
        changes.setdefault("on_delta", lambda _: None)
    return CompletionRequest(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], **changes
    )


@pytest.fixture
async def chat(openai_server):
    retry = RetryPolicy(first_wait=0.01)
    model = OpenAIChat("test-model", base_url=openai_server.url, api_key=KEY, timeout=20, retry=retry)
    yield model
    await model.aclose()


@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_reply_comes_byte_for_byte_with_its_usage(openai_server, chat, streamed):
    text = "One.\r\n\u2028\x85 ```repl\nprint('ä€😀')\n```\n"
    openai_server.script = [Reply(text, pieces=len(text))]
    pieces = []
    completion = await chat.complete(ask(on_delta=pieces.append if streamed else None))
    assert isinstance(chat, ChatModel)
    assert not chat.scripted
    assert completion.text == text
    assert pieces == (list(text) if streamed else [])
    assert completion.usage == Usage(openai_server.prompt_tokens, openai_server.completion_tokens)
    assert (completion.model, completion.finish_reason, completion.attempts) == ("test-model", "stop", 1)
    assert completion.cost is None


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("usage", "extra", "cost"),
    [
        ({"cost": 0.25}, {}, 0.25),
        ({"cost": 0}, {}, 0.0),
        ({}, {"cost": 0.5}, 0.5),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, {}, 0.21),
        ({"cost": -1}, {}, None),
        ({"cost": "0.2"}, {}, None),
        ({"cost": True}, {}, None),
        ({"cost": 1e300}, {}, None),
        ({"cost": 10**400}, {}, None),
    ],
)
async def test_the_providers_own_cost_is_taken_where_it_can_be_true(
    openai_server, chat, usage, extra, cost, streamed
):
    tokens = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}
    openai_server.script = [Reply(usage={**tokens, **usage}, extra=extra)]
    completion = await chat.complete(ask(streamed=streamed))
    assert completion.cost == (None if cost is None else pytest.approx(cost))
    assert completion.usage == Usage(10, 1, cached_tokens=6)


async def test_requests_carry_messages_limits_and_parameters_and_nothing_more(openai_server):
    openai_server.script = lambda _: "ok"
    chat = OpenAIChat(
        "test-model", base_url=openai_server.url, api_key=KEY,
        parameters={"temperature": 0, "max_tokens": 50, "extra_body": {"top_k": 3}, "extra_headers": {"X-Lab": "7"}},
    )  # fmt: skip
    await chat.complete(ask(max_tokens=99, parameters={"temperature": 0.5}))
    await chat.complete(ask(streamed=True, max_tokens=20))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    common = {"model": "test-model", "messages": messages, "top_k": 3}
    first, second = openai_server.requests
    assert first == {**common, "temperature": 0.5, "max_tokens": 50, "stream": False}
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    assert second == {**common, "temperature": 0, "max_tokens": 20, **stream}
    assert openai_server.received[0].headers["x-lab"] == "7"
    await chat.aclose()


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_limit_is_honoured_and_a_cut_reply_says_so(openai_server, chat, streamed):
    openai_server.script = ["x" * 100]
    completion = await chat.complete(ask(streamed=streamed, max_tokens=5))
    assert (completion.text, completion.finish_reason) == ("x" * 20, "length")
    assert completion.usage.completion_tokens == 5


@pytest.mark.parametrize(
    ("refused", "calls"),
    [(["stream_options"], 2), (["stream"], 2), (["stream_options", "stream"], 3), (["max_tokens"], 2)],
)
async def test_what_a_server_refuses_is_left_out_from_then_on(openai_server, chat, refused, calls):
    openai_server.refuse.update(refused)
    openai_server.script = lambda _: "ok"
    pieces = []
    completion = await chat.complete(ask(max_tokens=9, on_delta=pieces.append))
    assert (completion.text, completion.attempts, "".join(pieces)) == ("ok", calls, "ok")
    assert (await chat.complete(ask(streamed=True, max_tokens=9))).attempts == 1
    last = openai_server.requests[-1]
    assert not (set(refused) - {"stream"}) & set(last)
    assert last.get("max_tokens", last.get("max_completion_tokens")) == 9


async def test_a_server_that_wants_the_old_name_of_the_limit_gets_it(openai_server, chat):
    chat._dialect.limit = "max_completion_tokens"
    openai_server.refuse.add("max_completion_tokens")
    openai_server.script = lambda _: "ok"
    assert (await chat.complete(ask(max_tokens=9))).text == "ok"
    assert openai_server.requests[-1]["max_tokens"] == 9


@pytest.mark.parametrize(
    "said",
    [
        "max_tokens is too large: 8192. This model supports at most 4096 completion tokens, whereas you provided 8192.",
        "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for this model",
        "`max_tokens` must be less than or equal to `4096`, the maximum value for this model",
    ],
)
async def test_a_limit_larger_than_the_model_allows_is_lowered_once_and_for_all(openai_server, chat, said):
    def script(request):
        return (
            fault("bad_request", body={"error": {"message": said}}) if request["max_tokens"] > 4096 else "ok"
        )

    openai_server.script = script
    assert (await chat.complete(ask(max_tokens=8192))).text == "ok"
    assert (await chat.complete(ask(max_tokens=8192))).attempts == 1
    assert [request["max_tokens"] for request in openai_server.requests] == [8192, 4096, 4096]


@pytest.mark.parametrize(
    "said",
    [
        (
            "'max_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and your request has "
            "1000 input tokens"
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9192 tokens (1000 in the messages, "
            "8192 in the completion). Please reduce the length of the messages or completion."
        ),
    ],
)
async def test_a_reply_that_has_no_room_in_a_small_window_gets_the_room_there_is(openai_server, chat, said):
    too_long = fault("bad_request", body={"error": {"message": said}})
    openai_server.script = [too_long, "ok", "ok"]
    assert (await chat.complete(ask(max_tokens=8192))).text == "ok"
    await chat.complete(ask(max_tokens=8192))
    assert [request["max_tokens"] for request in openai_server.requests] == [8192, 7192, 8192]
    openai_server.script = lambda _: fault(
        "bad_request", body={"error": {"message": said.replace("1000", "8100")}}
    )
    with pytest.raises(ContextTooLongError):
        await chat.complete(ask(max_tokens=8192))


async def test_text_in_parts_and_refusals_are_read_and_half_characters_mended(openai_server, chat):
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    openai_server.script = [
        Reply(message={"content": parts}),
        Reply(None, message={"refusal": "I cannot."}),
        Reply(None, message={"content": "lone \ud83d half"}),
    ]
    assert (await chat.complete(ask())).text == "ab"
    assert (await chat.complete(ask())).text == "I cannot."
    assert (await chat.complete(ask("\udc00 sent"))).text == "lone \ufffd half"
    assert openai_server.requests[-1]["messages"][-1]["content"] == "\ufffd sent"


@pytest.mark.parametrize("streamed", STREAMED)
async def test_two_hundred_at_once_are_in_flight_together(openai_server, chat, streamed):
    chat.timeout, openai_server.together = 60, 200
    openai_server.script = lambda request: request["messages"][-1]["content"]
    replies = await asyncio.gather(*(chat.complete(ask(str(i), streamed=streamed)) for i in range(200)))
    assert [reply.text for reply in replies] == [str(i) for i in range(200)]
    assert openai_server.peak == openai_server.calls == 200
    for _ in range(3):
        await chat.complete(ask(streamed=streamed))
    assert openai_server.connections == 200  # connections are used again


def test_one_model_serves_several_loops_and_threads(openai_server):
    openai_server.script = lambda _: "ok"
    chat = OpenAIChat("test-model", base_url=openai_server.url, api_key=KEY)
    texts = []

    async def twice():
        texts.append((await chat.complete(ask(streamed=True))).text)
        texts.append((await chat.complete(ask(streamed=True))).text)
        await chat.aclose()
        texts.append((await chat.complete(ask())).text)  # works after it was closed
        await chat.aclose()

    for _ in range(2):
        thread = threading.Thread(target=lambda: asyncio.run(twice()))
        thread.start()
        thread.join()
    assert texts == ["ok"] * 6


async def test_a_client_of_ones_own_is_used_and_left_open(openai_server):
    openai_server.script = lambda _: fault("unauthorized")
    async with openai.AsyncOpenAI(
        api_key=KEY, base_url=openai_server.url, default_headers={"X-Mine": "1"}
    ) as client:
        chat = OpenAIChat("test-model", client=client)
        with pytest.raises(ModelError) as caught:
            await chat.complete(ask())
        await chat.aclose()
        assert not client.is_closed()
    assert openai_server.received[0].headers["x-mine"] == "1"
    assert openai_server.calls == 1  # no retries of the SDK's own
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"api_key": None}, MissingKeyError, "api_key"),
        ({"timeout": 0}, ConfigError, "timeout"),
        ({"base_url": "localhost:8000/v1"}, ConfigError, "localhost:8000"),
        ({"base_url": "http://[::1/v1"}, ConfigError, "not a URL"),
        ({"base_url": "http://h:99999999/v1"}, ConfigError, "base URL"),
        ({"parameters": {"stream": True}}, ConfigError, "`stream`"),
        ({"parameters": {"extra_body": {"n": 3}}}, ConfigError, "`n`"),
        ({"parameters": {"temperature": object()}}, ConfigError, "JSON"),
        ({"api_key": "“sk-quoted-0123456789”"}, ConfigError, "copy it anew"),
        ({"api_key": "sk-two\nsk-lines"}, ConfigError, "copy it anew"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(arguments, error, says):
    with pytest.raises(error) as caught:
        OpenAIChat("test-model", **{"api_key": "k", **arguments})
    assert says in str(caught.value)
    assert "0123456789" not in str(caught.value)


async def test_a_key_is_sent_without_the_blanks_around_it(openai_server):
    openai_server.script = ["ok"]
    chat = OpenAIChat("test-model", base_url=openai_server.url, api_key=f" {KEY}\n")
    await chat.complete(ask())
    await chat.aclose()
    assert openai_server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_openais_own_server_is_the_default_and_takes_the_new_name_of_the_limit(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    chat = OpenAIChat("gpt-5", api_key=KEY, provider="openai")
    assert chat.base_url == "https://api.openai.com/v1"
    assert chat._dialect.body({}, 7, stream=False) == {"max_completion_tokens": 7}
    assert chat.price == Price(1.25, 10.0)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1")
    assert OpenAIChat("gpt-5", api_key=KEY).base_url == "https://proxy.example/v1"
    assert OpenAIChat("gpt-5", api_key=KEY).price is None
    assert OpenAIChat("gpt-5", api_key=KEY, price=Price(1, 2)).price == Price(1, 2)


def test_openrouter_is_asked_for_the_cost():
    chat = OpenAIChat(
        "openai/gpt-5", base_url="https://openrouter.ai/api/v1", api_key=KEY, provider="openrouter"
    )
    assert chat._dialect.body({}, 7, stream=False) == {"max_tokens": 7, "usage": {"include": True}}


def test_a_model_is_made_without_importing_what_is_slow():
    code = (
        "import sys; from rlm_jupyter.models.openai.chat import OpenAIChat; OpenAIChat('m', api_key='k'); "
        "print(sorted({'openai', 'httpx', 'httpx2', 'genai_prices', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
