"""A kernel made of a checkpoint: the memory of then, with sockets, threads and a line to the engine of its own.

Travels as source into kernels: standard library only.
"""

import asyncio
import concurrent.futures
import json
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from ..bridge.socket_link import error_of
from ..confinement import landlock_seccomp
from ..ipykernel_hooks import fd_capture
from ..ipykernel_hooks.interrupt_wakeup import wake_on_interrupt
from . import frozen
from .obstacles import find_obstacle

_FORK_SECONDS = 20.0
_ANSWER_SECONDS = 1.0


def take_checkpoint(guest: Any, link: int) -> dict[str, Any]:
    """Make a checkpoint of this kernel; returns its process id. Called on a thread of the line to the engine.

    Args:
        guest: of this kernel.
        link: the descriptor over which the checkpoint hears.

    Raises:
        RLMQueryError: (`rejected`) why this kernel cannot be copied.
    """
    outcome: concurrent.futures.Future[int] = concurrent.futures.Future()
    end = time.monotonic() + _ANSWER_SECONDS
    while guest.link.is_waiting and time.monotonic() < end:  # what a cell told last may be on its way
        time.sleep(0.001)

    def on_main_thread() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(_freeze(guest, link))
        except BaseException as error:
            outcome.set_exception(error)

    guest.shell.kernel.io_loop.add_callback(on_main_thread)
    try:
        return {"pid": outcome.result(_FORK_SECONDS)}
    except concurrent.futures.TimeoutError:
        if outcome.cancel():
            raise error_of("rejected", "code that does not end") from None
        return {"pid": outcome.result()}
    except OSError as error:
        raise error_of("rejected", f"no room for a further process ({error})") from None


def _freeze(guest: Any, link: int) -> int:
    if threading.current_thread() is not threading.main_thread():
        raise error_of("rejected", "an event loop on a thread that is not its main one")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if obstacle := find_obstacle(guest, link):
        raise error_of("rejected", obstacle)
    locks = [guest.link.turn, fd_capture.descriptors.turn, guest.shell.kernel.iopub_thread.turn]
    return frozen.freeze(link, lambda order, fds: _run(guest, order, fds), locks)


def _run(guest: Any, order: dict[str, Any], descriptors: list[int]) -> None:
    """Be the kernel that was asked for. Runs in a fork of the checkpoint, on the stack of the kernel's main thread."""
    from ..ipykernel_hooks import rebuilt_app

    bridge, log, *listeners = descriptors
    os.dup2(log, 2)
    os.close(log)
    _settle(order)
    asyncio._set_running_loop(None)  # noqa: SLF001 - that of the kernel stays below, and never runs again
    asyncio.set_event_loop(asyncio.new_event_loop())
    signal.set_wakeup_fd(-1)
    app = rebuilt_app.rebuild(order, dict(zip(order["ports"], listeners, strict=True)))
    fd_capture.descriptors.renew()
    guest.connect_again(bridge)
    app.start()


def _settle(order: dict[str, Any]) -> None:
    """Take a directory of one's own, and let the environment name it: what was in the kernel's are its files."""
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    tempfile.tempdir = None


def report() -> str:
    """Returns the report of the box as JSON; called by the first request, on the loop that now runs."""
    wake_on_interrupt()
    return json.dumps(landlock_seccomp.report)
