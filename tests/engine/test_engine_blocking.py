"""What blocks (a slow disk under the log or the cache, large data) keeps neither agents nor the caller's loop waiting."""

import asyncio
import os
import sqlite3
import threading

import pytest
from run_parts import until
from scripts import by_question, cell

from rlm_jupyter import RLM, Limits, registry
from rlm_jupyter.engine.completions.redact_chats import ChatRedactor
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.records import load
from rlm_jupyter.security.redactor import MARK, Redactor
from rlm_jupyter.values.store import Buffer

AGENTS = 50


class Gate:
    """Stands in the place of a function: who calls it waits until the gate is open."""

    def __init__(self, function):
        self.open, self.calls = threading.Event(), 0
        self._function = function

    def __call__(self, *args, **named):
        self.calls += 1
        assert self.open.wait(120)
        return self._function(*args, **named)


class OS:
    """The module `os` with one function replaced, for the module of the log alone."""

    def __init__(self, **replaced):
        self.__dict__.update(replaced)

    def __getattr__(self, name):
        return getattr(os, name)


def answer(request):
    """The root asks fifty sub-agents; each of them looks once, then answers."""
    first = request["messages"][1]["content"]
    if first.startswith("Question:\nroot"):
        return cell(
            f"parts = rlm_query_batched(['part'] * {AGENTS}, contexts=list(range({AGENTS})))\nFINAL(sum(parts))"
        )
    return cell("print(context)" if len(request["messages"]) < 3 else "FINAL(context)")


@pytest.fixture
def start(openai_server, tmp_path, monkeypatch):
    """Begin to ask the server's model, with a log and a cache in fresh directories."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    openai_server.script = answer
    opened = []

    def begin(**options):
        model = OpenAIChat("test-model", base_url=openai_server.url, api_key="sk-test")
        limits = Limits(cost=None, agents=AGENTS + 1, concurrency=AGENTS)
        run = RLM(model=model, log_dir=tmp_path / "logs", limits=limits, **options).start("root", [1])
        opened.append(run)
        return run

    yield begin
    for run in opened:
        run.close()


def told_of(run, kind):
    return [event for event in run.events if isinstance(event, kind)]


def test_fifty_agents_go_on_while_the_log_cannot_be_written_and_it_is_whole_in_the_end(start, monkeypatch):
    disk = Gate(os.open)
    monkeypatch.setattr("rlm_jupyter.records.log.os", OS(open=disk))
    run = start(cache=False)
    until(lambda: len(told_of(run, ev.AgentFinished)) == AGENTS + 1, 90)
    assert (disk.calls, disk.open.is_set()) == (1, False), "all that, before one line was written"
    assert run.wait(60).value == sum(range(AGENTS)), (
        "the end of a run waits for a slow disk, but not for ever"
    )
    assert "is not complete yet, because its disk is slow" in run.tree.notices[-1]
    disk.open.set()
    run.close()
    assert load(run.log_path).events == run.events
    assert [event.seq for event in run.events] == sorted(event.seq for event in run.events)


def test_fifty_agents_go_on_while_the_cache_does_not_answer(start, monkeypatch):
    connect = Gate(sqlite3.connect)
    monkeypatch.setattr("rlm_jupyter.models.cache.sqlite3.connect", connect)
    run = start()
    try:
        until(lambda: len(told_of(run, ev.AgentFinished)) == AGENTS + 1, 90)
        assert (connect.calls, connect.open.is_set()) == (1, False)
        assert run.wait(60).value == sum(range(AGENTS))
        assert sum("did not answer in" in text for text in run.tree.notices) == 1
    finally:
        connect.open.set()
    registry.reply_cache().background.drained().result(60)
    assert registry.reply_cache().total > 0, "the replies were kept, later"


def test_a_disk_that_is_full_is_told_once_before_the_run_ends(start, monkeypatch, openai_server):
    def full(*_):
        raise OSError(28, "No space left on device")

    openai_server.script = lambda _: cell("FINAL(1)")
    monkeypatch.setattr("rlm_jupyter.records.log.os", OS(write=full))
    run = start(cache=False).wait(60)
    assert run.value == 1
    kinds = [event.kind for event in run.events]
    assert sum("No space left on device" in text for text in run.tree.notices) == 1
    assert kinds.index("notice") < kinds.index("run_finished") == len(kinds) - 1


# ---- the chat


def test_of_a_chat_that_grows_only_what_is_new_is_searched_for_secrets():
    searched = []
    redactor = Redactor(["sk-secret-1234"])

    def redact(text):
        searched.append(text)
        return redactor(text)

    chat = [{"role": "user", "content": f"message {n} with sk-secret-1234"} for n in range(5)]
    cleaned = ChatRedactor(redact)
    assert [m["content"] for m in cleaned.of_chat("0", chat[:2])] == [
        f"message {n} with {MARK}" for n in (0, 1)
    ]
    sent = cleaned.of_chat("0", chat)
    assert [m["content"] for m in sent] == [f"message {n} with {MARK}" for n in range(5)]
    assert searched == [m["content"] for m in chat], "each once"
    chat[1] = {"role": "user", "content": "notes in its place, sk-secret-1234"}
    assert cleaned.of_chat("0", chat)[1]["content"] == f"notes in its place, {MARK}"
    assert len(searched) == 6
    assert cleaned.of_chat("0.1", chat[:1])[0]["content"].endswith(MARK), (
        "another agent's chat is another one"
    )
    cleaned.forget("0")
    assert cleaned._chats.keys() == {"0.1"}


# ---- the caller's loop


@pytest.mark.parametrize("how", ["arun", "stream", "aask"])
async def test_data_is_encoded_beside_the_callers_loop(tmp_path, monkeypatch, how):
    rlm = RLM(model=by_question({"q": ["FINAL(len(context))"]}), log_dir=None, cache=False)
    earlier = await rlm.arun("q", [1])
    encode = Gate(Buffer.encode)
    monkeypatch.setattr("rlm_jupyter.run_setup.start.Buffer.encode", encode)

    async def ask():
        if how == "stream":
            return [event async for event in rlm.stream("q", [1, 2])][-1]
        return await (rlm.arun("q", [1, 2]) if how == "arun" else earlier.aask("q", [1, 2]))

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(60):
        while not encode.calls:  # this loop goes on while the data is encoded
            await asyncio.sleep(0.01)
    assert not asking.done()
    encode.open.set()
    assert (await asking).status == "done"
    earlier.close()


async def test_a_question_that_is_cancelled_while_its_data_is_encoded_is_stopped(monkeypatch):
    rlm = RLM(model=by_question({"q": ["import time\ntime.sleep(60)"]}), log_dir=None, cache=False)
    encode = Gate(Buffer.encode)
    monkeypatch.setattr("rlm_jupyter.run_setup.start.Buffer.encode", encode)
    before = len(registry.runs())
    asking = asyncio.create_task(rlm.arun("q", [1, 2]))
    async with asyncio.timeout(60):
        while not encode.calls:
            await asyncio.sleep(0.01)
        asking.cancel()
        assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], asyncio.CancelledError)
        encode.open.set()
        while len(registry.runs()) == before:
            await asyncio.sleep(0.01)
    (run,) = registry.runs()[before:]
    await asyncio.to_thread(run.wait, 30)
    assert run.status == "stopped"
    run.close()
