"""Agents read the files that were named, and nothing else; in every kind of sandbox."""

import shutil
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.dataset
import pytest
from run_parts import asking

from rlm_jupyter.errors import ContextError

FRAME = pd.DataFrame({"city": ["Ulm", "Bonn"] * 10, "sales": range(20)})
TRY = """
import os
def attempt(do):
    try:
        return repr(do())
    except Exception as error:
        return type(error).__name__
def write(path):
    with open(path, "w") as file:
        file.write("x")
seen = {
    "read": attempt(lambda: len(open(context).read())),
    "write": attempt(lambda: write(context)),
    "append": attempt(lambda: open(context, "a")),
    "delete": attempt(lambda: os.unlink(context)),
    "rename": attempt(lambda: os.rename(context, str(context) + ".old")),
    "beside": attempt(lambda: open(context.parent / "other.csv").read()),
    "above": attempt(lambda: open(context.parent.parent / "above.csv").read()),
    "list": attempt(lambda: os.listdir(context.parent)),
    "new": attempt(lambda: write(context.parent / "new.csv")),
}
FINAL(seen)
"""
REFUSED = {"PermissionError", "OSError", "FileNotFoundError"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    FRAME.to_csv(data / "orders.csv", index=False)
    FRAME.to_csv(data / "other.csv", index=False)
    FRAME.to_csv(tmp_path / "above.csv", index=False)
    (data / "parts").mkdir()
    for number in range(3):
        FRAME.to_parquet(data / "parts" / f"{number}.parquet")
    monkeypatch.chdir(tmp_path)
    return data


@pytest.mark.parametrize("mode", ["auto", "bwrap"])
def test_the_named_file_alone_can_be_read_and_nothing_written(here, tmp_path, mode):
    if mode == "bwrap":
        assert shutil.which("bwrap"), "bubblewrap is needed: see tests/programs.txt"
    with asking(tmp_path) as ask:
        run = ask({"root": [TRY]}, context=here / "orders.csv", settings={"sandbox": mode})
        seen = run.raise_for_error().value
    assert seen.pop("read") == str(len((here / "orders.csv").read_text()))
    assert set(seen) == {"write", "append", "delete", "rename", "beside", "above", "list", "new"}
    if mode == "bwrap":  # a file system of its own, in which only that file is
        assert seen.pop("list") in {"['orders.csv']", *REFUSED}
        seen.pop("new")
    assert set(seen.values()) <= REFUSED
    assert sorted(path.name for path in here.iterdir()) == ["orders.csv", "other.csv", "parts"]
    assert len(pd.read_csv(here / "orders.csv")) == 20


def test_a_named_folder_can_be_read_and_not_what_is_beside_it(here, tmp_path):
    code = """
import os, pandas as pd
listed = sorted(os.listdir(context))
try:
    beside = open(context.parent / "other.csv").read()
except OSError as error:
    beside = type(error).__name__
FINAL([listed, len(pd.read_parquet(context)), len(frame), beside])
"""
    with asking(tmp_path) as ask:
        listed, rows, loaded, beside = ask({"root": [code]}, context=here / "parts").raise_for_error().value
    assert listed == ["0.parquet", "1.parquet", "2.parquet"]
    assert (rows, loaded, beside) == (60, 60, "PermissionError")


def test_sub_agents_read_the_paths_that_they_are_handed(here, tmp_path):
    code = """
async def ask(path):
    return await rlm_query("rows", context=path)
import asyncio
FINAL(sum(await asyncio.gather(*[ask(path) for path in context])))
"""
    script = {"root": [code], "rows": ["import pandas as pd\nFINAL(len(pd.read_parquet(context)))"]}
    paths = sorted((here / "parts").iterdir())
    with asking(tmp_path) as ask:
        run = ask(script, context=paths)
        assert run.raise_for_error().value == 60
        shown = run.messages("0.1")[1]["content"]
    assert "Path of `0.parquet`: Parquet, 20 rows x 2 columns" in shown


def test_paths_and_other_data_go_together_under_their_names(here, tmp_path):
    code = "FINAL([len(loaded['orders']), len(other), extra])"
    context = {"orders": here / "orders.csv", "other": FRAME.head(3), "extra": 7}
    with asking(tmp_path) as ask:
        run = ask({"root": [code]}, context=context, names=("orders", "other", "extra"))
        assert run.raise_for_error().value == [20, 3, 7]
        assert "`loaded['orders']` holds what is in `orders`." in run.messages()[1]["content"]


def test_a_path_inside_other_data_grants_nothing(here, tmp_path):
    code = """
try:
    FINAL(open(context[0]["path"]).read())
except OSError as error:
    FINAL(type(error).__name__)
"""
    with asking(tmp_path) as ask:
        run = ask({"root": [code]}, context=[{"path": here / "orders.csv"}])
        assert run.raise_for_error().value == "PermissionError"


@pytest.mark.parametrize("where", ["whole paths", "relative paths", "a pattern"])
def test_a_lazy_frame_goes_as_a_plan_and_is_computed_by_agents(here, tmp_path, where):
    paths = {
        "whole paths": sorted((here / "parts").iterdir()),
        "relative paths": [f"data/parts/{number}.parquet" for number in range(3)],
        "a pattern": "data/parts/*.parquet",
    }[where]
    plan = pl.scan_parquet(paths).filter(pl.col("sales") > 4)
    code = """
import polars as pl
part = await rlm_query("part", context=context.filter(pl.col("city") == "Ulm"))
try:
    beside = open(ABOVE).read()
except OSError as error:
    beside = type(error).__name__
FINAL([type(context).__name__, context.collect().height, part, beside])
""".replace("ABOVE", repr(str(here / "other.csv")))
    script = {"root": [code], "part": ["FINAL(context.collect().height)"]}
    with asking(tmp_path) as ask:
        run = ask(script, context=plan)
        assert run.raise_for_error().value == ["LazyFrame", 45, 21, "PermissionError"]
        assert "LazyFrame of 2 columns" in run.messages()[1]["content"]
        assert "- city (String)" in run.messages()[1]["content"]


def test_a_plan_of_dask_goes_as_a_plan(here, tmp_path):
    import dask.dataframe

    plan = dask.dataframe.read_parquet("data/parts")
    code = """
part = await rlm_query("part", context=context[context.city == "Ulm"])
FINAL([type(context).__module__.split(".")[0], len(context), part])
"""
    with asking(tmp_path) as ask:
        run = ask({"root": [code], "part": ["FINAL(float(context.sales.sum().compute()))"]}, context=plan)
        assert run.raise_for_error().value == ["dask", 60, 270.0]
        assert "DataFrame of 2 columns in 3 partitions, not computed" in run.messages()[1]["content"]


def test_an_arrow_dataset_goes_as_a_plan(here, tmp_path):
    data = pyarrow.dataset.dataset(str(here / "parts"))
    with asking(tmp_path) as ask:
        run = ask({"root": ["FINAL(context.count_rows())"]}, context=data)
        assert run.raise_for_error().value == 60
        assert "Dataset of 60 rows x 2 columns in 3 files" in run.messages()[1]["content"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.csv", "there is no such file or folder"),
        ("~", "holds your whole home directory"),
        ("/etc/shadow", "where keys are kept"),
        ("/proc/self/environ", "where keys are kept"),
        ("link", "where keys are kept"),
    ],
)
def test_what_agents_must_not_see_is_refused_before_anything_is_asked(here, tmp_path, path, says):
    (tmp_path / "link").symlink_to("/proc/self/environ")
    with asking(tmp_path) as ask, pytest.raises(ContextError, match=says):
        ask({"root": ["FINAL(1)"]}, context=Path(path))


def test_a_follow_up_cannot_be_granted_more(here, tmp_path):
    with asking(tmp_path) as ask:
        run = ask({"root": ["FINAL(1)"], "more": ["FINAL(2)"]})
        with pytest.raises(ContextError, match="cannot be granted"):
            run.ask("more", here / "orders.csv")


def test_more_files_than_can_be_granted_are_refused(here, tmp_path, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.run_setup.sources.MOST_FILES", 2)
    with asking(tmp_path) as ask, pytest.raises(ContextError, match="hand over the folder"):
        ask({"root": ["FINAL(1)"]}, context=sorted((here / "parts").iterdir()))


def test_a_file_that_cannot_be_read_is_told_to_the_agent_and_to_the_user(here, tmp_path):
    (here / "rows.jsonl").write_text('{"a": 1}\n' + "x" * 300_000 + "\n")
    with asking(tmp_path) as ask:
        run = ask({"root": ["print(1)", "print(context)\nFINAL(2)"]}, context=here / "rows.jsonl")
        assert run.raise_for_error().value == 2
        observed = run.messages()[3]["content"]
    assert "`rows.jsonl` was not loaded: JSONDecodeError" in observed
    assert any("was not loaded" in getattr(event, "text", "") for event in run.events)


def test_without_a_sandbox_paths_mean_the_same(here, tmp_path):
    with asking(tmp_path) as ask:
        run = ask(
            {"root": ["FINAL(len(frame))"]}, context=Path("data/orders.csv"), settings={"sandbox": "none"}
        )
        assert run.raise_for_error().value == 20


def test_the_badge_says_what_may_be_read(here, tmp_path):
    with asking(tmp_path) as ask:
        run = ask({"root": ["FINAL(1)"]}, context=here / "orders.csv")
        started = next(event for event in run.events if event.kind == "kernel_started")
        assert started.confinement["read"] == [str(here / "orders.csv")]


@pytest.mark.parametrize("named", ["one", "several", "folder"])
def test_the_demo_answers_from_files(here, tmp_path, named):
    context = {
        "one": here / "orders.csv",
        "several": {"orders": here / "orders.csv"},
        "folder": here / "parts",
    }[named]
    with asking(tmp_path) as ask:
        run = ask({}, question="What is the total of sales?", context=context, model="demo")
        assert run.raise_for_error().value["amount"] == 190 * (3 if named == "folder" else 1)


def test_a_path_that_an_agent_returns_is_not_opened(here, tmp_path):
    code = "import pathlib\nFINAL({'a': pathlib.Path(OTHER), 'b': [pathlib.Path(OTHER)]})"
    with asking(tmp_path) as ask:
        run = ask(
            {"root": [code.replace("OTHER", repr(str(here / "other.csv")))]}, context=here / "orders.csv"
        )
        assert run.raise_for_error().value["a"] == here / "other.csv"
        assert "20 rows" not in str(run.value_description)
