"""Hints at what was not found: a variable, a function, a column or key, a file, a module."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from typing import Any

from rlm_jupyter.engine.error_hints.failure import Failure, is_name, nearest
from rlm_jupyter.engine.error_hints.values_in_words import (
    columns_of,
    in_words,
    kind_of,
    listed,
    number_of_lines,
    quoted,
    way_into_text,
)

_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None", "nan": "float('nan')"}
_LIBRARIES = {
    **{
        name: f"import {name}"
        for name in ("bs4", "nltk", "requests", "scipy", "sklearn", "spacy", "torch", "yaml")
    },
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "nx": "import networkx as nx",
    "pl": "import polars as pl",
    "sns": "import seaborn as sns",
    "BeautifulSoup": "from bs4 import BeautifulSoup",
    "stats": "from scipy import stats",
    "tqdm": "from tqdm import tqdm",
}
_ALIASES = re.compile(
    r"(?:(?:raw|my|input|csv|json|full|all|file)_?)?"
    r"(?:content|corpus|data|dataframe|dataset|df|docs?|documents?|lines|logs?|prompt|records|rows|table|text|transcript)s?"
    r"(?:_(?:text|data|content))?"
)
"""Names that models give to the data without having bound them."""
_FEW = 8
_SHORT = 30  # characters of a key that is a number or a date
_QUOTED = re.compile(r"'([^'\n]{1,100})'|\"([^\"\n]{1,100})\"")


def unbound_name(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a `NameError`: the names that are near, or those that there are."""
    found = failure.search(r"name '(\w{1,100})' is not defined")
    if found is None:
        return _unbound_local(failure)
    name = found[1]
    if name in _CONSTANTS:
        return f"Python writes `{_CONSTANTS[name]}` for `{name}`; text of JSON is read by `json.loads(text)`."
    if name == "__file__":
        return f"A cell has no `__file__`, and there is no file to read: the data is {_data(failure, sample)}"
    if name in _LIBRARIES:
        return (
            f"`{name}` is not imported: write `{_LIBRARIES[name]}` first. If it is not installed, nothing can be: "
            "use the standard library."
        )
    own = [each for each in failure.variables if each not in failure.data_names]
    if re.search(rf"(?<![\w.]){name}\s*\(", failure.short_code):
        return _unknown_function(failure, name, own, sample)
    return _unknown_variable(failure, name, own, sample)


def _unknown_variable(failure: Failure, name: str, own: list[str], sample: int) -> str:
    clause = _clause(failure, sample)
    alias = _ALIASES.fullmatch(name)
    if near := nearest(name, own if alias else [*own, *failure.data_names]):
        return f"There is no variable `{name}`. Did you mean {listed(near)}?"
    if alias:
        return f"There is no variable `{name}`: {clause}. Write `{name} = {failure.data[0]}`, or use it."
    yours = f"You have {listed(own[-_FEW:])} and the data" if own else "You have only the data"
    return f"There is no variable `{name}`. {yours}: {clause}. Define `{name}` first."


def _unbound_local(failure: Failure) -> str | None:
    found = failure.search(r"local variable '(\w{1,100})'")
    if found is None:
        return None
    return (
        f"The function assigns `{found[1]}`, so it is local there and has no value yet: pass it as an argument, "
        f"or write `global {found[1]}` first in the function."
    )


def _unknown_function(failure: Failure, name: str, own: list[str], sample: int) -> str:
    near = nearest(name, [*failure.functions, *own], most=1)
    near = near or nearest(name, filter(str.islower, dir(builtins)), most=1, cutoff=0.8)
    also = f" Did you mean `{near[0]}`?" if near and is_name(near[0]) else ""
    table = next((each for each in failure.names if kind_of(failure.variables[each]) == "table"), None)
    if table is not None and table not in failure.data_names:
        what = in_words(table, failure.variables[table], sample)
        way = f"use its methods, as in `{table}[{table}[column] == value]`"
        return f"There is no function `{name}`.{also} {what}: {way}."
    asks = "`llm_query(prompt)` asks a model, " if "llm_query" in failure.functions else ""
    return (
        f"There is no function `{name}`.{also} Define it, or work by code: {_clause(failure, sample)}. "
        f"{asks}`FINAL(value)` answers."
    )


def missing_key(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a `KeyError`: the columns or keys that are near, or all of them."""
    wanted = _wanted(failure)
    if not wanted and (found := failure.subject(kinds=("table",))) is not None and len(failure.text) < _SHORT:
        return (
            f"`{found[0]}[...]` asks for a column: {listed(columns_of(found[1]))}. A row by its number: "
            f"`{found[0]}.iloc[0]`; rows in a loop: `for row in {found[0]}.itertuples():`."
        )
    for name in (*failure.names, failure.data[0]):
        description = failure.variables.get(name, {})
        names = columns_of(description)
        if not names or set(wanted) <= set(names):
            continue
        word = {"table": "column", "dict": "key"}.get(kind_of(description), "field")
        missing = [each for each in wanted if each not in names]
        near = [one for each in missing[:3] for one in nearest(each, names, most=2)]
        no = f"`{name}` has no {word} {listed(missing[:3])}" if missing else f"That {word} is not in `{name}`"
        if near:
            return f"{no}. Nearest: {listed(dict.fromkeys(near))}."
        return f"{no}. It has {listed(names, _FEW if sample else 4)}."
    if re.search(r"\]\s*(?:\+=|-=|\.append\b|\.add\b|\.extend\b)", failure.line):
        return (
            "The key is not in the dict yet: begin with `counts = defaultdict(int)` (or `defaultdict(list)`), or write "
            "`counts[key] = counts.get(key, 0) + 1`."
        )
    return (
        "That key is not there. Print the keys that are, such as `print(list(d)[:20])`, or use `d.get(key)`."
    )


def _wanted(failure: Failure) -> list[str]:
    """Returns the names that the error says are missing."""
    text = failure.text[:1000]
    inside = re.search(r"\[([^\[\]]{1,500})\]", text)
    whole = re.fullmatch(r"\s*(['\"])(.{1,100})\1\s*", text)
    if whole is not None and inside is None:
        return [whole[2]]
    found = [one or other for one, other in _QUOTED.findall(inside[1] if inside else text)]
    return [each for each in found if each not in {"str", "object", "string"}][:6]


def missing_file(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a file that does not exist: the data is a variable."""
    if failure.name == "OSError" and "name too long" not in failure.text:
        return None
    if (content := _opened_text(failure)) is not None:
        clause = in_words(*content, sample)
        return f"{clause}: it is the content itself and no file name. Go on with `{way_into_text(*content)}`."
    found = failure.search(r"(?:directory|denied|exist)[^'\"]{0,40}['\"]([^'\"\n]{1,200})")
    name = f" {quoted(found[1], 50)}" if found else ""
    refused = failure.name == "PermissionError"
    what = f"Your code may not use the file{name}" if refused else f"There is no file{name}"
    return f"{what}: the data is no file but {_data(failure, sample)}"


def _opened_text(failure: Failure) -> tuple[str, Mapping[str, Any]] | None:
    """Returns the text that was opened as if it were the name of a file."""
    for found in re.finditer(
        r"(?:\bopen|\bPath|\.read_\w{1,20})\(\s{0,9}(\w{1,80})\s{0,9}[,)]", failure.line
    ):
        description = failure.variables.get(found[1], {})
        if kind_of(description) == "text" and (number_of_lines(description) > 1 or failure.name == "OSError"):
            return found[1], description
    return None


def missing_module(failure: Failure, sample: int) -> str | None:
    """Returns a hint at a module that is not installed."""
    found = failure.search(r"No module named '([\w.]{1,80})'")
    if found is None:
        found = failure.search(r"cannot import name '(\w{1,80})'")
        if found is None:
            return None
        return f"There is no `{found[1]}` in that module: `print(dir(module))` lists what there is."
    name = found[1].split(".")[0]
    if name in failure.data_names:
        return f"`{name}` is a variable and needs no import: {_clause(failure, sample)}."
    if name in {"rlm", "llm", "rlm_jupyter", "openai", "anthropic"} and "llm_query" in failure.functions:
        return "A model is asked by `llm_query(prompt)`, which is there without an import."
    return (
        f"`{name}` is not installed, and nothing can be installed here. Use the standard library (`re`, `json`, `csv`, "
        "`collections`, `statistics`, `difflib`), or pandas if it is there."
    )


def nobody_answers(failure: Failure, sample: int) -> str:
    """Returns a hint at `input()`."""
    return f"Nobody answers `input()`: the question stands above, and the data is {_data(failure, sample)}"


def _clause(failure: Failure, sample: int) -> str:
    name, description = failure.data
    return in_words(name, description, sample) if description else f"the data is the variable `{name}`"


def _data(failure: Failure, sample: int) -> str:
    """Returns the end of a sentence: which variable the data is, and how to begin with it."""
    name, description = failure.data
    if not description:
        return f"the variable `{name}`."
    clause = in_words(name, description, sample).removeprefix(f"`{name}` is ")
    way = f" Go on with `{way_into_text(name, description)}`." if kind_of(description) == "text" else ""
    return f"the variable `{name}`, {clause}.{way}"
