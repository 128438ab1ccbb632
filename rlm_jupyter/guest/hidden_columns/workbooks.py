"""Hidden columns of workbooks: of each sheet, below a row that has their names.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from .delimited_text import take_rows
from .found_values import FoundValues
from .wanted_columns import Wanted


def read_workbook(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of all sheets; a sheet's name may stand before that of a column."""
    from openpyxl import load_workbook

    has_columns = False
    with closing(load_workbook(path, read_only=True, data_only=True)) as book:
        for sheet in book.worksheets:
            rows = (
                list(row)
                for row in sheet.iter_rows(values_only=True)
                if any(cell is not None for cell in row)
            )
            has_columns |= take_rows(rows, wanted, found, path=f"{sheet.title}.")
    return has_columns
