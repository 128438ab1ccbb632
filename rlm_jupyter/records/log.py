"""Writes a run's events to a file as they come: JSONL, an event a line, readable after a kill at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Self

from rlm_jupyter.background import BackgroundThread
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.redact_events import with_tokens

CLOSE_SECONDS: Final = 5.0
_MOST_WAITING: Final = 100_000
"""Events; those that wait are held by the run's journal anyway."""
_TOGETHER: Final = 500
"""Events of one write: a disk that takes a second for each must not take one for each event."""
_NEWLINE: Final = 0x0A


class LogWriter:
    """Appends events to a log. It never raises into the engine, and never keeps it waiting for a disk.

    Events are written in their order by a thread of the writer's own, at once while the disk keeps up; behind a
    slow one they wait, and go together. What cannot be written is told once, and the run goes on. Each write is of
    whole lines, straight to the file: nothing is buffered that could, in a forked child, be written twice. The file,
    and its directory where it is new, are for the user alone (0600, 0700).

    Args:
        path: of the file; it and its directory are made at the first event.
        on_error: told once, in words, when the log cannot be written; on any thread.
        most: how many events may wait for the disk; what comes above that is lost, and told.
        hide: puts tokens in the place of hidden values, on the writer's thread; None: there are none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        on_error: Callable[[str], object] | None = None,
        most: int = _MOST_WAITING,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._on_error = on_error
        self._most = most
        self._hide = hide
        self._thread = BackgroundThread("rlm-log", most=1 << 62)  # what waits is counted here
        self._lock = threading.Lock()  # for moments only: the engine's loop takes it
        self._waiting: deque[ev.AnyEvent] = deque()
        self._busy = False
        self._owner = os.getpid()
        self._file: int | None = None
        self._closed = False
        self._torn = False
        self._told = self._lost = False

    def write(self, event: ev.AnyEvent) -> None:
        """Append an event, soon; passing ones (pieces of replies and outputs) are left to the whole."""
        if isinstance(event, ev.PASSING) or self._closed or os.getpid() != self._owner:
            return
        with self._lock:
            lost = len(self._waiting) >= self._most and not isinstance(event, ev.RunFinished)
            begin = not lost and not self._busy
            if not lost:
                self._waiting.append(event)
                self._busy = True
        if begin:
            self._thread.submit(self._write_waiting)
        if lost:
            self._tell(TimeoutError(f"{self._most:,} events wait for its disk, which is too slow"))

    __call__ = write

    @property
    def whole(self) -> bool:
        """Whether all events so far are in the file, or can still come there."""
        return not self._lost

    def flush(self) -> Future[None]:
        """Return a future that is done when all events so far are in the file, or could not be written."""
        return self._thread.drained() if os.getpid() == self._owner else _done()

    def end(self) -> Future[None]:
        """Write what waits, then close the file; return a future that is done then."""
        if os.getpid() != self._owner:  # a forked child only drops its copy of the descriptor
            self._close_file()
            return _done()
        self._closed = True
        return self._thread.submit(self._close_file)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Do as `end`, and wait for it; but not for longer than this on a disk that hangs. Twice is fine."""
        with contextlib.suppress(TimeoutError):
            self.end().result(seconds)

    def _close_file(self) -> None:
        self._closed = True
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _line(self, event: ev.AnyEvent) -> bytes:
        fields = event.model_dump(mode="python", by_alias=True)
        if self._hide is not None:
            fields = with_tokens(type(event), fields, self._hide)
        line = json.dumps(fields, default=str, ensure_ascii=False)
        try:
            return line.encode() + b"\n"
        except UnicodeEncodeError:  # half a character (a lone surrogate) is not text that a reader would take
            pairs = line.encode("utf-16-le", "surrogatepass")
            return pairs.decode("utf-16-le", "replace").encode() + b"\n"

    # ---- on the writer's thread

    def _write_waiting(self) -> None:
        """Write all that waits, as many lines at once as are there."""
        while events := self._take():
            lines = []
            for event in events:
                try:
                    lines.append(self._line(event))
                except (ValueError, TypeError) as error:
                    self._tell(error)
            try:
                self._append(b"".join(lines))
            except OSError as error:
                self._tell(error)

    def _take(self) -> list[ev.AnyEvent]:
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
            self._busy = bool(taken)
        return taken

    def _append(self, lines: bytes) -> None:
        if not lines:
            return
        if self._file is None:
            self._file = _open(self.path)
        if self._torn:
            lines = b"\n" + lines  # ends what an earlier failure left half written
        written = 0
        try:
            while written < len(lines):  # a disk that fills up takes a part first and fails then
                written += os.write(self._file, lines[written:])
        finally:
            if written:
                self._torn = lines[written - 1] != _NEWLINE

    def _tell(self, error: Exception) -> None:
        self._lost = True
        if self._told or self._on_error is None:
            return
        self._told = True  # before the call: what it does may be an event too
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        with contextlib.suppress(Exception):
            self._on_error(
                f"The log `{self.path}` cannot be written ({why}). The run goes on, what is missing "
                "there is lost; choose another place with `log_dir=`."
            )


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # On Windows the default is a text file, where each line feed becomes two bytes.
    binary = getattr(os, "O_BINARY", 0)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | binary, 0o600)
