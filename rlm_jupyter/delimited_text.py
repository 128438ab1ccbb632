"""Tables from files of delimited text as programs write them: in any encoding that can be told, by any separator.

A spreadsheet of a European country writes `;` between columns, `,` in numbers, and cp1252; "Unicode text" of Excel is
UTF-16 with tabs. What is taken for granted is what the name says (`,` in a `.csv`) and UTF-8; what was found instead
is told, because a guess can be wrong.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = 1 << 18
"""Bytes of a file from which its separator and its encoding are told."""
_RECORDS = 200
_SEPARATORS = (",", ";", "\t", "|")
_NAMES = {"\t": "tabs", ",": "`,`", ";": "`;`", "|": "`|`"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE = re.compile(r'"?sep=(.)"?[ \t]*\r?\n')
_DECIMAL_COMMA = re.compile(r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+\s*")
_DECIMAL_POINT = re.compile(r"\s*[-+]?\d*\.\d+\s*")
_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:\.\d{3})+\s*")
_EUROPEAN = r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?\s*"
_MOST_FOREIGN = 0.3
"""Share of letters beyond ASCII up to which a text can be in a language of Western Europe."""


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
    with path.open("rb") as file:
        head = file.read(_HEAD)
    encoding = encoding_of(head)
    dialect = _dialect(head, encoding, separator)
    try:
        table = _parsed(path, dialect)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise
        dialect = _dialect(head, encoding_of(path.read_bytes(), cut=False), separator)
        table = _parsed(path, dialect)
    found = _found(dialect, separator)
    if found:
        tell(
            f"`{path}` was read {found}. If that is wrong, convert it, or read it in Python and hand the table over."
        )
    if table.shape[1] == 1 and (inside := [sep for sep in _SEPARATORS if sep in str(table.columns[0])]):
        tell(
            f"`{path}` has one column, whose name holds {_NAMES[inside[0]]}: is that what separates its columns?"
        )
    return table


def marked_encoding(data: bytes) -> str | None:
    """Return the encoding that a byte order mark names; None if there is none."""
    return next((name for bom, name in _BOMS if data.startswith(bom)), None)


def encoding_of(data: bytes, *, cut: bool = True) -> str:
    """Returns the encoding of a text from its beginning.

    Args:
        data: the beginning.
        cut: whether the text goes on behind it.

    Returns:
        That of a byte order mark, UTF-8, UTF-16 without such a mark, or cp1252.

    Raises:
        UnicodeDecodeError: it is none of these.
    """
    if (marked := marked_encoding(data)) is not None:
        return marked
    if (half := _utf_16(data)) is not None:
        return half
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        if not _is_western(data):
            raise
        return "cp1252"
    return "utf-8"


def _utf_16(data: bytes) -> str | None:
    """Returns UTF-16 without a mark by the zero bytes of its ASCII characters."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 < len(data) or min(even, odd) * 20 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_western(data: bytes) -> bool:
    """Return whether bytes read as cp1252 are a text with a few accents, and not one of another script."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    letters = [char for char in text if char.isalpha()]
    return sum(not char.isascii() for char in letters) <= max(1, len(letters) * _MOST_FOREIGN)


def _dialect(head: bytes, encoding: str, separator: str) -> Dialect:
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    if match := _SEP_LINE.match(text):  # a line for Excel
        text, separator, skipped = text[match.end() :], match[1], 1
        return Dialect(encoding, separator, _decimal(_records(text, separator), separator), skipped)
    if len(head) == _HEAD:
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


def _parsed(path: Path, dialect: Dialect) -> Any:
    import pandas as pd

    table = pd.read_csv(
        path,
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


def _found(dialect: Dialect, usual: str) -> str:
    """Returns what was found that nobody said; empty if all is as the file's name says."""
    parts = []
    if dialect.encoding not in ("utf-8", "utf-8-sig"):
        parts.append(f"as {dialect.encoding}")
    if dialect.separator != usual:
        parts.append(f"with {_NAMES.get(dialect.separator, f'`{dialect.separator}`')} between columns")
    if dialect.decimal == ",":
        parts.append("with decimal commas")
    return ", ".join(parts)
