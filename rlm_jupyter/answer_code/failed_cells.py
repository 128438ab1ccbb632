"""How far a cell came that ended by an error."""

from __future__ import annotations

import ast
import re

from rlm_jupyter.answer_code.scopes import parse

_PLACE = re.compile(r"Cell In\[(\d+)\], line (\d+)")


def failed_line(output: str) -> int | None:
    """Returns the line of a cell at which it failed, from the traceback that the model was shown; None if unknown."""
    places = [(int(number), int(line)) for number, line in _PLACE.findall(output)]
    newest = max((number for number, _ in places), default=0)
    return next((line for number, line in places if number == newest), None)


def without_binding(node: ast.stmt) -> ast.stmt:
    """Returns a statement that raised without the names it did not come to bind: of an assignment, its value."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    if not targets or not all(isinstance(one, ast.Name) for one in targets):
        return node
    return ast.copy_location(ast.Expr(node.value), node)  # type: ignore[attr-defined]


def ran_characters(code: str, output: str) -> int:
    """Returns how many characters of a failed cell ran: those up to the end of the statement that failed.

    Args:
        code: of the cell.
        output: with its traceback.
    """
    tree = parse(code)
    if tree is None:
        return 0  # a cell that cannot be parsed does not run at all
    line = failed_line(output)
    ends = [node.end_lineno or node.lineno for node in tree.body]
    last = next((end for end in ends if line is not None and end >= line), None)
    return len(code) if last is None else len("\n".join(code.split("\n")[:last]))
