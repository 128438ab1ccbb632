"""Hidden columns of files of delimited text, read line by line.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ...values.files.delimited import Dialect, dialect_of
from ...values.files.encodings import encoding_of
from ...values.files.kinds import HEAD, Form, head_of, open_plain
from .found_values import FoundValues
from .wanted_columns import Wanted

_HEADER_ROWS = 20
"""Lines among which names are looked for, if the first has none of them."""
_ROWS = 20_000
_LONGEST_CELL = 1 << 30


def read_delimited(path: Path, form: Form, separator: str, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of a file.

    Args:
        path: of the file.
        form: of it.
        separator: what its name says is between columns.
        wanted: says which.
        found: takes their values.

    Returns:
        Whether it has several columns.
    """
    try:
        dialect = dialect_of(head_of(path, form), separator)
    except UnicodeDecodeError:
        dialect = Dialect("latin-1", separator)
    try:
        return _read(path, form, dialect, wanted, found)
    except UnicodeDecodeError:  # the beginning is ASCII, and what comes later is not UTF-8
        with open_plain(path, form) as file:
            encoding = _encoding(file.read())
        again = Dialect(encoding, dialect.separator, dialect.decimal, dialect.skipped)
        return _read(path, form, again, wanted, found)


def _encoding(data: bytes) -> str:
    try:
        return encoding_of(data, cut=False)
    except UnicodeDecodeError:
        return "latin-1"  # takes any bytes; what a program makes of these by another one is not known


def _read(path: Path, form: Form, dialect: Dialect, wanted: Wanted, found: FoundValues) -> bool:
    csv.field_size_limit(_LONGEST_CELL)
    with open_plain(path, form) as file, io.TextIOWrapper(file, dialect.encoding, newline="") as text:
        rows = csv.reader(islice(text, dialect.skipped, None), delimiter=dialect.separator)
        return take_rows(filter(None, rows), wanted, found, decimal=dialect.decimal)


def take_rows(
    rows: Iterable[list[Any]],
    wanted: Wanted,
    found: FoundValues,
    *,
    path: str = "",
    decimal: str | None = None,
) -> bool:
    """Take the wanted columns of rows of which one has their names: the first, or else one soon after it.

    Args:
        rows: of cells.
        wanted: says which.
        found: takes their values.
        path: what the names are in.
        decimal: of cells that are texts, what stands before decimals; None for cells that are values.

    Returns:
        Whether there are several columns, or a wanted one.
    """
    left = iter(rows)
    first = list(islice(left, _HEADER_ROWS))
    if not first:
        return False
    columns = {place: str(cell).strip() for place, cell in enumerate(first[0]) if wanted(_name(cell), path)}
    at = 0
    if not columns:
        at, columns = _later_header(first, wanted, path)
    if columns:
        for part in _parts(chain(first[at + 1 :], left)):
            for place, name in columns.items():
                cells = [row[place] for row in part if place < len(row)]
                if decimal is not None:
                    found.column(name).add_written(cells, decimal=decimal)
                else:
                    for cell in cells:
                        found.column(name).add(cell)
    return max(map(len, first)) > 1 or bool(columns)


def _name(cell: object) -> str:
    return str(cell).strip().lstrip("\ufeff") if cell is not None else ""


def _later_header(rows: list[list[Any]], wanted: Wanted, path: str) -> tuple[int, dict[int, str]]:
    """Returns a row after the first that has wanted names, by their letters: a pattern may fit what is data."""
    for number, row in enumerate(rows[1:], 1):
        columns = {
            place: _name(cell)
            for place, cell in enumerate(row)
            if _name(cell) and wanted.names(_name(cell), path)
        }
        if columns:
            return number, columns
    return 0, {}


def _parts(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    while part := list(islice(rows, _ROWS)):
        yield part


def is_table(head: bytes) -> bool:
    """Returns whether a text begins like a table: a line with separators, and more after it."""
    line, more, _ = head[:HEAD].partition(b"\n")
    return bool(more) and any(separator in line for separator in (b",", b";", b"\t", b"|"))
