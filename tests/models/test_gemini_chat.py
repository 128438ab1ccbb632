"""Google's Gemini API: what is sent, how replies and errors are read, signatures of thoughts, and what it costs."""

import os

import numpy as np
import pytest
from gemini_server import GeminiServer, invalid, refused
from limits_parts import limits, until
from made_sounds import sound
from openai_server import Reply, fault, raw
from scripts import cell, question_of

from rlm_jupyter import RLM
from rlm_jupyter.errors import (
    AuthenticationError,
    ConfigError,
    ContextTooLongError,
    MissingKeyError,
    ModelError,
    RunStoppedError,
)
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import CachingPrice, CompletionRequest, GeminiChat, Usage, named_model
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.openai.sdk_wire import SdkWire
from rlm_jupyter.models.retry import RetryPolicy

KEY = GeminiServer.key
PRICE = CachingPrice(2.0, 10.0, 0.2, 2.0)
RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
STREAMED = [False, True]


@pytest.fixture
def server():
    with GeminiServer() as server:
        yield server


@pytest.fixture
async def chat(server):
    model = gemini(server)
    yield model
    await model.aclose()


def gemini(server, name="gemini-test", **options):
    options = {"timeout": 20, "retry": RETRY, "price": PRICE, "api_key": KEY, **options}
    return GeminiChat(name, base_url=server.url, **options)


def ask(text="How many?", *, streamed=False, system="Be brief.", **changes):
    if streamed:
        changes.setdefault("on_delta", lambda _: None)
    changes.setdefault("max_tokens", 100)
    return CompletionRequest(
        [{"role": "system", "content": system}, {"role": "user", "content": text}], **changes
    )


# What is sent, and what comes.


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
    assert completion.usage == Usage(server.prompt_tokens, server.completion_tokens)
    assert server.completion_tokens > server.tokens(text)
    assert (completion.model, completion.finish_reason, completion.attempts) == ("gemini-test", "stop", 1)
    assert completion.thought_bytes == 24


async def test_a_last_piece_that_equals_all_before_it_is_a_piece_of_its_own(server, chat):
    half = "the same forty characters come twice here"
    server.script = [Reply(half * 2, pieces=2)]
    assert (await chat.complete(ask(streamed=True))).text == half * 2


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_key_is_in_a_header_and_the_model_in_the_path(server, chat, streamed):
    server.script = ["ok"]
    await chat.complete(ask(streamed=streamed))
    headers = server.received[0].headers
    method = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    assert headers[":path"] == f"/v1beta/models/gemini-test:{method}"
    assert headers["x-goog-api-key"] == KEY
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("models/gemini-test", "models/gemini-test"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("a/../b?c#d", "models/a%2F..%2Fb%3Fc%23d"),
    ],
)
async def test_a_name_is_one_part_of_the_path(server, name, path):
    server.script = ["ok"]
    model = gemini(server, name)
    await model.complete(ask())
    await model.aclose()
    assert server.received[0].headers[":path"] == f"/v1beta/{path}:generateContent"


async def test_parameters_with_openais_names_become_those_of_the_api(server, chat):
    server.script = ["ok"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    parameters = {
        "stop": ["```\n", ""],
        "seed": 1,
        "temperature": 0.5,
        "top_p": 0.9,
        "response_format": schema,
        "reasoning_effort": "xhigh",
        "user": "u1",
        "logit_bias": {},
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "presence_penalty": 0.1,
    }
    assert (await chat.complete(ask(parameters=parameters))).attempts == 1
    (sent,) = server.requests
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "How many?"}]}]
    assert sent["service_tier"] == "flex"
    assert sent["generationConfig"] == {
        "stopSequences": ["```\n"],
        "seed": 1,
        "temperature": 0.5,
        "topP": 0.9,
        "presencePenalty": 0.1,
        "maxOutputTokens": 100,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"thinkingLevel": "high"},
    }


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        ("gemini-3-pro", {"reasoning_effort": "low"}, {"thinkingLevel": "low"}),
        ("gemini-flash-latest", {"reasoning_effort": "minimal"}, {"thinkingLevel": "minimal"}),
        ("gemini-3-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"reasoning_effort": "medium"}, {"thinkingBudget": 8192}),
        ("models/gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": 24_576}),
        ("gemini-3", {"reasoning_effort": "low", "thinkingConfig": {"includeThoughts": True}},
         {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3", {"generation_config": {"thinking_config": {"thinking_budget": 9}}, "reasoning_effort": "low"},
         {"thinkingBudget": 9}),
        ("gemini-2.5-flash", {"reasoning_effort": "low", "extra_body": {"google": {"thinking_config": {"thinking_level": "high"}}}},
         {"thinkingLevel": "high"}),
    ],
)  # fmt: skip
async def test_how_much_a_model_is_to_think_is_said_as_it_knows_it(server, model, parameters, expected):
    server.script = ["ok"]
    model = gemini(server, model, parameters=parameters)
    await model.complete(ask())
    await model.aclose()
    assert server.requests[0]["generationConfig"]["thinkingConfig"] == expected


@pytest.mark.parametrize("given", [{"maxOutputTokens": 9}, {"max_output_tokens": 9}, {"generationConfig": {"maxOutputTokens": 9}},
                                   {"generationConfig": {"max_output_tokens": 90_000}}, {"max_tokens": 9}])  # fmt: skip
async def test_the_smallest_of_all_bounds_on_a_reply_counts(server, given):
    server.script = ["ok"]
    model = gemini(server, parameters=given)
    await model.complete(ask())
    await model.aclose()
    assert server.requests[0]["generationConfig"]["maxOutputTokens"] == (100 if "90" in str(given) else 9)


@pytest.mark.parametrize(
    "given",
    [{"candidateCount": 2}, {"generationConfig": {"candidate_count": 2}}, {"extra_body": {"contents": []}},
     {"system_instruction": {}}, {"extra_body": {"generation_config": {"candidateCount": 2}}}],
)  # fmt: skip
async def test_what_each_request_sets_cannot_be_set(server, given):
    with pytest.raises(ConfigError, match="cannot be set"):
        gemini(server, parameters=given)
    server.script = ["ok"]
    model = gemini(server)
    assert (await model.complete(ask(parameters=given))).text == "ok"  # not from a request's own ones either
    await model.aclose()
    assert "candidateCount" not in server.requests[0].get("generationConfig", {})


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


async def test_images_and_audio_go_inline_after_their_text(server, chat):
    server.script = ["a chart"]
    image = Image(encode_images([np.zeros((4, 6), np.uint8)])[0], 6, 4)
    audio = sound(seconds=0.1)
    messages = [{"role": "user", "content": "What is it?", "images": (image,), "audio": (audio,)}]
    assert (await chat.complete(CompletionRequest(messages))).text == "a chart"
    assert server.requests[0]["contents"][0]["parts"] == [
        {"text": "What is it?"},
        {"inlineData": {"mimeType": "image/png", "data": image.base64}},
        {"inlineData": {"mimeType": "audio/wav", "data": audio.base64}},
    ]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("reason", "expected"),
    [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("STOP", "stop"),
     ("PROHIBITED_CONTENT", "content_filter"), ("MALFORMED_FUNCTION_CALL", "tool_calls"), ("SOME_NEW_ONE", "some_new_one")],
)  # fmt: skip
async def test_the_ends_of_replies_have_their_common_names(server, chat, streamed, reason, expected):
    server.script = [Reply("some text", finish=reason)]
    completion = await chat.complete(ask(streamed=streamed))
    assert (completion.text, completion.finish_reason, completion.attempts) == ("some text", expected, 1)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("finish", ["tool_calls", "content_filter", "length"])
async def test_a_reply_without_text_says_why(server, chat, streamed, finish):
    server.script = [Reply(None, finish=finish)]
    completion = await chat.complete(ask(streamed=streamed))
    assert (completion.text, completion.finish_reason, completion.attempts) == ("", finish, 1)


# Errors.

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.05s"}
PER_MINUTE = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    "faulty",
    [
        refused(429, "RESOURCE_EXHAUSTED", PER_MINUTE, [RETRY_INFO]),
        refused(500, "INTERNAL", "An internal error has occurred."),
        refused(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        refused(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        fault("reset"), fault("reset_mid_body"), fault("truncated"), fault("error_event"), fault("html_503"),
        raw("<html><title>Bad gateway</title></html>", "text/html"),
        raw('data: {"candidates": [{"cont', "text/event-stream"),
        raw({"usageMetadata": {"promptTokenCount": 5}, "modelVersion": "m"}),
        raw([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}]),
        raw({"candidates": [{"content": {"parts": "nonsense"}, "finishReason": "STOP"}]}),
        Reply("", finish="OTHER"), Reply(""),
    ],
    ids=["rate", "internal", "overloaded", "deadline", "reset", "mid_body", "truncated", "error_event", "html_503", "html",
         "half_event", "no_candidates", "error_200", "parts", "other", "empty"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again_and_each_try_is_counted(server, chat, faulty):
    server.script = [faulty, "fine"]
    waits = []
    completion = await chat.complete(ask(streamed=True, on_wait=lambda *told: waits.append(told)))
    assert (completion.text, completion.attempts, server.calls) == ("fine", 2, 2)
    assert len(waits) == 1
    if faulty.status == 429:
        assert waits[0][1] >= 0.05


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refused(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), AuthenticationError, "refused the key"),
        (invalid("The input token count (2845475) exceeds the maximum number of tokens allowed (1048576)."),
         ContextTooLongError, "longer than the context window"),
        (refused(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta, or is not supported for "
         "generateContent. Call ListModels to see the list of available models."), ModelError, "It has `gemini-9-flash`"),
        (refused(429, "RESOURCE_EXHAUSTED", PER_MINUTE), ModelError, "no credit left"),
        (invalid("Budget 0 is invalid. This model only works in thinking mode."), ModelError, "only works in thinking"),
    ],
)  # fmt: skip
async def test_what_cannot_pass_is_told_at_once_without_the_key(server, chat, answer, kind, words):
    writes = {"supportedGenerationMethods": ["generateContent"], "inputTokenLimit": 1_048_576}
    embeds = {"name": "models/gemini-embedding", "supportedGenerationMethods": ["embedContent"]}
    server.pages["/v1beta/models?pageSize=1000"] = {
        "models": [{"name": "models/gemini-9-flash", **writes}, embeds]
    }
    server.script = [answer]
    with pytest.raises(kind, match=words) as caught:
        await chat.complete(ask(streamed=True))
    assert (server.calls, caught.value.attempts) == (1, 1)
    assert KEY not in str(caught.value)
    assert "embedding" not in str(caught.value)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_prompt_that_is_blocked_is_told_at_once_with_the_reason(server, chat, streamed):
    usage = {"promptTokenCount": 12, "totalTokenCount": 12}
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage}
    server.script = [raw(blocked)]
    with pytest.raises(ModelError, match=r"prompt was blocked \(`PROHIBITED_CONTENT`\)") as caught:
        await chat.complete(ask(streamed=streamed))
    assert server.calls == 1
    assert caught.value.usage == Usage(12, 0)


async def test_a_wrong_key_is_refused_by_the_server_and_does_not_show(server):
    wrong = "AQ.wrong-0123456789"
    model = gemini(server, api_key=wrong)
    with pytest.raises(AuthenticationError) as caught:
        await model.complete(ask())
    assert wrong not in f"{caught.value}{model!r}{model.identity}"
    await model.aclose()
    with pytest.raises(MissingKeyError):
        GeminiChat("gemini-test")


async def test_a_key_that_the_server_quotes_is_masked(server, chat):
    server.script = [invalid(f"Consumer `{KEY}` has been suspended.")]
    with pytest.raises(ModelError, match=r"\*\*\*") as caught:
        await chat.complete(ask())
    assert KEY not in str(caught.value)


async def test_a_reply_longer_than_the_model_writes_is_bounded_from_then_on(server, chat):
    server.script = ["ok", "ok"]
    assert (await chat.complete(ask(max_tokens=90_000))).attempts == 2
    assert (await chat.complete(ask(max_tokens=90_000))).attempts == 1
    sent = [request["generationConfig"]["maxOutputTokens"] for request in server.requests]
    assert sent == [90_000, 65_536, 65_536]


async def test_a_model_without_a_system_instruction_is_asked_without_from_then_on(server, chat):
    server.no_system = True
    server.script = lambda _: "ok"
    assert (await chat.complete(ask())).attempts == 2
    assert (await chat.complete(ask())).attempts == 1
    assert server.requests[-1]["contents"][0]["parts"] == [{"text": "Be brief.\n\nHow many?"}]


async def test_usage_of_a_stream_that_broke_is_not_what_its_chunks_said_so_far(server, chat):
    server.script = [fault("reset_mid_body", text="some words that came " * 20)] * 3
    with pytest.raises(ModelError) as caught:
        await chat.complete(ask(streamed=True))
    assert caught.value.usage.estimated
    assert caught.value.usage.completion_tokens > 3


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    "usage", [None, {}, {"promptTokenCount": "many"}, {"promptTokenCount": -1, "candidatesTokenCount": True}]
)
async def test_a_usage_that_cannot_be_true_is_none(server, chat, streamed, usage):
    server.script = [Reply("ok", usage=usage)]
    assert (await chat.complete(ask(streamed=streamed))).usage is None


async def test_thoughts_are_billed_where_the_reply_has_no_tokens_of_its_own(server, chat):
    usage = {"promptTokenCount": 100, "totalTokenCount": 8292, "thoughtsTokenCount": 8192}
    server.script = [Reply("", finish="length", usage=usage)]
    assert (await chat.complete(ask(streamed=True))).usage == Usage(100, 8192)


async def test_thoughts_are_billed_beside_the_reply_where_no_sum_is_told(server, chat):
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 50,
    }
    server.script = [Reply("ok", usage=usage)]
    assert (await chat.complete(ask(streamed=True))).usage == Usage(100, 53, cached_tokens=40)


async def test_through_the_sdk_the_same_is_sent(server):
    server.script = ["streamed", "whole"]
    model = gemini(server, parameters={"extra_query": {"trace": "1"}})
    assert type(model._wires.choose()) is SdkWire
    server.path = ("&trace=1", "?trace=1")
    server._answer = _without_query(server)
    assert (await model.complete(ask(streamed=True))).text == "streamed"
    assert (await model.complete(ask())).text == "whole"
    await model.aclose()
    assert all("stream" not in request for request in server.requests)


def _without_query(server):
    answer = server._answer

    def answered(request, headers, writer):
        path = headers[":path"].removesuffix("&trace=1").removesuffix("?trace=1")
        return answer(request, {**headers, ":path": path}, writer)

    return answered


# Signatures of thoughts.


def turn(*said, run="r", agent="0"):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    for reply in said:
        messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": "output"}]
    return CompletionRequest(messages, 100, code_block=True, run=run, agent=agent, on_delta=lambda _: None)


def signed(number, text=None):
    return Reply(text or f"turn {number}", message={"thinking": "hm " * 40, "signature": f"sig-{number}=="})


async def test_signatures_come_back_with_the_turns_that_they_belong_to(server, chat):
    server.script = [signed(n) for n in range(3)]
    await chat.complete(turn())
    await chat.complete(turn("turn 0"))
    await chat.complete(turn("turn 0", "turn 1"))
    assert server.returned == [[], ["sig-0=="], ["sig-0==", "sig-1=="]]
    assert server.requests[-1]["contents"][1] == {
        "role": "model",
        "parts": [{"text": "turn 0"}, {"text": "", "thoughtSignature": "sig-0=="}],
    }


async def test_a_turn_that_was_changed_and_another_agent_are_sent_none(server, chat):
    server.script = lambda _: signed(0)
    await chat.complete(turn())
    await chat.complete(turn("turn 0, shortened"))
    await chat.complete(turn("turn 0", agent="0.1"))
    await chat.complete(turn("turn 0", run="s"))
    chat.keep_reasoning = False
    await chat.complete(turn("turn 0"))
    assert server.returned == [[]] * 5


async def test_a_server_that_takes_no_signatures_is_sent_none_from_then_on(server, chat):
    server.no_signatures = True
    server.script = lambda _: signed(0)
    await chat.complete(turn())
    assert (await chat.complete(turn("turn 0"))).attempts == 2
    assert (await chat.complete(turn("turn 0"))).attempts == 1


async def test_their_tokens_are_known_before_a_request_is_sent(server, chat):
    server.script = lambda _: signed(0)
    await chat.complete(turn())
    messages = turn("turn 0").messages
    assert chat.added_tokens("r", "0", messages) == server.tokens("hm " * 40)
    assert chat.added_tokens("r", "0.1", messages) == 0
    chat.keep_reasoning = False
    assert chat.added_tokens("r", "0", messages) == 0


# What it costs.


def test_what_is_read_from_the_cache_has_the_price_of_the_tables_and_what_is_written_no_price_of_its_own():
    price = GeminiChat("gemini-2.5-flash", api_key=KEY).price
    assert (*price, price.cache_read, price.cache_write) == (0.3, 2.5, 0.03, 0.3)
    assert GeminiChat("gemini-2.5-flash", api_key=KEY).bills_cache is False
    assert GeminiChat("no-such-model", api_key=KEY).price is None


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
    return signed(f"{question}-{said}", cell(turns[min(said, len(turns) - 1)]))


def test_a_run_with_a_sub_agent_and_a_plain_call_costs_what_the_server_bills(server, tmp_path):
    server.script = answering
    rlm = RLM(model=gemini(server), limits=limits(cost=1.0), log_dir=tmp_path, cache=False)
    with rlm.run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
        plain = server.prompt_tokens - server.read
        bill = plain * 2.0 + server.read * 0.2 + server.completion_tokens * 10.0
        assert run.cost == pytest.approx(bill / 1e6)
        assert server.read > 0
        told = f"{run.events}{run.log_path.read_text()}"
        assert KEY not in told
        assert "sig-" not in told
    assert any(server.returned)


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
    with RLM(model=gemini(server), limits=limits(), log_dir=None, cache=False).run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
    assert given == {"root", "part"}


def test_the_key_is_not_in_the_environment_of_an_agent(server, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url.removesuffix("/v1beta"))
    for name in ("RLM_MODEL_BASE_URL", "RLM_MODEL_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server.script = lambda _: cell("import os\nFINAL(sorted(os.environ.values()))")
    with RLM(model="gemini/gemini-2.5-flash", limits=limits(), log_dir=None, cache=False).run("root") as run:
        assert KEY not in run.raise_for_error().value
    assert KEY in os.environ.values()
    assert server.calls == 1


def test_stop_ends_a_stream_in_flight(server):
    server.script = lambda _: fault("late_hang")
    with RLM(model=gemini(server, timeout=600), limits=limits(), log_dir=None, cache=False).start(
        "root"
    ) as run:
        until(lambda: server.in_flight == 1)
        run.stop()
        until(lambda: server.in_flight == 0 and run.done)
        assert server.aborted == 1
        assert isinstance(run.error, RunStoppedError)


# Names.


@pytest.mark.parametrize(
    ("name", "given", "kind", "url"),
    [
        ("gemini/gemini-3-pro", None, "GeminiChat", "https://generativelanguage.googleapis.com/v1beta"),
        (
            "gemini+chat/gemini-3-pro",
            None,
            "OpenAIChat",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
        (
            "gemini/gemini-3-pro",
            "chat",
            "OpenAIChat",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
    ],
)
def test_a_name_means_the_api_of_its_own_or_chat_completions(name, given, kind, url):
    model = named_model(name, wire=given, api_key=KEY, env={})
    assert (type(model).__name__, model.base_url, model.name) == (kind, url, "gemini-3-pro")
    gate = {"GOOGLE_GEMINI_BASE_URL": "https://gate.example/google/"}
    path = "/openai" if kind == "OpenAIChat" else ""
    model = named_model(name, wire=given, api_key=KEY, env=gate)
    assert model.base_url == f"https://gate.example/google/v1beta{path}"


def test_the_environment_can_name_the_wire_format_of_a_base_url():
    env = {"RLM_MODEL_WIRE": "gemini", "RLM_MODEL_BASE_URL": "http://127.0.0.1:9/v1beta"}
    assert type(named_model("m", env=env)) is GeminiChat
