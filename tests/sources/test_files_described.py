"""What files say of themselves in their metadata: no file is read whole for it."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.values.describe.render import render
from rlm_jupyter.values.files.metadata import describe_path, describe_paths
from rlm_jupyter.values.files.reading import planned_reading, read_planned, read_small

ROWS = 40_000
FRAME = pd.DataFrame(
    {
        "city": ["Ulm", "Bonn", "Kiel", "Trier"] * (ROWS // 4),
        "sales": np.arange(ROWS) * 1.5,
        "at": pd.date_range("2024-01-01", periods=ROWS, freq="min"),
    }
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    here = tmp_path_factory.mktemp("files")
    FRAME.to_csv(here / "big.csv", index=False)
    FRAME.to_csv(here / "big.csv.gz", index=False)
    FRAME.head(20).to_csv(here / "small.tsv", index=False, sep="\t")
    FRAME.head(20).to_csv(here / "euro.csv", index=False, sep=";", decimal=",")
    FRAME.to_parquet(here / "one.parquet", row_group_size=10_000)
    (here / "parts").mkdir()
    for number in range(3):
        FRAME.to_parquet(here / "parts" / f"{number}.parquet")
    FRAME.to_feather(here / "one.feather")
    FRAME.head(20).astype({"at": str}).to_json(here / "rows.jsonl", orient="records", lines=True)
    (here / "object.json").write_text(json.dumps({"a": [1, 2], "b": 3}))
    (here / "notes.txt").write_text("first line\nsecond line\n" * 10)
    (here / "notes").mkdir()
    (here / "notes" / "a.md").write_text("# one")
    (here / "notes" / "b.md").write_text("# two")
    (here / "notes" / ".hidden").write_text("secret")
    with pd.ExcelWriter(here / "book.xlsx") as book:
        FRAME.head(20).to_excel(book, sheet_name="Orders & more", index=False)
        FRAME.head(5).to_excel(book, sheet_name="Returns", index=False)
    with zipfile.ZipFile(here / "pack.zip", "w") as archive:
        archive.writestr("x/a.txt", "abc")
        archive.writestr("b.txt", "abcd")
    (here / "broken.parquet").write_bytes(b"PAR1 is not enough")
    (here / "random.bin").write_bytes(bytes(range(256)) * 10)
    return here


EXACT = {
    "small.tsv": ["TSV, 20 rows x 3 columns", "city (str)", "Ulm | 0.0"],
    "euro.csv": ["20 rows x 3 columns", "sales (float64): 0.0 … 28.5", "sep=';'", "decimal=','"],
    "one.parquet": ["Parquet, 40,000 rows x 3 columns in 4 row groups", "59998.5", "'Bonn' … 'Ulm'"],
    "parts": ["folder `parts`: 3 files, Parquet, 120,000 rows x 3 columns", "sales (double)"],
    "one.feather": ["Arrow, 40,000 rows x 3 columns", "sales (double)", "Bonn | 1.5"],
    "rows.jsonl": ["JSON lines, 20 lines", "- city (str)"],
    "object.json": ["an object of 2 keys", '{"a": [1, 2]'],
    "notes.txt": ["text, 20 lines", "first line"],
    "notes": ["folder `notes`: 2 files, text", "a.md: 5 B"],
    "book.xlsx": ["Excel, 2 sheets", "Orders & more: 21 lines x 3 columns", "Returns: 6 lines x 3 columns"],
    "pack.zip": ["2 files of 7 B", "x/a.txt: 3 B"],
    "broken.parquet": ["cannot be read: ArrowInvalid"],
    "random.bin": ["binary, 2.6 kB"],
}


@pytest.mark.parametrize("name", EXACT)
def test_a_file_is_described_by_its_metadata(files, name):
    shown = render(describe_path(files / name))
    for part in EXACT[name]:
        assert part in shown
    assert "secret" not in shown


@pytest.mark.parametrize("name", ["big.csv", "big.csv.gz"])
def test_the_rows_of_a_long_text_are_estimated_and_said_to_be(files, name):
    about = describe_path(files / name)
    assert "about" in about["summary"]
    assert ROWS * 0.7 < about["shape"][0] < ROWS * 1.3


@pytest.mark.parametrize(
    "name", ["small.tsv", "one.parquet", "one.feather", "rows.jsonl", "notes.txt", "object.json"]
)
def test_no_data_is_quoted_where_no_rows_are_wanted(files, name):
    shown = json.dumps(describe_path(files / name, rows=0), default=str)
    assert "Ulm" not in shown
    assert "first line" not in shown
    assert "[1, 2]" not in shown


def test_a_list_of_files_of_one_kind_is_one_table(files):
    shown = render(describe_paths(sorted((files / "parts").iterdir())))
    assert shown.startswith("list of 3 paths: 3 files, Parquet, 120,000 rows x 3 columns")


def test_no_more_than_samples_of_a_large_file_are_read(files, monkeypatch):
    large = files / "large.csv"
    with large.open("wb") as file:
        line = b"1,2,3\n"
        file.write(b"a,b,c\n" + line * (50_000_000 // len(line)))
    before = _bytes_read()
    about = describe_path(large)
    assert _bytes_read() - before < 2_000_000
    assert about["shape"][0] == pytest.approx(50_000_000 / len(line), rel=0.01)
    large.unlink()


def _bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("small.tsv", "frame"),
        ("euro.csv", "frame"),
        ("big.csv.gz", "frame"),
        ("one.parquet", "frame"),
        ("parts", "frame"),
        ("one.feather", "frame"),
        ("rows.jsonl", "data"),
        ("object.json", "data"),
        ("notes.txt", "text"),
        ("notes", "texts"),
        ("book.xlsx", "sheets"),
        ("pack.zip", None),
        ("random.bin", None),
    ],
)
def test_what_is_planned_is_what_is_read(files, name, variable):
    assert planned_reading([files / name])[0] == variable
    found = read_planned(files / name)
    assert list(found) == ([] if variable is None else [variable])


def test_small_files_are_read_into_what_they_hold(files):
    assert read_small(files / "euro.csv")[1].sales.sum() == FRAME.head(20).sales.sum()
    assert len(read_small(files / "parts")[1]) == 3 * ROWS
    assert list(read_small(files / "book.xlsx")[1]) == ["Orders & more", "Returns"]
    assert read_small(files / "notes")[1] == {"a.md": "# one", "b.md": "# two"}
    assert read_small(files / "rows.jsonl")[1][1]["city"] == "Bonn"
    assert read_planned({"a": files / "small.tsv", "n": 1})["loaded"]["a"].shape == (20, 3)


def test_what_is_large_is_not_read_and_the_limit_is_told(files, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.values.files.reading.MOST_STORED", 1000)
    variable, why = planned_reading([files / "big.csv"])
    assert variable is None
    assert "up to 1.0 kB are read whole" in why
    assert read_planned(files / "big.csv") == {}


def test_a_compressed_file_that_unpacks_to_more_is_not_read(files):
    bomb = files / "bomb.txt.gz"
    with gzip.open(bomb, "wb") as file:
        for _ in range(70):
            file.write(b"0" * 1_000_000)
    told = []
    assert read_planned(bomb, told.append) == {}
    assert told == ["`bomb.txt.gz` was not loaded: it unpacks to more than 64.0 MB."]


def test_an_archive_with_a_huge_directory_is_not_listed(files, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.values.files.metadata._MOST_DIRECTORY", 10)
    assert "its directory takes" in describe_path(files / "pack.zip")["summary"]


def test_a_pdf_is_read_as_text(files):
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(width=100, height=100)
    writer.add_blank_page(width=100, height=100)
    writer.write(files / "two.pdf")
    assert "PDF" in describe_path(files / "two.pdf")["summary"]
    assert read_small(files / "two.pdf") == ("text", "\n\f\n")
