"""The checkpoint: a fork of the kernel that waits, and makes a kernel of itself for each branch that asks.

Travels as source into kernels: standard library only. It is a child of the fork server and not of the kernel, so
that code of the agent does not see it; it runs nothing, and costs the pages that the kernel changes after it.
Over its socket, an `AF_UNIX`/`SOCK_SEQPACKET` pair with the notebook's process, come requests as JSON:

    {env, cwd, ip, key, ports} + [bridge, log, a listening socket for each port]    → {pid}

It ends with the socket, with the fork server, and with the kernel, for which the fork server sees.
"""

import gc
import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, NoReturn

from .. import linux_process
from .obstacles import is_file_on_disk, open_descriptors

_REPARENTED_SECONDS = 5.0
_MOST_DESCRIPTORS = 16
_ANONYMOUS = ("socket:", "pipe:", "anon_inode:")

Thaw = Callable[[dict[str, Any], list[int]], None]


class _State:
    """Whether this process is making a checkpoint of itself: hooks on forks leave such a fork alone."""

    in_progress = False


state = _State()


def freeze(link: int, thaw: Thaw, locks: list[Any]) -> int:
    """Fork a checkpoint of this kernel; return its process id.

    Args:
        link: the descriptor of its end of the socket; the checkpoint has a copy of its own.
        thaw: is the kernel that is asked for, in a fork of the checkpoint.
        locks: held while the process forks: other threads hold none of them then.

    Raises:
        OSError: the system allows no further process.
    """
    descriptors = open_descriptors()  # the box lets a fork look at its parent's alone
    kernel, server, chosen = os.getpid(), os.getppid(), random.getstate()
    reading, writing = os.pipe()
    with ExitStack() as held:
        held.callback(os.close, reading)
        for lock in locks:
            held.enter_context(lock)
        state.in_progress = True
        try:
            _fork_for_server(kernel, writing)
        except OSError:
            state.in_progress = False
            os.close(writing)
            raise
        if os.getpid() != kernel:
            os.close(reading)
            os.close(writing)
            _be_frozen(link, descriptors, thaw, server, chosen)
        state.in_progress = False
        os.close(writing)
        return int(os.read(reading, 32) or b"0") or _fail()


def _fail() -> NoReturn:
    raise OSError("no further process is allowed")


def _fork_for_server(kernel: int, writing: int) -> None:
    """Fork a child that the fork server adopts; returns in both.

    The child of a child that has ended goes to the next process that takes in orphans, which the kernel is not
    meanwhile.
    """
    linux_process.prctl(linux_process.PR_SET_CHILD_SUBREAPER, 0)
    try:
        between = os.fork()
        if between:
            os.waitpid(between, 0)
        else:
            _fork_and_tell(writing)
    finally:
        if os.getpid() == kernel:
            linux_process.prctl(linux_process.PR_SET_CHILD_SUBREAPER, 1)


def _fork_and_tell(writing: int) -> None:
    """Fork a child, write its process id, and end; returns in that child."""
    try:
        child = os.fork()
    except OSError:
        os._exit(1)
    if child:
        os.write(writing, str(child).encode())
        os._exit(0)


def _be_frozen(link: int, descriptors: Mapping[int, str], thaw: Thaw, server: int, chosen: Any) -> NoReturn:
    """Wait for requests. Runs in the fork, whatever happens: it never goes on as the kernel that it was."""
    try:
        os.setsid()  # no interrupt of the kernel is meant for it
        _follow(server)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.disable()  # a collection would copy pages
        _let_go_of(descriptors, link)
        _serve(socket.socket(fileno=link), thaw, server, chosen)
    finally:
        os._exit(1)


def _follow(server: int) -> None:
    """Wait until the fork server has adopted this process, and die with it."""
    end = time.monotonic() + _REPARENTED_SECONDS
    while os.getppid() != server:
        if time.monotonic() > end:
            os._exit(1)
        time.sleep(0.0005)
    linux_process.die_with_parent(server)


def _let_go_of(descriptors: Mapping[int, str], link: int) -> None:
    """Point all that leads to the kernel's sockets and pipes at nothing; files that are read get a place of their own.

    The numbers stay taken: objects that belong to the kernel's threads close them later, whoever has them then.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number, target in descriptors.items():
        with suppress(OSError):  # one that was closed meanwhile
            if target.startswith(_ANONYMOUS):
                if number != link:
                    os.dup2(null, number, inheritable=False)
            elif is_file_on_disk(number, target):
                _reopen(number, target)
    os.close(null)


def _reopen(number: int, path: str) -> None:
    place = os.lseek(number, 0, os.SEEK_CUR)
    other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.lseek(other, place, os.SEEK_SET)
    os.dup2(other, number, inheritable=False)
    os.close(other)


def _serve(link: socket.socket, thaw: Thaw, server: int, chosen: Any) -> NoReturn:
    link.setblocking(True)
    while True:
        data, descriptors, _, _ = socket.recv_fds(link, 1 << 20, _MOST_DESCRIPTORS)
        if not data:
            os._exit(0)
        for number in descriptors:
            os.set_inheritable(number, False)
        order = json.loads(data)
        pid = _fork_kernel(link, partial(thaw, order, descriptors), server, chosen)
        for number in descriptors:
            os.close(number)
        link.send(json.dumps({"pid": pid}).encode())


def _fork_kernel(link: socket.socket, run: Callable[[], None], server: int, chosen: Any) -> int:
    """Fork a child that the fork server adopts, as a kernel; return its process id, 0 if the system allows none."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        _fork_and_tell(writing)
        os.close(reading)
        os.close(writing)
        link.close()
        _become_kernel(run, server, chosen)
    os.close(writing)
    os.waitpid(between, 0)
    pid = int(os.read(reading, 32) or b"0")
    os.close(reading)
    return pid


def _become_kernel(run: Callable[[], None], server: int, chosen: Any) -> NoReturn:
    """Be a kernel, as the fork server's own forks are, until it ends; never return."""
    import atexit
    import threading
    import traceback

    status = 1
    try:
        _follow(server)
        os.setsid()
        linux_process.prctl(linux_process.PR_SET_CHILD_SUBREAPER, 1)
        state.in_progress = False
        random.setstate(chosen)  # each fork seeds it anew, and it is part of what the checkpoint holds
        gc.enable()
        run()
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as the interpreter does at its end
        atexit._run_exitfuncs()  # noqa: SLF001
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(status)
