"""The kernel's end of a bridge over the control channel, where no descriptor can be inherited.

It travels into an agent's kernel as source: the standard library only. ipykernel
serves the control channel on a thread with a loop of its own, so that the engine's packets arrive while a cell
runs; all of the kernel's packets are sent on that loop, because a zmq socket belongs to one thread.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from . import frames as wire
from .packets import MAX_VALUE_BYTES, MESSAGE, Packets, too_large
from .socket_link import Line, error_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .socket_link import Serve

_TICK_SECONDS = 15.0
_SILENT_TICKS = 40  # ten minutes without the engine's pings: a notebook's machine may sleep for a while
_END_SECONDS = 1.0  # that a kernel which is told to shut down may take before its cell is ended with it


class ControlLink(Line):
    """The kernel's end of a `ControlBridge`.

    Args:
        kernel: of ipykernel.
        serve: as of `Line`.
    """

    def __init__(self, kernel: Any, serve: Serve) -> None:
        super().__init__(serve)
        self._stream = kernel.control_stream
        self._loop = self._stream.io_loop
        self._session = kernel.session.clone()  # that of the kernel is used by other threads, and is not safe
        self._packets = Packets()
        self._line = ""
        self._client: Any = None  # the identity of the engine's client: a gateway's may change
        self._timer: Any = None
        self._silent = 0
        self._shut_down = kernel.control_handlers["shutdown_request"]
        self._pass_on = kernel.process_control
        kernel.process_control = self._sift
        kernel.control_handlers["shutdown_request"] = self._end_soon
        self._loop.add_callback(self._tick)
        self._start(write=self._write)

    def submit(self, op: str, body: dict[str, Any], fds: Sequence[int] = ()) -> tuple[int, Any]:
        """As of `Line`, where the values are not too large for this way."""
        size = sum(os.fstat(fd).st_size for fd in fds)
        if size > MAX_VALUE_BYTES:
            wire.close_all(fds)
            raise error_of("too_long", too_large(size))
        return super().submit(op, body, fds)

    def _write(self) -> None:
        while True:
            frame, fds = self._outbox.get()
            self._loop.add_callback(self._enqueue, frame, fds)

    # -- on the control thread

    def _enqueue(self, frame: bytes, fds: list[int]) -> None:
        if self._lost:
            wire.close_all(fds)
            return
        self._packets.put(frame, fds)
        self._flush()

    async def _sift(self, frames: list[Any]) -> None:
        """Take the engine's packets out of what comes on the control channel.

        ipykernel's own way of handling a message flushes the streams and tells of each on iopub: four times as
        slow, and it runs what an agent's code made of `sys.stdout`.
        """
        try:
            client, rest = self._session.feed_identities(frames, copy=False)
            ours = self._session.unpack(rest[1].bytes)["msg_type"] == MESSAGE
            message = self._session.deserialize(rest, copy=False) if ours else {}
        except Exception:
            message = {}  # ipykernel says what is wrong with it
        if message:
            self._arrived(client, message["content"], message["buffers"])
        else:
            await self._pass_on(frames)

    def _arrived(self, client: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        """Handle one packet of the engine."""
        self._line = self._line or content["line"]
        if content["line"] != self._line or self._lost:
            return
        self._client, self._silent = client, 0
        if content.get("end"):
            self._give_up("The engine is gone: the run has ended.")
            return
        now = time.monotonic()
        self._packets.receive(content, buffers[0] if buffers else b"", now)
        while (frame := self._packets.take(now)) is not None:
            self._dispatch(*frame)
        self._flush()

    def _flush(self) -> None:
        """Send what is due, and come back when more is."""
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None
        if self._client is None or self._lost:
            return
        for content, chunk in self._packets.outgoing(time.monotonic()):
            self._session.send(
                self._stream,
                MESSAGE,
                {"line": self._line, **content},
                ident=self._client,
                buffers=[chunk] if chunk else None,
            )
        due = self._packets.due(time.monotonic())
        if due is not None:
            self._timer = self._loop.call_later(due, self._flush)

    def _tick(self) -> None:
        # Ticks are counted, not seconds: code that holds the interpreter for long delays both ends alike.
        self._silent += 1
        if self._silent > _SILENT_TICKS:
            self._give_up("The engine cannot be reached any more: it has been silent for ten minutes.")
        if not self._lost:
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _give_up(self, why: str) -> None:
        self._lost = self._lost or why
        self._fail_all()
        self._packets.close()

    async def _end_soon(self, stream: Any, client: Any, message: dict[str, Any]) -> Any:
        """Shut down even while a cell runs: whoever waits for this kernel's end would wait for the cell's."""
        timer = threading.Timer(_END_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()
        self._give_up("The kernel is shut down.")
        return await self._shut_down(stream, client, message)
