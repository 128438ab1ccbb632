"""The newest checkpoints of one kernel, by the turns after which they were taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.kernels.checkpoints.checkpoint import KernelCheckpoint


class KeptCheckpoints:
    """Checkpoints by turn; the oldest end when there are too many, or when they hold too much. On the engine's loop."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], KernelCheckpoint] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """Their process ids, the oldest first."""
        return [one.pid for one in self._kept.values()]

    def add(self, owner: str, turn: int, checkpoint: KernelCheckpoint, most: int) -> None:
        """Keep a checkpoint, and end the oldest ones above `most`.

        Args:
            owner: whose turn it was; a kernel serves several agents, one after the other.
            turn: its number.
            checkpoint: that was taken after it.
            most: how many are kept.
        """
        if (earlier := self._kept.pop((owner, turn), None)) is not None:
            self._end_soon(earlier)
        self._kept[owner, turn] = checkpoint
        while len(self._kept) > most:
            self._end_oldest()

    def newest(self, owner: str, turn: int) -> tuple[int, KernelCheckpoint] | None:
        """Returns the newest one that lives and was taken after no later turn of its owner than that, with its turn."""
        found = [
            (number, one)
            for (whose, number), one in self._kept.items()
            if whose == owner and number <= turn and one.alive
        ]
        return max(found, key=lambda pair: pair[0], default=None)

    def bound(self, held: Mapping[int, int], most: int) -> None:
        """End the oldest ones until the rest hold no more than `most` bytes.

        Args:
            held: bytes by process id, which ending that process would set free.
            most: bytes.
        """
        total = sum(held.get(pid, 0) for pid in self.pids)
        while self._kept and total > most:
            total -= held.get(self._end_oldest(), 0)

    def _end_oldest(self) -> int:
        checkpoint = self._kept.pop(next(iter(self._kept)))
        self._end_soon(checkpoint)
        return checkpoint.pid

    def _end_soon(self, checkpoint: KernelCheckpoint) -> None:
        task = asyncio.get_running_loop().create_task(checkpoint.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end(self) -> None:
        """End all of them; returns when they are gone."""
        while self._kept:
            self._end_oldest()
        await asyncio.gather(*self._ending, return_exceptions=True)
