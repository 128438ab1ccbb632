"""Writes a run's events to a file as they come: JSONL, an event a line, readable after a kill at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from rlm_jupyter.engine import events as ev

_WORDS = frozenset({"kind", "run", "agent", "status", "purpose", "reason"})
"""Fields of fixed words: a secret that happens to be such a word must not make the log unreadable."""


class LogWriter:
    """Appends events to a log. It never raises into the engine: a full disk is told once, the run goes on.

    Each event is one `write` of a whole line, straight to the file: nothing is buffered that could be lost
    or, in a forked child, written twice. The file, and its directory where it is new, are for the user alone
    (0600, 0700).

    Args:
        path: of the file; it and its directory are made at the first event.
        redact: keeps secrets out of a text.
        on_error: told once, in words, when the log cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        redact: Callable[[str], str] | None = None,
        *,
        on_error: Callable[[str], object] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._redact = redact
        self._on_error = on_error
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._file: int | None = None
        self._closed = False
        self._torn = False
        self._told = False

    def write(self, event: ev.AnyEvent) -> None:
        """Append an event; passing ones (pieces of replies and outputs) are left to the whole."""
        if isinstance(event, ev.PASSING) or self._closed or os.getpid() != self._owner:
            return
        trouble = None
        try:
            line = self._line(event)
            with self._lock:
                self._append(line)
        except (OSError, ValueError, TypeError) as error:
            trouble = error
        if trouble is not None and not self._told:
            self._told = True  # before the call: what it does may be an event too
            self._tell(trouble)

    __call__ = write

    def close(self) -> None:
        """Close the file. Twice is fine; a forked child only drops its copy of the descriptor."""
        forked = os.getpid() != self._owner
        with contextlib.nullcontext() if forked else self._lock:  # in a child its holder may not exist
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
        if self._redact is not None:
            kept = {name: value for name, value in fields.items() if name in _WORDS}
            fields = {**{name: _redacted(value, self._redact) for name, value in fields.items()}, **kept}
        line = json.dumps(fields, default=str, ensure_ascii=False)
        try:
            return line.encode() + b"\n"
        except UnicodeEncodeError:  # half a character (a lone surrogate) is no text that a reader would take
            pairs = line.encode("utf-16-le", "surrogatepass")
            return pairs.decode("utf-16-le", "replace").encode() + b"\n"

    def _append(self, line: bytes) -> None:
        if self._file is None:
            self._file = _open(self.path)
        if self._torn:
            line = b"\n" + line  # ends what an earlier failure left half written
        written = os.write(self._file, line)
        self._torn = written < len(line)
        while written < len(line):  # a disk that fills up takes a part first and fails then
            written += os.write(self._file, line[written:])
        self._torn = False

    def _tell(self, error: Exception) -> None:
        if self._on_error is None:
            return
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        with contextlib.suppress(Exception):
            self._on_error(
                f"The log `{self.path}` cannot be written ({why}). The run goes on, what is missing "
                "there is lost; choose another place with `log_dir=`."
            )


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # On Windows the default is a text file, where each line feed becomes two bytes.
    binary = getattr(os, "O_BINARY", 0)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | binary, 0o600)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_redacted(key, redact): _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, redact) for item in value]
    return value
