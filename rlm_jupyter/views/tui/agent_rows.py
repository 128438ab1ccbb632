"""The agents of a tree as rows, in the order in which they are drawn, with the branches that are folded left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rlm_jupyter.events.tree_state import TreeState

_DEEPEST = 12
"""Levels that are drawn with their lines; below these a row says how deep it is. A log may claim any depth."""


@dataclass(frozen=True, slots=True)
class Row:
    """One agent in the tree.

    Attributes:
        id: of the agent.
        lines: the lines of the tree before it.
        folded: whether what is below it is left out; None if nothing is below it.
    """

    id: str
    lines: str
    folded: bool | None


def agent_rows(state: TreeState, folded: Collection[str]) -> list[Row]:
    """Returns the rows of a tree; of one in a damaged log too, each agent once.

    Args:
        state: hold the run's lock while it is live.
        folded: the ids of agents whose sub-agents are left out.
    """
    made: list[Row] = []
    seen: set[str] = set()
    # Not all that have a parent are below it: in a damaged log some began before their parents.
    children = {child for agent in state.agents.values() for child in agent.children}
    left = [(id_, "", "", 0) for id_ in reversed(state.agents) if id_ not in children]
    while left:
        id_, first, rest, depth = left.pop()
        agent = state.agents.get(id_)
        if agent is None or id_ in seen:
            continue
        seen.add(id_)
        is_folded = id_ in folded
        made.append(Row(id_, first, is_folded if agent.children else None))
        if is_folded:
            continue
        below = len(left)
        for child in reversed(agent.children):
            last = len(left) == below
            if depth < _DEEPEST:
                row = (child, rest + ("└─" if last else "├─"), rest + ("  " if last else "│ "), depth + 1)
            else:
                row = (child, f"{rest}({depth + 1:,}) ", rest, depth + 1)
            left.append(row)
    return made


def path_to(state: TreeState, agent_id: str) -> list[str]:
    """Returns the ids of the agents above one, the nearest first; it ends where a damaged log goes in a circle."""
    found: dict[str, None] = {}
    agent = state.agents.get(agent_id)
    while agent is not None and agent.parent in state.agents and agent.parent not in found:
        found[agent.parent] = None
        agent = state.agents[agent.parent]
    return list(found)
