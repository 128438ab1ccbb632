"""Looks an agent up in a tree, by the id that a person or a page gave."""

from __future__ import annotations

from rlm_jupyter.errors import AgentNotFoundError
from rlm_jupyter.events.tree_state import AgentState, TreeState
from rlm_jupyter.text.sanitize import one_line

_NAMED = 20


def find_agent(state: TreeState, agent_id: str) -> AgentState:
    """Find an agent by its id.

    Raises:
        AgentNotFoundError: there is none; the message names those there are.
    """
    agent = state.agents.get(agent_id)
    if agent is None:
        known = ", ".join(f"`{id_}`" for id_ in list(state.agents)[:_NAMED]) or "none yet"
        more = "" if len(state.agents) <= _NAMED else f" and {len(state.agents) - _NAMED:,} more"
        raise AgentNotFoundError(
            f"The run `{state.run}` has no agent `{one_line(agent_id, 40)}`. Agents are: {known}{more}."
        )
    return agent
