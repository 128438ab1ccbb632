"""Pictures of a run for a page or a notebook, checked again where they leave the tree: a log may have been edited."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.values.charts.png import rewrite

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
