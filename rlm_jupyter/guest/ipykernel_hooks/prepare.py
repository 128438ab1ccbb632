"""What is done inside an agent's kernel before its first cell.

Travels as source into any Python kernel: standard library only.
It bounds output (`bounded_output`), renders errors (`cell_tracebacks`), gives scripts the streams, logs and exits that
they expect, makes SIGINT wake a cell that awaits, lets the kernel die with its parent, gives `!command` and forks their
output, and closes the box (`landlock_seccomp`).
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any

from .. import agent_side, linux_process
from ..checkpoint import frozen
from ..confinement import (
    eventfd_semaphore,
    landlock_seccomp,
    memory_quota,
    multiprocessing_compat,
    socket_proxy,
)
from . import bounded_output, cell_tracebacks, exits, fd_capture, logging_config, text_streams
from .interrupt_wakeup import wake_on_interrupt


def _plain_system(shell: Any) -> None:
    """Let `!command` read a pipe: IPython's own way needs a pseudo-terminal, which the box does not give."""
    import subprocess

    def run(command: str) -> str:
        done = subprocess.run(  # noqa: S602 - a shell is what `!command` asks for
            shell.var_expand(command, depth=2),
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            check=False,
        )
        shell.user_ns["_exit_code"] = done.returncode
        return done.stdout

    def show(command: str) -> None:
        sys.stdout.write(run(command))

    def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:  # noqa: ARG001 - IPython's own
        from IPython.utils.text import LSString, SList

        text = run(command)
        return SList(text.splitlines()) if split else LSString(text)

    shell.system = show
    shell.getoutput = getoutput


def _allow_forks(streams: Any) -> None:
    """Let forks of the kernel print, and keep Python 3.12's warning about threads away: they are the kernel's."""
    import warnings

    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)

    def use_plain_streams() -> None:
        if not frozen.state.in_progress:
            streams.in_fork(_plain_streams())

    os.register_at_fork(after_in_child=use_plain_streams)


def _plain_streams() -> tuple[Any, Any]:
    """Let what a fork of the kernel prints go to its descriptors, which the kernel reads.

    ipykernel would send it over zmq, whose sockets do not survive a fork, or over TCP, which the box denies.
    """
    sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
    return sys.stdout, sys.stderr


def _forget_log() -> None:
    """Point the copy of the first stderr at nothing: ipykernel writes all that passes descriptor 2 there."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            number = getattr(stream, "_original_stdstream_copy", None)
            if number is not None:
                os.dup2(null, number)
    finally:
        os.close(null)


def _pass_connections(report: dict[str, Any], *, allowed: bool) -> None:
    """Let sockets ask the engine where hosts are allowed, and say why not where none are."""
    if not agent_side._guests:  # noqa: SLF001 - a kernel has one
        return
    report["passes"] = socket_proxy.install(agent_side._guests[-1].link, allowed=allowed)  # noqa: SLF001
    if allowed and not report["passes"]:
        report["missing"].append(
            "net: no connection can be passed to this kernel, as it is reached without descriptors"
        )


def prepare(shell: Any, options: dict[str, Any]) -> str:
    """Do all of it; return the report of the box as JSON.

    Args:
        shell: of IPython.
        options: `policy` (to close the box; None if there is none), `parent` (to die with it).
    """
    if options.get("parent") and sys.platform.startswith("linux"):
        with suppress(OSError):  # a system that refuses: a kernel all the same
            linux_process.die_with_parent(options["parent"])
    wake_on_interrupt()
    streams = text_streams.Streams(shell)  # before the outlet, which ends a cell's output
    bounded_output.Outlet(shell)
    bounded_output.bound_messages(shell.kernel.session)
    if sys.platform != "win32":
        _plain_system(shell)
        multiprocessing_compat.start_by_fork()
        _allow_forks(streams)
        _forget_log()
        fd_capture.install()
    cell_tracebacks.install(shell)  # before what gives the exits of programs another form
    exits.install(shell)
    logging_config.install()
    shell.history_manager.enabled = False
    report = landlock_seccomp.report
    if options.get("policy"):
        landlock_seccomp.join(options["policy"])
        memory_quota.settle(options["policy"], report)
        own = eventfd_semaphore.install()
        if own or report["network"]:
            multiprocessing_compat.adapt(shared=not own)
        if report["network"]:
            _pass_connections(report, allowed=bool(options["policy"].get("net")))
    return json.dumps(report)
