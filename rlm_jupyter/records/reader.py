"""Reads a run's log: the same tree again, also from a log that was cut short at any byte."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rlm_jupyter.answer_code.answer_code import AnswerCode, answer_code
from rlm_jupyter.diagnosis.finding import Diagnosis
from rlm_jupyter.diagnosis.run_diagnosis import diagnose
from rlm_jupyter.events.log_lines import LogLines, read_log


@dataclass(frozen=True)
class Record(LogLines):
    """What a log tells: what its lines hold, and what follows from that."""

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
    return Record(**vars(read_log(path)))
