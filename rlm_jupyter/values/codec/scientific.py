"""The forms of xarray, scipy.sparse, geopandas, record arrays, groupings and styled tables: as what they are made of.

Travels as source into kernels: standard library only at import; a library is looked up where a value is one of its
own, and imported where one is decoded. Each is rebuilt from plain arrays, tables and names by its public constructor,
after its parts have been checked: constructors of compiled libraries trust indices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from .arrays import array_form, array_of, load_library
from .container import Malformed, Unencodable

_SPARSE = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
_MOST_NAMES = 1000
_MOST_CRS = 100_000
_GROUPING = ("sort", "as_index", "group_keys", "dropna", "observed")


def encode_value(value: object, encoder: Any) -> list[Any] | None:
    """Returns the node of a value of these libraries; None if it is none."""
    for library, name, encode in _ENCODERS:
        module = sys.modules.get(library)
        kind = getattr(module, name, None) if module is not None else None
        if (
            isinstance(kind, type)
            and isinstance(value, kind)
            and not (encoder.faithful and _is_subclass(value))
        ):
            node: list[Any] | None = encode(value, encoder)
            if node is not None:
                return node
    return None


def _is_subclass(value: object) -> bool:
    """Returns whether a value is of a class that is not the library's own: it would come back as another type."""
    own = type(value).__module__.partition(".")[0]
    return own not in ("xarray", "scipy", "geopandas", "pandas", "numpy", "torch", "jax", "jaxlib")


# ------------------------------------------------------------------------------------------------- xarray


def _variable(variable: Any, encoder: Any) -> list[Any]:
    if not getattr(variable, "_in_memory", True):
        raise Unencodable("a variable of xarray that is not loaded has no safe form: call `.load()`")
    return [list(map(str, variable.dims)), variable.values, _attributes(variable.attrs, encoder)]


def _attributes(attrs: Mapping[Any, Any], encoder: Any) -> dict[str, Any]:
    """Returns the attributes that have a safe form; what is left out is told."""
    kept = {}
    for name, value in attrs.items():
        if encoder.can_pack(value):
            kept[str(name)] = value
        else:
            encoder.left_out.append(f"`.attrs[{str(name)[:60]!r}]` of an object of xarray")
    return kept


def _dataset(value: Any, encoder: Any) -> list[Any] | None:
    if not _names_are_texts(value):
        return None
    parts = {
        "data": {name: _variable(item.variable, encoder) for name, item in value.data_vars.items()},
        "coords": {name: _variable(item.variable, encoder) for name, item in value.coords.items()},
        "attrs": _attributes(value.attrs, encoder),
    }
    return ["xarray.Dataset", encoder.pack(parts)]


def _data_array(value: Any, encoder: Any) -> list[Any] | None:
    if not _names_are_texts(value):
        return None
    parts = {
        "data": _variable(value.variable, encoder),
        "coords": {name: _variable(item.variable, encoder) for name, item in value.coords.items()},
        "name": None if value.name is None else str(value.name),
    }
    return ["xarray.DataArray", encoder.pack(parts)]


def _names_are_texts(value: Any) -> bool:
    """Returns whether all names are texts, and no index is of several levels, which is more than its coordinates."""
    pd = sys.modules["pandas"]
    names = [*value.coords, *getattr(value, "data_vars", ()), *value.dims]
    several = any(isinstance(index, pd.MultiIndex) for index in value.indexes.values())
    return all(type(name) is str for name in names) and not several


def _read_variables(found: Any) -> dict[str, tuple[list[str], Any, dict[str, Any]]]:
    if type(found) is not dict or len(found) > _MOST_NAMES:
        raise Malformed("An encoded object of xarray has no variables.")
    return {str(name): _read_variable(one) for name, one in found.items()}


def _read_variable(found: Any) -> tuple[list[str], Any, dict[str, Any]]:
    np = load_library("numpy")
    dims, data, attrs = found
    if type(data) is not np.ndarray and not isinstance(data, np.generic):
        raise Malformed("An encoded object of xarray has no array.")
    if type(dims) is not list or not all(type(name) is str for name in dims) or type(attrs) is not dict:
        raise Malformed("An encoded object of xarray has no dimensions.")
    return dims, data, attrs


def _read_dataset(payload: list[Any], decoder: Any) -> Any:
    xarray, parts = load_library("xarray"), decoder.unpack(payload[0])
    data, coords = _read_variables(parts["data"]), _read_variables(parts["coords"])
    return xarray.Dataset(data, coords=coords, attrs=dict(parts["attrs"]))


def _read_data_array(payload: list[Any], decoder: Any) -> Any:
    xarray, parts = load_library("xarray"), decoder.unpack(payload[0])
    dims, data, attrs = _read_variable(parts["data"])
    name = parts["name"] if type(parts["name"]) is str else None
    coords = _read_variables(parts["coords"])
    return xarray.DataArray(data, coords=coords, dims=dims, name=name, attrs=attrs)


# ------------------------------------------------------------------------------------------------- sparse


def _sparse(value: Any, encoder: Any) -> list[Any]:
    """Encode as triples of row, column and item: the one form whose indices are checked by looking at them."""
    triples = value.tocoo()
    if len(triples.shape) != 2:  # noqa: PLR2004 - rows and columns
        raise Unencodable("a sparse array that has not two dimensions has no safe form")
    kind = "array" if isinstance(value, sys.modules["scipy.sparse"].sparray) else "matrix"
    arrays = [array_form(part, encoder) for part in (triples.data, triples.row, triples.col)]
    return ["scipy.sparse", value.format, kind, list(triples.shape), *arrays]


def _read_sparse(payload: list[Any], decoder: Any) -> Any:
    form, kind, shape, *arrays = payload
    np, sparse = load_library("numpy"), load_library("scipy.sparse")
    data, row, column = (array_of(part, decoder) for part in arrays)
    wide = [type(side) is int and 0 <= side < 1 << 48 for side in shape]
    if form not in _SPARSE or wide != [True, True]:
        raise Malformed("An encoded sparse array has an impossible form or shape.")
    if not data.ndim == row.ndim == column.ndim == 1 or not len(data) == len(row) == len(column):
        raise Malformed("An encoded sparse array has parts of different lengths.")
    for places, side in zip((row, column), shape, strict=True):
        if places.dtype.kind not in "iu" or (places.size and not 0 <= places.min() <= places.max() < side):
            raise Malformed("An encoded sparse array has places outside its shape.")
    make = sparse.coo_array if kind == "array" else sparse.coo_matrix
    index = np.int32 if max(shape) < 1 << 31 else np.int64
    made = make((data, (row.astype(index), column.astype(index))), shape=tuple(shape))
    return made if _takes_much(made, form) else made.asformat(form)


def _takes_much(made: Any, form: str) -> bool:
    """Returns whether a form takes much more memory than there are items: a claim of a few bytes must not."""
    np = load_library("numpy")
    room = 64 * made.nnz + (1 << 24)
    if form == "dia":
        return bool(len(np.unique(made.col - made.row)) * max(made.shape) > room)
    return bool(form in ("csr", "csc", "lil", "bsr") and max(made.shape) > room)


# ------------------------------------------------------------------------------------------------ geometry


def _geo_frame(value: Any, encoder: Any) -> list[Any] | None:
    pd = sys.modules["pandas"]
    geometry = [at for at, dtype in enumerate(value.dtypes) if str(dtype) == "geometry"]
    plain = pd.DataFrame(value)
    kinds = []
    for at in geometry:
        column = value.iloc[:, at]
        kinds.append([at, _crs(column.crs)])
        plain.isetitem(at, pd.Series(column.to_wkb(), index=value.index, dtype=object))
    active = value._geometry_column_name  # noqa: SLF001 - `geometry.name` raises where there is none
    plain.attrs = {}
    return ["geopandas.GeoDataFrame", encoder.pack(plain), kinds, active if type(active) is str else None]


def _geo_series(value: Any, encoder: Any) -> list[Any]:
    pd = sys.modules["pandas"]
    plain = pd.Series(value.to_wkb(), index=value.index, name=value.name, dtype=object)
    return ["geopandas.GeoSeries", encoder.pack(plain), _crs(value.crs)]


def _crs(crs: Any) -> str | None:
    return None if crs is None else str(crs.to_wkt())


def _checked_crs(text: Any) -> str | None:
    if text is not None and (type(text) is not str or len(text) > _MOST_CRS):
        raise Malformed("An encoded table of shapes has an impossible reference system.")
    return text


def _from_wkb(column: Any, crs: Any) -> Any:
    geopandas = load_library("geopandas")
    items = [item for item in column if item is not None]
    if not all(type(item) is bytes for item in items):
        raise Malformed("An encoded table of shapes has something else in its place.")
    return geopandas.GeoSeries.from_wkb(column, index=column.index, crs=_checked_crs(crs))


def _read_geo_frame(payload: list[Any], decoder: Any) -> Any:
    packed, kinds, active = payload
    geopandas, pd = load_library("geopandas"), load_library("pandas")
    plain = decoder.unpack(packed)
    if type(plain) is not pd.DataFrame:
        raise Malformed("An encoded table of shapes is no table.")
    for at, crs in kinds:
        plain.isetitem(at, _from_wkb(plain.iloc[:, at], crs).array)
    made = geopandas.GeoDataFrame(plain)
    return made.set_geometry(active) if active is not None and active in made.columns else made


def _read_geo_series(payload: list[Any], decoder: Any) -> Any:
    plain = decoder.unpack(payload[0])
    if type(plain) is not load_library("pandas").Series:
        raise Malformed("An encoded series of shapes is no series.")
    made = _from_wkb(plain, payload[1])
    made.name = plain.name
    return made


# ------------------------------------------------------------------------------------- tables, seen in a way


def _styled(value: Any, encoder: Any) -> list[Any] | None:
    """Encode a styled table as its table: a style is functions and HTML."""
    encoder.left_out.append("the style of a table (the table itself is there)")
    return ["as table", encoder.pack(value.data)]


def _grouped(value: Any, encoder: Any) -> list[Any] | None:
    keys = value.keys
    names = keys if isinstance(keys, list) else [keys]
    if not all(isinstance(name, (str, int)) for name in names):
        return None  # by a function, or by values of its own
    selection = value._selection  # noqa: SLF001 - pandas has no public way to it
    chosen = selection if selection is None or isinstance(selection, (str, int, list)) else list(selection)
    options = {name: bool(getattr(value, name)) for name in _GROUPING}
    return ["pandas.GroupBy", encoder.pack({"frame": value.obj, "keys": keys, "of": chosen, **options})]


def _read_grouped(payload: list[Any], decoder: Any) -> Any:
    pd, parts = load_library("pandas"), decoder.unpack(payload[0])
    if not isinstance(parts["frame"], pd.DataFrame):
        raise Malformed("An encoded grouping has no table.")
    options = {name: bool(parts[name]) for name in _GROUPING}
    made = parts["frame"].groupby(parts["keys"], **options)
    return made if parts["of"] is None else made[parts["of"]]


def _records(value: Any, encoder: Any) -> list[Any] | None:
    return None if value.dtype.hasobject else ["numpy.recarray", array_form(value, encoder)]


def _read_records(payload: list[Any], decoder: Any) -> Any:
    np = load_library("numpy")
    return array_of(payload[0], decoder).view(np.recarray)


def _tensor(value: Any, encoder: Any) -> list[Any] | None:
    """Encode an array of torch or jax as one of numpy: it may lie on a device that is not there on the other side."""
    if encoder.faithful:
        return None
    np = load_library("numpy")
    plain = _numbers_of(value) if hasattr(value, "detach") else np.asarray(value)
    whole = np.ascontiguousarray(plain).reshape(plain.shape)  # it makes an axis where there is none
    return ["as table", encoder.pack(whole)]


def _numbers_of(tensor: Any) -> Any:
    """Returns a tensor of torch as an array of numpy."""
    plain = tensor.detach().cpu()
    for resolve in ("resolve_conj", "resolve_neg"):  # a conjugate is a view that numpy does not know
        plain = getattr(plain, resolve)() if hasattr(plain, resolve) else plain
    try:
        return plain.numpy()
    except (
        TypeError
    ):  # of bfloat16 and the like, for which numpy has no type: 32 bits hold all of their numbers
        return plain.float().numpy()


_ENCODERS: tuple[tuple[str, str, Callable[[Any, Any], list[Any] | None]], ...] = (
    ("xarray", "Dataset", _dataset),
    ("xarray", "DataArray", _data_array),
    ("scipy.sparse", "spmatrix", _sparse),
    ("scipy.sparse", "sparray", _sparse),
    ("geopandas", "GeoDataFrame", _geo_frame),
    ("geopandas", "GeoSeries", _geo_series),
    ("pandas.io.formats.style", "Styler", _styled),
    ("pandas.core.groupby", "DataFrameGroupBy", _grouped),
    ("numpy", "recarray", _records),
    ("torch", "Tensor", _tensor),
    ("jax", "Array", _tensor),
)
"""Library and class to what encodes its instances; None of it if one has no safe form."""

BUILDERS: dict[str, Callable[[list[Any], Any], Any]] = {
    "xarray.Dataset": _read_dataset,
    "xarray.DataArray": _read_data_array,
    "scipy.sparse": _read_sparse,
    "geopandas.GeoDataFrame": _read_geo_frame,
    "geopandas.GeoSeries": _read_geo_series,
    "pandas.GroupBy": _read_grouped,
    "numpy.recarray": _read_records,
    "as table": lambda payload, decoder: decoder.unpack(payload[0]),
}
"""Tag to what builds the value."""
