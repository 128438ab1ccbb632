"""Hidden columns of Parquet, Arrow and ORC files: these columns alone are read, a part of the rows at a time.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .found_values import FoundValues, leaves_of
from .wanted_columns import Wanted

_ROWS = 500_000


def read_parquet(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of a Parquet file.

    Returns:
        True: it has columns.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        names = _top_columns(file.schema_arrow, wanted)
        if names:
            for batch in file.iter_batches(batch_size=_ROWS, columns=names):
                _take(batch, wanted, found)
    return True


def read_arrow(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of a file of Arrow: of its file or its stream format, or the first one of Feather."""
    import pyarrow as pa
    from pyarrow import feather, ipc

    with pa.memory_map(str(path)) as mapped:
        try:
            file = ipc.open_file(mapped)
            batches: Iterator[Any] = (file.get_batch(number) for number in range(file.num_record_batches))
        except pa.ArrowInvalid:
            mapped.seek(0)
            try:
                batches = iter(ipc.open_stream(mapped))
            except pa.ArrowInvalid:
                batches = iter(feather.read_table(path).to_batches())
        for batch in batches:
            _take(batch, wanted, found)
    return True


def read_orc(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of an ORC file."""
    from pyarrow import orc

    file = orc.ORCFile(path)
    names = _top_columns(file.schema, wanted)
    for stripe in range(file.nstripes) if names else ():
        _take(file.read_stripe(stripe, columns=names), wanted, found)
    return True


def _top_columns(schema: Any, wanted: Wanted) -> list[str]:
    """Returns the columns that are wanted, or have wanted fields."""
    return [field.name for field in schema if _wants(field.name, field.type, "", wanted)]


def _wants(name: str, kind: Any, path: str, wanted: Wanted) -> bool:
    import pyarrow as pa

    if wanted(name, path):
        return True
    if pa.types.is_map(kind):
        return True  # its keys are data, and may be the names that are looked for
    within = f"{path}{name}."
    if pa.types.is_struct(kind):
        found = [_wants(field.name, field.type, within, wanted) for field in _fields(kind)]
        return any(found)  # all of them were asked: each remembers its expression
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _inside_list(kind) is not None and _wants("", _inside_list(kind), within, wanted)
    return False


def _inside_list(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_nested(kind.value_type) else None


def _fields(kind: Any) -> list[Any]:
    return [kind.field(number) for number in range(kind.num_fields)]


def _take(batch: Any, wanted: Wanted, found: FoundValues) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _search(name, column, "", wanted, found)


def _search(name: str, array: Any, path: str, wanted: Wanted, found: FoundValues) -> None:
    """Take a column if it is wanted, or else the wanted fields of what is nested in it."""
    import pyarrow as pa

    if name and wanted(name, path):
        found.column(name).add_array(array)
        return
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            _search(name, chunk, path, wanted, found)
        return
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    within = f"{path}{name}." if name else path
    if pa.types.is_struct(kind):
        for field, part in zip(_fields(kind), array.flatten(), strict=True):
            _search(field.name, part, within, wanted, found)
    elif pa.types.is_map(kind):
        _search_map(array, within, wanted, found)
    elif pa.types.is_nested(kind) and hasattr(array, "flatten"):
        _search("", array.flatten(), within, wanted, found)


def _search_map(array: Any, path: str, wanted: Wanted, found: FoundValues) -> None:
    """Take the items of a map whose keys are wanted names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pc.cast(array.keys, pa.large_string(), safe=False)
    for key in pc.unique(keys).to_pylist():
        items = array.items.filter(pc.equal(keys, key))
        _search(key or "", items, path, wanted, found)


def take_frame(frame: Any, wanted: Wanted, found: FoundValues) -> None:
    """Take the wanted columns of a DataFrame, and of its index."""
    import pyarrow as pa

    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index() if named else frame
    for place, name in enumerate(map(str, frame.columns)):
        if wanted(name):
            values = frame.iloc[:, place].dropna()
            try:
                parts = leaves_of(pa.Array.from_pandas(values))
            except (pa.ArrowException, TypeError, ValueError):
                for value in values.tolist():
                    found.column(name).add(value)
                continue
            for part in parts:
                found.column(name).add_array(part)
