"""What the viewer shows of one agent, as lines: its turns, its variables, the messages of its newest prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlm_jupyter.events.tree_state import AgentState, CallState, CellState, TreeState, TurnState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import head_tail, one_line
from rlm_jupyter.views import agent_page
from rlm_jupyter.views import text_tree as text
from rlm_jupyter.views.tui.wrapping import Line

TURNS = 100
"""Of one agent, that are shown at once: the newest, or those about one that is wanted."""
_CALLS = 60
_VARIABLES = 300
_QUOTE = 4000
_NOTICES = 12
_PROMPT_BYTES = 400_000


def block(given: str, style: str, margin: str = "", limit: int = _QUOTE) -> Iterator[Line]:
    """Yields a text of any length as lines: its beginning and its end, clean."""
    for line in head_tail(given, limit).split("\n"):
        yield Line(line, style, margin)


def turn_lines(
    state: TreeState, agent: AgentState, at: float | None = None, wanted: int | None = None
) -> list[Line]:
    """Returns an agent with its turns, plain completions, notices, value and error.

    Args:
        state: the tree; hold the run's lock while it is live.
        agent: one of its agents.
        at: the time now, in seconds since the epoch, of a live tree.
        wanted: a turn that must be among those that are shown; None is the newest.
    """
    lines = [Line(text.agent_line(state, agent, at), "title"), *block(f"Question: {agent.question}", "")]
    if agent.context is not None:
        lines.append(Line(f"Context: {text.placed(agent.context)}", "small"))
    if tools := text.tools_told(agent):
        lines.append(Line(f"Tools: {tools}", "small"))
    if agent.look is not None:
        lines += [Line(""), Line("First look at the data", "heading"), *_cell(agent.look)]
    shown = _window(agent.turns, wanted)
    if shown.start:
        lines += [
            Line(""),
            Line(f"… {fmt.amount(shown.start, 'older turn')}: step back (`[`) or search", "small"),
        ]
    for turn in agent.turns[shown.start : shown.stop]:
        lines += [Line(""), *_turn(turn)]
    if (more := len(agent.turns) - shown.stop) > 0:
        lines += [Line(""), Line(f"… {fmt.amount(more, 'newer turn')}", "small")]
    if agent.calls:
        lines += [Line(""), Line(fmt.amount(len(agent.calls), "plain completion"), "heading")]
        lines += [line for call in agent.calls[-_CALLS:] for line in _call(call)]
    return lines + list(_outcome(agent))


def _outcome(agent: AgentState) -> Iterator[Line]:
    """Yields what comes after an agent's turns."""
    if agent.pending_code is not None:
        yield from (Line(""), Line("This code waits for Next", "heading"))
        yield from block(agent.pending_code, "code")
    yield from (Line(f"Note: {one_line(notice, 300)}", "note") for notice in agent.notices[-_NOTICES:])
    if agent.value is not None:
        yield Line("")
        yield from (Line(line, "value") for line in text.value_lines(agent.value))
    if agent.error:
        yield Line("")
        yield from block(f"Error: {agent.error}", "error")


def _window(turns: Sequence[TurnState], wanted: int | None) -> range:
    """Returns which turns are shown: the newest, or those about the wanted one."""
    start = max(0, len(turns) - TURNS)
    at = next((at for at, turn in enumerate(turns) if turn.turn == wanted), None)
    if at is not None:
        start = min(start, max(0, at - TURNS // 2))
    return range(start, min(len(turns), start + TURNS))


def _turn(turn: TurnState) -> Iterator[Line]:
    call = turn.call
    yield Line(f"Turn {turn.turn} · {_facts(call)}", "heading", turn=turn.turn)
    if call.error:
        yield from block(call.error, "error", "! ")
    elif said := text.prose(turn):
        yield from block(said, "")
    elif call.status == "running":
        yield Line("waiting for the model …", "small")
    for cell in turn.cells:
        yield from _cell(cell)
    yield from (Line(line, "small", "  ") for line in text.tool_calls_told(turn))


def _facts(call: CallState) -> str:
    about = "about " if call.estimated else ""
    parts = [
        one_line(call.model, 60),
        f"{about}{fmt.count(call.input_tokens)} tokens in, {fmt.count(call.output_tokens)} out",
        fmt.money(call.cost),
        fmt.duration(call.seconds) if call.seconds is not None else "running",
        "from the cache" if call.cached else "",
    ]
    return " · ".join(filter(None, parts))


def _cell(cell: CellState) -> Iterator[Line]:
    took = "" if cell.seconds is None else f" · {fmt.duration(cell.seconds)}"
    yield Line(
        f"In [{cell.cell}] {cell.status}{took}", "small" if cell.status in ("ok", "running") else "error"
    )
    yield from block(cell.code, "code", "│ ")
    if cell.output:
        cut = f" ({cell.cut:,} characters were cut)" if cell.cut else ""
        yield Line(f"Out [{cell.cell}]{cut}", "small")
        yield from block(cell.output, "output", "  ")
    for picture in cell.pictures[:_NOTICES]:
        yield Line(f"[picture: {one_line(picture.summary, 200)}]", "small", "  ")
    if cell.error and cell.error not in cell.output:
        yield from block(cell.error, "error", "! ")


def _call(call: CallState) -> Iterator[Line]:
    asked = one_line(call.messages[-1].get("content", ""), 300) if call.messages else ""
    facts = " · ".join([call.status, *text.call_marks(call), fmt.money(call.cost)])
    yield Line(f"{facts} · {asked}", "small", "  ")
    yield Line(one_line(call.error or call.text, 600), "error" if call.error else "", "    → ")


def variable_lines(agent: AgentState) -> list[Line]:
    """Returns what is defined in an agent's kernel, with the beginning of each value."""
    if not agent.variables:
        return [Line("No variables yet.", "small")]
    lines: list[Line] = []
    for name, item in list(agent.variables.items())[:_VARIABLES]:
        lines.append(Line(f"{one_line(name, 60)}: {text.placed(item)}", "heading"))
        lines += [Line(line.removeprefix("       "), "", "  ") for line in text.value_lines(item)[1:]]
    if (more := len(agent.variables) - _VARIABLES) > 0:
        lines.append(Line(f"… {more:,} more", "small"))
    return lines


def message_lines(state: TreeState, agent: AgentState) -> list[Line]:
    """Returns the messages of which an agent's newest prompt consists; of long ones head and tail."""
    lines: list[Line] = []
    for message in agent_page.prompt(state, agent.id, max_bytes=_PROMPT_BYTES):
        content = message["content"]
        title = f"{message['role']} · {fmt.amount(len(content), 'character')}"
        lines += [Line(title, "heading"), *block(content, "", limit=_PROMPT_BYTES), Line("")]
    return lines or [Line("Nothing was sent to the model yet.", "small")]
