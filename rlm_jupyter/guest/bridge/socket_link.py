"""The kernel's end of the bridge.

It travels into an agent's kernel as source: the standard library only. Three threads
serve it (read, write, answer the engine), so that any thread may call while others run, and the engine is
answered while a cell runs.
"""

from __future__ import annotations

import builtins
import concurrent.futures
import contextlib
import errno
import itertools
import os
import queue
import socket
import threading
import time
from array import array
from typing import TYPE_CHECKING, Any

from ..ipykernel_hooks.defer_sigint import deferred_sigint
from . import frames as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Serve = Callable[[str, dict[str, Any], list[int]], tuple[Any, list[int]]]


_AT_ONCE = 4_096
"""Bytes that a socket takes whole or not at all, so that no interrupt can divide them."""


class RLMQueryError(Exception):
    """A call was answered with an error.

    Attributes:
        kind: ``"limit"``, ``"failed"``, ``"stopped"``, ``"rejected"``, ``"too_long"``, ``"unencodable"``, ...
        message: what happened and what to do.
        value: what there was of an answer, or None.
        data: details, if the engine gave any.
    """

    kind = "failed"

    def __init__(self, message: str, kind: str | None = None, value: Any = None, data: Any = None) -> None:
        super().__init__(message)
        self.message, self.value, self.data = message, value, data
        self.kind = kind or self.kind


class LimitReached(RLMQueryError):  # noqa: N818 - named for what happened, as the engine's own
    """A limit of the run was reached."""

    kind = "limit"


class Stopped(RLMQueryError):  # noqa: N818
    """The call was ended by the user, an interrupt, or the end of the run."""

    kind = "stopped"


class Rejected(RLMQueryError):  # noqa: N818
    """The engine did not accept what the call asked for."""

    kind = "rejected"


class TooLong(RLMQueryError):  # noqa: N818
    """The prompt is larger than a model takes."""

    kind = "too_long"


class Unencodable(RLMQueryError):  # noqa: N818
    """The value cannot leave this kernel."""

    kind = "unencodable"


class ToolFailed(RLMQueryError):  # noqa: N818
    """A tool that runs in the notebook, or a server's, raised; `data` has the `type` and `message`.

    Where that type is one of Python's own, this error is of it too: `except ValueError` catches it.
    """

    kind = "tool"

    def __str__(self) -> str:
        return self.message


# They would mean something to the interpreter, or need arguments of their own.
_NOT_RAISED = (Exception, StopIteration, StopAsyncIteration, UnicodeDecodeError, UnicodeEncodeError)
_ERRORS = {error.kind: error for error in (LimitReached, Stopped, Rejected, TooLong, Unencodable)}


def error_of(kind: str, message: str, value: Any = None, data: Any = None) -> RLMQueryError:
    """Build the exception for an error of `kind`."""
    if kind == "tool":
        return _tool_error(str(data.get("type")) if isinstance(data, dict) else "")(
            message, kind, value, data
        )
    return _ERRORS.get(kind, RLMQueryError)(message, kind, value, data)


def _tool_error(name: str) -> type[ToolFailed]:
    """Returns the class for what a tool raised: `ToolFailed`, and the type of Python's own of that name."""
    known = getattr(builtins, name, None)
    if not isinstance(known, type) or not issubclass(known, Exception) or known in _NOT_RAISED:
        return ToolFailed
    try:
        return type(f"Tool{name}", (ToolFailed, known), {"__module__": ToolFailed.__module__})
    except TypeError:  # their layouts do not fit
        return ToolFailed


def resolve(
    future: concurrent.futures.Future[Any], value: Any = None, error: BaseException | None = None
) -> None:
    """Settle a future that may have been cancelled meanwhile."""
    with contextlib.suppress(concurrent.futures.InvalidStateError):
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


class Reply:
    """An answer of the engine. Its descriptors are closed with it, if nobody took them."""

    __slots__ = ("error", "fds", "value")

    def __init__(self, value: Any, error: dict[str, Any] | None = None, fds: Sequence[int] = ()) -> None:
        self.value, self.error, self.fds = value, error, list(fds)

    def __del__(self, close: Callable[[list[int]], None] = wire.close_all) -> None:
        close(self.fds)


class Line:
    """Calls to the engine and answers to it, from any thread; whoever subclasses it adds how frames travel.

    Args:
        serve: answers a request of the engine: `(op, body, fds) -> (result, fds)`. It runs on a thread of its
            own, one request at a time. The descriptors that it gets are closed after it; those that it gives
            are closed after they are sent.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._numbers = itertools.count(1)
        self._waiting: dict[int, concurrent.futures.Future[Reply]] = {}
        self._lost: str = ""
        self._outbox: queue.SimpleQueue[tuple[bytes, list[int]]] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[tuple[dict[str, Any], list[int]]] = queue.SimpleQueue()
        if hasattr(os, "register_at_fork"):  # Windows has no forks
            os.register_at_fork(after_in_child=self._forked)

    def _start(self, **threads: Callable[[], None]) -> None:
        for name, run in {**threads, "serve": self._work}.items():
            threading.Thread(target=run, name=f"rlm-{name}", daemon=True).start()

    @property
    def is_waiting(self) -> bool:
        """Whether a call is not answered yet."""
        return bool(self._waiting)

    def submit(self, op: str, body: dict[str, Any], fds: Sequence[int] = ()) -> tuple[int, Any]:
        """Send a request; return its number and the future of its `Reply`. The descriptors are the link's."""
        number, future = next(self._numbers), concurrent.futures.Future[Reply]()
        try:
            frame = wire.pack({"id": number, "op": op, "body": body}, len(fds))
        except wire.FrameTooLarge as error:
            wire.close_all(fds)
            raise error_of("too_long", f"This call is too long. {error}") from None
        except BaseException:
            wire.close_all(fds)
            raise
        self._waiting[number] = future
        self._send(frame, list(fds))
        if self._lost:
            self._fail_all()
        return number, future

    def withdraw(self, number: int) -> None:
        """Tells the engine that an answer is no longer wanted."""
        future = self._waiting.pop(number, None)
        if future is not None:
            self._send(wire.pack({"id": number, "op": "cancel"}), [])
            future.cancel()

    def _send(self, frame: bytes, fds: list[int]) -> None:
        """Send a frame, or queue it; the descriptors are ours to close."""
        self._outbox.put((frame, fds))

    def _dispatch(self, message: dict[str, Any], fds: list[int]) -> None:
        if "op" in message:
            self._inbox.put((message, fds))
            return
        reply = Reply(message.get("ok"), message.get("error"), fds)
        future = self._waiting.pop(message["id"], None)
        if future is not None:
            with contextlib.suppress(
                Exception
            ):  # withdrawn in this moment; or a callback of the agent's code
                future.set_result(reply)

    def _fail_all(self) -> None:
        while self._waiting:
            with contextlib.suppress(KeyError, concurrent.futures.InvalidStateError):
                _, future = self._waiting.popitem()
                future.set_result(Reply(None, {"kind": "stopped", "message": self._lost}))

    def _work(self) -> None:
        while True:
            message, fds = self._inbox.get()
            out: list[int] = []
            try:
                result, out = self._serve(message["op"], message["body"], fds)
                frame = wire.pack({"id": message["id"], "ok": result}, len(out))
            except Exception as error:
                wire.close_all(out)
                out, kind = [], getattr(error, "kind", "internal")
                text = str(error) if isinstance(error, RLMQueryError) else f"{type(error).__name__}: {error}"
                details = {"kind": kind, "message": text[:2000], "data": getattr(error, "data", None)}
                frame = wire.pack({"id": message["id"], "error": details})
            finally:
                wire.close_all(fds)
            self._send(frame, out)

    def _forked(self) -> None:
        """In a forked child: none of the threads exists."""
        self._lost = "Only the kernel's own process can call the engine, not a child of it; use threads."
        self._waiting.clear()


class Link(Line):
    """The kernel's end of a bridge over a socketpair.

    Args:
        sock: the inherited socket; the link owns it.
        serve: as of `Line`.

    Attributes:
        socket: ours of the pair.
        turn: held by whoever writes to it.
    """

    def __init__(self, sock: socket.socket, serve: Serve) -> None:
        sock.setblocking(True)
        sock.set_inheritable(False)
        super().__init__(serve)
        self.socket = sock
        self.turn = threading.RLock()
        self._queued = 0  # frames that the writing thread has yet to write, and all that follow must wait for
        self._start(read=self._read, write=self._write)

    def _read(self) -> None:
        framer = wire.Framer()
        try:
            while True:
                data, fds = wire.receive(self.socket)
                if not data:
                    break
                framer.feed(data, fds)
                while (frame := framer.take()) is not None:
                    self._dispatch(*frame)
        except (OSError, ValueError) as error:
            self._lost = f"The engine cannot be reached any more: {error}"
        finally:
            self._lost = self._lost or "The engine is gone: the run has ended."
            self._fail_all()

    def _send(self, frame: bytes, fds: list[int]) -> None:
        """Write the frame here and now; what the socket does not take is written by a thread."""
        if len(frame) <= _AT_ONCE and not fds:
            with self.turn:
                self._enqueue(frame, fds)
        else:
            with deferred_sigint(), self.turn:
                self._enqueue(frame, fds)

    def _enqueue(self, frame: bytes, fds: list[int]) -> None:
        if self._lost:
            wire.close_all(fds)
            return
        if not self._queued:
            sent = self._send_nowait(frame, fds)
            if sent:
                wire.close_all(fds)
                frame, fds = frame[sent:], []
            if not frame:
                return
        self._queued += 1
        self._outbox.put((frame, fds))

    def _send_nowait(self, frame: bytes, fds: list[int]) -> int:
        """Write what can be written without waiting; give the number of bytes."""
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            return self.socket.sendmsg([frame], beside, socket.MSG_DONTWAIT)
        except OSError:
            return 0

    def _write(self) -> None:
        while True:
            self._write_one()
            with self.turn:
                self._queued -= 1

    def _write_one(self) -> None:
        frame, fds = self._outbox.get()
        data = memoryview(frame)
        try:
            while data and not self._lost:
                try:
                    sent = socket.send_fds(self.socket, [data], fds) if fds else self.socket.send(data)
                except OSError as error:
                    if error.errno != errno.ETOOMANYREFS:  # descriptors that the engine has not taken yet
                        break  # the reading thread sees the end too, and tells all who wait
                    time.sleep(0.02)
                else:
                    wire.close_all(fds)
                    data, fds = data[sent:], []
        finally:
            wire.close_all(fds)

    def _forked(self) -> None:
        super()._forked()
        self.turn = threading.RLock()  # another thread may have held it
        self.socket.close()  # the end of the parent's must be seen by the engine
