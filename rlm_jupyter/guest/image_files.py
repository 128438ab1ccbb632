"""Images that an agent's code sends to a model: pictures, figures, arrays and files, all made PNG files of some size.

Travels as source into kernels: standard library only at import. An imaging library is imported only for what needs
one: another format than PNG, and pictures that must be made smaller.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

from ..values.codec import figures
from ..values.codec.charts import ChartParts
from .handed_files import read_handed, why_not_text

MOST_IMAGES = 20
"""Images of one prompt; with more, Anthropic takes only smaller ones."""
MOST_PIXELS = 2_400_000
"""Of one image; models see no more: the largest of OpenAI's and Anthropic's sizes have 1.6 and 2.4 million."""
MOST_SIDE = 8_000
"""Pixels of a side; Anthropic refuses longer ones."""
MOST_BYTES = 3_900_000
"""Of one image; in base64 they are the 5 MiB that Anthropic takes."""
MOST_TOGETHER = 20_000_000
"""Bytes of all images of a prompt; providers take requests of 32 MB."""
MOST_FILE = 200_000_000
"""Bytes of a file that is read."""
_SHRINKS = 6
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_WITH_COLORS = 3  # dimensions of an array
_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The kind of a PNG file's pixels, by the number of values a pixel has."""
_WHAT = (
    "an image of Pillow, a figure of matplotlib, an array of `uint8` (height x width, or height x width x 3 or 4), the "
    "bytes of an image file, a `pathlib.Path` or an open file"
)


def encode_images(images: Any) -> list[bytes]:
    """Returns the images of a prompt as PNG files.

    Args:
        images: one or a list of some: of Pillow, figures of matplotlib, arrays, bytes of files, paths, open files.

    Raises:
        TypeError: one is nothing of that kind, or an address.
        ValueError: there are too many, or one cannot be read.
    """
    items = list(images) if isinstance(images, (list, tuple)) else [images]
    if len(items) > MOST_IMAGES:
        raise ValueError(
            f"`images` has {len(items):,} images; the most of one prompt is {MOST_IMAGES}. Send them in parts, by "
            "`llm_query_batched(prompts, images=[...])`."
        )
    most = min(MOST_BYTES, MOST_TOGETHER // max(1, len(items)))
    return [_encode(item, f"images[{number}]", most) for number, item in enumerate(items)]


def _encode(item: Any, name: str, most: int) -> bytes:
    png = _png_of(item, name)
    for shrink in range(_SHRINKS):
        width, height, interlaced = _header(png, name)
        pixels = min(MOST_PIXELS, width * height >> shrink)
        if (
            width * height <= pixels
            and max(width, height) <= MOST_SIDE
            and len(png) <= most
            and not interlaced
        ):
            return png
        png = _smaller(png, pixels, name)
        if len(png) <= most:
            return png
    raise ValueError(f"`{name}` is too large: its file takes more than {most:,} bytes at any size.")


def _png_of(item: Any, name: str) -> bytes:
    """Returns any image as a PNG file, whatever its size."""
    if isinstance(item, str):
        raise TypeError(why_not_text(item, name, thing="image", wanted=_WHAT))
    if isinstance(item, ChartParts) and item.png is not None:
        return item.png
    if (figure := figures.find(item)) is not None:
        if figure.library == "PIL":
            return _png_of_image(figure.target, name)
        png = figures.draw(figure, MOST_PIXELS)
        if png is None:
            raise TypeError(
                f"`{name}` is a figure of {figure.library}, which cannot be drawn here: draw it by matplotlib."
            )
        return png
    if _is_array(item):
        return _png_of_array(item, name)
    data = bytes(read_handed(item, name, most=MOST_FILE, wanted=_WHAT))
    return data if data[: len(_SIGNATURE)] == _SIGNATURE else _converted(data, name)


# ---- by Pillow


def _converted(data: bytes, name: str) -> bytes:
    """Returns an image file of another format as PNG, turned as its camera says."""
    pil, transpose = _pillow(name)
    try:
        with pil.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (4_000, 4_000))  # a photograph is decoded small at once
            return _saved(transpose(opened), MOST_PIXELS)
    except Exception as error:
        raise ValueError(f"`{name}` cannot be read as an image: {error}") from None


def _png_of_image(image: Any, name: str) -> bytes:
    _, transpose = _pillow(name)
    try:
        return _saved(transpose(image), MOST_PIXELS)
    except Exception as error:
        raise ValueError(f"`{name}` cannot be written as a PNG file: {error}") from None


def _smaller(png: bytes, pixels: int, name: str) -> bytes:
    pil, _ = _pillow(name)
    try:
        with pil.open(io.BytesIO(png), formats=["PNG"]) as opened:
            return _saved(opened, pixels)
    except Exception as error:
        raise ValueError(f"`{name}` cannot be read as an image: {error}") from None


def _saved(image: Any, pixels: int) -> bytes:
    """Returns an image of Pillow as a PNG file of at most so many pixels."""
    plain = image if image.mode in ("1", "L", "LA", "RGB", "RGBA") else image.convert(_mode_for(image))
    scale = min(
        1.0, (pixels / (plain.width * plain.height)) ** 0.5, MOST_SIDE / max(plain.width, plain.height)
    )
    if scale < 1.0:
        plain = plain.convert("L") if plain.mode == "1" else plain
        plain = plain.resize((max(1, int(plain.width * scale)), max(1, int(plain.height * scale))))
    stream = io.BytesIO()
    plain.save(stream, format="PNG", icc_profile=None, exif=b"")
    return stream.getvalue()


def _mode_for(image: Any) -> str:
    return "RGBA" if image.mode in ("PA", "RGBa", "La") or "transparency" in image.info else "RGB"


def _pillow(name: str) -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ValueError(
            f"`{name}` must be read by Pillow, which is not installed here: give a PNG file of at most "
            f"{MOST_PIXELS:,} pixels, or an array."
        ) from None
    return Image, ImageOps.exif_transpose


# ---- by the standard library


def _header(png: bytes, name: str) -> tuple[int, int, bool]:
    """Returns the width and height of a PNG file, and whether its pixels are in an order that few decoders need."""
    if png[: len(_SIGNATURE)] != _SIGNATURE or png[12:16] != b"IHDR" or len(png) < 16 + _HEADER.size:
        raise ValueError(f"`{name}` is not a whole PNG file.")
    width, height, _, _, *methods = _HEADER.unpack_from(png, 16)
    if not width or not height:
        raise ValueError(f"`{name}` has no pixels.")
    return width, height, bool(methods[-1])


def _is_array(item: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(item, numpy.ndarray)


def _png_of_array(array: Any, name: str) -> bytes:
    numpy = sys.modules["numpy"]
    values = array.shape[2] if array.ndim == _WITH_COLORS else 1
    if array.ndim not in (2, _WITH_COLORS) or values not in _KINDS or not array.size:
        raise ValueError(
            f"`{name}` is an array of shape {array.shape}; an image is height x width (x 3 or 4)."
        )
    if array.dtype == bool:
        array = array.astype(numpy.uint8) * 255
    if array.dtype != numpy.uint8:
        raise TypeError(
            f"`{name}` is an array of `{array.dtype}`: scale it to 0 to 255 and give it as `uint8`, such as "
            "`(a * 255).astype('uint8')` for values from 0 to 1."
        )
    step = _step(array.shape[0], array.shape[1])
    if step > 1:  # the mean of each square of pixels
        height, width = (side // step or 1 for side in array.shape[:2])
        cut = array[: height * step, : width * step].reshape(
            height, -1, width, min(step, array.shape[1]), values
        )
        array = cut.mean(axis=(1, 3)).astype(numpy.uint8)
    height, width = array.shape[:2]
    rows = numpy.zeros((height, 1 + width * values), numpy.uint8)
    rows[:, 1:] = array.reshape(height, -1)
    head = _HEADER.pack(width, height, 8, _KINDS[values], 0, 0, 0)
    return _SIGNATURE + b"".join(
        _chunk(kind, body)
        for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    )


def _step(height: int, width: int) -> int:
    step = 1
    while (height // step) * (width // step) > MOST_PIXELS or max(height, width) // step > MOST_SIDE:
        step += 1
    return step


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
