"""What a kernel and all that it has started use up, as Linux tells from outside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rlm_jupyter.guest.linux_process import family

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_MOST_FILES = 200_000
"""Files that are counted; a tree with more is over any limit."""


@dataclass(frozen=True)
class Usage:
    """Of a process and its descendants.

    Attributes:
        memory: bytes of their own; pages that a fork shares with its parent count as often as they are mapped.
        processes: how many they are.
        cpu: seconds of processor time, those of descendants that have ended included.
    """

    memory: int = 0
    processes: int = 0
    cpu: float = 0.0


def possible() -> bool:
    """Returns whether this system tells of it."""
    return Path("/proc/self/status").exists()


def measure(pid: int, most_processes: int) -> Usage:
    """Measure a process with its descendants; those that have ended meanwhile count nothing."""
    pids = family(pid, most_processes)
    memory, cpu = 0, 0.0
    for one in pids:
        with suppress(OSError, ValueError, IndexError):
            memory += _memory(one)
            cpu += _cpu(one)
    return Usage(memory, len(pids), cpu)


def exact_memory(pid: int, most_processes: int) -> int:
    """Bytes as `Usage.memory`, with each shared page counted once; it takes milliseconds for a gigabyte."""
    total = 0
    for one in family(pid, most_processes):
        with suppress(OSError, ValueError, IndexError):
            total += _field(Path(f"/proc/{one}/smaps_rollup").read_bytes(), b"Pss_Anon:")
    return total


def _memory(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/status").read_bytes(), b"RssAnon:")


def _field(text: bytes, name: bytes) -> int:
    return int(text.split(name, 1)[1].split(None, 1)[0]) << 10


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS  # its own, and of children that it has waited for


def disk_used(directories: Sequence[str]) -> int:
    """Bytes on disk of all files below the directories; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total, todo = 0, list(directories)
    while todo and len(seen) < _MOST_FILES:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    if (state.st_dev, state.st_ino) in seen:
                        continue
                    seen.add((state.st_dev, state.st_ino))
                    total += state.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
    return total


_PRIVATE = (b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")
_ANONYMOUS = (b"Pss_Anon:",)
_MOST_PROCESSES = 100


def own_memory(pid: int) -> int:
    """Returns the bytes that ending a process and what it started would set free; 0 if that cannot be told.

    Not the resident set: a forked kernel shows there all that it shares with the template it was forked from,
    which may be gigabytes. Not all private pages (USS) either: values are memory files, and of one that only this
    process maps the pages count as its own, though they stay as long as the run holds the value. What is both
    private and no file is at most the lesser of two figures. Takes a millisecond or more: not on a loop.
    """
    return sum(_private(one) for one in family(pid, _MOST_PROCESSES))


def held_by_copies(pid: int, copies: Sequence[int]) -> int:
    """Returns the bytes that forks of a process hold beside it: what it has changed since, in none or some of them.

    Not the sum of what is private to each: pages that the process has changed are shared by all of its earlier forks.

    Args:
        pid: of the process.
        copies: process ids of its forks, which themselves have none.
    """
    total = 0
    for one in (pid, *copies):
        with suppress(OSError, ValueError, IndexError):
            total += _field(Path(f"/proc/{one}/smaps_rollup").read_bytes(), b"Pss_Anon:")
    with suppress(OSError, ValueError, IndexError):
        return max(0, total - _memory(pid))
    return 0


def _private(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:  # not Linux, or the process has just ended
        return _private_elsewhere(pid)
    return min(_sum(lines, _PRIVATE), _sum(lines, _ANONYMOUS))


def _sum(lines: list[bytes], names: tuple[bytes, ...]) -> int:
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(names))


def _private_elsewhere(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except (psutil.Error, OSError, AttributeError):
        return 0
