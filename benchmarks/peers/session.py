"""The process of a contender, as the measuring side sees it: commands, answers, and its end."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from benchmarks.peers.contenders import Contender
from benchmarks.quality import harness_peers
from benchmarks.quality.harness_peers import ROOT

_END_SECONDS = 30.0
"""For a process to end by itself, before it is killed."""


class ContenderError(Exception):
    """A contender is not installed, or did not do what it was asked."""


class Session:
    """A process of a contender, as a context manager; it ends with all that it started.

    Attributes:
        started: monotonic seconds when it was started.
        pid: of its process.
    """

    def __init__(self, contender: Contender, url: str, scratch: Path, seconds: float = 300.0) -> None:
        """Prepare one.

        Args:
            contender: whose process it is.
            url: of the model server.
            scratch: its home, where what it prints goes, too.
            seconds: that one command may take.
        """
        self._contender, self._url, self._scratch, self._seconds = contender, url, scratch, seconds
        self._lines: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> Self:
        self._printed: IO[bytes] = (self._scratch / f"printed-{self._contender.name}").open("w+b")
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [self._contender.python, "-m", "benchmarks.peers.runner", self._contender.name, self._url],
            cwd=ROOT,
            env=harness_peers.environment(self._scratch) | dict(self._contender.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            start_new_session=True,
        )
        self.pid = self._process.pid
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._process.stdin.close()
                if failed is None:
                    self._process.wait(_END_SECONDS)
        finally:
            harness_peers.end_processes(self._process, self._scratch)
            self._process.stdout.close()
            self._printed.close()

    def send(self, do: str, width: int = 0, *, close: bool = False) -> None:
        """Send a command; `answer` waits for what comes of it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, "width": width, "close": close}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise ContenderError(
                f"The process of `{self._contender.name}` has ended: {self._tail()}"
            ) from None

    def answer(self) -> dict[str, Any]:
        """Returns the answer to a command.

        Raises:
            ContenderError: it failed, took too long, or its process ended.
        """
        name = self._contender.name
        try:
            line = self._lines.get(timeout=self._seconds)
        except queue.Empty:
            raise ContenderError(f"`{name}` was not done after {self._seconds:g} s.") from None
        if not line:
            raise ContenderError(f"The process of `{name}` has ended: {self._tail()}")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise ContenderError(f"`{name}`: {told['error']}")
        return told

    @property
    def answered(self) -> bool:
        """Whether `answer` would return, or raise, at once."""
        return not self._lines.empty()

    def ask(self, do: str, width: int = 0, *, close: bool = False) -> dict[str, Any]:
        """Send a command and return its answer."""
        self.send(do, width, close=close)
        return self.answer()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(OSError, ValueError):  # closed by `__exit__`
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def _tail(self) -> str:
        self._printed.flush()
        end = os.fstat(self._printed.fileno()).st_size
        data = os.pread(self._printed.fileno(), 500, max(0, end - 500))
        return data.decode("utf-8", "replace").strip() or "it printed nothing"
