"""`Unit`: one statement of a cell that ran, with what it does."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.answer_code.effects import Effects

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.history import Cell


@dataclass
class Unit:
    """One statement at the top level of a cell.

    Attributes:
        cell: that it stood in.
        node: the statement.
        raised: whether it ended by an error, so that what it binds may not be bound.
        effects: of it, on variables.
        exact: of it, on the values that variables had one after another.
    """

    cell: Cell
    node: ast.stmt
    raised: bool = False
    effects: Effects = field(default_factory=Effects)
    exact: Effects = field(default_factory=Effects)
