"""What is doubtful in code that ran to its end: mistakes of small models that raise no error and change the answer."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent.earlier_code import EarlierCode
from rlm_jupyter.engine.agent.question_labels import asks_for_words, labels
from rlm_jupyter.engine.agent.unused_conditions import unused_conditions
from rlm_jupyter.engine.reply.python_syntax import parsed, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PART_OF_DATE: Final = re.compile(r"\d{4}(?:-\d\d)?")
LABEL: Final = "label"
"""The column that a model's labels are put into."""
_BY_LABEL: Final = frozenset({"at", "loc"})
_COMBINATIONS: Final = frozenset({"itertools.combinations", "combinations"})
_DISTINCT: Final = frozenset(
    (
        *(
            "set",
            "frozenset",
            "unique",
            "drop_duplicates",
            "keys",
            "index",
            "groups",
            "value_counts",
            "columns",
        ),
        *("groupby", "group_by", "pivot_table", "crosstab", "distinct", "fromkeys", "Counter", "set_index"),
    )
)
_EACH_ONCE: Final = (ast.Set, ast.SetComp, ast.Dict, ast.DictComp)
"""What has each item once, by its call and by its form."""
_SOURCE: Final = 60
_READ: Final = 2000
_AMOUNTS: Final = re.compile(
    r"\b(?:sums?|adds? up|total|differences?|differ|apart|distances?|products? of)\b", re.IGNORECASE
)
"""Of pairs of rows: two of them may have the same value."""
_DATED: Final = re.compile(r"date|time|day|stamp|when|(?:^|_)(?:at|on)$", re.IGNORECASE)
_NO_DATE: Final = re.compile(r"year|month|quarter|period|week", re.IGNORECASE)
_NAMES: Final = re.compile(
    r"(?:file|doc|path|dir)?_?(?:names?|keys?|paths?|titles?|ids?)|f|fn|k", re.IGNORECASE
)
"""Variables of code that knows the names of texts for what they are."""
_OF_NAMES: Final = frozenset({"startswith", "endswith", "removesuffix", "removeprefix", "rsplit"})
_JUDGED: Final = re.compile(r"\b(?:classify|llm_query|llm_query_batched|rlm_query|rlm_query_batched)\(")
_APART: Final = frozenset({"groupby", "nunique", "unique", "crosstab", "pivot_table", "unstack"})
"""By which the values stay apart."""
_EACH_ALONE: Final = re.compile(
    r"\bat least (?:\d{1,6}|one|two|three|four|five)\b.{0,80}\band\b.{0,40}\bat least\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class CodeDoubts:
    """Of one agent: each doubt is told once.

    Args:
        question: verbatim.

    Attributes:
        mapping: the variable that is a dict of texts; empty for none.
        column: the column of sentences in the data; empty for none.
        table: the variable of the table that was made of the data; empty for none.
        key: the column that tells its rows apart; empty for not known.
        flags: columns of True and False by which the question selects, and the value that it wants.
        dates: columns that hold dates.
        columns: of terms of the question that are values in one column each, that column.
        longer: terms of the question that are values of a column, where longer values contain them; with the column.
    """

    question: str
    mapping: str = ""
    column: str = ""
    table: str = ""
    key: str = ""
    flags: Sequence[tuple[str, bool]] = ()
    dates: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    longer: dict[str, str] = field(default_factory=dict)
    _earlier: EarlierCode = field(default_factory=EarlierCode)
    _told: set[str] = field(default_factory=set)

    def of(self, code: str) -> list[str]:
        """Returns what is doubtful in code and was not told before."""
        tree = parsed(code)
        if tree is None:
            return []
        whole = self._earlier.with_code(code, tree)
        everything = parsed(whole) or tree
        found = [*_constant_conditions(tree), *_loops_over_names(tree, self.mapping), *_old_numbers(tree)]
        if not _AMOUNTS.search(self.question[:_READ]):
            found += _repeated_items(everything)
        found += _parts_of_dates(tree, everything, self.dates)
        literally = asks_for_words(self.question)
        if not literally and not _JUDGED.search(whole):
            found += _words_in_sentences(tree, self.column, labels(self.question))
        found += [] if literally else _parts_of_values(tree, self.longer)
        found += _counts_of_either(tree, self.question)
        found += unused_conditions(
            self.question, tree, whole, self.table, self.key, self.flags, {**self.columns, "": LABEL}
        )
        self._earlier.remember(code, tree)
        new = [text for text in dict.fromkeys(found) if text not in self._told]
        self._told.update(new)
        return new


def _parts_of_values(tree: ast.Module, longer: Mapping[str, str]) -> Iterator[str]:
    """Find a search for a term in a column in which it is a whole value and a part of others too."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        searched = node.args[0]
        if not isinstance(searched, ast.Constant) or node.func.attr != "contains":
            continue
        column = longer.get(searched.value, "") if isinstance(searched.value, str) else ""
        if column and _mentions(node.func.value, column):
            term = repr(searched.value)
            yield (
                f"`contains({term})` also takes longer values of `{column}` that hold it. To take just {term}, "
                f"write `== {term}` instead."
            )


def _counts_of_either(tree: ast.Module, question: str) -> Iterator[str]:
    """Find rows of either of two values, where the question counts those of each alone."""
    calls = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    asked = _EACH_ALONE.search(question[:_READ])
    if asked is None or re.search(r"\bor\b", asked[0]) or "value_counts" not in calls or calls & _APART:
        return
    if _counts_pairs(tree):
        return
    for node in ast.walk(tree):
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
            continue
        one, other = node.left, node.right
        if not (
            isinstance(one, ast.Compare)
            and isinstance(other, ast.Compare)
            and isinstance(one.ops[0], ast.Eq)
            and isinstance(other.ops[0], ast.Eq)
            and isinstance(one.left, ast.Subscript)
            and ast.dump(one.left) == ast.dump(other.left)
        ):
            continue
        first, second, table = source_of(one), source_of(other), source_of(one.left.value)
        if len(first) + len(second) <= 2 * _SOURCE:
            yield (
                f"`|` takes the rows of either, so both are counted together. Count each alone, from "
                f"`{table}[{first}]` and from `{table}[{second}]`."
            )
            return


def _counts_pairs(tree: ast.Module) -> bool:
    """Returns whether values of several columns are counted together, by which either value stays apart."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "value_counts"
        ):
            of = node.func.value
            chosen = [of.slice] if isinstance(of, ast.Subscript) else []
            if any(isinstance(part, (ast.List, ast.Tuple)) for part in [*node.args, *chosen]):
                return True
    return False


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
        if _NAMES.fullmatch(target) or any(_takes_name(part, mapping, target) for part in ast.walk(tree)):
            continue
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


def _takes_name(part: ast.AST, mapping: str, target: str) -> bool:
    """Returns whether a call looks a name up, or asks how it begins or ends as one does of names of files."""
    if not (isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)):
        return isinstance(part, ast.Call) and source_of(part.func) in {"Path", "PurePath"}
    of, given = source_of(part.func.value), [source_of(each) for each in part.args]
    return (of == mapping and part.func.attr == "get" and target in given) or (
        of == target and part.func.attr in _OF_NAMES
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
    indexed = "set_index" in calls or any(
        isinstance(target, ast.Attribute) and target.attr == "index"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
    )
    if "sort_values" not in calls or renumbered or indexed:
        return
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr in _BY_LABEL
            and isinstance(node.slice, ast.Tuple)
            and _is_neighbour(node.slice.elts[0])
        ):
            yield (
                f"After `sort_values` the rows keep their old numbers, which `.{node.value.attr}[i]` takes: write "
                "`.sort_values(...).reset_index(drop=True)`."
            )
            return


def _is_neighbour(place: ast.expr) -> bool:
    """Returns whether a place is written as a number beside another, as `i - 1`; a condition is none."""
    return (
        isinstance(place, ast.BinOp)
        and isinstance(place.op, (ast.Add, ast.Sub))
        and any(
            isinstance(part, ast.Constant) and isinstance(part.value, int)
            for part in (place.left, place.right)
        )
    )


def _repeated_items(tree: ast.Module) -> Iterator[str]:
    """Find combinations of the values of a column, in which one may stand more than once."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args and source_of(node.func) in _COMBINATIONS):
            continue
        parts = list(_origin(node.args[0], tree))
        once = any(isinstance(part, _EACH_ONCE) or _name_of(part) in _DISTINCT for part in parts)
        of_table = any(
            isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant) for part in parts
        )
        source = source_of(node.args[0])
        if of_table and not once and len(source) <= _SOURCE:
            call = source_of(node.func)
            yield f"A value may stand in `{source}` more than once: write `{call}(sorted(set({source})), 2)`."
            return


def _origin(value: ast.expr, tree: ast.Module) -> Iterator[ast.AST]:
    """Find all parts of an expression, and of what the variables in it were made by."""
    made: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(node, ast.Assign) and isinstance(target, ast.Name):
                made.setdefault(target.id, []).append(node.value)
    waiting: list[ast.expr] = [value]
    while waiting:
        for part in ast.walk(waiting.pop()):
            yield part
            if isinstance(part, ast.Name):
                waiting += made.pop(part.id, [])


def _name_of(part: ast.AST) -> str:
    return part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""


def _parts_of_dates(tree: ast.Module, everything: ast.Module, dates: frozenset[str]) -> Iterator[str]:
    """Find a date that is compared with a year or a month, which no date equals.

    A part of a text, and a column that code has made, may well be a year or a month.
    """
    made = set(_made_columns(everything))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], ast.Eq)
            and isinstance(node.left, ast.Subscript)
            and isinstance(node.left.slice, ast.Constant)
            and isinstance(node.comparators[0], ast.Constant)
        ):
            column, value = node.left.slice.value, node.comparators[0].value
            if not isinstance(column, str) or column in made:
                continue
            if column not in dates and (not _DATED.search(column) or _NO_DATE.search(column)):
                continue
            if isinstance(value, str) and _PART_OF_DATE.fullmatch(value):
                left = source_of(node.left)[:_SOURCE]
                form = "%Y-%m" if "-" in value else "%Y"
                yield (
                    f"A date never equals {value!r}. Write `{left}.dt.strftime('{form}') == {value!r}`; "
                    f"if the column has texts, `{left}.str.startswith({value!r})`."
                )


def _made_columns(tree: ast.Module) -> Iterator[str]:
    """Find the columns that code assigns."""
    for node in ast.walk(tree):
        names: list[ast.AST | None] = []
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            names = list(ast.walk(node.slice))
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Dict):
            names = list(node.keys)
        yield from (
            part.value for part in names if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )


def _words_in_sentences(tree: ast.Module, column: str, named: list[str]) -> Iterator[str]:
    """Find sentences that are judged by a word in them, or compared with a label."""
    for node in ast.walk(tree) if column else ():
        searched = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"contains", "count"}
            and bool(node.args)
            and _mentions(node.func.value, column)
        )
        compared = isinstance(node, ast.Compare) and _compares_words(node, column)
        if searched or compared:
            yield (
                f"No word in a sentence of `{column}` tells what it is about. Let a model judge first: "
                f"`{label_line(column, named)}`{'' if named else ', with all the labels of the question in the list'}; "
                'then use `rows["label"]`.'
            )
            return


def _compares_words(node: ast.Compare, column: str) -> bool:
    """Returns whether a sentence of a column is compared with words, or one of them is looked for in it."""
    left, right = node.left, node.comparators[0]
    sides: list[tuple[ast.AST, ast.AST]]
    if isinstance(node.ops[0], ast.Eq):
        sides = [(left, right), (right, left)]
    elif isinstance(node.ops[0], ast.In):
        sides = (
            [(right, left)]
            if _is_text(left)
            else [(left, part) for part in ast.walk(right) if _is_text(part)]
        )
    else:
        return False
    return any(_mentions(one, column) and not _is_text(one) and _is_text(other) for one, other in sides)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def label_line(column: str, named: list[str]) -> str:
    """Returns the line of Python by which a model labels the sentences of a column.

    Args:
        column: of the table `rows`.
        named: the labels that the question offers; empty for not known.
    """
    listed = json.dumps(named, ensure_ascii=False) if named else "[...]"
    return f'rows["{LABEL}"] = classify(rows[{json.dumps(column, ensure_ascii=False)}], {listed})'


def _mentions(node: ast.AST, column: str) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == column for part in ast.walk(node))
