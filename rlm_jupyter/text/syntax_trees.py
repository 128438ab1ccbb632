"""Python's syntax tree of code that a model wrote."""

from __future__ import annotations

import ast

_TRIES = 5


def syntax_tree(code: str, name: str) -> ast.Module:
    """Parse code.

    Args:
        code: that a model wrote.
        name: what stands in the place of a file's name in errors and warnings, such as ``<cell>``.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed.
    """
    for _ in range(_TRIES):
        try:
            # Not `ast.parse`: code of a model is under no `from __future__` of ours.
            tree = compile(code, name, "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
        except SystemError:
            # Two threads that parse at once count one depth (https://github.com/python/cpython/issues/106905).
            continue
        assert isinstance(tree, ast.Module)
        return tree
    raise MemoryError("too many threads parse at once")
