"""A copy of a tree, so that one can be folded on while the other stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rlm_jupyter.events.agent_state import AgentState, CallState, CellState, ToolState, TurnState
from rlm_jupyter.events.tree_state import TreeState

Part = TypeVar("Part", AgentState, CallState, CellState, ToolState, TreeState, TurnState)


def copy_tree(state: TreeState) -> TreeState:
    """Returns a tree that shares nothing with `state` that an event changes in place.

    Some forty times as fast as `copy.deepcopy`: texts, messages and descriptions are never changed, and are shared.
    """
    calls: dict[int, CallState] = {}

    def call(old: CallState) -> CallState:
        new = calls[id(old)] = _shallow(old)
        return new

    made = _shallow(state)
    made.agents = {id_: _agent(agent, call) for id_, agent in state.agents.items()}
    # A completion is reached in two ways: of its agent, and by its number.
    made._calls = {  # noqa: SLF001 - the same class
        number: (agent, calls.get(id(old)) or call(old))
        for number, (agent, old) in state._calls.items()  # noqa: SLF001 - as above
    }
    made.limits, made.notices, made.held = dict(state.limits), list(state.notices), dict(state.held)
    return made


def _agent(old: AgentState, call: Callable[[CallState], CallState]) -> AgentState:
    made = _shallow(old)
    made.look = None if old.look is None else _shallow(old.look)
    made.turns = [_turn(turn, call) for turn in old.turns]
    made.calls = [call(one) for one in old.calls]
    made.tools = {name: _shallow(tool) for name, tool in old.tools.items()}
    made.variables, made.notices, made.children = dict(old.variables), list(old.notices), list(old.children)
    made.held, made.held_text = dict(old.held), dict(old.held_text)
    return made


def _turn(old: TurnState, call: Callable[[CallState], CallState]) -> TurnState:
    made = _shallow(old)
    made.call = call(old.call)
    made.cells = [_shallow(cell) for cell in old.cells]
    made.tool_calls = list(old.tool_calls)
    return made


def _shallow(old: Part) -> Part:
    made = object.__new__(type(old))
    made.__dict__.update(old.__dict__)
    return made
