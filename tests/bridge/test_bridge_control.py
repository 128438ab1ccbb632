"""What holds for the control channel alone: losses, other clients, rest between messages, the engine's end."""

import asyncio
import random

import pytest
from kernel_parts import Answers, opened, shown, started

from rlm_jupyter.guest.bridge import packets
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.bridge import control_bridge
from rlm_jupyter.kernels.bridge.control_bridge import ControlBridge
from rlm_jupyter.kernels.pool import KernelRequest

GUEST = "import sys\nlink = sys.modules['_rlm.guest.agent_side']._here().link\n"


@pytest.fixture
async def kernel():
    async with opened(bridge="control") as pool, started(pool) as kernel:
        yield kernel


async def test_packets_that_the_channel_loses_are_sent_again_and_served_once(kernel, monkeypatch):
    dice = random.Random(7)
    lost = []
    post, arrived = ControlBridge._post, ControlBridge._arrived
    monkeypatch.setattr(packets, "RESEND_SECONDS", 0.05)

    def lose(method):
        def sometimes(self, *packet):
            if dice.random() < 0.2:
                lost.append(packet)
            else:
                method(self, *packet)

        return sometimes

    monkeypatch.setattr(ControlBridge, "_post", lose(post))
    monkeypatch.setattr(ControlBridge, "_arrived", lose(arrived))
    handler = kernel.answers
    handler.seen.clear()
    await shown(
        kernel, "sys = __import__('sys'); sys.modules['_rlm.guest.bridge.packets'].RESEND_SECONDS = 0.05"
    )
    assert await shown(kernel, "[llm_query(f'q{i}') for i in range(40)][-1]", 60) == "'reply to q39'"
    assert (
        await shown(kernel, "r = llm_query_batched(['a'] * 300); len(r), set(r)", 60)
        == "(300, {'reply to a'})"
    )
    await shown(kernel, "FINAL(bytes(3_000_000))", 60)
    assert len(lost) > 20
    assert handler.seen.count("llm_query") == 340
    assert handler.seen.count("final") == 1


async def test_time_in_which_nothing_comes_is_not_rested_for(kernel, monkeypatch):
    slept = []
    sleep = asyncio.sleep

    class Watched:
        def __getattr__(self, name):
            return getattr(asyncio, name)

        @staticmethod
        async def sleep(seconds):
            slept.append(seconds)
            await sleep(0)

    monkeypatch.setattr(control_bridge, "asyncio", Watched())
    for _ in range(3):
        await sleep(1.5)
        await shown(kernel, "FINAL(bytes(1_000_000))")
    assert all(seconds < 1 for seconds in slept)


async def test_packets_of_another_line_and_broken_messages_are_passed_over_at_both_ends(kernel):
    bridge = kernel.bridge
    for line in ("", "other", 7, None, [1]):
        content = {"line": line, "seq": 1, "ack": 0}
        message = bridge._session.serialize(bridge._session.msg(packets.MESSAGE, content))
        await bridge._socket.send_multipart([*message, b"x"])
    code = (
        "import time\n"
        "for c in ({'line': 'other', 'seq': 1, 'ack': 0}, {}, {'seq': 1}):\n"
        "    link._loop.add_callback(link._session.send, link._stream, 'rlm_packet', c, ident=link._client, buffers=[b'x'])\n"
        "link._loop.add_callback(link._stream.send_multipart, [*link._client, b'junk'])\n"
        "link._loop.add_callback(link._session.send, link._stream, 'other', {}, ident=link._client)\n"
        "time.sleep(0.2)\nllm_query('a')"
    )
    await shown(kernel, "llm_query('a')")  # so that the kernel knows who its engine is
    assert await shown(kernel, GUEST + code) == "'reply to a'"
    assert not bridge.closed


@pytest.mark.parametrize(
    "content",
    ["{'seq': 10**6, 'ack': 0}", "{'seq': 1, 'ack': 10**6}", "{'seq': 'x', 'ack': 0}", "{}"],
    ids=["far ahead", "not sent", "no number", "nothing"],
)
async def test_a_forged_packet_ends_that_kernel(kernel, content):
    bridge = kernel.bridge
    code = (
        f"import time\nc = {{'line': link._line, **{content}}}\n"
        "link._loop.add_callback(link._session.send, link._stream, 'rlm_packet', c, ident=link._client, buffers=[b'x'])\n"
        "time.sleep(600)"
    )
    await shown(kernel, "llm_query('a')")  # so that the kernel knows who its engine is
    result = await kernel.execute(GUEST + code, seconds=60)
    assert (result.status, result.restarted) == ("died", True)
    assert "malformed" in bridge.reason
    assert await shown(kernel, "llm_query('a')") == "'reply to a'"


async def test_calls_end_when_the_engine_closes_the_line_or_is_silent(kernel, monkeypatch):
    monkeypatch.setattr(agent_kernel, "_TOLD_SECONDS", 0.5)  # nothing is told over a line that is closed
    for how in ("closed", "silent"):
        if how == "silent":
            await shown(
                kernel,
                GUEST
                + "import threading\nthreading.Timer(0.5, lambda: link._loop.add_callback(lambda: [link._tick() for _ in range(100)])).start()",
            )
        cell = asyncio.create_task(kernel.execute("llm_query('600')", seconds=None))
        while not kernel.bridge.pending:
            await asyncio.sleep(0.01)
        if how == "closed":
            kernel.bridge.close()
        result = await asyncio.wait_for(cell, 60)
        assert result.error_name == "Stopped"
        assert ("has ended" if how == "closed" else "silent") in result.error_value
        assert (await kernel.execute("llm_query('again')", seconds=60)).error_name == "Stopped"
        if how == "closed":
            assert (await kernel.execute("import os; os._exit(1)", seconds=60)).restarted


async def test_a_kernel_that_does_not_take_its_answers_is_not_served_on(kernel, monkeypatch):
    monkeypatch.setattr(control_bridge, "_BACKLOG_BYTES", 100_000)
    bridge = kernel.bridge
    queued = []
    put = bridge._packets.put

    def watched(frame, fds):
        put(frame, fds)
        queued.append(bridge._packets.queued)

    monkeypatch.setattr(bridge._packets, "put", watched)

    async def long(op, body, fds):
        return "x" * 20_000 if op == "llm_query" else {}, []

    bridge._handler = long
    code = "r = llm_query_batched(['a'] * 2000); len(r), len(r[-1])"
    assert await shown(kernel, code, 60) == "(2000, 20000)"
    assert max(queued) < 100_000 + 70 * 21_000 + 32 * packets.CHUNK


async def test_a_value_beyond_what_travels_is_refused_with_a_reason(kernel):
    code = (
        "import sys\nsys.modules['_rlm.guest.bridge.control_link'].MAX_VALUE_BYTES = 1000\nFINAL(bytes(2000))"
    )
    result = await kernel.execute(code, seconds=60)
    assert result.error_name == "TooLong"
    assert "path that both sides can read" in result.error_value


async def test_a_kernel_that_is_told_to_shut_down_does_so_while_its_cell_runs():
    async with opened(bridge="control", launch="stock") as pool:
        kernel = await pool.start(KernelRequest(run="r", agent="0"), Answers())
        cell = asyncio.create_task(kernel.execute("while True: pass", seconds=None))
        await asyncio.sleep(0.3)
        client = kernel._process._channels.client
        message = client.session.serialize(client.session.msg("shutdown_request", {"restart": False}))
        await client.control_channel.socket.send_multipart(message)
        result = await asyncio.wait_for(cell, 60)
        assert (result.status, result.restarted) == ("died", True)
