"""The channels of a kernel behind a Jupyter server or gateway: one websocket that looks like a client's zmq sockets.

Text frames are JSON; where a message has buffers, the frame is binary: their count and offsets as big-endian
32-bit numbers, then the JSON and the buffers (Jupyter's default websocket protocol, which all servers speak).
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

DELIMITER = b"<IDS|MSG>"
LARGEST_MESSAGE = 4 << 20
"""Bytes; a kernel of ours sends far less, so a larger one breaks the connection."""
_QUEUED = 2_000  # messages of one channel that wait to be read; above it the connection is not read
_CHANNELS = ("shell", "iopub", "control")
_TRIES = 6
_STEADY_SECONDS = (
    5.0  # a connection that lasts as long has worked; one that breaks sooner is a try that failed
)
_PARTS = ("header", "parent_header", "metadata", "content")


class ChannelSocket:
    """One channel; it has what is used of a `zmq.asyncio` socket."""

    def __init__(self, name: str, send: Callable[[str | bytes], None]) -> None:
        self._name, self._send = name, send
        self.queue: asyncio.Queue[list[bytes]] = asyncio.Queue(_QUEUED)

    def send_multipart(self, frames: Sequence[bytes]) -> asyncio.Future[None]:
        """Queue a message of `Session.serialize`, with its buffers."""
        self._send(encode(self._name, frames))
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    async def recv_multipart(self) -> list[bytes]:
        """Wait for a message, in the form that `Session.deserialize` takes."""
        return await self.queue.get()


class Channel:
    """A channel as of a Jupyter client."""

    def __init__(self, socket: ChannelSocket) -> None:
        self.socket = socket


class WebsocketClient:
    """What looks like a Jupyter client, over a websocket that is opened again when it breaks.

    Args:
        connect: opens the websocket; the same session each time, so that a server may keep what was missed.
        on_state: called with the `execution_state` of each status message.
        on_lost: called when the websocket stays broken, or breaks again and again.

    Attributes:
        session: packs and unpacks messages; it signs none, because the websocket is authenticated.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        on_state: Callable[[str], None],
        on_lost: Callable[[], None],
    ) -> None:
        from jupyter_client.session import Session

        self.session = Session()
        self.session.auth = None
        self._connect, self._on_state, self._on_lost = connect, on_state, on_lost
        self._out: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._sockets = {name: ChannelSocket(name, self._out.put_nowait) for name in _CHANNELS}
        self.shell_channel, self.iopub_channel, self.control_channel = map(Channel, self._sockets.values())
        self._running: asyncio.Task[None] | None = None

    def start_channels(self, *, hb: bool = False) -> None:  # noqa: ARG002 - as of a Jupyter client
        """Begin to connect; what is sent meanwhile waits."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    def stop_channels(self) -> None:
        """Close the websocket."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        tries = 0
        while True:
            steady = math.inf
            with suppress(
                Exception
            ):  # refused, broken off, or no websocket at all: all are tries that failed
                websocket = await self._connect()
                steady = clock() + _STEADY_SECONDS
                await self._serve(websocket)
            tries = 1 if clock() >= steady else tries + 1
            if tries >= _TRIES:
                break
            await asyncio.sleep(0.1 * 2 ** (tries - 1))
        self._on_lost()

    async def _serve(self, websocket: Any) -> None:
        """Pass messages on until the websocket breaks."""
        sending = asyncio.get_running_loop().create_task(self._send(websocket))
        try:
            while (message := await websocket.read_message()) is not None:
                await self._take(message)
        finally:
            sending.cancel()
            websocket.close()

    async def _send(self, websocket: Any) -> None:
        from tornado.websocket import WebSocketClosedError

        while True:
            message = await self._out.get()
            try:
                await websocket.write_message(message, binary=isinstance(message, bytes))
            except WebSocketClosedError:
                self._out.put_nowait(
                    message
                )  # it goes out of order: cells come one by one, packets have numbers
                return

    async def _take(self, message: str | bytes) -> None:
        try:
            channel, frames, header, content = decode(message)
        except (ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError):
            return  # a forged or broken message of an agent's kernel says nothing
        if channel == "iopub" and header.get("msg_type") == "status":
            self._on_state(str(content.get("execution_state")))
        if channel in self._sockets:
            await self._sockets[channel].queue.put(frames)


def encode(channel: str, frames: Sequence[bytes]) -> str | bytes:
    """Put the frames of `Session.serialize`, with buffers behind them, into one websocket message."""
    begin = frames.index(DELIMITER) + 2  # after the signature
    parts = dict(zip(_PARTS, frames[begin:], strict=False))
    # They are JSON already, packed by the session.
    fields = ", ".join(f'"{name}": {bytes(part).decode()}' for name, part in parts.items())
    text = f'{{"channel": "{channel}", {fields}}}'
    buffers = frames[begin + len(_PARTS) :]
    if not buffers:
        return text
    pieces = [text.encode(), *map(bytes, buffers)]
    offsets = [4 * (len(pieces) + 1)]
    for piece in pieces[:-1]:
        offsets.append(offsets[-1] + len(piece))
    return struct.pack(f"!{len(pieces) + 1}I", len(pieces), *offsets) + b"".join(pieces)


def decode(message: str | bytes) -> tuple[str, list[bytes], Mapping[str, Any], Mapping[str, Any]]:
    """Take a websocket message apart.

    Returns:
        The channel, the frames that `Session.feed_identities` takes, the header and the content.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError: it is not a Jupyter message.
    """
    buffers: list[bytes] = []
    if isinstance(message, bytes):
        (count,) = struct.unpack_from("!I", message)
        offsets = [*struct.unpack_from(f"!{count}I", message, 4), len(message)]
        pieces = [message[begin:end] for begin, end in pairwise(offsets)]
        message, buffers = pieces[0].decode(), pieces[1:]
    found = json.loads(message)
    parts = [found[name] if name != "parent_header" else found.get(name) or {} for name in _PARTS]
    header, content = parts[0], parts[3]
    if not isinstance(header, dict) or not isinstance(content, dict):
        raise TypeError("a header and a content are due")
    return (
        str(found.get("channel")),
        [DELIMITER, b"", *(json.dumps(part).encode() for part in parts), *buffers],
        header,
        content,
    )
