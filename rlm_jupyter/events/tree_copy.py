"""A tree that goes on from another one, which stays as it was: what an event changes is copied first, the rest shared.

To copy a tree of thousands of agents takes a second; an event changes a part or two of one of them.
"""

from __future__ import annotations

from typing import TypeVar

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import AgentState, CallState, CellState, MapState, ToolState, TurnState
from rlm_jupyter.events.tree_state import TreeState

Part = TypeVar("Part", AgentState, CallState, CellState, MapState, ToolState, TreeState, TurnState)


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
        made.user_answers = list(base.user_answers)
        made.branches, made.branch_trees = dict(base.branches), dict(base.branch_trees)
        self._branches: dict[str, BranchedTree] = {}
        self._own: dict[int, object] = {}
        """What was copied for this tree, by its identity; held, so that no other object can have the same one."""

    def apply(self, event: ev.AnyEvent) -> None:
        """Fold one event into the tree, as `TreeState.apply`, after what it changes was copied."""
        if isinstance(event, ev.BranchEvent):
            self._branch(event)
            return
        if isinstance(event, ev.AgentStarted):
            self._agent(event.parent)
        if isinstance(event, ev.RunStarted):
            self._agent("0")
        if (agent := self._agent(event.agent)) is not None:
            self._parts(agent, event)
        self.state.apply(event)

    def _parts(self, agent: AgentState, event: ev.AnyEvent) -> None:
        match event:
            case ev.AgentFinished():
                self._agent(agent.parent)
            case ev.ReplyDelta() | ev.ReplyFinished() | ev.ReplyFailed():
                self._call(agent, event.call)
            case ev.CodeStarted() if agent.turns:
                self._turn(agent, len(agent.turns) - 1)
            case ev.CodeOutput() | ev.CodeFinished():
                self._cell(agent, event.cell)
            case ev.ToolCalled() | ev.TableQueried():
                agent.tools = {name: _shallow(tool) for name, tool in agent.tools.items()}
                for at in range(len(agent.turns) - 1, -1, -1):
                    if agent.turns[at].turn == event.turn:
                        self._turn(agent, at)
                        break
            case ev.RowsMapped() | ev.FunctionWritten() if agent.mapping is not None:
                agent.mapping = _shallow(agent.mapping)
            case _:
                pass

    def _branch(self, event: ev.BranchEvent) -> None:
        """Fold an event of a branch into the tree of that branch, which is another one from then on."""
        self.state.seq, self.state.last = event.seq, event.time
        if event.branch not in self.state.branches or not isinstance(event.event, ev.Event):
            return
        if event.branch not in self._branches:
            known = self.state.branch_trees.get(event.branch, TreeState())
            self._branches[event.branch] = BranchedTree(known)
            self.state.branch_trees[event.branch] = self._branches[event.branch].state
        self._branches[event.branch].apply(event.event)  # type: ignore[arg-type]

    def _agent(self, id_: str | None) -> AgentState | None:
        known = self.state.agents.get(id_ or "")
        if known is None or id(known) in self._own:
            return known
        made = _shallow(known)
        made.turns, made.calls, made.tools = list(known.turns), list(known.calls), dict(known.tools)
        made.variables, made.notices = dict(known.variables), list(known.notices)
        made.children, made.held = list(known.children), dict(known.held)
        made.held_text = dict(known.held_text)
        self._own[id(made)] = made
        self.state.agents[known.id] = made
        return made

    def _turn(self, agent: AgentState, at: int) -> TurnState:
        known = agent.turns[at]
        if id(known) in self._own:
            return known
        made = _shallow(known)
        made.cells, made.tool_calls = list(known.cells), list(known.tool_calls)
        self._own[id(made)] = made
        agent.turns[at] = made
        return made

    def _call(self, agent: AgentState, number: int) -> None:
        """Copy a completion; it is reached in two ways: of its agent, and by its number."""
        owner, known = self.state.completions.get(number, ("", None))
        if known is None or owner != agent.id or id(known) in self._own:
            return
        made = _shallow(known)
        self._own[id(made)] = made
        self.state.completions[number] = (owner, made)
        for at in range(len(agent.turns) - 1, -1, -1):
            if agent.turns[at].call is known:
                self._turn(agent, at).call = made
                return
        for at in range(len(agent.calls) - 1, -1, -1):
            if agent.calls[at] is known:
                agent.calls[at] = made
                return

    def _cell(self, agent: AgentState, number: int) -> None:
        for at in range(len(agent.turns) - 1, -1, -1):
            cells = agent.turns[at].cells
            for place in range(len(cells) - 1, -1, -1):
                if cells[place].cell == number:
                    self._turn(agent, at).cells[place] = _shallow(cells[place])
                    return
        if agent.look is not None and agent.look.cell == number:
            agent.look = _shallow(agent.look)


def _shallow(old: Part) -> Part:
    made = object.__new__(type(old))
    made.__dict__.update(old.__dict__)
    return made
