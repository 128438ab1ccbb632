"""Files as programs write them: what they hold arrives, and what had to be guessed is told."""

import contextlib
import json

import pandas as pd
import pytest

from rlm_jupyter.data_files import read_data
from rlm_jupyter.errors import ContextError

SEPARATED = ("\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1d", "\x1e")


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = []
    return read_data(path, tell=told.append), told


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_only_line_ends_end_the_lines_of_jsonl(tmp_path, end, name):
    rows = [{"t": f"one{char}two"} for char in SEPARATED if char >= " "] + [{"a": [1, "x"]}]
    rows += [{"t": "\x7f\x85"}]
    text = end.join(json.dumps(row, ensure_ascii=False) for row in rows) + end + end
    assert read(tmp_path, name, text)[0] == rows
    assert read(tmp_path, name, "\ufeff" + text)[0] == rows


CSV = "name;sum\r\nMüller;1,5\r\nAnna;-2,25\r\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-32", "latin-1"]
)
def test_a_csv_of_excel_has_its_columns_and_numbers_in_any_of_its_encodings(tmp_path, encoding):
    table, told = read(tmp_path, "e.csv", CSV.encode(encoding))
    assert list(table.columns) == ["name", "sum"]
    assert table["name"].tolist() == ["Müller", "Anna"]
    assert table["sum"].tolist() == [1.5, -2.25]
    assert "`;` between columns" in told[0]
    assert "decimal commas" in told[0]
    assert ("cp1252" in told[0]) == (encoding in ("cp1252", "latin-1"))
    assert ("utf-16" in told[0]) == encoding.startswith("utf-16")


def test_unicode_text_of_excel_is_read_with_tabs(tmp_path):
    table, told = read(tmp_path, "u.csv", "name\tsum\r\nAnna\t1\r\nÖrn\t2\r\n".encode("utf-16"))
    assert table.to_dict("list") == {"name": ["Anna", "Örn"], "sum": [1, 2]}
    assert "tabs" in told[0]


def test_thousands_dates_codes_and_gaps_of_a_european_file(tmp_path):
    text = (
        "date;amount;whole;code;note;version\n"
        "01.02.2024;1.234,50;1.234;007;a, b;1.2\n"
        '28.02.2024;-3,25;12.000;010;"x; y";1.2.3\n'
        "29.02.2024;;1.000.000;;;2\n"
    )
    table, _ = read(tmp_path, "e.csv", text)
    assert table["date"].tolist() == ["01.02.2024", "28.02.2024", "29.02.2024"]
    assert table["amount"].tolist()[:2] == [1234.5, -3.25]
    assert table["whole"].tolist() == [1234, 12000, 1000000]
    assert table["note"].tolist()[:2] == ["a, b", "x; y"]
    assert table["version"].tolist() == ["1.2", "1.2.3", "2"]


@pytest.mark.parametrize(
    ("name", "text", "columns", "first"),
    [
        ("a.csv", "a,b\n1,2\n", ["a", "b"], [1, 2]),
        ("a.csv", "id,tags\n1,x;y\n2,z;w\n", ["id", "tags"], [1, "x;y"]),
        ("a.csv", 'id,text\n1,"a;b;c, d"\n', ["id", "text"], [1, "a;b;c, d"]),
        ("a.csv", "a;b\n1.5;x\n", ["a", "b"], [1.5, "x"]),
        ("a.csv", "a|b|c\n1|x|2\n", ["a", "b", "c"], [1, "x", 2]),
        ("a.csv", "sep=;\na;b\n1;2,5\n", ["a", "b"], [1, 2.5]),
        ("a.csv", "sum, net;tax, all\n1,5;2,5\n3,5;4,5\n", ["sum, net", "tax, all"], [1.5, 2.5]),
        ("a.csv", "when;where\n10:30;a\n", ["when", "where"], ["10:30", "a"]),
        ("a.tsv", "a\tb;c\n1\t2;3\n", ["a", "b;c"], [1, "2;3"]),
        ("a.tsv", "a,b\n1,2\n", ["a", "b"], [1, 2]),
        ("a.csv", "word\nx\n", ["word"], ["x"]),
    ],
)
def test_the_separator_is_what_gives_every_line_its_columns(tmp_path, name, text, columns, first):
    table, told = read(tmp_path, name, text)
    assert list(table.columns) == columns
    assert table.iloc[0].tolist() == first
    usual = {".csv": ",", ".tsv": "\t"}[name[1:]]
    assert bool(told) == (len(columns) > 1 and usual not in text.split("\n")[0]) or "sum, net" in text


def test_one_column_whose_name_holds_a_separator_is_told(tmp_path):
    table, told = read(tmp_path, "a.csv", "a;b\n1\n2;3;4\n")
    assert table.shape[1] == 1
    assert "`;`" in told[0]


def test_a_western_letter_far_behind_is_found(tmp_path):
    rows = "".join(f"{number},word\n" for number in range(60_000))
    table, told = read(tmp_path, "long.csv", ("n,t\n" + rows + "1,Müller\n").encode("cp1252"))
    assert table["t"].iloc[-1] == "Müller"
    assert "cp1252" in told[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "имя;сумма\nЮля;1\n".encode("cp1251")),
        ("j.csv", "名前,合計\n山田,1\n".encode("shift-jis")),
        ("d.csv", b"a,b\nM\x81ller,1\n"),
        ("t.txt", "Müller".encode("cp1252")),
        ("t.json", '"Müller"'.encode("cp1252")),
        ("t.jsonl", '"Müller"'.encode("cp1252")),
    ],
)
def test_an_encoding_that_cannot_be_told_is_an_error_with_the_way_out(tmp_path, name, content):
    with pytest.raises(ContextError, match=r"is not text in UTF-8.*iconv -f"):
        read(tmp_path, name, content)


def test_a_byte_order_mark_is_believed_for_texts_and_json_too(tmp_path):
    assert read(tmp_path, "a.txt", "Örn".encode("utf-16"))[0] == "Örn"
    assert read(tmp_path, "a.json", '{"a": "Ö"}'.encode("utf-16"))[0] == {"a": "Ö"}
    assert read(tmp_path, "b.txt", "")[0] == ""
    assert read_data(tmp_path) == {"a.txt": "Örn", "a.json": '{"a": "Ö"}', "b.txt": ""}


@pytest.mark.parametrize("content", ["", "\n", "a", "a,b", '"a', 'a,b\n"x', "\x00", ";;;\n", "a;b\n;\n;\n"])
def test_odd_files_are_tables_or_errors_of_ours(tmp_path, content):
    with contextlib.suppress(ContextError):
        assert isinstance(read(tmp_path, "odd.csv", content)[0], pd.DataFrame)
