"""What a question asks for by a word, a number or a date that a small model's code leaves out."""

from __future__ import annotations

import ast
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent.question_labels import selecting
from rlm_jupyter.engine.reply.python_syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_READ: Final = 2000
_MOST: Final = 6
_COMPARED: Final = re.compile(
    r"\b(at least|at most|more than|less than|fewer than|exactly) (\d{1,6})(?![\d.,:%-]*\d)"
    r"(?! (?:\w+ )?(?:words?|sentences?|characters|letters|decimals?|digits|paragraphs?)\b)",
    re.IGNORECASE,
)
_LEAST: Final = 2
"""A number from which on code has to compare with it: that there is one, or another, it may tell without."""
_UNITS: Final = (1, 7, 12, 24, 30, 60, 100, 365, 1000, 1024, 1440, 3600, 86_400, 604_800, 10**6, 10**9)
"""What a number may be multiplied by where the data has another unit: of time, thousands, cents."""
_NUMBER: Final = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,15})?(?![\d.]*\d)")
_MOST_CHARS: Final = 20_000
_DATE: Final = re.compile(
    r"\b(?:in|of|during|after|before|since|until|from|to|between|and) (\d{4}-\d\d(?:-\d\d)?)(?![\d-])",
    re.IGNORECASE,
)
_RANGE_OF_DATA: Final = re.compile(
    r"\b(?:covers?|contains?|holds?|has|have|ranges?|runs?|spans?|goes|data|are|is)\b[^.?!\n]{0,80}"
    r"\b(?:from|between) \d{4}-\d\d(?:-\d\d)? (?:to|and|until|through) \d{4}-\d\d(?:-\d\d)?\s*[.;\n]",
    re.IGNORECASE,
)
"""A sentence that says which dates there are, and asks for none of them."""
_ONCE: Final = re.compile(
    r"\bcount (?:it|each|them) (?:only )?once\b|\b(?:may|can) be in it twice\b"
    r"|\b(?:without|ignor\w{1,4}|remov\w{1,4}|drop\w{0,4}|exclud\w{1,4}|are|has|contains?|be|with|any|no) duplicate",
    re.IGNORECASE,
)
_KEPT: Final = re.compile(
    r"\b(?:not|never|no need to|without) (?:remov|drop|exclud|ignor|delet)\w{0,4}"
    r"|\b(?:keep|how many|which)\b[^.?!\n]{0,40}\bduplicate"
    r"|\bare(?: there)? (?:any |no )?duplicate\w*\?",
    re.IGNORECASE,
)
"""A question about duplicates, which it counts too."""
_DISTINCT: Final = re.compile(
    r"drop_duplicates|duplicated|n_?unique|unique\b|\bset\b|distinct|\bfirst\b|group_?\s?by|value_counts|Counter"
    r"|fromkeys|is_duplicated|\bseen\b",
    re.IGNORECASE,
)
_APART: Final = re.compile(r"group_?\s?by|value_counts|crosstab|pivot|Counter\(|unstack", re.IGNORECASE)
"""By which all values of a column stay apart, so that one of them is seen in the output."""
_HUGE: Final = 1e15
_PLAIN: Final = re.compile(r"[\W_]+")
_STEM: Final = 4


def unused_conditions(
    question: str,
    tree: ast.Module,
    code: str,
    table: str = "",
    key: str = "",
    flags: Sequence[tuple[str, bool]] = (),
    columns: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Find what a question asks for and code that computes something does not use.

    Args:
        question: verbatim.
        tree: of the code.
        code: that ran, and before it what is behind the variables that it reads.
        table: the variable of the table that was made of the data; empty for none.
        key: the column that tells its rows apart; empty for not known.
        flags: columns of True and False by which the question selects, and the value that it wants.
        columns: of terms of the question that are values in one column each, that column; under an empty text the
            column of labels.

    Yields:
        A sentence for each, with the line that mends it where there is one.
    """
    if not _computes(tree):
        return
    asked = question[:_READ]
    constants = [
        node.value
        for part in (tree, parsed(code))
        if part
        for node in ast.walk(part)
        if isinstance(node, ast.Constant)
    ]
    texts = [value for value in constants if isinstance(value, str)]
    for term in selecting(asked):
        if not _is_used(term, code, texts, columns):
            select = f"{table} = {table}[({table} == {term!r}).any(axis=1)]"
            how = f" To do so, put `{select}` before it and change nothing else." if table else ""
            yield f"Your code does not use {term!r}, which the question names: it may have to select by it.{how}"
    yield from _unused_flags(code, table, flags)
    for date in list(dict.fromkeys(_DATE.findall(_RANGE_OF_DATA.sub(" ", asked))))[:_MOST]:
        if date not in code and date[:4] not in code:
            yield f"Your code does not use {date}, and the question asks for it: select by the date."
    used = _numbers(constants, texts)
    for words, figure in _COMPARED.findall(asked)[:_MOST]:
        number = int(figure)
        twice = number == _LEAST and "duplicated" in code
        near = {number - 1, number + 1, number / 100, *(number * unit for unit in _UNITS)}
        if number >= _LEAST and not twice and not used & {float(each) for each in near}:
            yield f"Your code does not use {number}, and the question says '{words} {number}': compare with it."
    once_each = _ONCE.search(asked) and not _KEPT.search(asked)
    if table and once_each and not (_DISTINCT.search(code) or _has_each_once(tree)):
        once = (
            f"{table} = {table}.drop_duplicates({key!r})" if key else f"{table} = {table}.drop_duplicates()"
        )
        yield f"The question counts each once, and your code counts all rows. Put `{once}` before it."


def _is_used(term: str, code: str, texts: Sequence[str], columns: Mapping[str, str]) -> bool:
    """Returns whether code has a term or a part of it, or keeps it apart from the other values of its column."""
    plain = _PLAIN.sub("", term.lower())
    if term.lower() in code.lower() or (plain and plain in _PLAIN.sub("", code.lower())):
        return True
    parts = [_PLAIN.sub("", text.lower()) for text in texts]
    if any(len(part) >= _STEM and part in plain for part in parts):
        return True
    column = columns.get(term) or columns.get("", "")
    return bool(column) and column in texts and _APART.search(code) is not None and _groups_by(code, column)


def _groups_by(code: str, column: str) -> bool:
    """Returns whether code groups or counts by a column."""
    name = rf"['\"]{re.escape(column)}['\"]"
    by = r"(?:group_?by|crosstab|pivot\w*|value_counts)\([^()\n]{0,200}?" + name
    return (
        re.search(rf"{by}|{name}\]+\.value_counts|GROUP BY\b[^\n]{{0,80}}{re.escape(column)}", code)
        is not None
    )


def _numbers(constants: Sequence[object], texts: Sequence[str]) -> set[float]:
    """Returns the numbers in code, those in its texts too: queries, spans of time."""
    found = {float(value) for value in constants if isinstance(value, (int, float)) and abs(value) < _HUGE}
    for text in texts:
        found |= {float(number) for number in _NUMBER.findall(text[:_MOST_CHARS])}
    return found


def _has_each_once(tree: ast.Module) -> bool:
    """Returns whether code makes a dict or a set of items, by which each is there once."""
    return any(isinstance(node, (ast.Set, ast.SetComp, ast.DictComp)) for node in ast.walk(tree))


def _unused_flags(code: str, table: str, flags: Sequence[tuple[str, bool]]) -> Iterator[str]:
    for column, wanted in flags if table else ():
        if column.lower() not in code.lower():
            test = f"{table}[{column!r}]" if wanted else f"~{table}[{column!r}]"
            what = "of those with" if wanted else "of those without"
            how = f"Put `{table} = {table}[{test}]` before it and change nothing else."
            yield f"Your code does not use the column {column!r}, and the question is {what} it. {how}"


def _computes(tree: ast.Module) -> bool:
    """Returns whether code selects or counts something, and does not only print, answer, or add a column."""
    shows = any(isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant) for node in tree.body)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)) and not isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if shows or any(not isinstance(target, ast.Subscript) for target in targets):
                return True
    return False
