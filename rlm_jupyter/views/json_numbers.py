"""Numbers in messages to a page: strict JSON has no NaN and no infinity, and JavaScript no whole numbers above 2**53.

Values of the data are not numbers here: a kernel describes them as text, with all of their digits.
"""

from __future__ import annotations

import math
from typing import Final

MOST: Final = 2**53
"""The largest whole number up to which JavaScript holds each exactly."""


def whole(value: object) -> int | None:
    """Returns a whole number within what JavaScript holds exactly; None for what is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(max(-MOST, min(value, MOST)))


def count(value: object) -> int:
    """Returns a number of things: what is not known is none."""
    return whole(value) or 0


def finite(value: object) -> float | None:
    """Returns a number with a fraction; None for what is not a number, as NaN is, or has no end."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 10**300:
        return None
    return float(value)
