"""Typed answers: what may be asked for, how mistakes come back to the model, and what the user gets."""

import dataclasses
import json
from decimal import Decimal
from typing import Literal, TypedDict

import numpy as np
import pandas as pd
import pydantic
import pytest
from scripts import Raw, by_question

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.engine.typed_answers.json_in_text import find_json
from rlm_jupyter.errors import ConfigError, LimitReachedError


class Verdict(pydantic.BaseModel):
    supplier: str
    rise: float = pydantic.Field(ge=0)
    tags: list[str] = []


class Row(TypedDict):
    supplier: str
    rise: float


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Node(pydantic.BaseModel):
    name: str
    children: list["Node"] = []


@pytest.fixture
def ask():
    """Run a script to its end; the run is closed at the end of the test."""
    runs = []

    def start(turns, schema=None, *, script=None, plain="plain answer", limits=None):
        model = by_question({"root": turns, **(script or {})}, plain=plain)
        rlm = RLM(model=model, limits=limits, log_dir=None, cache=False)
        runs.append(rlm.start("root", schema=schema).wait(60))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


VERDICT = "{'supplier': 'x', 'rise': 1.5}"


@pytest.mark.parametrize(
    ("schema", "code", "expected"),
    [
        (Verdict, VERDICT, Verdict(supplier="x", rise=1.5)),
        (list[Verdict], f"[{VERDICT}]", [Verdict(supplier="x", rise=1.5)]),
        (int, "__import__('numpy').int64(7)", 7),
        (float, "__import__('numpy').float32(0.5)", 0.5),
        (list[int], "__import__('numpy').arange(3)", [0, 1, 2]),
        (dict[str, int], "__import__('pandas').Series({'a': 1}).to_dict()", {"a": 1}),
        (Literal["yes", "no"], "'yes'", "yes"),
        (Row, VERDICT, {"supplier": "x", "rise": 1.5}),
        (list[Row] | None, f"[{VERDICT}]", [{"supplier": "x", "rise": 1.5}]),
        (dict[str, Row], f"{{'a': {VERDICT}}}", {"a": {"supplier": "x", "rise": 1.5}}),
        (Point, "{'x': 3}", Point(3)),
        (Point, "__import__('types').SimpleNamespace(x=3).__dict__", Point(3)),
        (tuple[int, str], "[1, 'a']", (1, "a")),
        (Node, "{'name': 'a', 'children': [{'name': 'b'}]}", Node(name="a", children=[Node(name="b")])),
        (int | None, "None", None),
        ({"type": "array", "items": {"type": "integer"}}, "(1, 2)", [1, 2]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_user_gets_an_instance_of_what_was_asked_for(ask, schema, code, expected):
    run = ask([f"FINAL({code})"], schema)
    value = run.raise_for_error().value
    assert value == expected
    assert type(value) is type(expected)
    assert not any(event.kind == "value_rejected" for event in run.events)
    assert "FINAL takes" in run.messages()[1]["content"]


@pytest.mark.parametrize(
    ("schema", "wrong", "told"),
    [
        (Verdict, "{'supplier': 'x', 'rise': -1}", ["rise: ", "greater than or equal to 0"]),
        (Verdict, "{'rise': 1}", ["supplier: Field required"]),
        (list[Verdict], f"[{VERDICT}, {{'supplier': 3, 'rise': 'much'}}]", ["1.supplier: ", "1.rise: "]),
        (int, "'many'", ["value: ", "integer"]),
        (Literal["yes", "no"], "'perhaps'", ["'yes' or 'no'"]),
        (Point, "{'y': 'q'}", ["x: Field required", "y: "]),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}},
            "{'n': 'q'}",
            ["n: 'q' is not of type"],
        ),
        ({"supplier": "string", "rise": "float64"}, "5", ["expected a pandas DataFrame, got int"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_path_and_message_of_each_mistake_go_back_to_the_model(ask, schema, wrong, told):
    right = {
        Verdict: VERDICT,
        int: "1",
        Point: "{'x': 1}",
    }.get(schema if isinstance(schema, type) else None, "0")
    run = ask([f"FINAL({wrong})", f"FINAL({right})", "1/0"], schema, limits=Limits(calls_per_agent=2))
    shown = run.messages()[3]["content"]
    assert "FinalRejected" in shown
    assert [part for part in told if part not in shown] == []
    assert [event.kind for event in run.events].count("value_rejected") >= 1


def test_an_answer_that_never_fits_ends_within_the_limit_and_the_last_one_is_kept(ask):
    run = ask(["FINAL('no number')"], int, limits=Limits(calls_per_agent=3))
    assert isinstance(run.error, LimitReachedError)
    assert run.usage.completion_tokens > 0
    assert len(run._conductor.model.requests) == 3
    assert run.value == "no number"


def test_columns_and_dtypes_of_a_table(ask):
    columns = {"supplier": "string", "rise": "float64", "when": "datetime64[ns]"}
    wrong = "import pandas as pd\nFINAL(pd.DataFrame({'supplier': ['a'], 'rise': ['much'], 'extra': [1]}))"
    right = "FINAL(pd.DataFrame({'when': ['2026-01-01'], 'rise': [1], 'supplier': ['a']}))"
    run = ask([wrong, right], columns)
    shown = run.messages()[3]["content"]
    assert "column `when`: missing" in shown
    assert "column `extra`: not asked for" in shown
    value = run.raise_for_error().value
    assert list(value.columns) == ["supplier", "rise", "when"]
    assert {name: str(dtype) for name, dtype in value.dtypes.items()} == columns
    assert value["rise"].tolist() == [1.0]


def test_a_column_that_does_not_convert_is_named(ask):
    columns = {"rise": "float64"}
    run = ask(
        [
            "import pandas as pd\nFINAL(pd.DataFrame({'rise': ['much']}))",
            "FINAL(pd.DataFrame({'rise': [2]}))",
        ],
        columns,
    )
    assert "column `rise`: " in run.messages()[3]["content"]
    assert "does not convert to float64" in run.messages()[3]["content"]
    assert run.raise_for_error().value["rise"].tolist() == [2.0]


@pytest.mark.parametrize("schema", [3, "int", {"type": "nonsense"}, lambda: 1, {"properties": 3}, print])
def test_what_is_no_schema_is_refused_before_anything_starts(schema):
    rlm = RLM(model=by_question({}), log_dir=None, cache=False)
    with pytest.raises(ConfigError, match="schema"):
        rlm.start("root", schema=schema)


# ---- in agents' code


@pytest.mark.parametrize("columns", [{"rise": "flot64"}, {"name": "string", "who": "the person's name"}])
def test_columns_with_a_dtype_that_nobody_knows_are_refused_before_anything_starts(columns):
    with pytest.raises(ConfigError, match=f"column `{list(columns)[-1]}` has no dtype that pandas knows"):
        AnswerSchema(columns)


@pytest.mark.parametrize("schema", [{"type": "object"}, {"enum": ["x" * 10_000]}, Literal["y" * 10_000]])
def test_a_mistake_is_told_in_a_few_lines_however_large_the_value(schema):
    with pytest.raises(ValueError, match=r"^value: ") as caught:
        AnswerSchema(schema).validate(list(range(100_000)))
    assert len(str(caught.value)) < 400


def test_agents_ask_for_a_type_a_model_of_their_own_or_a_json_schema(ask):
    code = (
        "from pydantic import BaseModel\nfrom typing import Literal\nimport dataclasses\n"
        "class Finding(BaseModel):\n    name: str\n    count: int\n"
        "@dataclasses.dataclass\nclass Pair:\n    a: int\n    b: int\n"
        "one = rlm_query('find', schema=Finding)\n"
        "many = rlm_query_batched(['find list'] * 2, schema=list[Finding])\n"
        "pair = rlm_query('pair', schema=Pair)\n"
        "raw = rlm_query('find', schema={'type': 'object', 'required': ['name']})\n"
        "number = llm_query('how many?', schema=int)\n"
        "words = llm_query_batched(['words'] * 2, schema=list[str])\n"
        "kind = llm_query('kind', schema=Literal['good', 'bad'])\n"
        "model = llm_query('model', schema=Finding)\n"
        "FINAL([type(one).__name__, one.count, [type(m[0]).__name__ for m in many], type(pair).__name__, pair.b,\n"
        "       raw, number, words, kind, model.name])"
    )
    plain = {
        "how many?": "7",
        "words": 'Here they are:\n```json\n["a", "b"]\n```\nDone.',
        "kind": "good",
        "model": 'It is {"name": "m", "count": 3}, I think.',
    }
    run = ask(
        [code],
        script={
            "find": ["FINAL({'name': 'n', 'count': 2})"],
            "find list": ["FINAL([{'name': 'n', 'count': 2}])"],
            "pair": ["FINAL({'a': 1, 'b': 2})"],
        },
        plain=lambda prompt: plain[prompt.split("\n")[0]],
    )
    found = {"name": "n", "count": 2}
    assert run.raise_for_error().value == [
        "Finding", 2, ["Finding", "Finding"], "Pair", 2, found, 7, [["a", "b"]] * 2, "good", "m",
    ]  # fmt: skip
    assert '"count"' in run.messages("0.1")[1]["content"]


def test_agents_ask_for_a_typed_dict_and_for_the_columns_of_a_table(ask):
    code = (
        "from typing import TypedDict\nclass Row(TypedDict):\n    supplier: str\n    rise: float\n"
        "columns = {'supplier': 'string', 'rise': 'float64'}\n"
        "rows = llm_query('rows', schema=list[Row])\n"
        "table, none = llm_query_batched(['rows', 'none'], schema=columns)\n"
        "own = rlm_query('sub', schema=columns)\n"
        "FINAL([rows, table, str(table.dtypes['supplier']), len(none), own])"
    )
    plain = lambda prompt: "[]" if prompt.startswith("none") else '[{"supplier": "x", "rise": 1}]'  # noqa: E731
    sub = ["import pandas as pd\nFINAL(pd.DataFrame({'rise': [2], 'supplier': ['y']}))"]
    rows, table, dtype, none, own = ask([code], plain=plain, script={"sub": sub}).raise_for_error().value
    assert rows == [{"supplier": "x", "rise": 1.0}]
    assert table.to_dict("list") == {"supplier": ["x"], "rise": [1.0]}
    assert (dtype, none) == ("string", 0)
    assert own.to_dict("list") == {"supplier": ["y"], "rise": [2.0]}
    assert own["rise"].dtype == "float64"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"supplier": "x"}', "expected a list of objects"),
        ('[{"supplier": "x"}]', "column `rise`: missing"),
        ('[{"supplier": "x", "rise": "much"}]', "column `rise`: "),
    ],
)
def test_rows_of_a_completion_that_do_not_fit_the_columns_are_told(answer, says):
    schema = AnswerSchema({"supplier": "string", "rise": "float64"})
    assert '"supplier" (string), "rise" (float64)' in schema.json_text
    with pytest.raises(ValueError, match=says):
        schema.read(answer)


def test_a_sub_agent_that_gives_another_type_is_sent_back_and_then_gives_an_instance(ask):
    run = ask(["FINAL(rlm_query('sub', schema=list[int]))"], script={"sub": ["FINAL('x')", "FINAL([1])"]})
    assert run.raise_for_error().value == [1]
    assert "value: " in run.messages("0.1")[3]["content"]


def test_a_type_whose_pattern_looks_around_is_checked_where_its_answer_arrives(ask):
    """As pydantic's of `Decimal`, which the notebook does not match."""
    code = (
        "from decimal import Decimal\n"
        "found = [llm_query('price', schema=Decimal), llm_query('prices', schema=list[Decimal])]\n"
        "try: llm_query('word', schema=Decimal)\n"
        "except RLMQueryError as error: found.append(error.value)\n"
        "FINAL(found)"
    )
    plain = {"price": "1.5", "prices": '["2.50", 3]', "word": '"much"'}
    run = ask([code], plain=lambda prompt: plain[prompt.split("\n")[0]])
    assert run.raise_for_error().value == [Decimal("1.5"), [Decimal("2.50"), Decimal(3)], "much"]


def test_a_typed_completion_is_asked_once_more_with_the_mistake_and_then_fails(ask):
    answers = iter(["seven", "7"])
    run = ask(["FINAL(llm_query('how many?', schema=int))"], plain=lambda _: next(answers))
    assert run.raise_for_error().value == 7
    again = run._conductor.model.requests[-1].messages
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert "no JSON" in again[-1]["content"]
    assert [call.purpose for call in run.tree.agents["0"].calls] == ["llm_query", "repair"]
    code = (
        "try:\n    llm_query('how many?', schema=int)\n"
        "except RLMQueryError as e:\n    FINAL([e.kind, 'does not match' in str(e)])"
    )
    assert ask([code], plain="'seven'").raise_for_error().value == ["failed", True]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[1]\n```", [1]),
        ('Sure [well]: {"a": [1]} and so on', {"a": [1]}),
        ("3", 3),
        ("null", None),
    ],
)
def test_json_is_found_in_a_completion(text, value):
    assert find_json(text) == value


def test_values_of_numpy_and_pandas_are_plain_where_a_schema_asks_for_plain_ones():
    schema = AnswerSchema(
        {"type": "object", "properties": {"n": {"type": "integer"}, "t": {"type": "array"}}}
    )
    value = schema.validate({"n": np.int64(3), "t": (1, np.float64(2.5))})
    assert json.dumps(value) == '{"n": 3, "t": [1, 2.5]}'
    assert AnswerSchema(list[float]).validate(np.array([1.5])) == [1.5]
    assert AnswerSchema({"n": "int64"}).validate(pd.DataFrame({"n": [1.0]}))["n"].dtype == "int64"


def test_raw_replies_are_checked_too(ask):
    run = ask([Raw("FINAL(many)"), Raw("FINAL(3)")], int)
    assert run.raise_for_error().value == 3


class _Node(pydantic.BaseModel):
    name: str
    children: list["_Node"] = pydantic.Field(default_factory=list)


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        (_Node, ("name", "children")),
        ({"type": "object", "properties": {"b": {}, "a": {}}}, ("b", "a")),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}}, ()),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {}}}}, ()),
        ({"a": "int64", "b": "string"}, ()),
        (int, ()),
    ],
)
def test_the_fields_of_a_wanted_object_are_known_by_name(schema, fields):
    assert AnswerSchema(schema).fields == fields
