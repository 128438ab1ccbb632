"""What an agent's kernel says of its data before the first look: columns, and where the question's terms stand."""

import pandas as pd

from rlm_jupyter.guest.data_outline import outline_data

ORDERS = pd.DataFrame(
    {
        "day": pd.to_datetime(["2025-01-01", "2025-01-02", "2025-01-03"]),
        "supplier": ["Corvex", "Corvex East", "Hollis"],
        "units": [1, 2, 3],
        "price": [1.5, 2.5, 3.5],
        "refunded": [True, False, True],
    }
)


def test_columns_are_told_by_what_they_hold():
    told = outline_data(ORDERS, "How many?")
    kinds = {"day": "date", "supplier": "text", "units": "integer", "price": "number", "refunded": "flag"}
    assert dict(told["columns"]) == kinds
    assert "named" not in told
    texts = ORDERS.assign(day=["2025-01-01", "9 Mar 2025", "3/9/2025"])
    assert dict(outline_data(texts, "How many?")["columns"])["day"] == "date"


def test_a_term_in_quotes_is_told_with_its_column():
    assert outline_data(ORDERS, "The share of 'Corvex'?")["named"] == [["supplier", "Corvex", True]]
    assert outline_data(ORDERS, "The share of 'Hollis'?")["named"] == [["supplier", "Hollis", False]]
    assert "named" not in outline_data(ORDERS, "The share of 'Nobody'?")
    twice = ORDERS.assign(other=ORDERS["supplier"])
    assert "named" not in outline_data(twice, "The share of 'Hollis'?")


def test_the_words_of_marked_code_are_terms():
    files = {"a.py": "import weakref\ndef f(): raise ValueError('x')\n", "b.py": "import weakref.ref\n"}
    told = outline_data(files, "Which import the module `weakref` (`import weakref`)?")
    assert told["named"] == [["name", "weakref", True], ["kind", "import", False]]


def test_lines_of_one_form_and_tables_that_belong_together_are_told_too():
    lines = "\n".join(
        f"Date: 2026-01-{n:02d} || User: {n} || Label: {('praise', 'billing')[n % 2]}" for n in range(1, 29)
    )
    told = outline_data(lines, "Lines about 'praise'?")
    assert told["columns"] == [["date", "date"], ["user", "integer"], ["label", "text"]]
    assert told["named"] == [["label", "praise", False]]
    customers = pd.DataFrame({"id": [1, 2, 3], "segment": ["a", "b", "b"]})
    orders = pd.DataFrame({"order": range(6), "customer": [1, 2, 3, 1, 2, 3]})
    told = outline_data({"orders": orders, "customers": customers}, "Orders of segment 'a'?")
    assert told.get("joined") is not True or ["segment", "text"] in told["columns"]


def test_odd_columns_are_left_out():
    odd = pd.DataFrame([[1, 2.0], [3, 4.0]], columns=["a", "a"])
    assert "columns" not in outline_data(odd, "How many 'a'?")
    assert outline_data(pd.DataFrame({0: [1], "b": [2]}), "How many?").get("columns") is None
