"""What a run's log tells of its branches: runs of their own that leave it at a turn, with logs of their own.

Nothing of the run itself is changed by them: they come after its end.
"""

from __future__ import annotations

from typing import Any, Literal

from rlm_jupyter.events.event_base import Description, Event

Change = Literal["code", "observation"]
"""What of the turn is another one in the branch."""


class BranchStarted(Event):
    """A run began that leaves this one at a turn of the agent."""

    kind: Literal["branch_started"] = "branch_started"
    branch: str
    """The id of that run."""
    turn: int
    change: Change
    log: str | None = None
    """The name of its log, in the directory of this one; None if it has none."""


class BranchFinished(Event):
    """That run ended; what it spent is not in this run's figures."""

    kind: Literal["branch_finished"] = "branch_finished"
    branch: str
    status: Literal["running", "done", "failed", "stopped", "limit"]
    agents: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    """USD; None if it is not known."""
    seconds: float
    value: Description | None = None
    error: str | None = None


class BranchEvent(Event):
    """An event of that run; shown, not logged: its own log has it."""

    kind: Literal["branch_event"] = "branch_event"
    branch: str
    event: Any
    """The event; anything else is not looked at."""
