"""What a question asks for by a word, a number or a date that a small model's code leaves out."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from rlm_jupyter.guest.quoted_terms import quoted_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READ: Final = 2000
_MOST: Final = 6
_COMPARED: Final = re.compile(
    r"\b(at least|at most|more than|less than|fewer than|exactly) (\d{1,6})(?![\d.,:%-]*\d)", re.IGNORECASE
)
_DATE: Final = re.compile(
    r"\b(?:in|of|during|after|before|since|until|from|to|between|and) (\d{4}-\d\d(?:-\d\d)?)(?![\d-])",
    re.IGNORECASE,
)
_ONCE: Final = re.compile(
    r"\bcount (?:it|each|them) (?:only )?once\b|\b(?:may|can) be in it twice\b|\bduplicate", re.IGNORECASE
)
_DISTINCT: Final = re.compile(r"\b(?:drop_duplicates|duplicated|unique|nunique|set|distinct|first|groupby)\b")


def unused_conditions(
    question: str,
    tree: ast.Module,
    code: str,
    table: str = "",
    key: str = "",
    flags: Sequence[tuple[str, bool]] = (),
) -> Iterator[str]:
    """Find what a question asks for and code that computes something does not use.

    Args:
        question: verbatim.
        tree: of the code.
        code: that ran.
        table: the variable of the table that was made of the data; empty for none.
        key: the column that tells its rows apart; empty for not known.
        flags: columns of True and False by which the question selects, and the value that it wants.

    Yields:
        A sentence for each, with the line that mends it where there is one.
    """
    if not _computes(tree):
        return
    asked = question[:_READ]
    for term in quoted_terms(asked):
        if term.lower() not in code.lower():
            select = f"{table} = {table}[({table} == {term!r}).any(axis=1)]"
            how = f" To do so, put `{select}` before it and change nothing else." if table else ""
            yield f"Your code does not use {term!r}, which the question names: it may have to select by it.{how}"
    yield from _unused_flags(code, table, flags)
    for date in list(dict.fromkeys(_DATE.findall(asked)))[:_MOST]:
        if date not in code and date[:4] not in code:
            yield f"Your code does not use {date}, and the question asks for it: select by the date."
    used = {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for words, figure in _COMPARED.findall(asked)[:_MOST]:
        number = int(figure)
        if not used & {str(number), str(number - 1), str(number + 1), str(number / 100), str(float(number))}:
            yield f"Your code does not use {number}, and the question says '{words} {number}': compare with it."
    if table and _ONCE.search(asked) and not _DISTINCT.search(code):
        once = (
            f"{table} = {table}.drop_duplicates({key!r})" if key else f"{table} = {table}.drop_duplicates()"
        )
        yield f"The question counts each once, and your code counts all rows. Put `{once}` before it."


def _unused_flags(code: str, table: str, flags: Sequence[tuple[str, bool]]) -> Iterator[str]:
    for column, wanted in flags if table else ():
        if column not in code:
            test = f"{table}[{column!r}]" if wanted else f"~{table}[{column!r}]"
            what = "of those with" if wanted else "of those without"
            how = f"Put `{table} = {table}[{test}]` before it and change nothing else."
            yield f"Your code does not use the column {column!r}, and the question is {what} it. {how}"


def _computes(tree: ast.Module) -> bool:
    """Returns whether code selects or counts something, and does not only print or answer."""
    return any(
        isinstance(node, (ast.Assign, ast.AugAssign)) and not isinstance(node.value, ast.Constant)
        for node in ast.walk(tree)
    )
