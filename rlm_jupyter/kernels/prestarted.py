"""A few kernels that have started before anybody asks, so that the next sub-agent need not wait for a fork."""

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


class ReadyKernels:
    """Keeps processes of the kind that was asked for last. Belongs to the pool's event loop.

    Args:
        number: how many to keep.
        busy: tells whether somebody is waiting for a start; nothing is started ahead then.
    """

    def __init__(self, number: int, busy: Callable[[], bool]) -> None:
        self._number, self._busy = number, busy
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

    def fill(self, kind: Hashable, start: Callable[[], Awaitable[KernelProcess]]) -> None:
        """Begin to start processes of a kind in the background; those of another kind are closed."""
        if not self._number:
            return
        if kind != self._kind:
            self.drop()
            self._kind = kind
        loop = asyncio.get_running_loop()
        self._asked = loop.time()
        if self._filling is None or self._filling.done():
            self._filling = loop.create_task(self._fill(start))

    async def _fill(self, start: Callable[[], Awaitable[KernelProcess]]) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while len(self._stock) < self._number:
                while self._busy() or clock() < self._asked + REST:
                    await asyncio.sleep(PAUSE)
                self._stock.append(await start())
        except Exception as error:  # who asks next starts one for himself, and hears why it fails
            log.debug("No kernel is kept ready: %s", error)

    def drop(self, kind: Hashable = None) -> None:
        """Close what is kept, in the background; given a kind, only if it is that."""
        if kind is not None and kind != self._kind:
            return
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        self._kind = None
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
