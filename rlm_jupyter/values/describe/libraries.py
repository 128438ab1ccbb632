"""Descriptions of objects of xarray, scipy.sparse and geopandas, of groupings and styled tables, of tensors.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

from .short_text import count, cut, short, size
from .tables import describe_table, short_figure

_MOST = 40
_RANGE_ITEMS = 1_000_000
"""Items of a variable up to which its least and greatest are looked for."""


def describe_scientific(value: object, rows: int) -> dict[str, Any] | None:
    """Describe an object of one of these libraries; None if it is none.

    Args:
        value: any object.
        rows: how many rows to quote; 0 quotes no data.
    """
    for library, name, about in _KINDS:
        module = sys.modules.get(library)
        kind = getattr(module, name, None) if module is not None else None
        if isinstance(kind, type) and isinstance(value, kind):
            return about(value, rows)
    return None


def outline_scientific(value: object) -> dict[str, Any] | None:
    """Returns only `summary` and `bytes` of what `describe_scientific` describes, for a part of a container."""
    about = describe_scientific(value, 0)
    return None if about is None else {"summary": about["summary"], "bytes": about.get("bytes")}


def _dims(value: Any) -> str:
    return ", ".join(f"{name}: {count(length)}" for name, length in islice(dict(value.sizes).items(), 8))


def _dataset(value: Any, rows: int) -> dict[str, Any]:
    total = int(value.nbytes)
    number = len(value.data_vars)
    variables = f"{count(number)} {'variable' if number == 1 else 'variables'}"
    items = [_variable(name, value.variables[name], rows) for name in islice(value.data_vars, _MOST)]
    items += [
        _variable(name, value.variables[name], rows, "coordinate ") for name in islice(value.coords, _MOST)
    ]
    return {
        "summary": f"Dataset ({_dims(value)}) of {variables}, {size(total)}",
        "bytes": total,
        "items": items,
        "truncated": True,
        **_attrs(value.attrs, rows),
    }


def _data_array(value: Any, rows: int) -> dict[str, Any]:
    total = int(value.nbytes)
    name = f" `{cut(str(value.name), 60)}`" if value.name is not None else ""
    items = [
        _variable("values", value.variable, rows),
        *(
            _variable(each, value.coords[each].variable, rows, "coordinate ")
            for each in islice(value.coords, _MOST)
        ),
    ]
    return {
        "summary": f"DataArray{name} ({_dims(value)}), {value.dtype}, {size(total)}",
        "bytes": total,
        "shape": list(value.shape),
        "items": items,
        "truncated": True,
        **_attrs(value.attrs, rows),
    }


def _variable(name: object, variable: Any, rows: int, what: str = "") -> dict[str, Any]:
    parts = [f"{what}({', '.join(map(str, variable.dims))}) {variable.dtype}"]
    units = variable.attrs.get("units")
    if type(units) is str:
        parts.append(f"in {cut(units, 30)}")
    if (
        rows
        and variable.dtype.kind in "iufmM"
        and 0 < variable.size <= _RANGE_ITEMS
        and getattr(variable, "_in_memory", True)
    ):
        least, most = variable.values.min(), variable.values.max()
        parts.append(f"{short_figure(_plain(least))} … {short_figure(_plain(most))}")
    return {"key": cut(str(name), 60), "type": "Variable", "summary": ", ".join(parts)}


def _plain(figure: Any) -> Any:
    return figure.item() if figure.dtype.kind in "iuf" else figure


def _attrs(attrs: Any, rows: int) -> dict[str, Any]:
    if not attrs or not rows:
        return {}
    return {
        "preview": "attrs: "
        + ", ".join(f"{key}={short(item, 60)}" for key, item in islice(dict(attrs).items(), 10))
    }


def _sparse(value: Any, _rows: int) -> dict[str, Any]:
    sides = " x ".join(map(count, value.shape))
    items = 1
    for side in value.shape:
        items *= side
    share = f" ({100 * value.nnz / items:.3g} % of all)" if items else ""
    total = value.nnz * (value.dtype.itemsize + 4 * len(value.shape))
    name = type(value).__name__
    return {
        "summary": f"{name} {sides}, {value.dtype}, {count(value.nnz)} stored items{share}, {size(total)}",
        "bytes": total,
        "shape": list(value.shape),
        "truncated": True,
    }


def _geo_frame(value: Any, rows: int) -> dict[str, Any]:
    pd = sys.modules["pandas"]
    plain = pd.DataFrame(value)
    shapes = [at for at, dtype in enumerate(value.dtypes) if str(dtype) == "geometry"]
    for at in shapes:
        plain.isetitem(
            at, pd.Series([_shape(one) for one in value.iloc[:, at]], index=value.index, dtype=object)
        )
    about = describe_table(plain, rows) or {}
    about["summary"] = str(about.get("summary", "")).replace("DataFrame", "GeoDataFrame", 1)
    for at in shapes[:1]:
        about["summary"] += f"; {_kinds(value.iloc[:, at])}"
    for at in shapes:
        if at < len(about.get("columns", [])):
            about["columns"][at]["dtype"] = "geometry"
    return about


def _geo_series(value: Any, rows: int) -> dict[str, Any]:
    pd = sys.modules["pandas"]
    about = (
        describe_table(pd.Series([_shape(one) for one in value], index=value.index, dtype=object), rows) or {}
    )
    return {**about, "summary": f"GeoSeries {count(len(value))}; {_kinds(value)}"}


def _shape(shape: Any) -> str | None:
    return None if shape is None else cut(str(shape.wkt), 60)


def _kinds(column: Any) -> str:
    first = column.iloc[:1000]
    kinds = Counter(str(kind) for kind in first[first.notna()].geom_type).most_common(3)
    crs = column.crs
    named = f", {cut(str(crs.to_string()), 60)}" if crs is not None else ""
    return ", ".join(name for name, _ in kinds) + named


def _styled(value: Any, rows: int) -> dict[str, Any]:
    about = describe_table(value.data, rows) or {}
    return {**about, "summary": f"Styler of a {about.get('summary', 'table')}"}


def _grouped(value: Any, rows: int) -> dict[str, Any]:
    about = describe_table(value.obj, rows) or {}
    keys = value.keys if isinstance(value.keys, list) else [value.keys]
    named = ", ".join(short(key, 40) for key in keys[:8])
    name = type(value).__name__
    return {
        **about,
        "summary": f"{name} by {named} ({count(int(value.ngroups))} groups) of a {about.get('summary', 'table')}",
    }


def _tensor(value: Any, _rows: int) -> dict[str, Any]:
    total = int(value.nbytes)
    sides = " x ".join(map(count, value.shape))
    place = getattr(value, "device", None)
    where = f" on {cut(str(place), 30)}" if place is not None else ""
    name = "Tensor" if hasattr(value, "detach") else "Array"
    return {
        "summary": f"{name} {sides}, {value.dtype}{where}, {size(total)}",
        "bytes": total,
        "shape": list(value.shape),
    }


_KINDS: tuple[tuple[str, str, Callable[[Any, int], dict[str, Any]]], ...] = (
    ("xarray", "Dataset", _dataset),
    ("xarray", "DataArray", _data_array),
    ("scipy.sparse", "spmatrix", _sparse),
    ("scipy.sparse", "sparray", _sparse),
    ("geopandas", "GeoDataFrame", _geo_frame),
    ("geopandas", "GeoSeries", _geo_series),
    ("pandas.io.formats.style", "Styler", _styled),
    ("pandas.core.groupby", "DataFrameGroupBy", _grouped),
    ("pandas.core.groupby", "SeriesGroupBy", _grouped),
    ("torch", "Tensor", _tensor),
    ("jax", "Array", _tensor),
)
"""Library and class to what describes its instances."""
