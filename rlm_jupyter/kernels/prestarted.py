"""A few kernels that have started before anybody asks, so that the next sub-agent need not wait for a fork.

How many follows what was asked for: a batch of sub-agents is often followed by another one of that width. While
nobody asks for any, the number goes back to what it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.kernels.launch.kernel_process import KernelProcess

log = logging.getLogger(__name__)

PAUSE = 0.05
"""Seconds between looks whether agents that wait for a kernel themselves have been served."""
REST = 0.15
"""Seconds after the last kernel was asked for: what its agent does first shall not share the processor with starts."""
CALM = 10.0
"""Seconds without a request after which the number goes back: a turn of a model is mostly shorter."""


class ReadyKernels:
    """Keeps processes of the kind that was asked for last. Belongs to the pool's event loop.

    Args:
        number: how many to keep; none are ever kept if it is 0.
        busy: tells whether somebody is waiting for a start; nothing is started ahead then.
        most: tells how many may be kept after as many were asked for at once.
    """

    def __init__(self, number: int, busy: Callable[[], bool], most: Callable[[], int] = lambda: 0) -> None:
        self._number, self._busy, self._most = number, busy, most
        self._width = 0
        self._calm: asyncio.TimerHandle | None = None
        self._kind: Hashable = None
        self._stock: list[KernelProcess] = []
        self._filling: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._asked = 0.0

    def take(self, kind: Hashable) -> KernelProcess | None:
        """Returns a process that lives and is of that kind, if there is one."""
        if kind != self._kind:
            return None
        while self._stock:
            process = self._stock.pop(0)
            if not process.died.done():
                return process
            self._close_soon(process)
        return None

    def fill(self, kind: Hashable, start: Callable[[], Awaitable[KernelProcess]], width: int = 1) -> None:
        """Begin to start processes in the background.

        Args:
            kind: of the processes; those of another kind are closed.
            start: starts one.
            width: how many were asked for at once.
        """
        if not self._number:
            return
        if kind != self._kind:
            self.drop()
            self._kind = kind
        loop = asyncio.get_running_loop()
        self._asked = loop.time()
        self._width = max(self._width, width)
        if self._calm is not None:
            self._calm.cancel()
        self._calm = loop.call_later(CALM, self._shrink)
        if self._filling is None or self._filling.done():
            self._filling = loop.create_task(self._fill(start))

    async def _fill(self, start: Callable[[], Awaitable[KernelProcess]]) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while len(self._stock) < self._wanted():
                while self._busy() or clock() < self._asked + REST:
                    await asyncio.sleep(PAUSE)
                self._stock.append(await start())
        except Exception as error:  # who asks next starts one for himself, and hears why it fails
            log.debug("No kernel is kept ready: %s", error)

    def _wanted(self) -> int:
        return max(self._number, min(self._width, self._most()))

    def _shrink(self) -> None:
        """Close what is above the number that is always kept."""
        self._width = 0
        while len(self._stock) > self._number:
            self._close_soon(self._stock.pop())

    def drop(self, kind: Hashable = None) -> None:
        """Close what is kept, in the background; given a kind, only if it is that."""
        if kind is not None and kind != self._kind:
            return
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None
        self._kind, self._width = None, 0
        while self._stock:
            self._close_soon(self._stock.pop())

    def _close_soon(self, process: KernelProcess) -> None:
        task = asyncio.get_running_loop().create_task(_close(process))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close what is kept, and wait until it is gone."""
        filling = self._filling
        self.drop()
        if filling is not None:
            await asyncio.gather(filling, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)


async def _close(process: KernelProcess) -> None:
    try:
        await process.close()
    except Exception as error:  # nobody waits for this task
        log.warning("A kernel that was kept ready did not end as it should: %s", error)
