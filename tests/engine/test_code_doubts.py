"""What is doubted in code that ran: each kind of silent mistake, once, and nothing in code that is right."""

import pandas as pd
import pytest

from rlm_jupyter.engine.agent.code_doubts import CodeDoubts
from rlm_jupyter.engine.agent.question_idioms import idioms


def doubts(code, question="How many?", *, mapping="context", column="message"):
    found = CodeDoubts(question)
    found.mapping, found.column = mapping, column
    return found.of(code)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "x = [line for line in lines if 'was confirmed']",
            "alone is always true: write `'was confirmed' in line`",
        ),
        ("for line in lines:\n    if 'a' in line and 'b':\n        n += 1", "The condition 'b' alone"),
        ("x = [line for line in context if 'def' in line]", "goes over the names of the texts"),
        ("for text in context:\n    n += text.count('def')", "`for name, text in context.items():`"),
        (
            "d = table.sort_values('day')\nx = [d.at[i, 'v'] > d.at[i - 1, 'v'] for i in range(1, 9)]",
            "reset_index(drop=True)",
        ),
        ("x = rows[rows['date'] == '2025']", "`rows['date'].dt.strftime('%Y') == '2025'`"),
        ("x = rows[rows['date'] == '2025-11']", "`rows['date'].str.startswith('2025-11')`"),
        (
            "x = rows[rows['message'].str.contains('billing')]",
            'rows["label"] = classify(rows["message"], [...])',
        ),
        ("x = (rows['message'] == 'billing').sum()", "Let a model judge first"),
    ],
)
def test_a_silent_mistake_is_told_once(code, told):
    (only,) = doubts(code)
    assert told in only
    found = CodeDoubts("How many?")
    found.mapping, found.column = "context", "message"
    assert found.of(code)
    assert found.of(code) == []


@pytest.mark.parametrize(
    "code",
    [
        "x = [line for line in lines if 'was confirmed' in line]",
        "for name in context:\n    n += context[name].count('def')",
        "for name, text in context.items():\n    n += text.count('def')",
        "d = table.sort_values('day').reset_index(drop=True)\nx = d.at[i - 1, 'v']",
        "d = table.sort_values('day', ignore_index=True)\nx = d.loc[i - 1, 'v']",
        "x = rows[rows['date'].dt.strftime('%Y') == '2025']",
        "x = rows[rows['id'] == '20251']",
        "x = rows['other'].str.contains('billing')",
        'rows["label"] = classify(rows["message"], ["a", "b"])',
        "x = (",
        "print(context)",
    ],
)
def test_right_code_is_not_doubted(code):
    assert doubts(code) == []


def test_nothing_is_doubted_of_data_that_is_not_there():
    assert doubts("x = [line for line in context if 'a' in line]", mapping="") == []
    assert doubts("x = rows['message'].str.contains('a')", column="") == []


def test_what_the_question_names_in_quotes_has_to_be_used():
    question = "In which month are there most lines about 'delivery'? It isn't Bob's."
    (told,) = doubts("x = rows['date'].dt.month.value_counts().idxmax()", question)
    assert "does not use 'delivery'" in told
    assert doubts("x = (rows['label'] == 'Delivery').sum()", question) == []
    assert doubts("print(rows.head())", question) == []


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


def test_of_a_table_the_line_that_selects_is_told():
    found = CodeDoubts("In which month are there the most entries labelled 'billing'?")
    found.table = "rows"
    (only,) = found.of("n = rows['date'].dt.month.value_counts()")
    assert "`rows = rows[(rows == 'billing').any(axis=1)]`" in only
    rows = pd.DataFrame({"n": [1, 2], "label": ["billing", "praise"]})
    assert rows[(rows == "billing").any(axis=1)]["n"].tolist() == [1]


def test_most_questions_need_no_such_line():
    assert idioms("Which of two consecutive visits was longer?") == []
    assert idioms("What is the total price of all orders?") == []
