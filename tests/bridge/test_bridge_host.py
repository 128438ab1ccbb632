"""The engine's end of a bridge, against an honest other end and against a forged one."""

import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
import threading
from pathlib import Path

import pytest

from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.guest.bridge import frames as wire
from rlm_jupyter.guest.bridge.socket_link import Link, RLMQueryError
from rlm_jupyter.kernels.bridge import requests
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError, HostBridge


def open_fds():
    return len(list(Path("/proc/self/fd").iterdir()))


def some_fd():
    return os.memfd_create("test", os.MFD_CLOEXEC)


def same(fd, other):
    return os.fstat(fd).st_ino == os.fstat(other).st_ino


def is_open(fd):
    with contextlib.suppress(OSError):
        os.fstat(fd)
        return True
    return False


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


class Pair:
    """A bridge, and the bare socket that a kernel would hold."""

    def __init__(self):
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(60)
        self.lost = 0
        self.seen = []
        self.cancelled = 0
        self.framer = wire.Framer()
        self.bridge = HostBridge(ours, self.handle, self.on_close)

    def on_close(self):
        self.lost += 1

    async def handle(self, op, body, fds):
        self.seen.append((op, body, [os.fstat(fd).st_ino for fd in fds]))
        if op == "hang":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if op == "stubborn":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return "late", [some_fd()]
        if op == "refuse":
            raise BridgeError("limit", "no more", fds=[some_fd()], data={"limit": "calls"})
        if op == "break":
            raise ZeroDivisionError("a secret")
        if op == "unjson":
            return object(), [some_fd()]
        if op == "give":
            return "given", [some_fd()]
        if op == "large":
            return "x" * (wire.MAX_BYTES + 1), [some_fd()]
        return body, []

    def send(self, message, fds=()):
        socket.send_fds(self.sock, [wire.pack(message, len(fds))], list(fds))

    def ask(self, number, op, body=None, fds=()):
        self.send({"id": number, "op": op, "body": body or {}}, fds)

    async def receive(self):
        while (message := self.framer.take()) is None:
            data, fds = await asyncio.to_thread(wire.receive, self.sock)
            if not data:
                return None
            self.framer.feed(data, fds)
        wire.close_all(message[1])
        return message[0]


@pytest.fixture
async def pair():
    await asyncio.to_thread(int)  # the pool's thread and the loop's own descriptors are there
    before = open_fds()
    pair = Pair()
    yield pair
    pair.bridge.close()
    await until(lambda: pair.bridge._tasks == set())
    pair.framer.close()
    pair.sock.close()
    await until(lambda: open_fds() <= before)  # what an earlier test left to the collector goes at any time
    assert pair.bridge._tasks == set()


async def test_a_request_is_served_and_its_descriptors_are_closed_after_it(pair):
    fd = some_fd()
    pair.ask(1, "echo", {"a": 1}, [fd])
    assert await pair.receive() == {"id": 1, "ok": {"a": 1}}
    assert pair.seen == [("echo", {"a": 1}, [os.fstat(fd).st_ino])]
    os.close(fd)


async def test_descriptors_that_arrive_are_not_inherited_by_child_processes():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(theirs, [b"x"], [theirs.fileno()])
        _, fds = wire.receive(ours)
        assert not os.get_inheritable(fds[0])
        wire.close_all(fds)


@pytest.mark.parametrize(
    ("op", "error"),
    [
        ("refuse", {"kind": "limit", "message": "no more", "data": {"limit": "calls"}}),
        ("break", "internal"),
        ("unjson", "internal"),
        ("large", "internal"),
    ],
)
async def test_a_handler_that_fails_answers_with_an_error_that_tells_no_secret(pair, op, error):
    pair.ask(1, op, fds=())
    answer = await pair.receive()
    assert answer["error"] == error or answer["error"]["kind"] == error
    assert "secret" not in json.dumps(answer)
    assert not pair.bridge.closed


async def test_many_requests_at_once_are_answered_each(pair):
    frames = b"".join(wire.pack({"id": n, "op": "echo", "body": {"n": n}}) for n in range(1, 1001))
    sending = asyncio.create_task(asyncio.to_thread(pair.sock.sendall, frames))
    answers = [await pair.receive() for _ in range(1000)]
    await sending
    assert {(answer["id"], answer["ok"]["n"]) for answer in answers} == {(n, n) for n in range(1, 1001)}


async def test_cancel_ends_the_handler_and_gives_no_answer(pair):
    pair.ask(1, "hang")
    await until(lambda: pair.bridge.pending == 1)
    pair.send({"id": 1, "op": "cancel"})
    pair.ask(2, "echo")
    assert (await pair.receive())["id"] == 2
    await until(lambda: pair.cancelled == 1)
    assert pair.bridge.pending == 0


async def test_descriptors_of_a_request_that_is_cancelled_before_it_starts_are_closed(pair):
    fd = some_fd()
    frame = wire.pack({"id": 1, "op": "hang", "body": {}}, 1) + wire.pack({"id": 1, "op": "cancel"})
    socket.send_fds(pair.sock, [frame], [fd])
    os.close(fd)
    pair.ask(2, "echo")
    assert (await pair.receive())["id"] == 2
    assert pair.seen == [("echo", {}, [])]


async def test_fail_pending_answers_at_once_even_where_a_handler_will_not_end(pair):
    pair.ask(1, "hang")
    pair.ask(2, "stubborn")
    await until(lambda: len(pair.seen) == 2)
    pair.bridge.fail_pending("stopped", "interrupted")
    assert pair.bridge.pending == 0
    answers = [await pair.receive(), await pair.receive()]
    assert [answer["error"]["message"] for answer in answers] == ["interrupted", "interrupted"]
    await until(lambda: (pair.cancelled, len(pair.bridge._tasks)) == (1, 0))
    pair.ask(2, "echo")  # the number is free again, and the late value is not its answer
    assert await pair.receive() == {"id": 2, "ok": {}}


async def test_closing_cancels_handlers_and_closes_what_they_still_give(pair):
    pair.ask(1, "hang")
    pair.ask(2, "stubborn")
    await until(lambda: len(pair.seen) == 2)
    pair.bridge.close()
    await until(lambda: pair.bridge._tasks == set())
    assert (pair.cancelled, pair.lost, pair.bridge.pending) == (1, 0, 0)
    assert await pair.receive() is None


async def test_closing_closes_the_descriptors_of_answers_that_were_not_read(pair):
    pair.bridge._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    pair.sock.sendall(b"".join(wire.pack({"id": n, "op": "give", "body": {}}) for n in range(1, 201)))
    await until(lambda: len(pair.seen) == 200 and not pair.bridge._tasks)
    assert len(pair.bridge._out) > 50


async def test_the_end_of_the_other_end_is_told_once(pair):
    pair.ask(1, "hang")
    await until(lambda: pair.bridge.pending == 1)
    pair.sock.shutdown(socket.SHUT_RDWR)
    await until(lambda: pair.lost)
    await until(lambda: pair.bridge._tasks == set())
    pair.bridge.close()
    assert (pair.lost, pair.cancelled, pair.bridge.closed) == (1, 1, True)


async def test_too_many_descriptors_on_their_way_are_sent_a_little_later(pair, monkeypatch):
    full = [OSError(errno.ETOOMANYREFS, "too many"), OSError(errno.ETOOMANYREFS, "too many")]
    send = socket.send_fds

    def sometimes(sock, data, fds):
        if sock is pair.bridge._sock and full:
            raise full.pop()
        return send(sock, data, fds)

    monkeypatch.setattr(socket, "send_fds", sometimes)
    pair.ask(1, "give")
    await until(lambda: len(pair.seen) == 1)
    pair.ask(2, "echo")
    assert [(await pair.receive())["id"], (await pair.receive())["id"]] == [1, 2]
    assert not full


# -- requests of the engine


async def test_the_engine_asks_and_what_it_passes_is_closed_here_once_it_is_sent(pair):
    fd = some_fd()
    task = asyncio.create_task(pair.bridge.request("load", {"names": ["x"]}, [fd]))
    asked = await pair.receive()
    assert not is_open(fd)
    assert (asked["op"], asked["body"]) == ("load", {"names": ["x"]})
    other = some_fd()
    pair.send({"id": asked["id"], "ok": "done"}, [other])
    result, fds = await task
    assert result == "done"
    assert same(fds[0], other)
    wire.close_all([other, *fds])


async def test_an_error_of_the_kernel_is_raised(pair):
    task = asyncio.create_task(pair.bridge.request("export", {}))
    number = (await pair.receive())["id"]
    error = {"kind": "missing", "message": "no `x`", "data": ["y"]}
    fd = some_fd()
    pair.send({"id": number, "error": error}, [fd])
    os.close(fd)
    with pytest.raises(BridgeError, match="no `x`") as caught:
        await task
    assert (caught.value.kind, caught.value.data) == ("missing", ["y"])


async def test_no_answer_in_time_raises_and_a_late_one_leaks_nothing(pair):
    with pytest.raises(TimeoutError):
        await pair.bridge.request("export", {}, timeout=0.01)
    number = (await pair.receive())["id"]
    fd = some_fd()
    pair.send({"id": number, "ok": 1}, [fd])
    os.close(fd)
    pair.ask(1, "echo")
    await pair.receive()
    assert not pair.bridge.closed


async def test_an_answer_that_meets_a_cancelled_task_leaks_nothing(pair, monkeypatch):
    task = asyncio.create_task(pair.bridge.request("export", {}))
    number = (await pair.receive())["id"]
    fd = some_fd()
    settle = pair.bridge._settle

    def settle_and_cancel(*answer):
        settle(*answer)
        task.cancel()

    monkeypatch.setattr(pair.bridge, "_settle", settle_and_cancel)
    pair.send({"id": number, "ok": 1}, [fd])
    os.close(fd)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("end", ["close", "lost"])
async def test_a_request_under_way_fails_when_the_bridge_ends(pair, end):
    task = asyncio.create_task(pair.bridge.request("export", {}, [some_fd()]))
    await pair.receive()
    pair.bridge.close() if end == "close" else pair.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(KernelDiedError):
        await task
    with pytest.raises(KernelDiedError, match="`export`"):
        await pair.bridge.request("export", {}, [some_fd()])


@pytest.mark.parametrize("body", [{"x": object()}, {"x": "y" * (wire.MAX_BYTES + 1)}])
async def test_a_request_that_cannot_be_sent_closes_its_descriptors(pair, body):
    with pytest.raises((TypeError, wire.FrameTooLarge)):
        await pair.bridge.request("load", body, [some_fd()])


# -- a forged other end


def header(size, count=0):
    return struct.pack("<II", size, count)


FORGED = {
    "a size out of bounds": header(wire.MAX_BYTES + 1),
    "too many descriptors announced": header(2, wire.MAX_FDS + 1) + b"{}",
    "descriptors announced that do not come": wire.pack({"id": 1, "op": "echo", "body": {}}, 1),
    "no JSON": header(4) + b"nope",
    "no UTF-8": header(2) + b"\xff\xfe",
    "no object": header(2) + b"[]",
    "nested too deep": header(200_000) + b"[" * 200_000,
    "a number too long": header(10_010) + b'{"id":' + b"1" * 10_000 + b"   }",
    "no number": wire.pack({"op": "echo", "body": {}}),
    "a number that is none": wire.pack({"id": True, "op": "echo", "body": {}}),
    "a negative number": wire.pack({"id": -1, "op": "echo", "body": {}}),
    "a name that is none": wire.pack({"id": 1, "op": ["echo"], "body": {}}),
    "no body": wire.pack({"id": 1, "op": "echo"}),
    "a body that is none": wire.pack({"id": 1, "op": "echo", "body": "text"}),
    "the same number twice": wire.pack({"id": 1, "op": "hang", "body": {}}) * 2,
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
async def test_a_malformed_frame_ends_this_bridge_alone(pair, data):
    other = Pair()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await asyncio.to_thread(pair.sock.sendall, data)
    await until(lambda: pair.lost)
    assert "malformed" in pair.bridge.reason
    other.ask(1, "echo")
    assert await other.receive() == {"id": 1, "ok": {}}
    other.bridge.close()
    other.sock.close()


@pytest.mark.parametrize(
    "frame", [wire.pack({"id": 1, "op": "echo", "body": "text"}, 1), header(2, 1) + b"[]", b"\0"]
)
async def test_descriptors_of_a_malformed_frame_are_closed(pair, frame):
    fds = [some_fd() for _ in range(3)]
    with contextlib.suppress(BrokenPipeError):
        for _ in range(30):  # what is incomplete gathers descriptors until there are too many
            socket.send_fds(pair.sock, [frame], fds)
    wire.close_all(fds)
    await until(lambda: pair.lost)
    assert pair.bridge.closed  # and `pair` finds no descriptor left open


async def test_more_descriptors_than_a_frame_may_have_end_the_bridge(pair):
    fd = some_fd()
    frame = wire.pack({"id": 1, "op": "echo", "body": {}}, wire.MAX_FDS)
    socket.send_fds(pair.sock, [frame], [fd] * 200)
    os.close(fd)
    await until(lambda: pair.lost)
    assert "descriptors were lost" in pair.bridge.reason


async def test_an_answer_to_nothing_and_a_cancel_of_nothing_are_passed_over(pair):
    fd = some_fd()
    pair.send({"id": 77, "ok": 1}, [fd])
    pair.send({"id": 78, "op": "cancel"}, [fd])
    os.close(fd)
    pair.ask(1, "echo")
    assert (await pair.receive())["id"] == 1


async def test_an_answer_of_the_wrong_form_ends_the_bridge_and_fails_the_request(pair):
    task = asyncio.create_task(pair.bridge.request("export", {}))
    pair.send({"id": (await pair.receive())["id"], "error": "text"})
    with pytest.raises(KernelDiedError):
        await task
    assert pair.lost == 1


async def test_requests_beyond_the_limit_are_refused_one_by_one(pair, monkeypatch):
    monkeypatch.setattr(requests, "MAX_REQUESTS", 3)
    for number in range(1, 6):
        pair.ask(number, "hang")
    answers = [await pair.receive(), await pair.receive()]
    assert [(answer["id"], answer["error"]["kind"]) for answer in answers] == [(4, "limit"), (5, "limit")]
    pair.send({"id": 1, "op": "cancel"})
    await until(lambda: len(pair.bridge._tasks) == 2)
    pair.ask(6, "echo")
    assert await pair.receive() == {"id": 6, "ok": {}}


async def test_descriptors_beyond_the_limit_are_refused_and_closed(pair):
    fd = some_fd()
    for number in range(1, 10):
        pair.ask(number, "hang", fds=[fd] * wire.MAX_FDS)
    assert (await pair.receive())["error"]["kind"] == "limit"
    pair.ask(10, "echo")
    assert await pair.receive() == {"id": 10, "ok": {}}
    os.close(fd)


async def test_a_flood_leaves_the_loop_to_others(pair):
    flood = wire.pack({"id": 1, "op": "cancel"}) * 200_000
    thread = threading.Thread(target=lambda: pair.sock.sendall(flood))
    other = Pair()
    thread.start()
    rounds = 0
    while thread.is_alive():
        rounds += 1
        other.ask(rounds, "echo")
        assert (await other.receive())["id"] == rounds
    thread.join()
    assert rounds > 20  # served all the while
    other.bridge.close()
    other.sock.close()


async def test_frames_that_come_at_once_are_handled_a_few_at_a_turn(pair, monkeypatch):
    turn, turns = 0, []

    def tick():
        nonlocal turn
        turn += 1
        ticking[0] = asyncio.get_running_loop().call_soon(tick)

    ticking = [asyncio.get_running_loop().call_soon(tick)]
    dispatch = pair.bridge._dispatch
    monkeypatch.setattr(pair.bridge, "_dispatch", lambda *frame: (turns.append(turn), dispatch(*frame)))
    pair.sock.sendall(wire.pack({"id": 1, "op": "cancel"}) * 1000)
    await until(lambda: len(turns) == 1000)
    ticking[0].cancel()
    assert max(turns.count(one) for one in set(turns)) <= 64


async def test_an_end_that_does_not_read_its_answers_is_not_read_on(pair):
    body = {"text": "x" * 100_000}
    sent = 0

    def ask():
        nonlocal sent
        pair.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for number in range(1, 2000):
                pair.sock.sendall(wire.pack({"id": number, "op": "echo", "body": body}))
                sent = number

    await asyncio.to_thread(ask)
    pair.sock.settimeout(60)
    assert sent < 1000
    assert pair.bridge._out_bytes < 12 << 20
    for number in range(1, sent + 1):  # and when it does, everything goes on
        assert (await pair.receive())["id"] == number


# -- both ends of ours


@pytest.fixture
async def linked(pair):
    calls = []

    def serve(op, body, fds):
        calls.append(op)
        if op == "fail":
            raise RLMQueryError("no", kind="missing", data=["x"])
        if op == "unjson":
            return object(), [some_fd()]
        return {"op": op, "fds": len(fds)}, [os.dup(fd) for fd in fds]

    link = Link(socket.socket(fileno=os.dup(pair.sock.fileno())), serve)
    yield pair, link, calls
    pair.bridge.close()
    await until(lambda: link._lost)
    link.socket.close()


async def test_both_ends_pass_descriptors_both_ways_and_close_their_own(linked):
    pair, link, _ = linked
    fd = some_fd()
    result, fds = await pair.bridge.request("any", {}, [os.dup(fd), os.dup(fd)])
    assert result == {"op": "any", "fds": 2}
    assert all(same(fd, other) for other in fds)
    wire.close_all([fd, *fds])
    for _ in range(200):
        _, future = link.submit("give", {})
        reply = await asyncio.wrap_future(future)
        assert reply.value == "given"
        assert is_open(reply.fds[0])
        del reply, future


@pytest.mark.parametrize(("op", "kind"), [("fail", "missing"), ("unjson", "internal")])
async def test_an_error_in_the_kernels_end_is_typed(linked, op, kind):
    pair, _, _ = linked
    with pytest.raises(BridgeError) as caught:
        await pair.bridge.request(op, {})
    assert caught.value.kind == kind


async def test_a_reply_that_nobody_takes_closes_its_descriptors(linked):
    pair, link, _ = linked
    before = open_fds()
    for _ in range(50):
        number, _ = link.submit("give", {}, [some_fd()])
        link.withdraw(number)
    await asyncio.wrap_future(link.submit("echo", {})[1])
    await until(lambda: not pair.bridge._tasks)
    await asyncio.wrap_future(link.submit("echo", {})[1])
    await until(lambda: open_fds() <= before)
    assert not link._waiting


async def test_calls_fail_when_the_engine_is_gone_and_later_ones_at_once(linked):
    pair, link, _ = linked
    _, early = link.submit("hang", {})
    await until(lambda: pair.bridge.pending)
    pair.bridge.close()
    for future in (early, link.submit("echo", {})[1], link.submit("echo", {}, [some_fd()])[1]):
        reply = await asyncio.wait_for(asyncio.wrap_future(future), 60)
        assert reply.error["kind"] == "stopped"


async def test_frames_that_come_byte_by_byte_are_put_together(pair):
    frame = wire.pack({"id": 1, "op": "echo", "body": {"text": "é"}}, 1)
    fd = some_fd()
    socket.send_fds(pair.sock, [frame[:1]], [fd])
    os.close(fd)
    for byte in frame[1:]:
        pair.sock.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await pair.receive() == {"id": 1, "ok": {"text": "é"}}
