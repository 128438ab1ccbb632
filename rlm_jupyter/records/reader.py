"""Reads a run's log: the same tree again, also from a log that was cut short at any byte."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from rlm_jupyter.answer_code.answer_code import AnswerCode, answer_code
from rlm_jupyter.diagnosis.finding import Diagnosis
from rlm_jupyter.diagnosis.run_diagnosis import diagnose
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.log_lines import read_log
from rlm_jupyter.events.tree_state import TreeState


@dataclass(frozen=True)
class Record:
    """What a log tells.

    Attributes:
        tree: the run's state after the last event that could be read.
        events: in their order.
        torn: whether the last line was cut short, so that the writer was killed while it wrote.
        unknown: events of kinds that this version does not know; they are skipped.
        damaged: lines that are not events; they are skipped.
        path: the log.
    """

    tree: TreeState = field(repr=False)
    events: list[ev.AnyEvent] = field(repr=False)
    torn: bool = False
    unknown: int = 0
    damaged: int = 0
    path: Path | None = None

    def code(self) -> AnswerCode:
        """Returns the code behind the answer; it is not run again, since a log has no data.

        Raises:
            NoAnswerCodeError: there is none, with the reason.
        """
        made = answer_code(self.events)
        made.detail = made.detail or "a log has no data to run it on"
        return made

    def diagnose(self) -> Diagnosis:
        """Returns what stands out in the run: errors, limits, waste of money and time, each with a next step."""
        return diagnose(self.events)


def load(path: str | os.PathLike[str]) -> Record:
    """Read a run's log.

    Raises:
        RunNotFoundError: there is no file at `path`.
        LogError: it is not a log of a run, or one that only a newer version can read.
    """
    read = read_log(path)
    return Record(read.tree, read.events, read.torn, read.unknown, read.damaged, read.path)
