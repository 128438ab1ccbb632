"""Lines of Python that a small model is shown: those that fit the question, with the table's own columns."""

import itertools

import pandas as pd
import pytest

from rlm_jupyter.engine.agent.question_columns import Column, Named, asked_flags, chosen_columns
from rlm_jupyter.engine.agent.question_idioms import idioms
from rlm_jupyter.engine.agent.question_labels import labels
from rlm_jupyter.guest.quoted_terms import quoted_terms

ORDERS = (
    Column("order_id", "integer"),
    Column("date", "date"),
    Column("customer_id", "integer"),
    Column("supplier", "text"),
    Column("segment", "text"),
    Column("units", "integer"),
    Column("price", "number"),
    Column("refunded", "flag"),
)
LINES = (Column("date", "date"), Column("user", "integer"), Column("label", "text"))
CODE = tuple(Column(name, "text") for name in ("file", "kind", "name", "level", "inside"))


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("How many pairs of users are there?", "combinations"),
        ("How many days in a row did it rise?", "cumsum"),
        ("What was the longest time of consecutive days on which it rose?", "cumsum"),
        (
            "Each line has a date of a visit. What is the longest gap in days between two consecutive visits?",
            "diff().dt.days",
        ),
        (
            "How many users have at least one entry labelled 'praise' and at least one labelled 'billing'?",
            "&",
        ),
        ("Who bought both 'tea' and 'jam'?", "&"),
        ("Which region has the highest share of refunds?", "groupby"),
        ("The share of refunds suddenly rose. Since when?", "pivot_table"),
        ("In which month was it?", "strftime"),
        (
            "Which region has most revenue (`units` times `price`)?",
            "rows['total'] = rows['units'] * rows['price']",
        ),
        ("An invoice may be in it twice.", "drop_duplicates"),
    ],
)
def test_a_line_of_python_fits_the_question(question, word):
    assert word in idioms(question)[0]
    assert len(idioms(question)) <= 2


def test_most_questions_need_no_such_line():
    assert idioms("Which of two consecutive visits was longer?") == []
    assert idioms("What is the total price of all orders?") == []


@pytest.mark.parametrize(
    ("question", "columns", "chosen"),
    [
        (
            "Which segment of customers has the highest share of refunded orders? `customer_id` is `id` there.",
            ORDERS,
            {"group": "segment", "flag": "refunded", "date": "date", "number": "price"},
        ),
        (
            "What is the mean number of units for each supplier?",
            ORDERS,
            {"group": "supplier", "number": "price"},
        ),
        ("List the pairs of users.", LINES, {"group": "user", "date": "date"}),
        (
            "One of the sensors reads higher.",
            (Column("sensor", "text"), Column("celsius", "number")),
            {"group": "sensor"},
        ),
        (
            "An `invoice` may be in it twice.",
            (Column("invoice", "text"), Column("id", "integer")),
            {"key": "invoice"},
        ),
        ("How many?", (), {}),
    ],
)
def test_the_columns_that_a_question_is_about(question, columns, chosen):
    found = chosen_columns(question, columns)
    assert chosen.items() <= found.items()


def run(lines, **names):
    space = {"itertools": itertools, "pd": pd, **names}
    exec("\n".join(lines), space)
    return space


def test_the_line_that_selects_has_all_that_the_question_names():
    named = [Named("label", "quality")]
    lines = idioms("Users with a line about 'quality' in 2026-10: how many pairs?", LINES, named)
    assert (
        lines[0]
        == "selected = rows[(rows['label'] == 'quality') & (rows['date'].dt.strftime('%Y-%m') == '2026-10')]"
        "  # 'quality', in 2026-10"
    )
    dates = pd.to_datetime(["2026-10-02", "2026-10-03", "2026-11-01"])
    rows = pd.DataFrame({"date": dates, "user": [1, 2, 3], "label": ["quality", "praise", "quality"]})
    assert list(run(lines[:1], rows=rows)["selected"]["user"]) == [1]
    two = [Named("label", "quality"), Named("label", "praise")]
    assert not idioms("More 'quality' or 'praise'?", LINES, two)
    code = [Named("name", "warn")]
    (line,) = idioms("In which file is the function `warn` defined at the top level?", CODE, code)
    assert "(rows['name'] == 'warn') & (rows['kind'] == 'function') & (rows['level'] == 'top')" in line


def test_users_with_two_conditions_are_paired_by_the_lines_as_they_stand():
    question = "List the pairs of users with at least 2 lines about 'a' and at least one about 'b'."
    lines = idioms(question, LINES, [Named("label", "a"), Named("label", "b")])
    rows = pd.DataFrame({"user": [1, 1, 1, 2, 2, 2, 3, 3], "label": ["a", "a", "b", "a", "a", "b", "a", "b"]})
    assert run(lines, rows=rows)["pairs"] == [(1, 2)]


@pytest.mark.parametrize(
    ("end", "pairs"),
    [
        ("at least one about 'billing' on or after 2026-07-01", [(1, 2)]),
        ("at least one about 'billing' before 2026-07-01", [(3, 4)]),
        ("at least one about 'billing', since 2026-07-01", [(1, 5)]),
        ("at least one about 'billing'", [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]),
    ],
)
def test_a_date_belongs_to_the_term_that_it_stands_with(end, pairs):
    question = f"List the pairs of users with at least 2 lines about 'praise' and {end}."
    lines = idioms(question, LINES, [Named("label", "praise"), Named("label", "billing")])
    early, late = "2026-03-01", "2026-08-01"
    rows = [
        *[(1, "praise", late)] * 2 + [(1, "billing", late)],
        *[(2, "praise", early)] * 2 + [(2, "billing", late)],
        *[(3, "praise", early)] * 2 + [(3, "billing", early)],
        *[(4, "praise", late)] * 2 + [(4, "billing", early)],
    ]
    if pairs == [(1, 5)]:
        rows += [*[(5, "praise", late)] * 2, (5, "billing", late)]
    table = pd.DataFrame(rows, columns=["user", "label", "date"]).astype({"date": "datetime64[ns]"})
    assert run(lines, rows=table)["pairs"] == pairs


def test_the_first_month_of_a_high_share_is_found_by_the_lines_as_they_stand():
    question = (
        "The share of refunded orders of supplier 'Corvex' suddenly rose. In which month was it high first?"
    )
    lines = idioms(question, ORDERS, [Named("supplier", "Corvex")])
    months = pd.to_datetime([f"2025-{month:02d}-0{day}" for month in range(1, 7) for day in (1, 2, 3)])
    rows = pd.DataFrame(
        {"date": months, "supplier": "Corvex", "refunded": [month > 9 for month in range(18)]}
    )
    assert run(lines, rows=rows)["high"].index[0] == "2025-04"


@pytest.mark.parametrize(
    ("question", "named"),
    [
        (
            "It is about one of these: billing, delivery, or praise (no problem). How many?",
            ["billing", "delivery", "praise"],
        ),
        ("Each is 'good' or 'bad': is it 'good' or 'bad'?", ["good", "bad"]),
        (
            "The categories: human being, location and abstract concept. Which is commonest?",
            ["human being", "location", "abstract concept"],
        ),
        ("How many of these reviews are negative?", ["positive", "negative"]),
        ("Is the trend negative?", []),
        ("How many lines are about 'billing'?", []),
        ("One of the sensors is wrong: which?", []),
    ],
)
def test_the_labels_that_a_question_offers(question, named):
    assert labels(question) == named


def test_terms_in_quotes():
    assert quoted_terms("About 'a b' or \"c d\", isn't it?") == ["a b", "c d"]


def test_duplicates_are_dropped_before_rows_are_selected():
    columns = (Column("invoice", "text"), Column("date", "date"), Column("amount", "number"))
    lines = idioms(
        "An `invoice` may be in it twice. What is the total of the invoices of 2025-11, by month?", columns
    )
    assert lines[0] == "rows = rows.drop_duplicates('invoice')  # each once"
    assert "== '2025-11'" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("question", "test"),
    [
        ("What is the mean `price` of the orders of 'tea' that were not refunded?", "& (~rows['refunded'])"),
        ("How many unrefunded orders of 'tea' are there?", "& (~rows['refunded'])"),
        ("How many orders of 'tea' have not been refunded?", "& (~rows['refunded'])"),
        ("How many orders of 'tea' that were refunded are there?", "& (rows['refunded'])"),
    ],
)
def test_a_column_of_true_and_false_selects_as_the_question_says(question, test):
    (line, *_) = idioms(question, ORDERS, [Named("supplier", "tea")])
    assert test in line
    rows = pd.DataFrame({"supplier": ["tea", "tea", "jam"], "refunded": [True, False, False]})
    assert len(run([line], rows=rows)["selected"]) == 1


def test_a_share_is_of_all_rows():
    assert asked_flags("Which supplier has the highest share of orders that were refunded?", ORDERS) == []
    assert asked_flags("How many orders were delivered?", ORDERS) == []


@pytest.mark.parametrize(("rose", "wanted"), [("rose", "Hollis"), ("fell", "Corvex")])
def test_the_group_that_explains_a_change_is_found_by_the_lines_as_they_stand(rose, wanted):
    question = f"The share of refunded orders {rose} in the course of the time. Which supplier explains it?"
    lines = idioms(question, ORDERS)
    months = pd.to_datetime([f"2025-{month:02d}-01" for month in range(1, 9) for _ in range(30)])
    refunded = [row % 3 == (1 if row < 120 else 0) for row in range(240)]
    rows = pd.DataFrame(
        {"date": months, "supplier": ["Hollis", "Corvex", "Aldana"] * 80, "refunded": refunded}
    )
    change = run(lines, rows=rows)["change"]
    assert (change.idxmax() if rose == "rose" else change.idxmin()) == wanted
    assert ("change.idxmax()" if rose == "rose" else "change.idxmin()") in "\n".join(lines)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Which addresses are in section INVITED but not in section ACCEPTED?", ["a", "b"]),
        ("Which addresses in INVITED are missing in ACCEPTED?", ["a", "b"]),
        ("Who is in ACCEPTED and not in INVITED?", ["d"]),
        ("Who is not in INVITED but in ACCEPTED?", ["d"]),
        ("Who is in both INVITED and ACCEPTED?", ["c"]),
        ("Who is in INVITED or in ACCEPTED?", ["a", "b", "c", "d"]),
    ],
)
def test_two_lists_of_a_text_are_compared_by_the_line_as_it_stands(question, wanted):
    named = sorted(("INVITED", "ACCEPTED"), key=question.index)
    lines = idioms(question, (), [Named("section", name) for name in named])
    rows = pd.DataFrame({"section": ["INVITED"] * 3 + ["ACCEPTED"] * 2, "line": ["a", "b", "c", "c", "d"]})
    assert run(lines, rows=rows)["result"] == wanted


def test_one_list_of_a_text_is_selected():
    (line,) = idioms("How many addresses are in INVITED?", (), [Named("section", "INVITED")])
    assert line.startswith("selected = rows[rows['section'] == 'INVITED']")
