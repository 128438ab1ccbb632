"""The newest checkpoints of one kernel, by the turns after which they were taken."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
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
        self.end_oldest(max(0, len(self._kept) - most))

    def newest(self, owner: str, turn: int) -> tuple[int, KernelCheckpoint] | None:
        """Returns the newest one that lives and was taken after no later turn of its owner than that, with its turn."""
        found = [
            (number, one)
            for (whose, number), one in self._kept.items()
            if whose == owner and number <= turn and one.alive
        ]
        return max(found, key=lambda pair: pair[0], default=None)

    def end_oldest(self, count: int = 1) -> None:
        """End as many as that, the oldest first."""
        for key in list(self._kept)[:count]:
            self._end_soon(self._kept.pop(key))

    def end_these(self, pids: Collection[int]) -> None:
        """End those with these process ids."""
        for key in [key for key, one in self._kept.items() if one.pid in pids]:
            self._end_soon(self._kept.pop(key))

    def _end_soon(self, checkpoint: KernelCheckpoint) -> None:
        task = asyncio.get_running_loop().create_task(checkpoint.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end(self) -> None:
        """End all of them; returns when they are gone."""
        self.end_oldest(len(self._kept))
        await asyncio.gather(*self._ending, return_exceptions=True)
