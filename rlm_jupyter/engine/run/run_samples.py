"""What a run says of its samples: a part of `Run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.run.run_reports import RunReports
from rlm_jupyter.engine.samples.sample_loop import SampleLoop
from rlm_jupyter.events.agreement import Agreement

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.events.tree_state import TreeState


class SampledAnswer(RunReports):
    """The samples of a run's question, and whose answer is the run's."""

    _conductor: Conductor

    @property
    def tree(self) -> TreeState:
        """The tree so far."""
        return self._conductor.journal.state

    @property
    def agreement(self) -> Agreement | None:
        """The share of the samples that agree with the value, from 0 to 1; None without samples, or before the end.

        It says more: `.text` (`2 of 3 agree`), `.frame()` (where the answers differ), and after a verification `.why`.
        """
        told = self.tree.agreement
        return None if told is None else Agreement(told)

    @property
    def answering(self) -> Agent | None:
        """The agent whose kernel and chat the answer came from: the root, or a sample; None if there is none."""
        root = self._conductor.agents.get("0")
        if isinstance(root, SampleLoop):
            return root.answering
        return root
