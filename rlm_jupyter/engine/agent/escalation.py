"""A stronger model for an agent that fails: after some failed turns in a row, its requests go to it until its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.events.agent_state import TurnState


def escalate(agent: Agent) -> None:
    """Give an agent the stronger model if its newest turns have all failed; called before each of its turns.

    A turn has failed if no code of it ran, or if a cell of it did not end well: an error, an answer that was sent back,
    a time limit, a lost kernel. One good turn begins the count anew. Nothing leads back to the weaker model.
    """
    services = agent.services
    strong, most = services.strong_model, services.settings.strong_after
    if strong is None or agent.spec.model is strong:
        return
    turns = services.journal.state.agents[agent.id].turns
    if len(turns) < most or not all(map(_failed, turns[-most:])):
        return
    weaker = agent.spec.model.name
    agent.spec = replace(agent.spec, model=strong)
    services.journal.emit(
        ev.Notice,
        agent.id,
        text=f"{most} turns in a row failed with `{weaker}`: from now on this agent asks `{strong.name}`.",
    )


def _failed(turn: TurnState) -> bool:
    return not turn.cells or any(cell.status != "ok" for cell in turn.cells)
