"""Streams of AWS (`application/vnd.amazon.eventstream`): bytes to frames, each checked by its two sums.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rlm_jupyter.models.openai.chat_replies import MOST_BYTES, WireError

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
_PRELUDE: Final = struct.Struct(">III")
"""Bytes of the frame and of its headers, and a sum of these two."""
_SUM: Final = struct.Struct(">I")
_LEAST: Final = _PRELUDE.size + _SUM.size
_MOST_FRAME: Final = 25 * 2**20
_MOST_HEADERS: Final = 128 * 2**10
_STRING: Final = 7
_SIZED: Final = (6, _STRING)
"""Types of headers with their size before them: bytes and texts."""
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of the other types."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        headers: those that are texts.
        payload: its bytes.
    """

    headers: dict[str, str]
    payload: bytes


class FrameReader:
    """Cuts a stream into frames; made for chunks cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._bytes = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Take more bytes; give each frame that is complete.

        Raises:
            WireError: a sum is wrong, a size cannot be, or the stream is larger than any reply.
        """
        self._bytes += len(chunk)
        if self._bytes > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
        self._rest += chunk
        start = 0
        while len(self._rest) - start >= _PRELUDE.size:
            size, head = self._sizes(start)
            if len(self._rest) - start < size:
                break
            frame = bytes(memoryview(self._rest)[start : start + size])
            start += size
            yield _frame(frame, head)
        del self._rest[:start]

    def _sizes(self, start: int) -> tuple[int, int]:
        """Returns the bytes of the frame that begins here, and of its headers."""
        size, head, total = _PRELUDE.unpack_from(self._rest, start)
        if zlib.crc32(memoryview(self._rest)[start : start + 8]) != total:
            raise WireError("a frame of the stream is damaged: the sum of its sizes is wrong")
        if head > _MOST_HEADERS or not _LEAST + head <= size <= _MOST_FRAME:
            raise WireError("a frame of the stream has a size that none can have")
        return size, head


def _frame(data: bytes, head: int) -> Frame:
    (total,) = _SUM.unpack_from(data, len(data) - _SUM.size)
    if zlib.crc32(memoryview(data)[: -_SUM.size]) != total:
        raise WireError("a frame of the stream is damaged: its sum is wrong")
    end = _PRELUDE.size + head
    return Frame(_headers(data[_PRELUDE.size : end]), data[end : -_SUM.size])


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    place = 0
    try:
        while place < len(data):
            length = data[place]
            name = data[place + 1 : place + 1 + length].decode()
            kind = data[place + 1 + length]
            place += 2 + length
            if kind in _SIZED:
                size = int.from_bytes(data[place : place + 2])
                place += 2
            else:
                size = _SIZES[kind]
            if place + size > len(data):
                raise WireError("a frame of the stream has a header without an end")
            if kind == _STRING:
                headers[name] = data[place : place + size].decode()
            place += size
    except (IndexError, KeyError, UnicodeDecodeError):
        raise WireError("a frame of the stream has a header that cannot be read") from None
    return headers
