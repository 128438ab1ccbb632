"""A tree that goes on from another one, which stays as it was: what an event changes is copied first, the rest shared.

To copy a tree of thousands of agents takes a second; an event changes one or two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import AgentState, CallState, CellState, ToolState, TurnState
from rlm_jupyter.events.tree_state import TreeState

Part = TypeVar("Part", AgentState, CallState, CellState, ToolState, TreeState, TurnState)


class BranchedTree:
    """Folds events into a tree without changing the one with which it begins.

    Args:
        base: that tree; nobody may change it as long as this one is used.

    Attributes:
        state: the tree.
    """

    def __init__(self, base: TreeState) -> None:
        made = self.state = _shallow(base)
        made.agents, made.completions = dict(base.agents), dict(base.completions)
        made.limits, made.notices, made.held = dict(base.limits), list(base.notices), dict(base.held)
        self._own: set[str] = set()

    def apply(self, event: ev.AnyEvent) -> None:
        """Fold one event into the tree, as `TreeState.apply`."""
        for id_ in self._changed_by(event):
            if id_ not in self._own and id_ in self.state.agents:
                self._own.add(id_)
                self.state.agents[id_] = self._copied(self.state.agents[id_])
        self.state.apply(event)

    def _changed_by(self, event: ev.AnyEvent) -> Iterator[str]:
        yield event.agent
        if isinstance(event, ev.AgentStarted):
            if event.agent not in self.state.agents:
                self._own.add(event.agent)  # this event makes it
            if event.parent is not None:
                yield event.parent
        elif isinstance(event, ev.AgentFinished):
            agent = self.state.agents.get(event.agent)
            if agent is not None and agent.parent is not None:
                yield agent.parent
        elif isinstance(event, (ev.ReplyDelta, ev.ReplyFinished, ev.ReplyFailed)):
            # In a log that somebody made, it may be another agent's completion.
            known = self.state.completions.get(event.call)
            if known is not None:
                yield known[0]

    def _copied(self, old: AgentState) -> AgentState:
        made = _shallow(old)
        made.look = None if old.look is None else _shallow(old.look)
        made.turns = [self._turn(turn) for turn in old.turns]
        made.calls = [self._call(call) for call in old.calls]
        made.tools = {name: _shallow(tool) for name, tool in old.tools.items()}
        made.variables, made.notices = dict(old.variables), list(old.notices)
        made.children, made.held, made.held_text = list(old.children), dict(old.held), dict(old.held_text)
        return made

    def _turn(self, old: TurnState) -> TurnState:
        made = _shallow(old)
        made.call = self._call(old.call)
        made.cells = [_shallow(cell) for cell in old.cells]
        made.tool_calls = list(old.tool_calls)
        return made

    def _call(self, old: CallState) -> CallState:
        """Copies a completion; it is reached in two ways: of its agent, and by its number."""
        made = _shallow(old)
        known = self.state.completions.get(old.call)
        if known is not None and known[1] is old:
            self.state.completions[old.call] = (known[0], made)
        return made


def _shallow(old: Part) -> Part:
    made = object.__new__(type(old))
    made.__dict__.update(old.__dict__)
    return made
