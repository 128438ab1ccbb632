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
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from rlm_jupyter.errors import KernelDiedError, KernelError
from rlm_jupyter.kernels import wire
from rlm_jupyter.kernels.boot import boot_code, guest_sources

__all__ = ["Bridge", "BridgeError", "BridgeHandler", "HostBridge", "boot_code", "guest_sources"]

BridgeHandler = Callable[[str, dict[str, Any], list[int]], Awaitable[tuple[Any, list[int]]]]
"""`(op, body, fds) -> (JSON-able result, fds)`. The bridge closes the descriptors that it passed in, and owns
those that come back. To answer with an error, the handler raises `BridgeError`."""

MAX_REQUESTS = 10_000
"""Requests of one kernel that may be under way; more are refused, one by one."""
MAX_HELD_FDS = 512
"""Descriptors that requests under way may hold open in this process."""
_FRAMES_PER_TURN = 64  # handled at once, before the loop serves others
_BACKLOG_BYTES = 4 << 20  # replies that the kernel has not read; above it, we do not read from it either
_LONG = 0.002  # seconds; a turn longer than that is followed by a rest as long, for the other bridges

_log = logging.getLogger(__name__)


class BridgeError(KernelError):
    """A request over a bridge was answered with an error.

    Attributes:
        kind: ``"limit"``, ``"failed"``, ``"stopped"``, ``"rejected"``, ``"too_long"``, ``"unencodable"``,
            ``"missing"`` or ``"internal"``.
        fds: descriptors that go with it (a partial value); the bridge that sends the error closes them.
        data: details, JSON-able.
    """

    def __init__(self, kind: str, message: str, *, fds: Iterable[int] = (), data: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.fds = list(fds)
        self.data = data


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
        """Ask the kernel; see `HostBridge.request`."""

    def fail_pending(self, kind: str, message: str) -> None:
        """Cancel what is being handled and answer it with an error."""

    def close(self) -> None:
        """End the line."""

    async def wait_closed(self) -> None:
        """Wait until the handlers that `close` cancelled have cleaned up."""


class HostBridge:
    """A bridge over a socketpair, on the running asyncio loop. All methods belong to that loop's thread.

    Args:
        sock: our end; the bridge owns it.
        handler: serves the kernel's requests, each in a task of its own.
        on_close: called once when the other end is gone or broke the protocol; not by `close()`.

    Attributes:
        reason: why the bridge is closed; empty while it is open.
    """

    def __init__(self, sock: socket.socket, handler: BridgeHandler, on_close: Callable[[], None]) -> None:
        sock.setblocking(False)
        self.reason = ""
        self._sock = sock
        self._handler = handler
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._framer = wire.Framer()
        self._requests: dict[int, asyncio.Task[None]] = {}  # the kernel's, not answered yet
        self._tasks: set[asyncio.Task[None]] = set()  # those, and cancelled ones that still clean up
        self._held = 0  # descriptors that belong to those tasks
        self._asked: dict[int, asyncio.Future[tuple[Any, list[int]]]] = {}  # ours
        self._last_id = 0
        self._out: collections.deque[tuple[memoryview, list[int]]] = collections.deque()
        self._out_bytes = 0
        self._choked = False  # reading rests until the replies are read
        self._loop.add_reader(sock, self._readable)

    # -- what the engine uses

    @property
    def pending(self) -> int:
        """The number of requests from the kernel that are being handled."""
        return len(self._requests)

    @property
    def closed(self) -> bool:
        """Whether nothing goes through any more."""
        return bool(self.reason)

    async def request(
        self,
        op: str,
        body: dict[str, Any],
        fds: Sequence[int] = (),
        timeout: float = 30.0,  # noqa: ASYNC109 - every call across a process has a bound of its own
    ) -> tuple[Any, list[int]]:
        """Ask the kernel; it answers also while it runs a cell.

        Args:
            op: what to do.
            body: JSON-able.
            fds: descriptors to pass; they are the bridge's from now on, which closes them in every case.
            timeout: seconds.

        Returns:
            The result and its descriptors, which are the caller's to close.

        Raises:
            BridgeError: the kernel answered with an error.
            KernelDiedError: the bridge is closed, or closes before the answer.
            TimeoutError: no answer in time.
        """
        number, future = self._last_id + 1, self._loop.create_future()
        try:
            if self.closed:
                raise KernelDiedError(f"The agent's kernel cannot be asked for `{op}`: {self.reason}.")
            frame = wire.pack({"id": number, "op": op, "body": body}, len(fds))
        except BaseException:
            wire.close_all(fds)
            raise
        self._last_id, self._asked[number] = number, future
        try:
            self._send(frame, list(fds))
            async with asyncio.timeout(timeout):
                result: tuple[Any, list[int]] = await future
                return result
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                wire.close_all(future.result()[1])  # it came, but this task was cancelled in the same turn
            raise
        finally:
            self._asked.pop(number, None)

    def fail_pending(self, kind: str, message: str) -> None:
        """Cancel what is being handled and answer it at once with an error of `kind`."""
        requests, self._requests = self._requests, {}
        for number, task in requests.items():
            self._answer(number, {"error": {"kind": kind, "message": message, "data": None}}, [])
            task.cancel()

    def close(self) -> None:
        """End the line: cancel what is being handled, fail what was asked, close every descriptor."""
        self._shut("the engine closed the line to it")

    async def wait_closed(self) -> None:
        """Wait until the handlers that were cancelled have cleaned up."""
        others = self._tasks - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    # -- reading

    def _readable(self) -> None:
        try:
            data, fds = wire.receive(self._sock)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, wire.MalformedFrame) as error:
            self._lost(f"reading from it failed: {error}")
            return
        if not data:
            wire.close_all(fds)
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
        except wire.MalformedFrame as error:
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

    def _dispatch(self, message: dict[str, Any], fds: list[int]) -> None:
        number, op = message.get("id"), message.get("op")
        try:
            if type(number) is not int or not 0 < number < 1 << 53:
                raise wire.MalformedFrame("a message without a number")
            if op is None:
                self._settle(number, message, fds)
            elif op == "cancel":
                task = self._requests.pop(number, None)
                if task is not None:
                    task.cancel()
            else:
                self._accept(number, op, message.get("body"), fds)
        except wire.MalformedFrame:
            wire.close_all(fds)
            raise
        if op == "cancel":
            wire.close_all(fds)

    def _settle(self, number: int, message: dict[str, Any], fds: list[int]) -> None:
        """Give the answer to one of our requests to the task that awaits it."""
        future, error = self._asked.pop(number, None), message.get("error")
        if future is None or future.done():  # too late
            wire.close_all(fds)
        elif error is None:
            future.set_result((message.get("ok"), fds))
        elif isinstance(error, dict):
            wire.close_all(fds)
            kind, text = str(error.get("kind"))[:100], str(error.get("message"))[:4000]
            future.set_exception(BridgeError(kind, text, data=error.get("data")))
        else:
            self._asked[number] = future
            raise wire.MalformedFrame("an answer that is neither a result nor an error")

    # -- serving

    def _accept(self, number: int, op: Any, body: Any, fds: list[int]) -> None:
        """Start a task for one request of the kernel, or refuse it."""
        if type(op) is not str or not isinstance(body, dict) or number in self._requests:
            raise wire.MalformedFrame("a request without a name, a body, or a number of its own")
        if len(self._tasks) >= MAX_REQUESTS or (fds and self._held + len(fds) > MAX_HELD_FDS):
            wire.close_all(fds)
            text = (
                f"Too many calls at once: {MAX_REQUESTS:,} may be under way, {MAX_HELD_FDS:,} of them with "
                "data. Use the `_batched` forms, which take turns."
            )
            self._answer(number, {"error": {"kind": "limit", "message": text, "data": None}}, [])
            return
        self._held += len(fds)
        task = self._loop.create_task(self._serve(number, op, body, fds))
        self._requests[number] = task
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            # not in `_serve`: a task that is cancelled before its first step never runs a line of it
            self._tasks.discard(task)
            self._held -= len(fds)
            wire.close_all(fds)

        task.add_done_callback(ended)

    async def _serve(self, number: int, op: str, body: dict[str, Any], fds: list[int]) -> None:
        """Run the handler for one request and answer, unless it was answered or cancelled meanwhile."""
        out: list[int] = []
        try:
            result, out = await self._handler(op, body, fds)
            reply: dict[str, Any] = {"ok": result}
        except BridgeError as error:
            out = error.fds
            reply = {"error": {"kind": error.kind, "message": error.message, "data": error.data}}
        except Exception as error:
            _log.warning("The request `%s` of an agent's kernel failed", op, exc_info=True)
            reply = _internal(error)
        if self._requests.get(number) is not asyncio.current_task():
            wire.close_all(out)
            return
        del self._requests[number]
        self._answer(number, reply, list(out))

    def _answer(self, number: int, reply: dict[str, Any], fds: list[int]) -> None:
        """Queue the answer to a request; the descriptors are ours to close."""
        try:
            frame = wire.pack({"id": number, **reply}, len(fds))
        except (TypeError, ValueError, RecursionError) as error:
            _log.warning("An answer to an agent's kernel cannot be sent", exc_info=True)
            wire.close_all(fds)
            frame, fds = wire.pack({"id": number, **_internal(error)}), []
        self._send(frame, fds)

    # -- writing

    def _send(self, frame: bytes, fds: list[int]) -> None:
        """Queue a frame; the descriptors are ours to close."""
        if self.closed:
            wire.close_all(fds)
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
                return
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:  # descriptors that the kernel has not taken yet
                    self._lost(f"writing to it failed: {error}")
                    return
                self._loop.remove_writer(self._sock)
                self._loop.call_later(0.05, self._flush)
                return
            self._out_bytes -= sent
            wire.close_all(fds)
            if sent < len(data):
                self._out[0] = (data[sent:], [])
            else:
                self._out.popleft()
        if not self.closed:
            self._loop.remove_writer(self._sock)
            if self._choked:
                self._choked = False
                self._loop.call_soon(self._resume)

    # -- the end

    def _lost(self, reason: str) -> None:
        if not self.closed:
            self._shut(reason)
            self._on_close()

    def _shut(self, reason: str) -> None:
        if self.closed:
            return
        self.reason = reason
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        self._sock.close()
        self._framer.close()
        for _, fds in self._out:
            wire.close_all(fds)
        self._out.clear()
        self._requests.clear()
        for task in list(self._tasks):
            task.cancel()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(KernelDiedError(f"The agent's kernel did not answer: {reason}."))


def _internal(error: BaseException) -> dict[str, Any]:
    """Build the answer for a failure of our own; what it says is not the agent's business."""
    text = f"The engine failed on this call (`{type(error).__name__}`); details are in the notebook's log."
    return {"error": {"kind": "internal", "message": text, "data": None}}
