"""Replies on disk: what is the same request, what is kept, how much, and what a damaged file does."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from rlm_jupyter.models.base import Completion, CompletionRequest, Usage
from rlm_jupyter.models.cache import ReplyCache, RunCache, default_path, request_key
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.scripted import ScriptedModel

WHOLE = Completion("text\u2028 ä😀", Usage(7, 3, 2), cost=0.25, model="m-2026", attempts=2)


def chat(model="m", *, key="sk-0123456789", url="https://host/v1", **parameters):
    return OpenAIChat(model, base_url=url, api_key=key, parameters=parameters)


def ask(text="q", **changes):
    return CompletionRequest([{"role": "user", "content": text}], **changes)


@pytest.fixture
def replies(tmp_path):
    with ReplyCache(tmp_path / "made" / "replies.sqlite3") as cache:
        yield cache


def test_a_reply_comes_back_whole_also_after_the_file_was_closed(replies):
    assert replies.get("k") is None
    replies.put("k", WHOLE)
    replies.put("bare", Completion("b"))
    replies.close()
    assert replies.get("k") == WHOLE
    assert replies.get("bare") == Completion("b")
    replies.clear()
    assert replies.get("k") is None
    assert replies.total == 0


@pytest.mark.parametrize(
    ("model", "request_", "same"),
    [
        (chat(), ask(max_tokens=5), True),
        (chat(key="sk-another-key"), ask(), True),
        (chat(url="https://user:pw@host/v1?token=1"), ask(), True),
        (chat(extra_headers={"X-Token": "1"}), ask(), True),
        (chat(), ask(on_delta=print, on_wait=print), True),
        (chat("other"), ask(), False),
        (chat(url="https://host/v2"), ask(), False),
        (chat(temperature=1), ask(), False),
        (chat(), ask(parameters={"temperature": 1}), False),
        (chat(), ask("q "), False),
        (chat(), CompletionRequest([{"role": "system", "content": "q"}]), False),
        (chat(), CompletionRequest([*ask().messages, *ask().messages]), False),
    ],
)
def test_a_request_is_the_same_when_its_reply_would_be(model, request_, same):
    assert (request_key(model, request_) == request_key(chat(), ask())) is same
    assert request_key(model, request_, 1) != request_key(model, request_, 0)


async def test_replies_of_scripts_and_of_models_without_identity_are_not_kept(replies):
    class Own:
        name, scripted, price = "own", False, None

    for model in (ScriptedModel(["x"]), Own()):
        run = RunCache(replies)
        asked = ask()
        assert await run.get(model, asked) is None
        run.put(model, asked, WHOLE)
        assert await RunCache(replies).get(model, ask()) is None
    run.drained().result(20)
    assert replies.total == 0


async def test_a_second_run_gets_the_replies_of_the_first_in_their_order(replies):
    first, samples = RunCache(replies), [ask() for _ in range(3)]
    assert [await first.get(chat(), one) for one in samples] == [
        None
    ] * 3  # three samples of one prompt, at once
    for one, text in zip(samples, ("one", "two", "three"), strict=True):
        first.put(chat(), one, Completion(text))
    second = RunCache(replies)
    assert [(await second.get(chat(), ask())).text for _ in range(3)] == ["one", "two", "three"]
    fourth = ask(max_tokens=9)
    assert await second.get(chat(), fourth) is None
    second.put(chat(), fourth, Completion("four"))
    third = RunCache(replies)
    assert [(await third.get(chat(), ask())).text for _ in range(4)] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "completion",
    [replace(WHOLE, finish_reason="length"), replace(WHOLE, finish_reason="content_filter"), Completion("")],
)
async def test_a_reply_that_did_not_end_by_itself_is_not_kept(replies, completion):
    run = RunCache(replies)
    asked = ask()
    await run.get(chat(), asked)
    run.put(chat(), asked, completion)
    run.drained().result(20)
    assert replies.total == 0


def test_the_size_is_bounded_and_what_was_used_longest_ago_goes_first(tmp_path):
    with ReplyCache(tmp_path / "c", max_bytes=200_000) as replies:
        for number in range(200):
            replies.put(f"k{number}", Completion("x" * 2000))
            assert replies.get("k0") is not None  # used all the time
        assert replies.total <= 200_000
        assert replies.get("k199") is not None
        assert replies.get("k1") is None
        replies.put("huge", Completion("x" * 20_000))
        assert replies.get("huge") is None
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 600_000


def test_only_its_owner_may_read_the_file(replies):
    old = os.umask(0)
    try:
        replies.put("k", WHOLE)
    finally:
        os.umask(old)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in replies.path.parent.iterdir()}
    assert modes["replies.sqlite3"] == 0o600
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(replies.path.parent.stat().st_mode) == 0o700


def _spoil_start(path):
    path.write_bytes(b"this is not a database, it never was one" * 100)


def _spoil_middle(path):
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def _another_version(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize("spoil", [_spoil_start, _spoil_middle, _another_version])
def test_a_damaged_file_is_put_aside_and_begun_anew(tmp_path, spoil):
    path = tmp_path / "replies.sqlite3"
    with ReplyCache(path) as replies:
        for number in range(50):
            replies.put(f"k{number}", Completion("x" * 1000))
    spoil(path)
    with ReplyCache(path) as replies:
        assert replies.get("k1") is None
        replies.put("k1", WHOLE)
        assert replies.get("k1") == WHOLE
        assert replies.problem is None
    aside = [file for file in tmp_path.iterdir() if ".damaged-" in file.name]
    assert len(aside) == 1
    assert stat.S_IMODE(aside[0].stat().st_mode) == 0o600


def test_a_row_that_is_no_reply_is_no_reply(replies):
    replies.put("k", WHOLE)
    for row in ("not json", "[]", "{}", '{"text": 1, "usage": 3}', '{"usage": null, "odd": 1}'):
        with sqlite3.connect(replies.path) as db:
            db.execute("UPDATE replies SET reply = ?", (row,))
        db.close()
        assert replies.get("k") is None


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with ReplyCache(tmp_path / "file" / "replies.sqlite3") as replies:
        replies.put("k", WHOLE)
        assert replies.get("k") is None
        assert "Replies are not kept" in replies.problem


def test_threads_and_processes_write_at_once_and_lose_nothing(replies):
    code = (
        "import sys; from pathlib import Path; from rlm_jupyter.models.cache import ReplyCache, Completion\n"
        "with ReplyCache(Path(sys.argv[1])) as c:\n"
        "    for i in range(100): c.put(f'{sys.argv[2]}-{i}', Completion(str(i)))\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(replies.path), name]) for name in "ab"]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda i: replies.put(f"c-{i}", Completion(str(i))), range(100)))
    assert [other.wait(60) for other in others] == [0, 0]
    for name in "abc":
        assert [replies.get(f"{name}-{i}").text for i in range(100)] == [str(i) for i in range(100)]
    assert replies.problem is None


def test_the_file_is_in_the_users_directory_for_caches(tmp_path):
    assert default_path({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "rlm_jupyter" / "replies.sqlite3"
    assert default_path({}).name == "replies.sqlite3"


async def test_the_same_request_twice_in_flight_keeps_its_place_whoever_ends_first(replies):
    first, second = ask(), ask()
    run = RunCache(replies)
    assert await run.get(chat(), first) is None
    assert await run.get(chat(), second) is None
    run.put(chat(), second, replace(WHOLE, text="second"))
    run.put(chat(), first, replace(WHOLE, text="first"))
    again = RunCache(replies)
    assert [(await again.get(chat(), ask())).text for _ in range(2)] == ["first", "second"]


async def test_a_request_that_failed_gives_its_place_to_the_next_that_asks_the_same(replies):
    run = RunCache(replies)
    failed, other = ask(), ask()
    assert await run.get(chat(), failed) is None
    assert await run.get(chat(), other) is None
    run.drop(chat(), failed)
    run.drop(chat(), failed)  # twice is once
    run.put(chat(), other, replace(WHOLE, text="second"))
    anew = ask()
    assert await run.get(chat(), anew) is None
    run.put(chat(), anew, replace(WHOLE, text="first"))
    assert run._places == {}
    again = RunCache(replies)
    assert [(await again.get(chat(), ask())).text for _ in range(2)] == ["first", "second"]
    assert await again.get(chat(), ask()) is None


class Blocked:
    """Stands in the place of a function that a slow disk makes wait: until `gate` is set."""

    def __init__(self, function):
        self.gate, self.calls = threading.Event(), 0
        self._function = function

    def __call__(self, *args, **named):
        self.calls += 1
        assert self.gate.wait(60)
        return self._function(*args, **named)


async def test_a_file_that_does_not_answer_keeps_nobody_waiting_and_what_is_put_comes_later(
    replies, monkeypatch
):
    connect = Blocked(sqlite3.connect)
    monkeypatch.setattr("rlm_jupyter.models.cache.sqlite3.connect", connect)
    run, first, more = RunCache(replies, seconds=0.2), ask(), [ask(), ask()]
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(tick())
    assert await run.get(chat(), first) is None
    beside.cancel()
    assert ticks > 1, "the loop went on"
    assert "did not answer in 0.2 s" in run.problem
    assert [await run.get(chat(), one) for one in more] == [None, None]
    for text, one in zip("abc", [first, *more], strict=True):
        run.put(chat(), one, replace(WHOLE, text=text))
    assert connect.calls == 1
    connect.gate.set()
    run.drained().result(20)
    assert [(await RunCache(replies).get(chat(), ask())).text for _ in range(2)] == ["a", "a"]
    again = RunCache(replies)
    assert [(await again.get(chat(), ask())).text for _ in range(3)] == ["a", "b", "c"]


async def test_a_request_that_is_cancelled_while_it_is_looked_up_gives_its_place_back(replies, monkeypatch):
    connect = Blocked(sqlite3.connect)
    monkeypatch.setattr("rlm_jupyter.models.cache.sqlite3.connect", connect)
    run, one, other = RunCache(replies), ask(), ask()
    looking = asyncio.create_task(run.get(chat(), one))
    await asyncio.sleep(0.05)
    looking.cancel()
    assert await asyncio.gather(looking, return_exceptions=True) != [None]
    connect.gate.set()
    assert await run.get(chat(), other) is None
    run.put(chat(), other, WHOLE)
    run.drained().result(20)
    assert await RunCache(replies).get(chat(), ask()) == WHOLE


def test_a_file_that_hangs_is_left_to_its_thread_when_it_is_closed(replies, monkeypatch):
    connect = Blocked(sqlite3.connect)
    monkeypatch.setattr("rlm_jupyter.models.cache.sqlite3.connect", connect)
    kept = replies.background.submit(lambda: replies.put("k", WHOLE))
    while not connect.calls:
        time.sleep(0.01)
    replies.close(seconds=0.1)
    assert not kept.done()
    connect.gate.set()
    kept.result(20)
    assert replies.get("k") == WHOLE
