"""The engine's end of the line to one agent's kernel.

Requests come from the kernel (`llm_query`, `final`, ...) and go to it (`load`, `export`, ...) over an
inherited socketpair. The kernel's end is in the hands of model code: which agent it is, how deep, and what it
may do is known from the connection and never read from a message. A frame that breaks the rules ends this
bridge alone.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.requests import BridgeError, BridgeHandler, Exchange

__all__ = ["Bridge", "BridgeError", "BridgeHandler", "HostBridge"]

_FRAMES_PER_TURN = 64  # handled at once, before the loop serves others
_BACKLOG_BYTES = 4 << 20  # replies that the kernel has not read; above it, we do not read from it either
_LONG = 0.002  # seconds; a turn longer than that is followed by a rest as long, for the other bridges


class Bridge(Protocol):
    """What the engine needs of a line to a kernel: the seam for other transports than a socketpair."""

    @property
    def pending(self) -> int:
        """The number of requests from the kernel that are being handled."""

    @property
    def closed(self) -> bool:
        """Whether nothing goes through any more."""

    async def request(
        self,
        op: str,
        body: dict[str, Any],
        fds: Sequence[int] = (),
        timeout: float = 30.0,  # noqa: ASYNC109 - every call across a process has a bound of its own
    ) -> tuple[Any, list[int]]:
        """Ask the kernel; see `Exchange.request`."""

    def fail_pending(self, kind: str, message: str) -> None:
        """Cancel what is being handled and answer it with an error."""

    def next_end(self) -> asyncio.Future[None]:
        """Returns what resolves when the kernel has next told of the end of a cell; see `Exchange.next_end`."""

    def block_requests(self, kind: str, message: str) -> None:
        """Fail what is being handled, and whatever else is asked for until `allow_requests`."""

    def allow_requests(self) -> None:
        """Serve again what is asked for."""

    def close(self) -> None:
        """End the line."""


class HostBridge(Exchange):
    """A bridge over a socketpair, on the running asyncio loop. All methods belong to that loop's thread.

    Args:
        sock: our end; the bridge owns it.
        handler: serves the kernel's requests, each in a task of its own.
        on_close: called once when the other end is gone or broke the protocol; not by `close()`.

    Attributes:
        reason: why the bridge is closed; empty while it is open.
    """

    def __init__(self, sock: socket.socket, handler: BridgeHandler, on_close: Callable[[], None]) -> None:
        super().__init__(handler, on_close)
        sock.setblocking(False)
        self._sock = sock
        self._framer = frames.Framer()
        self._out: collections.deque[tuple[memoryview, list[int]]] = collections.deque()
        self._out_bytes = 0
        self._blocked = False  # writing waits until the kernel has read
        self._choked = False  # reading rests until the replies are read
        self._loop.add_reader(sock, self._readable)

    # -- reading

    def _readable(self) -> None:
        try:
            data, fds = frames.receive(self._sock)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, frames.MalformedFrame) as error:
            self._lost(f"reading from it failed: {error}")
            return
        if not data:
            frames.close_all(fds)
            self._lost("it closed its end of the line")
            return
        self._framer.feed(data, fds)
        self._pump()

    def _pump(self) -> None:
        """Handle some of the frames that are here; then let others have the loop for as long as it took."""
        if self.closed:
            return
        started, more = time.perf_counter(), True
        try:
            for _ in range(_FRAMES_PER_TURN):
                frame = self._framer.take()
                if frame is None:
                    more = False
                    break
                self._dispatch(*frame)
                if self.reason:  # answering failed, which ended it
                    return
        except frames.MalformedFrame as error:
            self._lost(f"it sent a malformed message: {error}")
            return
        spent = time.perf_counter() - started
        self._choked = self._out_bytes > _BACKLOG_BYTES
        if more or self._choked or spent > _LONG:
            self._loop.remove_reader(self._sock)
            if not self._choked:
                self._loop.call_later(spent, self._resume)

    def _resume(self) -> None:
        if not self.closed:
            self._loop.add_reader(self._sock, self._readable)
            self._pump()

    # -- writing

    def _send(self, frame: bytes, fds: list[int]) -> None:
        """Queue a frame; the descriptors are ours to close."""
        if self.closed:
            frames.close_all(fds)
            return
        self._out.append((memoryview(frame), fds))
        self._out_bytes += len(frame)
        if len(self._out) == 1:
            self._flush()

    def _flush(self) -> None:
        """Write what the socket takes; the rest follows when it takes more."""
        while self._out:
            data, fds = self._out[0]
            try:
                sent = socket.send_fds(self._sock, [data], fds) if fds else self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock, self._flush)
                self._blocked = True
                return
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:  # descriptors that the kernel has not taken yet
                    self._lost(f"writing to it failed: {error}")
                    return
                self._loop.remove_writer(self._sock)
                self._loop.call_later(0.05, self._flush)
                return
            self._out_bytes -= sent
            frames.close_all(fds)
            if sent < len(data):
                self._out[0] = (data[sent:], [])
            else:
                self._out.popleft()
        if not self.closed:
            if self._blocked:
                self._loop.remove_writer(self._sock)
                self._blocked = False
            if self._choked:
                self._choked = False
                self._loop.call_soon(self._resume)

    def _hang_up(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        self._sock.close()
        self._framer.close()
        for _, fds in self._out:
            frames.close_all(fds)
        self._out.clear()
