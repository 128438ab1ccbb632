"""What is doubtful in code that ran to its end: mistakes of small models that raise no error and change the answer."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.reply.python_syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED: Final = re.compile(r"(?<!\w)'([^'\n]{2,40})'(?!\w)|\"([^\"\n]{2,40})\"")
_PART_OF_DATE: Final = re.compile(r"\d{4}(?:-\d\d)?")
_BY_LABEL: Final = frozenset({"at", "loc"})
_SOURCE: Final = 60
_READ: Final = 2000
"""Characters of a question in which its quoted names are looked for."""
_MOST_TERMS: Final = 8


@dataclass
class CodeDoubts:
    """Of one agent: each doubt is told once.

    Args:
        question: verbatim.

    Attributes:
        mapping: the variable that is a dict of texts; empty for none.
        column: the column of sentences in the data; empty for none.
        table: the variable of the table that was made of the data; empty for none.
    """

    question: str
    mapping: str = ""
    column: str = ""
    table: str = ""
    _told: set[str] = field(default_factory=set)

    def of(self, code: str) -> list[str]:
        """Returns what is doubtful in code and was not told before."""
        tree = parsed(code)
        if tree is None:
            return []
        found = [*_constant_conditions(tree), *_loops_over_names(tree, self.mapping), *_old_numbers(tree)]
        found += [*_parts_of_dates(tree), *_words_in_sentences(tree, self.column)]
        found += self._unused(code) if _computes(tree) else []
        new = [text for text in dict.fromkeys(found) if text not in self._told]
        self._told.update(new)
        return new

    def _unused(self, code: str) -> Iterator[str]:
        terms = [one or other for one, other in _QUOTED.findall(self.question[:_READ])]
        for term in list(dict.fromkeys(terms))[:_MOST_TERMS]:
            if term.lower() not in code.lower():
                select = f"{self.table} = {self.table}[({self.table} == {term!r}).any(axis=1)]"
                how = f" To do so, put `{select}` before it and change nothing else." if self.table else ""
                yield f"Your code does not use {term!r}, which the question names: it may have to select by it.{how}"


def _computes(tree: ast.Module) -> bool:
    """Returns whether code selects or counts something, and does not only print or answer."""
    return any(
        isinstance(node, (ast.Assign, ast.AugAssign)) and not isinstance(node.value, ast.Constant)
        for node in ast.walk(tree)
    )


def _constant_conditions(tree: ast.Module) -> Iterator[str]:
    """Find conditions that are a text, which is always true: most often `in line` was left out."""
    for node in ast.walk(tree):
        tests: list[ast.expr] = []
        if isinstance(node, (ast.If, ast.IfExp)):
            tests = [node.test]
        elif isinstance(node, ast.comprehension):
            tests = node.ifs
        for test in tests:
            for part in test.values if isinstance(test, ast.BoolOp) else [test]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
                    text = repr(part.value)[:_SOURCE]
                    yield f"The condition {text} alone is always true: write `{text} in line`."


def _loops_over_names(tree: ast.Module, mapping: str) -> Iterator[str]:
    """Find loops over a dict of texts that take its keys for the texts."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.For, ast.comprehension)) or not mapping:
            continue
        if not (isinstance(node.iter, ast.Name) and node.iter.id == mapping):
            continue
        target = node.target.id if isinstance(node.target, ast.Name) else ""
        looked_up = any(
            isinstance(part, ast.Subscript)
            and isinstance(part.value, ast.Name)
            and part.value.id == mapping
            and isinstance(part.slice, ast.Name)
            and part.slice.id == target
            for part in ast.walk(tree)
        )
        if not looked_up:
            yield (
                f"`for {target or 'item'} in {mapping}` goes over the names of the texts, not over the texts. Write "
                f"`for name, text in {mapping}.items():` and in it `for line in text.splitlines():`."
            )


def _old_numbers(tree: ast.Module) -> Iterator[str]:
    """Find rows that are taken by number after a sort, where each row still has its old number."""
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    renumbered = "reset_index" in calls or any(
        isinstance(node, ast.keyword) and node.arg == "ignore_index" for node in ast.walk(tree)
    )
    if "sort_values" not in calls or renumbered:
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr in _BY_LABEL
            and isinstance(node.slice, ast.Tuple)
            and isinstance(node.slice.elts[0], ast.BinOp)
        ):
            yield (
                f"After `sort_values` the rows keep their old numbers, which `.{node.value.attr}[i]` takes: write "
                "`.sort_values(...).reset_index(drop=True)`."
            )
            return


def _parts_of_dates(tree: ast.Module) -> Iterator[str]:
    """Find a date that is compared with a year or a month, which no date equals."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], ast.Eq)
            and isinstance(node.left, ast.Subscript)
            and isinstance(node.comparators[0], ast.Constant)
        ):
            value = node.comparators[0].value
            if isinstance(value, str) and _PART_OF_DATE.fullmatch(value):
                left = ast.unparse(node.left)[:_SOURCE]
                form = "%Y-%m" if "-" in value else "%Y"
                yield (
                    f"A date never equals {value!r}. Write `{left}.dt.strftime('{form}') == {value!r}`; "
                    f"if the column has texts, `{left}.str.startswith({value!r})`."
                )


def _words_in_sentences(tree: ast.Module, column: str) -> Iterator[str]:
    """Find sentences that are judged by a word in them, or compared with a label."""
    for node in ast.walk(tree) if column else ():
        searched = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"contains", "count"}
            and _mentions(node.func.value, column)
        )
        compared = (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], (ast.Eq, ast.In))
            and (_mentions(node.left, column) or any(_mentions(each, column) for each in node.comparators))
        )
        if searched or compared:
            yield (
                f"No word in a sentence of `{column}` tells what it is about. Let a model judge first: "
                f'`rows["label"] = classify(rows["{column}"], [...])`, with all the labels of the question in the '
                'list; then use `rows["label"]`.'
            )
            return


def _mentions(node: ast.expr, column: str) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == column for part in ast.walk(node))
