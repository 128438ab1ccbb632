"""What a step tells besides its place: rows in and out, conditions, and which steps a part of the answer rests on."""

import ast

import pandas as pd
import pytest
from answer_code_runs import ORDERS, Case
from answer_steps import assert_parts_give_their_values, assert_rows_are_true
from run_parts import asking

from rlm_jupyter.answer_code.code_places import Origin, places_of
from rlm_jupyter.answer_code.filter_texts import conditions_of, masks_of
from rlm_jupyter.answer_code.row_counts import rows_of, rows_of_data
from rlm_jupyter.answer_code.steps import Step
from rlm_jupyter.errors import ConfigError


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("steps")) as start:
        yield start


CELLS = [
    "north = orders[orders.supplier == 'North']\nnorth = north[north.refund > 10]\nprint(len(north))",
    "rates = orders.groupby('supplier').refund.sum()",
    "big = [float(x) for x in orders.refund if x > 4]\nbig.append(0.0)",
    "big.pop()\nbig.pop()\ncount = len(orders)",
    "answer_of = {'north': north, 'rates': rates, 'count': count, 7: len(big)}",
    "FINAL(answer_of)",
]


@pytest.fixture(scope="module")
def case():
    return Case(CELLS, context=ORDERS, names=("orders",))


@pytest.fixture(scope="module")
def code(ask, case):
    run = ask({"root": case.cells}, context=case.context, names=case.names)
    return run.code(prove=False), run


def test_rows_before_and_after_each_statement_as_far_as_the_events_tell(code):
    made, _ = code
    known = {(step.cell, step.lines[0]): (step.reads, step.writes) for step in made.steps}
    # The cell binds `north` twice: what it was in between, nobody has seen.
    assert known[1, 1] == ({"orders": 6}, {"north": None})
    assert known[1, 2] == ({"north": None}, {"north": 2})
    assert known[2, 1] == ({"orders": 6}, {"rates": 3})
    assert known[3, 1] == ({"orders": 6}, {"big": None})
    assert known[3, 2] == ({"big": None}, {"big": 5})
    assert known[4, 1] == ({"big": 5}, {"big": None})
    assert known[4, 2] == ({"big": None}, {"big": 3})
    assert known[5, 1][0] == {"big": 3, "count": None, "north": 2, "rates": 3}
    flows = [step.flow for step in made.steps]
    assert flows[:3] == ["orders 6 rows", "north 2 rows", "orders 6 → rates 3 rows"]


def test_the_rows_are_those_that_the_variables_had(code, case):
    made, run = code
    assert assert_rows_are_true(made, run.events, case) > 10


def test_each_part_rests_on_a_smaller_slice(code):
    made, _ = code
    assert made.parts == ("north", "rates", "count", 7)
    cells = {key: sorted({step.cell for step in made.part(key)}) for key in made.parts}
    assert cells == {"north": [1, 5, 6], "rates": [2, 5, 6], "count": [4, 5, 6], 7: [3, 4, 5, 6]}
    assert [step.lines for step in made.part("count") if step.cell == 4] == [(3, 3)]
    with pytest.raises(ConfigError, match=r"has no part `'south'`. It has: `'north'`"):
        made.part("south")


@pytest.mark.parametrize(
    "cells",
    [
        ["found = {'a': len(orders)}\nfound['b'] = 2", "FINAL(found)"],
        ["rows = []\nfound = {'a': rows, 'b': 1}\nrows.append(len(orders))", "FINAL(found)"],
        ["more = {'b': 2}", "FINAL({'a': len(orders), **more})"],
        ["key = 'a'", "FINAL({key: len(orders), 'b': 2})"],
        ["FINAL([*orders.supplier])"],
        ["FINAL(orders.groupby('supplier').refund.sum())"],
        ["found = [1, 2] if len(orders) else [3]", "FINAL(found)"],
        ["for name in ['a']:\n    found = {name: len(orders)}", "FINAL(found)"],
        ["exec('n = len(orders)')", "FINAL({'a': n, 'b': 2})"],
        ["if len(orders):\n    FINAL({'a': 1, 'b': len(orders)})"],
    ],
)
def test_where_the_code_does_not_tell_the_parts_apart_each_rests_on_the_whole(ask, cells):
    made = ask({"root": cells}, context=ORDERS, names=("orders",)).code(prove=False)
    assert made.parts == ()
    assert made.part("a") == made.steps


def test_a_part_has_the_sub_agents_that_it_needs_and_no_others(ask):
    cells = [
        "n = rlm_query('count', orders)",
        "def ask(x):\n    return rlm_query('first', x)\nname = ask(orders.supplier)",
        "FINAL((n, name, len(orders), rlm_query('count', orders.head(2))))",
    ]
    subs = {"count": ["FINAL(len(context))"], "first": ["FINAL(context.iloc[0])"]}
    run = ask({"root": cells, **subs}, context=ORDERS, names=("orders",))
    assert run.value == (6, "North", 6, 2)
    made = run.code(prove=False)
    agents = [sorted({step.agent for step in made.part(key)}) for key in made.parts]
    assert agents == [["0", "0.1"], ["0", "0.2"], ["0"], ["0", "0.3"]]


CONDITIONS = {
    "late = orders[orders.days > 3]": ["orders.days > 3"],
    "late = orders.loc[(orders.a > 3) & ~orders.b.isin([1]), 'x']": ["(orders.a > 3) & ~orders.b.isin([1])"],
    "n = orders[mask]['x'][~mask].sum()": ["orders.day.between(1, 2)", "~mask"],
    "late = orders.query('days >  3\\n and x')": ["days > 3 and x"],
    "late = frame.filter(pl.col('a') > 3)": ["pl.col('a') > 3"],
    "few = orders.filter(items=['a']).dropna(subset=['b']).head(3)": ["dropna(subset=['b'])", "head(3)"],
    "big = [x for x in xs if x > 4 if x]": ["x > 4", "x"],
    "for row in rows:\n    if row.x > 3:\n        found.append(row)": ["row.x > 3"],
    "kept = list(filter(is_late, rows))": ["is_late"],
    "x = orders['days'] + orders.iloc[0]": [],
    "x = table[names]": [],
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_the_conditions_that_choose_rows(text):
    masks = masks_of(ast.parse("mask = orders.day.between(1, 2)\nother = a > 1\nother = 3").body)
    assert masks == {"mask": "orders.day.between(1, 2)"}
    assert list(conditions_of(ast.parse(text), masks)) == CONDITIONS[text]


def test_conditions_are_bounded():
    text = "x = a[" + " | ".join(f"(b == {n})" for n in range(300)) + "]"
    (found,) = conditions_of(ast.parse(text), {})
    assert len(found) == 200
    many = ast.parse("\n".join(f"x = a[b == {n}]" for n in range(50)))
    assert len(conditions_of(many, {})) == 4


@pytest.mark.parametrize(
    ("described", "rows"),
    [
        ({"type": "DataFrame", "shape": [7, 2]}, 7),
        ({"type": "Series", "shape": [7]}, 7),
        ({"type": "list", "length": 3}, 3),
        ({"type": "str", "length": 3}, None),
        ({"type": "dict", "length": 3}, None),
        ({"type": "DataFrame", "shape": [None, 2]}, None),
        ({"type": "DataFrame", "shape": ["7", 2]}, None),
        ({"type": "DataFrame", "shape": [True]}, None),
        ({"type": "list", "length": -1}, None),
        ({"type": "list", "length": 2**70}, None),
        ({"shape": "7"}, None),
        (None, None),
        ("list", None),
    ],
)
def test_the_rows_of_a_description_that_may_have_any_shape(described, rows):
    assert rows_of(described) == rows


def test_data_of_several_variables_has_the_rows_of_its_tables(ask):
    context = {"orders": pd.DataFrame({"a": range(1234)}), "notes": "text"}
    made = ask(
        {"root": ["FINAL(len(orders) + len(notes))"]}, context=context, names=("orders", "notes")
    ).code(prove=False)
    assert made.steps[0].reads == {"notes": None, "orders": 1234}
    assert rows_of_data(
        {"items": [{"key": "a", "summary": "DataFrame 1,234,567 x 2, 1 MB"}, 7]}, ("a", "b")
    ) == {
        "a": 1_234_567,
        "b": None,
    }


def test_a_flow_names_the_data_once():
    assert (
        Step("0", 1, 1, (1, 1), {"context": 9, "orders": 9}, {"late": 1200}).flow
        == "orders 9 → late 1,200 rows"
    )
    assert Step("0.1", 1, 1, (1, 1), {"context": 9}, {"n": None}).flow == "context 9 rows"
    assert Step("0", 1, 1, (1, 1), {"x": None}, {}).flow == ""


def test_places_in_code_that_moved_repeated_or_hidden():
    source = (
        "import json\nimport re\n\ndef sub_agent_1(context):\n    x = 1\n    x = 1\n    return x\n\n"
        "def answer(orders):\n    space = {}\n    exec('''\na = 1\nb = 2\n''', space)\n    return space['b']\n"
    )
    texts = [
        ("0.1", "import re, json", "sub_agent_1"),
        ("0.1", "x = 1", "sub_agent_1"),
        ("0.1", "x = 1", "sub_agent_1"),
    ]
    texts += [("0.2", "x = 1", "sub_agent_1"), ("0", "b = 2", "answer"), ("0", "c = 3", "answer")]
    found = places_of(source, [Origin(*each) for each in texts])
    assert found == [((2, 2), (1, 1)), ((5, 5),), ((6, 6),), ((5, 5),), ((13, 13),), ()]


def test_the_parts_of_the_story_give_their_values(code, case):
    made, run = code
    assert assert_parts_give_their_values(made, run, case) == 4
