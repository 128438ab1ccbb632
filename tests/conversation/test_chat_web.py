"""The web handler of `docs/chat.md`, served on the loopback: server-sent events of a real conversation."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import tornado.httpserver
import tornado.netutil
from chat_parts import chatting
from tornado.httpclient import AsyncHTTPClient
from tornado.tcpclient import TCPClient

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"


def handler():
    """The code of the page's example."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "RequestHandler" in block]
    space = {}
    exec(compile(code, str(PAGE), "exec"), space)
    return space


@pytest.fixture
async def served(tmp_path):
    """A conversation behind the handler; gives both, with the address."""
    script = {
        "How many?": ["n = len(context)", "FINAL(n)"],
        "Twice?": ["FINAL(2 * n)"],
        "long": ["import time\ntime.sleep(600)"],
        "bad": ["FINAL(1 / 0)"] * 3,
    }
    with chatting(tmp_path) as begin:
        chat = begin(script, [1, 2, 3], limits={"calls_per_agent": 2})
        server = tornado.httpserver.HTTPServer(handler()["make_app"](chat))
        (socket,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets([socket])
        yield chat, socket.getsockname()[1]
        server.stop()
        await server.close_all_connections()


async def asked(port, question):
    """Returns the events of a question: name and data."""
    received = []
    answer = await AsyncHTTPClient(force_instance=True).fetch(
        f"http://127.0.0.1:{port}/ask",
        method="POST",
        body=f"question={question.replace(' ', '+')}",
        streaming_callback=received.append,
        request_timeout=120,
    )
    assert answer.headers["Content-Type"] == "text/event-stream"
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", b"".join(received).decode())
    return [(name, json.loads(data)) for name, data in found], received


async def test_a_question_streams_text_and_the_answer_and_the_next_goes_on(served):
    _, port = served
    events, pieces = await asked(port, "How many?")
    assert "".join(data["text"] for name, data in events if name == "text" and data["code"]) == (
        "n = len(context)\nFINAL(n)\n"
    )
    assert events[-1] == ("answer", {"text": "3"})
    assert len(pieces) > 2  # in pieces, not at the end
    events, _ = await asked(port, "Twice?")
    assert events[-1] == ("answer", {"text": "6"})


async def test_an_error_is_told_and_the_next_question_is_answered(served):
    _, port = served
    events, _ = await asked(port, "bad")
    assert events[-1][0] == "error"
    assert "calls_per_agent" in events[-1][1]["text"]
    events, _ = await asked(port, "How many?")
    assert events[-1] == ("answer", {"text": "3"})


async def test_a_browser_that_goes_away_stops_its_question(served):
    chat, port = served
    stream = await TCPClient().connect("127.0.0.1", port)
    body = b"question=long"
    await stream.write(
        b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await stream.read_until(b"event: text")
    stream.close()
    async with asyncio.timeout(60):
        while chat.busy:
            await asyncio.sleep(0.02)
    assert [one.status for one in chat.history] == ["stopped"]
    events, _ = await asked(port, "How many?")
    assert events[-1] == ("answer", {"text": "3"})
