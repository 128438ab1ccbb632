"""How long a server may be silent over one request: longer before its reply than within it, if it is slow to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rlm_jupyter.models.openai.chat_replies import Reply

_EXACT: Final = 0.01
"""How exactly the time is kept: pieces of a reply come by the hundred, and each would set a timer."""


class Silence:
    """A time-out that starts anew with each sign of life; use it as an async context manager.

    Args:
        seconds: the most seconds of silence.
        reply: what came; the longer time ends with its first text or thought, since some servers send an empty
            beginning before they read the prompt.
        on_begin: called once with the first text or thought.

    Attributes:
        longest: seconds of silence that are allowed before the reply.
    """

    def __init__(self, seconds: float, reply: Reply, on_begin: Callable[[], None] | None) -> None:
        self._seconds = self.longest = seconds
        self._reply = reply
        self._on_begin = on_begin
        self._tokens = 0
        self._begun = False
        self._timeout: asyncio.Timeout | None = None
        self._end = 0.0

    def allow(self, seconds: float, tokens: int) -> None:
        """Allow more silence before the reply, to a server that reads a prompt of so many tokens; before it is sent."""
        self.longest = self._seconds + seconds
        self._tokens = tokens

    @property
    def patient(self) -> bool:
        """Whether nothing of the reply has come, of a server that was given longer: it may still be at work."""
        return self.longest > self._seconds and not self._begun

    @property
    def told(self) -> str:
        """What is said of a server that was silent for too long."""
        return f"silent for {self.longest:,.0f} s after a prompt of about {self._tokens:,} tokens"

    def heard(self) -> None:
        """Note a sign of life."""
        begun = bool(self._reply.pieces) or self._reply.thoughts
        if begun and not self._begun:
            self._begun = True
            if self._on_begin is not None:
                self._on_begin()
        if self._timeout is not None:
            seconds = self._seconds if self._begun else self.longest
            end = asyncio.get_running_loop().time() + seconds
            if not self._end <= end < self._end + seconds * _EXACT:
                self._end = end
                self._timeout.reschedule(end)

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self.longest)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timeout is not None
        await self._timeout.__aexit__(kind, error, trace)
