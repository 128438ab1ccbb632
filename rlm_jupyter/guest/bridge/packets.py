"""A stream of frames, with whole values in the place of descriptors, over messages that may be lost.

Both ends of a `ControlBridge` use it, so it travels into an agent's kernel as source: the
standard library only. It knows neither socket nor clock. Jupyter's channels lose messages now and then, and a
gateway's websocket may break: each packet has a number, is acknowledged, and sent again where it is not; what
comes twice is passed over. A value is read from its descriptor and written to a new one piece by piece, so that
no end holds more of it in memory than the packets that are under way.

The kernel's end belongs to model code, which may send anything: numbers and sizes are bounded, and what breaks a
rule raises `MalformedFrame`.
"""

from __future__ import annotations

import collections
import os
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...values.codec import container
from . import frames as wire

if TYPE_CHECKING:
    from collections.abc import Generator

MESSAGE = "rlm_packet"
"""The type of the messages on the control channel."""
CHUNK = 1 << 18
"""Bytes of one packet, below every limit on a message that servers and sockets have by default."""
WINDOW = 32
"""Packets under way in one direction."""
MAX_VALUE_BYTES = 8 << 30
"""Bytes of the values beside one frame."""
RESEND_SECONDS = 1.0
"""After which a packet without acknowledgement is sent again; doubled each time up to `LONGEST_SECONDS`."""
LONGEST_SECONDS = 8.0
_ACK_SECONDS = 0.05  # an acknowledgement waits that long for a packet that can carry it
_ACK_PACKETS = 8  # received without one

_SIZE = struct.Struct("<Q")


@dataclass
class _Sent:
    """A packet that was not acknowledged yet."""

    chunk: bytes
    due: float
    wait: float


class Packets:
    """One end of a stream. Not thread-safe.

    Attributes:
        queued: bytes of frames that were put and are not in a packet yet.
        moved: packets that were acknowledged or arrived in order: it grows while anything goes on.
    """

    def __init__(self) -> None:
        self.queued = self.moved = 0
        self._out: collections.deque[memoryview | tuple[int, int]] = (
            collections.deque()
        )  # bytes, or fd and size
        self._offset = 0  # into the value that is first in `_out`
        self._sent: dict[int, _Sent] = {}
        self._last = 0  # number of the last packet that was sent
        self._next = 1  # number of the packet that is to be taken next
        self._come: dict[int, bytes] = {}
        self._acked = 0  # the acknowledgement that was sent last
        self._ack_due: float | None = None
        self._buffer = bytearray()
        self._fds: list[int] = []  # of the frame that is arriving
        self._ready: tuple[dict[str, Any], list[int]] | None = None
        self._parser = self._parse()
        self._need = next(self._parser)

    # -- out

    def put(self, frame: bytes, fds: list[int]) -> None:
        """Queue a frame of `wire.pack` and the values behind its descriptors, which are closed when they are read.

        Raises:
            FrameTooLarge: the values are larger than `MAX_VALUE_BYTES`; nothing is queued, the descriptors closed.
        """
        states = [os.fstat(fd) for fd in fds]
        sizes = [state.st_size if stat.S_ISREG(state.st_mode) else 0 for state in states]
        if sum(sizes) > MAX_VALUE_BYTES:
            wire.close_all(fds)
            raise wire.FrameTooLarge(too_large(sum(sizes)))
        self._out.append(memoryview(frame))
        self.queued += len(frame)
        for fd, size in zip(fds, sizes, strict=True):
            self._out.append(memoryview(_SIZE.pack(size)))
            self._out.append((fd, size))

    def due(self, now: float) -> float | None:
        """Seconds until `outgoing` has something to give; None while that is not known."""
        if self._out and len(self._sent) < WINDOW:
            return 0.0
        times = [] if self._ack_due is None else [self._ack_due]
        times += [sent.due for sent in list(self._sent.values())[:1]]
        return max(0.0, min(times) - now) if times else None

    def outgoing(self, now: float) -> list[tuple[dict[str, int], bytes]]:
        """Returns the packets that are to be sent now: the content and the chunk of each."""
        found: list[tuple[int, bytes]] = []
        oldest = next(iter(self._sent), 0)
        if oldest and (sent := self._sent[oldest]).due <= now:
            sent.wait = min(2 * sent.wait, LONGEST_SECONDS)
            sent.due = now + sent.wait
            found.append((oldest, sent.chunk))
        while len(self._sent) < WINDOW and (chunk := self._chunk()):
            self._last += 1
            self._sent[self._last] = _Sent(chunk, now + RESEND_SECONDS, RESEND_SECONDS)
            found.append((self._last, chunk))
        late = self._next - 1 - self._acked >= _ACK_PACKETS
        if not found and self._ack_due is not None and (late or self._ack_due <= now):
            found.append((0, b""))
        if found:
            self._acked, self._ack_due = self._next - 1, None
        return [({"seq": number, "ack": self._acked}, chunk) for number, chunk in found]

    def _chunk(self) -> bytes:
        """Cut the next packet's bytes from what is queued; empty if nothing is."""
        parts, room = [], CHUNK
        while room and self._out:
            first = self._out[0]
            if isinstance(first, tuple):
                fd, size = first
                piece = _read(fd, min(room, size - self._offset), self._offset)
                self._offset += len(piece)
                if self._offset == size:
                    self._out.popleft()
                    os.close(fd)
                    self._offset = 0
            else:
                piece = bytes(first[:room])
                self.queued -= len(piece)
                if len(first) > room:
                    self._out[0] = first[room:]
                else:
                    self._out.popleft()
            parts.append(piece)
            room -= len(piece)
        self.queued = max(0, self.queued)  # the sizes of values were not counted
        return b"".join(parts)

    # -- in

    def receive(self, content: dict[str, Any], chunk: bytes | memoryview, now: float) -> None:
        """Take one packet in.

        Raises:
            MalformedFrame: numbers or sizes out of bounds. The stream cannot be read on.
        """
        number, ack = content.get("seq"), content.get("ack")
        if type(number) is not int or type(ack) is not int or len(chunk) > CHUNK:
            raise wire.MalformedFrame("a packet without numbers, or too large")
        if not 0 <= ack <= self._last or not 0 <= number < self._next + WINDOW:
            raise wire.MalformedFrame("a packet with a number out of bounds")
        for acknowledged in [known for known in self._sent if known <= ack]:
            del self._sent[acknowledged]
            self.moved += 1
        if number == 0:
            if content.get("ping"):
                self._ack_due = now
            return
        if not chunk:
            raise wire.MalformedFrame("a packet with nothing in it")
        if number < self._next or number in self._come:
            self._ack_due = now  # it was sent again: its acknowledgement was lost or late
            return
        self._come[number] = bytes(chunk)

    def take(self, now: float) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next whole message with its descriptors (the caller's from now on), or None.

        Raises:
            MalformedFrame: as of `wire.Framer.take`, or values that are too large.
        """
        while True:
            while len(self._buffer) >= self._need:
                data = bytes(self._buffer[: self._need])
                del self._buffer[: self._need]
                self._need = self._parser.send(data)
                if self._ready is not None:
                    ready, self._ready = self._ready, None
                    return ready
            chunk = self._come.pop(self._next, None)
            if chunk is None:
                return None
            self._buffer += chunk
            self._next += 1
            self.moved += 1
            if self._next - 1 - self._acked >= _ACK_PACKETS:
                self._ack_due = now
            elif self._ack_due is None:
                self._ack_due = now + _ACK_SECONDS

    def _parse(self) -> Generator[int, bytes, None]:
        """Read frames: each step yields how many bytes it needs and is sent them."""
        while True:
            size, count = wire.HEADER.unpack((yield wire.HEADER.size))
            if size > wire.MAX_BYTES or count > wire.MAX_FDS:
                raise wire.MalformedFrame(f"a frame of {size} bytes and {count} values")
            message = wire.parse((yield size))
            room = MAX_VALUE_BYTES
            for _ in range(count):
                (left,) = _SIZE.unpack((yield _SIZE.size))
                room -= left
                if room < 0:
                    raise wire.MalformedFrame(f"a value of {left} bytes")
                fd = container.memory_file()
                self._fds.append(fd)
                while left:
                    data = yield min(left, CHUNK)
                    container.write_all(fd, data)
                    left -= len(data)
                container.seal(fd)
            self._ready, self._fds = (message, self._fds), []

    def close(self) -> None:
        """Forget everything and close the descriptors that are on their way."""
        wire.close_all([part[0] for part in self._out if isinstance(part, tuple)])
        wire.close_all(self._fds)
        if self._ready is not None:
            wire.close_all(self._ready[1])
        self._ready, self._fds = None, []
        for held in (self._out, self._sent, self._come, self._buffer):
            held.clear()
        self.queued = 0


def _read(fd: int, size: int, offset: int) -> bytes:
    """Read exactly `size` bytes: a file that was cut meanwhile, or cannot be read, goes on with zeros.

    What arrives is checked by whoever decodes it; the stream must stay whole.
    """
    try:
        if hasattr(os, "pread"):
            data = os.pread(fd, size, offset)
        else:  # Windows
            os.lseek(fd, offset, os.SEEK_SET)
            data = os.read(fd, size)
    except OSError:
        data = b""
    return data or bytes(size)


def too_large(size: int) -> str:
    """Returns that a value is too large for this way."""
    return (
        f"A value of {size:,} bytes is more than travels to or from a remote kernel at once ({MAX_VALUE_BYTES:,} "
        "bytes). Send parts of it, or a path that both sides can read."
    )
