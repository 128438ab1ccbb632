"""A zoo of frames, shown everywhere: to the model, in the tree, on an agent's page, in the log and its export."""

import ast
import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid

import nbformat
import numpy as np
import pandas as pd
import pytest
from run_parts import asking

from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.records import load
from rlm_jupyter.records.export import to_notebook, to_script
from rlm_jupyter.values.describe.api import describe, render
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import show_agent, tree
from rlm_jupyter.views.widget_messages import rows as wire_rows
from rlm_jupyter.views.widget_messages import run_fields


class Colour(enum.Enum):
    RED = 1


class Odd:
    """An item that can be compared with nothing."""

    def __lt__(self, _):
        raise RuntimeError("no order")

    def __eq__(self, _):
        raise RuntimeError("no equality")

    def __hash__(self):
        raise RuntimeError("no hash")


ZOO = {
    "equal names": pd.DataFrame([[1, "x", 2]], columns=["a", "a", "b"]),
    "equal names in levels": pd.DataFrame([[1, "x"]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "b")])),
    "all sorts": pd.DataFrame({"v": ["a", 46, None, 2.5, b"x", (1, 2), {"k": 1}, decimal.Decimal("1.10")]}),
    "bins": pd.DataFrame({"b": pd.cut([1, 5, 9], [0, 3, 6, 10])}),
    "far days": pd.DataFrame({"d": [dt.datetime.fromisoformat("9999-12-31"), dt.date(1, 1, 1)]}, dtype=object),
    "far stamps": pd.DataFrame({"t": np.array(["0001-01-01", "9999-01-01"], dtype="M8[s]")}),
    "huge": pd.DataFrame({"i": [2**70, 1]}),
    "no rows": pd.DataFrame({"a": []}),
    "no columns": pd.DataFrame(index=[1, 2]),
    "nothing": pd.DataFrame(),
    "no rows in levels": pd.DataFrame(columns=pd.MultiIndex.from_tuples([("a", "b")])),
    "odd names": pd.DataFrame([[1, 2, 3, 4]], columns=[None, 1, ("a", 1), dt.date(2024, 1, 1)]),
    "no name": pd.DataFrame({float("nan"): [1]}),
    "long name": pd.DataFrame({"x" * 1000: [1]}),
    "lines in names": pd.DataFrame({"a\nb": ["c\nd"]}),
    "names of days": pd.DataFrame([[1]], columns=pd.DatetimeIndex(["2020"])),
    "names of categories": pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"], name="n")),
    "levels of rows": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (1, "y")], names=["k", None])),
    "equal rows": pd.DataFrame({"a": [1, 2]}, index=["x", "x"]),
    "rows of intervals": pd.DataFrame({"a": [1, 2]}, index=pd.interval_range(0, 2)),
    "rows of moments": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020", periods=2, tz="Asia/Tokyo")),
    "periods": pd.DataFrame({"p": pd.period_range("2020", periods=2, freq="M")}),
    "sparse": pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1])}),
    "nullable": pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    "arrow": pd.DataFrame({"c": pd.array([1, None], dtype="int64[pyarrow]")}),
    "objects": pd.DataFrame({"u": [uuid.UUID(int=1)], "p": [pathlib.Path("x")], "t": [dt.time(1)], "d": [decimal.Decimal(1)]}),
    "spans": pd.DataFrame({"t": pd.to_timedelta([1, None])}),
    "complex": pd.DataFrame({"c": [1j, 2]}),
    "all missing": pd.DataFrame({"c": [None, None], "k": pd.Categorical([None, None])}),
    "missing and text": pd.DataFrame({"c": [float("nan"), "x"]}),
    "lists": pd.DataFrame({"c": [[1], [2]]}),
    "arrays": pd.DataFrame({"c": [np.array([1, 2]), np.array([3, 4])]}),
    "infinite": pd.DataFrame({"f": [np.inf, -np.inf, np.nan]}),
    "half": pd.DataFrame({"f": np.array([1, 2], dtype="f2")}),
    "wide": pd.DataFrame(np.zeros((2, 100))),
    "series": pd.Series([1, 2], name=("x", 1)),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Answer with each frame as it came, in one run; and tell of each as a variable and as part of the value."""
    with asking(tmp_path_factory.mktemp("zoo")) as ask:
        code = "for _name, _frame in context.items():\n    globals()[_name.replace(' ', '_')] = _frame"
        yield ask({"root": [code, "SHOW_VARS()\nFINAL(context)"]}, context=ZOO)


def same(one, other):
    check = pd.testing.assert_series_equal if isinstance(one, pd.Series) else pd.testing.assert_frame_equal
    check(one, other)
    return True


@pytest.mark.parametrize("name", ZOO)
def test_a_frame_comes_back_and_is_a_variable_with_its_shape(run, name):
    assert same(run.value[name], ZOO[name])
    told = run.agents["0"].variables[name.replace(" ", "_")]
    assert told["shape"] == list(ZOO[name].shape)
    assert " x ".join(f"{side:,}" for side in ZOO[name].shape) in told["summary"]
    assert len(told["columns"]) == (1 if name == "series" else min(ZOO[name].shape[1], 40))
    assert same(run.agents["0"].pull(name.replace(" ", "_")), ZOO[name])


def test_all_views_show_the_run(run):
    state = run.tree
    for shown in (tree(state), show_agent(state, "0"), static_html(state)):
        assert "equal_names" in shown or "Question" in shown
    assert json.loads(json.dumps([wire_rows(state), run_fields(state), detail(state, "0")]))
    nbformat.validate(nbformat.from_dict(to_notebook(state)))
    ast.parse(to_script(state))
    assert set(load(run.log_path).tree.agents["0"].variables) == set(state.agents["0"].variables)


@pytest.mark.parametrize("name", ["equal names", "odd names", "bins", "huge"])
def test_a_frame_alone_is_context_and_answer_and_shown(tmp_path, name):
    with asking(tmp_path) as ask:
        run = ask({"root": ["print(context)\nSHOW_VARS()\nFINAL(context)"]}, context=ZOO[name])
        assert same(run.value, ZOO[name])
        assert run.agents["0"].variables["context"]["shape"] == list(ZOO[name].shape)
        for shown in (tree(run.tree), static_html(run.tree)):
            assert "DataFrame" in shown


@pytest.mark.parametrize("name", ZOO)
def test_without_sample_rows_a_description_quotes_no_data(name):
    about = describe(ZOO[name], rows=0)
    assert about["shape"] == list(ZOO[name].shape)
    assert not any(about["rows"]) if about["rows"] else True
    for column in about["columns"]:
        assert not {"range", "examples", "top"} & set(column)
    assert render(about, name="x")


def test_one_column_that_nobody_can_read_hides_no_other():
    about = describe(pd.DataFrame({"odd": [Odd(), Odd()], "colour": [Colour.RED] * 2, "n": [1, 2]}))
    assert [column["name"] for column in about["columns"]] == ["odd", "colour", "n"]
    assert about["columns"][2]["range"] == ["1", "2"]
    assert about["summary"].startswith("DataFrame 2 x 3")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("equal names", "column `a`: 2 columns have this name"),
        ("equal names in levels", "column `a`: missing"),
        ("odd names", "column `None`: not asked for"),
        ("nothing", "column `a`: missing"),
    ],
)
def test_columns_that_were_asked_for_are_told_in_words(name, says):
    with pytest.raises(ValueError, match=says):
        AnswerSchema({"a": "int64", "b": "int64"}).validate(ZOO[name])


# Large integers: a page rounds numbers beyond 2**53, so that they travel as text.

LARGE = (9007199254740993, -9223086934292230710, 2**64 - 1, 10**40 + 1)
INTEGERS = {
    "int64": pd.DataFrame({"id": [LARGE[0], LARGE[1]]}),
    "uint64": pd.DataFrame({"id": np.array([LARGE[2]], dtype="uint64")}),
    "nullable": pd.DataFrame({"id": pd.array([LARGE[0], None], dtype="Int64")}),
    "arrow": pd.DataFrame({"id": pd.array([LARGE[0], None], dtype="int64[pyarrow]")}),
    "objects": pd.DataFrame({"id": [LARGE[3], LARGE[0]]}, dtype=object),
    "index": pd.DataFrame({"id": ["x"]}, index=[LARGE[0]]),
    "dict": {"id": LARGE[0], "neg": LARGE[1], "big": LARGE[3]},
    "keys": {LARGE[0]: LARGE[2]},
    "list": [{"id": LARGE[0]}, {"id": LARGE[3]}],
    "array": np.array([LARGE[0], LARGE[1]]),
    "alone": LARGE[0],
    "numpy": np.int64(LARGE[1]),
}


def integers_in(value):
    if isinstance(value, dict):
        return set().union(*(integers_in(part) for part in [*value.keys(), *value.values()]))
    if isinstance(value, (list, tuple)):
        return set().union(*map(integers_in, value))
    return {value} if isinstance(value, int) else set()


@pytest.mark.parametrize("name", INTEGERS)
def test_large_integers_have_all_their_digits_wherever_they_are_shown(tmp_path, name):
    given = INTEGERS[name]
    digits = [
        str(n)
        for n in LARGE
        if str(n) in (given.to_json() if isinstance(given, pd.DataFrame) else repr(given))
    ]
    digits = digits or [str(LARGE[0])]
    with asking(tmp_path) as ask:
        run = ask({"root": ["found = context", "FINAL(context)"]}, context=given)
        page = detail(run.tree, "0")
        wire = json.dumps([page, wire_rows(run.tree), run_fields(run.tree)])
        assert all(abs(n) <= 2**53 for n in integers_in(json.loads(wire)))
        prompt = run.agents["0"].messages[1]["content"]
        places = [prompt, tree(run.tree), static_html(run.tree), wire, json.dumps(page["variables"])]
        for shown in places[:1] if name in ("index", "array") else places:  # views show columns alone
            assert digits[0] in shown
        assert (
            (run.value == given)
            if not isinstance(given, (pd.DataFrame, np.ndarray))
            else len(run.value) == len(given)
        )
