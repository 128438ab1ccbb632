"""Finds a text in all that a tree holds: questions, replies, code, outputs, variables, errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlm_jupyter.events.tree_state import AgentState


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where it stands.

    Attributes:
        agent: the agent's id.
        turn: the turn; 0 if it is none of its turns.
    """

    agent: str
    turn: int


def hits_in(agent: AgentState, query: str) -> Iterator[Hit]:
    """Yields where an agent has a text, once for each of its turns; case does not matter.

    Args:
        agent: hold the run's lock while it is live.
        query: a text, taken literally.
    """
    wanted = query.lower()
    if any(wanted in text.lower() for text in _own_texts(agent)):
        yield Hit(agent.id, 0)
    for turn in agent.turns:
        texts = [turn.call.text, turn.call.error or ""]
        for cell in turn.cells:
            texts += [cell.code, cell.output, cell.error or ""]
        if any(wanted in text.lower() for text in texts):
            yield Hit(agent.id, turn.turn)


def _own_texts(agent: AgentState) -> Iterator[str]:
    yield agent.id
    yield agent.name or ""
    yield agent.question
    yield agent.error or ""
    yield from agent.notices
    for name, item in agent.variables.items():
        yield name
        yield str(item.get("summary") or "")
    if agent.value is not None:
        yield str(agent.value.get("summary") or "")
        yield str(agent.value.get("preview") or "")
    for call in agent.calls:
        yield call.text
        yield call.messages[-1].get("content", "") if call.messages else ""
