"""The notebook's main thread, as other threads reach it: through its event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class MainThread:
    """Runs functions on the loop that was running where this was made; at once where there was none.

    A notebook's kernel keeps its loop between cells and runs it on while a cell awaits. In terminal IPython and in
    scripts there is none, and nothing that could come back to it.
    """

    def __init__(self) -> None:
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    @property
    def has_loop(self) -> bool:
        """Whether functions can wait for their time."""
        return self._loop is not None and not self._loop.is_closed()

    def soon(self, function: Callable[[], None]) -> None:
        """Run a function on the main thread as soon as it is free."""
        if self._loop is None:
            function()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: the kernel is shutting down
            self._loop.call_soon_threadsafe(function)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Run a function on the main thread after a while; for any thread, where `has_loop`."""

        def arm() -> None:
            if self._loop is not None:
                self._loop.call_later(seconds, function)

        self.soon(arm)
