"""The Jupyter channels to one kernel: cells out, replies and output in."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

FLOOD = 256 << 20
"""Bytes of output of one cell after which its kernel is taken for hostile; an honest one sends less than 1 MB."""

LEFT = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
"""Taken for the reply of a cell that was left without one."""

Sink = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """A cell that was sent.

    Attributes:
        message: the id of its message.
        started: resolves when the kernel has begun with it.
        reply: gives the content of the execute reply.
        idle: resolves when all of its output has come.
    """

    message: str
    started: asyncio.Future[None]
    reply: asyncio.Future[Mapping[str, Any]]
    idle: asyncio.Future[None]


class Channels:
    """Sends cells and gives each message to whom it belongs; lives on the running event loop.

    Args:
        client: an `AsyncKernelClient`, or what looks like one, that has not been started.
        on_flood: called once when the kernel sends more than any honest one could.
    """

    def __init__(self, client: Any, on_flood: Callable[[], None]) -> None:
        self.client, self._on_flood = client, on_flood
        self._requests: dict[str, Request] = {}
        self._sinks: dict[str, Sink] = {}
        self._probes: dict[str, Request] = {}
        self._heard = asyncio.Event()
        self._received = 0
        client.start_channels(hb=False)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._pump(client.shell_channel, self._take_reply)),
            loop.create_task(self._pump(client.iopub_channel, self._take_output)),
        ]

    def send(
        self,
        code: str,
        *,
        silent: bool = False,
        expressions: Mapping[str, str] | None = None,
        sink: Sink | None = None,
    ) -> Request:
        """Send a cell.

        Args:
            code: of the cell.
            silent: True for a cell of ours that is not counted and shows nothing.
            expressions: evaluated after it, name to expression.
            sink: called with the type and content of each message of its output.
        """
        loop = asyncio.get_running_loop()
        message = self._post(
            "execute_request",
            {
                "code": code,
                "silent": silent,
                "store_history": not silent,
                "user_expressions": dict(expressions or {}),
                "allow_stdin": False,
                "stop_on_error": False,
            },
        )
        request = Request(message, loop.create_future(), loop.create_future(), loop.create_future())
        self._requests[message] = request
        self._received = 0
        if sink is not None:
            self._sinks[message] = sink
        return request

    def _post(self, kind: str, content: dict[str, Any]) -> str:
        """Send a message on the shell channel; return its id.

        Not by the client's own methods: they write to the socket below asyncio's, which swallows the one signal
        that a reply has come, so that `recv_multipart` waits for ever (the descriptor of a zmq socket is
        edge-triggered).
        """
        session = self.client.session
        message = session.msg(kind, content)
        sent = self.client.shell_channel.socket.send_multipart(session.serialize(message))
        sent.add_done_callback(lambda future: future.cancelled() or future.exception())
        return str(message["header"]["msg_id"])

    async def settled(self, request: Request, died: asyncio.Future[int]) -> None:
        """Wait until the output of a request that was answered is complete, a second at most."""
        waiting: set[asyncio.Future[Any]] = {request.idle, died}
        await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        self._sinks.pop(request.message, None)
        self._requests.pop(request.message, None)

    def probe(self, request: Request) -> None:
        """Find out whether the kernel has left a cell without a reply, and if so, end its request.

        That happens when SIGINT strikes ipykernel's own code on the way to the cell. What is sent now is
        answered only when the cell is over.
        """
        self._probes[self._post("kernel_info_request", {})] = request

    async def wait_heard(self, died: asyncio.Future[int]) -> None:
        """Wait until the kernel's output is heard, or its death.

        ipykernel 7 tells when the subscription to its output is live; an older one is asked until something is
        heard, because output that is sent before is lost.
        """
        while not self._heard.is_set() and not died.done():
            self._post("kernel_info_request", {})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), 0.05)

    async def close(self) -> None:
        """Close the sockets; what still waits is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.client.stop_channels()
        for request in self._requests.values():
            for future in (request.started, request.reply, request.idle):
                future.cancel()

    async def _pump(self, channel: Any, take: Callable[[dict[str, Any]], None]) -> None:
        session = self.client.session
        while True:
            frames = await channel.socket.recv_multipart()
            if self._flooded(frames):
                continue
            try:
                message = _read(session, session.feed_identities(frames)[1])
            except Exception:  # noqa: S112 - a forged or broken message of an agent's kernel says nothing
                continue
            take(message)

    def _flooded(self, frames: list[bytes]) -> bool:
        before = self._received
        self._received += sum(map(len, frames))
        if before <= FLOOD < self._received:
            self._on_flood()
        return self._received > FLOOD

    def _take_reply(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id")
        if message["msg_type"] == "execute_reply":
            request, content = self._requests.get(parent), message["content"]
        else:
            request, content = self._probes.pop(parent, None), LEFT
        if request is not None and not request.reply.done():
            request.reply.set_result(content)

    def _take_output(self, message: dict[str, Any]) -> None:
        self._heard.set()
        parent = message["parent_header"].get("msg_id")
        kind, content = message["msg_type"], message["content"]
        request = self._requests.get(parent)
        if request is not None and kind == "execute_input":
            _resolve(request.started)
        if request is not None and kind == "status" and content.get("execution_state") == "idle":
            _resolve(request.idle)
        elif (sink := self._sinks.get(parent)) is not None:
            sink(kind, content)


def _read(session: Any, frames: list[bytes]) -> dict[str, Any]:
    """Check and decode a message: what `Session.deserialize` does, without its search for dates.

    That search costs more than all else here, and no date of a message is used.
    (https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol)
    """
    parent: Any
    content: Any
    signature, header, parent, _metadata, content = frames[:5]
    if not hmac.compare_digest(session.sign(frames[1:5]), signature):
        raise ValueError("a message without a valid signature")
    kind = str(session.unpack(header)["msg_type"])
    parent, content = session.unpack(parent), session.unpack(content)
    if not isinstance(content, dict) or not isinstance(parent.get("msg_id", ""), str):
        raise TypeError("a message of another shape")
    return {"msg_type": kind, "parent_header": parent, "content": content}


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
