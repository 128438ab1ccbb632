"""A server on this machine: how long it may be silent while it reads, and how many requests are sent to it at once."""

import asyncio
import base64
import threading
import time

import pytest
from limits_parts import asking, limits, until
from local_servers import LocalServer, listed
from openai_server import OpenAIServer, Reply, fault

from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import LimitReachedError, ProviderUnreachableError
from rlm_jupyter.models import bounded_json
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.models.local.addresses import is_loopback
from rlm_jupyter.models.local.discovery import read_server
from rlm_jupyter.models.local.server_queue import ServerQueue, server_queue, silent_seconds
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Other tests run beside; and ports are used again."""
    monkeypatch.setattr(bounded_json, "SECONDS", 10.0)
    known_servers.forget_servers()
    yield
    known_servers.forget_servers()


SLOW_READER = 25
"""Tokens a second, as measured on two cores."""


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080/v1", True), ("http://127.1.2.3/v1", True), ("http://localhost:11434/v1", True),
        ("http://LOCALHOST.:11434/v1", True), ("http://box.localhost/v1", True), ("http://[::1]:8080/v1", True),
        ("http://[::ffff:127.0.0.1]:8080/v1", True), ("http://localhost.example.org/v1", False),
        ("http://10.0.0.1:8080/v1", False), ("https://api.openai.com/v1", False), ("http://127.0.0.1.nip.io", False),
        ("http://user:127.0.0.1@example.org/v1", False),
    ],
)  # fmt: skip
def test_a_server_of_this_machine_is_known_by_its_address(url, local):
    assert is_loopback(url) is local
    assert (server_queue(url) is not None) is local


@pytest.mark.parametrize("path", ["/v1", "/v1/", ""])
def test_a_servers_properties_are_beside_its_api(openai_server, path):
    openai_server.owner, openai_server.props = "llamacpp", {"total_slots": 3}
    server = asyncio.run(read_server(f"http://127.0.0.1:{openai_server.port}{path}"))
    assert (server.slots, openai_server.props_asked) == (3, 1)


@pytest.mark.parametrize(
    "props", [None, [], "2", {}, {"total_slots": "2"}, {"total_slots": 0}, {"total_slots": -1}, {"total_slots": True},
              {"total_slots": 1.5}, {"total_slots": 10**9}, {"error": "Unexpected endpoint"}],
)  # fmt: skip
def test_properties_without_slots_tell_nothing(openai_server, props):
    openai_server.props = props
    assert asyncio.run(read_server(openai_server.url)).slots is None


def test_a_server_behind_a_password_in_its_address_is_asked_with_it(openai_server):
    openai_server.props = {"total_slots": 3}
    seen = []
    with LocalServer(
        {
            "/v1/models": lambda _s, handler, _b: (
                seen.append(handler.headers["authorization"]),
                handler.json(200, listed("m")),
            )
        }
    ) as server:
        url = server.url.replace("//", "//user:word@")
        assert asyncio.run(read_server(url, "sk-test-0123456789")).models[0].name == "m"
    assert seen == ["Basic " + base64.b64encode(b"user:word").decode()]


def test_a_server_that_is_too_busy_to_answer_has_the_slots_that_it_had(openai_server, monkeypatch):
    openai_server.props = {"total_slots": 2}

    async def slots(seconds):
        server = await known_servers.known_server(openai_server.url, seconds=seconds)
        return server.slots

    assert asyncio.run(slots(None)) == 2
    openai_server.props = Reply(mode="hang")
    assert asyncio.run(slots(600)) == 2
    assert openai_server.props_asked == 1
    monkeypatch.setattr(bounded_json, "SECONDS", 0.5)
    assert asyncio.run(slots(0)) == 2
    openai_server.props = {"total_slots": 4}
    monkeypatch.setattr(bounded_json, "SECONDS", 60.0)
    assert asyncio.run(slots(0)) == 4


@pytest.mark.parametrize("tokens", [300, 1700, 8000, 60_000])
def test_a_slow_machine_has_the_time_that_it_needs_to_read(tokens):
    assert 300 + silent_seconds(tokens, 4000, streams=True) >= 2 * tokens / SLOW_READER


def test_a_reply_that_comes_as_a_whole_has_the_time_to_be_written_too():
    assert silent_seconds(1000, 4000, streams=False) >= 4000 / 9
    assert silent_seconds(100, 4000, streams=True) == 0


# Silence.


def prompt(tokens, **fields):
    fields.setdefault("on_delta", lambda _: None)
    return CompletionRequest([{"role": "user", "content": "word" * tokens}], 50, **fields)


@pytest.fixture
def make(openai_server):
    def model(**options):
        retry = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
        return OpenAIChat(
            "m", base_url=openai_server.url, api_key="sk-test-0123456789", retry=retry, **options
        )

    return model


async def test_a_long_prompt_may_be_read_in_silence_for_longer_than_a_time_out(openai_server, make):
    openai_server.script = [Reply("done", latency=1.5)]
    chat = make()
    chat.timeout = 0.3
    completion = await chat.complete(prompt(2000))
    assert (completion.text, completion.attempts) == ("done", 1)
    await chat.aclose()


async def test_a_server_that_may_still_be_reading_is_not_asked_again(openai_server, make):
    openai_server.script = lambda _: fault("hang")
    chat = make()
    chat.timeout = 0.2
    with pytest.raises(ProviderUnreachableError, match=r"after a prompt of about 26\d tokens") as caught:
        await chat.complete(prompt(260))
    assert "not asked again" in caught.value.message
    assert not caught.value.retryable
    assert openai_server.calls == 1
    await chat.aclose()


async def test_a_short_prompt_and_a_time_out_that_was_chosen_are_asked_again(openai_server, make):
    openai_server.script = [fault("hang"), "done", fault("hang"), "done"]
    default = make()
    default.timeout = 1.0
    assert (await default.complete(prompt(5))).attempts == 2
    chosen = make(timeout=1.0)
    assert (await chosen.complete(prompt(2000))).attempts == 2
    for chat in (default, chosen):
        await chat.aclose()


async def test_after_the_reply_has_begun_the_ordinary_time_out_holds(openai_server, make):
    openai_server.script = [fault("late_hang", text="a few words"), "done"]
    chat = make()
    chat.timeout = 1.0
    assert (await chat.complete(prompt(2000))).attempts == 2
    await chat.aclose()


@pytest.mark.parametrize("message", [{}, {"reasoning_content": "hm"}], ids=["text", "thought"])
async def test_the_beginning_of_a_reply_is_told_once_be_it_a_thought(openai_server, make, message):
    openai_server.script = [Reply("one two three", message=message)]
    told = []
    chat = make()
    await chat.complete(prompt(5, on_begin=lambda: told.append(len(pieces)), on_delta=(pieces := []).append))
    assert told == [0]
    await chat.aclose()


# Slots.


@pytest.fixture
def ask(openai_server):
    with asking(openai_server) as start:
        yield start


FAN = "got = llm_query_batched(['word ' * 60] * 6)"


@pytest.mark.parametrize("slots", [1, 2])
def test_no_more_requests_are_sent_than_the_server_has_slots(ask, openai_server, slots):
    openai_server.props = {"total_slots": slots, "chat_template": "x" * 10_000}
    run = ask({"root": [FAN, "FINAL(len(got))"]}, Reply("fine", latency=0.3))
    assert run.raise_for_error().value == 6
    assert openai_server.peak == slots
    assert openai_server.props_asked == 1
    waits = [event for event in run.events if event.kind == "waiting" and event.reason == "concurrency"]
    assert any("place at the model's server" in event.text for event in waits)
    assert sum(event.seconds is None for event in waits) == sum(event.seconds == 0 for event in waits)


def test_two_runs_share_the_slots_of_one_server(ask, openai_server):
    openai_server.props = {"total_slots": 1}
    script = {"root": [FAN, "FINAL(len(got))"]}
    first = ask(script, Reply("fine", latency=0.1), wait=False)
    second = ask(script, Reply("fine", latency=0.1), wait=False)
    for run in (first, second):
        assert run.wait(200).raise_for_error().value == 6
    assert openai_server.peak == 1


def test_a_lower_limit_of_the_users_wins(ask, openai_server):
    openai_server.props = {"total_slots": 4}
    run = ask({"root": [FAN, "FINAL(len(got))"]}, Reply("fine", latency=0.2), bounds=limits(concurrency=2))
    assert run.raise_for_error().value == 6
    assert openai_server.peak == 2


def test_one_request_at_a_time_asks_for_no_slots_and_uses_one_connection(ask, openai_server):
    openai_server.props = {"total_slots": 1}
    run = ask({"root": ["a = llm_query('a')", "b = llm_query('b')", "FINAL(1)"]}, "fine")
    assert run.raise_for_error().value == 1
    assert openai_server.connections <= 2  # the other one asked what the server is


@pytest.mark.parametrize(
    "props",
    [None, Reply(mode="hang"), {"total_slots": "one"}, [1], Reply(status=500, body={"error": "no"}),
     Reply(status=302, body={}, headers={"Location": "/v1/models"}), {"total_slots": 1, "more": "x" * 2_000_000}],
    ids=["not found", "silent", "a word", "a list", "an error", "elsewhere", "too large"],
)  # fmt: skip
def test_a_server_that_does_not_tell_its_slots_is_sent_all(ask, openai_server, props):
    openai_server.props = props
    run = ask({"root": [FAN, "FINAL(len(got))"]}, Reply("fine", latency=2.0))
    assert run.raise_for_error().value == 6
    assert openai_server.peak > 2
    assert openai_server.props_asked == (props is not None)


def test_a_run_that_is_stopped_while_it_waits_gives_its_place_to_others(ask, openai_server):
    openai_server.props = {"total_slots": 1}
    stopped = ask({"root": [FAN, "FINAL(1)"]}, fault("hang"), wait=False)
    until(lambda: openai_server.props_asked == 1 and openai_server.calls == 2)
    time.sleep(0.3)
    assert openai_server.in_flight == 1
    stopped.stop()
    stopped.wait(60)
    run = ask({"root": [FAN, "FINAL(len(got))"]}, "fine")
    assert run.raise_for_error().value == 6
    assert openai_server.peak == 1


def test_the_time_of_a_run_ends_its_wait_for_a_place(ask, openai_server):
    openai_server.props = {"total_slots": 1}
    holder = ask({"root": ["a = llm_query_batched(['a', 'b'])", "FINAL(1)"]}, fault("hang"), wait=False)
    until(lambda: openai_server.props_asked == 1 and openai_server.calls == 2)
    time.sleep(0.3)  # the script is another one from here on
    run = ask({"root": ["FINAL(1)"]}, bounds=limits(seconds=1.5))
    assert isinstance(run.error, LimitReachedError)
    assert run.error.limit == "seconds"
    holder.stop()
    holder.wait(60)


async def asked(*_):
    return 1


async def test_the_first_to_wait_is_the_first_to_go_on_whoever_gives_up():
    server, order = ServerQueue(), []
    await server.enter(asked)

    async def one(number):
        await server.enter(asked)
        order.append(number)
        server.leave()

    tasks = [asyncio.create_task(one(number)) for number in range(6)]
    while len(server._queue) < 6:
        await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    await asyncio.sleep(0)
    assert order == []
    server.leave()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 2, 4, 5]
    await asyncio.wait_for(server.enter(asked), 60)


async def test_a_place_that_is_given_and_given_up_in_one_step_goes_to_the_next():
    server = ServerQueue()
    await server.enter(asked)
    first, second = (asyncio.create_task(server.enter(asked)) for _ in range(2))
    while len(server._queue) < 2:
        await asyncio.sleep(0)
    server.leave()
    first.cancel()
    async with asyncio.timeout(60):
        await second
    assert first.cancelled() or (await asyncio.gather(first, return_exceptions=True))
    assert (server._busy, len(server._queue)) == (1, 0)


def test_requests_of_several_loops_wait_in_one_queue():
    server, most, lock = ServerQueue(), [0, 0], threading.Lock()

    async def work():
        for _ in range(5):
            await server.enter(asked)
            with lock:
                most[0] += 1
                most[1] = max(most)
            await asyncio.sleep(0.002)
            with lock:
                most[0] -= 1
            server.leave()

    async def several():
        await asyncio.gather(*(work() for _ in range(4)))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert most == [0, 1]


async def test_behind_others_a_server_with_a_queue_of_its_own_may_be_silent_for_longer(openai_server, make):
    openai_server.script = [Reply("first", latency=3.0), Reply("second", latency=2.0)]
    chat = make()
    chat.timeout = 4.0
    first = asyncio.create_task(chat.complete(prompt(5)))
    await asyncio.sleep(0.5)
    chat.timeout = 0.5
    second = await chat.complete(prompt(5))
    assert (second.text, second.attempts) == ("second", 1)
    assert (await first).attempts == 1
    await chat.aclose()


def test_a_server_that_was_restarted_is_asked_again(monkeypatch):
    server, told = ServerQueue(), iter([1, 3])

    async def ask():
        return next(told)

    async def twice():
        await server.enter(ask)
        waiting = asyncio.create_task(server.enter(ask))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        server.leave()
        await waiting
        monkeypatch.setattr(server, "_asked", server._asked - 3600)
        async with asyncio.timeout(60):
            await server.enter(ask)
            await server.enter(ask)

    asyncio.run(twice())


def test_the_library_asks_no_server_when_it_is_loaded(openai_server):
    openai_server.props = {"total_slots": 1}
    model = OpenAIChat("m", base_url=openai_server.url, api_key="none")
    assert model.server_is_local
    assert openai_server.connections == 0
    engine().submit(model.aclose()).result(60)
    with OpenAIServer() as other:
        assert other.connections == 0
