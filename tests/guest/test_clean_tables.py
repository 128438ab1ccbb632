"""Tables made ready: texts that are dates and amounts, and tables that have a key in common."""

import pandas as pd
import pytest

from rlm_jupyter.guest.clean_tables import clean_table, find_keys, is_unclean, join_tables


def one(values):
    return clean_table(pd.DataFrame({"x": values}))["x"]


def test_amounts_in_several_ways_become_numbers_and_what_is_missing_is_missing():
    got = one(["$1,234.50", "USD 20", "7.5 USD", "-3", "n/a", "", None, "-", "NULL"])
    assert got.dtype.kind == "f"
    assert list(got.dropna()) == [1234.5, 20.0, 7.5, -3.0]


def test_dates_of_several_forms_become_dates():
    got = one(["2025-03-09", "9 Mar 2025", "Mar 9, 2025", "3/9/2025", "3/25/2025", "n/a"])
    assert got.dtype.kind == "M"
    assert list(got.dropna().dt.strftime("%m-%d")) == ["03-09"] * 4 + ["03-25"]
    assert list(one(["25/3/2025", "9/3/2025"]).dt.month) == [3, 3]


@pytest.mark.parametrize(
    "values",
    [
        ["0017", "0018", "0019"],
        ["$5", "€7", "€9"],
        ["25/3/2025", "3/25/2025"],
        ["INV-1", "INV-2"],
        ["1.234,50", "2.000,00"],
        ["red", "7", "blue"],
        [["a"], ["b"]],
        [1, 2],
    ],
    ids=str,
)
def test_what_is_no_plain_date_or_amount_stays(values):
    table = pd.DataFrame({"x": values})
    assert not is_unclean(table)
    assert list(clean_table(table)["x"]) == values


def test_the_given_table_is_left_as_it_is():
    table = pd.DataFrame({"x": ["$5", "$6"]})
    assert list(clean_table(table)["x"]) == [5.0, 6.0]
    assert list(table["x"]) == ["$5", "$6"]


def tables():
    orders = pd.DataFrame(
        {"order_id": range(6), "customer_id": [11, 12, 11, 13, 12, 11], "date": ["2025-01-02"] * 6}
    )
    customers = pd.DataFrame({"id": [11, 12, 13, 14], "date": ["2020-01-01"] * 4, "segment": list("abab")})
    return {"customers": customers, "orders": orders}


def test_tables_are_joined_by_the_column_that_names_rows_of_another():
    rows = join_tables(tables())
    assert list(rows["segment"]) == ["a", "b", "a", "a", "b", "a"]
    assert len(rows) == 6
    assert rows["date"].dtype.kind == "M"
    assert join_tables(*tables().values()).equals(rows)


def test_rows_that_name_nothing_stay():
    given = tables()
    given["orders"].loc[len(given["orders"])] = [6, 99, "2025-01-03"]
    given["orders"] = pd.concat([given["orders"].iloc[:6]] * 40 + [given["orders"].iloc[6:]])
    rows = join_tables(given)
    assert len(rows) == 241
    assert rows["segment"].isna().sum() == 1


def test_numbers_that_happen_to_be_equal_are_no_key():
    left = pd.DataFrame({"units": [1, 2, 3, 1, 2], "price": [5, 6, 7, 8, 9]})
    right = pd.DataFrame({"rank": [1, 2, 3], "name": list("xyz")})
    assert find_keys([left, right]) == []
    with pytest.raises(ValueError, match="No column"):
        join_tables(left, right)
    assert find_keys([left]) == find_keys([left, "text"]) == []
