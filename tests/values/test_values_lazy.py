"""Data that only names a file, and is no plan over local files, is refused before anything is asked, with the way out."""

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from run_parts import asking
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.errors import ContextError
from rlm_jupyter.run_setup.lazy_data import check_whole

TABLE = {"a": [1, 2]}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame(TABLE).write_csv("orders.csv")
    pl.DataFrame(TABLE).write_parquet("orders.parquet")
    pl.DataFrame(TABLE).write_ndjson("orders.jsonl")
    np.savez("orders.npz", **TABLE)
    return tmp_path


def memory_mapped_dataset():
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict(TABLE).save_to_disk("saved")
    return datasets.load_from_disk("saved")


def opened_netcdf():
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    xarray.Dataset({"a": ("x", [1, 2])}).to_netcdf("orders.nc")
    return xarray.open_dataset("orders.nc")


def closed_picture():
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (2, 2)).save("orders.png")
    opened = image.open("orders.png")
    opened.close()
    return opened


def from_above():
    """By a relative path that an agent's directory has no place for."""
    Path("inside").mkdir()
    os.chdir("inside")
    return pl.scan_parquet("../orders.parquet")


def in_the_cloud():
    return pl.scan_parquet("s3://bucket/orders.parquet", schema={"a": pl.Int64})


LAZY = {
    "from above": (from_above, "../orders.parquet", ".collect()"),
    "in the cloud": (in_the_cloud, "s3://bucket/orders.parquet", ".collect()"),
    "npz": (lambda: np.load("orders.npz"), "orders.npz", "dict("),
    "chunks": (lambda: pd.read_csv("orders.csv", chunksize=1), "TextFileReader", "pd.concat("),
    "datasets": (memory_mapped_dataset, ".arrow", ".to_pandas()"),
    "xarray": (opened_netcdf, "orders.nc", ".load()"),
    "picture": (closed_picture, "orders.png", ".load()"),
}


@pytest.mark.parametrize("name", LAZY)
@pytest.mark.parametrize("where", ["alone", "in a dict", "in a list of dicts"])
def test_it_is_refused_by_name_before_anything_is_asked(here, name, where):
    make, says, way = LAZY[name]
    model = by_question({"How many?": ["FINAL(1)"]})
    lazy = make()
    context = {
        "alone": lazy,
        "in a dict": {"orders": lazy},
        "in a list of dicts": [{"x": 1}, {"orders": lazy}],
    }[where]
    place = {"alone": "data", "in a dict": "data['orders']", "in a list of dicts": "data[1]['orders']"}[where]
    try:
        with pytest.raises(ContextError) as caught:
            RLM(model=model, log_dir=here / "logs", cache=False).run("How many?", context, names=("data",))
    finally:
        if hasattr(lazy, "close"):
            lazy.close()
    assert f"`{place}` is not data yet" in caught.value.message
    assert says in caught.value.message
    assert way in caught.value.message
    assert model.requests == []


def test_what_is_whole_is_not_refused(here):
    lock = threading.Lock()
    for whole in (
        pl.DataFrame(TABLE),
        pl.DataFrame({"Csv SCAN [orders.csv]": ["Csv SCAN [orders.csv]"]}).lazy(),
        pd.DataFrame(TABLE),
        here / "orders.csv",
        "orders.csv",
        {"lock": lock, "text": b"orders.csv"},
    ):
        check_whole(whole, "data")
    large = [pd.DataFrame(TABLE)] * 100_000
    check_whole([large] * 1000, "data")


def test_a_memory_mapped_array_goes_over_with_what_is_in_it(here):
    np.save("m.npy", np.arange(5))
    with asking(here) as ask:
        run = ask({"root": ["FINAL(int(context.sum()))"]}, context=np.load("m.npy", mmap_mode="r"))
        assert run.value == 10


def test_a_plan_over_data_in_memory_goes_over_and_one_given_as_the_answer_is_computed(here):
    with asking(here) as ask:
        run = ask(
            {"root": ["FINAL(context.filter(context.collect()['a'] > 1))"]},
            context=pl.DataFrame(TABLE).lazy(),
        )
        assert run.value.to_dict(as_series=False) == {"a": [2]}


def test_a_plan_whose_files_are_gone_is_named_too(here):
    plan = pickle.loads(pickle.dumps(pl.scan_csv("orders.csv")))
    (here / "orders.csv").unlink()
    with pytest.raises(ContextError, match=r"is not data yet.*collect\(\)"):
        check_whole(plan, "data")
