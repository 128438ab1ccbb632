"""The forms of pandas: frames, series, indexes and their scalars.

Travels as source into kernels: standard library only at import.

A frame of one numeric dtype travels as one block, else column by column; what is decoded are writable views on the
mapping. Columns of pandas' own dtypes are in `columns`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from . import arrays, scalars
from . import pandas_columns as columns
from .container import Unencodable
from .pickling import attribute


def _index_form(index: Any, encoder: Any) -> dict[str, Any]:
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        return {
            "k": "multi",
            "l": [_index_form(level, encoder) for level in index.levels],
            "c": [arrays.array_form(code, encoder) for code in map(_ndarray, index.codes)],
            "n": encoder.pack(list(index.names)),
        }
    form = {"k": "flat", "n": encoder.pack(index.name)}
    if isinstance(index, pd.RangeIndex):
        return {**form, "k": "range", "r": [index.start, index.stop, index.step]}
    form["v"] = columns.encode_column(index, encoder)
    if (freq := getattr(index, "freq", None)) is not None and not isinstance(index, pd.PeriodIndex):
        form["f"] = columns.frequency_form(freq, len(index))
    return form


def _ndarray(values: Any) -> Any:
    import numpy as np

    return np.asarray(values)


def _index_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    name = decoder.unpack(form["n"])
    if form["k"] == "range":
        start, stop, step = form["r"]
        return pd.RangeIndex(start, stop, step, name=name)
    if form["k"] == "multi":
        levels = [_index_of(level, decoder) for level in form["l"]]
        codes: Any = [arrays.array_of(code, decoder) for code in form["c"]]
        return pd.MultiIndex(levels=levels, codes=codes, names=name)
    values = columns.decode_column(form["v"], decoder)
    index: Any = pd.Index(values, dtype=values.dtype, name=name, copy=False, tupleize_cols=False)
    if form.get("f") is not None:
        freq = pd.tseries.frequencies.to_offset(columns.frequency_name(form["f"]))
        if columns.is_cheap(freq, len(index)):
            index.freq = freq
    return index


def without_attrs(table: Any) -> Any:
    """Return a frame or series on the same data without its `attrs`, which pandas copies deeply at every step."""
    import pandas as pd

    if not table.attrs:
        return table
    return pd.DataFrame(table) if isinstance(table, pd.DataFrame) else pd.Series(table)


def _series_form(series: Any, encoder: Any) -> dict[str, Any]:
    return {
        "v": _at(".values", columns.encode_column, without_attrs(series), encoder),
        "i": _at(".index", _index_form, series.index, encoder),
        "n": encoder.pack(series.name),
        "a": _attrs_form(series, encoder),
    }


def _series_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    values = columns.decode_column(form["v"], decoder)
    index = _index_of(form["i"], decoder)
    series = pd.Series(values, index, dtype=values.dtype, name=decoder.unpack(form["n"]), copy=False)
    series.attrs.update(decoder.unpack(form["a"]))
    return series


def _attrs_form(table: Any, encoder: Any) -> Any:
    """Encode the attributes of a frame or a series. One without a safe form must not make all of it unusable."""
    attrs = dict(table.attrs)
    kept = {key: item for key, item in attrs.items() if encoder.can_pack(key, item)}
    for key in attrs.keys() - kept.keys():
        encoder.left_out.append(attribute(key, attrs[key]))
    return encoder.pack(kept)


def _at(place: str, encode: Callable[..., Any], *args: Any) -> Any:
    try:
        return encode(*args)
    except Unencodable as error:
        error.path = place + error.path
        raise


def _block_of_frame(frame: Any) -> Any:
    """Returns the one array of a frame of a single numpy dtype, else None."""
    import numpy as np

    kinds = set(frame.dtypes) if frame.shape[1] else set()
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    return frame.to_numpy() if isinstance(kind, np.dtype) and kind.kind in "biufc" else None


def _frame_form(frame: Any, encoder: Any) -> dict[str, Any]:
    form = {
        "i": _at(".index", _index_form, frame.index, encoder),
        "n": _at(".columns", _index_form, frame.columns, encoder),
        "a": _attrs_form(frame, encoder),
    }
    frame = without_attrs(frame)
    block = _block_of_frame(frame)
    if block is not None:
        form["b"] = arrays.array_form(block, encoder)
        return form
    form["c"] = []
    for number, name in enumerate(frame.columns):
        place = f"[{name!r:.60}]" if type(name) is str else f".iloc[:, {number}]"
        form["c"].append(_at(place, columns.encode_column, frame.iloc[:, number], encoder))
    return form


def _frame_of(form: dict[str, Any], decoder: Any) -> Any:
    import pandas as pd

    index = _index_of(form["i"], decoder)
    names = _index_of(form["n"], decoder)
    if "b" in form:
        frame = pd.DataFrame(arrays.array_of(form["b"], decoder), index, copy=False)
    else:
        series: dict[int, Any] = {}
        for number, column in enumerate(form["c"]):
            values = columns.decode_column(column, decoder)
            series[number] = pd.Series(values, index, dtype=values.dtype, copy=False)
        frame = pd.DataFrame(series, index, copy=False) if series else pd.DataFrame(index=index)
    frame.columns = names
    frame.attrs.update(decoder.unpack(form["a"]))
    return frame


def _scalar_form(value: Any, pd: Any) -> list[Any] | None:
    if value is pd.NaT or value is pd.NA:
        return ["pd.NaT" if value is pd.NaT else "pd.NA"]
    kind = type(value)
    if issubclass(kind, pd.Timestamp):
        stamp = value.asm8.view("i8").item()
        return ["pd.timestamp", stamp, value.unit, _zone_form(value)]
    if issubclass(kind, pd.Timedelta):
        return ["pd.timedelta", value.asm8.view("i8").item(), value.unit]
    if issubclass(kind, pd.Period):
        return ["pd.period", value.ordinal, value.freqstr]
    is_offset = issubclass(kind, pd.tseries.offsets.BaseOffset)
    return ["pd.offset", name] if is_offset and (name := columns.frequency_form(value, 0)) else None


def _zone_form(stamp: Any) -> Any:
    try:
        return scalars.zone_form(stamp.tzinfo)
    except Unencodable:
        return scalars.zone_form(stamp.tzinfo, stamp.to_pydatetime(warn=False))


def _timestamp_of(payload: list[Any], _decoder: Any) -> Any:
    import numpy as np
    import pandas as pd

    unit: Any = columns.unit(payload[1])
    stamp = pd.Timestamp(np.datetime64(payload[0], unit))
    zone = scalars.zone_of(payload[2])
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _timedelta_of(payload: list[Any], _decoder: Any) -> Any:
    import numpy as np
    import pandas as pd

    unit: Any = columns.unit(payload[1])
    return pd.Timedelta(np.timedelta64(payload[0], unit))


def _period_of(payload: list[Any], _decoder: Any) -> Any:
    import pandas as pd

    return pd.Period(ordinal=int(payload[0]), freq=columns.frequency_name(payload[1]))


def _offset_of(payload: list[Any], _decoder: Any) -> Any:
    import pandas as pd

    return pd.tseries.frequencies.to_offset(columns.frequency_name(payload[0]))


def _interval_of(payload: list[Any], decoder: Any) -> Any:
    import pandas as pd

    left, right = decoder.unpack(payload[0])
    return pd.Interval(left, right, closed=payload[1])


def _array_of(payload: list[Any], decoder: Any) -> Any:
    import pandas as pd

    values = columns.decode_column(payload[0], decoder)
    return pd.Series(values, dtype=values.dtype, copy=False).array


def encode_value(value: Any, encoder: Any) -> list[Any] | None:
    """Encode a pandas value; None when it is none, or has no safe form."""
    pd = sys.modules.get("pandas")
    if pd is None:
        return None
    kind = type(value)
    for base, tag, encode in (
        (pd.DataFrame, "pd.frame", _frame_form),
        (pd.Series, "pd.series", _series_form),
        (pd.Index, "pd.index", _index_form),
        (pd.api.extensions.ExtensionArray, "pd.array", columns.encode_column),
        (pd.api.extensions.ExtensionDtype, "pd.dtype", columns.dtype_form),
    ):
        if issubclass(kind, base):
            changed = encoder.faithful and base in (pd.DataFrame, pd.Series) and kind is not base
            return None if changed else [tag, encode(value, encoder)]
    if issubclass(kind, pd.Interval):
        return ["pd.interval", encoder.pack((value.left, value.right)), value.closed]
    return _scalar_form(value, pd)


def _with_pandas(build: Callable[[Any, Any], Any]) -> Callable[[list[Any], Any], Any]:
    def builder(payload: list[Any], decoder: Any) -> Any:
        arrays.load_library("pandas")
        return build(payload, decoder)

    return builder


def _first(build: Callable[[Any, Any], Any]) -> Callable[[list[Any], Any], Any]:
    return lambda payload, decoder: build(payload[0], decoder)


def _singleton(name: str) -> Callable[[Any, Any], Any]:
    return lambda _payload, _decoder: getattr(sys.modules["pandas"], name)


BUILDERS: dict[str, Callable[[list[Any], Any], Any]] = {
    tag: _with_pandas(build)
    for tag, build in {
        "pd.frame": _first(_frame_of),
        "pd.series": _first(_series_of),
        "pd.index": _first(_index_of),
        "pd.array": _array_of,
        "pd.dtype": _first(columns.dtype_of),
        "pd.interval": _interval_of,
        "pd.timestamp": _timestamp_of,
        "pd.timedelta": _timedelta_of,
        "pd.period": _period_of,
        "pd.offset": _offset_of,
        "pd.NaT": _singleton("NaT"),
        "pd.NA": _singleton("NA"),
    }.items()
}
"""Tag to the function that builds the value: (the rest of the form, decoder) -> value."""
