"""The code behind answers about files, plans, databases and labelled arrays: proved where the data lies."""

import contextlib
import json
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from matplotlib.figure import Figure

from rlm_jupyter import RLM, NoAnswerCodeError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load

ORDERS = pd.DataFrame({"city": ["Köln", "Bonn"] * 50, "price": np.arange(100) * 0.5})
TOTALS = "FINAL(frame.groupby('city')['price'].sum())"
EXPECTED = ORDERS.groupby("city")["price"].sum()


@pytest.fixture
def files(tmp_path):
    """Makes the files of a name; all below one folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    half = len(ORDERS) // 2
    ORDERS.to_csv(folder / "orders.csv", index=False)
    ORDERS.to_csv(folder / "german.csv", index=False, sep=";", encoding="cp1252")
    ORDERS.to_csv(folder / "orders.tsv", index=False, sep="\t")
    ORDERS.to_parquet(folder / "orders.parquet")
    ORDERS.to_feather(folder / "orders.feather")
    ORDERS.to_csv(folder / "orders.csv.gz", index=False)
    (folder / "orders.json").write_text(json.dumps({"rows": [1, 2]}))
    (folder / "orders.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (folder / "note.txt").write_text("three words here", "utf-8")
    ORDERS.to_excel(folder / "book.xlsx", index=False)
    page = Figure(figsize=(4, 1))
    page.text(0.1, 0.5, "three words here")
    page.savefig(folder / "page.pdf")
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("inside.bin", bytes(range(256)))
    for name, rows in (("a", ORDERS[:half]), ("b", ORDERS[half:])):
        (folder / "parts").mkdir(exist_ok=True)
        rows.to_parquet(folder / "parts" / f"{name}.parquet")
        (folder / "notes").mkdir(exist_ok=True)
        (folder / "notes" / f"{name}.md").write_text(f"note {name}")
    return folder


def asked(code, context, **options):
    model = ScriptedModel([f"```repl\n{code}\n```"])
    return RLM(model=model, log_dir=None, cache=False).run("How much?", context=context, **options)


CASES = {
    "orders.csv": TOTALS,
    "german.csv": TOTALS,
    "orders.tsv": TOTALS,
    "orders.parquet": TOTALS,
    "orders.feather": TOTALS,
    "orders.csv.gz": TOTALS,
    "parts": TOTALS,
    "orders.json": "FINAL(sum(data['rows']))",
    "orders.jsonl": "FINAL(sum(one['n'] for one in data))",
    "note.txt": "FINAL(len(text.split()))",
    "notes": "FINAL(sorted(texts.items()))",
    "page.pdf": "FINAL(len(text.split()))",
    "book.xlsx": "frame = sheets['Sheet1']\n" + TOTALS,
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_read_of_a_file_is_read_by_the_code_too(files, name):
    with asked(CASES[name], files / name, names=("orders",)) as run:
        code = run.code()
        assert (code.verdict, code.detail) == ("reproduced", ""), code
        space = {"orders": files / name}
        exec(compile(code.written.as_function.defining, name, "exec"), space)
        found = space["answer"](files / name)
        assert found.equals(run.value) if hasattr(found, "equals") else found == run.value


def test_files_among_other_data_are_read_too(files):
    data = {
        "orders": files / "orders.csv",
        "note": files / "note.txt",
        "rate": 2,
        "packed": files / "packed.zip",
    }
    for names in ((), tuple(data)):
        rate = "rate" if names else "context['rate']"
        total = f"FINAL(loaded['orders']['price'].sum() * {rate} + len(loaded['note']))"
        with asked(total, data, names=names) as run:
            code = run.code()
            assert (code.verdict, code.detail) == ("reproduced", ""), code


def test_the_function_reads_another_file_and_no_others(files):
    with asked(TOTALS, files / "orders.csv", names=("orders",)) as run:
        function = run.function()
        (files / "next.csv").write_text("city,price\nKöln,1.5\n")
        assert function(files / "next.csv").to_dict() == {"Köln": 1.5}
        with pytest.raises(NoAnswerCodeError, match="cannot be run on this data"):
            function(files / "missing.csv")
    secret = files.parent / "secret.txt"
    secret.write_text("the password is swordfish")
    reading = f"try:\n    found = open({str(secret)!r}).read()\nexcept OSError:\n    found = 'refused'\nFINAL(found + text)"
    with asked(reading, files / "note.txt") as run:
        assert run.value == "refusedthree words here"
        assert run.function()(files / "notes" / "a.md") == "refusednote a"


@pytest.mark.parametrize("relative", [False, True])
def test_a_plan_is_carried_out_again(files, monkeypatch, relative):
    monkeypatch.chdir(files)
    plan = pl.scan_parquet("parts/*.parquet" if relative else files / "parts" / "*.parquet")
    code = "import polars as pl\nFINAL(context.select(pl.col('price').sum()).collect().item())"
    with asked(code, plan) as run:
        assert run.value == ORDERS["price"].sum()
        assert run.code().verdict == "reproduced"


def test_a_table_of_a_database_is_asked_again():
    duckdb = pytest.importorskip("duckdb")
    with contextlib.closing(duckdb.connect()) as connection:
        connection.register("orders", ORDERS)
        connection.execute("CREATE TABLE kept AS SELECT * FROM orders")
        code = "FINAL(context['kept'].sql('SELECT city, sum(price) AS total FROM t GROUP BY city ORDER BY city'))"
        with asked(code, connection) as run:
            assert run.value["total"].tolist() == EXPECTED.tolist()
            assert run.code().verdict == "reproduced"
            connection.execute("DELETE FROM kept WHERE city = 'Bonn'")
            changed = run.code()
            assert changed.verdict == "differs", changed.detail


def test_arrays_with_coordinates_are_compared_by_content():
    field = xr.DataArray(
        np.arange(6.0).reshape(3, 2), dims=("day", "station"), coords={"station": ["a", "b"]}, name="heat"
    )
    for code in ("FINAL(context.mean('day'))", "FINAL(context.to_dataset().mean('day'))"):
        with asked(code, field) as run:
            assert run.code().verdict == "reproduced"
    with asked("import time\nFINAL(context.mean('day') + time.time())", field) as run:
        assert run.code().verdict == "differs"


LINES = "\n".join(f"Date: 2026-0{n % 6 + 1}-11 || User: {n % 9} || Label: l{n % 4}" for n in range(60))
DAYS = pd.DataFrame({"day": ["2026-01-02", "n/a", "3 Mar 2026"] * 9, "paid": ["$1,200.50", "-", "$3"] * 9})
LOOKS = {
    "lines": (LINES, "FINAL(int((rows['user'] == 3).sum()))"),
    "lines that are left": (LINES + "\nno form", "FINAL(others)"),
    "lines that are found": (LINES, "FINAL(find_lines(context, 'user 3'))"),
    "texts of a table": (DAYS, "rows = clean_table(context)\nFINAL(rows.groupby(rows['day'].dt.month)['paid'].sum())"),
    "tables": (
        {"orders": pd.DataFrame({"customer_id": [1, 2, 1], "paid": ["$1", "$2", "$4"]}),
         "customers": pd.DataFrame({"id": [1, 2], "city": ["Bonn", "Ulm"]})},
        "FINAL(rows.groupby('city')['paid'].sum())",
    ),
    "source files": ({"a.py": "import os\n\ndef f():\n    os.getcwd()\n"}, "FINAL(rows['kind'].tolist())"),
    "labels": (DAYS, "FINAL(classify(['late again', 'thanks'], ['good', 'bad']))"),
    "lines and a table at once": (
        LINES,
        "table = clean_table(rows.assign(paid='$3'))\nFINAL(table.groupby('label')['paid'].sum())",
    ),
    "a module by another name": (LINES, "import math as re\nFINAL(re.floor(rows['user'].mean()))"),
}  # fmt: skip


SHORT = {"lines": 750, "texts of a table": 450, "tables": 550, "lines and a table at once": 1000}
"""The most characters of code whose functions of a first look are a few lines of pandas."""


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_first_look_binds_is_in_the_code(tmp_path, name):
    context, code = LOOKS[name]

    def reply(messages):
        return "bad" if "Which of these" in messages[-1]["content"] else f"```repl\n{code}\n```"

    rlm = RLM(model=ScriptedModel(reply), prompt="small", log_dir=tmp_path, cache=False)
    with rlm.run("How much?", context=context) as run:
        found = run.code()
        assert found.verdict == "reproduced", (found.detail, found)
        assert len(found) <= SHORT.get(name, 10_000)
        assert "rlm" not in found.source
        space = {"context": context}
        exec(compile(found.written.as_function.defining, name, "exec"), space)
        value = space["answer"](context)
        assert value.equals(run.value) if hasattr(value, "equals") else value == run.value
    assert load(run.log_path).code().source == found.source
