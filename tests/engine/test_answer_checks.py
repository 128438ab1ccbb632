"""Answers of a small model before they run: words without quotes, many things for one, what stands nowhere."""

import pytest

from rlm_jupyter.engine.agent import answer_checks
from rlm_jupyter.engine.agent.answer_checks import (
    AnswerKinds,
    answer_in_words,
    counts,
    left_out,
    nearest_word,
    unseen_words,
)

SHOWN = "Output:\nHollis    743\nProject Amber is led by Rossi.\nargparse.py 5"


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("FINAL(Hollis)", "FINAL('Hollis')"),
        ("Final(Project Amber)\n", "FINAL('Project Amber')"),
        ("FINAL(argparse.py)", "FINAL('argparse.py')"),
        ("FINAL(Holl)", None),
        ("FINAL(result)", None),
        ("FINAL(result.idxmax)", None),
        ("FINAL(743)", None),
        ("FINAL('Hollis')", None),
        ("FINAL(None)", None),
        ("x = 1\nFINAL(Hollis)", None),
        ("FINAL(Hollis" + "x" * 200 + ")", None),
    ],
)
def test_a_word_that_was_shown_and_is_no_variable_is_a_text(code, meant):
    assert answer_in_words(code, {"result": {}}, SHOWN) == meant


LIST = {"type": "list", "length": 4, "summary": "list of 4 items"}
TABLE = {"type": "DataFrame", "shape": [5, 2], "summary": "DataFrame 5 x 2"}
ONE = {"type": "Series", "shape": [1], "summary": "Series 1"}


@pytest.mark.parametrize(
    ("question", "about", "told"),
    [
        ("How many users are there?", LIST, "FINAL(len(x))"),
        ("What is the access code of the archive?", LIST, "asks for one thing"),
        ("Which region has the largest revenue?", TABLE, "DataFrame 5 x 2"),
        ("Who is the keeper?", LIST, "one thing"),
        ("Which region has the largest revenue?", ONE, None),
        ("Which alarms were confirmed? List their codes.", LIST, None),
        ("Which error codes are there?", LIST, None),
        ("Which customers ordered twice?", TABLE, None),
        ("List all pairs of users.", LIST, None),
        ("Make a table of the sums by region.", TABLE, None),
        ("What is the total for each region?", TABLE, None),
        ("How many users are there?", {"type": "int", "summary": "int 5"}, None),
        ("How many users are there?", {}, None),
    ],
)
def test_many_things_are_sent_back_once_where_one_is_asked_for(question, about, told):
    kinds = AnswerKinds(question)
    found = kinds.refuse("FINAL(x)", {"x": about})
    assert (found is None) == (told is None)
    if told is not None:
        assert told in found
        assert kinds.refuse("FINAL(x)", {"x": about}) is None
        assert AnswerKinds(question).refuse("FINAL(len(x))", {"x": about}) is None


def test_questions_for_several_things_are_known():
    for question in (
        "Which projects are led by her?",
        "List the codes.",
        "Which of them import it?",
        "Name all users who paid.",
    ):
        assert AnswerKinds(question).several
    for question in (
        "In which city is it?",
        "Each line has a date. Which user wrote most?",
        "How many pairs are there?",
    ):
        assert not AnswerKinds(question).several


def test_names_and_numbers_of_an_answer_must_have_been_shown():
    assert unseen_words("FINAL('Rossi')", SHOWN) is None
    assert unseen_words("FINAL(['Rossi', 'Weber'])", SHOWN) == "Weber"
    assert unseen_words("FINAL('the lead is Rossi')", SHOWN) is None
    assert unseen_words("FINAL(744)", SHOWN) == "744"
    assert unseen_words("FINAL(74)", SHOWN) == "74"
    assert unseen_words("FINAL(['D-123'])", "such as Z-123: D-122 was confirmed") == "D-123"
    assert unseen_words("FINAL('nobody at all')", SHOWN) == "nobody at all"
    assert unseen_words("FINAL(x)", SHOWN) is None
    assert unseen_words("x = 1", SHOWN) is None
    assert unseen_words("FINAL(...)", SHOWN) is None


def test_what_has_to_be_computed_over_all_of_the_data_is_not_read_off_lines():
    for question in (
        "How many memos name Rossi?",
        "How often is it said?",
        "What is the most common word?",
        "The total?",
    ):
        assert counts(question)
    for question in (
        "How many euros may she spend?",
        "Who leads it?",
        "What is the code?",
        "How many seats has the hall?",
    ):
        assert not counts(question)


LED = """['Memo 4'] Rossi works in Helsinki.
['Memo 5'] Haddad works in Helsinki.
['Memo 6'] Project Amber is led by Rossi.
['Memo 7'] Project Emerald is led by Haddad.
"""


def test_a_list_read_from_lines_is_held_against_all_lines_of_their_form():
    line, items = left_out("FINAL(['Project Amber'])", LED)
    assert line == "Project Emerald is led by Haddad."
    assert items == ["Project Amber", "Project Emerald"]
    assert left_out("FINAL(['Amber'])", LED)[1] == ["Amber", "Emerald"]
    assert left_out("FINAL(['Amber', 'Emerald'])", LED) is None
    assert left_out("FINAL('Amber')", LED) is None
    assert left_out("FINAL(['Basalt'])", LED) is None
    kinds = AnswerKinds("Which projects are led by people in Helsinki?")
    assert "`FINAL(['Amber', 'Emerald'])`" in kinds.incomplete("FINAL(['Amber'])", LED)
    assert kinds.incomplete("FINAL(['Amber'])", LED) is None
    assert AnswerKinds("Which project does Rossi lead?").incomplete("FINAL(['Amber'])", LED) is None


def test_of_a_column_the_place_of_the_largest_is_told():
    about = {"type": "Series", "shape": [4], "summary": "Series 4"}
    said = AnswerKinds("Which segment has the highest share?").refuse("FINAL(x)", {"x": about})
    assert "`FINAL(x.idxmax())`" in said
    assert "idxmin" in AnswerKinds("Which segment has the lowest share?").refuse("FINAL(x)", {"x": about})
    assert "idxm" not in AnswerKinds("Which segment is it?").refuse("FINAL(x)", {"x": about})


def test_of_a_column_the_total_or_the_mean_is_told():
    about = {"x": {"type": "Series", "shape": [238], "summary": "Series 238"}}
    for question, method in (
        ("What is the total revenue of all orders by customers of the segment 'public'?", "sum"),
        ("What is the average price?", "mean"),
        ("Which segment has the highest total?", "idxmax"),
    ):
        assert f"`FINAL(x.{method}())`" in AnswerKinds(question).refuse("FINAL(x)", about)


def test_what_does_something_is_one_thing():
    about = {"x": {"type": "Series", "shape": [8], "summary": "Series 8"}}
    for question in (
        "Which supplier explains the rise?",
        "Which region sells most?",
        "Which customer is it?",
    ):
        assert AnswerKinds(question).refuse("FINAL(x)", about)
    assert AnswerKinds("Which error codes are there?").refuse("FINAL(x)", about) is None


def test_what_is_written_most_alike_is_named():
    assert (
        nearest_word("D-123", "FINAL('D-123')", "Alarm D-122 was confirmed.\nAlarm B-455 was cleared.")
        == "D-122"
    )
    assert nearest_word("Weber", "FINAL('Weber')", SHOWN) is None
    assert nearest_word("x" * 100, "FINAL('x')", SHOWN) is None


CONFIRMED = """Alarm D-137 was confirmed by the night shift.
Alarm D-122 was confirmed by the night shift.
Alarm B-455 was confirmed by the night shift.
Alarm C-908 was cleared by the night shift.
"""


def test_a_misread_word_is_none_that_the_answer_has_already():
    # Seen: `D-137`, which is as close by its parts, and stood in the answer.
    assert nearest_word("D-123", "FINAL(['D-123', 'D-137', 'B-455'])", CONFIRMED) == "D-122"
    assert nearest_word("D-123", "FINAL('D-123')", CONFIRMED) == "D-122"


def test_a_list_with_a_misread_word_is_told_as_it_would_be():
    code = "FINAL(['D-123', 'B-455', 'D-137'])"
    assert left_out(code, CONFIRMED) is None
    line, items = left_out(code, CONFIRMED, "D-123")
    assert line == "Alarm D-122 was confirmed by the night shift."
    assert items == ["D-137", "D-122", "B-455"]
    kinds = AnswerKinds("Which alarms (such as `Z-123`) were confirmed by the night shift? List their codes.")
    assert "`FINAL(['D-137', 'D-122', 'B-455'])`" in kinds.incomplete(code, CONFIRMED, "D-123")
    assert left_out("FINAL(['D-123'])", CONFIRMED, "D-123") is None


@pytest.mark.parametrize(
    "question",
    [
        "How many orders are there per region?",
        "How many orders does each customer have?",
        "Which users complained, and how many times each?",
        "How many orders were placed by month?",
        "How many of the orders are late and how many are on time?",
        "Which region has the highest total, and what is it?",
        "What is the mean and the median of the price?",
        "What is the average price by category?",
        "What is the distribution of ages?",
        "What is the monthly revenue?",
        "What is the top 5 of products by revenue?",
        "Which customer spent most in each month?",
        "Which product sold best and how much did it earn?",
        "Who are the three best customers?",
        "Who ordered both apples and pears?",
        "Which people never ordered?",
        "Which customers ordered when the shop was closed?",
    ],
)
def test_several_values_are_taken_where_a_question_asks_for_parts(question):
    for about in (LIST, TABLE, {"type": "tuple", "length": 2}, {"type": "Series", "shape": [5]}):
        assert AnswerKinds(question).refuse("FINAL(x)", {"x": about}) is None


@pytest.mark.parametrize(
    "question",
    [
        "Each line has a date and a user. Which user wrote most?",
        "How many users have at least 2 orders?",
        "How many alarms were confirmed by the night shift?",
        "Who wrote the most lines?",
        "When did it begin?",
    ],
)
def test_one_thing_is_still_asked_for_where_the_words_of_parts_stand_elsewhere(question):
    assert AnswerKinds(question).refuse("FINAL(x)", {"x": LIST})


def test_a_judgement_need_not_have_been_shown():
    for answer in ("'Yes'", "'no'", "True", "False", "None", "'No'", "'neither'"):
        assert unseen_words(f"FINAL({answer})", SHOWN) is None
    assert unseen_words("FINAL('No, Weber')", SHOWN) == "Weber"


def test_lines_of_another_than_the_question_names_are_not_left_out():
    visits = "Bob visited Paris.\nBob visited Rome.\nAlice visited Berlin.\n"
    kinds = AnswerKinds("Which cities did Bob visit? List them.")
    assert kinds.incomplete("FINAL(['Paris', 'Rome'])", visits) is None
    assert "'Rome'" in kinds.incomplete("FINAL(['Paris'])", visits)


def test_many_lines_of_one_form_are_compared_once(monkeypatch):
    lines = [f"Alarm {' '.join(f'A-{n}' for n in range(20))} at B-{line}" for line in range(200)]
    answer = [f"A-{n}" for n in range(20)]
    compared = []
    alike = answer_checks._NAMES

    class Counted:
        def __getattr__(self, name):
            compared.append(name)
            return getattr(alike, name)

    monkeypatch.setattr(answer_checks, "_NAMES", Counted())
    left_out(f"FINAL({answer!r})", "\n".join(lines))
    assert len(compared) <= 1000
