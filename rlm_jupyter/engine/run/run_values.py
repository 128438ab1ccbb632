"""A run's values: counted, kept within their limit, and told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from rlm_jupyter.errors import ValueTransferError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.values.store import Buffer, Held, Store

TOLD_BYTES = 1 << 16
"""By how much what is held must change to be told: most answers are small, and an event each would be noise."""


class Holdings:
    """What a run holds of values. Lives on the engine's loop; moves to disk go on in a thread.

    Args:
        store: counts the values.
        journal: hears what is held.
        directory: gives the run's own directory, where values spill to.

    Attributes:
        saved: variables of kernels that ended to free memory, by agent and name.
    """

    def __init__(self, store: Store, journal: Journal, directory: Callable[[], Awaitable[Path]]) -> None:
        self.store = store
        self.saved: dict[tuple[str, str], Buffer] = {}
        self._journal = journal
        self._directory = directory
        self._told = (0, 0, 0)

    async def keep(self, buffer: Buffer) -> Buffer:
        """Count a value in; what passes the limit moves to disk before anybody maps its memory.

        Raises:
            BridgeError: there is no room on the disk either; the value is closed.
        """
        self.store.hold(buffer)
        if self.store.is_full:
            try:
                self.store.directory = self.store.directory or await self._directory()
                await in_thread(self.store.spill)
            except BaseException as error:
                buffer.close()
                if isinstance(error, ValueTransferError):
                    raise BridgeError("failed", error.message) from None
                raise
        self.tell()
        return buffer

    def tell(self) -> None:
        """Emits `ValuesHeld` if the totals have changed noticeably."""
        held = self.store.held
        now = (held.memory, held.disk, held.shared)
        moved = now[1] != self._told[1]
        if moved or any(abs(a - b) >= TOLD_BYTES for a, b in zip(now, self._told, strict=True)):
            self._emit(held)

    def close(self) -> None:
        """Close all values, and tell so where anything was told before."""
        self.saved.clear()
        self.store.close()
        if any(self._told):
            self._emit(self.store.held)

    def _emit(self, held: Held) -> None:
        self._told = (held.memory, held.disk, held.shared)
        self._journal.emit(ev.ValuesHeld, **asdict(held))
