"""Descriptions of tables and arrays: shape, columns, ranges and top values, from a bounded sample.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .short_text import count, cut, short, size

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = 40
"""Columns that are described; of a wider table the first ones."""
_SAMPLE = 1000
_SPANS = 8
_FOOTERS = 200
"""Files of a dataset up to which all of their footers are read for their rows."""
_EXACT = 100_000
"""Rows up to which nulls and ranges are those of the whole column."""
_TOP = 5
_WEIGHED = 128
_CELL = 60


def spans(length: int) -> list[tuple[int, int]]:
    """Choose which rows to look at: all of a short table, else a few runs evenly spread over it."""
    if length <= _SAMPLE:
        return [(0, length)]
    width = _SAMPLE // _SPANS
    starts = [(length - width) * i // (_SPANS - 1) for i in range(_SPANS)]
    return [(start, start + width) for start in starts]


def describe_table(value: object, rows: int) -> dict[str, Any] | None:
    """Describe a frame, series, index or array of pandas, numpy, polars or pyarrow; None when it is none.

    Args:
        value: any object.
        rows: how many rows to quote; 0 quotes no data.
    """
    found = _find(value)
    if found is None:
        return None
    bare = _without_attrs(value)
    about = found[0](bare)
    with suppress(Exception):  # of a column that nobody foresaw; shape and size are told nevertheless
        about |= found[1](bare, rows)
    return about


def outline_table(value: object) -> dict[str, Any] | None:
    """Returns only summary, bytes and shape of what `describe_table` describes."""
    found = _find(value)
    return None if found is None else found[0](_without_attrs(value))


def _without_attrs(value: Any) -> Any:
    """Return a frame or series of pandas without its `attrs`, which pandas copies deeply for each column."""
    pd = sys.modules.get("pandas")
    for kind in (pd.DataFrame, pd.Series) if pd is not None else ():
        if isinstance(value, kind):
            return kind(value) if value.attrs else value
    return value


def _find(value: object) -> tuple[_Outline, _Details] | None:
    kind = type(value)
    for library, describers in _DESCRIBERS.items():
        module = sys.modules.get(library)
        for name, outline, details in describers if module is not None else ():
            if issubclass(kind, getattr(module, name, ())):
                return outline, details
    return None


def _summary(name: str, shape: Sequence[int], bytes_: int | None, what: str = "") -> str:
    sides = " x ".join(map(count, shape))
    return ", ".join(part for part in (f"{name} {sides}".strip(), what, size(bytes_)) if part)


def _outline(name: str, shape: Sequence[int], bytes_: int, what: str = "") -> dict[str, Any]:
    return {"summary": _summary(name, shape, bytes_, what), "bytes": bytes_, "shape": list(shape)}


def _frame_outline(frame: Any) -> dict[str, Any]:
    columns = [frame.iloc[:, i] for i in range(min(frame.shape[1], COLUMNS))]
    total = _pandas_bytes(columns, frame.shape[1]) + int(frame.index.memory_usage())
    return _outline("DataFrame", frame.shape, total)


def _frame_details(frame: Any, rows: int) -> dict[str, Any]:
    shown = frame.iloc[:, :COLUMNS]
    names = [short_name(name) for name in shown.columns]
    types = [str(dtype) for dtype in shown.dtypes]
    looked = [_PandasColumn(shown.iloc[:, i]) for i in range(len(names))]
    return {
        "columns": [_column(n, t, c, rows) for n, t, c in zip(names, types, looked, strict=True)],
        "index": _index(frame.index, rows),
        "rows": _rows(looked, rows),
        "truncated": frame.shape[1] > COLUMNS or frame.shape[0] > rows,
    }


def _series_outline(series: Any) -> dict[str, Any]:
    total = _pandas_bytes([series], 1) + int(series.index.memory_usage())
    return _outline("Series", series.shape, total, str(series.dtype)[:_CELL])


def _series_details(series: Any, rows: int) -> dict[str, Any]:
    column = _PandasColumn(series)
    return {
        "length": len(series),
        "columns": [_column(short_name(series.name), str(series.dtype), column, rows)],
        "index": _index(series.index, rows),
        "rows": _rows([column], rows),
        "truncated": len(series) > rows,
    }


def _index_outline(index: Any) -> dict[str, Any]:
    total = int(index.memory_usage())
    return _outline(type(index).__name__, index.shape, total, str(index.dtype)[:_CELL])


def _index_details(index: Any, rows: int) -> dict[str, Any]:
    return {
        "length": len(index),
        "index": _index(index, rows),
        "rows": [[_cell(item)] for item in index[:rows].tolist()],
        "truncated": len(index) > rows,
    }


def _rows(columns: Sequence[_PandasColumn | _ArrowColumn], rows: int) -> list[list[str]]:
    heads = [[_cell(item) for item in column.values(0, min(rows, column.length))] for column in columns]
    return [list(line) for line in zip(*heads, strict=True)]


def _index(index: Any, rows: int) -> dict[str, Any]:
    about: dict[str, Any] = {
        "type": type(index).__name__,
        "dtype": cut(str(index.dtype), _CELL),
        "names": [short_name(name) for name in index.names[:COLUMNS]],
    }
    if rows and len(index):
        about["first"], about["last"] = _cell(index[0]), _cell(index[-1])
    return about


def _pandas_bytes(columns: list[Any], number: int) -> int:
    """Estimate the memory of columns, the objects of object columns included."""
    total = 0
    for column in columns:
        total += int(column.memory_usage(index=False))
        if column.dtype == object and len(column):
            sample = column.iloc[:_WEIGHED].tolist()
            total += sum(map(sys.getsizeof, sample)) * len(column) // len(sample)
    return total * number // len(columns) if columns else 0


class _PandasColumn:
    """What a description needs of a column of pandas."""

    def __init__(self, column: Any) -> None:
        self.length = len(column)
        self._column = column

    def values(self, start: int, stop: int) -> list[Any]:
        """Returns the values of some rows."""
        return list(self._column.iloc[start:stop].tolist())

    def nulls(self) -> int | None:
        """Count the missing values; None if that takes a look at very many."""
        dtype = self._column.dtype
        if self.length <= _EXACT:
            return int(self._column.isna().sum())
        if type(dtype).__module__.startswith("numpy") and dtype.kind in "iub":
            return 0
        if getattr(dtype, "storage", "") == "pyarrow" or type(dtype).__name__ == "ArrowDtype":
            return int(self._column.array.__arrow_array__().null_count)
        return None

    def range(self) -> tuple[Any, Any] | None:
        """Returns the least and the greatest value; None where they come from the sample."""
        if self.length > _EXACT or self._column.dtype.kind not in "iufmM" or self._column.isna().all():
            return None
        return self._column.min(), self._column.max()


class _ArrowColumn:
    """What a description needs of a column of pyarrow or polars."""

    def __init__(self, column: Any) -> None:
        self.length = len(column)
        self._column = column

    def values(self, start: int, stop: int) -> list[Any]:
        """Returns the values of some rows."""
        part = self._column.slice(start, stop - start)
        return list(part.to_list() if hasattr(part, "to_list") else part.to_pylist())

    def nulls(self) -> int:
        """Count the missing values."""
        nulls = self._column.null_count
        return int(nulls() if callable(nulls) else nulls)

    def range(self) -> None:
        """Leave the range to the sample."""
        return


def _column(name: str, dtype: str, column: _PandasColumn | _ArrowColumn, rows: int) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "dtype": cut(dtype, _CELL), "nulls": 0}
    with suppress(
        Exception
    ):  # items of any class: arrays that are not booleans, numbers that refuse to be compared
        about |= _looked(column, rows)
    return about


def _looked(column: _PandasColumn | _ArrowColumn, rows: int) -> dict[str, Any]:
    """Returns how many values are missing, and what the others are."""
    about: dict[str, Any] = {}
    sample = [item for a, b in spans(column.length) for item in column.values(a, b)]
    present = [item for item in sample if not _is_null(item)]
    about["nulls"] = column.nulls()
    if about["nulls"] is None:
        about["nulls"] = (len(sample) - len(present)) * column.length // len(sample)
        about["estimated"] = True
    if rows and present:
        about.update(_content(present, column.range(), sampled=column.length > len(sample)))
    return about


def _content(present: list[Any], known: tuple[Any, Any] | None, *, sampled: bool) -> dict[str, Any]:
    """Returns what is in a column: a range where its values have an order of their own, else the commonest."""
    if known is not None:
        return {"range": [short_figure(known[0]), short_figure(known[1])]}
    about: dict[str, Any] = {"sampled": True} if sampled else {}
    kinds = set(map(type, present))
    if len(kinds) == 1 and not kinds & {str, bool, bytes}:
        with suppress(TypeError, ValueError):  # values without an order; arrays have one for each item
            return {**about, "range": [short_figure(min(present)), short_figure(max(present))]}
    try:
        commonest = Counter(present).most_common(_TOP)
    except (TypeError, ValueError):  # values that cannot be counted, such as lists
        return {**about, "examples": [short_figure(item) for item in present[:_TOP]]}
    if commonest[0][1] == 1:
        return {**about, "examples": [short_figure(item) for item in present[:_TOP]]}
    shares = [[short_figure(item), round(number / len(present), 4)] for item, number in commonest]
    return {**about, "top": shares, "distinct": len(set(present))}


def _is_null(value: object) -> bool:
    if value is None:
        return True
    pd = sys.modules.get("pandas")
    if pd is not None and (value is pd.NA or value is pd.NaT):
        return True
    return type(value) is float and math.isnan(value)


def _cell(value: object) -> str:
    if type(value) is str:
        return cut(" ".join(value[: 2 * _CELL].split()), _CELL)
    return short_figure(value)


def short_figure(value: object) -> str:
    """Show a value of a table: of a float at most six significant digits, which is what a reader needs of it."""
    if isinstance(value, float) and math.isfinite(value):
        rounded = f"{value:.6g}"
        return short(value, _CELL) if float(rounded) == value else rounded
    return short(value, _CELL)


def short_name(name: object) -> str:
    """Show the name of a column or an index: texts without quotes."""
    return cut(name[: _CELL + 1], _CELL) if type(name) is str else short(name, _CELL)


def _array_outline(value: Any) -> dict[str, Any]:
    import numpy as np

    array = np.ndarray.view(value, np.ndarray)
    about = _outline("ndarray", array.shape, array.nbytes, str(array.dtype)[:_CELL])
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.count_nonzero(np.ma.getmaskarray(value)))
        about["summary"] = about["summary"].replace("ndarray", "MaskedArray", 1) + f", {count(masked)} masked"
    return about


def _array_details(value: Any, rows: int) -> dict[str, Any]:
    import numpy as np

    array = np.ndarray.view(value, np.ndarray)
    about: dict[str, Any] = {"dtype": cut(str(array.dtype), _CELL), "truncated": False}
    if array.ndim:
        about |= {"length": len(array), "truncated": len(array) > rows}
    if not rows or not array.size:
        return about
    lines = array if array.ndim else array.reshape(1)
    parts = [_flat(lines[a:b], _SAMPLE // _SPANS) for a, b in spans(len(lines))]
    sample = [item for part in parts for item in part.tolist() if not _is_null(item)]
    if sample and array.dtype.kind in "iufmMb":
        about["range"] = [short_figure(min(sample)), short_figure(max(sample))]
        about["sampled"] = len(sample) < array.size
    about["rows"] = [[_cell(item) for item in _flat(line, _SPANS).tolist()] for line in lines[:rows]]
    return about


def _flat(array: Any, items: int) -> Any:
    """Returns the first items of an array of any shape, without a copy of all of it."""
    import numpy as np

    return np.asarray(array).flat[:items] if np.ndim(array) else np.asarray(array).reshape(1)


def _arrow_outline(table: Any) -> dict[str, Any]:
    return _outline("Table", (table.num_rows, table.num_columns), int(table.nbytes))


def _arrow_details(table: Any, rows: int) -> dict[str, Any]:
    names = table.schema.names[:COLUMNS]
    columns = [table.column(i) for i in range(len(names))]
    return _columnar(names, [str(column.type) for column in columns], columns, rows, table.num_columns)


def _polars_outline(value: Any) -> dict[str, Any]:
    shape = value.shape
    return _outline("DataFrame" if len(shape) > 1 else "Series", shape, int(value.estimated_size()))


def _polars_details(value: Any, rows: int) -> dict[str, Any]:
    series = [value] if len(value.shape) == 1 else value.get_columns()
    shown = series[:COLUMNS]
    types = [str(column.dtype) for column in shown]
    return _columnar([column.name for column in shown], types, shown, rows, len(series))


def _columnar(
    names: list[str], types: list[str], columns: list[Any], rows: int, number: int
) -> dict[str, Any]:
    looked = [_ArrowColumn(column) for column in columns]
    about = zip(map(short_name, names), types, looked, strict=True)
    return {
        "columns": [_column(name, dtype, column, rows) for name, dtype, column in about],
        "rows": _rows(looked, rows),
        "truncated": number > COLUMNS or any(column.length > rows for column in looked),
    }


def _plan_outline(plan: Any) -> dict[str, Any]:
    """Describe a plan by its schema, which is in the metadata of what it reads; nothing is computed."""
    parts = f" in {count(int(plan.npartitions))} partitions" if hasattr(plan, "npartitions") else ""
    number = count(len(_plan_schema(plan)))
    return {"summary": f"{type(plan).__name__} of {number} columns{parts}, not computed", "bytes": None}


def _plan_details(plan: Any, _rows: int) -> dict[str, Any]:
    schema = _plan_schema(plan)
    shown = list(schema.items())[:COLUMNS]
    return {
        "columns": [{"name": short_name(name), "dtype": cut(str(dtype), _CELL)} for name, dtype in shown],
        "truncated": True,
    }


def _plan_schema(plan: Any) -> dict[str, Any]:
    if hasattr(plan, "collect_schema"):  # polars
        return dict(plan.collect_schema())
    if hasattr(plan, "npartitions"):  # dask
        return dict(plan.dtypes.items())
    return dict(zip(plan.schema.names, plan.schema.types, strict=True))


def _dataset_outline(data: Any) -> dict[str, Any]:
    """Describe a dataset of pyarrow; Parquet files tell their rows in their metadata."""
    parts = ["Dataset"]
    if str(data.format.default_extname) == "parquet" and len(data.files) <= _FOOTERS:
        parts.append(f"of {count(data.count_rows())} rows x {count(len(data.schema))} columns")
    return {"summary": f"{' '.join(parts)} in {count(len(data.files))} files, not loaded", "bytes": None}


_Outline = Callable[[Any], dict[str, Any]]
_Details = Callable[[Any, int], dict[str, Any]]

_DESCRIBERS: dict[str, list[tuple[str, _Outline, _Details]]] = {
    "pandas": [
        ("DataFrame", _frame_outline, _frame_details),
        ("Series", _series_outline, _series_details),
        ("Index", _index_outline, _index_details),
    ],
    "numpy": [("ndarray", _array_outline, _array_details)],
    "polars": [
        ("DataFrame", _polars_outline, _polars_details),
        ("Series", _polars_outline, _polars_details),
        ("LazyFrame", _plan_outline, _plan_details),
    ],
    "pyarrow": [("Table", _arrow_outline, _arrow_details), ("RecordBatch", _arrow_outline, _arrow_details)],
    "dask.dataframe": [("DataFrame", _plan_outline, _plan_details)],
    "pyarrow.dataset": [("FileSystemDataset", _dataset_outline, _plan_details)],
}
"""Library to its classes, and the functions that give the outline and the details of their instances."""
