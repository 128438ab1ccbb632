"""Where each statement of the agents stands in the code behind an answer: by the text that it was written as."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

from rlm_jupyter.answer_code.scopes import parse, parsed

Place = tuple[int, int]
"""First and last line, counted from 1."""


@dataclass
class Origin:
    """A statement as it was written.

    Attributes:
        agent: whose it is.
        text: as it was written, without indentation.
        function: in which it was written, unless it was moved to the top.
    """

    agent: str
    text: str
    function: str = ""


def places_of(source: str, origins: list[Origin]) -> list[tuple[Place, ...]]:
    """Returns the lines of each statement in the code; none for one that cannot be found there.

    Args:
        source: the code behind an answer.
        origins: its statements. Those of an agent stand together, in their order.
    """
    tree = parse(source)
    if tree is None:
        return [()] * len(origins)
    top = _listed(tree.body, 0)
    functions = {node.name: _listed(*_body(node)) for node in tree.body if isinstance(node, ast.FunctionDef)}
    functions.setdefault("answer", top)  # a plain cell has none
    found: list[tuple[Place, ...]] = []
    taken: dict[tuple[str, str, str], int] = {}
    for origin in origins:
        text = _normal(origin.text)
        own = functions.get(origin.function, {})
        at = taken.get((origin.agent, origin.function, text), 0)
        taken[origin.agent, origin.function, text] = at + 1
        there = own.get(text) or own.get(_normal(origin.text.removeprefix("return ")), [])
        if there:
            found.append((there[min(at, len(there) - 1)],))
        else:
            found.append(_at_top(origin.text, text, top, own))
    return found


def _at_top(
    text: str, normal: str, top: dict[str, list[Place]], own: dict[str, list[Place]]
) -> tuple[Place, ...]:
    """Returns where a statement stands that was moved to the top: a function, or the parts of an import."""
    if normal in top:
        return (top[normal][0],)
    tree = parse(text)
    node = tree.body[0] if tree is not None and tree.body else None
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return ()
    places: dict[Place, None] = {}
    for alias in node.names:
        one = copy.copy(node)
        one.names = [alias]
        for place in (*top.get(ast.unparse(one), ())[:1], *own.get(ast.unparse(one), ())[:1]):
            places[place] = None
    return tuple(places)


def _listed(body: list[ast.stmt], before: int | None) -> dict[str, list[Place]]:
    """Returns text → the lines of the statements with that text.

    Args:
        body: the statements.
        before: lines that stand before the text in which they have their line numbers; None if all of it is one line.
    """
    listed: dict[str, list[Place]] = {}
    for node in body:
        decorators = getattr(node, "decorator_list", None)
        first = decorators[0].lineno if decorators else node.lineno
        end = node.end_lineno or node.lineno
        place = (first, end) if before is None else (first + before, end + before)
        listed.setdefault(ast.unparse(node), []).append(place)
    return listed


def _body(function: ast.FunctionDef) -> tuple[list[ast.stmt], int]:
    """Returns the statements of an agent's function: its own, of a coroutine in it, or of a text that it executes."""
    body = function.body
    for node in function.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "work":
            return [*body, *node.body], 0
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "exec":
            text = call.args[0] if call.args else None
            tree = (
                parse(text.value) if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
            )
            if tree is None or text is None:
                continue
            if text.end_lineno == text.lineno:
                return _on_line(tree.body, text.lineno), 0
            return tree.body, text.lineno - 1
    return body, 0


def _on_line(body: list[ast.stmt], line: int) -> list[ast.stmt]:
    """Returns statements as if all of them stood on one line."""
    for node in body:
        node.lineno = node.end_lineno = line
        for decorator in getattr(node, "decorator_list", None) or ():
            decorator.lineno = line
    return body


def _normal(text: str) -> str:
    """Returns a statement as it is written after it was read once, as those of the code were."""
    try:
        return "\n".join(map(ast.unparse, parsed(text).body))  # one by one: a text alone is no docstring
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
