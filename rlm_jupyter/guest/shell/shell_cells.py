"""`%%bash` in an agent's kernel, for replies whose block is a script: run beside its Python, in the same directory.

It travels into an agent's kernel as source: the standard library only. The processes are children of the kernel, so
the sandbox that holds it holds them.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ..caller_kind import interruptible
from .context_files import write_context

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 100_000  # bytes of a script: the system takes 128 kB as one argument
_POLL_SECONDS = 0.1
_READ = 1 << 16


class ShellRefused(Exception):  # noqa: N818 - named for what happened
    """A script was not run; the message says why and what to do."""


class ShellCells:
    """What runs scripts; it takes the place of IPython's own `%%bash`.

    Args:
        data: returns the agent's data: what `context` is.
        refused: why no script may run in this kernel; None if they may.
    """

    def __init__(self, data: Callable[[], Any], refused: str | None) -> None:
        self._data, self._refused = data, refused
        self._written = False

    def register(self, shell: Any) -> None:
        """Let `%%bash` and `%%sh` run here."""
        for name in ("bash", "sh"):
            shell.register_magic_function(self.run, "cell", name)

    def run(self, _line: str, script: str) -> None:
        """Run a script, show what it prints and, if it failed, its exit status. Its processes end with the cell.

        Args:
            script: is run by bash, in the kernel's working directory.

        Raises:
            ShellRefused: no script may run here, or it is too long.
        """
        if self._refused is not None:
            raise ShellRefused(self._refused)
        if len(script.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise ShellRefused(
                f"The script is longer than {_LONGEST:,} bytes: write what is data to a file, by Python."
            )
        if not self._written:
            self._written = True
            write_context(self._data())
        sys.stdout.flush()
        status = _run(script)
        if status:
            print(f"[exit status {status}]")  # noqa: T201


def _run(script: str) -> int:
    """Returns the exit status of a script, negative for the number of a signal, once all it started has ended."""
    with subprocess.Popen(  # noqa: S603 - an agent's code, in the sandbox
        ["bash", "-c", script],  # noqa: S607 - as the kernel's PATH has it
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            with interruptible():
                _show(process, process.stdout.fileno())
        finally:  # also of what it left in the background: nothing of a cell goes on beside the next one
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode


def _show(process: subprocess.Popen[bytes], output: int) -> None:
    """Print what comes until the script has ended. What it left in the background may hold the pipe open."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ended = process.poll() is not None
        ready = select.select([output], [], [], 0 if ended else _POLL_SECONDS)[0]
        if ready:
            data = os.read(output, _READ)
            if not data:
                process.wait()
                return
            sys.stdout.write(decoder.decode(data))
        elif ended:
            return
