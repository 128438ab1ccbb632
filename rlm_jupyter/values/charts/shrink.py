"""PNG files made smaller: fewer colours first, then fewer pixels, until a picture fits.

For files that `png.rewrite` has written, with numpy: no imaging library is needed, and none reads what an agent wrote.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.values.charts.png import SIGNATURE, Picture, rewrite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

MAX_PIXELS = 4_000_000
"""Of a picture that is decoded here: a second of work at most."""
_LEAST_WIDTH = 60
_SCALES = (1.0, 0.75, 0.5, 0.36, 0.25, 0.18, 0.12)
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
_COLORS = 256
_HOPELESS = 2
"""How many times a picture may be too large by an estimate for its size to be tried."""
_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4


def shrink(png: bytes, *, max_bytes: int, max_width: int | None = None) -> Picture | None:
    """Returns a picture in at most `max_bytes`, smaller where it must be; None if no size fits.

    Args:
        png: the file, of anything.
        max_bytes: of the new file.
        max_width: pixels; a wider picture is made narrower.

    Raises:
        MalformedValueError: it is not a PNG file, or has more than `MAX_PIXELS`.
    """
    whole = rewrite(png, max_bytes=4 * MAX_PIXELS, max_pixels=MAX_PIXELS)
    if len(whole.png) <= max_bytes and (max_width is None or whole.width <= max_width):
        return whole
    pixels = _decode(whole.png)
    width = whole.width
    for scale in _SCALES:
        if len(whole.png) * scale**2 > _HOPELESS * max_bytes:
            continue
        wide = min(round(width * scale), max_width or width)
        if wide < min(_LEAST_WIDTH, width):
            break
        made = _encode(_resized(pixels, wide))
        if len(made.png) <= max_bytes:
            return made
    return None


def compact(picture: Picture) -> Picture:
    """Returns a picture of the same size and look in fewer bytes, if few enough colours make it up; else itself.

    Later ones that `shrink` makes of it take a tenth of the time, as no filter of rows is to be undone.
    """
    made = _encode(_decode(picture.png), exact=True) if picture.width * picture.height <= MAX_PIXELS else None
    return picture if made is None or len(made.png) >= len(picture.png) else made


def _decode(png: bytes) -> Pixels:
    """Returns the pixels of a file that `rewrite` wrote: height x width x 4, red, green, blue, alpha."""
    import numpy as np

    chunks: dict[bytes, bytes] = {}
    position = len(SIGNATURE)
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        name = png[position + 4 : position + 8]
        chunks[name] = chunks.get(name, b"") + png[position + 8 : position + 8 + length]
        position += 12 + length
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    samples = _SAMPLES[kind]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    lines = _unfiltered(rows, max(1, samples * depth // 8))
    if depth == 16:  # noqa: PLR2004  the high bytes are enough for a smaller picture
        lines = lines[:, ::2]
    elif depth < 8:  # noqa: PLR2004
        bits = np.unpackbits(lines, axis=1).reshape(height, -1, depth)
        lines = np.packbits(bits, axis=2)[:, :, 0] >> (8 - depth)
        if kind != _PALETTE:
            lines = lines * (255 // ((1 << depth) - 1))
    values = lines[:, : width * samples].reshape(height, width, samples)
    return _colored(values, kind, chunks)


def _colored(values: Pixels, kind: int, chunks: dict[bytes, bytes]) -> Pixels:
    """Returns samples of any kind as red, green, blue, alpha."""
    import numpy as np

    height, width, samples = values.shape
    made = np.full((height, width, 4), 255, np.uint8)
    if kind == _PALETTE:
        palette = np.full((_COLORS, 4), 255, np.uint8)
        colors = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        palette[: len(colors), :3] = colors
        clear = np.frombuffer(chunks.get(b"tRNS", b""), np.uint8)
        palette[: len(clear), 3] = clear
        made[:] = palette[values[:, :, 0]]
    else:
        made[:, :, :3] = values[:, :, :3] if samples > 2 else values[:, :, :1]  # noqa: PLR2004
        if samples in (2, 4):
            made[:, :, 3] = values[:, :, -1]
    return made


def _unfiltered(rows: Pixels, step: int) -> Pixels:
    """Undo the filters of a PNG file's rows; `step` is the bytes of a pixel."""
    import numpy as np

    height, stride = rows.shape[0], rows.shape[1] - 1
    made = np.zeros((height + 1, stride), np.uint8)
    for number in range(height):
        kind, raw, above = int(rows[number, 0]), rows[number, 1:], made[number]
        line = made[number + 1]
        if kind == _SUB:
            for channel in range(step):
                np.add.accumulate(raw[channel::step], out=line[channel::step], dtype=np.uint8)
        elif kind == _UP:
            np.add(raw, above, out=line)
        elif kind in (_AVERAGE, _PAETH):
            undo = _average if kind == _AVERAGE else _paeth
            line[:] = np.frombuffer(undo(raw.tobytes(), above.tobytes(), step), np.uint8)
        else:
            line[:] = raw
    return made[1:]


def _average(raw: bytes, above: bytes, step: int) -> bytearray:
    line = bytearray(step) + bytearray(raw)
    for at, up in enumerate(above):
        line[at + step] = (line[at + step] + ((line[at] + up) >> 1)) & 255
    return line[step:]


def _paeth(raw: bytes, above: bytes, step: int) -> bytearray:
    """Undo the filter of Paeth.

    A pixel that is stored as zeros, below two equal ones, is the one at its left: most of a chart. Only the others are
    reckoned one by one.
    """
    import numpy as np

    stored = np.frombuffer(raw, np.uint8).reshape(-1, step)
    upper = np.frombuffer(bytes(step) + above, np.uint8).reshape(-1, step)
    odd = np.flatnonzero((stored != 0).any(axis=1) | (upper[1:] != upper[:-1]).any(axis=1))
    line, before = bytearray(step) + bytearray(raw), bytes(step) + above
    done = 0
    for pixel in odd.tolist():
        at = pixel * step
        line[done + step : at + step] = line[done : done + step] * (pixel - done // step)
        for byte in range(at, at + step):
            left, up, corner = line[byte], above[byte], before[byte]
            to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            near = up if to_up <= to_corner else corner
            if to_left <= to_up and to_left <= to_corner:
                near = left
            line[byte + step] = (line[byte + step] + near) & 255
        done = at + step
    line[done + step :] = line[done : done + step] * ((len(raw) - done) // step)
    return line[step:]


def _resized(pixels: Pixels, width: int) -> Pixels:
    """Returns a smaller picture, each of its pixels the mean of those that it stands for."""
    import numpy as np

    if width >= pixels.shape[1]:
        return pixels
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    values: NDArray[np.float64] = pixels.astype(np.float64)
    values[:, :, :3] *= values[:, :, 3:] / 255  # else what cannot be seen would colour its neighbours
    for axis, length in ((0, height), (1, width)):
        edges = np.arange(length) * values.shape[axis] // length
        counts = np.diff(np.append(edges, values.shape[axis])).astype(np.float64)
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        values = np.add.reduceat(values, edges, axis=axis) / counts.reshape(shape)
    alpha = values[:, :, 3:]
    values[:, :, :3] = np.divide(
        values[:, :, :3] * 255, alpha, out=np.zeros_like(values[:, :, :3]), where=alpha > 0
    )
    made: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return made


def _encode(pixels: Pixels, *, exact: bool = False) -> Picture:
    """Write pixels with a palette if few enough colours say the same, else with 32 shades of each colour.

    Args:
        pixels: height x width x 4.
        exact: look the same to the eye: five bits of a colour are the least.
    """
    import numpy as np

    height, width = pixels.shape[:2]
    for bits in (8, 6, 5) if exact else (8, 5, 4):
        shades = _shades(pixels, bits)
        packed = shades.reshape(-1, 4).copy().view(np.uint32)[:, 0]
        colors, places = np.unique(packed, return_inverse=True)
        if len(colors) <= _COLORS:
            table: Any = colors.view(np.uint8).reshape(-1, 4)
            rows = np.zeros((height, width + 1), np.uint8)
            rows[:, 1:] = places.reshape(height, width)
            extra = [(b"PLTE", table[:, :3].tobytes())]
            if (table[:, 3] < 255).any():  # noqa: PLR2004  not opaque
                extra.append((b"tRNS", table[:, 3].tobytes()))
            return _file(width, height, _PALETTE, extra, rows.tobytes())
    shades = _shades(pixels, 5)
    kind, samples = (2, 3) if (shades[:, :, 3] == 255).all() else (6, 4)  # noqa: PLR2004
    lines = np.ascontiguousarray(shades[:, :, :samples])
    rows = np.full((height, 1 + width * samples), _SUB, np.uint8)
    rows[:, 1:] = np.diff(lines, axis=1, prepend=np.zeros_like(lines[:, :1])).reshape(height, -1)
    return _file(width, height, kind, [], rows.tobytes())


def _shades(pixels: Pixels, bits: int) -> Pixels:
    """Returns pixels of which each sample has at most that many bits, black and white among them."""
    import numpy as np

    if bits == 8:  # noqa: PLR2004
        return pixels
    most = (1 << bits) - 1
    steps = np.rint(np.arange(256) * most / 255) * 255 / most
    made: Pixels = np.rint(steps).astype(np.uint8)[pixels]
    return made


def _file(width: int, height: int, kind: int, extra: list[tuple[bytes, bytes]], rows: bytes) -> Picture:
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
        for name, data in chunks
    )
    return Picture(SIGNATURE + body, width, height)


def smaller(png: bytes, *, max_bytes: int, max_width: int | None = None) -> Picture | None:
    """Returns what `shrink` does, and None also for what is not a picture, or is too large to be read."""
    try:
        return shrink(png, max_bytes=max_bytes, max_width=max_width)
    except MalformedValueError:
        return None
