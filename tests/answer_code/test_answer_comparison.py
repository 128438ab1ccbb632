"""When two values are the same: what a proof of code may call reproduced."""

import datetime as dt

import altair as alt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest
from PIL import Image

from rlm_jupyter import Chart
from rlm_jupyter.answer_code.comparison import IncomparableError, difference
from rlm_jupyter.values.codec.charts import ChartParts

FRAME = pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "c": ["x", None]})


def chart(png, data):
    return Chart(ChartParts(library="matplotlib", png=png, data=data))


BAR = alt.Chart(pd.DataFrame({"a": [1]})).mark_bar().encode(x="a")
SAME = [
    (1, 1),
    (0.1 + 0.2, 0.3),
    (float("nan"), float("nan")),
    (float("inf"), float("inf")),
    (True, True),
    (2**70, 2**70),
    ("text", "text"),
    (None, None),
    ({"a": [1, (2.0, {3})]}, {"a": [1, (2.0 + 1e-13, {3})]}),
    ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
    (FRAME, FRAME.assign(b=[0.5 + 1e-13, np.nan])),
    (FRAME["b"], FRAME["b"].copy()),
    (np.array([1.0, np.nan]), np.array([1.0, np.nan])),
    (np.array([{"a": 1}], dtype=object), np.array([{"a": 1}], dtype=object)),
    (np.array(["2024-01-01", "NaT"], "M8[D]"), np.array(["2024-01-01", "NaT"], "M8[D]")),
    (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-01")),
    (pd.NaT, pd.NaT),
    (dt.date(2024, 1, 1), dt.date(2024, 1, 1)),
    (pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0 + 1e-13]})),
    (go.Figure(go.Bar(x=["a"], y=[1])), go.Figure(go.Bar(x=["a"], y=[1]))),
    (BAR, BAR.copy()),
    (chart(b"1", FRAME), chart(b"1", FRAME)),
    (Image.new("RGB", (3, 2), "red"), Image.new("RGB", (3, 2), "red")),
]
OTHER = [
    (1, 2),
    (1, True),
    (0, False),
    (1.0, 1.0 + 1e-6),
    (2**60, 2**60 + 1),
    (float("inf"), 1e308),
    (float("nan"), 0.0),
    ("text", "Text"),
    ("1", 1),
    ([1], (1,)),
    ([1, 2], [1]),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}),
    ({1, 2}, {1, 3}),
    (FRAME, FRAME.assign(a=[1, 3])),
    (FRAME, FRAME.iloc[::-1]),
    (FRAME, FRAME.astype({"a": float})),
    (FRAME, FRAME.rename(columns={"a": "z"})),
    (FRAME["a"], FRAME["b"]),
    (np.array([1, 2]), np.array([1, 3])),
    (np.array([1, 2]), np.array([[1, 2]])),
    (np.array([1, 2]), np.array([1.0, 2.0])),
    (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")),
    (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})),
    (pl.DataFrame({"a": [1.0]}), pl.DataFrame({"a": [1.0 + 1e-8]})),
    (FRAME, FRAME.assign(b=[0.5 + 1e-8, np.nan])),
    (np.array([1.0]), np.array([1.0 + 1e-8])),
    (go.Figure(go.Bar(x=["a"], y=[1])), go.Figure(go.Bar(x=["a"], y=[2]))),
    (BAR, BAR.mark_line()),
    (chart(b"1", FRAME), chart(b"2", FRAME)),
    (chart(b"1", FRAME), chart(b"1", FRAME.iloc[:1])),
    (Image.new("RGB", (3, 2), "red"), Image.new("RGB", (3, 2), "blue")),
    (FRAME, None),
]


@pytest.mark.parametrize(("found", "wanted"), SAME, ids=range(len(SAME)))
def test_the_same(found, wanted):
    assert difference(found, wanted) is None


@pytest.mark.parametrize(("found", "wanted"), OTHER, ids=range(len(OTHER)))
def test_another(found, wanted):
    assert difference(found, wanted)
    assert difference(wanted, found)


def test_it_tells_where():
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "the value['a'][1]['b'] is 2, and was 3"


def test_objects_that_nobody_can_compare_are_no_match():
    with pytest.raises(IncomparableError, match="`object`"):
        difference([object()], [object()])
    nested = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(IncomparableError, match="nested"):
        difference(nested, [nested])


def test_charts_of_which_nothing_is_known_are_no_match():
    with pytest.raises(IncomparableError, match="chart"):
        difference(chart(None, None), chart(None, None))


def test_sparse_arrays_are_compared_by_what_they_store():
    import scipy.sparse

    one = scipy.sparse.csr_array([[0, 1.5], [2, 0]])
    assert difference(one, scipy.sparse.csr_array([[0, 1.5], [2, 0]])) is None
    assert "other numbers" in difference(one, scipy.sparse.csr_array([[0, 1.5], [2.5, 0]]))
    assert difference(one, scipy.sparse.csr_array([[1.5, 0], [2, 0]])) is not None
    assert difference(one, scipy.sparse.csr_array([[0, 1.5, 0], [2, 0, 0]])) is not None


def test_tables_of_shapes_are_compared_as_tables():
    import geopandas

    shops = geopandas.GeoDataFrame(
        {"city": ["Bonn"]}, geometry=geopandas.points_from_xy([7.1], [50.7]), crs=4326
    )
    assert difference(shops, shops.copy()) is None
    moved = shops.set_geometry(geopandas.points_from_xy([7.2], [50.7]), crs=4326)
    assert difference(shops, moved) is not None
