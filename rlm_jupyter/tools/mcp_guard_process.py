"""Stands between the notebook and an MCP server of its own: whatever ends the notebook ends the server.

Run as a script, with the standard library only: ``python -I -S guard.py PARENT COMMAND...``. The server talks
over this process' stdin, stdout and stderr. When it ends, or when the process PARENT is gone, or when this is
told to end, all that the server started is ended too.

It shares nothing with `guest.linux_process`: under ``-I -S`` no installed package can be imported, which is meant. What
ends a server of the user's must start at once and run nobody's `.pth` files. It also serves systems without /proc, and
it must not take zombies for processes that still have to be ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOOK_SECONDS = 0.5  # where the system does not tell of the notebook's end
_GRACE_SECONDS = 1.0
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run the server until it or the notebook ends; give its exit code."""
    parent, command = int(arguments[0]), arguments[1:]
    waker, alarm = os.pipe()
    for end in (waker, alarm):
        os.set_blocking(end, False)
    for signum in (*_ENDS, signal.SIGCHLD):
        signal.signal(signum, lambda *_: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    _ask_linux(_PR_SET_CHILD_SUBREAPER, 1)  # so that what daemonizes is still found
    _ask_linux(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        server = subprocess.Popen(  # noqa: S603 - what the user asked to be run
            command,
            preexec_fn=_die_with_guard,  # noqa: PLW1509 - this process has one thread
            process_group=0,
        )
    except OSError as error:
        print(f"`{command[0]}` cannot be started: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 127
    _let_go_of_pipes()
    code = None
    while code is None and os.getppid() == parent:
        select.select([waker], [], [], _LOOK_SECONDS)
        if any(signum in _ENDS for signum in _told(waker)):
            break
        code = server.poll()
    _end_all(server)
    return code if code is not None else 1


def _ask_linux(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with_guard() -> None:
    _ask_linux(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _let_go_of_pipes() -> None:
    """Leave the server's pipes to it alone: their ends tell the notebook of the server's end."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _told(waker: int) -> bytes:
    try:
        return os.read(waker, 4096)
    except BlockingIOError:
        return b""


def _end_all(server: subprocess.Popen[bytes]) -> None:
    """Ask all that the server started to end, then make it."""
    deadline = time.monotonic() + _GRACE_SECONDS
    asked = False
    while living := _descendants(server):
        if not asked or time.monotonic() > deadline:
            signum = signal.SIGKILL if asked else signal.SIGTERM
            for pid in living:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signum)
            asked = True
        time.sleep(0.01)
        server.poll()
        _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(server: subprocess.Popen[bytes]) -> list[int]:
    """Find what runs below this process; where that cannot be asked, what is in the server's group."""
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, 0)
            return [-server.pid]
        return []
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
