"""Requests both ways between the engine and one kernel, over any transport.

What a request is, how many there may be, who owns its descriptors, and how it is answered, cancelled and failed:
the same for every line to a kernel. `HostBridge` and `ControlBridge` add how frames travel.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from rlm_jupyter.errors import KernelDiedError, KernelError
from rlm_jupyter.guest.bridge import frames

BridgeHandler = Callable[[str, dict[str, Any], list[int]], Awaitable[tuple[Any, list[int]]]]
"""`(op, body, fds) -> (JSON-able result, fds)`. The bridge closes the descriptors that it passed in, and owns
those that come back. To answer with an error, the handler raises `BridgeError`."""

MAX_REQUESTS = 10_000
"""Requests of one kernel that may be under way; more are refused, one by one."""
MAX_HELD_FDS = 512
"""Descriptors that requests under way may hold open in this process."""
NEVER_REFUSED = "cell_done"
"""What a kernel tells at the end of each cell, an interrupted one included; it starts nothing."""

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


class Exchange(ABC):
    """The engine's end of a line to a kernel, on the running asyncio loop. All methods belong to its thread.

    Args:
        handler: serves the kernel's requests, each in a task of its own.
        on_close: called once when the other end is gone or broke the protocol; not by `close()`.

    Attributes:
        reason: why the line is closed; empty while it is open.
    """

    def __init__(self, handler: BridgeHandler, on_close: Callable[[], None]) -> None:
        self.reason = ""
        self._handler = handler
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._requests: dict[int, asyncio.Task[None]] = {}  # the kernel's, not answered yet
        self._tasks: set[asyncio.Task[None]] = set()  # those, and cancelled ones that still clean up
        self._held = 0  # descriptors that belong to those tasks
        self._asked: dict[int, asyncio.Future[tuple[Any, list[int]]]] = {}  # ours
        self._refusal: tuple[str, str] | None = None
        self._telling: asyncio.Future[None] | None = None
        self._last_id = 0

    @abstractmethod
    def _send(self, frame: bytes, fds: list[int]) -> None:
        """Queue a frame; the descriptors are ours to close."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Close the transport and every descriptor that is on its way."""

    async def _in_time(
        self,
        answer: asyncio.Future[tuple[Any, list[int]]],
        timeout: float,  # noqa: ASYNC109 - as of `request`
    ) -> tuple[Any, list[int]]:
        """Wait for the answer to a request of ours; raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await answer

    # -- what the engine uses

    @property
    def pending(self) -> int:
        """The number of requests from the kernel that are being handled."""
        return len(self._requests)

    def next_end(self) -> asyncio.Future[None]:
        """Returns what resolves when the kernel has next told of the end of a cell, and that was taken in."""
        self._telling = self._loop.create_future()
        return self._telling

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
            frame = frames.pack({"id": number, "op": op, "body": body}, len(fds))
        except BaseException:
            frames.close_all(fds)
            raise
        self._last_id, self._asked[number] = number, future
        try:
            self._send(frame, list(fds))
            return await self._in_time(future, timeout)
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                frames.close_all(future.result()[1])  # it came, but this task was cancelled in the same turn
            raise
        finally:
            self._asked.pop(number, None)

    def fail_pending(self, kind: str, message: str) -> None:
        """Cancel what is being handled and answer it at once with an error of `kind`."""
        requests, self._requests = self._requests, {}
        for number, task in requests.items():
            self._answer(number, {"error": {"kind": kind, "message": message, "data": None}}, [])
            task.cancel()

    def block_requests(self, kind: str, message: str) -> None:
        """Fail what is being handled, and whatever else the kernel's threads ask for until `allow_requests`."""
        self._refusal = kind, message
        self.fail_pending(kind, message)

    def allow_requests(self) -> None:
        """Serve again what is asked for."""
        self._refusal = None

    def close(self) -> None:
        """End the line: cancel what is being handled, fail what was asked, close every descriptor."""
        self._shut("the engine closed the line to it")

    # -- what comes in

    def _dispatch(self, message: dict[str, Any], fds: list[int]) -> None:
        number, op = message.get("id"), message.get("op")
        try:
            if type(number) is not int or not 0 < number < 1 << 53:
                raise frames.MalformedFrame("a message without a number")
            if op is None:
                self._settle(number, message, fds)
            elif op == "cancel":
                task = self._requests.pop(number, None)
                if task is not None:
                    task.cancel()
            else:
                self._accept(number, op, message.get("body"), fds)
        except frames.MalformedFrame:
            frames.close_all(fds)
            raise
        if op == "cancel":
            frames.close_all(fds)

    def _settle(self, number: int, message: dict[str, Any], fds: list[int]) -> None:
        """Pass the answer to one of our requests to the task that awaits it."""
        future, error = self._asked.pop(number, None), message.get("error")
        if future is None or future.done():  # too late
            frames.close_all(fds)
        elif error is None:
            future.set_result((message.get("ok"), fds))
        elif isinstance(error, dict):
            frames.close_all(fds)
            kind, text = str(error.get("kind"))[:100], str(error.get("message"))[:4000]
            future.set_exception(BridgeError(kind, text, data=error.get("data")))
        else:
            self._asked[number] = future
            raise frames.MalformedFrame("an answer that is neither a result nor an error")

    # -- serving

    def _accept(self, number: int, op: Any, body: Any, fds: list[int]) -> None:
        """Start a task for one request of the kernel, or refuse it."""
        if type(op) is not str or not isinstance(body, dict) or number in self._requests:
            raise frames.MalformedFrame("a request without a name, a body, or a number of its own")
        if len(self._tasks) >= MAX_REQUESTS or (fds and self._held + len(fds) > MAX_HELD_FDS):
            text = (
                f"Too many calls at once: {MAX_REQUESTS:,} may be under way, {MAX_HELD_FDS:,} of them with "
                "data. Use the `_batched` forms, which take turns."
            )
            self._refuse(number, "limit", text, fds)
            return
        if self._refusal is not None and op != NEVER_REFUSED:
            self._refuse(number, *self._refusal, fds)
            return
        self._held += len(fds)
        task = self._loop.create_task(self._serve(number, op, body, fds))
        self._requests[number] = task
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            # not in `_serve`: a task that is cancelled before its first step never runs a line of it
            self._tasks.discard(task)
            self._held -= len(fds)
            frames.close_all(fds)
            if op == NEVER_REFUSED and self._telling is not None and not self._telling.done():
                self._telling.set_result(None)

        task.add_done_callback(ended)

    def _refuse(self, number: int, kind: str, message: str, fds: list[int]) -> None:
        frames.close_all(fds)
        self._answer(number, {"error": {"kind": kind, "message": message, "data": None}}, [])

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
            frames.close_all(out)
            return
        del self._requests[number]
        self._answer(number, reply, list(out))

    def _answer(self, number: int, reply: dict[str, Any], fds: list[int]) -> None:
        """Queue the answer to a request; the descriptors are ours to close."""
        try:
            frame = frames.pack({"id": number, **reply}, len(fds))
        except (TypeError, ValueError, RecursionError) as error:
            _log.warning("An answer to an agent's kernel cannot be sent", exc_info=True)
            frames.close_all(fds)
            frame, fds = frames.pack({"id": number, **_internal(error)}), []
        self._send(frame, fds)

    # -- the end

    def _lost(self, reason: str) -> None:
        if not self.closed:
            self._shut(reason)
            self._on_close()

    def _shut(self, reason: str) -> None:
        if self.closed:
            return
        self.reason = reason
        self._hang_up()
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
