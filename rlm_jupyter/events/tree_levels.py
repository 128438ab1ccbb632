"""How much of a run is handed on: all of it, its code without the data, or its structure without any text.

Pure functions of the tree: whatever is made of the result has no more than its level allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlm_jupyter.events.levels import Level
from rlm_jupyter.events.tree_state import AgentState, CallState, CellState, ToolState, TreeState, TurnState
from rlm_jupyter.text.units import size

LEFT_OUT = "(left out)"

_NAME = re.compile(r"[A-Za-z_][\w.]{0,60}")
_ERROR = re.compile(r"[A-Z]\w{0,60}")
_DTYPES = re.compile(r"[\w.\[\], /:<>=-]{1,40}")
_MANY = 40


def reduced(tree: TreeState, level: Level) -> TreeState:
    """Returns a copy of a tree that has no more than a level allows; of `all` the tree itself."""
    if level == "all":
        return tree
    bare = level == "structure"
    return replace(
        tree,
        question=LEFT_OUT if bare else tree.question,
        provenance=None if bare else tree.provenance,
        sandbox="" if bare else tree.sandbox,
        context=_described(tree.context, bare=bare),
        context_names=() if bare else tree.context_names,
        value=_described(tree.value, bare=bare),
        excerpt=None,
        pictures=(),
        proof=None if tree.proof is None else {**tree.proof, "detail": ""},  # it may quote what differs
        agreement=_agreement(tree.agreement),
        samples=None if bare else tree.samples,
        error=_error(tree.error),
        notices=[],
        estimate=None if tree.estimate is None else replace(tree.estimate, why=""),
        user_question=None,
        user_answers=[],
        agents={id_: _agent(agent, bare=bare) for id_, agent in tree.agents.items()},
        completions={},
        identity="",  # whoever guesses the question could try the guess on a hash
        identity_parts={},
        branches={
            id_: replace(
                branch,
                log=None if bare else branch.log,
                value=_described(branch.value, bare=bare),
                error=_error(branch.error),
            )
            for id_, branch in tree.branches.items()
        },
        branch_trees={id_: reduced(branch, level) for id_, branch in tree.branch_trees.items()},
    )


def _agent(agent: AgentState, *, bare: bool) -> AgentState:
    variables = enumerate(agent.variables.items(), 1)
    return replace(
        agent,
        question=LEFT_OUT if bare else agent.question,
        name=None if bare else agent.name,
        context=_described(agent.context, bare=bare),
        look=None if agent.look is None else _cell(agent.look, bare=bare),
        turns=[_turn(turn, bare=bare) for turn in agent.turns],
        calls=[_call(call, text=False) for call in agent.calls],
        handed=() if bare else agent.handed,
        tools=_tools(agent.tools, bare=bare),
        variables={
            f"variable {number}" if bare else name: _described(item, bare=bare) or {}
            for number, (name, item) in variables
        },
        value=_described(agent.value, bare=bare),
        error=_error(agent.error),
        notices=[],
        pending_code=_code(agent.pending_code, bare=bare),
        held_text={},
    )


def _turn(turn: TurnState, *, bare: bool) -> TurnState:
    calls = [
        replace(call, name="tool" if bare else call.name, error=_error(call.error))
        for call in turn.tool_calls
    ]
    return replace(
        turn,
        call=_call(turn.call, text=not bare),
        cells=[_cell(cell, bare=bare) for cell in turn.cells],
        tool_calls=calls,
    )


def _call(call: CallState, *, text: bool) -> CallState:
    return replace(call, messages=(), text=call.text if text else "", error=_error(call.error))


def _cell(cell: CellState, *, bare: bool) -> CellState:
    return replace(
        cell,
        code=_code(cell.code, bare=bare) or "",
        output="",
        cut=cell.cut + len(cell.output),
        error=_error(cell.error),
        pictures=(),
    )


def _code(code: str | None, *, bare: bool) -> str | None:
    if code is None or not bare:
        return code
    return f"# {len(code):,} characters left out"


def _tools(tools: Mapping[str, ToolState], *, bare: bool) -> dict[str, ToolState]:
    named = {f"tool {number}": tool for number, tool in enumerate(tools.values(), 1)} if bare else dict(tools)
    return {
        key: replace(
            tool,
            name=key if bare else tool.name,
            server=None if bare else tool.server,
            error=_error(tool.error),
        )
        for key, tool in named.items()
    }


def _agreement(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns how many samples agree, without what they said: answers, and words about them, are data."""
    return None if given is None else {**given, "why": "", "check": "", "columns": (), "rows": (), "more": 0}


def _error(error: str | None) -> str | None:
    """Returns the class of an error, which stands first; its text may quote data."""
    if error is None:
        return None
    name = error.partition(":")[0].strip()
    return f"{name}: {LEFT_OUT}" if _ERROR.fullmatch(name) else LEFT_OUT


def _described(given: Mapping[str, Any] | None, *, bare: bool) -> dict[str, Any] | None:
    """Returns a description without what it quotes: type, size, shape, and unless `bare` the names of columns."""
    if given is None:
        return None
    kept = {key: given[key] for key in ("bytes", "length", "turn", "place") if _is_small(given.get(key))}
    shape = given.get("shape")
    if isinstance(shape, (list, tuple)):
        kept["shape"] = [n for n in shape[:8] if n is None or _is_small(n)]
    kind = given.get("type")
    kept["type"] = kind if isinstance(kind, str) and _NAME.fullmatch(kind) else "object"
    columns = given.get("columns")
    if not bare and isinstance(columns, (list, tuple)):
        kept["columns"] = [_column(each) for each in columns[:_MANY] if isinstance(each, Mapping)]
    kept["summary"] = _summary(kept)
    return kept


def _is_small(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return whole or value in ("memory", "disk", "shared")


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    dtype = column.get("dtype")
    return {
        "name": column.get("name"),
        "dtype": dtype if isinstance(dtype, str) and _DTYPES.fullmatch(dtype) else "",
        "nulls": column.get("nulls") if _is_small(column.get("nulls")) else None,
    }


def _summary(kept: Mapping[str, Any]) -> str:
    sides = " x ".join("?" if n is None else f"{n:,}" for n in kept.get("shape") or ())
    if not sides and "length" in kept:
        sides = f"of {kept['length']:,}"
    weighs = f", {size(kept['bytes'])}" if "bytes" in kept else ""
    return f"{kept['type']} {sides}".rstrip() + weighs
