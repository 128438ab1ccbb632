"""What memory would be free without a kernel."""

from __future__ import annotations

from pathlib import Path

from rlm_jupyter.kernels.usage import descendants

_PRIVATE = (b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")
_ANONYMOUS = (b"Pss_Anon:",)
_MOST_PROCESSES = 100


def own_memory(pid: int) -> int:
    """Give the bytes that ending a process and what it started would set free; 0 where that cannot be told.

    Not the resident set: a forked kernel shows there all that it shares with the template it was forked from,
    which may be gigabytes. Not all private pages (USS) either: values are memory files, and of one that only this
    process maps the pages count as its own, though they stay as long as the run holds the value. What is both
    private and no file is at most the lesser of two figures. Takes a millisecond or more: not on a loop.
    """
    return sum(_private(one) for one in descendants(pid, _MOST_PROCESSES))


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
