"""What this machine has: memory, a disk that is not memory in disguise, modules, and who started which process."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

UNKNOWN_MEMORY = 8 << 30
KEPT_FREE = 256 << 20
"""Bytes of a disk that are left to everybody else."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MOUNTS = Path("/proc/self/mountinfo")
_MEMORY = Path("/proc/meminfo")
_IN_MEMORY = ("tmpfs", "ramfs")


def machine_memory() -> int:
    """Returns the bytes of memory that this process may hope for: the machine's, or its container's if that is less."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNKNOWN_MEMORY
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # not in a container, or its limit is `max`
            found = min(found, int(Path(path).read_text()))
    return found


def available_memory() -> int:
    """Returns the bytes of memory that programs may still take here, no more than `machine_memory`."""
    most = machine_memory()
    with suppress(OSError, ValueError):
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(most, int(line.split()[1]) << 10)
    return most


def disk_for(size: int, first: Path | None) -> Path:
    """Find a directory on a real disk that has room for a file.

    Args:
        size: bytes of the file.
        first: the directory that is preferred; None for the system's place for temporary files.

    Raises:
        OSError: there is none; what it says tells of each place that was tried.
    """
    tried = []
    for place in dict.fromkeys((first or Path(tempfile.gettempdir()), Path("/var/tmp"))):  # noqa: S108 - a disk by tradition
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            tried.append(f"`{place}`: {error.strerror}")
            continue
        if free < size + KEPT_FREE:
            tried.append(f"`{place}` has {free:,} bytes free")
        elif _lies_in_memory(place):
            tried.append(f"`{place}` is itself memory")
        else:
            return place
    raise OSError("; ".join(tried))


def _lies_in_memory(place: Path) -> bool:
    """Whether a file there would take memory and no disk (Linux; elsewhere such places are rare)."""
    with suppress(OSError, ValueError):
        device = place.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in _MOUNTS.read_text().split("\n"):
            before, _, after = line.partition(" - ")
            if before.split()[2:3] == [number]:
                return after.split()[0] in _IN_MEMORY
    return False


def processes_below(pid: int) -> list[psutil.Process]:
    """List all descendants of a process, other sessions included, on any system; empty if it is gone.

    In order to kill them: psutil remembers when each began, so that a process that got the number of a dead one is
    spared. The fork server has no psutil and asks `guest.linux_process`.
    """
    import psutil  # ipykernel brings it along

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def is_installed(module: str) -> bool:
    """Returns whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False
