"""The graders: right answers in any usual form are right; hedges, dumps and other types are not."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.answer_forms import leaves, numbers_in
from benchmarks.quality.graders import Day, Number, Pairs, Tokens, tokens, words


def short(value):
    if isinstance(value, (set, frozenset)):  # whose order differs from process to process
        return f"{type(value).__name__} of {sorted(value)}"
    return repr(value)[:40]


CITIES = ["Oslo", "Riga", "Bern", "Rome"]
ROWS = pd.DataFrame({"label": list("abcabc"), "count": [1234, 2, 3, 4, 5, 6]})


@pytest.mark.parametrize(
    "answer",
    [
        *(1234, 1234.0, np.int64(1234), np.float64(1234), Decimal(1234)),
        *("1234", "1,234", "$1,234.00", " 1,234 EUR\n", "1234.", "**1,234**", "The total is 1,234.", "=1234"),
        *([1234], (1234,), {1234}, ["1,234"], {"total": 1234}, np.array([1234]), np.array(1234)),
        *(pd.Series([1234]), pd.Series([1234], index=["b"]), pd.DataFrame({"total": [1234]})),
        pd.DataFrame({"total": [1234]}, index=[17]),
        pd.DataFrame({"label": ["b"], "count": [1234]}),
        "There are 1,234 of 3,000 lines.",
        "It is 1234. So the answer is 1,234.",
    ],
    ids=short,
)
def test_a_number_is_right_in_any_form(answer):
    assert Number(1234, beside=frozenset({3000})).judge(answer) == "right"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *((1235, "wrong"), (-1234, "wrong"), ("-1234", "wrong"), ("1 234 567", "wrong"), ("12345", "wrong")),
        *(("1234 or 1235", "wrong"), ("between 1,000 and 1,234", "wrong"), ([1234, 5], "wrong")),
        *(([1234, 1234], "wrong"), ("It is not 1234.", "wrong"), ("I cannot find it, perhaps 1234", "wrong")),
        *(
            ({"b": 1234, "c": 7}, "wrong"),
            (ROWS, "wrong"),
            (pd.Series([1234, 1234]), "wrong"),
            (3000, "wrong"),
        ),
        *(
            (None, "wrong type"),
            (True, "wrong type"),
            ("", "wrong type"),
            ("many", "wrong type"),
            ([], "wrong type"),
        ),
        *((float("nan"), "wrong type"), ("R1234", "wrong type"), ("1234 " * 200, "wrong type")),
        (pd.concat([ROWS] * 400), "wrong type"),
    ],
    ids=short,
)
def test_what_is_not_that_number_is_wrong(answer, verdict):
    assert Number(1234, beside=frozenset({3000})).judge(answer) == verdict


def test_one_is_not_true_and_small_numbers_may_be_words():
    assert Number(1).judge(True) == "wrong type"
    assert Number(1).judge(np.True_) == "wrong type"
    assert Number(9).judge("Nine reviews are negative.") == "right"
    assert Number(9).judge("Nine or ten.") == "wrong"


def test_a_number_may_differ_by_the_tolerance_only():
    grader = Number(50.56, 0.0051)
    assert [grader.judge(answer) for answer in (50.563, "$50.56", 50.57)] == ["right", "right", "wrong"]


@pytest.mark.parametrize(
    "answer",
    [
        *("E1042, E2210", "e2210 and E1042", '["E1042", "E2210"]', "The codes are E1042 and E2210."),
        *(["E1042", "E2210"], ("E2210", "E1042"), {"E1042", "E2210"}, frozenset({"E1042", "E2210"})),
        *(
            np.array(["E1042", "E2210"]),
            pd.Series(["E1042", "E2210"]),
            pd.DataFrame({"code": ["E1042", "E2210"]}),
        ),
        *(pd.Index(["E1042", "E2210"]).to_list(), "- E1042\n- E2210", {"E1042": 1, "E2210": 1}),
    ],
    ids=short,
)
def test_tokens_are_right_in_any_form(answer):
    assert (
        tokens(["E1042", "E2210"], r"\b[A-Z]\d+\b" if not isinstance(answer, str) else r"(?i)\be\d+\b").judge(
            answer
        )
        == "right"
    )


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *(("E1042", "wrong"), (["E1042", "E2210", "E3377"], "wrong"), ("E1042, E2210, E9999", "wrong")),
        *((["ERROR", "ERROR"], "wrong type"), ("", "wrong type"), (None, "wrong type"), (5, "wrong type")),
        *(("E1042, E2210 are not present", "wrong"), ("E1042 and E2210. " + "x" * 400, "wrong type")),
    ],
    ids=short,
)
def test_tokens_are_all_of_them_and_no_other(answer, verdict):
    assert tokens(["E1042", "E2210"], r"\b[A-Z]\d+\b").judge(answer) == verdict


def test_a_number_is_a_token_too():
    grader = tokens("48213977", r"\d+")
    assert grader.judge(48213977) == grader.judge("The code is 48213977.") == "right"
    assert grader.judge("48213977 or 48213978") == grader.judge(4821397) == "wrong"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *(
            ("Oslo", "right"),
            ("oslo.", "right"),
            ("She works in Oslo, the capital.", "right"),
            (["Oslo"], "right"),
        ),
        *(("Oslo or Riga", "wrong"), ("Riga", "wrong"), ("Osloer", "wrong type"), ("Paris", "wrong type")),
        *((["Oslo", "Paris"], "wrong"), ("Oslo, Paris", "wrong"), (", ".join(CITIES), "wrong")),
        *((pd.Series([7], index=["Oslo"]), "right"), ("Bern is succeeded by Oslo", "right")),
    ],
    ids=short,
)
def test_names_out_of_a_domain(answer, verdict):
    assert words("Oslo", CITIES, but=frozenset({"Bern"})).judge(answer) == verdict


def test_an_invented_name_in_a_list_is_wrong():
    grader = Tokens(frozenset({"load", "dump"}), r"\w+", frozenset({"load", "dump", "loads"}))
    assert grader.judge(["load", "dump"]) == grader.judge("`load()`, `dump()`") == "right"
    assert grader.judge(["load", "dump", "made_up"]) == grader.judge("load\ndump\nmade_up") == "wrong"


@pytest.mark.parametrize(
    "answer",
    [
        *("2031-03-14", "14 March 2031", "March 14, 2031", "14th of March 2031", "2031/3/14", "14 Mar 2031"),
        *(
            dt.date(2031, 3, 14),
            dt.datetime(2031, 3, 14, 12, tzinfo=dt.UTC),
            pd.Timestamp("2031-03-14"),
            np.datetime64("2031-03-14"),
        ),
        *(["2031-03-14"], "The contract with Hollis Ltd ends on 14 March 2031."),
    ],
    ids=short,
)
def test_a_day_is_right_in_any_form(answer):
    assert Day(2031, 3, 14).judge(answer) == "right"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *(("2031-03-15", "wrong"), ("March 2031", "wrong"), ("14 March 2031 or 15 March 2031", "wrong")),
        *(
            ("2031", "wrong type"),
            (14, "wrong type"),
            (None, "wrong type"),
            ("2031-03-14\n" * 100, "wrong type"),
        ),
        ("river stone " * 60 + "The contract ends on 14 March 2031.", "wrong type"),
    ],
    ids=short,
)
def test_another_day_is_wrong(answer, verdict):
    assert Day(2031, 3, 14).judge(answer) == verdict


def test_a_month():
    grader = Day(2026, 1)
    right = ["2026-01", "January 2026", "Jan 2026", pd.Period("2026-01", "M"), pd.Timestamp("2026-01-01")]
    right += [pd.Series([243], index=["2026-01"]), "2026-01 (243 entries)"]
    assert [grader.judge(answer) for answer in right] == ["right"] * len(right)
    wrong = ["2026-02", "2026-01, 2026-02", pd.Series([3, 2], index=["2026-01", "2026-03"])]
    assert [grader.judge(answer) for answer in wrong] == ["wrong"] * len(wrong)
    assert grader.judge("billing") == grader.judge(1) == "wrong type"


def test_pairs():
    grader = Pairs(frozenset({(101, 103), (101, 105)}))
    right = [
        [(101, 103), (105, 101)],
        {(101, 103), (101, 105)},
        "(101, 103), (101, 105)",
        [[101, 103], [101, 105]],
    ]
    right += [
        {frozenset({101, 103}), frozenset({101, 105})},
        pd.DataFrame([(101, 103), (101, 105)]),
        "101-103\n101-105",
    ]
    assert [grader.judge(answer) for answer in right] == ["right"] * len(right)
    assert grader.judge([(101, 103)]) == grader.judge([(101, 103), (101, 105), (103, 105)]) == "wrong"
    assert grader.judge([101]) == grader.judge(None) == "wrong type"


def test_an_endless_answer_is_read_to_a_bound():
    assert len(leaves(range(10**9))) == 20_000
    nested = []
    nested.append(nested)
    assert leaves(nested) == []


def test_numbers_are_read_as_people_write_them():
    assert numbers_in("€1,234.50, -7, −8 and 1e3; R55, v2") == [1234.5, -7, -8, 1000]  # noqa: RUF001
