"""How a run was started: what a follow-up question, or a branch, needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunArguments:
    """How a run was started.

    Attributes:
        start: starts another run with the same models and settings (`RLM.start`).
        branch: starts a run that leaves the run at a turn, under the same limits; it takes the run, and the fields of a
            `Branch`.
        env: variables of its kernels.
        servers: configurations of its MCP servers.
    """

    start: Callable[..., Any]
    branch: Callable[..., Any]
    env: dict[str, str]
    servers: dict[str, Any]
