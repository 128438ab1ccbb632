"""Tables from files of delimited text as programs write them: in any encoding that can be told, by any separator.

A spreadsheet of a European country writes `;` between columns, `,` in numbers, and cp1252; "Unicode text" of Excel is
UTF-16 with tabs. What is taken for granted is what the name says (`,` in a `.csv`) and UTF-8; what was found instead
is told, because a guess can be wrong.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from .encodings import encoding_of
from .kinds import HEAD, form_of, head_of, open_plain

if TYPE_CHECKING:
    from pathlib import Path

_RECORDS = 200
_SEPARATORS = (",", ";", "\t", "|")
_NAMES = {"\t": "tabs", ",": "`,`", ";": "`;`", "|": "`|`"}
_SEP_LINE = re.compile(r'"?sep=(.)"?[ \t]*\r?\n')
_DECIMAL_COMMA = re.compile(r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+\s*")
_DECIMAL_POINT = re.compile(r"\s*[-+]?\d*\.\d+\s*")
_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:\.\d{3})+\s*")
_EUROPEAN = r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?\s*"


@dataclass(frozen=True)
class Dialect:
    """How a file of delimited text is written.

    Attributes:
        encoding: its name.
        separator: between columns.
        decimal: in numbers.
        skipped: lines before the header.
    """

    encoding: str
    separator: str
    decimal: str = "."
    skipped: int = 0


def read_table(path: Path, separator: str, tell: Callable[[str], object]) -> Any:
    """Read a table.

    Args:
        path: of the file.
        separator: what its name says is between columns.
        tell: is told in a sentence what was found instead, or may be wrong.

    Returns:
        A DataFrame.

    Raises:
        UnicodeError: the encoding cannot be told.
        OSError, ValueError: it cannot be read.
    """
    form = form_of(path)
    head = head_of(path, form)
    dialect = dialect_of(head, separator)
    try:
        table = _parsed(path, dialect)
    except UnicodeDecodeError:
        if dialect.encoding != "utf-8":
            raise
        with open_plain(path, form) as file:
            encoding = encoding_of(file.read(), cut=False)
        dialect = _dialect(head, encoding, separator)
        table = _parsed(path, dialect)
    found = found_in(dialect, separator)
    if found:
        tell(
            f"`{path}` was read {found}. If that is wrong, convert it, or read it in Python and hand the table over."
        )
    if table.shape[1] == 1 and (inside := [sep for sep in _SEPARATORS if sep in str(table.columns[0])]):
        tell(
            f"`{path}` has one column, whose name holds {_NAMES[inside[0]]}: is that what separates its columns?"
        )
    return table


def read_head(head: bytes, separator: str, rows: int) -> tuple[Any, Dialect]:
    """Read the first rows of a table from the beginning of its file.

    Args:
        head: the beginning, as of `kinds.head_of`.
        separator: what the file's name says is between columns.
        rows: at most so many.

    Returns:
        A DataFrame, and how the file is written.

    Raises:
        UnicodeError, ValueError: it cannot be read.
    """
    dialect = dialect_of(head, separator)
    whole = head if len(head) < HEAD else head[: head.rfind(b"\n") + 1] or head
    return _parsed(io.BytesIO(whole), dialect, rows), dialect


def dialect_of(head: bytes, separator: str) -> Dialect:
    """Returns how a file is written, by its beginning.

    Raises:
        UnicodeDecodeError: its encoding cannot be told.
    """
    return _dialect(head, encoding_of(head), separator)


def _dialect(head: bytes, encoding: str, separator: str) -> Dialect:
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    if match := _SEP_LINE.match(text):  # a line for Excel
        text, separator, skipped = text[match.end() :], match[1], 1
        return Dialect(encoding, separator, _decimal(_records(text, separator), separator), skipped)
    if len(head) == HEAD:
        text = text[: text.rfind("\n") + 1] or text
    records = {each: _records(text, each) for each in (separator, *_SEPARATORS)}
    separator = _separator(records, separator)
    return Dialect(encoding, separator, _decimal(records[separator], separator))


def _records(text: str, separator: str) -> list[list[str]]:
    try:
        rows = csv.reader(
            re.split(r"(?<=\n)", text.replace("\r\n", "\n").replace("\r", "\n")), delimiter=separator
        )
        return [row for row in islice(rows, _RECORDS) if row]
    except csv.Error:
        return []


def _separator(records: dict[str, list[list[str]]], usual: str) -> str:
    """Choose the separator that gives all lines as many columns as the first; the usual one if it does."""
    widths = {each: width for each, rows in records.items() if (width := _width(rows)) >= 2}  # noqa: PLR2004 - a table
    decimals = [each for each in widths if usual == "," and _decimal(records[each], each) == ","]
    if decimals:  # of `1,5;2,5` the commas do not separate columns, however regular they are
        return decimals[0]
    return max(widths, key=lambda each: (widths[each], each == usual), default=usual)


def _width(rows: list[list[str]]) -> int:
    """Return the number of columns where all lines have as many as the first, else 0."""
    return len(rows[0]) if rows and all(len(row) == len(rows[0]) for row in rows) else 0


def _decimal(rows: list[list[str]], separator: str) -> str:
    """Returns whether numbers are written with a comma: one column of such numbers, and none with a point."""
    if separator == ",":
        return "."
    columns = [[cell for cell in column if cell.strip()] for column in zip(*rows[1:], strict=False)]
    commas = any(
        column
        and any(map(_DECIMAL_COMMA.fullmatch, column))
        and all(re.fullmatch(_EUROPEAN, cell) for cell in column)
        for column in columns
    )
    points = any(
        column and all(map(_DECIMAL_POINT.fullmatch, column)) and not all(map(_THOUSANDS.fullmatch, column))
        for column in columns
    )
    return "," if commas and not points else "."


def _parsed(source: Path | io.BytesIO, dialect: Dialect, rows: int | None = None) -> Any:
    import pandas as pd

    table = pd.read_csv(
        source,
        nrows=rows,
        sep=dialect.separator,
        encoding=dialect.encoding,
        decimal=dialect.decimal,
        skiprows=dialect.skipped,
    )
    if dialect.decimal == ",":
        for place in range(table.shape[1]):
            column = table.iloc[:, place]
            # Not `thousands="."` of pandas, which makes numbers of dates such as 01.02.2024.
            if pd.api.types.is_string_dtype(column.dtype) and column.dropna().str.fullmatch(_EUROPEAN).all():
                plain = column.str.strip().str.replace(".", "").str.replace(",", ".")
                table.isetitem(place, pd.to_numeric(plain).array)
    return table


def found_in(dialect: Dialect, usual: str) -> str:
    """Returns what was found that nobody said; empty if all is as the file's name says."""
    parts = []
    if dialect.encoding not in ("utf-8", "utf-8-sig"):
        parts.append(f"as {dialect.encoding}")
    if dialect.separator != usual:
        parts.append(f"with {_NAMES.get(dialect.separator, f'`{dialect.separator}`')} between columns")
    if dialect.decimal == ",":
        parts.append("with decimal commas")
    return ", ".join(parts)
