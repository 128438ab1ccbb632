"""The conditions by which a statement chooses rows, as text: masks, queries, `if` in loops and comprehensions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from rlm_jupyter.answer_code.vocabulary import words

_MOST = 4
_LONGEST = 200
_TESTS = words(
    """
    isin between contains startswith endswith match fullmatch isna isnull notna notnull duplicated eq ne gt ge lt le
    is_in is_between is_null is_not_null
    """
)
"""Methods whose result is a mask."""
_CHOOSING = words("query filter dropna drop_duplicates nlargest nsmallest head tail sample")
"""Methods that leave out rows."""
_LOCATORS = frozenset({"loc", "iloc"})
_LOGIC = (ast.BitAnd, ast.BitOr, ast.BitXor)


def conditions_of(node: ast.AST, masks: dict[str, str]) -> tuple[str, ...]:
    """Returns the conditions of a statement, each once, in the order of its text.

    Args:
        node: the statement, or an expression.
        masks: name of a variable that holds a mask → its condition.
    """
    found: dict[str, None] = {}
    for text in _found(node, masks):
        found.setdefault(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
    return tuple(found)[:_MOST]


def masks_of(nodes: Iterable[ast.stmt]) -> dict[str, str]:
    """Returns the variables that are bound once, to a mask, and their conditions."""
    masks: dict[str, str] = {}
    bound: set[str] = set()
    for node in nodes:
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and _is_bound(one)}
        for name in names & bound:
            masks.pop(name, None)
        if isinstance(node, ast.Assign) and _is_mask(node.value, {}):
            texts = dict.fromkeys(names - bound, ast.unparse(node.value))
            masks |= texts
        bound |= names
    return masks


def _is_bound(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _found(node: ast.AST, masks: dict[str, str]) -> Iterator[str]:
    """Walk a tree in the order of its text."""
    if isinstance(node, ast.Subscript):
        yield from _found(node.value, masks)
        yield from _of_subscript(node, masks)
        return
    for child in ast.iter_child_nodes(node):
        yield from _found(child, masks)
    if isinstance(node, ast.comprehension):
        yield from (ast.unparse(test) for test in node.ifs)
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from (ast.unparse(one.test) for one in node.body if isinstance(one, ast.If))
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_subscript(node: ast.Subscript, masks: dict[str, str]) -> Iterator[str]:
    located = isinstance(node.value, ast.Attribute) and node.value.attr in _LOCATORS
    chosen = node.slice
    if located and isinstance(chosen, ast.Tuple) and chosen.elts:
        chosen = chosen.elts[0]
    if isinstance(chosen, ast.Name) and chosen.id in masks:
        yield masks[chosen.id]
    elif _is_mask(chosen, masks):
        yield ast.unparse(chosen)
    else:
        yield from _found(node.slice, masks)


def _of_call(node: ast.Call) -> Iterator[str]:
    function, arguments = node.func, node.args
    if isinstance(function, ast.Name) and function.id == "filter" and arguments:
        yield ast.unparse(arguments[0])
    if not isinstance(function, ast.Attribute) or function.attr not in _CHOOSING:
        return
    first = arguments[0] if arguments else None
    if function.attr == "query" and isinstance(first, ast.Constant) and isinstance(first.value, str):
        yield " ".join(first.value.split())
    elif function.attr != "filter":
        given = [ast.unparse(one) for one in [*arguments, *node.keywords]]
        yield f"{function.attr}({', '.join(given)})"
    elif arguments:  # of polars; that of pandas chooses columns, by keywords
        yield ", ".join(ast.unparse(one) for one in arguments)


def _is_mask(node: ast.AST, masks: dict[str, str]) -> bool:
    if isinstance(node, (ast.Compare, ast.BoolOp)):
        return True
    if isinstance(node, ast.UnaryOp):
        negates = isinstance(node.op, (ast.Not, ast.Invert))
        return negates and (_is_mask(node.operand, masks) or _is_name_of(node.operand, masks))
    if isinstance(node, ast.BinOp):
        both = (node.left, node.right)
        return isinstance(node.op, _LOGIC) and any(
            _is_mask(one, masks) or _is_name_of(one, masks) for one in both
        )
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TESTS


def _is_name_of(node: ast.AST, masks: dict[str, str]) -> bool:
    return isinstance(node, ast.Name) and node.id in masks
