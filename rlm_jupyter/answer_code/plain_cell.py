"""The code behind an answer as a cell: a few lines that bind a few names as they are, others as a function."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.scopes import bound_in, parsed

_MOST_LINES = 6
_MOST_NAMES = 3
"""What a cell binds is bound in the notebook; what a function binds is not."""
_IN_FUNCTIONS = (
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
class AnswerCell:
    """The code behind an answer as a cell.

    Attributes:
        definitions: imports and functions, in their order.
        before: statements that the value rests on.
        value: an expression: what gives the value.
        binds: names that the statements bind.
    """

    definitions: tuple[str, ...]
    before: tuple[str, ...]
    value: str
    binds: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """All of it."""
        return "\n\n".join((*self.definitions, self.statements)) + "\n"

    @property
    def statements(self) -> str:
        """What stands behind the definitions."""
        return "\n".join((*self.before, self.value))

    @property
    def defining(self) -> str:
        """The definitions as one text."""
        return "\n\n".join(self.definitions)

    @property
    def giving(self) -> str:
        """The statements, with the value handed to `FINAL`."""
        return "\n".join((*self.before, f"FINAL({self.value})"))


def as_function(definitions: Sequence[str], parameters: Sequence[str]) -> AnswerCell:
    """Returns the cell that defines `answer`, which is the last of some definitions, and calls it."""
    return AnswerCell(tuple(definitions), (), f"answer({', '.join(parameters)})")


def plain_cell(definitions: Sequence[str], parameters: Sequence[str]) -> AnswerCell | None:
    """Returns the cell with the statements of the function `answer` and without it; None if it is to stay.

    Args:
        definitions: imports and functions, `answer` last.
        parameters: of it, which a cell must not bind anew.
    """
    *others, function = definitions
    (node,) = parsed(function).body
    *before, last = node.body if isinstance(node, ast.FunctionDef) else [node]
    if not isinstance(last, ast.Return) or last.value is None:
        return None
    if any(isinstance(one, _IN_FUNCTIONS) for statement in before for one in ast.walk(statement)):
        return None
    taken = {*parameters, "context", "question", "answer", *words.BUILTINS}
    taken |= {name for text in others for name in bound_in(parsed(text).body)}
    names = bound_in([*before, last])
    if len(names) > _MOST_NAMES or names & taken:
        return None
    made = AnswerCell(
        tuple(others), tuple(map(ast.unparse, before)), ast.unparse(last.value), frozenset(names)
    )
    return made if made.statements.count("\n") < _MOST_LINES else None
