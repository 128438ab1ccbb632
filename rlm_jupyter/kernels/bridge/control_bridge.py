"""The engine's end of the line to a kernel that no descriptor can be passed to.

Requests and replies are packets on the Jupyter control channel, which a kernel serves on a thread of its own,
also while a cell runs. Values travel in the packets and arrive as descriptors, so that nothing above notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from rlm_jupyter.guest.bridge import frames as wire
from rlm_jupyter.guest.bridge.packets import MESSAGE, Packets
from rlm_jupyter.kernels.bridge.requests import BridgeHandler, Exchange

_FRAMES_PER_TURN = 64  # handled at once, before the loop serves others
_MESSAGES_PER_TURN = 32
_BACKLOG_BYTES = (
    4 << 20
)  # replies that the kernel has not taken; above it, we take none of its requests either
_LONG = 0.002  # seconds; a turn longer than that is followed by a rest as long, for the other bridges
_HELLO_SECONDS = 1.0  # between pings, until the kernel was heard
_PING_SECONDS = 15.0  # and then: they tell the kernel that the engine is there


class ControlBridge(Exchange):
    """A bridge over the control channel of a Jupyter client, on the running asyncio loop.

    Args:
        client: whose `session` and `control_channel.socket` (with `send_multipart` and `recv_multipart` that are
            awaited) are used; it stays its owner's, and must outlive the bridge.
        handler: serves the kernel's requests, each in a task of its own.
        on_close: called once when the other end broke the protocol; not by `close()`. Whoever watches the kernel
            finds its death: a control channel does not tell.

    Attributes:
        reason: why the bridge is closed; empty while it is open.
    """

    def __init__(self, client: Any, handler: BridgeHandler, on_close: Callable[[], None]) -> None:
        super().__init__(handler, on_close)
        self._session, self._socket = client.session, client.control_channel.socket
        # What an earlier bridge or another client sends belongs to another line.
        self._line = secrets.token_hex(8)
        self._packets = Packets()
        self._heard = False
        self._pumping: asyncio.TimerHandle | None = None
        self._flushing: asyncio.TimerHandle | None = None
        self._flush_at = float("inf")
        self._pinging = self._loop.call_soon(self._ping)
        self._listening = self._loop.create_task(self._listen())

    async def _in_time(
        self,
        answer: asyncio.Future[tuple[Any, list[int]]],
        timeout: float,  # noqa: ASYNC109 - as of `request`
    ) -> tuple[Any, list[int]]:
        """Wait for an answer as long as the line is not silent for `timeout` seconds: values may be large."""
        while True:
            moved = self._packets.moved
            try:
                async with asyncio.timeout(timeout):
                    return await asyncio.shield(answer)
            except TimeoutError:
                if self._packets.moved == moved:
                    raise

    # -- reading

    async def _listen(self) -> None:
        count, spent = 0, 0.0
        while True:
            frames = await self._socket.recv_multipart()
            started = time.perf_counter()
            try:
                message = self._session.deserialize(self._session.feed_identities(frames)[1])
                content = message["content"]
                if message["msg_type"] == MESSAGE and content.get("line") == self._line:
                    self._arrived(content, message["buffers"])
            except wire.MalformedFrame as error:
                self._lost(f"it sent a malformed message: {error}")
                return
            except Exception:
                frames = []  # a forged or broken message of an agent's kernel says nothing
            count += 1
            spent += time.perf_counter() - started  # without the time in which nothing came
            if spent > _LONG or count == _MESSAGES_PER_TURN:
                await asyncio.sleep(spent if spent > _LONG else 0)
                count, spent = 0, 0.0

    def _arrived(self, content: dict[str, Any], buffers: list[Any]) -> None:
        self._heard = True
        self._packets.receive(content, buffers[0] if buffers else b"", self._loop.time())
        if self._pumping is None:
            self._pump()
        self._flush_later()

    def _pump(self) -> None:
        """Handle some of the requests that are here; then let others have the loop for as long as it took."""
        self._pumping = None
        if self.closed:
            return
        started = time.perf_counter()
        try:
            for _ in range(_FRAMES_PER_TURN):
                if self._packets.queued > _BACKLOG_BYTES:
                    break  # what is not taken is not acknowledged; `_flush` goes on
                frame = self._packets.take(self._loop.time())
                if frame is None:
                    return
                self._dispatch(*frame)
                if self.reason:  # answering failed, which ended it
                    return
        except wire.MalformedFrame as error:
            self._lost(f"it sent a malformed message: {error}")
            return
        self._pumping = self._loop.call_later(time.perf_counter() - started, self._pump)

    # -- writing

    def _send(self, frame: bytes, fds: list[int]) -> None:
        if self.closed:
            wire.close_all(fds)
            return
        self._packets.put(frame, fds)
        self._flush_later()

    def _flush_later(self) -> None:
        """See to it that what is due is sent in time; what is queued in this turn goes together."""
        now = self._loop.time()
        due = self._packets.due(now)
        if due is None or self.closed:
            return
        if self._flushing is not None:
            if self._flush_at <= now + due:
                return
            self._flushing.cancel()
        self._flush_at = now + due
        self._flushing = self._loop.call_at(self._flush_at, self._flush)

    def _flush(self) -> None:
        self._flushing, self._flush_at = None, float("inf")
        for content, chunk in self._packets.outgoing(self._loop.time()):
            self._post(content, chunk)
        self._flush_later()

    def _ping(self) -> None:
        self._post({"seq": 0, "ack": 0, "ping": True})
        self._pinging = self._loop.call_later(_PING_SECONDS if self._heard else _HELLO_SECONDS, self._ping)

    def _post(self, content: dict[str, Any], chunk: bytes = b"") -> None:
        message = self._session.serialize(self._session.msg(MESSAGE, {"line": self._line, **content}))
        sent = self._socket.send_multipart([*message, chunk] if chunk else message)
        sent.add_done_callback(lambda future: future.cancelled() or future.exception())

    # -- the end

    def _hang_up(self) -> None:
        for timer in (self._pumping, self._flushing, self._pinging):
            if timer is not None:
                timer.cancel()
        with contextlib.suppress(Exception):  # the channel may be closed already
            self._post({"seq": 0, "ack": 0, "end": True})
        if self._listening is not asyncio.current_task(self._loop):
            self._listening.cancel()
        self._packets.close()
