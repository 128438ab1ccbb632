"""Did an agent look at its data before it answered? Judged from the code that it ran."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection


def touches(code: str, names: Collection[str]) -> bool:
    """Tell whether code reads one of the names that the data is bound to.

    Code that Python cannot parse (IPython's own syntax) is searched for the names as words.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return any(re.search(rf"\b{re.escape(name)}\b", code) for name in names)
    wanted = set(names) | {"globals", "locals", "vars"}
    return any(
        isinstance(node, ast.Name) and node.id in wanted and isinstance(node.ctx, ast.Load)
        for node in ast.walk(tree)
    )
