"""The code behind an answer as a plain cell: a few lines that bind a few names need no function around them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.scopes import bound_in, parsed

_MOST_LINES = 6
_MOST_NAMES = 3
"""What a cell binds is bound in the notebook; what a function binds is not."""
_FUNCTION = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Return,
    ast.Nonlocal,
    ast.Global,
    ast.Import,
    ast.ImportFrom,
)
"""Statements that do something else in a function."""


@dataclass(frozen=True)
class PlainCell:
    """Statements of a function as those of a cell.

    Attributes:
        text: the statements; the last one is the value.
        names: that they bind.
    """

    text: str
    names: frozenset[str]


def plain_cell(function: str, taken: Iterable[str]) -> PlainCell | None:
    """Returns the statements of a function as those of a cell; None if they are to stay a function.

    Args:
        function: its source.
        taken: names that a cell must not bind: of the data, imports, other functions.
    """
    (node,) = parsed(function).body
    *before, last = node.body if isinstance(node, ast.FunctionDef) else [node]
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    names = bound_in(before)
    if len(names) > _MOST_NAMES or names & {*words.BUILTINS, *taken}:
        return None
    if any(isinstance(one, _FUNCTION) for statement in before for one in ast.walk(statement)):
        return None
    lines = [ast.unparse(statement) for statement in before] + [ast.unparse(last.value)]
    text = "\n".join(lines)
    return PlainCell(text, frozenset(names)) if text.count("\n") < _MOST_LINES else None
