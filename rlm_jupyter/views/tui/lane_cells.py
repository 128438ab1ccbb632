"""One agent's lane of the timeline as characters: a letter each for what it did in that part of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rlm_jupyter.events.tree_state import AgentState, TreeState

WAIT, MODEL, CODE, NONE = "─", "░", "█", " "
"""A lane's characters: it waits, the model answers, its code runs, it is not there."""
WORDS: Final = {MODEL: "model", CODE: "code", WAIT: "waiting"}
_CHILDREN = 5000


def lane(state: TreeState, agent: AgentState, start: float, end: float, width: int, now: float) -> str:
    """Returns the lane of an agent, `width` characters for the time from `start` to `end`.

    Code that waits for sub-agents does not work: it waits. What took any time at all has a character.

    Args:
        state: the tree; hold the run's lock while it is live.
        agent: one of its agents.
        start: of the time shown, in seconds since the epoch.
        end: of the time shown.
        width: characters.
        now: until when what goes on has lasted.
    """
    cells = [NONE] * width
    ends = agent.finished if agent.finished is not None else state.finished or now
    _paint(cells, [(agent.started, ends)], WAIT, start, end)
    _paint(cells, _code(agent, ends), CODE, start, end)
    _paint(cells, _below(state, agent, now), WAIT, start, end)
    _paint(cells, _model(agent, ends), MODEL, start, end)
    return "".join(cells)


def _paint(
    cells: list[str], spans: Iterable[tuple[float, float]], mark: str, start: float, end: float
) -> None:
    scale = len(cells) / max(end - start, 1e-9)
    for begins, ends in spans:
        first = int(max(begins - start, 0.0) * scale)
        last = int(min(max(ends - start, 0.0) * scale, len(cells)))
        if ends < start or begins > end or first >= len(cells):
            continue
        for at in range(first, max(last, first + 1)):
            cells[at] = mark


def _code(agent: AgentState, ends: float) -> Iterator[tuple[float, float]]:
    for turn in agent.turns:
        for cell in turn.cells:
            yield cell.started, ends if cell.seconds is None else cell.started + cell.seconds


def _model(agent: AgentState, ends: float) -> Iterator[tuple[float, float]]:
    for call in (turn.call for turn in agent.turns):
        yield call.started, ends if call.seconds is None else call.started + call.seconds


def _below(state: TreeState, agent: AgentState, now: float) -> Iterator[tuple[float, float]]:
    for child in (state.agents.get(id_) for id_ in agent.children[:_CHILDREN]):
        if child is not None:
            yield child.started, child.finished or state.finished or now
