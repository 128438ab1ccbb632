"""`Final = value` at the end of a reply's code, where nothing in it calls FINAL: the value is the answer.

Some harnesses take the variable `Final` as the answer, and models that know them write so. The code is given the call
that is meant, so that all that reads code finds the answer where it always stands.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker

_NAME = "Final"
_ASSIGNED = re.compile(r"^Final[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE)
_ANSWERS = re.compile(r"\b(?:FINAL(?:_VAR)?|SUBMIT|[Ff]inal)[ \t]*\(|\banswer[ \t]*(?:\[|=)|\bFINAL[ \t]*=")
_NOTE = "`Final = ...` at the end of the code was taken as the answer: FINAL(Final)."


def with_answer(codes: Sequence[str], checker: SyntaxChecker) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the code of a reply with a call of FINAL at its end, if it ends by assigning `Final`, and notices of it.

    Args:
        codes: the blocks, in order.
        checker: asks the parser.
    """
    whole = tuple(codes)
    if not whole or not _ASSIGNED.search(whole[-1]) or any(map(_ANSWERS.search, whole)):
        return whole, ()
    tree = checker.tree(whole[-1])
    if tree is None or not _ends_with_answer(tree):
        return whole, ()
    return (*whole[:-1], f"{whole[-1].rstrip()}\nFINAL({_NAME})"), (_NOTE,)


def _ends_with_answer(tree: ast.Module) -> bool:
    """Returns whether the last statement, apart from what only shows something, assigns `Final`, which nothing read."""
    body = list(tree.body)
    while body and isinstance(body[-1], ast.Expr):
        body.pop()
    if not body or not _assigns(body[-1]):
        return False
    last = body[-1]
    assert isinstance(last, (ast.Assign, ast.AnnAssign))
    read = [*body[:-1], last.value] if last.value is not None else body
    return not any(
        isinstance(node, ast.Name) and node.id == _NAME for part in read for node in ast.walk(part)
    )


def _assigns(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name == _NAME
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return name == _NAME and value is not None
    return False
