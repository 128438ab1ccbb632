"""The figures of the runs in a directory of logs, kept in the user's cache so that each is read once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rlm_jupyter.estimates.run_figures import RunFigures, read_figures

MOST_LOGS: Final = 500
"""Logs of a directory that are read: the newest."""
_MOST_ENTRIES: Final = 50_000
_MOST_INDEX: Final = 8 << 20
_VERSION: Final = 2


@dataclass(frozen=True)
class LoggedRuns:
    """The figures of the runs in a directory.

    Attributes:
        directory: of the logs.
        runs: figures of the runs that have ended, the newest first.
        logs: how many logs there are.
        unread: logs that were not read: older than the newest, or for lack of time.
        left_out: logs without figures: of runs that go on or were killed, damaged, or no logs of a run.
    """

    directory: Path
    runs: tuple[RunFigures, ...] = ()
    logs: int = 0
    unread: int = 0
    left_out: int = 0


def logged_runs(directory: Path, *, cache: Path | None, seconds: float | None = None) -> LoggedRuns:
    """Read the figures of the newest logs of a directory; nothing of it raises if a log is damaged.

    Args:
        directory: of logs (`*.jsonl`).
        cache: directory where figures are kept, so that a log that has not changed is not read again; None: nowhere.
        seconds: how long logs are read; what is not read then is counted, and read the next time.
    """
    end = None if seconds is None else time.monotonic() + seconds
    entries = _logs(directory)
    newest = entries[:MOST_LOGS]
    index = _index_path(directory, cache)
    known = _read_index(index)
    kept: dict[str, list[Any]] = {}
    runs: list[RunFigures] = []
    unread = len(entries) - len(newest)
    for name, size, changed in newest:
        row = known.get(name)
        if row is None or row[:2] != [size, changed]:
            if end is not None and time.monotonic() > end:
                unread += 1
                continue
            figures = None
            with suppress(OSError):
                figures = read_figures(directory / name)
            row = [size, changed, figures.row() if figures is not None else None]
        kept[name] = row
        if (read := RunFigures.of_row(row[2])) is not None:
            runs.append(read)
    if index is not None and kept != known:
        _write_index(index, kept)
    return LoggedRuns(directory, tuple(runs), len(entries), unread, len(kept) - len(runs))


def _logs(directory: Path) -> list[tuple[str, int, int]]:
    """Returns name, size and time of change of each log, the newest first."""
    found: list[tuple[str, int, int]] = []
    try:
        with os.scandir(directory) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_ENTRIES:
                    break
                with suppress(OSError):
                    if entry.name.endswith(".jsonl") and entry.is_file():
                        about = entry.stat()
                        found.append((entry.name, about.st_size, about.st_mtime_ns))
    except OSError:
        return []
    return sorted(found, key=lambda one: one[2], reverse=True)


def _index_path(directory: Path, cache: Path | None) -> Path | None:
    if cache is None:
        return None
    name = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:32]
    return cache / "run_figures" / f"{name}.json"


def _read_index(path: Path | None) -> dict[str, list[Any]]:
    """Returns what is kept: name of a log → size, time of change, figures; empty if it cannot be read."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_INDEX))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        return {}
    logs = found.get("logs")
    pairs: Iterable[tuple[str, Any]] = logs.items() if isinstance(logs, dict) else ()
    return {name: row for name, row in pairs if isinstance(row, list) and len(row) == 3}  # noqa: PLR2004 - as above


def _write_index(path: Path, logs: dict[str, list[Any]]) -> None:
    """Write what is kept, whole or not at all; only its owner may read it. Where that cannot be, nothing is kept."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=".figures-")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, "logs": logs}, file, separators=(",", ":"))
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
