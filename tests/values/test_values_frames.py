"""pandas, Arrow and polars: dtypes, indexes and names survive, and what arrives can be written to."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra.pandas import column, data_frames, range_indexes

from rlm_jupyter.values.codec import api as codec

FIXED = settings(derandomize=True, database=None, deadline=None)


def through(value):
    fd, kind = codec.dump(value, allow_pickle=False)
    try:
        assert kind == "safe"
        return codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)


NAN_TEXT = pd.StringDtype("python", na_value=np.nan)
MOMENTS = pd.to_datetime(["2020-01-01", None, "2021-06-01"])
COLUMNS = {
    "int": pd.Series([1, -2, 3], dtype="int8"),
    "float": pd.Series([1.5, np.nan, np.inf]),
    "complex": pd.Series([1j, 2, 3]),
    "bool": pd.Series([True, False, True]),
    "text": pd.Series(["a", None, "é\U0001f600"], dtype="str"),
    "text python": pd.Series(["a", None, "é"], dtype=NAN_TEXT),
    "text python surrogate": pd.Series(["a", None, "\ud800"], dtype=NAN_TEXT),
    "text NA pyarrow": pd.Series(["a", None, ""], dtype="string[pyarrow]"),
    "text NA python": pd.Series(["a", None, ""], dtype="string[python]"),
    "text object": pd.Series(["a", "b", "c"], dtype=object),
    "text object long": pd.Series(["a" * 30_000, "b" * 50_000, "c"], dtype=object),
    "objects": pd.Series([1, "a", None], dtype=object),
    "objects more": pd.Series([pd.NA, pd.NaT, Decimal("1.1"), dt.date(2020, 1, 1), [1], {"a": (1,)}, np.int8(3), pd.Timestamp("2020", tz="UTC")], dtype=object),
    "category": pd.Series(pd.Categorical(["x", None, "y"])),
    "category ordered": pd.Series(pd.Categorical([3, 1, 3], categories=[3, 2, 1], ordered=True)),
    "category intervals": pd.cut(pd.Series([1, 5, 9]), 3),
    "category times": pd.Series(pd.Categorical(pd.to_datetime(["2020", "2021", "2020"]))),
    "moments": pd.Series(MOMENTS),
    "moments s": pd.Series(MOMENTS).astype("datetime64[s]"),
    "moments Berlin": pd.Series(MOMENTS).dt.tz_localize("Europe/Berlin"),
    "moments UTC": pd.Series(MOMENTS).dt.tz_localize("UTC"),
    "moments offset": pd.Series(MOMENTS).dt.tz_localize(dt.timezone(dt.timedelta(hours=5))),
    "spans": pd.Series(pd.to_timedelta([1, None, 3], unit="s")),
    "periods": pd.Series(pd.period_range("2020-01", periods=3, freq="M")),
    "periods quarter": pd.Series(pd.PeriodIndex(["2020Q1", None, "2020Q3"], freq="Q-NOV")),
    "intervals": pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3], closed="left")),
    "intervals missing": pd.Series(pd.arrays.IntervalArray.from_tuples([(0, 1), None, (2, 3)])),
    "intervals times": pd.Series(pd.arrays.IntervalArray.from_breaks(pd.date_range("2020", periods=4, tz="UTC"))),
    **{name: pd.Series([1, None, 3], dtype=name) for name in ("Int8", "UInt64", "Int64", "Float32", "Float64")},
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 5], fill_value=0)),
    "sparse nan block": pd.Series(pd.arrays.SparseArray([np.nan, 1.5, np.nan], kind="block")),
    "arrow int": pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    "arrow text": pd.Series(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
    "arrow time": pd.Series(MOMENTS).astype(pd.ArrowDtype(pa.timestamp("us", "Asia/Tokyo"))),
    "arrow decimal": pd.Series([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    "arrow list": pd.Series([[1, 2], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow struct": pd.Series([{"a": 1, "b": "x"}, None], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8()), ("b", pa.string())]))),
    "arrow dictionary": pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["a", None, "a"]).dictionary_encode())),
    "named oddly": pd.Series([1], name=("a", 1)),
    "empty": pd.Series([], dtype="float64"),
    "empty objects": pd.Series([], dtype=object),
    "indexed": pd.Series([1, 2], index=["x", "x"], name="n"),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_with_its_dtype(name):
    series = COLUMNS[name]
    pd.testing.assert_series_equal(through(series), series, check_freq=True)
    frame = (
        pd.DataFrame({"c": series, "other": range(len(series))}) if name != "indexed" else series.to_frame()
    )
    back = through({"frame": frame})["frame"]
    pd.testing.assert_frame_equal(back, frame, check_column_type=True, check_index_type=True)
    pd.testing.assert_series_equal(through(series[1:]), series[1:])
    assert through(series.dtype) == series.dtype


INDEXES = {
    "range": pd.RangeIndex(2, 20, 3, name="r"),
    "int": pd.Index([3, 1, 1], name="i", dtype="int16"),
    "text": pd.Index(["a", None], name="t"),
    "objects": pd.Index([1, "a", (2, 3)], dtype=object),
    "tuples not levels": pd.Index([(1, 2), (3, 4)], tupleize_cols=False),
    "bool": pd.Index([True, False]),
    "category": pd.CategoricalIndex(["a", "b", "a"], ordered=True),
    "interval": pd.interval_range(0, 3, closed="both", name="iv"),
    "period": pd.period_range("2020", periods=3, freq="Q"),
    "moments with a frequency": pd.date_range("2020", periods=4, freq="2h", name="when"),
    "moments in a zone": pd.date_range("2020-03-28", periods=4, freq="D", tz="Europe/Berlin"),
    "moments business": pd.bdate_range("2020", periods=4),
    "spans": pd.timedelta_range("1D", periods=3, freq="6h"),
    "nullable": pd.Index([1, None], dtype="Int32"),
    "levels": pd.MultiIndex.from_product([["a", "b"], pd.date_range("2020", periods=2)], names=["x", None]),
    "levels with holes": pd.MultiIndex.from_tuples([("a", 1), (None, 2), ("a", None)]),
    "levels empty": pd.MultiIndex.from_arrays([[], []], names=["a", "b"]),
    "empty": pd.Index([], dtype="str"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back_as_rows_as_columns_and_alone(name):
    index = INDEXES[name]
    back = through(index)
    pd.testing.assert_index_equal(back, index, exact=True, check_names=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)
    rows = pd.DataFrame({"a": range(len(index)), "b": ["x"] * len(index)}, index=index)
    pd.testing.assert_frame_equal(through(rows), rows, check_index_type="equiv", check_freq=True)
    wide = pd.DataFrame(np.zeros((2, len(index))), columns=index)
    pd.testing.assert_frame_equal(through(wide), wide, check_column_type="equiv")
    series = pd.Series(range(len(index)), index=index)
    pd.testing.assert_series_equal(through(series), series)


FRAMES = {
    "nothing": pd.DataFrame(),
    "rows without columns": pd.DataFrame(index=range(3)),
    "columns without rows": pd.DataFrame({"a": pd.Series([], dtype="int8"), "b": pd.Series([], dtype="str")}),
    "one dtype without rows": pd.DataFrame(np.empty((0, 3)), columns=list("abc")),
    "duplicate names": pd.DataFrame([[1, "x", 2.5]], columns=["a", "a", "a"]),
    "duplicate names of one dtype": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "names of all kinds": pd.DataFrame([[1, 2, 3, 4]], columns=[1, "a", None, (1, 2)]),
    "bool block": pd.DataFrame([[True, False]]),
    "column order": pd.DataFrame(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    "every other row": pd.DataFrame(np.arange(12).reshape(4, 3))[::2],
    "mixed dtypes": pd.DataFrame(
        {"a": [1, 2], "b": [1.5, None], "c": ["x", None], "d": pd.Categorical(["u", "v"])}
    ),
    "fragmented": pd.DataFrame({f"c{i}": np.arange(3, dtype=["i4", "f8"][i % 2]) for i in range(50)}),
    "moments block": pd.DataFrame({"a": MOMENTS, "b": MOMENTS}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_and_can_be_written(name):
    frame = FRAMES[name]
    back = through(frame)
    pd.testing.assert_frame_equal(back, frame, check_freq=True)
    pd.testing.assert_frame_equal(through([frame, 1, {2: frame}])[2][2], frame)
    back["new"] = 1
    if frame.shape[0] and frame.columns.is_unique and frame.shape[1]:
        back.loc[back.index[0], frame.columns[0]] = frame.iloc[0, 0]
        back.iloc[0, 0] = frame.iloc[-1, 0]


def test_a_frequency_that_takes_long_to_check_is_left_out():
    steps, months = (
        pd.date_range("1700", periods=200_000, freq="s"),
        pd.date_range("1700", periods=3, freq="MS"),
    )
    assert through(steps).freq == steps.freq
    assert through(months).freq == months.freq
    days = pd.date_range("1700", periods=100_001, freq="B", unit="s")
    assert through(days).freq is None
    assert through(days).equals(days)
    holidays = pd.date_range("2020", periods=3, freq=pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]))
    assert through(holidays).equals(holidays)


def test_attrs_travel_with_frame_and_series():
    frame = pd.DataFrame({"a": [1, 2]})
    frame.attrs["source"] = {"file": "x.csv", "rows": (1, 2)}
    assert through(frame).attrs == frame.attrs
    assert through(frame["a"]).attrs == frame["a"].attrs == frame.attrs


def test_a_numeric_frame_is_a_view_on_the_mapping_and_writing_to_it_reaches_nobody_else():
    frame = pd.DataFrame(np.arange(40_000.0).reshape(10_000, 4), columns=list("abcd"))
    fd, _ = codec.dump(frame, allow_pickle=False)
    first, second = codec.load(fd, allow_pickle=False), codec.load(fd, allow_pickle=False)
    os.close(fd)
    assert not first["a"].to_numpy().flags.owndata
    first.loc[0, "a"] = -1.0
    first["b"] *= 2
    pd.testing.assert_frame_equal(second, frame)


def test_part_of_a_frame_takes_the_room_of_the_part():
    frame = pd.DataFrame({"s": [f"text {i}" for i in range(100_000)], "n": range(100_000)})
    fd, _ = codec.dump(frame.iloc[500:510], allow_pickle=False)
    size = codec.size(fd)
    back = codec.load(fd, allow_pickle=False)
    os.close(fd)
    assert size < 10_000
    pd.testing.assert_frame_equal(back, frame.iloc[500:510])


@pytest.mark.parametrize(
    "value",
    [pd.Timestamp("2020", tz="Europe/Berlin"), pd.Timestamp(5, unit="s"), pd.Timedelta("1.5s"), pd.Period("2020-01", "M"), pd.Period("2020Q1"), pd.Interval(0, 1, "left"), pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021"))],
    ids=str,
)  # fmt: skip
def test_a_pandas_scalar_keeps_type_and_unit(value):
    back = through([value, {value: 1}])
    assert back[0] == value
    assert type(back[0]) is type(value)
    assert getattr(back[0], "unit", None) == getattr(value, "unit", None)
    assert back[1] == {value: 1}
    assert through([pd.NaT, pd.NA])[0] is pd.NaT
    assert through([pd.NaT, pd.NA])[1] is pd.NA


def test_pandas_arrays_and_dtypes_come_back():
    for array in (
        pd.array([1, None]),
        pd.array(["a", None]),
        pd.array(MOMENTS),
        pd.Categorical(["a"]),
        pd.array(np.arange(3.0)),
    ):
        back = through(array)
        assert type(back) is type(array)
        pd.testing.assert_extension_array_equal(back, array)
    types = COLUMNS["int"].to_frame().assign(t="x").dtypes
    pd.testing.assert_series_equal(through(types), types)


ARROW = {
    "plain": pa.table({"a": [1, None], "b": ["x", None], "c": [1.5, 2.5]}),
    "chunks": pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [None]}), pa.table({"a": [3]})], promote_options="permissive"),
    "nested": pa.table({"l": [[1], None], "s": [{"x": [1, 2], "y": "t"}, None], "d": pa.array(["u", "v"]).dictionary_encode()}),
    "map": pa.table({"m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32()))}),
    "fixed": pa.table({"f": pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)), "b": pa.array([b"ab", None], pa.binary(2))}),
    "views": pa.table({"v": pa.array(["a", None], pa.string_view())}),
    "dictionary inside": pa.table({"l": pa.array([["a", "b"], ["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))}),
    "times": pa.table({"t": pa.array([1, 2], pa.timestamp("ns", "UTC")), "d": pa.array([1, 2], pa.duration("s")), "u": pa.array([1, 2], pa.time64("us"))}),
    "nothing": pa.table({}),
    "null": pa.table({"n": pa.nulls(3)}),
    "metadata": pa.table({"a": [1]}, metadata={"k": "v"}),
    "decimal": pa.table({"d": pa.array([Decimal("1.1"), None], pa.decimal256(40, 2))}),
}  # fmt: skip


@pytest.mark.parametrize("name", ARROW)
def test_an_arrow_table_comes_back_with_its_schema(name):
    table = ARROW[name]
    back = through(table)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert back.equals(table)
    part = through(table.slice(1))
    assert part.equals(table.slice(1))
    for chunked in table.columns:
        assert through(chunked).equals(chunked)
        assert through(chunked.chunk(0)).equals(chunked.chunk(0))


def test_an_arrow_type_without_a_safe_form_is_refused():
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(codec.Unencodable, match="sparse_union"):
        codec.dump(pa.table({"u": union}), allow_pickle=False)


def test_polars_frames_and_series_come_back_with_their_dtypes():
    frame = pl.DataFrame({
        "i": [1, None], "s": ["x", None], "f": [1.5, None], "b": [True, None], "c": pl.Series(["u", "v"], dtype=pl.Categorical),
        "e": pl.Series(["u", None], dtype=pl.Enum(["u", "v"])), "t": pl.Series([1, 2], dtype=pl.Time), "l": [[1], None],
        "st": [{"a": 1}, {"a": None}], "arr": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)), "n": [None, None],
        "d": pl.Series([Decimal("1.10"), None], dtype=pl.Decimal(10, 2)), "z": pl.Series([1, 2]).cast(pl.Datetime("us", "Europe/Berlin")),
    })  # fmt: skip
    back = through([frame, frame.slice(1), frame["e"]])
    assert back[0].schema == frame.schema
    assert back[0].equals(frame)
    assert back[1].equals(frame.slice(1))
    assert back[2].dtype == frame["e"].dtype
    assert back[2].to_list() == ["u", None]
    with pytest.raises(codec.Unencodable):
        codec.dump(pl.DataFrame({"o": [object()]}), allow_pickle=False)


def test_a_frame_with_something_unsafe_says_in_which_column_and_row():
    frame = pd.DataFrame({"n": [1, 2], "bad": [1, len]})
    with pytest.raises(codec.Unencodable, match=r"`df\['bad'\]\[1\]`"):
        codec.dump(frame, allow_pickle=False, name="df")


def test_a_subclass_of_a_frame_comes_back_as_a_frame_or_pickled_as_itself():
    class Mine(pd.DataFrame):
        @property
        def _constructor(self):
            return Mine

    mine = Mine({"a": [1, 2]})
    assert type(through(mine)) is pd.DataFrame
    fd, kind = codec.dump(mine, allow_pickle=True, faithful=True)
    back = codec.load(fd, allow_pickle=True)
    os.close(fd)
    assert (kind, type(back).__name__) == ("pickle", "Mine")


MIN, MAX = map(dt.datetime.fromisoformat, ("1700-01-01", "2200-01-01"))
FLEXIBLE = data_frames(
    columns=[
        column("i", dtype="int64"),
        column("f", dtype="float64"),
        column("b", dtype=bool),
        column("s", elements=st.text(), dtype=object),
        column(
            "t",
            elements=st.datetimes(MIN, MAX),
            dtype="datetime64[ns]",
        ),
    ],
    index=range_indexes(max_size=8),
)


@given(FLEXIBLE)
@settings(FIXED, max_examples=40)
def test_any_frame_comes_back(frame):
    pd.testing.assert_frame_equal(through(frame), frame)


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.datetime64_dtypes(),
        hnp.array_shapes(min_side=0),
    )
)
@settings(FIXED, max_examples=100)
def test_any_array_comes_back(array):
    back = through(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
