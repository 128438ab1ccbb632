"""The watch over what kernels use up: memory, processes, disk, processor time.

A kernel limits itself first (`memory_quota`, `landlock_seccomp`),
so that honest code gets a `MemoryError` or an `OSError`; but
those limits hold for one process each, not for all that a kernel starts, root is exempt from some, and code may
raise its own. This looks from outside, a few times a second, and only at kernels at work more often than that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.confinement import process_usage
from rlm_jupyter.kernels.limited_kernel import BoundedKernel

TICK = 0.25
"""Seconds between looks at kernels that run a cell."""
IDLE_TICKS = 8
"""Looks after which the others are looked at too: what a cell started may go on."""
_DISK_SHARE = 20
"""Counting files may take one part in so many of the time."""

_MOST_OF_CHECKPOINT = 2
"""Processes: a checkpoint, and what it forks in passing when a kernel is made of it."""
_CPU_OF_CHECKPOINT = 10.0
"""Seconds of processor time; what the agent's code hooks on forks runs in a checkpoint too, and may not end."""

_log = logging.getLogger(__name__)
_Measured = list[tuple[BoundedKernel, process_usage.Usage, int | None]]


class Watch:
    """Looks at kernels while there are any. Belongs to the pool's event loop.

    Args:
        kernels: gives those that live.
    """

    def __init__(self, kernels: Callable[[], Iterable[BoundedKernel]]) -> None:
        self._kernels = kernels
        self._task: asyncio.Task[None] | None = None
        self._disk_due = 0.0

    def begin(self) -> None:
        """Watch from now on, until there are no more kernels."""
        if process_usage.possible() and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Watch no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        ticks = 0
        while kernels := list(self._kernels()):
            await asyncio.sleep(TICK)
            ticks += 1
            due = [k for k in kernels if k.watched and (k.busy or ticks % IDLE_TICKS == 0)]
            if not due:
                continue
            targets = [(kernel, kernel.pid, kernel.most_processes) for kernel in due]
            for kernel, used, disk in await in_thread(self._measure, targets):
                if kernel.watched:
                    kernel.judge(used, disk)
            if ticks % IDLE_TICKS == 0:
                for kernel in due:
                    if kernel.pid is not None and (pids := kernel.checkpoints.pids):
                        kernel.judge_checkpoints(*await in_thread(_measure_checkpoints, kernel.pid, pids))

    def _measure(self, targets: list[tuple[BoundedKernel, int | None, int]]) -> _Measured:
        """Measure kernels, on a worker thread."""
        measured: _Measured = []
        begin = time.monotonic()
        look = begin >= self._disk_due
        for kernel, pid, most in targets:
            if pid is None:
                continue
            used = process_usage.measure(pid, most)
            if kernel.needs_exact_memory(used):
                used = replace(used, memory=process_usage.exact_memory(pid, most))
            disk = process_usage.disk_used(kernel.directories) if look and kernel.limits.get("disk") else None
            measured.append((kernel, used, disk))
        if look:
            now = time.monotonic()
            self._disk_due = now + _DISK_SHARE * (now - begin)
        return measured


def _measure_checkpoints(pid: int, checkpoints: list[int]) -> tuple[int, list[int]]:
    """Returns the bytes that a kernel's checkpoints hold beside it, and those of them that do anything but wait."""
    restless = []
    for one in checkpoints:
        used = process_usage.measure(one, _MOST_OF_CHECKPOINT)
        if used.processes > _MOST_OF_CHECKPOINT or used.cpu > _CPU_OF_CHECKPOINT:
            restless.append(one)
    return process_usage.held_by_copies(pid, checkpoints), restless
