"""Why a kernel cannot be copied by a fork: what would be lost in the copy, or shared with the kernel.

Travels as source into kernels: standard library only. A fork has the memory of its parent and one of its threads. It
shares open files with it, and has none of its processes. So a kernel is copied only if all of its threads, sockets
and pipes are known to be ours, which the copy makes anew.
"""

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import linux_process

OUR_THREADS = frozenset({"MainThread", "IOPub", "Control", "Heartbeat"})
"""Names of ipykernel's threads in a forked kernel; those of this package begin with `rlm-`."""
NATIVE_THREADS = ("ZMQbg/",)
"""How the system's names of libzmq's threads begin."""
OUR_CODE = ("ipykernel", "tornado", "zmq", "jupyter_client", "_rlm")
_INERT = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random", "anon_inode:[eventpoll]")
_MOST_TOLD = 60


def find_obstacle(guest: Any, link: int) -> str:
    """Returns why this kernel cannot be copied now, as the end of "the kernel has ..."; empty if it can.

    Args:
        guest: of this kernel. Called on the main thread, while no cell runs.
        link: the descriptor of the copy's own socket.
    """
    try:
        for look in (_calls, _threads, _tasks, _processes):
            if found := look(guest):
                return found
        return _descriptors(guest, link)
    except PermissionError:  # a copy has the box of the kernel, which allows that kernel's /proc/self
        return "come of a checkpoint itself, and cannot look at its own threads and files"


def _calls(guest: Any) -> str:
    return "calls that are not answered yet" if guest.link.is_waiting else ""


def _threads(_: Any) -> str:
    known = {os.getpid()}  # the main thread; in a fork, Python 3.11 has the number of the parent's there
    for thread in threading.enumerate():
        if thread.name not in OUR_THREADS and not thread.name.startswith("rlm-"):
            return f"a thread of its code, `{thread.name[:_MOST_TOLD]}`"
        known.add(thread.native_id or 0)
    for task in os.scandir("/proc/self/task"):
        if int(task.name) not in known:
            with suppress(OSError):
                name = Path(task.path, "comm").read_text(errors="replace").strip()
                if not name.startswith(NATIVE_THREADS):
                    return f"a thread of a library, `{name}`"
    return ""


def _tasks(guest: Any) -> str:
    for task in asyncio.all_tasks(guest.shell.kernel.io_loop.asyncio_loop):
        coroutine = task.get_coro()
        frame = getattr(coroutine, "cr_frame", None)
        module = frame.f_globals.get("__name__", "") if frame is not None else ""
        if frame is not None and str(module).split(".")[0] not in OUR_CODE:
            return f"a task that goes on, `{getattr(coroutine, '__qualname__', module)[:_MOST_TOLD]}`"
    return ""


def _processes(_: Any) -> str:
    return "processes that it started" if len(linux_process.family(os.getpid(), 1)) > 1 else ""


# ----------------------------------------------------------------------------------------------- descriptors


def open_descriptors() -> dict[int, str]:
    """Map each descriptor of this process to what it leads to, as the system tells."""
    found = {}
    for entry in os.scandir("/proc/self/fd"):
        with suppress(OSError):  # that of the directory itself
            found[int(entry.name)] = os.readlink(entry.path)  # noqa: PTH115 - the target is no path
    return found


def _descriptors(guest: Any, link: int) -> str:
    pipes, pairs = set(_our_pipes()), {*_our_sockets(guest), os.fstat(link).st_ino}
    sockets_of_kernel = str(guest.shell.kernel.parent.ip)
    for number, target in open_descriptors().items():
        with suppress(OSError):
            if found := _obstacle_of(number, target, pipes, pairs, sockets_of_kernel):
                return found
    return ""


def _obstacle_of(number: int, target: str, pipes: set[int], pairs: set[int], address: str) -> str:
    inode = os.fstat(number).st_ino
    if target.startswith("socket:"):
        return "" if inode in pairs or _is_of_kernel(number, address) else "an open socket"
    if target.startswith("pipe:"):
        return "" if inode in pipes else "an open pipe"
    if target == "anon_inode:[eventfd]":
        about = Path(f"/proc/self/fdinfo/{number}").read_text()
        return "a lock or a queue of `multiprocessing`" if "eventfd-semaphore: 1" in about else ""
    if target.startswith(("/memfd:", "/dev/shm/")) or target in _INERT:  # noqa: S108 - the name of a kind
        return ""
    return _obstacle_of_file(number, target)


def _obstacle_of_file(number: int, target: str) -> str:
    if target.startswith("/dev/nvidia"):
        return "a graphics processor in use"
    if not target.startswith("/"):
        return f"an open `{target[:_MOST_TOLD]}`"
    mode = os.fstat(number).st_mode
    if stat.S_ISDIR(mode):
        return ""
    if not stat.S_ISREG(mode):
        return f"an open device, `{target[:_MOST_TOLD]}`"
    flags = int(Path(f"/proc/self/fdinfo/{number}").read_text().split("flags:", 1)[1].split()[0], 8)
    if flags & os.O_ACCMODE == os.O_RDONLY:
        return "" if is_file_on_disk(number, target) else "an open file that was removed"
    return f"a file that is open to be written, `{target[-_MOST_TOLD:]}`"


def is_file_on_disk(number: int, path: str) -> bool:
    """Returns whether a descriptor leads to an ordinary file that is still there by that path."""
    try:
        known, there = os.fstat(number), os.stat(path)  # noqa: PTH116 - the path is a str
    except OSError:
        return False
    return stat.S_ISREG(known.st_mode) and os.path.samestat(known, there)


def _our_pipes() -> Iterator[int]:
    from ..ipykernel_hooks import fd_capture

    for number in (1, 2, *fd_capture.descriptors.readers):
        with suppress(OSError):
            yield os.fstat(number).st_ino


def _our_sockets(guest: Any) -> Iterator[int]:
    """The pairs of our event loops, and the line to the engine."""
    kernel = guest.shell.kernel
    loops = (kernel.io_loop, kernel.iopub_thread.io_loop, kernel.control_thread.io_loop)
    ends = [getattr(loop.asyncio_loop, name, None) for loop in loops for name in ("_ssock", "_csock")]
    for end in (*ends, guest.link.socket):
        if end is not None and end.fileno() >= 0:
            yield os.fstat(end.fileno()).st_ino


def _is_of_kernel(number: int, address: str) -> bool:
    """Returns whether a socket is one of libzmq's: it listens at, or is a connection to, an address of the kernel."""
    with socket.socket(fileno=os.dup(number)) as sock:
        return sock.family == socket.AF_UNIX and str(sock.getsockname()).startswith(f"{address}-")
