"""The forms of one pandas column or index: numpy, text, categories, times with zones, nullable, Arrow, sparse.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from . import arrays, arrow, scalars
from .container import Malformed, MissingLibrary, Unencodable

_FREQUENCY = re.compile(r"[-+0-9A-Za-z.]{1,40}")
_STEPPED = 100_000
_UNITS = ("s", "ms", "us", "ns")
_MASKED = {
    **{f"{sign}Int{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "Float32": "float32",
    "Float64": "float64",
    "boolean": "bool",
}
"""Nullable dtype to the numpy dtype of its values."""


def unit(name: object) -> str:
    """Check the unit of a time."""
    if name not in _UNITS:
        raise Malformed("A time of an encoded value has an unknown unit.")
    return str(name)


def frequency_name(text: object) -> str:
    """Check the name of a frequency."""
    if not isinstance(text, str) or not _FREQUENCY.fullmatch(text):
        raise Malformed("An encoded index has an impossible frequency.")
    return text


def is_cheap(freq: Any, length: int) -> bool:
    """Returns whether pandas checks an index of that length against a frequency without a step of Python for each."""
    import pandas as pd

    return length <= _STEPPED or isinstance(freq, pd.tseries.offsets.Tick)


def frequency_form(freq: Any, length: int) -> str | None:
    """Encode the frequency of an index; None when its name does not tell all of it, or to check it takes long."""
    import pandas as pd

    if not is_cheap(freq, length):
        return None
    try:
        return str(freq.freqstr) if pd.tseries.frequencies.to_offset(freq.freqstr) == freq else None
    except ValueError:
        return None


def _values(column: Any) -> Any:
    """Returns the array behind a series, an index or an array: numpy's where pandas uses numpy."""
    import numpy as np
    import pandas as pd

    if isinstance(column, np.ndarray):
        return column
    numpy_based = isinstance(column.dtype, np.dtype) or isinstance(column, pd.arrays.NumpyExtensionArray)
    return column.to_numpy() if numpy_based else getattr(column, "array", column)


def encode_column(column: Any, encoder: Any) -> dict[str, Any]:
    """Encode a series, an index or an array without its index and name.

    Raises:
        Unencodable: its dtype, or an object in it, has no safe form.
    """
    import numpy as np
    import pandas as pd

    values = _values(column)
    if isinstance(values, np.ndarray):
        return _numpy_form(values, encoder)
    dtype = values.dtype
    for kind, encode in (
        (pd.StringDtype, _text_form),
        (pd.CategoricalDtype, _categorical_form),
        (pd.DatetimeTZDtype, _zoned_form),
        (pd.PeriodDtype, _period_form),
        (pd.IntervalDtype, _interval_form),
        (pd.SparseDtype, _sparse_form),
        (pd.ArrowDtype, _arrow_form),
    ):
        if isinstance(dtype, kind):
            return encode(values, dtype, encoder)
    if str(dtype) in _MASKED and dtype == pd.api.types.pandas_dtype(str(dtype)):
        return _masked_form(values, dtype, encoder)
    if not encoder.faithful and values.ndim == 1:  # a dtype of another library: what its items are remains
        return {"k": "objects", "v": encoder.pack(list(values))}
    raise Unencodable(f"a column of dtype `{str(dtype)[:100]}` has no safe form")


def _numpy_form(values: Any, encoder: Any) -> dict[str, Any]:
    if values.dtype.kind == "O":
        return {"k": "objects", "v": encoder.pack(values.tolist())}
    return {"k": "numpy", "v": arrays.array_form(values, encoder)}


def _text_form(values: Any, dtype: Any, encoder: Any) -> dict[str, Any]:
    import pandas as pd

    plain = getattr(dtype, "na_value", pd.NA) is pd.NA and dtype.storage != "pyarrow_numpy"
    form = {"k": "text", "s": dtype.storage.partition("_")[0], "na": "NA" if plain else "nan"}
    column = values.__arrow_array__() if form["s"] == "pyarrow" else _arrow_of_objects(values)
    if column is not None:
        return {**form, "v": arrow.chunks_form(column, encoder)}
    objects = values.to_numpy(dtype=object, na_value=None)
    return {**form, "l": encoder.pack(objects.tolist())}


def _arrow_of_objects(values: Any) -> Any:
    try:
        import pyarrow as pa

        return pa.array(values.to_numpy(dtype=object), pa.large_string(), from_pandas=True)
    except (ImportError, UnicodeError):  # UTF-8 has no lone surrogates
        return None


def _text_dtype(storage: str, na: str) -> Any:
    import numpy as np
    import pandas as pd

    if storage == "pyarrow" and not _has_pyarrow():
        storage = "python"
    try:
        return pd.StringDtype(storage, na_value=np.nan if na == "nan" else pd.NA)
    except TypeError:  # before pandas 2.3
        return pd.StringDtype("pyarrow_numpy" if na == "nan" and storage == "pyarrow" else storage)


def _has_pyarrow() -> bool:
    try:
        arrays.load_library("pyarrow")
    except MissingLibrary:
        return False
    return True


def _text_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    dtype = _text_dtype(form["s"], form["na"])
    if "l" in form:
        return pd.array(decoder.unpack(form["l"]), dtype=dtype)
    if not _has_pyarrow():
        texts = [text for chunk in form["v"][1] for text in _texts_of_buffers(chunk, form["v"][0], decoder)]
        return pd.array(texts, dtype=dtype)
    column = arrow.chunks_of(form["v"], decoder)
    if str(column.type) not in ("string", "large_string"):
        raise Malformed("A text column of an encoded frame holds something else.")
    return dtype.__from_arrow__(column)


def _texts_of_buffers(chunk: dict[str, Any], kind: str, decoder: Any) -> list[str | None]:
    """Read an Arrow text array where pyarrow is not installed."""
    import numpy as np

    validity, starts, data = chunk["b"]
    count = int(chunk["n"])
    text = b"" if data is None else bytes(decoder.buffer(data))
    ends = np.frombuffer(decoder.buffer(starts), {"string": "<i4", "large_string": "<i8"}[kind])[: count + 1]
    if len(ends) != count + 1 or ends.min() < 0 or ends.max() > len(text) or (np.diff(ends) < 0).any():
        raise Malformed("A text column of an encoded frame has impossible offsets.")
    bounds = ends.tolist()
    texts: list[str | None] = [text[a:b].decode() for a, b in pairwise(bounds)]
    if validity is None:
        return texts
    valid = np.unpackbits(np.frombuffer(decoder.buffer(validity), np.uint8), bitorder="little")[:count]
    return [t if v else None for t, v in zip(texts, valid.tolist(), strict=True)]


def _categorical_form(values: Any, _dtype: Any, encoder: Any) -> dict[str, Any]:
    codes = arrays.array_form(values.codes, encoder)
    return {
        "k": "categorical",
        "c": codes,
        "v": encode_column(values.categories, encoder),
        "o": bool(values.ordered),
    }


def _categorical_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    codes = arrays.array_of(form["c"], decoder)
    categories = decode_column(form["v"], decoder)
    if categories.dtype == object:
        scalars.reject_hash_collisions(categories.tolist())
    index = pd.Index(categories, dtype=categories.dtype, tupleize_cols=False)
    return pd.Categorical.from_codes(codes, categories=index, ordered=bool(form["o"]))


def _zoned_form(values: Any, dtype: Any, encoder: Any) -> dict[str, Any]:
    moments = values.tz_convert("UTC").tz_localize(None).to_numpy()
    return {"k": "zoned", "v": arrays.array_form(moments, encoder), "z": _zone_form(values, dtype.tz)}


def _zone_form(values: Any, zone: Any) -> Any:
    """Encode the zone of a column; one that only this process knows as the offset of all its moments, or as UTC."""
    import numpy as np

    try:
        return scalars.zone_form(zone)
    except Unencodable:
        here = values[~values.isna()]
        offsets = np.unique(here.tz_localize(None).asi8 - here.tz_convert("UTC").tz_localize(None).asi8)
        if len(offsets) != 1:
            return scalars.zone_form(dt.UTC)
        second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[values.unit]
        return scalars.zone_form(dt.timezone(dt.timedelta(seconds=int(offsets[0]) // second)))


def _zoned_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    moments = pd.Series(arrays.array_of(form["v"], decoder), copy=False).dt
    return moments.tz_localize("UTC").dt.tz_convert(scalars.zone_of(form["z"])).array


def _period_form(values: Any, dtype: Any, encoder: Any) -> dict[str, Any]:
    freq = str(dtype).removeprefix("period[").removesuffix("]")
    return {"k": "period", "v": arrays.array_form(values.asi8, encoder), "f": freq}


def _period_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    ordinals = arrays.array_of(form["v"], decoder)
    if ordinals.dtype.str[1:] != "i8":
        raise Malformed("The periods of an encoded frame are not whole numbers.")
    return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(frequency_name(form["f"])))


def _interval_form(values: Any, _dtype: Any, encoder: Any) -> dict[str, Any]:
    ends = {"l": encode_column(values.left, encoder), "r": encode_column(values.right, encoder)}
    return {"k": "interval", **ends, "c": values.closed}


def _interval_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    left, right = decode_column(form["l"], decoder), decode_column(form["r"], decoder)
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=form["c"])


def _sparse_form(values: Any, _dtype: Any, encoder: Any) -> dict[str, Any]:
    index = values.sp_index
    return {
        "k": "sparse",
        "v": _numpy_form(values.sp_values, encoder),
        "i": arrays.array_form(index.to_int_index().indices, encoder),
        "n": index.length,
        "b": values.kind == "block",
        "f": encoder.pack(values.fill_value),
    }


def _sparse_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    array: Any = pd.arrays.SparseArray
    values, places = decode_column(form["v"], decoder), arrays.array_of(form["i"], decoder)
    fill, kind, length = decoder.unpack(form["f"]), "block" if form["b"] else "integer", int(form["n"])
    if len(places) != len(values):
        raise Malformed("A sparse column of an encoded frame has other values than places.")
    if hasattr(array, "from_indices"):
        return array.from_indices(values, places, length, fill, kind)
    index = type(array([0], kind="integer").sp_index)(
        length, places
    )  # before pandas 3.1; it has no public name
    sparse = index if kind == "integer" else index.to_block_index()
    return array(values, sparse_index=sparse, fill_value=fill, dtype=pd.SparseDtype(values.dtype, fill))


def _arrow_form(values: Any, _dtype: Any, encoder: Any) -> dict[str, Any]:
    return {"k": "arrow", "v": arrow.chunks_form(values.__arrow_array__(), encoder)}


def _arrow_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(arrow.chunks_of(form["v"], decoder))


def _masked_form(values: Any, dtype: Any, encoder: Any) -> dict[str, Any]:
    plain = values.to_numpy(dtype=_MASKED[str(dtype)], na_value=0)
    mask = arrays.array_form(values.isna(), encoder)
    return {"k": "masked", "v": arrays.array_form(plain, encoder), "m": mask}


def _masked_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    values = arrays.array_of(form["v"], decoder)
    makers = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
    maker: Any = makers.get(values.dtype.kind, pd.arrays.IntegerArray)
    return maker(values, arrays.array_of(form["m"], decoder), copy=False)


def dtype_form(dtype: Any, encoder: Any) -> dict[str, Any]:
    """Encode a pandas dtype, as an empty column of it."""
    import pandas as pd

    return encode_column(pd.Series([], dtype=dtype), encoder)


def dtype_of(form: dict[str, Any], decoder: Any) -> Any:
    """Decode what `dtype_form` gave."""
    return decode_column(form, decoder).dtype


_BUILDERS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "objects": lambda f, d: arrays.objects_of(d.unpack(f["v"])),
    "numpy": lambda f, d: arrays.array_of(f["v"], d),
    "text": _text_of,
    "categorical": _categorical_of,
    "zoned": _zoned_of,
    "period": _period_of,
    "interval": _interval_of,
    "sparse": _sparse_of,
    "arrow": _arrow_of,
    "masked": _masked_of,
}


def decode_column(form: dict[str, Any], decoder: Any) -> Any:
    """Decode what `encode_column` gave: a numpy array or one of pandas' arrays, of one dimension."""
    values = _BUILDERS[form["k"]](form, decoder)
    if values.ndim != 1:
        raise Malformed("A column of an encoded frame has not one dimension.")
    return values
