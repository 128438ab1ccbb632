"""Descriptions: what they say, that they stay small, and that no code of the value runs."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import json
import sys
import types

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rlm_jupyter.values.describe.api import describe, render

SECRET = "s3cret"
ORDERS = pd.DataFrame({
    "id": range(1, 1001), "supplier": ["A", "B", "B", None] * 250, "price": [1.5, np.nan, 3.5, 2.0] * 250,
    "day": pd.date_range("2020-01-01", periods=1000), "note": [f"n{i}" for i in range(1000)], "kind": pd.Categorical(["x", "y"] * 500),
})  # fmt: skip


def columns(value, **options):
    return {column["name"]: column for column in describe(value, **options)["columns"]}


def test_a_frame_is_described_by_shape_columns_and_first_rows():
    about = describe(ORDERS, rows=2)
    assert about["type"] == "DataFrame"
    assert about["summary"].startswith("DataFrame 1,000 x 6, ")
    assert about["shape"] == [1000, 6]
    assert about["rows"] == [
        ["1", "A", "1.5", "2020-01-01 00:00:00", "n0", "x"],
        ["2", "B", "nan", "2020-01-02 00:00:00", "n1", "y"],
    ]
    found = columns(ORDERS)
    assert found["id"] == {"name": "id", "dtype": "int64", "nulls": 0, "range": ["1", "1000"]}
    assert found["supplier"]["nulls"] == 250
    assert found["supplier"]["top"][0] == ["'B'", 0.6667]
    assert found["price"] == {"name": "price", "dtype": "float64", "nulls": 250, "range": ["1.5", "3.5"]}
    assert found["day"]["range"][0].startswith("2020-01-01")
    assert found["note"]["examples"][0] == "'n0'"
    assert found["kind"]["distinct"] == 2


def test_a_long_frame_is_described_from_a_sample_that_says_so():
    count = 300_000
    frame = pd.DataFrame(
        {
            "i": np.arange(count),
            "f": np.where(np.arange(count) % 2, np.nan, 1.0),
            "s": pd.Series(["a", None, "b"] * (count // 3), dtype="str"),
        }
    )
    found = columns(frame)
    assert found["i"]["nulls"] == 0
    assert found["i"]["range"] == ["0", str(count - 1)]
    assert found["i"]["sampled"] is True
    assert found["f"]["estimated"] is True
    assert abs(found["f"]["nulls"] - count // 2) < count // 50
    assert found["s"]["nulls"] == count // 3
    assert describe(frame)["bytes"] > 16 * count


FRAMES = {
    "empty": pd.DataFrame(), "no rows": ORDERS[:0], "no columns": ORDERS[[]], "wide": pd.DataFrame(np.zeros((2, 5000))),
    "levels": ORDERS.set_index(["supplier", "day"]), "odd names": pd.DataFrame([[1, 2]], columns=[None, ("a", 1)]), "twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "objects": pd.DataFrame({"o": [[1], {"a": 1}, None, object()]}), "all missing": pd.DataFrame({"a": [None, None], "b": [np.nan, np.nan], "c": pd.to_datetime([None, None])}),
    "sparse": pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1])}), "nullable": pd.DataFrame({"n": pd.array([1, None]), "b": pd.array([True, None])}),
    "zones": pd.DataFrame({"z": pd.date_range("2020", periods=3, tz="UTC"), "p": pd.period_range("2020", periods=3), "t": pd.to_timedelta([1, 2, 3])}),
    "complex": pd.DataFrame({"c": [1j, 2]}), "huge text": pd.DataFrame({"t": ["x" * 10**6]}), "infinite": pd.DataFrame({"f": [np.inf, -np.inf]}),
    "arrow": pd.DataFrame({"l": pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8())))}), "ranges": pd.DataFrame({"i": pd.arrays.IntervalArray.from_breaks([0, 1, 2])}),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("rows", [0, 3])
def test_every_kind_of_frame_series_and_index_has_a_small_description(name, rows):
    frame = FRAMES[name]
    for value in (frame, frame.index, *(frame.iloc[:, i] for i in range(min(frame.shape[1], 3)))):
        about = describe(value, rows=rows)
        assert about["summary"] != about["type"]
        assert about["shape"] == list(value.shape)
        assert len(json.dumps(about)) < 30_000
        assert len(render(about, name="x", max_chars=500)) < 600
    assert len(describe(frame)["columns"]) == min(frame.shape[1], 40)


def secrets():
    @dataclasses.dataclass
    class Row:
        name: str

    return {
        "frame": pd.DataFrame({"a": [SECRET] * 5, "b": pd.Categorical([SECRET] * 5)}, index=[SECRET] * 5),
        "series": pd.Series([SECRET]), "index": pd.Index([SECRET]), "levels": pd.MultiIndex.from_tuples([(SECRET, 1)]),
        "arrow": pa.table({"a": [SECRET]}), "polars": pl.DataFrame({"a": [SECRET]}), "polars series": pl.Series([SECRET]),
        "array": np.array([SECRET]), "text": SECRET, "bytes": SECRET.encode(), "bytearray": bytearray(SECRET.encode()), "list": [SECRET], "tuple": ((SECRET,),), "set": {SECRET},
        "dict": {"a": SECRET, "b": [SECRET], "c": {"d": SECRET}}, "dict of secrets": {f"{SECRET} {i}": i for i in range(3)}, "records": [{"a": SECRET}] * 3,
        "many keys": {f"{SECRET}{i}": 1 for i in range(100)}, "dataclass": Row(SECRET), "namespace": types.SimpleNamespace(a=SECRET), "deque": collections.deque([SECRET]),
        "records by secret": [{f"{SECRET} {i}": 1} for i in range(3)],
    }  # fmt: skip


@pytest.mark.parametrize("name", secrets())
def test_with_no_rows_no_data_is_quoted(name):
    value = secrets()[name]
    about = describe(value, rows=0)
    assert SECRET not in json.dumps(about)
    assert SECRET not in render(about, name="x")
    assert SECRET in json.dumps(describe(value, rows=3)) or name == "bytearray"


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        (7, "int 7"),
        (None, "NoneType None"),
        (dt.date(2020, 1, 2), "datetime.date 2020-01-02"),
        ("a\nb", f"str of 3 characters, 2 lines, {sys.getsizeof(chr(10) * 3)} B"),
        ([1, "a"], "list of 2 items (int, str), "),
        ({"a": 1}, "dict of 1 key, "),
        (np.zeros((2, 3)), "ndarray 2 x 3, float64, 48 B"),
        (pl.DataFrame({"a": [1, 2]}), "DataFrame 2 x 1, 16 B"),
        (pa.table({"a": [1, 2]}), "Table 2 x 1, 16 B"),
        (np.float64(1.5), "numpy.float64 1.5"),
        (10**5000, "int <int of about 5,000 digits>"),
        (b"\0" * 2000, "bytes of 2.0 kB"),
        (types.SimpleNamespace(a=1), "types.SimpleNamespace with a"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_summary_says_type_and_size(value, summary):
    assert describe(value)["summary"].startswith(summary)


def test_a_text_is_shown_by_head_and_tail():
    text = "begin " + "x" * 50_000 + " end"
    about = describe(text, max_chars=400)
    assert about["length"] == len(text)
    assert about["truncated"] is True
    assert about["preview"].startswith("begin xxx")
    assert about["preview"].endswith("xxx end")
    assert len(about["preview"]) < 450
    assert "characters] …" in render(about, name="context")


def test_the_lines_of_a_huge_text_are_estimated():
    about = describe("ab\n" * 10_000_000)
    assert "about 10,000,0" in about["summary"]


def test_a_list_of_records_tells_its_fields():
    about = describe([{"id": 1, "tags": ["a"]}, {"id": 2, "tags": None}] * 50)
    assert about["fields"] == [
        {"name": "id", "types": {"int": 100}},
        {"name": "tags", "types": {"list": 50, "NoneType": 50}},
    ]
    assert about["item_types"] == {"dict": 100}
    assert len(about["items"]) == 3


def test_a_dict_of_tables_names_each():
    about = describe({"orders": ORDERS, "rates": np.ones(3)})
    assert about["keys"] == ["orders", "rates"]
    assert about["items"][0]["summary"].startswith("DataFrame 1,000 x 6")
    assert about["bytes"] > describe(ORDERS)["bytes"]
    assert "- rates: ndarray 3, float64" in render(about, name="context")


def test_a_function_shows_signature_and_first_line():
    def find(name: str, *, limit=3, table=ORDERS):
        """Find a thing.

        And more.
        """

    about = describe(find)
    assert "find(name: str, limit=3, table=<pandas.DataFrame>)" in about["summary"]
    assert about["preview"] == "Find a thing."
    assert describe(dict)["summary"].startswith("class dict(")
    assert describe(print)["summary"].startswith("function print(")


class Hostile:
    """Everything that a description might call."""

    def _boom(self, *_args, **_kwargs):
        raise SystemExit("called")

    __repr__ = __str__ = __len__ = __iter__ = __eq__ = __getattr__ = __sizeof__ = __bool__ = __format__ = (
        __dir__
    ) = _boom
    __hash__ = object.__hash__
    keys = items = values = shape = property(_boom)

    def __getattribute__(self, name):
        raise SystemExit(name)


class Meta(type):
    @property
    def __name__(cls):
        raise SystemExit("name")

    @property
    def __module__(cls):
        raise SystemExit("module")


class HostileList(list):
    __len__ = __iter__ = __repr__ = __getitem__ = __sizeof__ = Hostile._boom


class HostileDict(dict):
    __len__ = __iter__ = __repr__ = items = keys = values = __sizeof__ = Hostile._boom


class HostileStr(str):
    __slots__ = ()
    __len__ = __repr__ = __str__ = __getitem__ = __sizeof__ = Hostile._boom


class HostileFrame(pd.DataFrame):
    @property
    def shape(self):
        raise SystemExit("shape")


HOSTILE = {
    "object": Hostile(), "metaclass": Meta("Evil", (), {})(), "class": Meta("Evil", (), {}), "list": HostileList([1]), "dict": HostileDict(a=1), "text": HostileStr("x"),
    "frame": HostileFrame({"a": [1]}), "slots": type("S", (), {"__slots__": ("a",)})(),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_object_is_described_without_its_help(name):
    value = HOSTILE[name]
    for about in (
        describe(value),
        describe([value, {"k": value}]),
        describe(types.SimpleNamespace(inside=value)),
        describe(pd.Series([value], dtype=object)),
    ):
        json.dumps(about)
        assert about["type"]
        assert about["summary"]
        render(about)


def test_what_is_nested_wide_or_cyclic_stays_small():
    ring, deep = [], []
    ring.append(ring)
    for _ in range(100_000):
        deep = [deep]
    wide = {i: list(range(1000)) for i in range(10_000)}
    for value in (
        ring,
        deep,
        wide,
        [10**100_000] * 5,
        ["x" * 10**7] * 5,
        {("k" * 10**6): 1},
        [[["y" * 1000] * 1000] * 1000] * 10,
    ):
        about = describe(value)
        assert len(json.dumps(about)) < 20_000
        assert len(render(about)) <= 4200
    while deep:  # taking it apart by hand keeps the test's own teardown shallow
        deep = deep[0]


def test_the_bytes_of_a_container_are_estimated_within_a_factor():
    value = [{"id": i, "text": "x" * 200} for i in range(5000)]
    assert 5000 * 250 < describe(value)["bytes"] < 5000 * 1500


@pytest.mark.parametrize(
    "forged",
    [{}, {"summary": None}, {"summary": "s" * 10**6}, {"columns": [None, 1, {"name": {}, "top": [1, []], "range": 5}]}, {"rows": [1, ["a", None]], "index": [1]},
     {"items": ["x", {"key": "k\n" * 500}]}, {"fields": [1, {"types": 3}]}, {"preview": "p" * 10**6}, {"preview": 5, "columns": "abc", "rows": {}}],
)  # fmt: skip
def test_rendering_takes_any_description_and_stays_small(forged):
    assert len(render(forged, name="n", max_chars=1000)) < 1200


def test_a_rendered_frame_reads_like_a_table():
    text = render(describe(ORDERS, rows=1), name="orders")
    assert text.splitlines()[0].startswith("orders: DataFrame 1,000 x 6, ")
    assert "- id (int64): 1 … 1000" in text
    assert "- supplier (str): 250 missing; 2 distinct, commonest 'B' 66.7%, 'A' 33.3%" in text
    assert text.splitlines()[-1] == "  1 | A | 1.5 | 2020-01-01 00:00:00 | n0 | x"
    assert "index" not in text
    assert "index: MultiIndex (supplier, day)" in render(describe(FRAMES["levels"]))


def test_texts_and_numbers_of_ones_own_classes_are_shown_as_what_they_are():
    class Text(str):
        __slots__ = ("page",)

        def __repr__(self):
            raise RuntimeError("never called")

        __str__ = __len__ = __repr__

    class Number(int):
        def __repr__(self):
            raise RuntimeError("never called")

        __str__ = __int__ = __index__ = __repr__

    class Share(float):
        __slots__ = ()

    about = describe([Text("a word"), Number(7), Share(0.5)])
    assert [item["summary"] for item in about["items"]] == ["'a word'", "7", "0.5"]
    assert about["item_types"] == {"Text": 1, "Number": 1, "Share": 1}
