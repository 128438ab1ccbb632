"""Small operations on the text and the syntax trees of code that is written."""

from __future__ import annotations

import ast
import copy
import re

from rlm_jupyter.answer_code.scopes import import_names, parsed


def referenced(texts: list[str], body: str) -> list[str]:
    """Returns those functions that are called, by `answer` or by one that is."""
    kept: list[str] = []
    for text in reversed(texts):  # a function stands behind those that it calls
        name = text[len("def ") : text.index("(")]
        if any(re.search(rf"\b{name}\b", other) for other in [*kept, body]):
            kept.insert(0, text)
    return kept


def without_nonlocal(node: ast.stmt) -> ast.stmt:
    """Returns a statement whose functions bind names of the module, and no longer of a function."""

    class Back(ast.NodeTransformer):
        def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
            return ast.Global(node.names)

    made = Back().visit(node)
    assert isinstance(made, ast.stmt)
    return made


def literal(text: str) -> str:
    r"""Returns text as a literal over several lines, where it can be one."""
    if "'''" in text or "\\" in text or text.endswith("'"):
        return repr(text)
    return f"'''\n{text}\n'''"


def indent(text: str) -> str:
    """Indent code; lines inside of texts over several lines stay as they are."""
    strings = _lines_in_strings(text)
    return "\n".join(
        line if number in strings or not line else f"    {line}"
        for number, line in enumerate(text.split("\n"), 1)
    )


def _lines_in_strings(text: str) -> set[int]:
    """Returns the numbers of the lines that begin inside of a string."""
    found: set[int] = set()
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
        ):
            found |= set(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    return found


def ambiguous_imports(body: list[ast.stmt]) -> set[str]:
    """Returns the names that imports bind to different things, such as `datetime`."""
    meant: dict[str, set[str]] = {}
    for node in body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for alias in node.names:
            one = copy.copy(node)
            one.names = [alias]
            for name in import_names(one):
                meant.setdefault(name, set()).add(ast.unparse(one))
    return {name for name, texts in meant.items() if len(texts) > 1}


def assigned_dict(begin: str, names: tuple[str, ...]) -> str:
    """Returns the line that begins so, with a dict of variables by their names."""
    return f"{begin}{{{', '.join(f'{name!r}: {name}' for name in names)}}}"
