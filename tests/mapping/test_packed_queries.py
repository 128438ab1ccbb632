"""`llm_query_batched(..., per=N)` in agents' code: many items to a request, results in the order of the list."""

import json

import pytest
from map_parts import answers, items_in
from run_parts import asking
from scripts import by_question

from rlm_jupyter import Limits, ModelError


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def run_code(ask, code, plain, context=None, **options):
    """Run code as the root's only cell; returns its value, and the plain requests that it made."""
    model = by_question({"root": [code]}, plain=None)
    inner = model._function

    def reply(messages):
        content = messages[-1]["content"]
        return plain(messages) if items_in(messages) or "plain:" in content else inner(messages)

    model._function = reply
    run = ask({}, "root", context, model=model, **options)
    asked = [
        one.messages
        for one in model.requests
        if items_in(one.messages) or "plain:" in one.messages[-1]["content"]
    ]
    return run, asked


def echo(messages):
    return json.dumps(answers(messages, lambda item: {"answer": f"<{item}>"}))


def test_without_per_the_requests_are_what_they_were(ask):
    run, asked = run_code(
        ask, "FINAL(llm_query_batched(['plain: a', 'plain: b']))", lambda m: m[-1]["content"][-1]
    )
    assert run.value == ["a", "b"]
    assert asked == [
        [{"role": "user", "content": "plain: a"}],
        [{"role": "user", "content": "plain: b"}],
    ]


def test_texts_share_requests_and_results_are_in_order(ask):
    code = "FINAL(llm_query_batched([f't{n}' for n in range(25)], per=10))"
    run, asked = run_code(ask, code, echo)
    assert run.value == [f"<t{number}>" for number in range(25)]
    assert sorted(len(items_in(messages)) for messages in asked) == [5, 10, 10]
    assert "request of its own" in asked[0][-1]["content"]


@pytest.mark.parametrize("awaited", ["", "await "])
def test_rows_with_an_instruction_and_a_schema(ask, awaited):
    import pandas as pd

    table = pd.DataFrame({"text": [f"it is {'late' if n % 2 else 'here'}" for n in range(9)], "when": pd.NaT})
    code = f"FINAL({awaited}llm_query_batched(context, instruction='Is it late?', schema=bool, per=4))"
    run, asked = run_code(
        ask,
        code,
        lambda m: json.dumps(answers(m, lambda item: {"answer": "late" in item["text"]})[::-1]),
        table,
    )
    assert run.value == [bool(number % 2) for number in range(9)]
    assert items_in(asked[0])[1]["when"] is None
    assert "Question: Is it late?" in asked[0][-1]["content"]


def test_an_instruction_without_per_asks_about_each_item_alone(ask):
    run, asked = run_code(ask, "FINAL(llm_query_batched([{'a': 1}, {'a': 2}], instruction='Echo'))", echo)
    assert run.value == ["<{'a': 1}>", "<{'a': 2}>"]
    assert [len(items_in(messages)) for messages in asked] == [1, 1]


SCHEMAS = {
    "columns": ("{'late': 'bool', 'why': 'string'}", {"late": True, "why": "w"}),
    "json schema": (
        "{'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}",
        {"n": 4, "more": [1]},
    ),
    "list": ("list[str]", ["a", "b"]),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_of_a_schema_come_as_they_are(ask, name):
    schema, answer = SCHEMAS[name]
    code = f"FINAL(llm_query_batched(['x', 'y', 'z'], schema={schema}, per=2))"
    run, _ = run_code(ask, code, lambda m: json.dumps(answers(m, lambda _: {"answer": answer})))
    assert run.value == [answer] * 3


def test_what_is_missing_is_asked_alone_and_then_fails_in_its_place(ask):
    def plain(messages):
        rows = answers(messages, lambda item: {"answer": item})
        if len(rows) == 1:
            return json.dumps(rows) if rows[0]["answer"] == "t2" else "I do not know."
        return json.dumps([row for row in rows if row["answer"] not in ("t2", "t5")])

    code = "out = llm_query_batched([f't{n}' for n in range(8)], per=8)\nFINAL([str(one) if one else one.kind for one in out])"
    run, asked = run_code(ask, code, plain)
    assert run.value == ["t0", "t1", "t2", "t3", "t4", "failed", "t6", "t7"]
    assert sorted(len(items_in(messages)) for messages in asked) == [1, 1, 8]


def test_limits_and_refusals_are_told_for_each_item(ask):
    code = (
        "out = llm_query_batched([f't{n}' for n in range(6)], per=2)\nFINAL([one or one.kind for one in out])"
    )
    run, _ = run_code(ask, code, echo, limits=Limits(calls=3, concurrency=1))
    assert run.status == "limit"
    assert run.value == ["<t0>", "<t1>", "<t2>", "<t3>", "limit", "limit"]

    def first_alone(messages):
        return json.dumps(answers(messages, lambda item: {"answer": item})[:1])

    run, _ = run_code(ask, code, first_alone, limits=Limits(calls=2, concurrency=1))
    assert run.value == ["t0", *["limit"] * 5], "what was paid for is kept"

    def refusing(messages):
        return ModelError("refused") if "t3" in items_in(messages).values() else echo(messages)

    run, _ = run_code(ask, code, refusing)
    assert run.value == ["<t0>", "<t1>", "<t2>", "failed", "<t4>", "<t5>"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("llm_query_batched(['a'], per=0)", "`per` must be a whole number"),
        ("llm_query_batched(['a'], per='x')", "`per` must be a whole number"),
        ("llm_query_batched([{'a': 1}], per=2)", "must be a `str`"),
        ("llm_query_batched(7, per=2, instruction='x')", "list of texts or rows"),
        (
            "llm_query_batched(['a'], per=2, schema={'a': 'object', 'b': 'datetime64[ns, dateutil//etc/x]'})",
            "dtype",
        ),
    ],
)
def test_what_cannot_be_asked(ask, call, words):
    code = f"try:\n    out = {call}\n    FINAL(str(out))\nexcept Exception as error:\n    FINAL(str(error))"
    run, asked = run_code(ask, code, echo)
    assert words in run.value
    assert asked == []


def test_it_is_switched_off_with_the_other_sub_calls(ask):
    code = "FINAL([one.message for one in llm_query_batched(['a', 'b', 'c'], per=2)])"
    run, asked = run_code(ask, code, echo, settings={"sub_calls": False})
    assert len(run.value) == 3
    assert "sub_calls=False" in run.value[2]
    assert asked == []


def test_no_items_ask_nothing(ask):
    run, asked = run_code(ask, "FINAL(llm_query_batched([], per=5))", echo)
    assert run.value == []
    assert asked == []
