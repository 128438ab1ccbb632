"""How the demo looks at tables: a cell that prints a line of JSON for each column, and what it reads of these lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlm_jupyter.demo_model.read_chat import Talk
from rlm_jupyter.demo_model.words import tokens

MOST_COLUMNS = 40
"""Columns that a look shows; of more, those that the question may mean."""
_FEWER = 12

KINDS_OF_TABLES = {
    "pandas.DataFrame": "{0}",
    "pandas.Series": '{0}.to_frame({0}.name or "value")',
    "polars.DataFrame": "{0}.to_pandas()",
    "polars.Series": '{0}.to_frame("value").to_pandas()',
    "polars.LazyFrame": "{0}.collect().to_pandas()",
    "pyarrow.Table": "{0}.to_pandas()",
    "pyarrow.Dataset": "{0}.to_table().to_pandas()",
    "dask.DataFrame": "{0}.compute()",
    "numpy.ndarray": "pd.DataFrame({0})",
    "builtins.list": "pd.DataFrame({0})",
    "builtins.tuple": "pd.DataFrame(list({0}))",
    "numbers": 'pd.DataFrame({{"value": {0}}})',
    "columns": "pd.DataFrame({0})",
    "frame": '{0} if hasattr({0}, "iloc") else {0}.to_pandas()',
}
"""What a table may be, to the code that makes it a DataFrame of pandas."""


@dataclass(frozen=True)
class Seen:
    """What the data is.

    Attributes:
        kind: ``"tables"``, ``"text"`` (one), ``"documents"``, ``"empty"``, ``"other"`` or ``"unread"`` (the output
            could not be read).
        tables: of each, its header and its columns as they were printed.
        code: the texts, in the agent's code: one text, or a dict of them.
        prepare: lines of code that make `code`, for each cell that uses it.
        documents: how many texts.
        characters: of all of them.
        names: the first of them, as far as they were seen.
    """

    kind: str
    tables: tuple[tuple[dict[str, Any], tuple[list[Any], ...]], ...] = ()
    code: str = "context"
    prepare: str = ""
    documents: int = 0
    characters: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """A cell that looks at the data, and the sentence before it."""

    thought: str
    cell: str


def table_look(  # noqa: PLR0911 - one for each state of the look
    talk: Talk, tables: Mapping[str, tuple[str, str]], printed: list[Any]
) -> Seen | Look:
    """Look at each table's columns; again if an index holds data, and if there are too many columns.

    Args:
        talk: the chat.
        tables: name to the code of what is a table, and what kind of table it is.
        printed: the lines of JSON that were printed since the data came.
    """
    found = _read_tables(printed)
    codes = {name: _code(talk, name, code, kind, len(tables)) for name, (code, kind) in tables.items()}
    if not set(tables) <= set(found):
        if any("sample = " in reply for reply in talk.replies):
            return Seen("unread")
        return Look("Let me look at the data before anything else.", _first_cell(tables))
    indexed = [name for name in tables if _has_data_in_index(found[name])]
    if indexed:
        if any("reset_index" in reply for reply in talk.replies):
            return Seen("unread")
        lines = [f"{_own(name, len(tables))} = {_reset(codes[name], found[name])}" for name in indexed]
        codes |= {name: _own(name, len(tables)) for name in indexed}
        thought = "The index is not a plain count of rows, so I reset it and look again."
        return Look(thought, "\n".join((*lines, _look_at(codes))))
    narrow = any("asked = " in reply for reply in talk.replies)
    cut = any(
        len(found[name][1]) < min(found[name][0]["columns"], found[name][0]["shown"]) for name in tables
    )
    wide = any(found[name][0]["columns"] > found[name][0]["shown"] for name in tables)
    if (wide or cut) and not narrow and not talk.last_turn:
        thought = "There are many columns: I look at those that the question may mean."
        return Look(thought, _look_at(codes, " ".join((talk.question, *talk.earlier))))
    if cut:
        return Seen("unread")
    if not any(found[name][0]["rows"] and found[name][0]["columns"] for name in tables):
        return Seen("empty")
    return Seen("tables", tuple(({**found[name][0], "code": codes[name]}, found[name][1]) for name in tables))


def _own(name: str, count: int) -> str:
    """Returns the variable that holds a table after its form or its index was changed."""
    return "table" if count == 1 else f"tables[{name!r}]"


def _code(talk: Talk, name: str, code: str, kind: str, count: int) -> str:
    """Returns a table of pandas in the agent's code: the data itself, or the variable that a cell has assigned."""
    own = _own(name, count)
    changed = kind != "pandas.DataFrame" or any(f"\n{own} = " in cell for cell in talk.cells)
    return own if changed else code


def _first_cell(tables: Mapping[str, tuple[str, str]]) -> str:
    """Returns the cell that makes the tables, where they are not yet of pandas, and looks at them."""
    made = {name: KINDS_OF_TABLES[kind].format(code) for name, (code, kind) in tables.items()}
    imports = "import json\nimport pandas as pd\n"
    if len(tables) > 1:
        items = ", ".join(f"{name!r}: {code}" for name, code in made.items())
        return f"{imports}tables = {{{items}}}\n{_look_at(made)}"
    ((name, (code, kind)),) = tables.items()
    if kind == "pandas.DataFrame":
        return f"{imports}{_look_at({name: code})}\n{code}.head(3)"
    return f"{imports}table = {made[name]}\n{_look_at({name: 'table'})}\ntable.head(3)"


_BODY = """\
sample = {code}.sample(min(len({code}), 2_000), random_state=0)
print(json.dumps({{"table": {name}, "rows": len({code}), "columns": {code}.shape[1], "shown": {most}, "sampled": len(sample),
    "twice": int(sample.astype(str).duplicated().sum()), "index": [type({code}.index).__name__, *map(str, {code}.index.names)]}}))
for at in {columns}[:{most}]:
    values = sample.iloc[:, at].dropna().astype(object)
    texts = values.astype(str).str[:40]
    print(json.dumps([at, str(sample.columns[at])[:60], str(sample.dtypes.iloc[at])[:40], pd.api.types.infer_dtype(values),
        len(sample) - len(values), texts.nunique(), texts.unique()[:{values}].tolist()]))"""  # noqa: E501 - lines of the agent's cell
_CHOSEN = """\
sorted(range(sample.shape[1]), key=lambda at: (
        not any(word in str(sample.columns[at]).lower() for word in asked),
        pd.api.types.is_numeric_dtype(sample.dtypes.iloc[at])))"""


def _look_at(codes: Mapping[str, str], question: str = "") -> str:
    """Returns the code that describes columns of tables; with a question, those that it may mean."""
    columns, most, values, asked = "range(sample.shape[1])", MOST_COLUMNS, 12, ""
    if question:
        named = sorted({word[:5] for word in tokens(question) if len(word) > 3})[:20]  # noqa: PLR2004 - no articles
        columns, most, values, asked = _CHOSEN, _FEWER, 6, f"asked = {named!r}\n"
    if len(codes) == 1:
        ((name, code),) = codes.items()
        body = _BODY.format(columns=columns, most=most, values=values, name=repr(name), code=code)
        return asked + body
    body = _BODY.format(columns=columns, most=most, values=values, name="name", code="table")
    loop = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{asked}for name, table in tables.items():\n{loop}".rstrip()


def _read_tables(printed: list[Any]) -> dict[str, tuple[dict[str, Any], tuple[list[Any], ...]]]:
    """Returns of each table the newest header and the columns below it."""
    found: dict[str, tuple[dict[str, Any], tuple[list[Any], ...]]] = {}
    name = None
    for line in printed:
        if isinstance(line, dict) and "table" in line and "shown" in line:
            name = line["table"]
            found[name] = (line, ())
        elif name is not None and isinstance(line, list) and len(line) == 7:  # noqa: PLR2004 - as the cell prints it
            found[name] = (found[name][0], (*found[name][1], line))
    return found


def _has_data_in_index(table: tuple[dict[str, Any], tuple[list[Any], ...]]) -> bool:
    kind, *names = table[0]["index"]
    return kind in ("DatetimeIndex", "PeriodIndex", "MultiIndex") or set(names) != {"None"}


def _reset(code: str, table: tuple[dict[str, Any], tuple[list[Any], ...]]) -> str:
    kind, *names = table[0]["index"]
    columns = {column[1] for column in table[1]}
    keep = kind in ("DatetimeIndex", "PeriodIndex") or set(names) != {"None"}
    return f"{code}.reset_index({'' if keep and not set(names) & columns else 'drop=True'})"
