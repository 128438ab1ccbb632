"""Bedrock's Converse API: what is sent, how frames, replies and errors are read, the prompt cache and what it costs."""

import base64
import json
import os

import botocore.session
import numpy as np
import pytest
from bedrock_server import BedrockServer, event, exception, frame, framed, invalid, refused
from botocore.validate import ParamValidator
from limits_parts import limits, until
from made_sounds import sound
from openai_server import Reply, fault, raw
from scripts import cell, question_of

from rlm_jupyter import RLM
from rlm_jupyter.errors import (
    AuthenticationError,
    ConfigError,
    ContextTooLongError,
    ModelError,
    RunStoppedError,
)
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import BedrockChat, CachingPrice, CompletionRequest, Usage, named_model
from rlm_jupyter.models.bedrock.event_frames import FrameReader
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.openai.chat_replies import WireError
from rlm_jupyter.models.openai.sdk_wire import SdkWire
from rlm_jupyter.models.retry import RetryPolicy

KEY = BedrockServer.key
CLAUDE = "us.anthropic.claude-test-v1:0"
PRICE = CachingPrice(2.0, 10.0, 0.2, 2.5)
RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
STREAMED = [False, True]


@pytest.fixture
def server():
    with BedrockServer() as server:
        yield server


@pytest.fixture
async def chat(server):
    model = bedrock(server)
    yield model
    await model.aclose()


def bedrock(server, name=CLAUDE, **options):
    options = {"timeout": 20, "retry": RETRY, "price": PRICE, "api_key": KEY, **options}
    return BedrockChat(name, base_url=server.url, **options)


def ask(text="How many?", *, streamed=False, system="Be brief.", **changes):
    if streamed:
        changes.setdefault("on_delta", lambda _: None)
    changes.setdefault("max_tokens", 100)
    return CompletionRequest(
        [{"role": "system", "content": system}, {"role": "user", "content": text}], **changes
    )


# What is sent, and what comes.


@pytest.fixture
def aws(server, monkeypatch):
    """AWS's own library, with the server as its endpoint."""
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    server.takes_signed = True
    session = botocore.session.get_session()
    client = session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=server.url)
    yield client
    client.close()


def test_awss_own_library_takes_the_server_of_these_tests_for_bedrock(server, aws):
    server.cut = 7
    server.script = [
        Reply("streamed ä😀", pieces=3, message={"thinking": "hm"}),
        "whole",
        framed(exception("throttlingException", "slow")),
    ]
    asked = {"modelId": CLAUDE, "messages": [{"role": "user", "content": [{"text": "How many?"}]}]}
    events = list(aws.converse_stream(**asked)["stream"])
    texts = [
        one["contentBlockDelta"]["delta"].get("text", "") for one in events if "contentBlockDelta" in one
    ]
    assert "".join(texts) == "streamed ä😀"
    assert events[-1]["metadata"]["usage"]["inputTokens"] == server.tokens("How many?")
    whole = aws.converse(**asked)
    assert whole["output"]["message"]["content"] == [{"text": "whole"}]
    with pytest.raises(Exception, match="throttlingException"):
        list(aws.converse_stream(**asked)["stream"])


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_reply_comes_byte_for_byte_with_its_usage(server, chat, streamed, cut):
    server.cut = cut
    text = "One.\r\n\u2028\x85 ```repl\nprint('ä€😀')\n```\n"
    server.script = [Reply(text, pieces=len(text), message={"thinking": "hm " * 8})]
    pieces = []
    completion = await chat.complete(ask(on_delta=pieces.append if streamed else None))
    assert completion.text == text
    assert pieces == (list(text) if streamed else [])
    written = server.written
    assert written > 0
    assert completion.usage == Usage(
        server.prompt_tokens, server.completion_tokens, cache_write_tokens=written
    )
    assert (completion.finish_reason, completion.attempts, completion.thought_bytes) == ("stop", 1, 24)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_key_is_a_bearer_token_and_the_model_one_part_of_the_path(server, streamed):
    server.script = ["ok"]
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-test-v1:0"
    model = bedrock(server, arn)
    await model.complete(ask(streamed=streamed))
    await model.aclose()
    headers = server.received[0].headers
    path = headers[":path"].replace("%3A", ":")
    assert path == f"/model/{arn.replace('/', '%2F')}/converse" + ("-stream" if streamed else "")
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_requests_are_such_as_awss_own_library_takes(server, chat):
    server.script = lambda _: "ok"
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    parameters = {
        "stop": ["```\n", " "],
        "temperature": 1.7,
        "top_p": 0.9,
        "top_k": 5,
        "seed": 1,
        "user": "u1",
        "reasoning_effort": "low",
        "response_format": schema,
        "service_tier": "flex",
        "inferenceConfig": {"maxTokens": 9},
        "additionalModelRequestFields": {"thinking": {"type": "disabled"}, "n": 5},
    }
    image = Image(encode_images([np.zeros((4, 6), np.uint8)])[0], 6, 4)
    audio = sound(seconds=0.1)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is it?", "images": (image,), "audio": (audio,)},
    ]
    request = CompletionRequest(messages, 100, code_block=True, parameters=parameters)
    assert (await chat.complete(request)).attempts == 1
    (sent,) = server.requests
    assert sent["system"] == [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    text, shown, heard, mark = sent["messages"][0]["content"]
    assert (text, mark) == ({"text": "What is it?"}, {"cachePoint": {"type": "default"}})
    assert shown == {"image": {"format": "png", "source": {"bytes": image.base64}}}
    assert heard == {"audio": {"format": "wav", "source": {"bytes": audio.base64}}}
    assert sent["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 1.0,
        "topP": 0.9,
        "stopSequences": ["```\n"],
    }
    assert sent["additionalModelRequestFields"] == {"top_k": 5, "thinking": {"type": "disabled"}}
    assert sent["serviceTier"] == {"type": "flex"}
    assert sent["outputConfig"]["effort"] == "low"
    assert json.loads(sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == {
        "type": "object"
    }
    for block in (shown["image"], heard["audio"]):
        block["source"]["bytes"] = base64.b64decode(block["source"]["bytes"])
    shape = (
        botocore.session.get_session()
        .get_service_model("bedrock-runtime")
        .operation_model("Converse")
        .input_shape
    )
    assert ParamValidator().validate({**sent, "modelId": CLAUDE}, shape).generate_report() == ""


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


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("reason", "expected"),
    [("max_tokens", "length"), ("stop_sequence", "stop"), ("guardrail_intervened", "content_filter"), ("end_turn", "stop"),
     ("content_filtered", "content_filter"), ("model_context_window_exceeded", "length"), ("malformed_tool_use", "tool_calls")],
)  # fmt: skip
async def test_the_ends_of_replies_have_their_common_names(server, chat, streamed, reason, expected):
    server.script = [Reply("some text", finish=reason)]
    completion = await chat.complete(ask(streamed=streamed))
    assert (completion.text, completion.finish_reason, completion.attempts) == ("some text", expected, 1)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": "many"}, {"inputTokens": -1, "outputTokens": 2}])
async def test_a_usage_that_is_missing_or_cannot_be_true_is_none(server, chat, streamed, usage):
    server.script = [Reply("ok", usage=usage)]
    assert (await chat.complete(ask(streamed=streamed))).usage is None


async def test_through_the_sdk_the_same_is_sent(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    model = bedrock(server)
    assert type(model._wires.choose()) is SdkWire  # chosen with the proxy; it is asked without
    monkeypatch.delenv("http_proxy")
    server.script = [Reply("streamed", pieces=3), "whole"]
    pieces = []
    assert (await model.complete(ask(on_delta=pieces.append))).text == "".join(pieces) == "streamed"
    assert (await model.complete(ask())).text == "whole"
    await model.aclose()


async def test_the_first_sign_of_a_reply_is_told(server, chat):
    server.script = [Reply("ok", message={"thinking": "hm"})]
    begun = []
    await chat.complete(ask(streamed=True, on_begin=lambda: begun.append(True)))
    assert begun == [True]


# Frames.


def test_frames_are_read_however_they_are_cut():
    data = event("a", {"x": 1}) + frame(b"", message_type="event") + event("b", {"y": "ä" * 1000})
    for size in (1, 2, 11, 12, 13, 100, len(data)):
        reader = FrameReader()
        frames = [
            one for start in range(0, len(data), size) for one in reader.feed(data[start : start + size])
        ]
        assert [one.headers.get(":event-type") for one in frames] == ["a", None, "b"]
        assert json.loads(frames[2].payload) == {"y": "ä" * 1000}


@pytest.mark.parametrize("place", range(len(event("contentBlockDelta", {"delta": {"text": "x"}}))))
def test_a_frame_with_any_byte_changed_is_refused_or_not_complete(place):
    data = bytearray(event("contentBlockDelta", {"delta": {"text": "x"}}))
    data[place] ^= 0x41
    with pytest.raises(WireError):
        list(FrameReader().feed(bytes(data)))


def test_a_frame_larger_than_any_is_refused_before_it_is_read():
    import struct
    import zlib

    for sizes in ((2**31, 0), (15, 0), (2**20, 2**20 - 10), (10**6, 200_000)):
        prelude = struct.pack(">II", *sizes)
        with pytest.raises(WireError, match="size that none can have"):
            list(FrameReader().feed(prelude + struct.pack(">I", zlib.crc32(prelude))))


# Errors.

START = event("messageStart", {"role": "assistant"})
PIECE = event("contentBlockDelta", {"delta": {"text": "some text"}, "contentBlockIndex": 0})
DAMAGED = PIECE[:-1] + bytes([PIECE[-1] ^ 1])


@pytest.mark.parametrize(
    "faulty",
    [
        refused(429, "ThrottlingException", "Too many tokens, please wait before trying again."),
        refused(429, "ModelNotReadyException", "Model is not ready for inference."),
        refused(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
        refused(500, "InternalServerException", "The system encountered an unexpected error"),
        refused(408, "ModelTimeoutException", "The request took too long to process."),
        refused(424, "ModelErrorException", "The request failed due to an error while processing the model."),
        fault("reset"), fault("reset_mid_body"), fault("truncated"), fault("error_event"), fault("html_503"),
        framed(START, PIECE, exception("throttlingException", "Too many requests")),
        framed(START, PIECE, exception("internalServerException", "no")),
        framed(START, frame(b"", message_type="error", error_code="InternalError", error_message="no")),
        framed(START, DAMAGED, event("messageStop", {"stopReason": "end_turn"})),
        framed(START, PIECE[:-5]), framed(START), framed(frame(b"{", message_type="event", event_type="messageStart")),
        raw("<html><title>Bad gateway</title></html>", "text/html"), raw({"output": {}, "stopReason": "end_turn"}),
        Reply("some text", finish="malformed_model_output"), Reply(""),
    ],
    ids=["throttled", "not_ready", "unavailable", "internal", "timeout", "model", "reset", "mid_body", "truncated",
         "exception", "html_503", "throttled_in_stream", "internal_in_stream", "error_in_stream", "sum", "half_frame",
         "nothing", "json", "html", "no_output", "malformed", "empty"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again_and_each_try_is_counted(server, chat, faulty):
    server.script = [faulty, "fine"]
    waits = []
    completion = await chat.complete(ask(streamed=True, on_wait=lambda reason, _: waits.append(reason)))
    assert (completion.text, completion.attempts, server.calls) == ("fine", 2, 2)
    assert len(waits) == 1
    if "hrottl" in str(faulty):
        assert waits[0].startswith("rate limit")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refused(403, "AccessDeniedException", "You don't have access to the model."), AuthenticationError, "refused the key"),
        (invalid("Input is too long for requested model."), ContextTooLongError, "longer than the context window"),
        (invalid("The provided model identifier is invalid."), ModelError, "inference profile"),
        (refused(404, "ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
         ModelError, "inference profile"),
        (invalid("Malformed input request, please reformat your input and try again."), ModelError, "Malformed input"),
        (framed(START, exception("validationException", "Input is too long for requested model.")), ContextTooLongError, "longer"),
    ],
)  # fmt: skip
async def test_what_cannot_pass_is_told_at_once_without_the_key(server, chat, answer, kind, words):
    server.script = [answer]
    with pytest.raises(kind, match=words) as caught:
        await chat.complete(ask(streamed=True))
    assert (server.calls, caught.value.attempts) == (1, 1)
    assert KEY not in str(caught.value)


async def test_a_wrong_key_is_refused_by_the_server_and_does_not_show(server):
    wrong = "ABSK-wrong-0123456789=="
    model = bedrock(server, api_key=wrong)
    with pytest.raises(AuthenticationError) as caught:
        await model.complete(ask())
    assert wrong not in f"{caught.value}{model!r}{model.identity}"
    await model.aclose()


async def test_a_reply_longer_than_the_model_writes_is_bounded_from_then_on(server, chat):
    server.script = lambda _: "ok"
    assert (await chat.complete(ask(max_tokens=90_000))).attempts == 2
    assert (await chat.complete(ask(max_tokens=90_000))).attempts == 1
    assert [request["inferenceConfig"]["maxTokens"] for request in server.requests] == [90_000, 8191, 8191]


async def test_usage_of_a_stream_that_broke_is_estimated(server, chat):
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
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens
    assert usage.cached_tokens + usage.cache_write_tokens == usage.prompt_tokens


async def test_a_question_that_is_asked_once_writes_nothing_but_the_fixed_text_to_the_cache(server, chat):
    server.script = ["ok"]
    await chat.complete(ask())
    assert "cachePoint" in str(server.requests[0]["system"])
    assert "cachePoint" not in str(server.requests[0]["messages"])


async def test_a_model_without_a_cache_is_sent_no_marks(server, chat):
    server.no_cache = True
    server.script = lambda _: "ok"
    assert (await chat.complete(turn(1))).attempts == 2
    assert (await chat.complete(turn(2))).attempts == 1
    for name in ("openai.gpt-oss-120b-1:0", "meta.llama3-70b-instruct-v1:0"):
        model = bedrock(server, name)
        assert (await model.complete(turn(1))).attempts == 1
        await model.aclose()


def test_the_prices_are_those_of_the_tables_and_the_cache_of_claude_is_always_counted():
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com"
    price = BedrockChat("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", base_url=url, api_key=KEY).price
    assert (*price, price.cache_read, price.cache_write) == (3.3, 16.5, 0.33, 4.125)
    assert BedrockChat("anthropic.claude-of-tomorrow", base_url=url, api_key=KEY).bills_cache
    assert not BedrockChat("amazon.nova-pro-v1:0", base_url=url, api_key=KEY).bills_cache


# Whole runs.

TURNS = {
    "root": ["FINAL(rlm_query('part', context=1))"],
    "part": ["x = context", "FINAL([x, llm_query('plain')])"],
}


def answering(request):
    question = question_of(request["messages"])
    if question is None:
        return "plain"
    replies = [message["content"] for message in request["messages"] if message["role"] == "assistant"]
    said = sum("```repl" in reply and reply.endswith("```") for reply in replies)
    turns = TURNS[question]
    return Reply(cell(turns[min(said, len(turns) - 1)]), message={"thinking": "hm"})


def test_a_run_with_a_sub_agent_and_a_plain_call_costs_what_the_server_bills(server, tmp_path):
    server.script = answering
    rlm = RLM(model=bedrock(server), limits=limits(cost=1.0), log_dir=tmp_path, cache=False)
    with rlm.run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
        plain = server.prompt_tokens - server.read - server.written
        bill = plain * 2.0 + server.read * 0.2 + server.written * 2.5 + server.completion_tokens * 10.0
        assert run.cost == pytest.approx(bill / 1e6)
        assert server.read > 0
        assert KEY not in f"{run.events}{run.log_path.read_text()}"


@pytest.mark.parametrize(
    ("name", "options"),
    [("server_error", {}), ("truncated", {}), ("error_event", {}), ("reset_mid_body", {}), ("content_filter", {}),
     ("tool_calls", {}), ("usage_missing", {"text": "hm"}), ("length", {"text": "```repl\nFINAL('cut in the mid"})],
)  # fmt: skip
def test_a_fault_of_each_agent_is_recovered_within_a_run(server, name, options):
    given = set()

    def answer(request):
        question = question_of(request["messages"])
        if question is not None and question not in given:
            given.add(question)
            return fault(name, **options)
        return answering(request)

    server.script = answer
    with RLM(model=bedrock(server), limits=limits(), log_dir=None, cache=False).run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
    assert given == {"root", "part"}


def test_the_key_is_not_in_the_environment_of_an_agent(server, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-of-aws")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
    for name in ("RLM_MODEL_BASE_URL", "RLM_MODEL_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server.script = lambda _: cell("import os\nFINAL(sorted(os.environ.values()))")
    rlm = RLM(model="bedrock/amazon.nova-pro-v1:0", limits=limits(), log_dir=None, cache=False)
    with rlm.run("root") as run:
        assert not {KEY, "planted-secret-of-aws"} & set(run.raise_for_error().value)
    assert KEY in os.environ.values()
    assert server.calls == 1


def test_stop_ends_a_stream_in_flight(server):
    server.script = lambda _: fault("late_hang")
    with RLM(model=bedrock(server, timeout=600), limits=limits(), log_dir=None, cache=False).start(
        "root"
    ) as run:
        until(lambda: server.in_flight == 1)
        run.stop()
        until(lambda: server.in_flight == 0 and run.done)
        assert server.aborted == 1
        assert isinstance(run.error, RunStoppedError)


# Names and regions.


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"AWS_REGION": "eu-central-1"}, "https://bedrock-runtime.eu-central-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://gate.example/aws/"}, "https://gate.example/aws"),
    ],
)  # fmt: skip
def test_the_address_is_that_of_the_region(env, url):
    model = named_model(f"bedrock/{CLAUDE}", api_key=KEY, env=env)
    assert (type(model), model.base_url, model.name) == (BedrockChat, url, CLAUDE)


@pytest.mark.parametrize("env", [{}, {"AWS_REGION": "evil.example/#"}, {"AWS_REGION": " "}])
def test_without_a_region_the_error_names_its_variable(env, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="AWS_REGION"):
        named_model(f"bedrock/{CLAUDE}", api_key=KEY, env=env)
    with pytest.raises(ConfigError, match="AWS_REGION"):
        BedrockChat(CLAUDE, api_key=KEY)
