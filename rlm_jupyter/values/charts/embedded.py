"""Pictures of a run for a page or a notebook, checked again where they leave the tree: a log may have been edited."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.values.charts.png import rewrite
from rlm_jupyter.values.charts.shrink import smaller

MAX_BYTES = 200_000
"""Of one picture, which the kernel was to make small."""
MAX_PIXELS = 1_300_000
"""Of one picture: more than the kernel was to draw, as labels may stand out of a figure."""


@lru_cache(maxsize=64)
def checked(png: str) -> str:
    """Returns a picture in base64 as this process writes it; an empty text if it is none, or too large.

    Args:
        png: base64, of anything.
    """
    try:
        data = base64.b64decode(png, validate=True)
        made = rewrite(data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    except (binascii.Error, ValueError, MalformedValueError):
        return ""
    return base64.b64encode(made.png).decode()


@dataclass(frozen=True)
class FittedPicture:
    """A picture as it goes into a page.

    Attributes:
        base64: the PNG file, which this process wrote.
        width: in pixels.
        height: in pixels.
    """

    base64: str
    width: int
    height: int


@lru_cache(maxsize=256)
def fitted(png: str, max_chars: int, max_width: int | None = None) -> FittedPicture | None:
    """Returns a picture in at most `max_chars` characters of base64, made smaller if it must be.

    None if it is no picture, is too large to be read, or would have to be too small to be looked at.

    Args:
        png: base64, of anything.
        max_chars: of the result in base64.
        max_width: pixels; a wider picture is made narrower.
    """
    if not png:
        return None
    try:
        data = base64.b64decode(png, validate=True)
    except (binascii.Error, ValueError):
        return None
    made = (
        smaller(data, max_bytes=max_chars // 4 * 3, max_width=max_width)
        if len(data) <= 2 * MAX_BYTES
        else None
    )
    if made is None:
        return None
    return FittedPicture(base64.b64encode(made.png).decode(), made.width, made.height)
