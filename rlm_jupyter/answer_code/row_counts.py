"""How many rows the variables of an agent had before and after each of its statements, from descriptions of values.

Descriptions tell what a variable was after a cell, and not after each of its statements: what a cell binds or changes
more than once has no known number of rows in between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.facts import Facts
    from rlm_jupyter.answer_code.statements import Unit

Rows = dict[str, int | None]
"""Name of a variable → its rows; None if they are not known."""

_SEQUENCES = {"list", "tuple"}
_MOST = 2**53
_TABLE = re.compile(r"\w{1,40} (\d{1,3}(?:,\d{3}){1,5}|\d{1,16}) x \d")
_SEVERAL = 2


def rows_of(described: object) -> int | None:
    """Returns the rows of a table, series or array, or the items of a list, from its description; else None."""
    if not isinstance(described, Mapping):
        return None
    shape, length = described.get("shape"), described.get("length")
    if isinstance(shape, (list, tuple)) and shape:
        return _number(shape[0])
    return _number(length) if described.get("type") in _SEQUENCES else None


def rows_of_data(context: object, names: tuple[str, ...]) -> Rows:
    """Returns the rows of an agent's data by the names that it has in its kernel.

    Args:
        context: its description.
        names: of the variables that hold it, besides `context`.
    """
    if len(names) < _SEVERAL:
        return dict.fromkeys(("context", *names), rows_of(context))
    items = context.get("items") if isinstance(context, Mapping) else None
    listed = items if isinstance(items, (list, tuple)) else ()
    found = {str(item.get("key")): _rows_of_item(item) for item in listed if isinstance(item, Mapping)}
    return {name: found.get(name) for name in names}


def _rows_of_item(item: Mapping[str, Any]) -> int | None:
    """Returns the rows of a table in a dict: of these, a description has the summary alone."""
    summary = item.get("summary")
    found = _TABLE.match(summary) if isinstance(summary, str) else None
    return None if found is None else _number(int(found[1].replace(",", "")))


def _number(value: object) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
    return int(value) if known else None  # type: ignore[call-overload]  # an int


class RowCounts:
    """The rows of variables at each statement of an agent.

    Args:
        ran: all of its statements that ran, in their order, with their effects.
        facts: of them.
    """

    def __init__(self, ran: list[Unit], facts: Facts) -> None:
        self._touching: dict[tuple[int, str], list[int]] = {}
        """Cell and name → the places of the statements that may bind or change it."""
        self._hidden: dict[int, list[int]] = {}
        """Cell → the places of its statements that hide what they do."""
        self._place = {id(unit): at for at, unit in enumerate(ran)}
        for at, unit in enumerate(ran):
            effects = unit.effects
            if effects.dynamic:
                self._hidden.setdefault(id(unit.cell), []).append(at)
            for name in effects.may_bind | effects.binds | facts.aliases(effects.changes):
                self._touching.setdefault((id(unit.cell), name), []).append(at)

    def of(self, unit: Unit) -> tuple[Rows, Rows]:
        """Returns the rows of the variables that a statement reads, before it, and of those that it binds, after it."""
        cell, at = unit.cell, self._place[id(unit)]
        effects = unit.effects
        known = cell.rows_before.keys() | cell.rows_after.keys()
        reads = {name: self._at(unit, name, at - 1) for name in sorted(effects.reads & known)}
        writes = effects.binds | effects.may_bind | (effects.changes & known)
        after = {name: self._at(unit, name, at) for name in sorted(writes) if name in cell.rows_after}
        return reads, after

    def _at(self, unit: Unit, name: str, last: int) -> int | None:
        """Returns the rows of a variable when the statement at `last` had run; None if they are not known."""
        cell = id(unit.cell)
        touching = [places for places in (self._touching.get((cell, name)), self._hidden.get(cell)) if places]
        if all(places[-1] <= last for places in touching):
            return unit.cell.rows_after.get(name)
        if all(places[0] > last for places in touching):
            return unit.cell.rows_before.get(name)
        return None
