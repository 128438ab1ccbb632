"""What is found in files of all kinds, by the code that the reading kernel runs."""

import bz2
import datetime as dt
import gzip
import json
import sqlite3
import warnings
import zipfile
from contextlib import closing
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from planted_values import EMAILS, NAMES, frame
from pyarrow import feather, ipc, orc, parquet

from rlm_jupyter.guest.hidden_columns import column_tables, found_values
from rlm_jupyter.guest.hidden_columns.file_reading import read_hidden
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder

MOST = 100_000


def found_in(path, *hide, prefixes=(), whole=False, most=MOST, most_bytes=100 * MOST):
    """Returns the values of each column, what is plain, or why it was refused."""
    finder = ColumnFinder(hide or ("email",))
    files = [{"path": str(path), "prefixes": list(prefixes), "whole": whole}]
    found = read_hidden(
        {"files": files, "expressions": finder.expressions, "most": most, "most_bytes": most_bytes}
    )
    if "refused" in found:
        return found["refused"]
    return {
        column["name"]: [
            value
            for part in column["values"]
            for value in (part if isinstance(part, list) else part.to_pylist())
        ]
        for column in found["columns"]
    } | ({"plain": found["plain"]} if found["plain"] else {})


def csv_text(**options):
    return frame()[["id", "email", "name"]].to_csv(index=False, **options)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.csv", csv_text().encode()),
        ("p.tsv", csv_text(sep="\t").encode()),
        ("p.csv", csv_text(sep=";").encode("utf-8-sig")),
        ("p.csv", csv_text(sep="|").encode("utf-16")),
        ("p.csv", b"sep=;\r\n" + csv_text(sep=";", lineterminator="\r\n").encode()),
        ("p.csv", ("Report of March\n\n" + csv_text()).encode()),
        ("p.csv.gz", gzip.compress(csv_text().encode(), mtime=0)),
        ("p.csv.bz2", bz2.compress(csv_text().encode())),
        ("p.txt", csv_text().encode()),
        ("p.log", csv_text(sep="\t").encode()),
        ("p.json", frame().to_json(orient="records").encode()),
        ("p.json", json.dumps({"data": [{"person": {"email": mail}} for mail in EMAILS]}).encode()),
        ("p.json", json.dumps({"data": [json.dumps({"email": mail}) for mail in EMAILS]}).encode()),
        ("p.json", json.dumps({"email": EMAILS}).encode()),
        ("p.jsonl", frame().to_json(orient="records", lines=True).encode()),
        ("p.ndjson.gz", gzip.compress(frame().to_json(orient="records", lines=True).encode(), mtime=0)),
        (
            "p.log",
            b"started\n" + frame().to_json(orient="records", lines=True).encode().replace(b"{", b"{", 1),
        ),
        ("p.ipynb", json.dumps({"cells": [{"EMAIL": mail} for mail in EMAILS]}, indent=1).encode()),
    ],
)
def test_columns_are_found_in_texts_of_all_kinds(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    if name == "p.log" and data.startswith(b"started"):
        data = data.split(b"\n", 1)[1]
        (tmp_path / name).write_bytes(data + b"not JSON\n")
    found = found_in(tmp_path / name)
    assert [sorted(values) for key, values in found.items() if key.casefold() == "email"] == [sorted(EMAILS)]


def test_a_file_of_another_encoding_is_read(tmp_path):
    rows = "\n".join(f"{number};müller{number}@köln.example" for number in range(9))
    (tmp_path / "p.csv").write_bytes(("id;email\n" + rows).encode("cp1252"))
    late = "id,email\n" + "1,plain@x.example\n" * 20_000 + "2,jürgen@köln.example\n"
    (tmp_path / "late.csv").write_bytes(late.encode("cp1252"))
    assert "müller3@köln.example" in found_in(tmp_path / "p.csv")["email"]
    assert "jürgen@köln.example" in found_in(tmp_path / "late.csv")["email"]


def tables():
    people = frame()
    nested = pa.table(
        {
            "who": [{"email": mail, "age": 3} for mail in EMAILS],
            "list": [[{"email": f"l.{mail}"}] for mail in EMAILS],
            "map": pa.array([[("email", f"m.{mail}")] for mail in EMAILS], pa.map_(pa.string(), pa.string())),
        }
    )
    return pa.Table.from_pandas(people), nested


def test_columns_are_found_in_tables_of_arrow(tmp_path):
    plain, nested = tables()
    parquet.write_table(plain, tmp_path / "p.parquet", row_group_size=3)
    parquet.write_table(nested, tmp_path / "n.parquet")
    feather.write_feather(plain, tmp_path / "p.feather")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # files of the first version are still around
        feather.write_feather(plain, tmp_path / "1.feather", version=1)
        assert found_in(tmp_path / "1.feather") == {"email": EMAILS}
    orc.write_table(plain, tmp_path / "p.orc")
    with ipc.new_stream(tmp_path / "p.arrow", plain.schema) as writer:
        writer.write_table(plain)
    for name in ("p.parquet", "p.feather", "p.orc", "p.arrow"):
        assert found_in(tmp_path / name) == {"email": EMAILS}, name
    inside = [f"{start}{mail}" for start in ("", "l.", "m.") for mail in EMAILS]
    assert sorted(found_in(tmp_path / "n.parquet")["email"]) == sorted(inside)
    assert found_in(tmp_path / "n.parquet", "who.email") == {"email": EMAILS}
    assert len(found_in(tmp_path / "n.parquet", "who")["who"]) == 11  # and the one age


def test_values_of_all_types_are_found(tmp_path):
    day, moment = dt.date(1980, 5, 17), dt.datetime(1980, 5, 17, 10, 30, tzinfo=dt.UTC)
    table = pa.table(
        {
            "a": pa.array(["x1@y.example", None, "x1@y.example"]).dictionary_encode(),
            "b": pa.array([81234, None, 81234]),
            "c": pa.array([1.5, float("nan"), None]),
            "d": pa.array([Decimal("81234.55"), None, None]),
            "e": pa.array([day, None, None]),
            "f": pa.array([moment, None, None]),
            "g": pa.array([b"bytes", None, None]),
            "h": pa.array([["one", "two"], None, []]),
            "i": pa.array([True, False, None]),
        }
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    found = found_in(tmp_path / "p.parquet", "?")
    assert found["a"] == ["x1@y.example"]
    assert found["b"] == [81234]
    assert found["c"][0] == 1.5
    assert found["d"] == [Decimal("81234.55")]
    assert found["e"] == [day]
    assert found["f"] == [moment]
    assert found["g"] == ["bytes"]
    assert found["h"] == ["one", "two"]
    assert found["i"] == []


def test_numbers_and_dates_of_texts_are_found_as_such(tmp_path):
    (tmp_path / "p.csv").write_text(
        "pay,code,born,seen,city\n81234,0012345,1980-05-17,1980-05-17T10:00:00,Kiel\n"
        "40517.50,AB-123456,17.05.1981,,Bonn\n,NA,03/04/1982,,nan\n"
    )
    found = found_in(tmp_path / "p.csv", "*")
    assert found["pay"] == [81234, 40517.5]
    assert found["code"] == ["AB-123456", "0012345", 12345]
    assert set(found["born"]) == {
        "17.05.1981", "03/04/1982", dt.date(1980, 5, 17), dt.date(1981, 5, 17), dt.date(1982, 4, 3), dt.date(1982, 3, 4),
    }  # fmt: skip
    assert found["seen"] == ["1980-05-17T10:00:00", dt.datetime(1980, 5, 17, 10)]  # noqa: DTZ001 - as it is written
    assert found["city"] == ["Kiel", "Bonn"]
    (tmp_path / "e.csv").write_text("id;pay\n1;1.234,50\n2;81.234,00\n3;7,25\n")
    assert found_in(tmp_path / "e.csv", "pay") == {"pay": [1234.5, 81234.0, 7.25]}


def test_sheets_of_a_workbook_are_found(tmp_path):
    with pd.ExcelWriter(tmp_path / "p.xlsx") as book:
        frame().to_excel(book, sheet_name="First", index=False, startrow=3)
        pd.DataFrame({"email": ["other@x.example"]}).to_excel(book, sheet_name="Second", index=False)
    assert sorted(found_in(tmp_path / "p.xlsx")["email"]) == sorted([*EMAILS, "other@x.example"])
    assert found_in(tmp_path / "p.xlsx", "second.email") == {"email": ["other@x.example"]}


def test_databases_among_files_are_found(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "one.bin")) as connection:
        frame().to_sql('odd "name"', connection, index=False)
    with closing(duckdb.connect(str(folder / "two.db"))) as connection:
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.more AS SELECT 'two@x.example' AS email")
    found = found_in(folder)
    assert sorted(found["email"]) == sorted([*EMAILS, "two@x.example"]), found
    assert found_in(folder, "more.email") == {"email": ["two@x.example"]}


def test_members_of_archives_and_hidden_files_are_found(tmp_path):
    folder = tmp_path / "data"
    (folder / ".cache").mkdir(parents=True)
    (folder / ".cache" / "old.csv").write_text("id,email\n1,old@x.example\n")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("deep/p.csv", "id,email\n1,zipped@x.example\n")
        archive.writestr("p.parquet", pa.BufferOutputStream().getvalue().to_pybytes())
    assert sorted(found_in(folder)["email"]) == ["old@x.example", "zipped@x.example"]


def test_folders_that_are_called_after_values_are_found(tmp_path):
    part = tmp_path / "data" / "email=anna%40x.example"
    part.mkdir(parents=True)
    (part / "0.csv").write_text("id,n\n1,2\n")
    assert found_in(tmp_path / "data") == {"email": ["anna@x.example"]}


def test_names_are_found_with_what_they_are_in(tmp_path):
    (tmp_path / "orders.csv").write_text("id,email\n1,a1@x.example\n")
    assert found_in(tmp_path / "orders.csv", "orders.email") == {"email": ["a1@x.example"]}
    assert found_in(tmp_path / "orders.csv", "ORDERS.*") == {"id": [1], "email": ["a1@x.example"]}
    assert found_in(tmp_path / "orders.csv", "mine.email", prefixes=["mine."]) == {"email": ["a1@x.example"]}
    assert found_in(tmp_path / "orders.csv", "customers.email") == {}


def test_a_file_is_hidden_as_a_whole(tmp_path):
    (tmp_path / "p.csv").write_text("id,who\n4711,Zelda\n")
    (tmp_path / "p.txt").write_text("Zelda Quist came\n\nin March\n")
    (tmp_path / "p.json").write_text(json.dumps(["Zelda", {"a": "Otto"}]))
    assert found_in(tmp_path / "p.csv", "-", whole=True) == {"id": [4711], "who": ["Zelda"]}
    assert found_in(tmp_path / "p.txt", "-", whole=True) == {"text": ["Zelda Quist came", "in March"]}
    assert found_in(tmp_path / "p.json", "-", whole=True)["values"] == ["Zelda", "Otto"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("p.pkl", b"\x80\x04\x95\0\0", "not known"),
        ("p.parquet", b"PAR1 no table", "ArrowInvalid"),
        ("p.json", b'{"email": ', "no JSON"),
        ("p.jsonl", b'{"email": "a"}\n{"email', "line 2 is no JSON"),
        ("p.json", b"[" * 3000 + b"]" * 3000, "cannot be read"),
        ("p.xlsx", b"PK no book", "BadZipFile"),
        ("p.tar.gz", gzip.compress(b"\0\1" * 600, mtime=0), "not known"),
    ],
)
def test_what_cannot_be_read_is_refused_without_a_value(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    told = found_in(tmp_path / name)
    assert isinstance(told, str)
    assert f"`{name}`" in told
    assert reason in told


def test_more_than_may_be_held_is_refused(tmp_path):
    pd.DataFrame({"email": [f"p{number}@x.example" for number in range(3000)] * 2}).to_parquet(
        tmp_path / "p.parquet"
    )
    (tmp_path / "p.csv").write_text("id,email\n" + "".join(f"{n},p{n}@x.example\n" for n in range(3000)))
    for path in (tmp_path / "p.parquet", tmp_path / "p.csv"):
        assert len(found_in(path, most=3000)["email"]) == 3000
        assert found_in(path, most=2999) == "the hidden columns have more than 2,999 values that differ"
        assert "10,000 bytes" in found_in(path, most_bytes=10_000)


def test_texts_and_empty_files_have_no_columns(tmp_path):
    (tmp_path / "a.txt").write_text("Dear Anna,\nthe email is lost.\n")
    (tmp_path / "b.csv").write_text("")
    (tmp_path / "c.csv").write_text("id,email\n")
    assert found_in(tmp_path) == {"plain": [f"{tmp_path.name}/a.txt"]}


def test_a_pattern_fits_names_and_no_data(tmp_path):
    (tmp_path / "p.csv").write_text("who,text\nAnna,sent mail\nmail of Otto,x\n")
    assert found_in(tmp_path / "p.csv", "*mail*") == {}
    assert NAMES  # of the planted values, none is about mail


@pytest.mark.parametrize("different", [1000, 60_000])
def test_values_of_many_parts_are_held_once(tmp_path, different, monkeypatch):
    monkeypatch.setattr(found_values, "_COMPACT", 5000)
    monkeypatch.setattr(column_tables, "_ROWS", 1000)
    mails = [f"p{number % different}@x.example" for number in range(60_000)]
    pd.DataFrame({"email": mails}).to_parquet(tmp_path / "p.parquet")
    found = found_in(tmp_path / "p.parquet", most=different)
    assert sorted(found["email"]) == sorted(set(mails))
