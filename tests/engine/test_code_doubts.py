"""What is doubted in code that ran: each kind of silent mistake, once, and nothing in code that is right."""

import pandas as pd
import pytest

from rlm_jupyter.engine.agent.answer_checks import nearest_word, unseen_words
from rlm_jupyter.engine.agent.code_doubts import CodeDoubts
from rlm_jupyter.engine.agent.small_prompt import printed_expression
from rlm_jupyter.engine.reply.python_syntax import parsed


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
        (
            "users = rows[rows['kind'] == 'a']['user'].tolist()\nx = list(itertools.combinations(users, 2))",
            "write `itertools.combinations(sorted(set(users)), 2)`",
        ),
        ("x = list(combinations(rows['user'], 2))", "A value may stand in `rows['user']` more than once"),
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
        "users = rows['user'].unique()\nx = list(itertools.combinations(users, 2))",
        "users = sorted({u for u in rows['user']})\nx = list(itertools.combinations(users, 2))",
        "n = rows['user'].value_counts()\nx = list(itertools.combinations(n[n > 2].index, 2))",
        "x = list(itertools.combinations(['a', 'b', 'c'], 2))",
        "x = list(itertools.combinations(users, 2))",
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


def test_of_a_table_the_line_that_selects_is_told():
    found = CodeDoubts("In which month are there the most entries labelled 'billing'?")
    found.table = "rows"
    (only,) = found.of("n = rows['date'].dt.month.value_counts()")
    assert "`rows = rows[(rows == 'billing').any(axis=1)]`" in only
    rows = pd.DataFrame({"n": [1, 2], "label": ["billing", "praise"]})
    assert rows[(rows == "billing").any(axis=1)]["n"].tolist() == [1]


def test_with_the_labels_of_the_question_the_whole_line_is_told():
    question = (
        "It is about one of these: billing, delivery, or praise (no problem). How many are about 'billing'?"
    )
    (only,) = doubts("x = rows['message'].str.contains('billing').sum()", question)
    line = 'rows["label"] = classify(rows["message"], ["billing", "delivery", "praise"])'
    assert f"`{line}`; then" in only


def test_a_part_of_longer_values_is_doubted_where_the_term_is_a_whole_value():
    found = CodeDoubts("Which files import the module `weakref` itself?")
    found.longer = {"weakref": "name"}
    (only,) = found.of("x = rows[rows['name'].str.contains('weakref')]['file']")
    assert "write `== 'weakref'`" in only
    assert found.of("x = rows[rows['name'] == 'weakref']['file']") == []
    assert found.of("x = rows[rows['file'].str.contains('weakref')]") == []


@pytest.mark.parametrize(
    ("question", "code", "told"),
    [
        ("Users with at least 5 lines?", "x = n[n > 1].index", "says 'at least 5'"),
        ("Users with at least 5 lines?", "x = n[n >= 5].index", None),
        ("Users with at least 5 lines?", "x = n[n > 4].index", None),
        ("Rates of more than 30 percent?", "x = n[n > 0.3].index", None),
        ("Prices of at least 1,500 dollars?", "x = n.max()", None),
        ("The total of invoices of 2025-11?", "x = rows['amount'].sum()", "does not use 2025-11"),
        ("The total of invoices of 2025-11?", "x = rows[rows['date'].dt.year == 2025]['amount'].sum()", None),
        ("Dates are written as 2025-03-09. The total?", "x = rows['amount'].sum()", None),
        ("Lines on or after 2026-07-01?", "x = len(rows)", "does not use 2026-07-01"),
        ("Lines from 2026-07-01 on?", "x = len(rows)", "select by the date"),
        (
            "It may be in it twice: count it once.",
            "x = rows['n'].sum()",
            "`rows = rows.drop_duplicates('id')`",
        ),
        ("It may be in it twice: count it once.", "x = rows.drop_duplicates('id')['n'].sum()", None),
        ("It may be in it twice: count it once.", "print(rows.head())", None),
    ],
)
def test_a_condition_of_the_question_that_code_leaves_out_is_told(question, code, told):
    found = CodeDoubts(question)
    found.table, found.key = "rows", "id"
    text = " ".join(found.of(code))
    assert told in text if told else text == ""


def test_code_with_a_number_of_which_no_text_can_be_made_is_left_alone():
    assert parsed("x = 0xff") is not None
    code = f"x = 0x{'f' * 5000}\nrows = rows[rows['n'] == x]\nFINAL(x)"
    assert parsed(code) is None
    assert unseen_words(code, "nothing") is None


def test_code_that_is_nested_deeply_and_long_rules_of_hyphens_are_no_trouble():
    deep = f"a{'.f()' * 400}"
    assert parsed(deep) is not None
    assert doubts(f"pairs = itertools.combinations({deep}, 2)") == []
    assert printed_expression(f"print({deep})") is None
    # These took minutes: what is too slow runs into the time limit of the test.
    rule = "-" * 100_000
    assert unseen_words(f"FINAL('{rule} Elm-9 well-Known')", rule) == "Elm-9"
    assert unseen_words("FINAL('well-Known')", rule) == "Known"
    assert nearest_word("Elm-8", "FINAL('Elm-8')", f"{rule} Elm-9") == "Elm-9"


def test_rows_of_either_value_are_doubted_where_each_is_counted_alone():
    question = "List the pairs of users with at least 2 lines about 'tea' and at least one about 'jam'."
    code = "x = rows[(rows['label'] == 'tea') | (rows['label'] == 'jam')]\ncounts = x['user'].value_counts() >= 2"
    (told,) = CodeDoubts(question).of(code)
    assert "from `rows[rows['label'] == 'tea']` and from `rows[rows['label'] == 'jam']`" in told
    assert CodeDoubts("How many lines are about 'tea' or 'jam'?").of(code) == []
    other = "x = rows[(rows['label'] == 'tea') | (rows['user'] == 'jam')] > 2"
    assert CodeDoubts(question).of(other) == []


def test_a_column_of_true_and_false_that_code_leaves_out_is_told():
    doubts = CodeDoubts("What is the mean price of orders that were not refunded?", table="rows")
    doubts.flags = [("refunded", False)]
    (told,) = doubts.of("result = rows['price'].mean()")
    assert "`rows = rows[~rows['refunded']]`" in told
    assert doubts.of("result = rows[rows['refunded'] == False]['price'].mean()") == []
