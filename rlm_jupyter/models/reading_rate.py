"""How fast a model's server reads prompts, learnt from the time until the first sign of a reply."""

from __future__ import annotations

import threading
from typing import Final

_LEAST_SECONDS: Final = 0.05
"""A first byte that comes sooner says nothing of reading: a cache had the prompt, or it was a few words."""
_LEAST_TOKENS: Final = 16
_KEPT: Final = 0.7
"""Of earlier requests, with each new one: the newest ones count most, since other programs share the machine."""


class ReadingRate:
    """Tokens of prompts that a server reads in a second; safe to use on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = self._seconds = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """Take over one request: tokens that the server read, and seconds until its reply began."""
        if tokens < _LEAST_TOKENS or seconds < _LEAST_SECONDS:
            return
        with self._lock:
            self._tokens = self._tokens * _KEPT + tokens
            self._seconds = self._seconds * _KEPT + seconds

    @property
    def per_second(self) -> float | None:
        """Tokens a second; None as long as nothing is known."""
        with self._lock:
            return self._tokens / self._seconds if self._seconds else None
