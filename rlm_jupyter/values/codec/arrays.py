"""The forms of numpy: arrays as buffers that are used in place, scalars, dtypes.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .container import Malformed, MissingLibrary, Unencodable

if TYPE_CHECKING:
    import numpy as np

_PLAIN_DTYPE = re.compile(r"[<>|=]?[biufcSUVmM?]\d{0,9}(\[\d{0,9}[A-Za-z]{1,8}\])?")
_MAX_FIELDS = 10_000
_MAX_EMPTY_ITEMS = 1 << 20
"""Items of no bytes (dtype V0) that an array may have: they cost the sender nothing."""


def load_library(name: str) -> Any:
    """Import the library that a value needs, or a module of one.

    Raises:
        MissingLibrary: it is not installed here.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        library = name.partition(".")[0]
        raise MissingLibrary(
            f"The value needs `{library}`, which is not installed here; install it."
        ) from None


@lru_cache(maxsize=256)
def dtype_form(dtype: Any) -> Any:
    """Encode a numpy dtype as numpy's file format does.

    Raises:
        Unencodable: it holds Python objects, or fields that overlap.
    """
    import numpy as np

    if dtype.hasobject or dtype.kind not in "biufcmMSUV":
        raise Unencodable(f"numpy arrays of dtype `{dtype}` have no safe form")
    form = np.lib.format.dtype_to_descr(dtype) if dtype.names else dtype.str
    if dtype_of(form) != dtype:
        raise Unencodable("this structured numpy dtype has no safe form")
    return form


def _checked_descr(form: Any) -> Any:
    if isinstance(form, str):
        if not _PLAIN_DTYPE.fullmatch(form):
            raise Malformed("An encoded array has an impossible dtype.")
        return form
    if not isinstance(form, list) or len(form) > _MAX_FIELDS:
        raise Malformed("An encoded array has an impossible dtype.")
    fields = []
    for name, base, *shape in form:
        named = tuple(name) if isinstance(name, list) else name  # a field with a title is named by a pair
        fields.append((named, _checked_descr(base), *(tuple(lengths) for lengths in shape)))
    return fields


def dtype_of(form: Any) -> np.dtype[Any]:
    """Decode what `dtype_form` gave; never an object dtype."""
    import numpy as np

    dtype: np.dtype[Any] = np.lib.format.descr_to_dtype(_checked_descr(form))
    if dtype.hasobject:
        raise Malformed("An encoded array has an object dtype.")
    return dtype


def _flat_bytes(array: Any) -> memoryview:
    import numpy as np

    if not array.size or not array.dtype.itemsize:
        return memoryview(b"")
    # Through bytes, because datetime64 has no buffer protocol.
    return memoryview(array.reshape(-1).view(np.uint8))


def array_form(array: Any, encoder: Any) -> dict[str, Any]:
    """Encode an array of any dtype without objects; a Fortran-ordered one keeps its order."""
    import numpy as np

    array = array.view(np.ndarray)
    form = {"d": dtype_form(array.dtype), "s": list(array.shape)}
    if array.size and not array.dtype.itemsize and array.size > _MAX_EMPTY_ITEMS:
        raise Unencodable("a numpy array of many items without bytes has no safe form")
    if array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous:
        form["o"] = "F"
        array = array.T
    form["b"] = encoder.buffer(_flat_bytes(np.ascontiguousarray(array)))
    return form


def _check_items(array: Any) -> None:
    """Refuse items that numpy itself would never make: its loops trust them."""
    import numpy as np

    dtype = array.dtype
    if dtype.names:
        for name in dtype.names:
            _check_items(array[name])
    elif dtype.kind == "b":
        if array.size and array.view(np.uint8).max() > 1:
            raise Malformed("An encoded array of booleans holds something else.")
    elif dtype.kind == "U" and array.size and dtype.itemsize:
        points = (
            np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        )
        if points.max() > sys.maxunicode:
            raise Malformed("An encoded array of text holds no text.")


def array_of(form: dict[str, Any], decoder: Any) -> Any:
    """Decode what `array_form` gave, as a writable view on the mapping."""
    np = load_library("numpy")
    dtype = dtype_of(form["d"])
    shape = form["s"]
    if not isinstance(shape, list) or any(type(n) is not int or not 0 <= n < 1 << 48 for n in shape):
        raise Malformed("An encoded array has an impossible shape.")
    items = math.prod(shape)
    buffer = decoder.buffer(form["b"])
    if items * dtype.itemsize != buffer.nbytes or (not dtype.itemsize and items > _MAX_EMPTY_ITEMS):
        raise Malformed("An encoded array has another size than its shape says.")
    if form.get("o") == "F":
        shape = shape[::-1]
    array = np.frombuffer(buffer, np.uint8).view(dtype) if buffer.nbytes else np.empty(items, dtype)
    array = array.reshape(shape)
    _check_items(array)
    return array.T if form.get("o") == "F" else array


def objects_of(values: list[Any]) -> Any:
    """Make a flat object array of a list, whatever its items are."""
    np = load_library("numpy")
    return np.fromiter(values, dtype=object, count=len(values))


def _objects_form(tag: str, array: Any, encoder: Any) -> list[Any]:
    return [tag, list(array.shape), encoder.pack(array.reshape(-1).tolist())]


def _ndarray_form(array: Any, encoder: Any, np: Any) -> list[Any] | None:
    kind = type(array)
    if array is np.ma.masked:
        return ["np.masked constant"]
    if kind is np.ma.MaskedArray and array.dtype.names is None:
        fill = array.get_fill_value() if array.dtype.kind != "O" else None
        return ["np.masked", encoder.pack((np.asarray(array.data), np.ma.getmaskarray(array), fill))]
    if issubclass(kind, np.ma.MaskedArray) or (encoder.faithful and kind not in (np.ndarray, np.memmap)):
        return None  # its mask and fill value, or its class, would be lost
    if array.dtype.kind in "OT":
        return _objects_form("np.objects" if array.dtype.kind == "O" else "np.strings", array, encoder)
    if array.dtype.names and array.dtype.hasobject:
        fields = {name: np.asarray(array[name]) for name in array.dtype.names}
        return ["np.record", list(array.shape), encoder.pack(fields)]
    return ["np.array", array_form(array, encoder)]


def encode_value(value: Any, encoder: Any) -> list[Any] | None:
    """Encode a numpy value; None when it is none."""
    np = sys.modules.get("numpy")
    if np is None:
        return None
    kind = type(value)
    if issubclass(kind, np.ndarray):
        return _ndarray_form(value, encoder, np)
    if issubclass(kind, np.generic) and value.dtype.kind in "biufcmMSUV" and not value.dtype.hasobject:
        return ["np.scalar", array_form(np.asarray(value), encoder)]
    if issubclass(kind, np.dtype) and value.kind in "biufcmMSUVO":
        return ["np.dtype", "O" if value.kind == "O" else dtype_form(value)]
    return None


def _objects_of(payload: list[Any], decoder: Any) -> Any:
    return objects_of(decoder.unpack(payload[1])).reshape([int(n) for n in payload[0]])


def _record_of(payload: list[Any], decoder: Any) -> Any:
    np = load_library("numpy")
    shape, fields = tuple(payload[0]), decoder.unpack(payload[1])
    if not fields or any(
        type(f) is not np.ndarray or f.shape[: len(shape)] != shape for f in fields.values()
    ):
        raise Malformed("The fields of an encoded array have other shapes than it.")
    made = np.empty(shape, [(name, f.dtype, f.shape[len(shape) :]) for name, f in fields.items()])
    for name, field in fields.items():
        made[name] = field
    return made


def _masked_of(payload: list[Any], decoder: Any) -> Any:
    np = load_library("numpy")
    data, mask, fill = decoder.unpack(payload[0])
    if type(data) is not np.ndarray or type(mask) is not np.ndarray or data.shape != mask.shape:
        raise Malformed("The mask of an encoded array has another shape than it.")
    return np.ma.MaskedArray(data, mask, fill_value=fill)


def _strings_of(payload: list[Any], decoder: Any) -> Any:
    np = load_library("numpy")
    return _objects_of(payload, decoder).astype(np.dtypes.StringDType())


def _dtype_of(payload: list[Any], _decoder: Any) -> Any:
    return load_library("numpy").dtype("O") if payload[0] == "O" else dtype_of(payload[0])


BUILDERS: dict[str, Callable[[list[Any], Any], Any]] = {
    "np.array": lambda p, d: array_of(p[0], d),
    "np.scalar": lambda p, d: array_of(p[0], d)[()],
    "np.objects": _objects_of,
    "np.strings": _strings_of,
    "np.dtype": _dtype_of,
    "np.record": _record_of,
    "np.masked": _masked_of,
    "np.masked constant": lambda _p, _d: load_library("numpy").ma.masked,
}
"""Tag to the function that builds the value: (the rest of the form, decoder) -> value."""
