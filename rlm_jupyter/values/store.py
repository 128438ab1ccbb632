"""What a run's values take, and where they go when that is too much."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ValueTransferError
from rlm_jupyter.system import disk_for, machine_memory
from rlm_jupyter.values.buffer import Buffer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Buffer", "Held", "Store"]


@dataclass(frozen=True)
class Held:
    """Bytes of a run's values, each counted once however many agents have it.

    Attributes:
        memory: in memory files.
        disk: moved to disk.
        shared: of the notebook's own data, which all agents see.
        limit: for `memory`.
    """

    memory: int
    disk: int
    shared: int
    limit: int


class Store:
    """The buffers of one run: what they take, and where they go when that is too much.

    Holds buffers weakly: one lives while an agent, a reference or the notebook holds it. What would pass the limit
    moves to an unlinked file: it stays usable, and is gone with its last descriptor, however this process ends.
    The newest go first: of the older ones kernels have mapped the memory, so that moving them would free none.
    """

    def __init__(self, directory: Path | None = None, limit: int | None = None) -> None:
        """Open a store.

        Args:
            directory: where values spill to; None for the system's place for temporary files.
            limit: bytes of memory; None for a quarter of the machine's.
        """
        self.directory = directory
        self.limit = machine_memory() // 4 if limit is None else limit
        self._buffers: dict[int, weakref.ref[Buffer]] = {}
        self._next = 0
        self._lock = threading.Lock()  # for moments only: the engine's loop takes it
        self._spilling = threading.Lock()

    @property
    def held(self) -> Held:
        """What all values take, and where."""
        sums = {"memory": 0, "disk": 0, "shared": 0}
        for buffer in {buffer.origin: buffer for buffer in self._open()}.values():
            sums[buffer.place] += buffer.size
        return Held(**sums, limit=self.limit)

    @property
    def total(self) -> int:
        """Bytes of all values, the notebook's own data included."""
        held = self.held
        return held.memory + held.disk + held.shared

    @property
    def in_memory(self) -> int:
        """Bytes of the values that count for the limit."""
        return self.held.memory

    @property
    def is_full(self) -> bool:
        """Whether `spill` has something to do."""
        return self.in_memory > self.limit

    def share(self, buffer: Buffer) -> Buffer:
        """Count in the notebook's own data: no limit is for it, and it never moves."""
        buffer.shared = True
        return self.hold(buffer)

    def hold(self, buffer: Buffer) -> Buffer:
        """Count a buffer in; where the store `is_full` then, `spill` is to be called."""
        with self._lock:
            self._buffers[self._next] = weakref.ref(buffer)
            self._next += 1
        return buffer

    def add(self, buffer: Buffer) -> Buffer:
        """Count a buffer in, and move what passes the limit to disk; see `spill`."""
        self.hold(buffer)
        self.spill()
        return buffer

    def adopt(self, fd: int, description: dict[str, Any]) -> Buffer:
        """Take over a descriptor that came from a kernel; what it is of is known where it is one of ours."""
        buffer = Buffer.from_fd(fd, description)
        known = next((one for one in self._open() if one.released and one.origin == buffer.origin), None)
        if known is None:
            return buffer
        buffer.close()
        ours = known.dup()
        ours.description = description
        return ours

    def spill(self) -> None:
        """Move the newest values to disk while the limit is passed. Takes as long as the disk does: not on a loop.

        Raises:
            ValueTransferError: there is no room on the disk either.
        """
        with self._spilling:
            while self.is_full and self._spill_newest():
                pass

    def close(self) -> None:
        """Close every buffer that is still open."""
        for buffer in self._open():
            buffer.close()
        with self._lock:
            self._buffers.clear()

    def _open(self) -> list[Buffer]:
        with self._lock:
            found = {number: ref() for number, ref in self._buffers.items()}
            alive = {number: b for number, b in found.items() if b is not None and not b.closed}
            self._buffers = {number: self._buffers[number] for number in alive}
        return list(alive.values())

    def _spill_newest(self) -> bool:
        """Move the newest value that is in memory to disk, for all buffers that share it; False if none is."""
        buffers = [b for b in self._open() if b.place == "memory"]
        if not buffers:
            return False
        newest = buffers[-1]
        origin, size = newest.origin, newest.size
        try:
            with newest.dup() as source:
                place = disk_for(size, self.directory)
                with tempfile.TemporaryFile(prefix="rlm-value-", dir=place) as file:
                    _copy(source.fd, file.fileno(), size)
                    for buffer in self._open():
                        if buffer.origin == origin:
                            buffer.move_to(file.fileno())
        except OSError as error:
            raise ValueTransferError(
                f"The values of this run take more than {self.limit:,} bytes of memory, and they cannot move to disk "
                f"({error}). Close runs that are done (`run.close()`), let agents return less, or raise the setting "
                "`value_memory`."
            ) from None
        except ValueTransferError:
            pass  # it was closed meanwhile, which is as good
        return True


def _copy(source: int, target: int, size: int) -> None:
    with (
        open(os.dup(source), "rb", buffering=0) as reader,  # noqa: PTH123 - a descriptor has no path
        open(os.dup(target), "wb", buffering=0) as writer,  # noqa: PTH123 - the same
    ):
        reader.seek(0)
        shutil.copyfileobj(reader, writer, 1 << 22)
        if writer.tell() < size:
            raise OSError("the value was cut short")
