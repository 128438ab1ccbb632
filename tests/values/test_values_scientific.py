"""Objects of xarray, scipy.sparse, geopandas and pandas' groupings: there and back, described, and hostile ones."""

import dataclasses
import enum
import json
import sys
import types
from typing import NamedTuple

import geopandas as gpd
import geopandas.testing
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
from run_parts import asking
from shapely.geometry import Point, Polygon

from rlm_jupyter.errors import ContextError, MalformedValueError
from rlm_jupyter.values.codec import container
from rlm_jupyter.values.describe import api as describe
from rlm_jupyter.values.store import Buffer

FRAME = pd.DataFrame({"city": ["Ulm", "Bonn", "Ulm"], "sales": [1.5, 2.0, 1234567.891]})


def dataset():
    return xr.Dataset(
        {
            "t": (("time", "lat"), np.arange(6.0).reshape(2, 3), {"units": "K"}),
            "label": ("lat", ["a", "b", "c"]),
        },
        coords={"time": pd.date_range("2024-01-01", periods=2), "lat": [1.0, 2.0, 3.0], "run": 7},
        attrs={"title": "T", "history": ["a", "b"]},
    )


def geo_frame():
    shapes = [Point(0, 1), None, Polygon([(0, 0), (1, 0), (1, 1)])]
    return gpd.GeoDataFrame({"n": [1, 2, 3]}, geometry=shapes, crs="EPSG:4326", index=[5, 6, 7])


def back(value, **options):
    with Buffer.encode(value, allow_pickle=False, **options) as made:
        return made.load()


@pytest.mark.parametrize("faithful", [True, False])
def test_objects_of_xarray_are_as_they_were(faithful):
    for value in (dataset(), dataset().t, dataset().t.rename(None), dataset().run, xr.Dataset()):
        with Buffer.encode(value, allow_pickle=faithful) as made:
            assert made.kind == "safe"
            xr.testing.assert_identical(made.load(), value)


def test_an_attribute_of_xarray_that_cannot_travel_is_told():
    value = dataset().assign_attrs(bad=lambda: 1)
    with Buffer.encode(value, allow_pickle=False) as made:
        assert made.losses == [
            "Left out, because it cannot be transferred: `.attrs['bad']` of an object of xarray."
        ]
        assert made.load().attrs == dataset().attrs


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse_arrays_keep_form_and_items(form, kind):
    value = getattr(sp, f"{form}_{kind}")(np.diag([1.5, 0, 2, 3]))
    got = back(value)
    assert type(got) is type(value)
    assert (got != value).nnz == 0


def test_tables_of_shapes_keep_shapes_and_reference_system():
    value = geo_frame()
    got = back(value)
    geopandas.testing.assert_geodataframe_equal(got, value)
    assert got.crs == value.crs
    series = value.geometry.rename("where")
    geopandas.testing.assert_geoseries_equal(back(series), series)


def test_record_and_masked_arrays_keep_their_kind():
    records = np.rec.array([(1, 2.5, "a")], dtype=[("i", "i4"), ("f", "f8"), ("s", "U3")])
    got = back(records)
    assert type(got) is np.recarray
    assert got.f[0] == 2.5
    masked = back(np.ma.array([1.0, 2.0], mask=[0, 1]))
    assert masked.mask.tolist() == [False, True]


def test_a_styled_table_is_its_table_and_the_loss_is_told():
    with Buffer.encode(FRAME.style.highlight_max(), allow_pickle=False) as made:
        pd.testing.assert_frame_equal(made.load(), FRAME)
        assert "the style of a table" in made.losses[0]


def test_arrays_of_other_libraries_are_numpy_arrays_of_the_same_shape(monkeypatch):
    """By numpy's protocol, which is all that is asked of jax."""

    class Array:
        def __init__(self, held):
            self.held = held

        def __array__(self, dtype=None, copy=None):
            return self.held

    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(Array=Array))
    for held in (np.array(1.5), np.arange(6.0).reshape(2, 3).T, np.empty((0, 4), "int8")):
        found = back(Array(held))
        assert (found.shape, found.dtype) == (held.shape, held.dtype)
        assert np.array_equal(found, held)


def test_a_grouping_is_its_table_and_keys():
    for grouped in (FRAME.groupby("city"), FRAME.groupby(["city", "sales"], sort=False, as_index=False)):
        got = back(grouped)
        assert type(got) is type(grouped)
        pd.testing.assert_frame_equal(got.count(), grouped.count())
    with pytest.raises(ContextError):
        back(FRAME.groupby(lambda at: at % 2))


def test_they_go_to_an_agent_and_come_back(tmp_path):
    code = """
FINAL({"mean": context["field"].t.mean("time"), "heavy": context["matrix"] * 2, "shapes": context["shapes"].head(1),
       "groups": context["groups"].sum()})
"""
    data = {
        "field": dataset(),
        "matrix": sp.eye(3, format="csr"),
        "shapes": geo_frame(),
        "groups": FRAME.groupby("city"),
    }
    with asking(tmp_path) as ask:
        run = ask({"root": [code]}, context=data)
        value = run.raise_for_error().value
        shown = run.messages()[1]["content"]
    xr.testing.assert_allclose(value["mean"], dataset().t.mean("time"))
    assert value["heavy"].toarray().tolist() == (2 * np.eye(3)).tolist()
    assert value["shapes"].geometry.iloc[0] == Point(0, 1)
    assert value["groups"].sales["Bonn"] == 2.0
    assert "Dataset (time: 2, lat: 3) of 2 variables" in shown


DESCRIBED = {
    "dataset": (
        dataset,
        ["(time: 2, lat: 3) of 2 variables", "t: (time, lat) float64, in K, 0.0 … 5.0", "title='T'"],
    ),
    "sparse": (lambda: sp.eye(4, format="csr"), ["csr_matrix 4 x 4, float64, 4 stored items (25 % of all)"]),
    "shapes": (geo_frame, ["GeoDataFrame 3 x 2", "Point, Polygon, EPSG:4326", "'POINT (0 1)'"]),
    "styled": (lambda: FRAME.style, ["Styler of a DataFrame 3 x 2", "city"]),
    "grouped": (
        lambda: FRAME.groupby("city"),
        ["DataFrameGroupBy by 'city' (2 groups) of a DataFrame 3 x 2"],
    ),
    "masked": (lambda: np.ma.array([1.0, 2.0], mask=[0, 1]), ["MaskedArray 2, float64, 16 B, 1 masked"]),
    "digits": (lambda: FRAME, ["Ulm | 1.5", "1.23457e+06", "1.5 … 1.23457e+06"]),
    "names": (
        lambda: pd.DataFrame([[1, 2]], columns=pd.Index([0, None], dtype=object)),
        ["- 0 (int64)", "- None (int64)"],
    ),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_descriptions_say_what_matters(name):
    make, parts = DESCRIBED[name]
    shown = describe.render(describe.describe(make()))
    for part in parts:
        assert part in shown


@dataclasses.dataclass
class Order:
    name: str
    number: int


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    x: int
    y: str


class Hostile(Order):
    name = property(lambda self: 1 / 0)

    def __getattribute__(self, name):
        raise AssertionError("code of the object ran")


def test_items_of_lists_show_their_fields():
    shown = describe.render(describe.describe([Order("a", 1), Colour.RED, Pair(1, "b")]))
    assert "- Order(name='a', number=1)" in shown
    assert "- Colour.RED" in shown
    assert "- Pair(x=1, y='b')" in shown
    hostile = object.__new__(Hostile)
    assert "AssertionError" not in describe.render(describe.describe([hostile]))


def test_no_data_is_quoted_where_no_rows_are_wanted():
    for make, _ in DESCRIBED.values():
        shown = json.dumps(describe.describe(make(), rows=0))
        assert "Ulm" not in shown
        assert "POINT" not in shown
        assert "title='T'" not in shown


def _forged(node):
    """A container whose value is this node, without buffers of its own."""
    return container.write("safe", json.dumps({"n": [node], "r": [0]}).encode(), [])


@pytest.mark.parametrize(
    "node",
    [
        ["scipy.sparse", "csr", "array", [-1, 2], {}, {}, {}],
        ["scipy.sparse", "evil", "array", [1, 2], {}, {}, {}],
        ["xarray.Dataset", {"j": {"data": {"a": [["x"], "text", {}]}, "coords": {}, "attrs": {}}}],
        ["xarray.DataArray", {"j": {"data": [["x"], {"no": 1}, {}], "coords": {}, "name": "n"}}],
        ["geopandas.GeoDataFrame", {"j": {"a": 1}}, [], None],
        ["geopandas.GeoSeries", {"j": [1]}, None],
        ["pandas.GroupBy", {"j": {"frame": 1, "keys": "a"}}],
        ["numpy.recarray", {"d": "O", "s": [1], "b": 0}],
    ],
)
def test_what_is_forged_is_refused(node):
    with Buffer(_forged(node)) as made, pytest.raises(MalformedValueError):
        made.load()


def test_places_outside_a_sparse_array_are_refused_and_huge_shapes_take_no_memory():
    value = sp.coo_array(([1.0], ([0], [0])), shape=(1 << 40, 1 << 40))
    got = back(value)
    assert got.shape == (1 << 40, 1 << 40)
    evil = sp.coo_array(([1.0], ([0], [0])), shape=(2, 2))
    evil.coords[0][0] = 9
    with Buffer.encode(evil, allow_pickle=False) as made, pytest.raises(MalformedValueError):
        made.load()
