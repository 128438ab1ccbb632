"""What stands in Python source files: a table with a row for each definition, import, call and raise.

It travels into an agent's kernel as source: the standard library only; pandas is imported when it is needed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

MOST_CHARS = 20_000_000
"""Of sources that are parsed; what is beyond is left out."""
_SAMPLE = 12
_LONGEST_SAMPLE = 300_000
_COLUMNS = ("file", "line", "kind", "name", "level", "inside")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_Row = tuple[str, int, str, str, str, str | None]


def is_code(data: Any) -> bool:
    """Returns whether data is a dict of Python source files, judged by some of them."""
    if type(data) is not dict or not data:
        return False
    texts = [
        text for text in data.values() if type(text) is str and text.strip() and len(text) <= _LONGEST_SAMPLE
    ]
    sample = sorted(texts, key=len)[len(texts) // 4 :][:_SAMPLE]
    trees = [tree for tree in map(_parsed, sample) if tree is not None]
    plain = [tree for tree in trees if _has_code(tree)]
    return bool(sample) and 2 * len(plain) > len(sample)


def parse_code(files: Mapping[str, str] | str) -> Any:
    """Make a table of what stands in Python source files.

    Args:
        files: name of each file to its source; or one source.

    Returns:
        A DataFrame with a row for each definition, import, call and `raise`: `file`, `line`, `kind` (`function`,
        `class`, `import`, `call`, `raise`), `name` (of an import the module, of a `raise` the exception), `level`
        (`top`, `class` or `function`: what it stands in directly) and `inside` (the dotted name of that class or
        function; None at the top, so that it is not counted among classes).
        Files that are not valid Python are left out.
    """
    import pandas as pd

    rows: list[_Row] = []
    left = MOST_CHARS
    for name, text in (files if isinstance(files, Mapping) else {"": files}).items():
        if not isinstance(text, str) or len(text) > left:
            continue
        left -= len(text)
        tree = _parsed(text)
        if tree is not None:
            rows.extend(_rows(str(name), tree))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _has_code(tree: ast.Module) -> bool:
    return any(
        isinstance(node, (*_DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign)) for node in tree.body[:50]
    )


def _rows(file: str, tree: ast.Module) -> Iterator[_Row]:
    """Walk a tree without recursion, in the order of the source."""
    waiting: list[tuple[ast.AST, str, str | None]] = [(tree, "top", None)]
    while waiting:
        node, level, inside = waiting.pop()
        for kind, name in _entries(node):
            yield file, getattr(node, "lineno", 0), kind, name, level, inside
        if isinstance(node, _DEFINITIONS):
            level = "class" if isinstance(node, ast.ClassDef) else "function"
            inside = f"{inside}.{node.name}" if inside else node.name
        children = [(child, level, inside) for child in ast.iter_child_nodes(node)]
        waiting += reversed(children)


def _entries(node: ast.AST) -> list[tuple[str, str]]:
    """Returns the kind and name of what a node is; of an import each module."""
    found: list[tuple[str, str]] = []
    if isinstance(node, _DEFINITIONS):
        found = [("class" if isinstance(node, ast.ClassDef) else "function", node.name)]
    elif isinstance(node, ast.Import):
        found = [("import", alias.name) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        found = [("import", "." * node.level + (node.module or ""))]
    elif isinstance(node, ast.Call):
        found = [("call", _dotted(node.func))]
    elif isinstance(node, ast.Raise):
        found = [("raise", _dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc))]
    return found


def _dotted(node: ast.AST | None) -> str:
    """Returns a name with the attributes after it; of another expression, the attributes after a dot."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))
