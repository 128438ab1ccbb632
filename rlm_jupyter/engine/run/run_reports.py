"""What a run can be asked about itself afterwards: a part of `Run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.diagnosis.finding import Diagnosis
    from rlm_jupyter.engine.run.conductor import Conductor


class RunReports:
    """Reports that are made of a run's events."""

    _conductor: Conductor

    @property
    def identity(self) -> str:
        """A hash over what determines the run; equal for equal runs. Its parts are in `tree.identity_parts`."""
        return self._conductor.journal.state.identity

    def diagnose(self) -> Diagnosis:
        """Returns what stands out in the run so far: errors, limits, waste of money and time, each with a next step."""
        from rlm_jupyter.diagnosis.run_diagnosis import diagnose

        journal = self._conductor.journal
        with journal.lock:
            events = list(journal.events)
        return diagnose(events)
