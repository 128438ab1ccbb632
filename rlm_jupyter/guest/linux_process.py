"""Processes as Linux tells of them: whose descendants they are, and what a process asks of the system for itself.

Travels as source into the fork server and into agents' kernels: standard library only. The notebook's process imports
it to count and measure what a kernel has started.
"""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38


def prctl(option: int, value: int) -> None:
    """Set a property of this process, as the system call of that name does.

    Raises:
        OSError: the system refuses.
    """
    # Not at import: the notebook's process reads this module on systems without a C library of that kind.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when the thread that started it ends.

    Args:
        parent: process id of the one that started it. If that is gone already, this process exits here.

    Raises:
        OSError: the system refuses.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the line above


def parents() -> dict[int, int]:
    """Map each process to its parent, as /proc tells now.

    Raises:
        OSError: /proc cannot be listed.
    """
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                line = Path(entry.path, "stat").read_bytes()
            except OSError:
                continue
            found[int(entry.name)] = int(line[line.rindex(b")") + 2 :].split()[1])
    return found


def parent_of(pid: int) -> int | None:
    """Returns the parent of a process; None if it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(line[line.rindex(b")") + 2 :].split()[1])


def descendants(root: int) -> list[int]:
    """List all descendants of a process, itself not included; it reads the list of all processes.

    Raises:
        OSError: /proc cannot be listed.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        for pid in children.get(todo.pop(), ()):
            found.append(pid)
            todo.append(pid)
    return found


def family(pid: int, most: int) -> list[int]:
    """List a process and its descendants, but not many more than `most`: a fork bomb is not worth counting.

    Reads of those processes only, so that it costs little each time; one that is born meanwhile may be missing. What
    must not miss any, in order to kill it, asks `descendants` again and again.
    """
    found = [pid]
    for one in found:
        if len(found) > most:
            break
        with suppress(OSError):
            for thread in os.scandir(f"/proc/{one}/task"):
                with suppress(OSError):
                    found += map(int, Path(thread.path, "children").read_bytes().split())
    return found
