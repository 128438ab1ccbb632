"""The forms of Arrow and polars: types as JSON, data as the very buffers of Arrow's columnar format.

Travels as source into kernels: standard library only at import.

Not Arrow's IPC format: its reader decompresses, follows extension types, and trusts lengths that cost the sender
nothing. Here each type comes from a closed list, and each array is validated in full.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .arrays import load_library
from .container import Malformed, Unencodable

_UNITS = ("s", "ms", "us", "ns")
_SIMPLE = {
    *("null", "bool", "halffloat", "float", "double", "date32[day]", "date64[ms]", "month_day_nano_interval"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(
        "string",
        "large_string",
        "binary",
        "large_binary",
        "time32[s]",
        "time32[ms]",
        "time64[us]",
        "time64[ns]",
    ),
    *(f"duration[{unit}]" for unit in _UNITS),
}
_VIEWS = {"string_view": "large_string", "binary_view": "large_binary"}
_MAX_LENGTH = 1 << 40
_MAX_FREE_LENGTH = 1 << 32
"""Items that an array may have when they take no bytes at all."""


def type_form(kind: Any) -> Any:
    """Encode an Arrow type.

    Raises:
        Unencodable: it is an extension type, a union, or run-end encoded.
    """
    import pyarrow as pa

    types, name = pa.types, str(kind)
    if name in _SIMPLE or name in _VIEWS:
        return name
    forms: tuple[tuple[Callable[[Any], bool], Callable[[], list[Any]]], ...] = (
        (types.is_timestamp, lambda: ["timestamp", kind.unit, kind.tz]),
        (types.is_decimal, lambda: ["decimal", kind.bit_width, kind.precision, kind.scale]),
        (types.is_fixed_size_binary, lambda: ["bytes", kind.byte_width]),
        (types.is_dictionary, lambda: ["dictionary", *_dictionary_form(kind)]),
        (types.is_map, lambda: ["map", *_map_form(kind)]),
        (types.is_list, lambda: ["list", _field_form(kind.value_field)]),
        (types.is_large_list, lambda: ["large_list", _field_form(kind.value_field)]),
        (types.is_fixed_size_list, lambda: ["fixed_list", _field_form(kind.value_field), kind.list_size]),
        (types.is_struct, lambda: ["struct", [_field_form(kind.field(i)) for i in range(kind.num_fields)]]),
    )
    for check, form in forms:
        if check(kind):
            return form()
    raise Unencodable(f"Arrow data of type `{name[:100]}` have no safe form")


def _dictionary_form(kind: Any) -> list[Any]:
    return [type_form(kind.index_type), type_form(kind.value_type), kind.ordered]


def _map_form(kind: Any) -> list[Any]:
    return [_field_form(kind.key_field), _field_form(kind.item_field), kind.keys_sorted]


def _field_form(field: Any) -> list[Any]:
    return [field.name, type_form(field.type), field.nullable, _metadata_form(field.metadata)]


def _metadata_form(metadata: dict[bytes, bytes] | None) -> list[list[str]] | None:
    if metadata is None:
        return None
    return [[k.decode("latin-1"), v.decode("latin-1")] for k, v in metadata.items()]


def _metadata_of(form: Any) -> dict[bytes, bytes] | None:
    return None if form is None else {k.encode("latin-1"): v.encode("latin-1") for k, v in form}


def type_of(form: Any) -> Any:
    """Decode what `type_form` gave: a type of the closed list, never an extension type."""
    import pyarrow as pa

    if isinstance(form, str):
        if form not in _SIMPLE and form not in _VIEWS:
            raise Malformed("An encoded Arrow array is of an unknown type.")
        return pa.type_for_alias(form)
    makers: dict[str, Callable[..., Any]] = {
        "timestamp": pa.timestamp,
        "decimal": lambda bits, *size: getattr(pa, f"decimal{bits:d}")(*size),
        "bytes": pa.binary,
        "dictionary": lambda i, v, o: pa.dictionary(type_of(i), type_of(v), ordered=o),
        "map": lambda k, v, o: pa.map_(_field_of(k), _field_of(v), keys_sorted=o),
        "list": lambda f: pa.list_(_field_of(f)),
        "large_list": lambda f: pa.large_list(_field_of(f)),
        "fixed_list": lambda f, n: pa.list_(_field_of(f), n),
        "struct": lambda fields: pa.struct([_field_of(f) for f in fields]),
    }
    return makers[form[0]](*form[1:])


def _field_of(form: list[Any]) -> Any:
    import pyarrow as pa

    name, kind, nullable, metadata = form
    return pa.field(name, type_of(kind), nullable=bool(nullable), metadata=_metadata_of(metadata))


def _compact(array: Any) -> Any:
    """Copy an array that is a small part of its buffers, or does not begin where they do."""
    import pyarrow as pa

    if array.offset == 0 and array.get_total_buffer_size() <= array.nbytes + array.nbytes // 4 + 4096:
        return array
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], names=["x"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)


def _children(array: Any) -> list[Any]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_struct(kind):
        return [array.field(i) for i in range(kind.num_fields)]
    if pa.types.is_map(kind):
        entries = [kind.key_field, kind.item_field]
        return [pa.StructArray.from_arrays([array.keys, array.items], fields=entries)]
    return [array.values] if pa.types.is_nested(kind) and not pa.types.is_dictionary(kind) else []


def array_form(array: Any, encoder: Any) -> dict[str, Any]:
    """Encode an Arrow array, whose type goes elsewhere, without a copy where it fills its buffers."""
    import pyarrow as pa

    if (name := str(array.type)) in _VIEWS:
        array = array.cast(pa.type_for_alias(_VIEWS[name]))
    array = _compact(array)
    if pa.types.is_dictionary(array.type):
        indices, values = array.indices, array.dictionary
        return {"i": array_form(indices, encoder), "d": array_form(values, encoder)}
    children = _children(array)
    own = array.buffers()[: _own_buffers(array.type)]
    numbers = [None if b is None else encoder.buffer(memoryview(b)) for b in own]
    return {"n": len(array), "b": numbers, "c": [array_form(child, encoder) for child in children]}


def _own_buffers(kind: Any) -> int:
    import pyarrow as pa

    types = pa.types
    if types.is_struct(kind) or types.is_fixed_size_list(kind) or types.is_null(kind):
        return 1
    variable = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return 3 if any(check(kind) for check in variable) else 2


def _child_types(kind: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_map(kind):
        return [pa.struct([kind.key_field, kind.item_field])]
    return [kind.field(i).type for i in range(kind.num_fields)]


def array_of(form: Any, kind: Any, decoder: Any, *, nested: bool = False) -> Any:
    """Decode what `array_form` gave, as an array on the mapping, validated in full."""
    import pyarrow as pa

    if (name := str(kind)) in _VIEWS:
        return array_of(form, pa.type_for_alias(_VIEWS[name]), decoder).cast(kind)
    if pa.types.is_dictionary(kind):
        indices = array_of(form["i"], kind.index_type, decoder)
        values = array_of(form["d"], kind.value_type, decoder)
        return pa.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered, safe=True)
    length, numbers = form["n"], form["b"]
    if type(length) is not int or not 0 <= length < _MAX_LENGTH or len(numbers) != _own_buffers(kind):
        raise Malformed("An encoded Arrow array has an impossible length.")
    buffers = [None if number is None else pa.py_buffer(decoder.buffer(number)) for number in numbers]
    if length > _MAX_FREE_LENGTH and all(buffer is None for buffer in buffers):
        raise Malformed("An encoded Arrow array has an impossible length.")
    types = _child_types(kind)
    children = [array_of(f, t, decoder, nested=True) for f, t in zip(form["c"], types, strict=True)]
    array = pa.Array.from_buffers(kind, length, buffers, -1, 0, children)
    if not nested:
        array.validate(full=True)
    return array


def chunks_form(column: Any, encoder: Any) -> list[Any]:
    """Encode a chunked array, its type included."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [type_form(column.type), [array_form(chunk, encoder) for chunk in chunks]]


def chunks_of(form: list[Any], decoder: Any) -> Any:
    """Decode what `chunks_form` gave."""
    pa = load_library("pyarrow")
    kind = type_of(form[0])
    return pa.chunked_array([array_of(chunk, kind, decoder) for chunk in form[1]], type=kind)


def _table_form(table: Any, encoder: Any) -> list[Any]:
    fields = [_field_form(field) for field in table.schema]
    columns = [chunks_form(column, encoder)[1] for column in table.columns]
    return [fields, _metadata_form(table.schema.metadata), columns, table.num_rows]


def _table_of(form: list[Any], decoder: Any) -> Any:
    pa = load_library("pyarrow")
    fields, metadata, columns, rows = form
    schema = pa.schema([_field_of(field) for field in fields], metadata=_metadata_of(metadata))
    chunked = [chunks_of([f[1], c], decoder) for f, c in zip(fields, columns, strict=True)]
    if not chunked:  # a table may have rows and no columns
        return (
            pa.table({"x": pa.nulls(min(int(rows), 1 << 24))})
            .select([])
            .replace_schema_metadata(schema.metadata)
        )
    table = pa.Table.from_arrays(chunked, schema=schema)
    table.validate()
    return table


def _polars_of(form: list[Any], decoder: Any) -> Any:
    pl = load_library("polars")
    return pl.from_arrow(_table_of(form, decoder), rechunk=False)


def _holds_objects(dtype: Any) -> bool:
    import polars as pl

    inside = (
        [dtype.inner] if hasattr(dtype, "inner") else [field.dtype for field in getattr(dtype, "fields", ())]
    )
    return bool(dtype == pl.Object) or any(map(_holds_objects, inside))


def _polars_form(frame: Any, encoder: Any) -> list[Any]:
    import polars as pl

    if any(map(_holds_objects, frame.dtypes)):
        raise Unencodable(
            "polars columns of Python objects have no safe form"
        )  # Arrow would hold their addresses
    try:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    except Exception as error:
        raise Unencodable(f"polars gives no Arrow form of it ({type(error).__name__})") from None
    return _table_form(table, encoder)


def _pyarrow_form(value: Any, encoder: Any, pa: Any) -> list[Any] | None:
    kind = type(value)
    if issubclass(kind, pa.Table):
        return ["pa.table", *_table_form(value, encoder)]
    if issubclass(kind, pa.RecordBatch):
        return ["pa.batch", *_table_form(pa.Table.from_batches([value]), encoder)]
    if issubclass(kind, pa.ChunkedArray):
        return ["pa.chunks", *chunks_form(value, encoder)]
    if issubclass(kind, pa.Array):
        return ["pa.array", type_form(value.type), array_form(value, encoder)]
    if issubclass(kind, pa.DataType):
        return ["pa.type", type_form(value)]
    return None


def encode_value(value: object, encoder: Any) -> list[Any] | None:
    """Encode a value of pyarrow or polars; None when it is none, or has no safe form."""
    pa = sys.modules.get("pyarrow")
    if pa is not None and (found := _pyarrow_form(value, encoder, pa)):
        return found
    pl = sys.modules.get("polars")
    if pl is None:
        return None
    if issubclass(type(value), pl.DataFrame):
        return ["pl.frame", *_polars_form(value, encoder)]
    if issubclass(type(value), pl.Series):
        return ["pl.series", *_polars_form(pl.DataFrame([value]), encoder)]
    return None


def _array_of(payload: list[Any], decoder: Any) -> Any:
    load_library("pyarrow")
    return array_of(payload[1], type_of(payload[0]), decoder)


def _batch_of(payload: list[Any], decoder: Any) -> Any:
    table = _table_of(payload, decoder)
    pa = load_library("pyarrow")
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema) if columns else table.to_batches()[0]


def _type_of(payload: list[Any], _decoder: Any) -> Any:
    load_library("pyarrow")
    return type_of(payload[0])


BUILDERS: dict[str, Callable[[list[Any], Any], Any]] = {
    "pa.table": _table_of,
    "pa.batch": _batch_of,
    "pa.chunks": chunks_of,
    "pa.array": _array_of,
    "pa.type": _type_of,
    "pl.frame": _polars_of,
    "pl.series": lambda p, d: _polars_of(p, d).to_series(),
}
"""Tag to the function that builds the value: (the rest of the form, decoder) -> value."""
