"""`Step`: a statement of the code behind an answer, with where it came from and what it did to the data."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.answer_code.filter_texts import conditions_of, masks_of
from rlm_jupyter.answer_code.row_counts import RowCounts

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.slicing import AgentSlice
    from rlm_jupyter.answer_code.statements import Unit

_NAMED = 3


@dataclass(frozen=True)
class Step:
    """One statement of the code: where it came from.

    Attributes:
        agent: its id.
        turn: of the agent; 0 for a first look at the data.
        cell: of the agent, counted from 1.
        lines: first and last line in that cell, counted from 1.
        reads: name of a variable that it reads → its rows before the statement, or None if they are not known.
        writes: name of a variable that it binds or changes → its rows after the statement, or None.
        filters: the conditions by which it chooses rows, as Python text.
        places: first and last line in the code behind the answer, counted from 1; empty if it has no lines there.
    """

    agent: str
    turn: int
    cell: int
    lines: tuple[int, int]
    reads: Mapping[str, int | None] = field(default_factory=dict, hash=False)
    writes: Mapping[str, int | None] = field(default_factory=dict, hash=False)
    filters: tuple[str, ...] = ()
    places: tuple[tuple[int, int], ...] = ()

    @property
    def flow(self) -> str:
        """Returns the rows in and out, such as `orders 5,000 → late 1,204 rows`; empty if they are not known."""
        before, after = _counted(self.reads), _counted(self.writes)
        if not before and not after:
            return ""
        return " → ".join(part for part in (before, after) if part) + " rows"


def _counted(rows: Mapping[str, int | None]) -> str:
    known = [f"{name} {count:,}" for name, count in rows.items() if count is not None and name != "context"]
    known = known or [f"{name} {count:,}" for name, count in rows.items() if count is not None]
    return ", ".join(known[:_NAMED])


def steps_of(sliced: AgentSlice) -> list[Step]:
    """Returns a step for each statement that an agent's slice keeps, and one for the call that gave its answer."""
    counts = RowCounts(sliced.ran, sliced.facts)
    masks = masks_of(unit.node for unit in sliced.ran)
    kept = [*sliced.units, *([sliced.final] if sliced.final is not None else [])]
    return [_step(sliced, unit, counts, masks) for unit in kept]


def _step(sliced: AgentSlice, unit: Unit, counts: RowCounts, masks: dict[str, str]) -> Step:
    reads, writes = counts.of(unit)
    return Step(
        agent=sliced.history.id,
        turn=unit.cell.turn,
        cell=unit.cell.number,
        lines=lines_of(unit.node),
        reads=reads,
        writes=writes,
        filters=conditions_of(unit.node, masks),
    )


def lines_of(node: ast.stmt) -> tuple[int, int]:
    """Returns the first and last line of a statement, with its decorators."""
    decorators = getattr(node, "decorator_list", None)
    first = decorators[0].lineno if decorators else node.lineno
    return first, node.end_lineno or node.lineno
