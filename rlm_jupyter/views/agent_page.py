"""All of one agent for its page: turns, cells, plain completions, variables, value; and its exact prompt.

An answer is bounded (64 KB): the newest turns are whole, older ones are cut, the oldest are counted. What
comes from an agent's kernel may have any shape, so each field is checked here: a reader gets the types it
expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from rlm_jupyter.events.events import CellPicture
from rlm_jupyter.events.tree_state import (
    AgentState,
    CallState,
    CellState,
    ToolCallState,
    TreeState,
    TurnState,
)
from rlm_jupyter.text.sanitize import clean, head_tail, omitted, one_line
from rlm_jupyter.values.charts.embedded import fitted
from rlm_jupyter.views import protocol
from rlm_jupyter.views.branch_rows import branches_of_turn, with_branches
from rlm_jupyter.views.description import ROWS, description
from rlm_jupyter.views.find_agent import find_agent
from rlm_jupyter.views.json_numbers import count, finite
from rlm_jupyter.views.thumbnails import Thumbnails
from rlm_jupyter.views.widget_messages import MAX_BYTES, json_size

_QUESTION = 3000
_FIELD = 8000
_LOOK = 3000
_SHORT = 200
_FEW = 4
_ITEMS = 30
_TOOLS = 50
_NAME = 120
_PICTURES = 8
_PICTURE_CHARS = (45_000, 12_000, 3_000)
"""Of one picture in base64: it is made smaller where a page has no room for it as it is."""
_TOOL_CALLS = {_FIELD: 40, 1500: 15}
_CALLS_SHARE = 0.1
_VARIABLES_SHARE = 0.2

T = TypeVar("T")
Made = TypeVar("Made")


def detail(
    state: TreeState, agent_id: str, *, turn: int | None = None, max_bytes: int = MAX_BYTES
) -> protocol.Detail:
    """Make an agent's page.

    Args:
        state: the tree; hold the run's lock while it is live.
        agent_id: whose page.
        turn: the turn that must be whole; None is the newest.
        max_bytes: of the answer, as JSON.

    Raises:
        AgentNotFoundError: the run has no agent of that id.
    """
    state = with_branches(state)
    agent = find_agent(state, agent_id)
    page: protocol.Detail = {
        "question": head_tail(agent.question, _QUESTION),
        "context": _bounded(agent.context, max_bytes // 6, rows=3, items=12),
        "tools": [one_line(name, _NAME) for name in tool_names(agent)[:_TOOLS]],
        "look": None if agent.look is None else _cell(agent.look, _LOOK),
        "turns": [],
        "sub_calls": [],
        "variables": [],
        "notices": [clean(text, 500) for text in agent.notices[-8:]],
        "value": _bounded(agent.value, max_bytes // 3, items=_ITEMS),
        "error": None if agent.error is None else head_tail(agent.error, _QUESTION),
        "cut": {},
    }
    cut = page["cut"]
    thumbnails = Thumbnails(state, agent)
    if page["value"] is not None and (picture := thumbnails.of(agent.value, value=True)) is not None:
        page["value"]["thumbnail"] = picture
    room = max_bytes - json_size(page) - 300
    variables = [{"name": name, **item} for name, item in agent.variables.items()]
    of_variables: list[Callable[[Mapping[str, Any]], protocol.Variable]] = [
        partial(_pictured_variable, thumbnails),
        _variable,
        _brief_variable,
    ]
    page["variables"], cut["variables"] = _fit(variables, of_variables, int(room * _VARIABLES_SHARE))
    newest = reversed(agent.calls)
    page["sub_calls"], cut["sub_calls"] = _fit(newest, [_plain_call, _brief_call], int(room * _CALLS_SHARE))
    page["sub_calls"].reverse()
    wanted = [t for t in agent.turns if t.turn == turn] + [t for t in reversed(agent.turns) if t.turn != turn]
    sent = _sent_chars(agent)
    forms = [partial(_turn, sent=sent, limit=limit) for limit in (_FIELD, 1500, _SHORT)]
    forms[:0] = [partial(_turn, sent=sent, limit=_FIELD, pictures=chars) for chars in _PICTURE_CHARS]
    page["turns"], cut["turns"] = _fit(
        wanted, forms, room - json_size([page["variables"], page["sub_calls"]])
    )
    page["turns"].sort(key=lambda item: item["turn"])
    branched = branches_of_turn(state, agent)
    for shown in page["turns"]:
        if found := branched.get(shown["turn"]):
            shown["branches"] = [{"agent": id_, "title": name} for id_, name in found]
    return page


def tool_names(agent: AgentState) -> list[str]:
    """Name the tools and MCP servers that an agent was handed, and what else it called in the notebook."""
    others = (name for name, tool in agent.tools.items() if (tool.server or name) not in agent.handed)
    return [*agent.handed, *others]


def _fit(items: Iterable[T], forms: Sequence[Callable[[T], Made]], room: int) -> tuple[list[Made], int]:
    """Take items in order, each in the first of its `forms` that fits; tell how many did not fit at all."""
    taken: list[Made] = []
    left_out = 0
    for item in items:
        for form in forms:
            made = form(item)
            needs = json_size(made) + 2
            if needs <= room:
                room -= needs
                taken.append(made)
                break
        else:
            left_out += 1
    return taken, left_out


def _sent_chars(agent: AgentState) -> dict[int, int]:
    """Returns how long each turn's whole prompt was, in characters: by the number of its call."""
    lengths: list[int] = []
    sent: dict[int, int] = {}
    reply = 0
    for turn in agent.turns:
        call = turn.call
        if call.start == len(lengths) + 1:  # the reply before it is known already, so it was not told again
            lengths.append(reply)
        reply = len(call.text)
        lengths[call.start :] = [len(message.get("content", "")) for message in call.messages]
        sent[call.call] = sum(lengths)
    return sent


def _turn(turn: TurnState, sent: Mapping[int, int], limit: int, *, pictures: int = 0) -> protocol.Turn:
    call = turn.call
    texts = [call.text, *(text for cell in turn.cells for text in (cell.code, cell.output))]
    return {
        "turn": count(turn.turn),
        "sent_chars": sent.get(call.call, 0),
        "reply": head_tail(call.text, limit),
        "cells": [_cell(cell, limit, pictures=pictures) for cell in turn.cells],
        "shortened": sum(omitted(text, limit) for text in texts),
        "tool_calls": [_tool_call(one, limit) for one in newest_tool_calls(turn, _TOOL_CALLS.get(limit, 4))],
        "tools_called": turn.tools_called,
        "input_tokens": count(call.input_tokens),
        "output_tokens": count(call.output_tokens),
        "cost": finite(call.cost),
        "model": one_line(call.model, 80),
        "finish_reason": one_line(call.finish_reason, 40) or None,
        "cached": call.cached,
        "estimated": call.estimated,
        "started": finite(call.started),
        "seconds": finite(call.seconds),
        "streaming": call.status == "running",
        "error": None if call.error is None else clean(call.error, limit),
    }


def newest_tool_calls(turn: TurnState, most: int) -> list[ToolCallState]:
    """Returns the newest calls of tools; one that failed has precedence over one that did not."""
    order = sorted(range(len(turn.tool_calls)), key=lambda at: (turn.tool_calls[at].ok, -at))[:most]
    return [turn.tool_calls[at] for at in sorted(order)]


def _rows(call: ToolCallState) -> str:
    return "" if call.rows is None else f" ({call.rows:,} {'row' if call.rows == 1 else 'rows'})"


def _tool_call(call: ToolCallState, limit: int) -> protocol.ToolCall:
    shown: protocol.ToolCall = {
        "name": one_line(f"{call.name}{_rows(call)}", _NAME),
        "seconds": finite(round(call.seconds, 3)),
        "ok": call.ok,
    }
    if call.error is not None:
        shown["error"] = clean(call.error, min(limit, 500))
    return shown


def _cell(cell: CellState, limit: int, *, pictures: int = 0) -> protocol.Cell:
    return {
        "cell": count(cell.cell),
        "code": head_tail(cell.code, limit),
        "output": head_tail(cell.output, limit),
        "cut": count(cell.cut),
        "status": cell.status,
        "error": None if cell.error is None else clean(cell.error, limit),
        "seconds": finite(cell.seconds),
        "pictures": [_picture(one, pictures) for one in cell.pictures[:_PICTURES]],
    }


def _picture(shown: CellPicture, chars: int) -> protocol.Picture:
    made = fitted(shown.png, chars) if chars else None
    png = "" if made is None else made.base64
    return {
        "summary": one_line(shown.summary),
        "width": count(shown.width),
        "height": count(shown.height),
        "png": png,
    }


def _plain_call(call: CallState, limit: int = 600) -> protocol.SubCall:
    asked = call.messages[-1].get("content", "") if call.messages else ""
    if call.purpose == "plan":  # what it is asked with is the chat, which stands above and below
        asked = f"before turn {count(call.turn)}"
    return {
        "call": count(call.call),
        "prompt": head_tail(asked, limit),
        "reply": head_tail(call.error or call.text, limit),
        "input_tokens": count(call.input_tokens),
        "output_tokens": count(call.output_tokens),
        "cost": finite(call.cost),
        "status": call.status,
        "purpose": call.purpose,
        "cached": call.cached,
        "estimated": call.estimated,
    }


def _brief_call(call: CallState) -> protocol.SubCall:
    return _plain_call(call, 60)


def _variable(item: Mapping[str, Any]) -> protocol.Variable:
    return {
        **(description(item, rows=ROWS, preview=400, items=12) or {}),
        "name": one_line(item.get("name"), 120),
    }


def _pictured_variable(thumbnails: Thumbnails, item: Mapping[str, Any]) -> protocol.Variable:
    made, picture = _variable(item), thumbnails.of(item)
    if picture is not None:
        made["thumbnail"] = picture
    return made


def _brief_variable(item: Mapping[str, Any]) -> protocol.Variable:
    return {
        **(description(item, rows=0, preview=0, columns=0) or {}),
        "name": one_line(item.get("name"), 120),
    }


def _bounded(given: object, room: int, **sizes: int) -> protocol.Description | None:
    """Describe a value in at most about `room` bytes of JSON."""
    made = description(given, **sizes)
    for fewer in (
        {"rows": 3, "items": 8, "preview": 600, "columns": 12},
        {"rows": 0, "items": 0, "preview": 0},
    ):
        if json_size(made) <= room:
            return made
        made = description(given, **fewer)
    return made


def prompt(state: TreeState, agent_id: str, *, max_bytes: int = MAX_BYTES) -> list[protocol.PromptMessage]:
    """Returns the messages that an agent's newest prompt consists of; of long ones head and tail.

    Raises:
        AgentNotFoundError: the run has no agent of that id.
    """
    messages: list[Mapping[str, str]] = []
    reply = ""
    for turn in find_agent(with_branches(state), agent_id).turns:
        if (
            turn.call.start == len(messages) + 1
        ):  # the reply before it is known already, so it was not told again
            messages.append({"role": "assistant", "content": reply})
        messages[turn.call.start :] = turn.call.messages
        reply = turn.call.text
    count, limit = len(messages), max_bytes
    while True:
        shown: list[protocol.PromptMessage] = [
            {"role": one_line(item.get("role", ""), 40), "content": head_tail(item.get("content", ""), limit)}
            for item in messages
        ]
        if json_size(shown) <= max_bytes - 300 or (limit < _SHORT and len(messages) <= _FEW):
            return shown
        if limit < _SHORT:  # hundreds of messages: the first two hold the rules and the data's description
            last = len(messages) // 4
            gap = {"role": "user", "content": f"… {count - 2 - last:,} messages left out …"}
            messages, limit = [*messages[:2], gap, *messages[len(messages) - last :]], max_bytes
        limit //= 2
