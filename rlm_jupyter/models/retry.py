"""When a request is sent again, and how long to wait before."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        """Give the seconds to wait after that many failures (1 or more).

        What the server asked for is a lower bound; the jitter keeps agents that failed together from
        coming back together.
        """
        if retry_after is not None:
            asked = min(max(retry_after, 0.0), self.longest_wait)
            return asked + random.uniform(0.0, min(0.25, 0.1 * asked))  # noqa: S311  # no secret depends on it
        backoff = min(self.first_wait * 2.0 ** (failures - 1), self.longest_backoff)
        return backoff * random.uniform(0.75, 1.0)  # noqa: S311  # no secret depends on it


def retry_after_seconds(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read `Retry-After` (seconds or an HTTP date) or `retry-after-ms`; None where there is none to be read.

    Args:
        headers: of the response; looked up in lower case.
        now: seconds since the epoch.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _until(value, time.time() if now is None else now)
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _until(date: str, now: float) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return -1.0
