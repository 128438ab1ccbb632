"""A run of which somebody handed over the log: for views, which show it as they show a run of this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records.past_run import PastRun
from rlm_jupyter.records.reader import Record, load


class ReplayedRun(PastRun):
    """The run that a log tells of; no kernel and no value is left of it.

    Args:
        record: what was read.
        path: the log.
    """

    def __init__(self, record: Record, path: Path) -> None:
        super().__init__(record.tree, record.tree.question, path)
        self._record = record

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> ReplayedRun:
        """Read a log.

        Raises:
            RunNotFoundError, LogError: there is none, or it cannot be read.
        """
        return cls(load(path), Path(path))

    @property
    def tree(self) -> TreeState:
        """The state after the last event of the log."""
        return self._record.tree

    @property
    def events(self) -> Sequence[ev.AnyEvent]:
        """The events of the log."""
        return self._record.events
