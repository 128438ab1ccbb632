"""OpenAIChat against a real server on loopback: every fault by name, what recovers and what fails how."""

import asyncio
import dataclasses
import socket
import time
import traceback
from email.utils import parsedate_to_datetime

import pytest
from openai_server import OpenAIServer, Reply, fault

from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models.base import CompletionRequest, Usage
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-proj-Zx81kQ2mT6vB0nL4hR9s"
QUICK = RetryPolicy(first_wait=0.01, longest_backoff=0.05)
STREAMED = [False, True]


def ask(text="How many?", **changes):
    return CompletionRequest([{"role": "user", "content": text}], **changes)


class Listener:
    """Takes what a model says on the way: pieces of text, and waits; `waiting` is called at each of these."""

    def __init__(self, streamed, waiting=lambda: None):
        self.pieces, self.waits, self._waiting = [], [], waiting
        self.request = ask(
            max_tokens=100,
            on_delta=self.pieces.append if streamed else None,
            on_wait=self._wait,
        )

    def _wait(self, *wait):
        self.waits.append(wait)
        self._waiting()


@pytest.fixture
async def make_chat(openai_server):
    """Makes models that are closed at the end, whether the test passes or not."""
    made = []

    def make(**changes):
        arguments = {"base_url": openai_server.url, "api_key": KEY, "timeout": 60, "retry": QUICK, **changes}
        made.append(OpenAIChat("test-model", **arguments))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()


@pytest.fixture
def chat(make_chat):
    return make_chat()


@pytest.fixture
def chat_of(make_chat, openai_server):
    """Makes a model by what carries its requests: a password in the address is left to the SDK."""
    with_password = openai_server.url.replace("//", "//user:hunter22@")
    return lambda wire: make_chat() if wire == "direct" else make_chat(base_url=with_password)


WIRES = ["direct", "sdk"]
RECOVERABLE = [
    "rate_limit", "server_error", "html_503", "overloaded_529", "timeout_408", "conflict_409",
    "hang", "reset", "reset_mid_body", "late_hang", "malformed_json", "html_200", "empty_choices", "error_200",
    "null_content", "empty_content", "late",
]  # fmt: skip


@pytest.mark.parametrize(("wire", "streamed"), [("direct", False), ("direct", True), ("sdk", True)])
@pytest.mark.parametrize("name", [*RECOVERABLE, "truncated", "error_event"])
async def test_a_fault_that_passes_is_recovered_from_and_the_wait_is_shown(
    openai_server, chat_of, wire, name, streamed
):
    chat = chat_of(wire)
    openai_server.script = [fault(name), "the answer"]
    if name in ("hang", "late_hang", "late"):
        chat.timeout = 2.0  # of silence
    # The answer itself may take longer on a busy machine.
    listener = Listener(streamed, waiting=lambda: setattr(chat, "timeout", 60))
    completion = await chat.complete(listener.request)
    assert (completion.text, completion.attempts, openai_server.calls) == ("the answer", 2, 2)
    assert len(listener.waits) == 1
    reason, seconds = listener.waits[0]
    assert reason
    assert seconds > 0
    assert not streamed or "".join(listener.pieces).endswith("the answer")


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
async def test_a_response_that_comes_twice_is_not_the_reply_to_the_next_request(
    openai_server, chat_of, wire, streamed
):
    chat, numbers = chat_of(wire), iter(range(9))

    def script(request):
        said = f"to {request['messages'][0]['content']}"
        return fault("duplicated", text=said) if next(numbers) == 0 else said

    openai_server.script = script
    waits = []
    for question in ("one", "two", "three"):
        listener = Listener(streamed)
        request = dataclasses.replace(listener.request, messages=ask(question).messages)
        assert (await chat.complete(request)).text == f"to {question}"
        waits += [reason for reason, _ in listener.waits]
    if wire == "direct":  # what waits in a connection is seen before the next request is sent there
        assert (waits, openai_server.calls) == ([], 3)
    else:  # the second is sent again, on another connection
        assert (waits, openai_server.calls) == (["connection lost"], 4)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_three_faults_in_a_row_are_recovered_from(openai_server, chat, streamed):
    openai_server.script = [fault("rate_limit"), fault("server_error"), fault("reset"), "at last"]
    listener = Listener(streamed)
    assert (await chat.complete(listener.request)).text == "at last"
    assert [reason for reason, _ in listener.waits] == [
        "rate limit (429)",
        "server error (500)",
        "connection lost",
    ]


@pytest.mark.parametrize(
    ("name", "error", "calls"),
    [
        ("server_error", ProviderUnreachableError, 5),
        ("overloaded_529", ProviderUnreachableError, 5),
        ("rate_limit", ModelError, 5),
        ("reset", ProviderUnreachableError, 5),
        ("truncated", ProviderUnreachableError, 5),
        ("malformed_json", MalformedReplyError, 3),
        ("empty_choices", MalformedReplyError, 3),
        ("null_content", MalformedReplyError, 3),
    ],
)
async def test_a_fault_that_stays_ends_in_its_typed_error_after_some_attempts(
    openai_server, chat, name, error, calls
):
    openai_server.script = lambda _: fault(name)
    listener = Listener(streamed=True)
    with pytest.raises(error, match=f"after {calls} attempts") as caught:
        await chat.complete(listener.request)
    assert caught.value.retryable
    assert (openai_server.calls, len(listener.waits), caught.value.attempts) == (calls, calls - 1, calls)


async def test_a_server_that_hangs_for_good_ends_in_a_typed_error(openai_server, make_chat):
    openai_server.script = lambda _: fault("hang")
    chat = make_chat(timeout=0.2, retry=RetryPolicy(attempts=2, first_wait=0.01))
    with pytest.raises(ProviderUnreachableError, match="after 2 attempts: time-out"):
        await chat.complete(ask())


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("unauthorized", AuthenticationError, "refused the key"),
        ("forbidden", AuthenticationError, "refused the key"),
        ("context_too_long", ContextTooLongError, "maximum context length is 4096"),
        ("quota", ModelError, "no credit left"),
        ("bad_request", ModelError, "temperature"),
        ("model_not_found", ModelError, "`test-model-mini`"),
        ("not_found_html", ModelError, "no model"),
    ],
)
async def test_a_fault_that_cannot_pass_fails_at_once(openai_server, chat, name, error, says, streamed):
    openai_server.script = [fault(name)]
    with pytest.raises(error) as caught:
        await chat.complete(Listener(streamed).request)
    assert says in str(caught.value)
    assert type(caught.value) is error
    assert not caught.value.retryable
    assert openai_server.calls == 1
    assert (caught.value.attempts, caught.value.usage) == (1, Usage(0, 0))
    assert "<html" not in str(caught.value)


async def test_no_exception_traceback_or_dump_of_a_model_shows_the_key(openai_server, chat):
    openai_server.script = lambda _: fault("unauthorized")
    with pytest.raises(AuthenticationError) as caught:
        await chat.complete(ask())
    error = caught.value
    assert openai_server.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert "***" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [
        *traceback.format_exception(error),
        repr(error),
        repr(vars(error)),
        repr(chat),
        str(chat),
        str(vars(chat)),
    ]
    assert KEY not in "".join(shown)
    assert KEY[8:20] not in "".join(shown)


@pytest.mark.parametrize(
    "secret", ["sk-abcdefghijkl", "Bearer abcdefghijkl.mno", "AIzaSyabcdefghijklmnop", "gsk_abcdefghijk"]
)
async def test_what_looks_like_a_key_is_masked_even_if_it_is_not_ours(openai_server, chat, secret):
    openai_server.script = [Reply(status=400, body={"error": {"message": f"the key {secret} is bad"}})]
    with pytest.raises(ModelError, match=r"\*\*\* is bad") as caught:
        await chat.complete(ask())
    assert "abcdefghijk" not in str(caught.value)


async def test_an_unreachable_server_is_named_without_the_secrets_of_its_address(make_chat):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        port = held.getsockname()[1]
        url = f"http://user:hunter22@127.0.0.1:{port}/v1?token=hunter22"
        chat = make_chat(base_url=url, api_key="none")
        with pytest.raises(ProviderUnreachableError, match=f"http://127.0.0.1:{port}/v1`") as caught:
            await chat.complete(ask())
    assert "hunter22" not in f"{caught.value} {chat!r} {vars(chat)}"
    assert caught.value.attempts == 3


@pytest.mark.parametrize("retry_after", [0.3, "0.3", "date:2"])
async def test_retry_after_is_honoured_in_seconds_and_as_a_date(openai_server, chat, retry_after):
    refusal = fault("rate_limit", retry_after=retry_after)
    openai_server.script = [refusal, "ok"]
    listener = Listener(streamed=False)
    assert (await chat.complete(listener.request)).text == "ok"
    first, second = (received.at for received in openai_server.received)
    if isinstance(retry_after, str) and retry_after.startswith("date"):
        # Part of the time to it may have gone by before the refusal is read.
        date = parsedate_to_datetime(refusal.headers["Retry-After"]).timestamp()
        assert second + time.time() - time.monotonic() >= date
        assert listener.waits[0][1] <= 2.5
    else:
        assert second - first >= 0.3
        assert 0.3 <= listener.waits[0][1] <= 2.5


@pytest.mark.parametrize("retry_after", [3600, "date:3600"])
async def test_a_retry_after_of_an_hour_is_capped(openai_server, make_chat, retry_after):
    openai_server.script = [fault("rate_limit", retry_after=retry_after), "ok"]
    chat = make_chat(retry=dataclasses.replace(QUICK, longest_wait=0.05))
    assert (await chat.complete(ask())).text == "ok"


@pytest.mark.parametrize("retry_after", ["soon", "-5", "nan", "inf", "Mon, 99 Xxx"])
async def test_a_retry_after_that_cannot_be_read_is_ignored(openai_server, chat, retry_after):
    openai_server.script = [fault("rate_limit", retry_after=retry_after), "ok"]
    listener = Listener(streamed=False)
    assert (await chat.complete(listener.request)).text == "ok"
    assert listener.waits[0][1] <= 0.05


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    "name", ["usage_missing", "usage_null", "usage_negative", "usage_string", "usage_zero"]
)
async def test_usage_that_cannot_be_is_none_and_the_reply_is_kept(openai_server, chat, name, streamed):
    openai_server.script = [fault(name)]
    completion = await chat.complete(Listener(streamed).request)
    assert (completion.text, completion.usage, completion.attempts) == ("ok", None, 1)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(
    ("name", "text"), [("content_filter", ""), ("length", "cut in the mid"), ("tool_calls", "")]
)
async def test_a_reply_that_ends_otherwise_says_how(openai_server, chat, name, text, streamed):
    openai_server.script = [fault(name)]
    completion = await chat.complete(Listener(streamed).request)
    assert (completion.text, completion.finish_reason) == (text, name)
    assert completion.usage is not None


@pytest.mark.parametrize("streamed", STREAMED)
async def test_useless_replies_are_billed_too(openai_server, chat, streamed):
    openai_server.script = [fault("null_content"), fault("server_error"), fault("null_content"), "the answer"]
    completion = await chat.complete(Listener(streamed).request)
    assert completion.attempts == 4
    assert completion.usage == Usage(openai_server.prompt_tokens, openai_server.completion_tokens)
    assert completion.usage.prompt_tokens == 9


@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_reply_that_broke_off_is_billed_by_an_estimate(openai_server, chat, streamed):
    openai_server.script = [fault("truncated"), "the answer"]
    usage = (await chat.complete(Listener(streamed).request)).usage
    assert usage.estimated
    assert usage.prompt_tokens >= openai_server.prompt_tokens == 6
    assert not streamed or usage.completion_tokens >= openai_server.completion_tokens


async def test_a_request_that_went_unanswered_is_billed_by_an_estimate(openai_server, chat):
    openai_server.script = [fault("hang"), "the answer"]
    chat.timeout = 2.0
    usage = (await chat.complete(ask())).usage
    assert usage.estimated
    assert usage.prompt_tokens > openai_server.prompt_tokens == 3


async def test_the_error_of_useless_replies_carries_what_they_cost(openai_server, chat):
    openai_server.script = [fault("null_content", extra={"cost": 0.5})] * 3
    with pytest.raises(MalformedReplyError) as caught:
        await chat.complete(ask())
    assert (caught.value.attempts, caught.value.usage, caught.value.cost) == (3, Usage(9, 0), 1.5)


async def test_a_break_after_the_replys_own_end_takes_nothing_away(openai_server, chat):
    openai_server.script = [fault("reset_after_end")]
    completion = await chat.complete(Listener(streamed=True).request)
    assert (completion.text, completion.attempts) == ("whole", 1)


async def test_an_error_in_the_middle_of_a_stream_that_cannot_pass_is_not_retried(openai_server, chat):
    error = {"message": "This model's maximum context length is 10 tokens", "code": "context_length_exceeded"}
    openai_server.script = [Reply(mode="error_200", extra={"error": error})]
    with pytest.raises(ContextTooLongError):
        await chat.complete(ask())
    assert openai_server.calls == 1


@pytest.mark.parametrize("streamed", STREAMED)
async def test_cancelling_closes_the_request_at_once(openai_server, chat, streamed):
    openai_server.script = lambda _: fault("late_hang" if streamed else "hang")
    listener = Listener(streamed)
    task = asyncio.ensure_future(chat.complete(listener.request))
    await until(lambda: len(listener.pieces) == 3 if streamed else openai_server.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: openai_server.aborted == 1)
    assert openai_server.calls == 1


@pytest.mark.parametrize("hook", ["on_wait", "on_delta"])
async def test_what_a_callback_raises_ends_the_request(openai_server, chat, hook):
    class Enough(Exception):  # noqa: N818
        pass

    def refuse(*_):
        raise Enough

    openai_server.script = [fault("server_error") if hook == "on_wait" else "text", "never asked for"]
    with pytest.raises(Enough):
        await chat.complete(ask(**{hook: refuse}))
    assert openai_server.calls == 1


async def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_a_server_that_is_closed_leaves_nothing_behind():
    import threading

    before = threading.active_count()
    server = OpenAIServer(["x"]).start()
    port = server.port
    server.close()
    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
