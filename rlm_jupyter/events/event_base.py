"""What all events have; the kinds of events are in `events`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Description = dict[str, Any]
"""What is shown of a value: see `rlm_jupyter.values.describe.api`."""


class Event(BaseModel):
    """What all events have."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, protected_namespaces=())

    kind: str
    run: str
    agent: str
    seq: int
    """Counts the run's events from 1."""
    time: float
    """Seconds since the epoch."""
