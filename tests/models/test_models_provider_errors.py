"""Errors of providers, wherever they put them: what kind it is, what was said, how long to wait, and what it costs."""

import gzip
import json
import time
import tracemalloc
from email.utils import formatdate

import pytest
from openai_server import Reply, chunk, events, raw, whole

from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.error_body import read_error
from rlm_jupyter.models.openai.failures import Kind, failure_of_error_object
from rlm_jupyter.models.retry import (
    RetryPolicy,
    read_duration,
    reset_seconds,
    retry_after_seconds,
    seconds_in_words,
)

STREAM = "text/event-stream"
STREAMED = [False, True]
SAID = "The well of words is dry"


@pytest.fixture
async def make_chat(openai_server):
    made = []

    def make(url=None, **options):
        retry = RetryPolicy(first_wait=0.01, longest_backoff=0.02, longest_wait=0.05)
        options = {"retry": retry, "timeout": 20, **options}
        made.append(
            OpenAIChat(
                "some-model", base_url=url or openai_server.url, api_key="sk-test-0123456789", **options
            )
        )
        return made[-1]

    yield make
    for model in made:
        await model.aclose()


@pytest.fixture
def chat(make_chat):
    return make_chat()


async def ask(chat, *, streamed=False, waits=None):
    return await chat.complete(
        CompletionRequest(
            [{"role": "user", "content": "hi"}],
            500,
            (lambda _: None) if streamed else None,
            (lambda *wait: waits.append(wait)) if waits is not None else None,
        )
    )


def at_choice(error, **choice):
    return {"choices": [{"index": 0, "finish_reason": "error", "error": error, **choice}]}


IN_A_REPLY = {
    "an object": {"error": {"message": SAID, "code": 402}},
    "a number as a text": {"error": {"message": SAID, "code": "402"}},
    "a list": [{"error": {"message": SAID, "code": 402}}],
    "a list of errors": {"success": False, "errors": [{"code": 402, "message": SAID}], "result": None},
    "a text with a code beside it": {"error": SAID, "code": 402},
    "no more than a flag": {"success": False, "code": 402, "message": SAID},
    "a flag of an error": {"error": True, "status": 402, "message": SAID},
    "at the top": {"object": "error", "message": SAID, "code": 402},
    "a status": {"status": 402, "detail": SAID, "title": "Payment Required"},
    "MiniMax": {"choices": None, "base_resp": {"status_code": 1008, "status_msg": SAID}},
    "OpenRouter": {
        "error": {
            "message": "Provider returned error", "code": 402,
            "metadata": {"raw": json.dumps({"error": {"message": SAID}}), "provider_name": "X"},
        }
    },
    "JSON in a sentence": {"error": {"message": f"XException - {json.dumps({'error': {'message': SAID}})}", "code": "402"}},
    "type and words": {"type": "error", "error": {"type": "billing_error", "message": SAID}},
    "in the choice": at_choice({"message": SAID, "code": 402}, message={"content": "so far"}, delta={"content": "so far"}),
    "in the message": at_choice(None, message={"content": "", "error": {"message": SAID, "code": 402}}),
    "in the delta": at_choice(None, delta={"error": {"message": SAID, "code": 402}}),
}  # fmt: skip


@pytest.mark.parametrize("place", ["whole", "stream", "within a stream", "event", "bare line"])
@pytest.mark.parametrize("name", IN_A_REPLY)
async def test_an_error_in_a_200_is_quoted_and_its_code_decides(openai_server, chat, name, place):
    payload = IN_A_REPLY[name]
    if place == "whole":
        body = raw(payload)
    elif place == "event":
        body = raw(events(f"event: error\ndata: {json.dumps(payload)}", done=False), STREAM)
    elif place == "bare line":
        bare = json.dumps(payload[0] if isinstance(payload, list) else payload)
        body = raw(events(chunk("begin"), bare, done=False), STREAM)
    else:
        body = raw(events(*([chunk("begin")] if place.startswith("within") else []), payload), STREAM)
    openai_server.script = [body]
    with pytest.raises(ModelError, match="no credit") as caught:
        await ask(chat, streamed=place != "whole")
    assert SAID in str(caught.value)
    assert "{" not in str(caught.value)
    assert openai_server.calls == 1


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    "payload",
    [
        *({"error": "busy"}, {"error": {"message": "upstream", "code": 502}}, {"error": {"code": "503"}}),
        *(
            {"base_resp": {"status_code": 1002, "status_msg": "rpm"}},
            {"message": "Overloaded", "type": "error"},
        ),
        *(
            {"detail": "engine loop died", "code": 500},
            {"success": False},
            at_choice({"code": 502, "message": "x"}),
        ),
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},
    ],
)
async def test_an_error_that_may_pass_is_waited_for(openai_server, chat, payload, streamed):
    openai_server.script = [raw(events(payload), STREAM) if streamed else raw(payload), raw(whole("ok"))]
    waits = []
    assert (await ask(chat, streamed=streamed, waits=waits)).text == "ok"
    assert len(waits) == 1


@pytest.mark.parametrize("said", ["plain words", '"a text as JSON"'])
async def test_an_event_of_an_error_may_be_no_object(openai_server, chat, said):
    openai_server.script = lambda _: raw(events(f"event: error\ndata: {said}", done=False), STREAM)
    with pytest.raises(ProviderUnreachableError, match=said.strip('"')):
        await ask(chat, streamed=True)


async def test_an_error_after_the_replys_own_end_takes_nothing_away(openai_server, chat):
    frames = [chunk("whole"), chunk(None, "stop"), {"error": {"message": "late", "code": 500}}]
    openai_server.script = [raw(events(*frames), STREAM)]
    completion = await ask(chat, streamed=True)
    assert (completion.text, completion.attempts) == ("whole", 1)


REFUSALS = {
    "Google's key": (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                                     "details": [{"reason": "API_KEY_INVALID"}]}}, AuthenticationError),
    "a key in a list": (403, [{"error": {"code": 403, "status": "PERMISSION_DENIED"}}], AuthenticationError),
    "a key in words": (401, "Unauthorized", AuthenticationError),
    "a key that LiteLLM does not know": (
        400, {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}, AuthenticationError,
    ),
    "Anthropic's key": (200, {"type": "error", "error": {"type": "authentication_error", "message": "no"}}, AuthenticationError),
    "MiniMax's key": (200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, AuthenticationError),
    "context in OpenRouter's raw": (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error":{"message":"maximum context length is 10 tokens"}}'}}}, ContextTooLongError),
    "context of llama.cpp": (500, {"error": {"message": "the request exceeds the available context size"}}, ContextTooLongError),
    "context of a proxy": (413, "<html><title>413 Request Entity Too Large</title></html>", ContextTooLongError),
    "context of a rate": (429, {"error": {"message": "Request too large for m on tokens per min (TPM): Limit 1, Requested 9"}},
                          ContextTooLongError),
    "credit with a 403": (403, {"error": {"message": "insufficient balance"}}, ModelError),
    "FastAPI": (422, {"detail": [{"loc": ["body", "top_k"], "msg": "ensure this is right", "type": "x"}]}, ModelError),
    "moderation": (403, {"error": {"message": "your input was flagged", "code": 403}}, ModelError),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_that_cannot_pass_ends_at_once(openai_server, chat, name):
    status, body, error = REFUSALS[name]
    openai_server.script = [raw(body, status=status)]
    with pytest.raises(ModelError) as caught:
        await ask(chat)
    assert type(caught.value) is error
    assert openai_server.calls == 1
    assert "<" not in str(caught.value)


async def test_fields_that_fastapi_blames_are_named(openai_server, chat):
    _, body, _ = REFUSALS["FastAPI"]
    openai_server.script = [raw(body, status=422)]
    with pytest.raises(ModelError, match=r"body\.top_k: ensure this is right"):
        await ask(chat)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (
            503,
            "<!DOCTYPE html><html><head><title>503 Backend sleeps</title><script>alert(1)</script>",
            "503 Backend sleeps",
        ),
        (502, "<html><body><h1>Bad Gateway</h1></body></html>", "Bad Gateway"),
        (500, "Internal Server Error: well", "Internal Server Error: well"),
        (200, "<html><title>Please log in</title></html>", "Please log in"),
        (200, "Ollama is running", "Ollama is running"),
    ],
)
async def test_of_a_page_the_title_is_quoted(openai_server, chat, status, body, shown, streamed):
    openai_server.script = lambda _: raw(body, "text/html", status=status)
    with pytest.raises((ProviderUnreachableError, MalformedReplyError)) as caught:
        await ask(chat, streamed=streamed)
    assert shown in str(caught.value)
    assert "<" not in str(caught.value)
    assert "alert" not in str(caught.value)


DEEP = "[" * 10_000


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    "body",
    [
        *(DEEP, '{"error": ' * 5000, '{"error": ' * 500 + '"x"' + "}" * 500, '{"error": {"code": ' + "9" * 5000 + "}}"),
        *('{"error": {"message": ' + "9" * 4000 + "}}", json.dumps({"error": DEEP}), json.dumps({"detail": [{"loc": [[[]]], "msg": "m"}]})),
        *(b"\xff\xfe\x00", '{"error": "\\udc80 half"}', '{"error": {"status": NaN, "code": Infinity, "message": "n"}}'),
        json.dumps({"error": {"message": "x" * 200_000}}),
    ],
)  # fmt: skip
async def test_a_hostile_body_is_a_model_error_and_no_other(openai_server, chat, body, status, streamed):
    openai_server.script = lambda _: raw(body, status=status)
    with pytest.raises(ModelError) as caught:
        await ask(chat, streamed=streamed)
    str(caught.value).encode()
    assert len(str(caught.value)) < 1000


async def test_of_an_endless_refusal_the_beginning_is_read(openai_server, chat):
    openai_server.script = lambda _: Reply(status=400, body="The well is dry. ", mode="endless")
    with pytest.raises(ModelError, match="The well is dry"):
        await ask(chat)
    assert openai_server.calls == 1


async def test_a_refusal_that_unpacks_to_more_than_it_was_is_cut_off(openai_server, chat):
    body = gzip.compress(b"The well is dry. " + b" " * 200_000_000, 1)
    openai_server.script = lambda _: raw(body, "text/plain", status=400, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="The well is dry"):
            await ask(chat)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": "a"}, "a"),
        ({"error": {"message": "a."}, "detail": "b."}, "b; a."),
        ({"message": "a", "error": {"message": "a and more"}}, "a; a and more"),
        ({"error": {"message": "a and more", "inner": {"message": "a"}}}, "a and more"),
        ({"fault": {"faultstring": "a", "detail": {"errorcode": "x.y"}}}, "a"),
        ({"error": {"foo": 1, "bar": "b"}}, ""),
        ({"foo": 1, "bar": "b"}, "foo: 1, bar: b"),
        ("words", "words"),
        ("", ""),
        (None, ""),
        ([], ""),
    ],
)
def test_what_was_said_is_one_text(body, text):
    assert read_error(body).text == text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "Rate limit reached", "type": "rate_limit_error"}, Kind.RATE_LIMIT),
        ({"message": "x", "status": "RESOURCE_EXHAUSTED"}, Kind.RATE_LIMIT),
        ({"message": "x", "__type": "ThrottlingException", "code": "ThrottlingException"}, Kind.RATE_LIMIT),
        ({"message": "You exceeded your current quota", "code": 429}, Kind.QUOTA),
        (
            {"message": "You exceeded your current quota. Please retry in 36.3s.", "code": 429},
            Kind.RATE_LIMIT,
        ),
        ({"message": "x", "type": "invalid_request_error"}, Kind.REFUSED),
        ({"message": "x", "type": "api_error"}, Kind.SERVER),
        ({"message": "The model `a/b-4.1:free` does not exist"}, Kind.MODEL),
        ({"message": "model 'qwen2.5:7b' not found, try pulling it first"}, Kind.MODEL),
        ({"message": "No endpoints found for a/b"}, Kind.MODEL),
        ({"message": "Invalid URL (POST /chat/completions)"}, Kind.ADDRESS),
        ({"message": "Method Not Allowed", "code": 405}, Kind.ADDRESS),
        ({"message": "x", "code": "tool_use_failed"}, Kind.TOOL_CALL),
        ({"message": "error parsing tool call: raw='{'", "code": 500}, Kind.TOOL_CALL),
    ],
)
def test_an_error_is_told_apart_by_code_and_words(error, kind):
    assert failure_of_error_object(error).kind is kind


# ---- an address where nothing answers


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
        (
            200,
            {"error": {"message": "Invalid URL (POST /chat/completions)", "type": "invalid_request_error"}},
        ),
        (404, {"detail": "Not Found"}),
        (
            404,
            {
                "error": {
                    "message": "Unknown request URL: POST /chat/completions. Please check the URL for typos."
                }
            },
        ),
        (404, "404 page not found"),
        (404, "<html><pre>Cannot POST /chat/completions</pre></html>"),
        (404, b""),
        (405, {"detail": "Method Not Allowed"}),
    ],
)
@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("", "/v1`"),
        ("/", "/v1`"),
        ("/v1/chat/completions", "/v1`"),
        ("/v1/completions/", "/v1`"),
        ("/api/v1", "ends in `/v1`"),
    ],
)
async def test_a_wrong_base_url_fails_at_once_and_says_what_is_wrong(
    openai_server, make_chat, status, body, path, right, streamed
):
    openai_server.script, openai_server.models = [raw(body, status=status)], []
    root = openai_server.url.removesuffix("/v1")
    with pytest.raises(ModelError) as caught:
        await ask(make_chat(f"{root}{path}"), streamed=streamed)
    assert "`base_url`" in str(caught.value)
    assert right in str(caught.value)
    assert "/v1/v1" not in str(caught.value)
    assert not caught.value.retryable
    assert openai_server.calls == 1


async def test_an_unknown_model_at_a_right_address_is_told_from_a_wrong_address(openai_server, chat):
    openai_server.script = [raw({"detail": "Not Found"}, status=404)]
    with pytest.raises(ModelError, match=r"no model `some-model`.*`test-model`"):
        await ask(chat)


# ---- how long to wait

NOW = 1_795_168_800.0  # Friday, 20 November 2026, 10:00:00 GMT
WAITS = {
    "seconds": ({"Retry-After": "0.03"}, {}),
    "milliseconds": ({"retry-after-ms": "30"}, {}),
    "a duration": ({"Retry-After": "30ms"}, {}),
    "a reset": ({"x-ratelimit-reset-requests": "30ms"}, {}),
    "words": ({}, {"error": {"message": "Rate limit reached. Please try again in 30ms. Visit https://x.test"}}),
    "words with a unit apart": ({}, {"error": {"message": "Please retry after 0.03 seconds."}}),
    "words within JSON within words": ({}, {"error": {"message": 'X - {"error": {"message": "Please try again in 0.03s."}}'}}),
    "Google": ({}, [{"error": {"code": 429, "message": "x", "details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "0.03s"}]}}]),
    "Google in parts": ({}, {"error": {"code": 429, "details": [{"retryDelay": {"seconds": 0, "nanos": 30_000_000}}]}}),
    "OpenRouter": ({}, {"error": {"code": 429, "metadata": {"headers": {"Retry-After": "0.03"}}}}),
    "a field": ({}, {"error": {"message": "x", "retry_after": 0.03}}),
    "a field of milliseconds": ({}, {"retry_after_ms": 30, "message": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
async def test_the_wait_that_a_server_asks_for_is_found(openai_server, chat, name):
    headers, body = WAITS[name]
    refused = raw(body or {"error": {"message": "slow down"}}, status=429)
    refused.headers.update(headers)
    openai_server.script = [refused, raw(whole("ok"))]
    waits = []
    assert (await ask(chat, waits=waits)).text == "ok"
    ((reason, seconds),) = waits
    assert reason == "rate limit (429)"
    assert 0.03 <= seconds <= 0.034  # without it, 0.01 at the most


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_wait_in_an_error_after_a_200_is_found(openai_server, chat, streamed):
    payload = {"error": {"code": 429, "message": "Please try again in 30ms"}}
    openai_server.script = [raw(events(payload), STREAM) if streamed else raw(payload), raw(whole("ok"))]
    waits = []
    await ask(chat, streamed=streamed, waits=waits)
    assert 0.03 <= waits[0][1] <= 0.034


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "1m2.5s", "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-tokens": "3s", "x-ratelimit-remaining-tokens": "17"}, 62.5),
        ({"x-ratelimit-reset-requests": "1m2.5s", "x-ratelimit-remaining-requests": "9",
          "x-ratelimit-reset-tokens": "3s", "x-ratelimit-remaining-tokens": "0"}, 3.0),
        ({"x-ratelimit-reset-requests": "8.64s", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-reset": str(int(NOW) + 9)}, 9.0),
        ({"x-ratelimit-reset": str((int(NOW) + 9) * 1000)}, 9.0),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"x-rate-limit-reset": str(int(NOW) - 9)}, 0.0),
        ({"x-ratelimit-reset-after": "2.5"}, 2.5),
        ({"anthropic-ratelimit-requests-reset": "2026-11-20T10:00:30Z"}, 30.0),
        ({"x-ratelimit-reset": "Fri, 20 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"ratelimit-reset": "5"}, 5.0),
        ({"ratelimit": "limit=10, remaining=0, reset=7"}, 7.0),
        ({"ratelimit": '"default";r=0;t=7'}, 7.0),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "9" * 500}, None),
        ({"x-ratelimit-limit": "5", "x-reset": "5"}, None),
    ],
)  # fmt: skip
def test_the_reset_of_a_limit_is_read_in_each_of_its_forms(headers, seconds):
    assert reset_seconds(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(
            ("2", 2.0),
            ("2.5", 2.5),
            ("2s", 2.0),
            ("350ms", 0.35),
            ("1m2.5s", 62.5),
            ("1h2m3s", 3723.0),
            ("2 minutes", 120.0),
        ),
        *(("1 hour, 30 min", 5400.0), ("1 minute and 2 seconds", 62.0), ("3 days", 259200.0)),
        *(
            ("", None),
            ("-1", None),
            ("nan", None),
            ("1e999", None),
            ("soon", None),
            ("5 sheep", None),
            ("9" * 400, None),
        ),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert read_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Limit 30000, Used 29000, Requested 2000. Please try again in 1m2.5s. Visit", 62.5),
        ("Please retry in 36.350s.", 36.35),
        ("Please retry after 6 seconds.", 6.0),
        ("Retry after: 30", 30.0),
        ("You must wait 12 s before the next request", 12.0),
        ("Try again later. The limit is 5 minutes", None),
        ("Please try again in a while", None),
        ("again " * 100_000, None),
    ],
)
def test_a_wait_is_found_in_words(text, seconds):
    assert seconds_in_words(text) == seconds


def test_retry_after_is_read_as_a_date_of_http():
    asked = retry_after_seconds({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert 97 <= asked <= 100
    assert retry_after_seconds({"retry-after": "1m"}) == 60.0
