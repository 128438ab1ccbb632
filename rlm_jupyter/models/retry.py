"""When a request is sent again, and how long to wait before: as the server asks, wherever it does, or as we choose."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNT: Final = r"\d{1,12}(?:\.\d{1,12})?"
_UNIT: Final = r"(?:milliseconds?|msecs?|ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
_DURATION: Final = rf"(?:{_COUNT}\s{{0,3}}{_UNIT}(?:,|\s{{0,3}}and\b)?\s{{0,3}}){{1,5}}"
_PARTS: Final = re.compile(rf"({_COUNT})\s{{0,3}}({_UNIT})", re.IGNORECASE)
_WHOLE: Final = re.compile(_DURATION, re.IGNORECASE)
_ASKED: Final = re.compile(
    rf"\b(?:again|retry|retrying|wait|resets?|available)\b[^.\d]{{0,60}}({_DURATION})"
    r"|\bretry[ _-]?after[^.\d]{0,20}(\d{1,9}(?:\.\d{1,9})?)",
    re.IGNORECASE,
)
_LONGEST: Final = 100
"""Characters of a duration."""
_EPOCH: Final = 1e9
_EPOCH_MS: Final = 1e11
_RESET: Final = re.compile(r"(?:x-)?(?:[a-z]+-)?rate-?limit-(?:[a-z-]+-)?reset(?:-[a-z-]+)?")
_DRAFT: Final = re.compile(r"\b(?:t|reset)=(\d{1,9})")
"""Of the header `RateLimit` of the IETF's drafts: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and after which wait a request is sent again.

    Attributes:
        attempts: requests in all, where the server is there but busy or failing.
        malformed_attempts: requests in all for replies that are no use; each of them is billed.
        unreachable_attempts: requests in all where no connection comes about: it seldom will in seconds.
        first_wait: seconds before the second attempt; doubled each time.
        longest_backoff: the most seconds of a wait that the server did not ask for.
        longest_wait: the most seconds of a wait that the server did ask for, by `Retry-After`.
    """

    attempts: int = 5
    malformed_attempts: int = 3
    unreachable_attempts: int = 3
    first_wait: float = 0.5
    longest_backoff: float = 8.0
    longest_wait: float = 120.0

    def wait(self, failures: int, retry_after: float | None) -> float:
        """Returns the seconds to wait after that many failures (1 or more).

        What the server asked for is a lower bound; the jitter keeps agents that failed together from
        coming back together.
        """
        if retry_after is not None:
            asked = min(max(retry_after, 0.0), self.longest_wait)
            return asked + random.uniform(0.0, min(0.25, 0.1 * asked))  # noqa: S311  # no secret depends on it
        backoff = min(self.first_wait * 2.0 ** (failures - 1), self.longest_backoff)
        return backoff * random.uniform(0.75, 1.0)  # noqa: S311  # no secret depends on it


def retry_after_seconds(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read `Retry-After` (seconds, a duration or an HTTP date) or `retry-after-ms`; None if there is none to be read.

    Args:
        headers: of the response; looked up in lower case.
        now: seconds since the epoch.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        seconds = read_duration(value)
        if seconds is None:
            seconds = _until(value, time.time() if now is None else now)
        elif _is_number(value):
            seconds *= unit
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def reset_seconds(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read when a limit of the rate ends from headers such as `x-ratelimit-reset-tokens`; None if none can be read.

    Servers name several limits. If they tell which are used up, the last of these counts, otherwise the first of all.

    Args:
        headers: of the response; looked up in lower case.
        now: seconds since the epoch.
    """
    now = time.time() if now is None else now
    used_up: list[float] = []
    others: list[float] = []
    for name, value in list(headers.items())[:200]:
        seconds = _reset(value, now) if _RESET.fullmatch(name.lower()) else None
        if seconds is None:
            continue
        left = headers.get(name.lower().replace("reset-after", "remaining").replace("reset", "remaining"))
        (used_up if left is not None and left.strip() in ("0", "0.0") else others).append(seconds)
    if draft := _DRAFT.search(headers.get("ratelimit", "")[:200]):
        others.append(float(draft[1]))
    return max(used_up) if used_up else min(others, default=None)


def seconds_in_words(text: str) -> float | None:
    """Read from a sentence such as "Please try again in 1m2.5s" how long to wait; None if it does not tell."""
    found = _ASKED.search(text[:4000])
    return read_duration(found[1] or found[2]) if found else None


def read_duration(text: str) -> float | None:
    """Read seconds (``"2.5"``) or a duration (``"1m2.5s"``, ``"350ms"``, ``"2 minutes"``); None if it is neither."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if _is_number(text):
        seconds = float(text)
        return seconds if 0 <= seconds < float("inf") else None
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(count) * _unit(unit.lower()) for count, unit in _PARTS.findall(text))


def _unit(name: str) -> float:
    return _UNITS["ms"] if name.startswith(("ms", "milli")) else _UNITS[name[0]]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _reset(value: str, now: float) -> float | None:
    """Read a reset: a duration, seconds, or a moment as seconds or milliseconds since the epoch or as a date."""
    seconds = read_duration(value)
    if seconds is None:
        try:
            moment = datetime.fromisoformat(value.strip()[:40]).timestamp()
        except (ValueError, OverflowError, OSError):
            until = _until(value[:60], now)
            return until if until >= 0 else None
        return max(0.0, moment - now)
    if seconds >= _EPOCH:
        return max(0.0, (seconds / 1000 if seconds >= _EPOCH_MS else seconds) - now)
    return seconds


def _until(date: str, now: float) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return -1.0
