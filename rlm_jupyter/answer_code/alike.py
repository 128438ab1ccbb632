"""Whether functions of sub-agents do the same under other names of variables."""

from __future__ import annotations

import ast
import re

from rlm_jupyter.answer_code.scopes import parsed

_IN_TEXT = re.compile(r"@([A-Za-z_]\w*)")


def alike_key(text: str) -> str:
    """Returns a text that functions have in common which differ in the names of their variables alone.

    Args:
        text: of a function, from the parenthesis of its parameters on.
    """
    tree = parsed(f"def function{text}")
    stored: dict[str, None] = {}
    fixed: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored[node.id] = None
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            fixed.add(node.arg)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            fixed |= set(node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fixed |= set(_IN_TEXT.findall(node.value))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
            fixed.add(node.name or "")
        elif isinstance(node, ast.alias):
            fixed.add(node.asname or node.name)
    names = {name: f"\N{SECTION SIGN}{number}" for number, name in enumerate(stored) if name not in fixed}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return ast.unparse(tree)
