"""PNG files of agents, written anew: what reaches a browser or another decoder is a file that this process made.

Only what makes the picture is taken over: its sides, its kind of pixels, its palette, and the stream of pixels, which
is inflated under limits, checked row by row, and deflated again. Profiles, texts, animations and everything else are
left out. By `zlib` alone: an imaging library would bring the decoders of forty formats into the notebook's process, and
would have to be installed; nothing here interprets more than a header of 13 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from rlm_jupyter.errors import MalformedValueError

__all__ = ["Picture", "rewrite"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 40_000_000
"""Pixels of a picture; a photograph has 12 to 24 million."""
MAX_SIDE = 65_000
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a sample that a kind of pixels may have."""
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE, _COLOR, _GREY = 3, 2, 0
_FILTERS = 4
_CHUNK = 1 << 20
_MAX_CHUNKS = 100_000
_OVERHEAD = 12
"""Bytes of a chunk beside its body."""
_HEADER = struct.Struct(">IIBBBBB")


@dataclass(frozen=True)
class Picture:
    """A picture that is safe to show.

    Attributes:
        png: the file, written by this process.
        width: in pixels.
        height: in pixels.
    """

    png: bytes
    width: int
    height: int


def rewrite(data: bytes, *, max_bytes: int, max_pixels: int = MAX_PIXELS) -> Picture:
    """Write a PNG file anew that came from an agent.

    Args:
        data: the file.
        max_bytes: of the new file.
        max_pixels: of the picture.

    Raises:
        MalformedValueError: it is not a whole PNG file, or too large.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != _HEADER.size:
        raise MalformedValueError("A picture does not begin with the header of a PNG file.")
    width, height, depth, kind, *methods = _HEADER.unpack(chunks[0][1])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= max_pixels):
        raise MalformedValueError(
            f"A picture of {width:,} x {height:,} pixels is too large; the most is {max_pixels:,} pixels."
        )
    if depth not in _DEPTHS.get(kind, ()) or any(methods):  # the last of the methods is interlacing
        raise MalformedValueError("A picture has a kind of pixels that no plotting library writes.")
    stride = 1 + (width * _SAMPLES[kind] * depth + 7) // 8
    colors = _colors(chunks, kind, depth)
    pixels = _pixels([body for name, body in chunks if name == b"IDAT"], stride, height, max_bytes)
    head, end = _chunk(b"IHDR", chunks[0][1]), _chunk(b"IEND", b"")
    middle = b"".join(_chunk(name, body) for name, body in (*colors, (b"IDAT", pixels)))
    return Picture(SIGNATURE + head + middle + end, width, height)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Iterate over the chunks of a file up to its end; sums are not compared, as all are made anew."""
    if data[: len(SIGNATURE)] != SIGNATURE:
        raise MalformedValueError("A picture is not a PNG file.")
    view, position, count = memoryview(data), len(SIGNATURE), 0
    while position + _OVERHEAD <= len(data):
        length = int.from_bytes(view[position : position + 4], "big")
        name = bytes(view[position + 4 : position + 8])
        if position + _OVERHEAD + length > len(data) or (count := count + 1) > _MAX_CHUNKS:
            break
        yield name, view[position + 8 : position + 8 + length]
        if name == b"IEND":
            return
        position += _OVERHEAD + length
    raise MalformedValueError("A picture is cut short.")


def _colors(chunks: list[tuple[bytes, memoryview]], kind: int, depth: int) -> list[tuple[bytes, bytes]]:
    """Returns the palette and the transparency, in the form in which no pixel can point beyond them."""
    found = {name: bytes(body) for name, body in chunks if name in (b"PLTE", b"tRNS")}
    palette, clear = found.get(b"PLTE", b""), found.get(b"tRNS", b"")
    if kind == _PALETTE:
        most = 1 << depth
        if not palette or len(palette) % 3 or len(palette) > 3 * most or len(clear) > most:
            raise MalformedValueError("A picture has no valid palette.")
        whole = [(b"PLTE", palette.ljust(3 * most, b"\0"))]
        return whole + ([(b"tRNS", clear)] if clear else [])
    expected = {_GREY: 2, _COLOR: 6}.get(kind)
    return [(b"tRNS", clear)] if clear and len(clear) == expected else []


def _pixels(parts: list[memoryview], stride: int, height: int, max_bytes: int) -> bytes:
    """Inflate the pixels, check the first byte of each row, and deflate them again, piece by piece."""
    inflate, deflate = zlib.decompressobj(), zlib.compressobj(6)
    expected, done, size = stride * height, 0, 0
    made: list[bytes] = []
    for part in parts:
        waiting: bytes | memoryview = part
        while waiting and not inflate.eof:
            try:
                piece = inflate.decompress(waiting, min(_CHUNK, expected - done + 1))
            except zlib.error:
                raise MalformedValueError("The pixels of a picture cannot be read.") from None
            waiting = inflate.unconsumed_tail
            rows = piece[-done % stride :: stride]
            if done + len(piece) > expected or (rows and max(rows) > _FILTERS):
                raise MalformedValueError("A picture has other pixels than its header says.")
            done += len(piece)
            made.append(deflate.compress(piece))
            size += len(made[-1])
            if size > max_bytes:
                raise MalformedValueError(f"A picture takes more than {max_bytes:,} bytes.")
    if done != expected:
        raise MalformedValueError("A picture has other pixels than its header says.")
    made.append(deflate.flush())
    if size + len(made[-1]) > max_bytes:
        raise MalformedValueError(f"A picture takes more than {max_bytes:,} bytes.")
    return b"".join(made)


def _chunk(name: bytes, body: bytes | memoryview) -> bytes:
    crc = zlib.crc32(body, zlib.crc32(name))
    return struct.pack(">I", len(body)) + name + bytes(body) + struct.pack(">I", crc)
