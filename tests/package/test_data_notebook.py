"""The notebook on data where it lies: executed in a real kernel, its answers checked against pandas here."""

import importlib.util
import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from notebook_proofs import proofs, prove_runs

RUNS = 9
"""At least so many are asked."""
MAPPED = "Is this letter about delivery?"
"""Its answers are those of a model for each row: there is no code behind them."""
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TELL = """
import json
print("TOLD", json.dumps({
    "table": by_city["table"].to_dict(),
    "total": total["amount"],
    "quarter": second_quarter["table"].to_dict(),
    "tried": tried,
    "late rows": from_databases["rows"],
    "late by city": from_databases["by city"].set_index("city")["total"].to_dict(),
    "reasons": from_databases["reasons"].set_index("reason")["n"].to_dict(),
    "refused": refused,
    "other files": other_files,
    "planned": planned,
    "libraries": from_libraries,
    "visited": [type(selected["visited"]).__name__, list(selected["visited"].shape)],
    "north": [type(selected["north"]).__name__, list(selected["north"].city), selected["north"].crs.to_epsg()],
    "letters": [[*sorted_letters.columns], sorted_letters.delivery.tolist(), str(sorted_letters.delivery.dtype)],
    "warm": [type(mean).__name__, mean.sizes["station"], abs(float((mean - field.temperature.mean("day")).max())) < 1e-9],
}))
"""


def _execute(path, directory):
    spec = importlib.util.spec_from_file_location("run_quickstart", NOTEBOOKS / "run_quickstart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.execute(path, directory)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    cells = nbformat.read(NOTEBOOKS / "data.ipynb", as_version=4).cells
    path = directory / "copy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(TELL)]), path)
    prove_runs(directory)
    book = _execute(path, directory)
    return book, directory, json.loads(book.cells[-1].outputs[0].text.partition("TOLD ")[2])


def test_files_and_plans_give_what_pandas_finds(executed):
    _, directory, told = executed
    orders = pd.read_parquet(directory / "orders")
    assert told["table"] == pytest.approx(orders.groupby("city").price.mean().to_dict())
    late = orders[orders.month >= 4]
    assert told["quarter"] == pytest.approx(late.groupby("city").price.sum().to_dict())
    assert told["total"] == pd.read_csv(directory / "excel.csv", sep=";").price.sum()


def test_other_kinds_of_files_are_read(executed):
    _, directory, told = executed
    ulm = pd.read_feather(directory / "arrow.feather").set_index("city").price["Ulm"]
    assert told["other files"] == {
        "prices of Ulm": [ulm] * 4,
        "late": ["ulm.txt"],
        "offer": "Offer: 5 % off in Bonn",
    }


def test_frames_of_dask_datasets_of_arrow_and_databases_behind_libraries_are_asked(executed):
    _, directory, told = executed
    orders = pd.read_parquet(directory / "orders")
    assert told["planned"] == {"total": int(orders.price.sum()), "rows": len(orders)}
    assert told["libraries"] == {"cheap": int((orders.price < 10).sum()), "late": 2}


def test_objects_of_scipy_and_geopandas_come_back_as_what_they_are(executed):
    assert executed[2]["visited"] == ["csr_array", [1000, 2]]
    assert executed[2]["north"] == ["GeoDataFrame", ["Kiel"], 4326]


def test_each_row_of_a_table_is_answered(executed):
    assert executed[2]["letters"] == [["delivery", "error"], [True, False, True, True], "bool"]


def test_the_dry_run_shows_the_metadata(executed):
    book = executed[0]
    shown = next(cell for cell in book.cells if cell.source.endswith("What changed in June?")).outputs[0].text
    assert "6 files, Parquet, 300,000 rows x 3 columns" in shown
    assert "with `;` between columns" in shown
    assert "june.md" in shown


def test_only_the_named_file_was_reached(executed):
    _, directory, told = executed
    size = (directory / "orders" / "2026-01.parquet").stat().st_size
    assert told["tried"].pop("read the named file") == size
    assert set(told["tried"].values()) == {"PermissionError"}


def test_databases_give_what_pandas_finds_and_change_nothing(executed):
    _, directory, told = executed
    orders = pd.read_parquet(directory / "orders")
    late = orders[orders.month >= 4]
    assert told["late rows"] == len(late)
    assert told["late by city"] == late.groupby("city").price.sum().to_dict()
    assert told["reasons"] == {"broken": 1, "late": 2}
    assert len(told["refused"]) == 4
    assert not (directory / "stolen.csv").exists()


def test_an_object_of_xarray_comes_back_as_one(executed):
    assert executed[2]["warm"] == ["DataArray", 4, True]


def test_the_code_behind_each_answer_is_reproduced(executed):
    found = [proof for proof in proofs(executed[1]) if proof["question"] != MAPPED]
    assert len(found) >= RUNS
    assert [proof for proof in found if proof["verdict"] != "reproduced"] == []
    assert not any("wrote the value itself" in proof["detail"] for proof in found)
