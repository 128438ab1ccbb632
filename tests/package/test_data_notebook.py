"""The notebook on data where it lies: executed in a real kernel, its answers checked against pandas here."""

import importlib.util
import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from notebook_proofs import proofs, prove_runs

RUNS = 5
"""At least so many are asked."""
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
    found = proofs(executed[1])
    assert len(found) >= RUNS
    assert [proof for proof in found if proof["verdict"] != "reproduced"] == []
    assert not any("wrote the value itself" in proof["detail"] for proof in found)
