"""Where in a statement a name is read, and what is evaluated before it."""

from __future__ import annotations

import ast

_ORDER: dict[type[ast.AST], tuple[str, ...]] = {
    **dict.fromkeys((ast.Assign, ast.AnnAssign, ast.Return, ast.Expr), ("value",)),
    **dict.fromkeys((ast.Attribute, ast.Starred, ast.keyword), ("value",)),
    **dict.fromkeys((ast.If, ast.IfExp), ("test",)),
    **dict.fromkeys((ast.For, ast.comprehension), ("iter",)),
    **dict.fromkeys((ast.List, ast.Tuple, ast.Set), ("elts",)),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), ("generators",)),
    ast.Call: ("func", "args", "keywords"),
    ast.Subscript: ("value", "slice"),
    ast.Slice: ("lower", "upper", "step"),
    ast.BinOp: ("left", "right"),
    ast.UnaryOp: ("operand",),
    ast.Compare: ("left", "comparators"),
    ast.BoolOp: ("values",),
}
"""The parts of a node that are evaluated in any case, in this order; of others it is not known."""
_FIRST = ("generators", "comparators", "values")
"""Of these only the first is evaluated in any case, or once."""

Way = list[tuple[str, int | None]]
"""From a node down to a part of it: fields, with a place in those that are lists."""


def _parts(node: ast.AST) -> list[tuple[str, int | None, ast.AST]]:
    if isinstance(node, ast.Dict):
        pairs = [] if None in node.keys else list(enumerate(zip(node.keys, node.values, strict=True)))
        return [
            (name, at, one)
            for at, pair in pairs
            for name, one in zip(("keys", "values"), pair, strict=True)
            if one is not None
        ]
    found: list[tuple[str, int | None, ast.AST]] = []
    for name in _ORDER.get(type(node), ()):
        value = getattr(node, name)
        if isinstance(value, list):
            found += [(name, at, one) for at, one in enumerate(value[:1] if name in _FIRST else value)]
        elif value is not None:
            found.append((name, None, value))
    return found


def way_to(node: ast.AST, name: ast.Name) -> Way:
    """Returns the way down to a name that is evaluated once in any case; empty if it is not."""
    for field, at, part in _parts(node):
        if part is name:
            return [(field, at)]
        if below := way_to(part, name):
            return [(field, at), *below]
    return []


def evaluated_before(node: ast.AST, way: Way) -> list[ast.AST]:
    """Returns the expressions of a node that are evaluated before the part at the end of a way."""
    before: list[ast.AST] = []
    for step in way:
        for field, at, part in _parts(node):
            if (field, at) == step:
                node = part
                break
            before.append(part.value if isinstance(part, (ast.keyword, ast.Starred)) else part)
    return before


def put_at(node: ast.AST, way: Way, value: ast.expr) -> None:
    """Put an expression in the place at the end of a way."""
    for field, at in way[:-1]:
        part = getattr(node, field)
        node = part if at is None else part[at]
    field, at = way[-1]
    if at is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[at] = value
