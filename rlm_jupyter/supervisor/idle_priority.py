"""The lowest priority of the system, for work that nobody waits for yet.

Travels as source into the supervisor, and is used by the notebook's process too: standard library only.
"""

import os
from contextlib import suppress


def enter() -> None:
    """Let this process run only while no other wants a processor, if it may leave that again by itself.

    An ordinary user usually may not: Linux counts it as raising the priority (`RLIMIT_NICE`, see sched(7)). Then the
    priority stays as it is, because a fork would inherit it.
    """
    with suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER and _may_leave():
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def leave(pid: int = 0) -> None:
    """Give a process that entered it the ordinary priority again; nothing happens if it did not, or is gone.

    Args:
        pid: of the process; 0 for this one.
    """
    with suppress(OSError):
        if os.sched_getscheduler(pid) == os.SCHED_IDLE:
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def _may_leave() -> bool:
    """Try it in a child: what the rights of a process are worth in a container is told by no file."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
