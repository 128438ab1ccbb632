"""Frames on a stream socket: a header, JSON, and file descriptors beside it.

Both ends use it, so it travels into an agent's kernel as source: the standard library only. The kernel's end
belongs to model code, which may write anything: all sizes are bounded, and what breaks a rule raises
`MalformedFrame` with no descriptor left open.
"""

from __future__ import annotations

import collections
import os
import socket
import struct
from array import array
from json import dumps, loads  # by name: an agent's code may overwrite those of the module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 16 << 20
"""Bytes of JSON in one frame: more than any model's context window, and parsed in well under a second."""
MAX_FDS = 64
"""Descriptors beside one frame."""
CHUNK = 1 << 18
"""Bytes read at once."""

HEADER = struct.Struct("<II")
"""Bytes of JSON, and the number of descriptors."""
_INT = array("i").itemsize
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # Linux; elsewhere set afterwards


class MalformedFrame(ValueError):  # noqa: N818 - named for what it is
    """The other end broke the rules of the wire."""


class FrameTooLarge(ValueError):  # noqa: N818
    """A message of ours is larger than a frame may be; nothing was sent."""


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors; one that is closed already is passed over."""
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def pack(message: dict[str, Any], count: int = 0) -> bytes:
    """Build the bytes of one frame that `count` descriptors go with.

    Raises:
        FrameTooLarge: more than `MAX_BYTES` of JSON, or more than `MAX_FDS` descriptors.
        TypeError: the message has no JSON form.
    """
    payload = dumps(message, separators=(",", ":")).encode()
    if len(payload) > MAX_BYTES or count > MAX_FDS:
        raise FrameTooLarge(
            f"A message of {len(payload):,} bytes with {count} descriptors is more than a frame may carry "
            f"({MAX_BYTES:,} bytes, {MAX_FDS} descriptors)."
        )
    return HEADER.pack(len(payload), count) + payload


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Read one chunk and the descriptors that came with it; empty bytes are the end.

    Raises:
        MalformedFrame: more descriptors than a frame may have, or this process cannot open more.
        OSError: as of `recvmsg`, `BlockingIOError` among them.
    """
    # not `socket.recv_fds`, which drops its `flags` (python/cpython#107898)
    data, ancillary, flags, _ = sock.recvmsg(CHUNK, socket.CMSG_SPACE(MAX_FDS * _INT), _CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += array("i", payload[: len(payload) // _INT * _INT])
    if flags & socket.MSG_CTRUNC:
        close_all(fds)
        raise MalformedFrame("descriptors were lost: too many in one frame, or too many open in this process")
    if not _CLOEXEC:
        for fd in fds:
            os.set_inheritable(fd, False)
    return data, fds


class Framer:
    """Chunks in, whole messages out. Owns the descriptors of messages that are not complete yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: collections.deque[int] = collections.deque()

    def feed(self, data: bytes, fds: Iterable[int]) -> None:
        """Add a chunk, and the descriptors that came with it, which are the framer's from now on."""
        self._buffer += data
        self._fds.extend(fds)

    def take(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next whole message with its descriptors (the caller's from now on), or None.

        Raises:
            MalformedFrame: a size out of bounds, something that is not a JSON object, or a wrong number of
                descriptors. The stream cannot be read on.
        """
        if len(self._buffer) < HEADER.size:
            if len(self._fds) > MAX_FDS or (self._fds and not self._buffer):
                raise MalformedFrame("descriptors that belong to no frame")
            return None
        size, count = HEADER.unpack_from(self._buffer)
        if size > MAX_BYTES or count > MAX_FDS or len(self._fds) > MAX_FDS:
            raise MalformedFrame(f"a frame of {size} bytes and {count} descriptors")
        end = HEADER.size + size
        if len(self._buffer) < end:
            return None
        if len(self._fds) < count:  # they come with the first byte of their frame, never later
            raise MalformedFrame(f"{count} descriptors were announced and {len(self._fds)} came")
        message = parse(bytes(self._buffer[HEADER.size : end]))
        del self._buffer[:end]
        return message, [self._fds.popleft() for _ in range(count)]

    def close(self) -> None:
        """Forget what is incomplete and close its descriptors."""
        close_all(self._fds)
        self._fds.clear()
        self._buffer.clear()


def parse(payload: bytes) -> dict[str, Any]:
    """Decode the JSON object of one frame."""
    try:
        message = loads(payload.decode())
    except (ValueError, RecursionError, MemoryError) as error:  # ValueError: also bad UTF-8 and huge integers
        raise MalformedFrame(f"no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise MalformedFrame(f"a JSON object is due, not `{type(message).__name__}`")
    return message
