"""Functions of a first look for one data: the same rows as the general ones, and nothing but literals of what was told."""

import ast

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.answer_code.look_functions import look_source
from rlm_jupyter.answer_code.look_recipes import written_looks
from rlm_jupyter.guest import clean_tables, look_facts, text_lines

FORM = "\n".join(
    f"[{n:04d}] paid by O'Brien | amount=${n},000.50 on 2026-01-{n % 28 + 1:02d}" for n in range(1, 60)
)
CASES = {
    "lines with signs": ("parse_lines", (FORM,)),
    "lines in a list": ("parse_lines", (FORM.splitlines(),)),
    "lines that do not fit": ("parse_lines", (FORM + "\nanother line\n\n",)),
    "separated": ("parse_lines", ("name;day;n\n" + "\n".join(f"a{n};2026-02-0{n % 9 + 1};{n}" for n in range(20)),)),
    "records": ("parse_lines", ("\n".join(f'{{"n": {n}, "day": "2026-01-01"}}' for n in range(9)),)),
    "amounts and dates": ("clean_table", (pd.DataFrame({"when": ["2026-01-02", "3/9/2025", None, "n/a"] * 9, "paid": ["$1,200", "USD 3.5", "-", "unknown"] * 9, "id": ["007", "008", "9", "10"] * 9}),)),
    "day first": ("clean_table", (pd.DataFrame({"when": ["13/02/2026", "01/02/2026"] * 9, "n": range(18)}),)),
    "nothing to do": ("clean_table", (pd.DataFrame({"n": np.arange(5.0)}),)),
    "tables by name": ("join_tables", ({"paid": pd.DataFrame({"customer": [1, 2, 1], "sum": ["$1", "$2", "$3"]}), "customers": pd.DataFrame({"customer": [1, 2], "since": ["2026-01-01", "2025-01-01"]})},)),
    "tables one by one": ("join_tables", (pd.DataFrame({"id": [1, 2], "city": ["A", "B"]}), pd.DataFrame({"city_id": [1, 2, 2], "n": [4, 5, 6]}))),
}  # fmt: skip
GENERAL = {
    "parse_lines": text_lines.parse_lines,
    "clean_table": clean_tables.clean_table,
    "join_tables": clean_tables.join_tables,
}


def function_of(name, source):
    made = look_source([name], "", {}, {name: source})
    space = {}
    exec("\n".join([*made.imports.values(), *made.parts]), space)
    return space[name]


@pytest.fixture(autouse=True)
def notes():
    look_facts.NOTES.clear()
    yield look_facts.NOTES
    look_facts.NOTES.clear()


@pytest.mark.parametrize("case", CASES)
def test_a_few_lines_do_the_same(notes, case):
    name, given = CASES[case]
    wanted = look_facts.noted(name, GENERAL[name])(*given)
    source = written_looks(notes)[name]
    assert len(source.splitlines()) <= 14
    pd.testing.assert_frame_equal(function_of(name, source)(*given), wanted)


def test_lines_of_another_form_are_refused(notes):
    look_facts.noted("parse_lines", text_lines.parse_lines)(FORM)
    read = function_of("parse_lines", written_looks(notes)["parse_lines"])
    with pytest.raises(ValueError, match="another form"):
        read("one\ntwo\nthree")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("clean_table", pd.DataFrame([["$1", "$2"]] * 9, columns=["a", "a"])),
        ("clean_table", pd.DataFrame({1: ["$1", "$2"] * 9})),
        ("parse_lines", "no lines in common"),
    ],
)
def test_where_a_few_lines_do_not_do_it_there_are_none(notes, name, given):
    call = look_facts.noted(name, GENERAL[name] if name == "parse_lines" else (lambda table: table))
    if name == "parse_lines":
        with pytest.raises(ValueError, match="no form in common"):
            call(given)
    else:
        call(given)
    assert written_looks(notes) == {}


def test_calls_on_different_data_keep_the_general_function(notes):
    call = look_facts.noted("clean_table", clean_tables.clean_table)
    call(pd.DataFrame({"a": ["$1"] * 9}))
    call(pd.DataFrame({"b": ["$1"] * 9}))
    assert written_looks(notes) == {}


EVIL = "x']; __import__('os').system('true'); y['\n"


@pytest.mark.parametrize(
    "fact",
    [
        {"kind": "form", "listed": False, "pattern": EVIL, "columns": [EVIL], "convert": [[EVIL, "date"]]},
        {"kind": "csv", "listed": False, "delimiter": EVIL, "convert": []},
    ],
)
def test_what_a_kernel_tells_stands_in_code_as_literals(fact):
    tree = ast.parse(written_looks({"parse_lines": [fact]})["parse_lines"])
    (function,) = tree.body
    called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    assert not any("import" in name or "system" in name for name in called)
    assert any(isinstance(node, ast.Constant) and node.value == EVIL for node in ast.walk(function))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"parse_lines": "text"},
        {"parse_lines": [None]},
        {"parse_lines": [{"kind": "form", "columns": "no list", "pattern": "x", "convert": []}]},
        {"parse_lines": [{"kind": "form", "columns": [], "pattern": 3, "convert": []}]},
        {"parse_lines": [{"kind": "csv", "delimiter": ",", "convert": [["a", "unheard of"]]}]},
        {"clean_table": [{"convert": [["a"]]}]},
        {"clean_table": [{"convert": [["a" * 5000, "date"]]}]},
        {"join_tables": [{"keys": ["a"], "base": 5, "joins": [], "convert": {}}]},
        {"join_tables": [{"keys": ["a", "b"], "base": 0, "joins": [[1, "x"]], "convert": {}}]},
        {"join_tables": [{"keys": [["a"], "b"], "base": 0, "joins": [], "convert": {"0": []}}]},
    ],
)
def test_what_is_no_fact_makes_no_code(told):
    assert written_looks(told) == {}
