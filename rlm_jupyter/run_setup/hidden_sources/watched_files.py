"""Files whose hidden values are known: if one changes, nothing more is sent, as what it holds now is not known."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rlm_jupyter.errors import HiddenDataChangedError

_FEW: Final = 200
"""Files up to which all are looked at before each request."""
_SHARE: Final = 10
"""A look at more takes place again after so many times what the last one took."""

_OF_SQLITE: Final = "-wal"

State = tuple[int, int, int, int]


class WatchedFiles:
    """Says whether files and folders are as they were.

    Args:
        paths: of files and folders.
        ignored: a folder below them in which this process writes itself, such as that of the logs.
    """

    def __init__(self, paths: Iterable[str], ignored: Path | None = None) -> None:
        self._roots = tuple(dict.fromkeys(paths))
        self._ignored = None if ignored is None else str(ignored.expanduser().resolve())
        self._states = dict(self._look())
        self._next = 0.0
        self._changed: str | None = None
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._roots)

    def check(self) -> None:
        """Refuse to go on if a file changed, came or went.

        Raises:
            HiddenDataChangedError: which.
        """
        with self._lock:
            if self._changed is None and time.monotonic() >= self._next:
                self._compare()
        if self._changed is not None:
            raise HiddenDataChangedError(
                f"`{self._changed}` changed while the run went on, and has hidden columns or lies beside files that "
                "have: what it holds now is not known, so nothing more is sent. Ask again, and leave the data as it is "
                "until the run has ended."
            )

    def _compare(self) -> None:
        """Look at the files, and remember for good if one is not as it was."""
        began = time.thread_time()
        now = dict(self._look())
        if len(now) > _FEW:
            self._next = time.monotonic() + _SHARE * (time.thread_time() - began)
        if now != self._states:
            different = {path for path in {*now, *self._states} if now.get(path) != self._states.get(path)}
            self._changed = min(different)

    def _look(self) -> Iterator[tuple[str, State]]:
        for root in self._roots:
            yield from self._look_at(root)

    def _look_at(self, path: str) -> Iterator[tuple[str, State]]:
        try:
            status = os.stat(path)  # noqa: PTH116 - of very many
        except OSError:
            return
        if path.endswith(_OF_SQLITE) and not status.st_size:
            return  # a reader of SQLite makes one where there is none
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            yield path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            return
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if os.path.join(folder, name) != self._ignored]  # noqa: PTH118
            for name in names:
                inside = os.path.join(folder, name)  # noqa: PTH118
                if not os.path.islink(inside) and not name.endswith("-shm"):  # noqa: PTH114 - of SQLite's readers
                    yield from self._look_at(inside)
