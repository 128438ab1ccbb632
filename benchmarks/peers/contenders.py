"""The contenders: environments of their own for other implementations, and a process that is asked to do things."""

from __future__ import annotations

import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Self

from benchmarks.peers.figures import GROUPS
from benchmarks.quality import harness_peers
from benchmarks.quality.harness_peers import ROOT, Peer

_END_SECONDS = 30.0
"""For a process to end by itself, before it is killed."""


class ContenderError(Exception):
    """A contender is not installed, or did not do what it was asked."""


class SpeedPeer(Peer):
    """Another implementation whose environment is not that of the quality suite: it may need more."""

    @property
    def environment(self) -> Path:
        """The folder of its environment."""
        return ROOT / ".venvs" / f"peers-{self.name}"


@dataclass(frozen=True)
class Contender:
    """One column of the table.

    Attributes:
        name: of the column.
        peer: its environment; None: the one of this process.
        kept: how many warm runs of sub-agents it is asked for at most; None: as many as the sizes say.
        groups: of figures that it can do otherwise than others; of the rest it has none.
        variables: of its process's environment.
    """

    name: str
    peer: SpeedPeer | None = None
    kept: int | None = None
    groups: tuple[str, ...] = GROUPS
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> Path:
        """The Python that runs it."""
        return Path(sys.executable) if self.peer is None else self.peer.python

    def versions(self) -> dict[str, str]:
        """Returns the versions of what is measured."""
        if self.peer is not None:
            return self.peer.versions()
        package = {"rlm_jupyter": version("rlm_jupyter")} if self.name == "ours" else {}
        return {**package, "python": platform.python_version()}


_DSPY = SpeedPeer("dspy", ("dspy==3.4.1",), "dspy")
# Else the first call of a process loads a table of prices from the network.
_NO_DOWNLOAD = (("LITELLM_LOCAL_MODEL_COST_MAP", "true"),)

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("floor"),
        Contender("ours"),
        Contender("dspy", _DSPY, variables=_NO_DOWNLOAD),
        # A run of twenty kernels takes it some ten seconds.
        Contender("rlms", SpeedPeer("rlms", ("rlms[ipython]==0.1.3",), "rlms"), kept=1),
        Contender("dspy-host", _DSPY, groups=("batch", "agents"), variables=_NO_DOWNLOAD),
    )
}


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
