"""Hints at a value that is not of the kind that the code takes it for: a text as a table, a table as a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rlm_jupyter.engine.error_hints.failure import Failure, nearest
from rlm_jupyter.engine.error_hints.values_in_words import (
    columns_of,
    in_words,
    kind_of,
    listed,
    quoted,
    way_into_text,
)

_TEXT_METHODS = frozenset(name for name in dir(str) if not name.startswith("_")) - {
    "count",
    "index",
    "format",
}
_OF_TABLES = frozenset(
    {
        *(
            "agg",
            "apply",
            "columns",
            "describe",
            "dropna",
            "dtypes",
            "empty",
            "groupby",
            "head",
            "iloc",
            "info",
        ),
        *(
            "iterrows",
            "itertuples",
            "loc",
            "mean",
            "nunique",
            "query",
            "sample",
            "shape",
            "sort_values",
            "str",
            "sum",
        ),
        *("tail", "unique", "value_counts", "values"),
    }
)
_RENAMED = {
    "append": "`pd.concat([table, other])`",
    "iteritems": "`.items()`",
    "ix": "`.loc[...]` or `.iloc[...]`",
    "sort": "`.sort_values(...)`",
}
_OF_MATCHES = ("group", "groups", "groupdict", "start", "end", "span")
_NUMBERS = ("int", "float", "int64", "float64", "bool")
_FUNCTIONS = ("method", "builtin_function_or_method", "function")
_STREAMS = (
    "generator",
    "map",
    "filter",
    "zip",
    "dict_keys",
    "dict_values",
    "dict_items",
    "enumerate",
    "reversed",
)
_NONE_IN_PLACE = (
    "a function without `return`, or a method that changes its object (`list.sort()`), returns None"
)


def attribute(failure: Failure, sample: int) -> str | None:
    """Returns a hint at an `AttributeError`."""
    found = failure.search(r"'([\w.]{1,60})' object has no attribute '(\w{1,60})'")
    if found is None:
        return _of_module(failure)
    kind, name = found[1].rpartition(".")[2], found[2]
    if kind == "str":
        return _text_as_other(failure, f"a text has no `.{name}`", sample)
    if kind in ("DataFrame", "Series", "Index"):
        return _table_method(failure, kind, name, sample)
    if kind in ("list", "tuple", "set", "dict", "ndarray"):
        return _container_method(failure, kind, name, sample)
    return _on_none(name) if kind == "NoneType" else _other_method(kind, name)


def _other_method(kind: str, name: str) -> str | None:
    if kind in _STREAMS:
        return f"That is a {kind}, which has no `.{name}`: make a list of it first, `list(...)`."
    if kind in _FUNCTIONS:
        return f"A function was not called before `.{name}`: its parentheses are missing, as in `text.lower().{name}`."
    if name not in _TEXT_METHODS:
        return None
    if kind == "float":
        return (
            f"A float among texts is a missing value (NaN): leave it out (`column.dropna()`), or make texts of all "
            f"(`str(value).{name}(...)`, `column.astype(str)`)."
        )
    return f"That is a number ({kind}): write `str(value).{name}(...)`." if kind in _NUMBERS else None


def _of_module(failure: Failure) -> str | None:
    if failure.search(r"module 'datetime' has no attribute"):
        return "Write `datetime.datetime.now()`, or `from datetime import datetime` first."
    if failure.search(r"type object 'datetime\.datetime' has no attribute"):
        return "`datetime` is the class here: write `from datetime import datetime, date, timedelta`."
    return None


def _on_none(name: str) -> str:
    if name in _OF_MATCHES:
        return (
            "`re.search` and `re.match` return None if nothing matches. Write `m = re.search(pattern, text)`, then "
            f"`if m: print(m.{name}())`, and print a text that does not match."
        )
    return f"The value before `.{name}` is None: {_NONE_IN_PLACE}. Print it first."


def _text_as_other(failure: Failure, why: str, sample: int) -> str | None:
    """Returns what to do with a text that was taken for something else."""
    found = failure.subject(kinds=("text",))
    if found is None:
        return (
            f"That value is a text (str), and {why}: split it first, `text.splitlines()` or `text.split()`."
        )
    return f"{in_words(*found, sample)}, and {why}. Go on with `{way_into_text(*found)}`."


def _table_method(failure: Failure, kind: str, name: str, sample: int) -> str | None:
    found = failure.subject(kinds=("table",) if kind == "DataFrame" else ("column",))
    table, description = found or ("table" if kind == "DataFrame" else "column", {})
    columns = columns_of(description)
    if name in _TEXT_METHODS:
        if kind != "DataFrame":
            return f"A column holds many values: write `.astype(str).str.{name}(...)` after it."
        column = _text_column(description)
        of = (
            quoted(f"{table}[{column!r}].astype(str).str.{name}(...)", 90)
            if column
            else "`table[column].str`"
        )
        return f"{in_words(table, description, sample)}, and no text. On a column of texts: {of}."
    if near := nearest(name, columns):
        return f"`{table}` has no column `{name}`. Nearest: {listed(near)}."
    if name in _RENAMED:
        return f"pandas has no `.{name}`: write {_RENAMED[name]}."
    if columns:
        return f"`{table}` has no `.{name}`. Its columns: {listed(columns)}."
    return None


def _text_column(description: Mapping[str, Any]) -> str | None:
    """Returns the first column that holds texts."""
    columns = description.get("columns")
    for part in columns if isinstance(columns, list) else ():
        if isinstance(part, dict) and str(part.get("dtype")) in {"object", "str", "string", "String"}:
            name = part.get("name")
            return name if isinstance(name, str) else None
    return None


def _container_method(failure: Failure, kind: str, name: str, sample: int) -> str | None:
    if kind == "tuple" and (rows := _rows_in_pairs(failure)):
        return rows
    found = failure.subject(kind)
    variable, description = found or ("items", {})
    what = in_words(variable, description, sample) if found else f"That value is a {kind}"
    if kind == "dict":
        way = f"for key, value in {variable}.items():`, or `{variable}[key]"
    elif name in _TEXT_METHODS and columns_of(description):
        way = f"for item in {variable}:`, and `.{name}(...)` of one of its values, such as `item[key].{name}(...)"
    elif name in _TEXT_METHODS:
        way = f"[item.{name}(...) for item in {variable}]`, or `text = '\\n'.join({variable})"
    elif name in _OF_TABLES:
        way = f"for item in {variable}:`, or `table = pd.DataFrame({variable})"
    elif name in ("items", "keys", "get"):
        way = f"for item in {variable}: print(item.{name})"
    else:
        way = f"print(next(iter({variable})))` shows one item, `dir({variable})"
    return f"{what}, and has no `.{name}`: `{way}`."


def _rows_in_pairs(failure: Failure) -> str | None:
    for method, first in (
        ("iterrows", "index"),
        ("items", "key"),
        ("groupby", "key"),
        ("enumerate", "number"),
    ):
        if re.search(rf"\b{method}\(", failure.short_code):
            return f"`{method}` gives pairs: write `for {first}, item in ...:`, and use `item`."
    return None


def not_a_table(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a table that could not be made of a text."""
    if "constructor not properly called" not in failure.text:
        return None
    return _text_as_other(failure, "no table can be made of it at once", sample)


def index_of_sequence(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a text or a list that was indexed by a name."""
    if failure.search(r"string indices must be integers|str indices"):
        if (names := _loop_over_columns(failure)) is not None:
            return names
        return _text_as_other(failure, "has no columns or keys", sample)
    found = failure.search(r"\b(list|tuple) indices must be integers")
    if found is None:
        return None
    if found[1] == "tuple" and (rows := _rows_in_pairs(failure)):
        return rows
    subject = failure.subject(found[1])
    name, description = subject or ("items", {})
    what = in_words(name, description, sample) if subject else f"That value is a {found[1]}"
    key = re.search(r"\[\s*(['\"][^'\"\n\\`]{1,40}['\"])\s*\]", failure.line)
    of = key[1] if key else "key"
    return f"{what}: take an item first, `{name}[0][{of}]`, or all: `[item[{of}] for item in {name}]`."


_LOOP = re.compile(r"\bfor (\w{1,40}) in (\w{1,40})(?:\s*[:\])\n]| if\b)")


def _loop_over_columns(failure: Failure) -> str | None:
    """Returns a hint at a loop over a table, which goes over the names of its columns."""
    taken = re.findall(r"\b([^\W\d]\w{0,40})\[", failure.line)
    # A loop in the failing line itself is the one; else any before it.
    loops = _LOOP.findall(failure.line) or _LOOP.findall(failure.short_code)
    for item, table in loops:
        about = failure.variables.get(table, {})
        if item in taken and (kind_of(about) == "table" or table == "rows"):
            return (
                f"`for {item} in {table}` goes over the names of the columns. Select by a column without a loop, as in "
                f"`{table}[{table}['name'] == 'a']`, or write `for {item} in {table}.to_dict('records')`."
            )
    return None


def not_callable(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a value that was called as if it were a function."""
    found = failure.search(r"'([\w.]{1,60})' object is not callable")
    if found is None:
        return None
    called = [name for name in failure.names if re.search(rf"(?<![\w.]){name}\s*\(", failure.line)]
    if found[1] == "module":
        return "A module was called: the function is in it, as in `datetime.datetime(...)`, `pprint.pprint(...)`."
    if not called:
        return (
            f"A value of type {found[1]} was called like a function: an operator may be missing before `(`."
        )
    name = called[0]
    description = failure.variables[name]
    if name in failure.data_names:
        way = f" Go on with `{way_into_text(name, description)}`." if kind_of(description) == "text" else ""
        return f"{in_words(name, description, sample)}, and no function.{way}"
    return f"`{name}` is a variable of yours now and hides what had that name: `del {name}`, and use another name."


def not_subscriptable(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a value that has no items."""
    found = failure.search(r"'([\w.]{1,60})' object is not (?:subscriptable|iterable|reversible|an iterator)")
    found = found or failure.search(r"object of type '([\w.]{1,60})' has no len")
    found = found or failure.search(r"(?:argument of type|cannot unpack non-iterable) '?([\w.]{1,60})'?")
    kind = found[1].rpartition(".")[2] if found else ""
    if kind == "int" and "is not iterable" in failure.text and "argument of" not in failure.text:
        return "A number cannot be looped over: `for i in range(n):`; of a list, leave `len(...)` out."
    return next((text.format(kind=kind) for kinds, text in _NO_ITEMS if kind in kinds), None)


_NO_ITEMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("NoneType",),
        f"The value is None: `re.search` found nothing, or {_NONE_IN_PLACE}. Check `if value is not None:` first.",
    ),
    ((*_FUNCTIONS, "type"), "A function was not called: put `()` after its name, as in `d.items()`."),
    (
        (*_STREAMS, "set"),
        "A {kind} has no length and no items by number: make a list of it first, `list(...)`.",
    ),
    (_NUMBERS, "That value is a number ({kind}), not a text or a list: print it, or write `str(value)`."),
)
