"""A comparison as plain text: a table of the runs, then two trees in two columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rlm_jupyter.records.matching import code_of, shown_value
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import clean, one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.tree_state import AgentState, TurnState
    from rlm_jupyter.records.compare import Comparison, RunRow
    from rlm_jupyter.records.matching import AgentPair, TurnPair, Verdict

MARKS: dict[Verdict, str] = {"same": "=", "changed": "≠", "left": "<", "right": ">"}
"""What stands between the columns: the same, changed, only on the left, only on the right."""
HEADS = ("run", "model", "status", "agents", "turns", "calls", "tokens", "cost", "time", "answer")
_WIDTH = 58
_ANSWER = 60
_QUESTION = 100
_MOST_ROWS = 2000
_LINES_OF_ONE = 8
"""Lines of code of a turn that only one of the runs has."""


def text_of(made: Comparison) -> str:
    """Returns a comparison as text."""
    lines = [
        *_table([HEADS, *(cells_of(row) for row in made.rows)]),
        *questions_of(made),
        *identity_of(made),
        verdict_of(made),
    ]
    if made.agents:
        lines += ["", *_side_by_side(made)]
    return "\n".join(lines)


def cells_of(row: RunRow) -> tuple[str, ...]:
    """Returns a row of the table as texts, in the order of `HEADS`."""
    cached = f" ({units.count(row.cached)} unpaid)" if row.cached else ""
    return (
        one_line(row.run, 40),
        one_line(row.model, 40),
        row.status,
        units.count(row.agents),
        units.count(row.turns),
        units.count(row.calls) + cached,
        units.count(row.tokens),
        units.money(row.cost),
        units.duration(row.seconds),
        one_line(row.answer, _ANSWER) or "-",
    )


def questions_of(made: Comparison) -> list[str]:
    """Returns the question of all, or that there are several."""
    questions = list(dict.fromkeys(row.question for row in made.rows))
    if len(questions) == 1:
        return [f"Question: {one_line(questions[0], _QUESTION)}"]
    return ["The questions differ:", *(f"  {one_line(question, _QUESTION)}" for question in questions)]


def identity_of(made: Comparison) -> list[str]:
    """Returns what determines the runs and is not the same; nothing if that is not known."""
    if made.differs_in is None:
        return []
    if not made.differs_in:
        return ["The same prompt, data, models, settings, limits and versions (identity)."]
    return [f"What determines them differs in: {one_line(', '.join(made.differs_in), _QUESTION)}."]


def verdict_of(made: Comparison) -> str:
    """Returns in a sentence whether the answers look the same."""
    if made.same_answer:
        return "The answers look the same (by type, size and preview)."
    return "The answers differ."


def agent_told(agent: AgentState) -> str:
    """Returns an agent on one line."""
    tokens = f"{units.count(agent.input_tokens + agent.output_tokens)} tokens"
    parts = [agent.status, units.amount(len(agent.turns), "turn"), tokens, units.money(agent.cost)]
    return f"{one_line(agent.id, 20)} {' · '.join(parts)} · {one_line(agent.question, 200)}"


def turn_told(turn: TurnState) -> str:
    """Returns a turn on one line: what it cost, and how its code ended."""
    call = turn.call
    tokens = "unpaid" if call.cached else f"{units.count(call.input_tokens + call.output_tokens)} tokens"
    seconds = (call.seconds or 0.0) + sum(cell.seconds or 0.0 for cell in turn.cells)
    ended = ", ".join(dict.fromkeys(cell.status for cell in turn.cells)) or "no code"
    return f"turn {turn.turn} · {tokens} · {units.duration(seconds)} · {ended}"


def value_told(agent: AgentState) -> str:
    """Returns what an agent answered, on one line; empty if nothing."""
    if agent.value is None:
        return one_line(agent.error, 200) if agent.error else ""
    return f"= {one_line(shown_value(agent.value), 200)}"


def left_out_told(made: Comparison) -> str:
    """Returns what was not compared; empty if nothing."""
    turns = sum(pair.left_out for pair in made.agents)
    parts = [units.amount(made.left_out, "agent")] if made.left_out > 0 else []
    parts += [units.amount(turns, "turn")] if turns else []
    return f"Not compared, because there are many: {' and '.join(parts)}." if parts else ""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _side_by_side(made: Comparison) -> Iterator[str]:
    left, right = (one_line(row.run, _WIDTH) for row in made.rows)
    yield _columns(left, " ", right)
    rows = [row for pair in made.agents for row in _agent_rows(pair)]
    yield from rows[:_MOST_ROWS]
    if len(rows) > _MOST_ROWS:
        yield f"... {len(rows) - _MOST_ROWS:,} more lines; the HTML of the comparison has them."
    if told := left_out_told(made):
        yield told
    yield "= the same   ≠ changed   < only on the left   > only on the right"


def _agent_rows(pair: AgentPair) -> Iterator[str]:
    indent = "  " * min(pair.depth, 8)
    told = [indent + agent_told(agent) if agent is not None else "" for agent in (pair.left, pair.right)]
    yield _columns(told[0], MARKS[pair.verdict], told[1])
    for turn in pair.turns:
        yield from _turn_rows(turn, f"{indent}  ")
    values = [value_told(agent) if agent is not None else "" for agent in (pair.left, pair.right)]
    if any(values):
        shown = [f"{indent}  {value}" if value else "" for value in values]
        yield _columns(shown[0], MARKS[pair.answer_verdict], shown[1])


def _turn_rows(pair: TurnPair, indent: str) -> Iterator[str]:
    told = [indent + turn_told(turn) if turn is not None else "" for turn in (pair.left, pair.right)]
    yield _columns(told[0], MARKS[pair.verdict], told[1])
    inner = f"{indent}  "
    if pair.left is None or pair.right is None:
        only = pair.left or pair.right
        assert only is not None
        lines = code_of(only).split("\n")
        more = [f"... {len(lines) - _LINES_OF_ONE:,} more lines"] if len(lines) > _LINES_OF_ONE else []
        for line in lines[:_LINES_OF_ONE] + more:
            sides = (inner + line, "") if pair.left is not None else ("", inner + line)
            yield _columns(sides[0], MARKS[pair.verdict], sides[1])
        return
    for pair_of_lines in pair.lines:
        one, other = (
            inner + line if line is not None else "" for line in (pair_of_lines.left, pair_of_lines.right)
        )
        yield _columns(one, MARKS[pair_of_lines.verdict], other)
    if not pair.same_output:
        yield _columns(f"{inner}(another output)", MARKS["changed"], f"{inner}(another output)")


def _columns(left: str, mark: str, right: str) -> str:
    one, other = (clean(side.replace("\t", "    "), _WIDTH).replace("\n", " ") for side in (left, right))
    return f"{one:<{_WIDTH}} {mark} {other}".rstrip()
