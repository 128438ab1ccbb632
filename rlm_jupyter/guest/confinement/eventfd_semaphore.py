"""A semaphore for `multiprocessing` that works in the box, where `/dev/shm` is closed.

Travels as source into kernels: standard library only. The named semaphores of
`multiprocessing` are files in `/dev/shm`, which all of a user's programs share; these are event descriptors,
which only a forked child inherits. With them pools, queues, locks and `ProcessPoolExecutor` work by `fork`; see
`processes` for the rest.
"""

import importlib
import os
import select
import threading
import time
from pathlib import Path
from typing import Any


class DescriptorSemaphore:
    """Stands in for `_multiprocessing.SemLock`, whose methods and attributes it has."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:  # noqa: ARG002
        self.kind, self.maxvalue, self.name = kind, maxvalue, None
        self.handle = os.eventfd(value, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._held, self._owner = 0, 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take one; tell whether it was had within the time."""
        if self.kind == 0 and self._is_mine():
            self._held += 1
            return True
        end = None if timeout is None else time.monotonic() + max(0.0, timeout)
        while not self._take():
            left = None if end is None else end - time.monotonic()
            if not block or (left is not None and left <= 0):
                return False
            select.select([self.handle], [], [], left)
        self._held, self._owner = self._held + 1, threading.get_ident()
        return True

    def _take(self) -> bool:
        try:
            os.eventfd_read(self.handle)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give one back.

        Raises:
            AssertionError: a recursive lock of another thread.
            ValueError: more than there may be.
        """
        if self.kind == 0:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._held > 1:
                self._held -= 1
                return
        elif self._is_full():
            raise ValueError("semaphore or lock released too many times")
        self._held -= 1
        os.eventfd_write(self.handle, 1)

    def _is_full(self) -> bool:
        if self.maxvalue == 1:
            return not self._is_zero()
        try:
            return self.maxvalue < self.SEM_VALUE_MAX and self._get_value() >= self.maxvalue
        except OSError:  # a child of the kernel may not read its own /proc/self; it goes unchecked
            return False

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == threading.get_ident()

    def _count(self) -> int:
        return self._held

    def _get_value(self) -> int:
        for line in Path(f"/proc/self/fdinfo/{self.handle}").read_text().split("\n"):
            if line.startswith("eventfd-count:"):
                return int(line.split()[1], 16)
        raise OSError("the system does not tell the value of a semaphore")

    def _is_zero(self) -> bool:
        return not select.select([self.handle], [], [], 0)[0]

    def _after_fork(self) -> None:
        self._held = 0

    @classmethod
    def _rebuild(cls, *_state: Any) -> Any:
        raise OSError("In this sandbox `multiprocessing` works by `fork` alone: use `get_context('fork')`.")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        handle, self.handle = getattr(self, "handle", -1), -1
        if handle >= 0:
            os.close(handle)


def install() -> bool:
    """Put it in the place of `SemLock`, where that does not work; tell whether that was so."""
    try:
        native: Any = importlib.import_module("_multiprocessing")
    except ImportError:
        return False
    try:
        native.SemLock(1, 1, 1, f"/rlm-{os.getpid()}", True)
    except OSError:
        native.SemLock = DescriptorSemaphore
        return True
    return False
