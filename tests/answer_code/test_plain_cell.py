"""The code behind an answer as a plain cell: which answers need no function, and what such a cell binds."""

import ast

import pandas as pd
import pytest
from scripts import cell

from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

ORDERS = pd.DataFrame({"supplier": ["Ivel", "Calder", "Ivel", "Gannet"], "refund": [5.0, 1.0, 7.5, 9.0]})


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cells")
    runs = []

    def asked(*cells, **options):
        model = ScriptedModel([cell(code) for code in cells])
        runs.append(
            RLM(model=model, log_dir=directory, cache=False).run(
                "Which?", **{"context": ORDERS, "names": ("orders",), **options}
            )
        )
        return runs[-1]

    yield asked
    for run in runs:
        run.close()


def run_as_cell(source, space):
    """Run a cell in a namespace, as a notebook does; return the value of its last line."""
    *before, last = ast.parse(source).body
    exec(compile(ast.Module(before, []), "<cell>", "exec"), space)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)


PLAIN = {
    "an expression": (["top = orders.supplier.value_counts().idxmax()", "FINAL(top)"], set()),
    "a text": (["print(orders)", "FINAL('Ivel')"], set()),
    "names": (
        ["part = orders[orders.refund > 4]", "n = len(part)\nFINAL([n, part.refund.sum(), n])"],
        {"part", "n"},
    ),
    "a loop": (
        ["n = 0\nfor one in orders.refund:\n    n += one > 4\nprint(n)", "FINAL(int(n))"],
        {"n", "one"},
    ),
    "in an expression": (["FINAL([n := len(orders), n + 1])"], {"n"}),
    "an import": (["import math\nlog = orders.refund.map(math.log)", "FINAL(log[log > 1])"], {"log"}),
    "a helper": (["def half(x):\n    return x / 2\nFINAL(half(orders.refund.sum()))"], set()),
    "parts": (
        ["part = orders.groupby('supplier').refund.sum()", "FINAL({'most': part.idxmax(), 'sums': part})"],
        {"part"},
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_short_answer_is_a_cell_that_gives_the_value_and_binds_no_more_than_it_says(ask, name):
    cells, binds = PLAIN[name]
    run = ask(*cells)
    code = run.code()
    assert code.verdict == "reproduced", code.detail
    assert "answer" not in code.source
    space = {"orders": ORDERS.copy()}
    value = run_as_cell(code.source, space)
    assert value.equals(run.value) if hasattr(value, "equals") else str(value) == str(run.value)
    assert set(space) - {"__builtins__", "orders", "math", "half"} == binds
    assert space["orders"].equals(ORDERS)
    assert all(step.places for step in code.steps)


FUNCTIONS = {
    "many names": ["a = orders.refund\nb = a + 1\nc = b * a\nd = c - b\nFINAL((a + b + c + d + d).sum())"],
    "many lines": ["n = 0\n" + "".join(f"n += len(orders) * n + {i}\n" for i in range(8)) + "FINAL(n)"],
    "a builtin in an expression": ["FINAL([sum := len(orders), sum])"],
    "a builtin": ["sum = orders.refund.sum() + 1\nFINAL([sum, sum])"],
    "the data": ["orders = orders[orders.refund > 4]\nFINAL([len(orders), orders.refund.sum()])"],
    "the data, changed": ["orders['more'] = orders.refund + 1\nFINAL([orders.more.sum(), len(orders)])"],
    "an import": [
        "import math\nfrom statistics import mean\nmath = mean([math.pi, len(orders)])\nFINAL([math, math])"
    ],
    "code that hides": ["print(orders)", "exec('n = len(orders)')\nFINAL(n)"],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_would_bind_much_in_the_notebook_or_something_that_is_there_stays_a_function(ask, name):
    run = ask(*FUNCTIONS[name])
    code = run.code()
    assert code.verdict == "reproduced", code.detail
    assert "def answer(orders):" in code.source
    assert code.source.endswith("\nanswer(orders)\n")
    assert code.cell({"n", "answer"}) == code.source


def test_as_a_cell_that_must_not_bind_a_name_it_is_a_function_with_the_same_value(ask):
    run = ask("part = orders[orders.refund > 4]\nFINAL([len(part), part.refund.sum()])")
    code = run.code()
    assert code.cell() == code.cell({"rows"}) == code.source
    safe = code.cell({"part", "rows"})
    assert safe.startswith("def answer(orders):\n    part = orders[orders.refund > 4]\n")
    space = {"orders": ORDERS, "part": "mine"}
    assert run_as_cell(safe, space) == run.value
    assert space["part"] == "mine"
    assert run.function()(ORDERS.head(1)) == [1, 5.0]


def test_what_an_assignment_that_raised_would_have_bound_is_left_out(ask):
    cells = [
        "part = orders[orders.refund > 100]\nfirst = part.supplier.iloc[0]",
        "part = orders[orders.refund > 4]\nif len(part):\n    first = part.supplier.iloc[0]\nprint(first)",
        "FINAL(first)",
    ]
    code = ask(*cells).code()
    assert code.verdict == "reproduced"
    assert "try" not in code
    assert "> 100" not in code
    lost = ["print(orders)\nfound = [3]\nfirst = [found.pop(), 1 / 0]", "FINAL(found)"]
    code = ask(*lost).code()
    assert (code.verdict, "found.pop()" in code) == ("reproduced", True)
