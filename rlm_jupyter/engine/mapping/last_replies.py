"""The last replies of a map that is stopped: what was sent is paid for, so that its reply is waited for and kept.

The reply goes to the cache, where the same call finds it later. A request that waits for its turn, or after a refusal,
is given up at once; a second stop gives all of them up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from rlm_jupyter.engine.completions.sent_request import SentRequest
from rlm_jupyter.models.base import Completion

MOST_SECONDS = 10.0
"""A map that was stopped waits for the replies of what it sent."""

Ask = Callable[[SentRequest], Coroutine[Any, Any, Completion]]


class LastReplies:
    """Sends the requests of a map; when it is stopped, those under way may end."""

    def __init__(self) -> None:
        self._until: float | None = None

    async def reply(self, ask: Ask) -> Completion:
        """Returns the reply to a request.

        Args:
            ask: sends it, and tells when it is sent.

        Raises:
            CancelledError: the map was stopped; the reply is in the cache, if it came in time.
        """
        if self._until is not None:
            raise asyncio.CancelledError
        sent = SentRequest()
        task = asyncio.ensure_future(ask(sent))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._let_end(task, sent)
            raise

    async def _let_end(self, task: asyncio.Future[Completion], sent: SentRequest) -> None:
        now = time.monotonic()
        if self._until is None:
            self._until = now + MOST_SECONDS
        try:
            if sent.under_way and now < self._until:
                await asyncio.wait({task}, timeout=self._until - now)
        finally:  # also when it is stopped once more
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # nobody else looks at it


async def end_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their ends; whoever cancels this meanwhile cancels them once more."""
    for task in tasks:
        task.cancel()
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
