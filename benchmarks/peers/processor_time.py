"""Processor time of a whole tree of processes: beside other programs it says more than the clock on the wall."""

from __future__ import annotations

from contextlib import suppress


def tree_seconds(pid: int) -> float:
    """Returns the seconds of user and system time of a process, its descendants, and those of them that have ended.

    What a process that was never waited for has used is lost with it.
    """
    import psutil

    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total
