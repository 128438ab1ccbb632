"""What a first look at an agent's data can show: which helpers fit it.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from typing import Any

from .clean_tables import MOST_ROWS, clean_table, find_keys, is_unclean, join_tables
from .code_table import is_code, parse_code
from .quoted_terms import marked_terms
from .text_labels import column_of_texts
from .text_lines import named_sections, outline, parse_lines

_MOST_ITEMS = 100_000
_SAMPLE = 200_000
"""Characters of a text, and rows of a table, in which a term of the question is looked for."""
_MOST_SOURCE = 3_000_000
_MOST_COLUMNS = 40


def outline_data(data: Any, question: str) -> dict[str, Any]:
    """Returns what helpers can make of an agent's data.

    Args:
        data: of the agent.
        question: verbatim.

    Returns:
        For a text what `text_lines.outline` tells. `code`: whether it is a dict of Python sources; `joined`: whether
        its tables have a common key; `unclean`: whether a table has texts to be converted; `texts`: the column of
        its rows that holds sentences; `named`: of each term that the question has in quotes
        and that is a whole value of one column, that column, the term, and whether longer values hold it too;
        `columns`: each
        column and what it holds (`date`, `flag`, `number`, `integer`, `text`). What does not hold is left out.
    """
    if type(data) is list and all(type(item) is str and "\n" not in item for item in data):
        data = "\n".join(data)
    if type(data) is str:
        about = outline(data, question)
        if len(about["lines"]) == 1:
            rows = parse_lines(data[:_SAMPLE].rpartition("\n")[0] if len(data) > _SAMPLE else data)
            about |= _texts(rows) | _columns(rows) | _named(rows, question)
        return about
    if type(data) is dict and 0 < len(data) <= _MOST_ITEMS:
        tables = list(data.values())
        small = all(hasattr(table, "shape") for table in tables) and sum(map(len, tables)) <= MOST_ROWS
        if small and find_keys(tables):
            rows = join_tables(data)
            return {"joined": True} | _columns(rows) | _named(rows, question)
        if not is_code(data):
            return {}
        rows = parse_code(_first(data))
        return {"code": True} | _columns(rows) | _named(rows, question)
    if type(data).__name__ == "DataFrame" and type(data).__module__.startswith("pandas"):
        unclean = len(data) <= MOST_ROWS and is_unclean(data)
        rows = clean_table(data.iloc[:_SAMPLE]) if unclean else data
        return ({"unclean": True} if unclean else {}) | _texts(data) | _columns(rows) | _named(data, question)
    return {}


def _first(files: dict[str, str]) -> dict[str, str]:
    """Returns as many of some files as are parsed twice, here and in the look itself."""
    left, first = _MOST_SOURCE, {}
    for name, text in files.items():
        left -= len(text)
        if left < 0:
            break
        first[name] = text
    return first


def _texts(table: Any) -> dict[str, Any]:
    column = column_of_texts(table)
    return {} if column is None else {"texts": column}


def _columns(table: Any) -> dict[str, Any]:
    """Returns what the first columns of a table hold."""
    names = [name for name in table.columns[:_MOST_COLUMNS] if type(name) is str]
    if len(set(names)) < len(table.columns[:_MOST_COLUMNS]):
        return {}
    kinds = {"b": "flag", "M": "date", "i": "integer", "u": "integer", "f": "number"}
    return {"columns": [[name, kinds.get(table[name].dtype.kind, "text")] for name in names]}


def _named(table: Any, question: str) -> dict[str, Any]:
    """Returns the terms that a question marks by quotes and that are whole values of just one column of a table."""
    if list(table.columns) == ["section", "line"]:
        pairs = list(zip(table["section"].tolist(), table["line"].tolist(), strict=True))
        return {"named": [["section", name, False] for name in named_sections(pairs, question)]}
    found: list[list[Any]] = []
    for term in marked_terms(question):
        places = [place for place in range(table.shape[1]) if _holds(table.iloc[:_SAMPLE, place], term)]
        if len(places) == 1 and type(name := table.columns[places[0]]) is str:
            longer = table.iloc[:_SAMPLE, places[0]].astype(str).str.contains(term, regex=False)
            exact = table.iloc[:_SAMPLE, places[0]] == term
            found.append([name, term, bool((longer & ~exact).any())])
    return {"named": found} if found else {}


def _holds(column: Any, term: str) -> bool:
    kinds = {type(value) for value in column.iloc[:20].tolist()}
    return str in kinds and bool((column == term).any())
