"""What a run needs of the log that its events are written to; the log itself is above the engine."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Protocol


class EventLog(Protocol):
    """The log of a run's events (`rlm_jupyter.records.log`)."""

    @property
    def path(self) -> Path:
        """Of its file."""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is lost."""

    def flush(self) -> Future[None]:
        """Return a future that is done when all events so far are written."""

    def end(self) -> Future[None]:
        """Write what waits, then close the file; return a future that is done then."""
