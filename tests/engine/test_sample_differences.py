"""Answers compared as objects: what counts as the same, and where two differ."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.engine.samples.compared_parts import Opaque, Tolerance
from rlm_jupyter.engine.samples.differences import differences
from rlm_jupyter.engine.samples.table_differences import find_keys
from rlm_jupyter.engine.samples.votes import difference_rows

FRAME = pd.DataFrame({"name": ["a", "b", "c"], "n": [1, 2, 3], "x": [0.1, 0.2, 0.3]})


def told(one, other, **tolerance):
    return [(d.place, d.one, d.other) for d in differences(one, other, Tolerance(**tolerance))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (3, 3.0),
        (np.int64(3), 3),
        (0.1 + 0.2, 0.3),
        (1e12, 1e12 + 1e5),
        (decimal.Decimal("0.5"), 0.5),
        (float("nan"), None),
        (float("inf"), float("inf")),
        ([1, 2], (1, 2)),
        ({"a": [1, 2.0]}, {"a": (1.0, 2)}),
        ({1, 2}, frozenset([2, 1])),
        ({"b", "a"}, ["a", "b"]),
        (np.array([1.0, 2.0]), [1, 2]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (dt.date(2025, 3, 1), pd.Timestamp("2025-03-01")),
        (np.datetime64("2025-03-01"), dt.date(2025, 3, 1)),
        (FRAME, FRAME.iloc[::-1]),
        (FRAME, FRAME[["x", "n", "name"]].reset_index(drop=True)),
        (FRAME, FRAME.set_index("name")),
        (FRAME, FRAME.astype({"n": "int32", "x": "float32"})),
        (FRAME, FRAME.assign(name=FRAME.name.astype("category"))),
        (FRAME, FRAME.to_dict("records")),
        (FRAME.to_dict("records"), FRAME.iloc[::-1].to_dict("records")),
        (FRAME.set_index("name")["n"], {"a": 1, "b": 2, "c": 3}),
        (FRAME.set_index("name")["n"], FRAME[["name", "n"]]),
        (pd.Series([1, 2], index=["a", "b"]), pd.Series([2, 1], index=["b", "a"], name="total")),
        (pd.DataFrame({"x": [1.0, None]}), pd.DataFrame({"x": [None, 1.0]})),
        (pd.DataFrame({"v": [[1], [2]]}), pd.DataFrame({"v": [[1], [2]]})),
        (FRAME.groupby("name").agg({"n": ["sum"]}), FRAME.groupby("name").agg({"n": ["sum"]})),
        (pd.DataFrame(), pd.DataFrame()),
        ("", ""),
        (None, None),
        (np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3)),
        (np.array([1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.inf])),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["2025-03-01"], dtype="M8[D]"), [dt.date(2025, 3, 1)]),
        (pd.Timedelta("1h"), dt.timedelta(hours=1)),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
    ],
)
def test_the_same_answer_in_another_form_is_the_same(one, other):
    assert told(one, other) == []
    assert told(other, one) == []


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        (3, 4, ["the answer"]),
        (1_000_000_000, 1_000_000_001, ["the answer"]),
        (True, 1, ["the answer"]),
        (3, "3", ["the answer"]),
        ("Acme", "acme", ["the answer"]),
        (0, None, ["the answer"]),
        ([1, 2], [2, 1], ["item 1", "item 2"]),
        ([1], [1, 2], ["length"]),
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}, "d": 0}, ["b · c", "d"]),
        ({1, 2}, {2, 3}, ["1", "3"]),
        (FRAME, FRAME.assign(n=[1, 2, 4]), ["name c · n"]),
        (FRAME, FRAME.iloc[:2], ["name c"]),
        (FRAME, FRAME.rename(columns={"n": "count"}), ["columns"]),
        (FRAME, FRAME.assign(x=[0.1, 0.2, None]), ["name c · x"]),
        ({"t": FRAME}, {"t": FRAME.assign(x=9.0)}, [f"t · name {n} · x" for n in "abc"]),
        (pd.DataFrame({"x": [0.1, 0.2]}), pd.DataFrame({"x": [0.1]}), ["rows"]),
        (FRAME, 3, ["the answer"]),
        (np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), ["item 2, 2"]),
        (np.zeros((2, 3)), np.zeros((3, 2)), ["shape"]),
        (np.array([True, False]), np.array([True, True]), ["item 2"]),
        ([[1], [2, 3]], np.array([[1, 2], [2, 3]]), ["item 1 · length"]),
        (Opaque("a model"), Opaque("a model"), ["the answer"]),
    ],
)
def test_what_differs_is_named_by_its_place(one, other, places):
    assert [place for place, *_ in told(one, other)] == places
    assert sorted(place for place, *_ in told(other, one)) == sorted(places)


def test_both_sides_are_shown_and_look_different():
    assert told(True, 1) == [("the answer", "True", "1")]
    assert told("3", 3)[0][1:] != told(3, 3.5)[0][1:]
    long = "x" * 500
    _, one, other = told(f"{long}A tail", f"{long}B tail")[0]
    assert one != other
    assert "A tail" in one
    assert len(one) < 120


def test_a_tolerance_that_was_asked_for_holds_for_whole_numbers_and_in_tables():
    assert told(1000, 1004, relative=0.005) == []
    assert told(1000, 1006, relative=0.005) != []
    assert told(10, 12, absolute=2) == []
    assert told(1e12, 1e12 + 3, absolute=2) != []
    assert told(FRAME, FRAME.assign(n=FRAME.n + 1), absolute=1) == []
    assert told(FRAME, FRAME.assign(x=FRAME.x * 1.01), relative=0.02) == []
    assert len(told(FRAME, FRAME.assign(x=FRAME.x * 1.01))) == 3


def test_keys_are_found_or_named():
    several = pd.DataFrame(
        {"year": [1, 1, 2, 2], "name": ["a", "b", "a", "b"], "n": [5, 6, 7, 7], "x": [0.1, 0.2, 0.3, 0.4]}
    )
    assert find_keys(FRAME, FRAME, ()) == ["name"]
    assert find_keys(FRAME, FRAME, ("n",)) == ["n"]
    assert find_keys(FRAME, FRAME, ("nothing",)) == ["name"]
    assert find_keys(several, several, ()) == ["name", "year"]
    assert told(several, several.assign(x=[0.1, 0.2, 0.3, 9.0])) == [("name b, year 2 · x", "0.4", "9.0")]
    assert told(FRAME, FRAME.assign(name=["a", "b", "z"]), keys=("n",)) == [("n 3 · name", "'c'", "'z'")]
    floats = pd.DataFrame({"x": [0.1, 0.2]})
    assert find_keys(floats, floats, ()) == []


def test_values_that_are_nested_without_end_are_not_followed_without_end():
    one, other = [], []
    inner = one, other
    for _ in range(200):
        deeper = [], []
        inner[0].append(deeper[0])
        inner[1].append(deeper[1])
        inner = deeper
    assert told(one, other)[0][1] == "nested too deeply"


def test_rows_of_a_table_are_told_to_a_bound():
    one = pd.DataFrame({"k": range(10_000), "v": range(10_000)})
    assert len(told(one, one.assign(v=-1), keys=("k",))) == 50


def test_a_table_of_three_answers_has_a_column_for_each():
    rows = difference_rows({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 4, "y": 2}}, Tolerance())
    assert rows == [["y", "2", "3", "2"], ["x", "1", "1", "4"]]


def test_arrays_of_other_libraries_are_compared_as_numbers():
    sparse = pytest.importorskip("scipy.sparse")
    xarray = pytest.importorskip("xarray")
    one = np.array([[0.0, 2.0], [0.0, 0.0]])
    assert told(sparse.csr_array(one), sparse.coo_array(one)) == []
    assert told(sparse.csr_array(one), one + 1)[0][0] == "item 1, 1"
    assert told(xarray.DataArray(one), xarray.DataArray(one * (1 + 1e-9))) == []
    assert told(xarray.Dataset({"x": ("n", [1, 2])}), xarray.Dataset({"x": ("n", [1, 2])})) == []
    assert told(xarray.Dataset({"x": ("n", [1, 2])}), xarray.Dataset({"x": ("n", [1, 3])})) != []


def test_other_tables_are_compared_as_those_of_pandas():
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    other = polars.DataFrame(FRAME.to_dict("list"))
    assert told(FRAME, other) == []
    assert told(FRAME.assign(n=[1, 2, 4]), other) == [("name c · n", "4", "3")]
