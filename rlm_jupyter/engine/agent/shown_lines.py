"""Lines of Python that a small model was shown: those that its code takes for run are put before it.

A model that reads `selected = rows[...]` as a hint goes on with `selected` as if it were there. The lines hold literals
of the question and of column names only, by `repr`, and run in the agent's own kernel.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rlm_jupyter.engine.reply.python_syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def missing_lines(
    code: str, lines: Sequence[str], variables: Collection[str], columns: Collection[str]
) -> list[str]:
    """Returns the lines, of those that were shown, that code needs and neither has nor finds done, in their order.

    Args:
        code: of a reply.
        lines: that were shown; one may be several of Python.
        variables: the names in the agent's kernel.
        columns: of the table in it.
    """
    tree = parsed(code)
    shown = [
        (line, line_tree) for line in "\n".join(lines).splitlines() if (line_tree := parsed(line)) is not None
    ]
    if tree is None or not shown:
        return []
    made = _names(tree, ast.Store) | _columns(tree, ast.Store)
    needed = (_names(tree, ast.Load) | _columns(tree, ast.Load)) - made
    done = {*variables, *(f".{column}" for column in columns), *made}
    found: set[str] = set()
    for line, line_tree in reversed(shown):
        targets = _names(line_tree, ast.Store) | _columns(line_tree, ast.Store)
        if (targets & needed) - done:
            found.add(line)
            needed |= _names(line_tree, ast.Load) | _columns(line_tree, ast.Load)
    return [line for line, _ in shown if line in found]


def _names(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    found = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }
    if context is ast.Store:
        found |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        found |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return found


def _columns(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Returns the columns that are read or made, each with a dot before it."""
    return {
        f".{node.slice.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, context)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }
