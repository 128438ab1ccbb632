"""A first look at the data that the harness takes itself: code and its output, before the model is asked, or for it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.answer_checks import counts
from rlm_jupyter.engine.agent.question_columns import KINDS, Column, Named
from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rlm_jupyter.kernels.agent_kernel import AgentKernel

DERIVED = ("rows", "others", "more")
"""What a look makes of the data; who reads it reads the data."""
HELPERS = (
    *("describe", "parse_lines", "other_lines", "find_lines"),
    *("clean_table", "join_tables", "parse_code", "classify"),
)
_SECONDS = 30.0
_MOST_TEXT = 50_000_000
"""Characters of a text whose lines are looked at; of a longer one only its description is shown."""
_PARSE = "rows = parse_lines(context)\ndescribe(rows)\n"
_OTHERS = "others = other_lines(context)\ndescribe(others)\n"
_MORE = "others = other_lines(context)\nmore = parse_lines(others)\ndescribe(more)\n"
_FIND = 'print(*find_lines(context, question), sep="\\n")\n'
_FIND_IN_TEXTS = """\
for name, text in list(context.items())[:3]:
    print(name, len(text), repr(text[:60]))
print(*find_lines(context, question, 12), sep="\\n")
"""
_RECORDS = """\
import pandas as pd
rows = pd.DataFrame(context)
describe(rows)
"""
_CODE = """\
print(len(context), "files, such as", *list(context)[:3])
rows = parse_code(context)
describe(rows)
print(rows.drop_duplicates("kind").to_string(index=False))
"""
_CODE_ROWS = """\
Each row of `rows` is one function definition, class, import, call or `raise`; `inside` names the class or function \
that it stands in. A method is a row of kind 'function' and level 'class'; what is at the top level has level 'top'."""
_CLEAN = "rows = clean_table(context)\ndescribe(rows)\n"
_JOIN = "rows = join_tables(context)\ndescribe(rows)\n"
_APART = """\
for name, table in context.items():
    print(name)
    describe(table)
"""
_MOST_TABLES = 4
_JOINED_ROWS = "`rows` is a pandas DataFrame that has the columns of all tables: use pandas."
_LONGEST_COLUMN = 60
_MOST_NAMED = 8
_MOST_COLUMNS = 40


@dataclass(frozen=True)
class Look:
    """What is run for a first look.

    Attributes:
        code: of the cell.
        data: the variables to compute from, as the model is to write them.
        found: whether it shows lines in which the answer may stand as it is.
        texts: a column of sentences among the data; empty for none.
        legend: what a row of the table that it makes is; empty if that is plain.
        named: terms of the question that are values in that table.
        columns: of that table.
    """

    code: str
    data: str
    found: bool = False
    texts: str = ""
    legend: str = ""
    named: tuple[Named, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Outline:
    """What an agent's kernel says of its data, which is believed in what is chosen by it and in nothing else.

    Attributes:
        lines: how many kinds of lines `parse_lines` can make tables of.
        left: whether the question's words stand in the lines that the first kind leaves.
        others: whether there are such lines.
        code: whether the data is Python source files.
        joined: whether it is tables with a common key.
        unclean: whether it is a table with texts to be converted.
        texts: a column of sentences; empty for none.
        named: terms of the question that are values in the table.
        columns: of the table.
    """

    lines: int = 0
    left: bool = False
    others: bool = False
    code: bool = False
    joined: bool = False
    unclean: bool = False
    texts: str = ""
    named: tuple[Named, ...] = ()
    columns: tuple[Column, ...] = ()


def read_outline(told: Mapping[str, Any]) -> Outline:
    """Returns an outline as a kernel told it; what is not of the right type counts for nothing."""
    lines, texts = told.get("lines"), told.get("texts")
    flags = {name: told.get(name) is True for name in ("left", "others", "code", "joined", "unclean")}
    return Outline(
        lines=len(lines) if isinstance(lines, list) else 0,
        texts=texts if isinstance(texts, str) and _is_word(texts) else "",
        named=tuple(_read_named(told.get("named"))),
        columns=tuple(_read_columns(told.get("columns"))),
        **flags,
    )


def _read_named(told: object) -> Iterator[Named]:
    for each in told[:_MOST_NAMED] if isinstance(told, list) else ():
        if isinstance(each, list) and [type(part) for part in each] == [str, str, bool]:
            column, term, longer = each
            if _is_word(column) and _is_word(term):
                yield Named(column, term, longer)


def _read_columns(told: object) -> Iterator[Column]:
    for each in told[:_MOST_COLUMNS] if isinstance(told, list) else ():
        if isinstance(each, list) and [type(part) for part in each] == [str, str]:
            name, kind = each
            if _is_word(name) and kind in KINDS:
                yield Column(name, kind)


def _is_word(told: object) -> bool:
    return isinstance(told, str) and len(told) <= _LONGEST_COLUMN and told.isprintable()


async def plan_look(
    kernel: AgentKernel, question: str, description: Mapping[str, Any], names: Sequence[str]
) -> Look | None:
    """Bind what a first look uses in an agent's kernel, and choose its code by what the data is.

    Args:
        kernel: of the agent, idle, its data loaded.
        question: verbatim.
        description: of the data.
        names: the variables that the data is bound to: `context`, its own names, those of its items.

    Returns:
        None if a name that the code needs is taken by the user's data or tools, or the kernel does not answer.
    """
    try:
        told, fds = await kernel.bridge.request("helpers", {"question": question}, timeout=_SECONDS)
    except (BridgeError, KernelDiedError, TimeoutError):
        return None
    frames.close_all(fds)
    told = told if isinstance(told, dict) else {}
    free = told.get("names")
    bound = {name for name in free if isinstance(name, str)} if isinstance(free, list) else set()
    look = choose(description, read_outline(told), bound, names)
    return replace(look, found=False) if look is not None and counts(question) else look


def choose(
    description: Mapping[str, Any], outline: Outline, free: Collection[object], names: Sequence[str]
) -> Look | None:
    """Returns the code of a first look; None if a name that it needs is taken.

    Args:
        description: of the data.
        outline: what helpers can make of the data.
        free: names of helpers that are bound.
        names: the variables that the data is bound to.
    """
    look = _choose(description, outline, "question" in free, names)
    used = {name for name in HELPERS if re.search(rf"\b{name}\(", look.code)}
    if not used <= set(free):
        return None
    return look if "classify" in free else replace(look, texts="")


def _choose(description: Mapping[str, Any], outline: Outline, asked: bool, names: Sequence[str]) -> Look:
    if (read := description.get("variable")) in names:  # what was read of its files
        return Look(f"describe({read})\n", f"`{read}`")
    kind, length = description.get("type"), description.get("length")
    open_names = not set(DERIVED) & set(names)
    if kind == "str" and isinstance(length, int) and length <= _MOST_TEXT:
        return _look_at_text(description, outline if open_names else Outline(), asked=asked)
    if kind == "list" and outline.lines and open_names:
        return _look_at_text(description, outline, asked=asked)
    look = _look_at_rows(description, outline) if open_names else None
    return look if look is not None else _look_at_items(description, outline, names, asked=asked)


def _look_at_items(
    description: Mapping[str, Any], outline: Outline, names: Sequence[str], *, asked: bool
) -> Look:
    """Returns a look at data as it is: the lines of its texts that fit, its tables one by one, or a description."""
    kind, types = description.get("type"), description.get("item_types")
    types = set(types) if isinstance(types, dict) else set()
    own = [name for name in names if name != "context"]
    if kind == "dict" and types == {"str"} and asked:
        return Look(_FIND_IN_TEXTS, "`context`", found=True)
    if kind in ("list", "dict") and "str" in types and asked:
        return Look("describe(context)\n" + _FIND, "`context`", found=True)
    if kind == "dict" and types == {"DataFrame"} and not own and _number(description) <= _MOST_TABLES:
        return Look(_APART, "`context`")
    own = own or ["context"]
    code, data = f"describe({', '.join(own)})\n", " and ".join(f"`{name}`" for name in own)
    if kind == "DataFrame" and len(own) == 1:
        return Look(code, data, named=outline.named, columns=outline.columns)
    return Look(code, data)


def _number(description: Mapping[str, Any]) -> int:
    length = description.get("length")
    return length if isinstance(length, int) else sys.maxsize


def _look_at_text(description: Mapping[str, Any], outline: Outline, *, asked: bool) -> Look:
    code, data = "describe(context)\n", "`context`"
    if outline.lines:
        code, data = code + _PARSE, "`rows`"
    if outline.lines > 1:
        code, data = code + _MORE, "`more`" if outline.left else "`rows` or `more`"
    elif outline.others:
        code += _OTHERS
    lines = _FIND if asked and description.get("truncated") is not False else ""
    return Look(
        code + lines,
        data,
        found=bool(lines) and not outline.lines,
        texts=outline.texts,
        named=outline.named if data == "`rows`" else (),
        columns=outline.columns if data == "`rows`" else (),
    )


def _look_at_rows(description: Mapping[str, Any], outline: Outline) -> Look | None:
    """Returns a look that makes one table of the data; None if there is none to be made."""
    kind = description.get("type")
    if kind == "list" and description.get("fields"):
        return Look("describe(context)\n" + _RECORDS, "`rows`", texts=outline.texts, columns=outline.columns)
    if kind == "dict" and outline.code:
        return Look(_CODE, "`rows`", legend=_CODE_ROWS, named=outline.named, columns=outline.columns)
    if kind == "dict" and outline.joined:
        return Look(
            "describe(context)\n" + _JOIN,
            "`rows`",
            legend=_JOINED_ROWS,
            named=outline.named,
            columns=outline.columns,
        )
    if kind == "DataFrame" and (outline.unclean or outline.texts):
        return Look(_CLEAN, "`rows`", texts=outline.texts, named=outline.named, columns=outline.columns)
    return None
