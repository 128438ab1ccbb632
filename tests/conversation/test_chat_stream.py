"""What `Chat.send` yields: text as it is written, events, the answer; errors, leaving early, and cancelling."""

import asyncio
from contextlib import aclosing

import pytest
from chat_parts import chatting, newest_question
from openai_server import fault

from rlm_jupyter import EventChunk, Limits, TextChunk, ValueChunk
from rlm_jupyter.conversation.reply_pieces import ReplyPieces
from rlm_jupyter.conversation.run_chunks import RootReplies
from rlm_jupyter.errors import LimitReachedError, ModelError, UnsafeValueError
from rlm_jupyter.models.openai.chat import OpenAIChat


@pytest.fixture
def begin(tmp_path):
    with chatting(tmp_path) as begin:
        yield begin


async def collected(stream, got=None):
    """Returns all chunks; in `got`, also where the stream raises."""
    got = [] if got is None else got
    async for chunk in stream:
        got.append(chunk)  # a comprehension would lose what came before an error
    return got


def texts(chunks, *, code):
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk) and chunk.code is code)


async def test_text_events_and_the_answer_in_their_order(begin):
    chat = begin({"one": ["n = len(context)\nprint(n)", "FINAL({'n': n})"], "two": ["FINAL(n)"]}, [1, 2])
    chunks = await collected(chat.send("one"))
    assert texts(chunks, code=False) == "I run this.\n\n" * 2
    assert texts(chunks, code=True) == "n = len(context)\nprint(n)\nFINAL({'n': n})\n"
    kinds = [chunk.event.kind for chunk in chunks if isinstance(chunk, EventChunk)]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert "code_output" in kinds
    assert "reply_delta" not in kinds
    assert chunks[-1] == ValueChunk({"n": 2}, "n: 2")
    first_text = next(n for n, chunk in enumerate(chunks) if isinstance(chunk, TextChunk))
    first_cell = next(
        n for n, c in enumerate(chunks) if isinstance(c, EventChunk) and c.event.kind == "code_started"
    )
    assert first_text < first_cell
    assert (await collected(chat.send("two")))[-1].value == 2


async def test_what_sub_agents_write_is_no_text_of_the_conversation(begin):
    def script(question):
        return ["FINAL(rlm_query('below'))"] if question == "one" else ["FINAL('secret words')"]

    chunks = await collected(begin(script).send("one"))
    assert "secret words" not in texts(chunks, code=True)
    assert texts(chunks, code=True) == "FINAL(rlm_query('below'))\n"
    agents = {chunk.event.agent for chunk in chunks if isinstance(chunk, EventChunk)}
    assert "0.1" in agents


async def test_an_error_is_raised_at_the_end_with_what_there_is_of_an_answer(begin):
    script = {
        "bad": [ModelError("no such model")],
        "part": ["answer['content'] = 'half'", "x = 1"],
        "pickle": ["class A: pass\nFINAL(A())"],
        "next": ["FINAL(1)"],
    }
    chat = begin(script, limits=Limits(calls_per_agent=2))
    got = []
    with pytest.raises(ModelError, match="no such model"):
        await collected(chat.send("bad"), got)
    assert got[-1].event.kind == "run_finished"
    with pytest.raises(LimitReachedError):
        await collected(chat.send("part"), got)
    assert got[-1] == ValueChunk("half", "half", partial=True)
    assert (await collected(chat.send("next")))[-1].value == 1


async def test_leaving_the_loop_stops_the_question(begin):
    chat = begin({"long": ["import time\ntime.sleep(600)"], "next": ["FINAL(1)"]})
    async for chunk in chat.send("long"):
        if isinstance(chunk, EventChunk) and chunk.event.kind == "code_started":
            break
    run = chat.newest
    assert (await collected(chat.send("next")))[-1].value == 1
    assert run.status == "stopped"
    async with aclosing(chat.send("long")) as stream:
        async for chunk in stream:
            if isinstance(chunk, EventChunk) and chunk.event.kind == "code_started":
                break
    assert (await chat.arun("next")).value == 1


async def test_cancelling_the_task_stops_the_question(begin):
    chat = begin({"long": ["import time\ntime.sleep(600)"], "next": ["FINAL(1)"]})
    at_work = asyncio.Event()

    def heard(event):
        if event.kind == "code_started":
            loop.call_soon_threadsafe(at_work.set)

    async def ask(ask_it):
        asked = ask_it("long", on_event=heard)
        await (collected(asked) if ask_it == chat.send else asked)

    loop = asyncio.get_running_loop()
    for ask_it in (chat.send, chat.arun):
        at_work.clear()
        task = asyncio.create_task(ask(ask_it))
        await asyncio.wait_for(at_work.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await chat.arun("next")).value == 1
    assert [one.status for one in chat.history] == ["stopped", "done", "stopped", "done"]


async def test_text_comes_while_a_real_server_still_writes_and_again_after_a_broken_stream(
    begin, openai_server
):
    def reply(request):
        if newest_question(request["messages"]) is None or len(openai_server.requests) > 1:
            return "Let me look.\n```repl\nFINAL(1)\n```"
        return fault("cut_stream")

    openai_server.script = reply
    model = OpenAIChat("test-model", base_url=openai_server.url, api_key="none")
    chunks = await collected(begin(None, model=model).send("one"))
    told = [chunk for chunk in chunks if isinstance(chunk, TextChunk)]
    place = max((n for n, chunk in enumerate(told) if chunk.restart), default=0)
    assert texts(told[place:], code=False) == "Let me look.\n"
    assert texts(told[place:], code=True) == "FINAL(1)\n"
    finished = next(
        n for n, c in enumerate(chunks) if isinstance(c, EventChunk) and c.event.kind == "reply_finished"
    )
    assert finished > chunks.index(told[-1]) or len(told) == 1


REPLY = "First `x`.\n\n```repl\na = 1\n~~~\nb = '```'\n```\nThen:\n~~~~python\nc\n~~~\n~~~~\nend ```not\n"
PROSE = "First `x`.\n\nThen:\nend ```not\n"
CODE = "a = 1\n~~~\nb = '```'\nc\n~~~\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_reply_is_divided_the_same_however_it_is_cut(step):
    pieces = ReplyPieces()
    found = [one for at in range(0, len(REPLY), step) for one in pieces.feed(REPLY[at : at + step])]
    found += pieces.end()
    assert "".join(text for text, code in found if not code) == PROSE
    assert "".join(text for text, code in found if code) == CODE


@pytest.mark.parametrize(
    ("reply", "prose", "code"),
    [
        ("", "", ""),
        ("plain", "plain", ""),
        ("```repl\nopen", "", "open"),
        ("```\nx\n```", "", "x\n"),
        ("`", "`", ""),
        ("   ", "   ", ""),
        ("````\n```\n````\n", "", "```\n"),
        ("```repl\r\nx\r\n```\r\n", "", "x\r\n"),
        ("    ```\nindented", "    ```\nindented", ""),
        ("```" + "y" * 500, "```" + "y" * 500, ""),
    ],
)
def test_odd_replies_are_divided_and_nothing_is_held_back_for_ever(reply, prose, code):
    for cut in range(len(reply[:30]) + 1):
        pieces = ReplyPieces()
        found = [*pieces.feed(reply[:cut]), *pieces.feed(reply[cut:]), *pieces.end()]
        assert "".join(text for text, is_code in found if not is_code) == prose
        assert "".join(text for text, is_code in found if is_code) == code


async def test_a_reply_that_does_not_stream_is_text_as_well(begin):
    """As those from the cache, which are told whole."""
    chat = begin({"one": ["FINAL(1)"]})
    events = [c.event async for c in chat.send("one") if isinstance(c, EventChunk)]
    replies = RootReplies()
    again = [chunk for event in events for chunk in replies.chunks(event)]
    assert texts(again, code=True) == "FINAL(1)\n"
    assert texts(again, code=False) == "I run this.\n\n"


async def test_an_answer_without_a_safe_form_is_an_error_and_the_conversation_goes_on(begin):
    chat = begin(
        {"one": ["f = open('/dev/null')\nclass A: pass\nFINAL(A())"], "two": ["FINAL(history[0]['answer'])"]}
    )
    with pytest.raises(UnsafeValueError) as raised:
        await collected(chat.send("one"))
    assert raised.value.run is chat.newest
    assert (await chat.arun("two")).status == "done"
