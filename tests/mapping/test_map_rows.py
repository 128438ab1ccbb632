"""`rlm.map`: many rows to a request, answers matched with the rows by their numbers, and what is wrong asked again."""

import asyncio
import json
import threading

import numpy as np
import pandas as pd
import pytest
from map_parts import (
    QUESTION,
    SCHEMA,
    answering,
    answers,
    complaints,
    good_reply,
    is_late,
    items_in,
    mapping,
    sizes,
)

from rlm_jupyter import ConfigError, ContextError, LimitReachedError, Limits, ModelError, RunStoppedError
from rlm_jupyter.errors import AuthenticationError, EmptyReplyError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Completion, Price, Usage
from rlm_jupyter.records import load
from rlm_jupyter.views import text_tree


def ask(model, tmp_path, data, schema=SCHEMA, question=QUESTION, **options):
    with mapping(model, tmp_path) as rlm:
        return rlm.map(data, question, schema, confirm=False, **options)


def test_the_table_has_the_index_of_the_data_typed_columns_and_errors(tmp_path):
    data, model = complaints(130), answering()
    out = ask(model, tmp_path, data, columns=["text"])
    assert out.index.equals(data.index)
    assert list(out.columns) == ["delivery", "why", "error"]
    assert out["delivery"].dtype == bool
    assert out["why"].dtype == "string"
    assert out["error"].isna().all()
    assert out["delivery"].tolist() == ["late" in text for text in data["text"]]
    assert out["why"].tolist() == data["text"].tolist()
    assert max(sizes(model)) > 10
    assert sum(sizes(model)) == 130
    shown = items_in(model.requests[0].messages)[1]
    assert set(shown) == {"text"}


def test_attributes_say_where_the_table_comes_from(tmp_path):
    with mapping(answering(price=Price(1.0, 1.0)), tmp_path) as rlm:
        out = rlm.map(complaints(30), QUESTION, SCHEMA, confirm=False)
        run = rlm.started[0]
    assert out.attrs["model"] == "scripted"
    assert out.attrs["question"] == QUESTION
    assert QUESTION in out.attrs["prompt"]
    assert out.attrs["run"] == run.id
    assert out.attrs["cost"] == run.cost > 0
    assert pd.Timestamp(out.attrs["when"]).tz is not None
    assert (out.attrs["done"], out.attrs["errors"]) == (30, 0)


@pytest.mark.parametrize(
    ("data", "item"),
    [
        (["one", "two"], {"text": "one"}),
        (pd.Series(["one", "two"], name="remark"), {"remark": "one"}),
        ([{"a": 1, "b": None}, {"a": 2, "b": "x"}], {"a": 1, "b": None}),
        (pd.DataFrame({"t": pd.to_datetime(["2024-01-02", None])}), {"t": "2024-01-02T00:00:00"}),
        (pd.DataFrame({"n": [1.5, np.nan], 7: [True, False]}), {"n": 1.5, "7": True}),
        (pd.DataFrame({"v": [np.array([1, 2]), {"k": (1, None)}]}), {"v": [1, 2]}),
        (pd.DataFrame({"v": ['"},\n{"n": 1, "item": {}}', "\u2028x"]}), {"v": '"},\n{"n": 1, "item": {}}'}),
    ],
)
def test_rows_of_any_kind_go_as_lines_of_json(tmp_path, data, item):
    model = ScriptedModel(lambda m: json.dumps(answers(m, lambda _: {"answer": "yes"})))
    out = ask(model, tmp_path, data, None)
    assert out["answer"].tolist() == ["yes", "yes"]
    found = items_in(model.requests[0].messages)
    assert found[1] == item
    assert len(found) == 2


def test_other_schemas_of_rows(tmp_path):
    from pydantic import BaseModel

    class Verdict(BaseModel):
        score: int
        label: str

    def verdict(messages):
        return json.dumps(answers(messages, lambda _: {"score": 3, "label": "b"}))

    out = ask(ScriptedModel(verdict), tmp_path, ["x"], Verdict)
    assert out[["score", "label"]].iloc[0].to_dict() == {"score": 3, "label": "b"}
    assert out["score"].dtype == "int64"
    nested = ScriptedModel(lambda m: json.dumps(answers(m, lambda _: {"answer": ["a", "b"]})))
    out = ask(nested, tmp_path, ["x"], list[str])
    assert out["answer"].iloc[0] == ["a", "b"]
    numbered = ScriptedModel(lambda m: json.dumps(answers(m, lambda _: {"answer": {"n": 5, "k": "late"}})))
    out = ask(numbered, tmp_path, ["x"], {"n": "Int64", "k": ["late", "lost"]})
    assert out["n"].tolist() == [5]
    assert out["k"].dtype == "category"
    dated = ScriptedModel(lambda m: json.dumps(answers(m, lambda _: {"when": "2024-05-06"})))
    assert ask(dated, tmp_path, ["x"], {"when": "datetime64[ns]"})["when"].iloc[0] == pd.Timestamp(
        "2024-05-06"
    )


# ---- alignment

GOOD = [{"n": number, "delivery": number % 2 == 0, "why": f"w{number}"} for number in range(1, 7)]


def _changed(number, **fields):
    return [{**one, **fields} if one["n"] == number else one for one in GOOD]


FAULTS = {
    "missing": ([one for one in GOOD if one["n"] != 3], {3}),
    "doubled": ([*GOOD, {"n": 3, "delivery": False, "why": "again"}], {3}),
    "doubled and equal": ([*GOOD, GOOD[2]], {3}),
    "numbered as another": (_changed(3, n=4), {3, 4}),
    "wrong order": (GOOD[::-1], set()),
    "a text for a flag": (_changed(2, delivery="yes"), {2}),
    "null for a flag": (_changed(2, delivery=None), {2}),
    "a number for a flag": (_changed(2, delivery=1), {2}),
    "a number for a text": (_changed(2, why=7), {2}),
    "a field is missing": ([{"n": 1, "delivery": True}, *GOOD[1:]], {1}),
    "a number that no item has": (
        [*GOOD, {"n": 7, "delivery": True, "why": "?"}, {"n": 0, "why": ""}],
        set(),
    ),
    "numbers as texts": ([{**one, "n": str(one["n"])} for one in GOOD], set()),
    "no number": (_changed(5, n=None), {5}),
    "further fields": ([{**one, "sure": 0.9} for one in GOOD], set()),
    "in an object": ({"answers": GOOD}, set()),
    "an object by number": (
        {str(one["n"]): {"delivery": one["delivery"], "why": one["why"]} for one in GOOD},
        set(),
    ),
}


def _texts():
    whole = json.dumps(GOOD)
    for name, (reply, wrong) in FAULTS.items():
        yield name, json.dumps(reply), wrong
    yield "prose around", f"Here are [6] {{answers}}:\n```json\n{whole}\n```\nI hope that {{helps}}.", set()
    yield "a line each", "\n".join(map(json.dumps, GOOD)), set()
    yield "broken off", whole[: whole.index('{"n": 5') + 12], {5, 6}
    yield "prose alone", "I cannot answer that.", {1, 2, 3, 4, 5, 6}
    yield "not a number", whole.replace("true", "NaN", 1), {2}
    yield "thoughts with drafts", f"<think>[{json.dumps(GOOD[0])}] hm</think>\n{whole}", set()
    yield "the items repeated", '{"n": 1, "item": {"text": "a"}}\n' + whole, set()
    zero = [{**one, "n": one["n"] - 1} for one in GOOD]
    yield "numbered from 0", json.dumps(zero), {1, 2, 3, 4, 5, 6}
    yield (
        "one skipped, the others shifted",
        json.dumps([{**one, "n": one["n"] + 1} for one in GOOD[2:]] + GOOD[:2]),
        {1, 2, 3, 4, 5, 6},
    )
    yield "nested without end", "[" * 50_000 + whole, set()


@pytest.mark.parametrize(("text", "wrong"), [pytest.param(t, w, id=name) for name, t, w in _texts()])
def test_what_a_reply_lacks_is_asked_again_alone(tmp_path, text, wrong):
    """Rows keep their own answers whatever the reply looks like; each row with none is asked about once more."""
    rows = [f"row {number}" for number in range(1, 7)]
    alone = []

    def reply(messages):
        items = items_in(messages)
        if len(items) > 1:
            return text
        number = int(items[1]["text"].split()[1])
        alone.append(number)
        return json.dumps([{**GOOD[number - 1], "n": 1}])

    out = ask(ScriptedModel(reply), tmp_path, rows)
    assert sorted(alone) == sorted(wrong)
    assert out["delivery"].tolist() == [one["delivery"] for one in GOOD]
    assert out["why"].tolist() == [one["why"] for one in GOOD]
    assert out["error"].isna().all()


@pytest.mark.parametrize("fields", [{"n": 4}, {"n": None}, {}])
def test_one_item_alone_needs_no_number(tmp_path, fields):
    model = ScriptedModel(lambda _: json.dumps({**fields, "delivery": True, "why": "w"}))
    out = ask(model, tmp_path, ["x"])
    assert out["delivery"].tolist() == [True]
    assert len(model.requests) == 1


def test_what_is_wrong_twice_is_an_error_of_that_row(tmp_path):
    model = answering(
        lambda m: json.dumps(
            [{**one, "delivery": "yes"} if "broken" in one["why"] else one for one in answers(m)]
        )
    )
    data = complaints(9)
    out = ask(model, tmp_path, data)
    bad = data["text"].str.contains("broken")
    assert out["error"].notna().tolist() == bad.tolist()
    assert "delivery" in out["error"].iloc[0]
    assert out["delivery"].dtype == "boolean"
    assert out["delivery"].isna().tolist() == bad.tolist()
    assert sizes(model) == [9, 1, 1, 1]
    again = model.requests[-1].messages[-1]["content"]
    assert "could not be used" in again
    assert out.attrs["errors"] == 3


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", 300),
        ("int64", 1.5),
        ("int64", True),
        ("uint8", -1),
        ("float64", "1"),
        ("datetime64[ns]", "soon"),
        ("bool", "true"),
    ],
)
def test_values_that_the_dtype_cannot_have_are_errors(tmp_path, dtype, value):
    model = ScriptedModel(lambda m: json.dumps(answers(m, lambda _: {"x": value})))
    out = ask(model, tmp_path, ["a", "b"], {"x": dtype})
    assert out["error"].notna().all()
    assert out["x"].isna().all()
    assert len(model.requests) == 3


def test_one_row_that_the_provider_refuses_does_not_cost_the_others(tmp_path):
    def reply(messages):
        if any("order 7" in item["text"] for item in items_in(messages).values()):
            return ModelError("refused by the content filter")
        return good_reply(messages)

    model = answering(reply)
    out = ask(model, tmp_path, complaints(16))
    assert out["error"].notna().tolist() == [number == 7 for number in range(16)]
    assert "content filter" in out["error"].iloc[7]
    assert len(model.requests) <= 1 + 2 * 4


def test_a_reply_that_was_cut_off_is_asked_for_in_parts(tmp_path):
    def reply(messages):
        rows = answers(messages)
        if len(rows) > 5:
            return Completion(json.dumps(rows)[:150], finish_reason="length")
        return json.dumps(rows)

    model = answering(reply)
    out = ask(model, tmp_path, complaints(20))
    assert out["error"].isna().all()
    assert out["why"].tolist() == complaints(20)["text"].tolist()
    assert len(model.requests) < 12


def test_a_reply_without_text_is_asked_again_for_each_row(tmp_path):
    def reply(messages):
        return EmptyReplyError("it wrote no text") if len(items_in(messages)) > 1 else good_reply(messages)

    out = ask(answering(reply), tmp_path, complaints(4))
    assert out["error"].isna().all()


@pytest.mark.parametrize(
    "error", [ModelError("there is no such model"), AuthenticationError("the key was refused")]
)
def test_what_fails_for_all_rows_ends_the_run_after_a_few_requests(tmp_path, error):
    model = answering(lambda _: error)
    with mapping(model, tmp_path, limits=Limits(concurrency=1)) as rlm:
        with pytest.raises(ModelError, match=error.message) as caught:
            rlm.map(complaints(500), QUESTION, SCHEMA, confirm=False)
        assert len(model.requests) < 12
        assert (caught.value.run.value["error"].fillna("") == "not done").sum() > 480


# ---- packs


def test_packs_keep_to_per_and_to_the_size_of_rows(tmp_path):
    model = answering()
    ask(model, tmp_path, complaints(45), per=10)
    assert max(sizes(model)) == 10
    long = pd.DataFrame({"text": ["late " * 4000, "a", "late", "b" * 60_000, "c"]})
    model = answering()
    out = ask(model, tmp_path, long)
    assert out["delivery"].tolist() == [True, False, True, False, False]
    assert [len(r.messages[-1]["content"]) < 70_000 for r in model.requests] == [True] * len(model.requests)
    assert len(model.requests) > 1


def test_packing_saves_four_fifths_of_the_prompt(tmp_path):
    def sent(**options):
        model = answering()
        ask(model, tmp_path, complaints(200), columns=["text"], **options)
        return sum(len(message["content"]) for request in model.requests for message in request.messages)

    assert sent(per=1) >= 5 * sent()


# ---- what cannot be


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"data": 7}, ContextError, "not a `int`"),
        ({"data": "text"}, ContextError, "not a `str`"),
        ({"columns": ["nope"]}, ConfigError, "`columns`: there is no column `nope`"),
        ({"columns": []}, ConfigError, "is empty"),
        ({"by": "nope"}, ConfigError, "`by`: there is no column `nope`"),
        ({"per": 0}, ConfigError, "`per` cannot be `0`"),
        ({"sample": True}, ConfigError, "`sample` cannot be `True`"),
        ({"schema": {"error": "string"}}, ConfigError, "a field `error`"),
        ({"schema": {"x": "no dtype"}}, ConfigError, "no dtype"),
        ({"question": "  "}, ConfigError, "empty"),
        ({"data": pd.DataFrame([[1, 2]], columns=["a", "a"])}, ConfigError, "have the name `a`"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(tmp_path, arguments, error, words):
    model = answering()
    given = {"data": complaints(3), "question": QUESTION, "schema": SCHEMA, **arguments}
    with mapping(model, tmp_path) as rlm, pytest.raises(error, match=words):
        rlm.map(given.pop("data"), given.pop("question"), given.pop("schema"), **given)
    assert model.requests == []


def test_a_table_without_rows_asks_nothing(tmp_path):
    model = answering()
    out = ask(model, tmp_path, complaints(0))
    assert list(out.columns) == ["delivery", "why", "error"]
    assert len(out) == 0
    assert model.requests == []


def test_equal_index_values_and_several_levels_stay(tmp_path):
    data = complaints(4)
    data.index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2), ("b", 3)], names=["x", "y"])
    out = ask(answering(), tmp_path, data)
    assert out.index.equals(data.index)
    assert out["delivery"].tolist() == [False, True, True, False]


# ---- it is a run like any other


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("limit", [{"cost": 0.02}, {"tokens": 5_000}, {"calls": 7}])
def test_a_limit_is_never_passed_whatever_runs_in_parallel(tmp_path, limit, concurrency):
    usage = lambda messages, text: Usage(sum(len(m["content"]) for m in messages) // 4, len(text) // 4)  # noqa: E731
    model = answering(price=Price(1.0, 10.0), usage=usage, delay=0.01)
    limits = Limits(**{"cost": None, "tokens": None, **limit}, concurrency=concurrency)
    with mapping(model, tmp_path, limits=limits) as rlm:
        with pytest.raises(LimitReachedError) as caught:
            rlm.map(complaints(2000), QUESTION, SCHEMA, confirm=False, per=20)
        run = caught.value.run
        out = run.value
        assert run.status == "limit"
        done = out["error"].isna()
        assert 20 <= done.sum() < 2000
        assert set(out["error"].dropna()) == {"not done"}
        assert out["why"][done].tolist() == complaints(2000)["text"][done].tolist()
        spent = {
            "cost": run.cost,
            "tokens": run.usage.prompt_tokens + run.usage.completion_tokens,
            "calls": len(model.requests),
        }
        (name, most), *_ = limit.items()
        assert spent[name] <= most


def test_stop_keeps_what_is_done(tmp_path):
    begun = threading.Event()

    async def reply(messages):
        if begun.is_set():
            await asyncio.sleep(60)
        begun.set()
        return good_reply(messages)

    with mapping(answering(reply), tmp_path) as rlm:
        run = rlm.start_map(complaints(200), QUESTION, SCHEMA, confirm=False)
        begun.wait(60)
        while run.value["error"].isna().sum() < 20:
            pass
        assert not run.done
        assert (run.value["error"].dropna() == "not done").all()
        run.stop()
        run.wait(60)
        assert run.status == "stopped"
        assert isinstance(run.error, RunStoppedError)
        assert run.value["error"].isna().sum() == 20
        run.close()
        assert run.value["error"].isna().sum() == 20


def test_the_log_the_tree_and_the_cost_tell_of_it(tmp_path):
    with mapping(answering(price=Price(1.0, 1.0)), tmp_path) as rlm:
        rlm.map(complaints(90), QUESTION, SCHEMA, confirm=False)
        run = rlm.started[0]
        drawn = text_tree.tree(run.tree)
        assert "90 of 90 rows · delivery: true 67 %, false 33 %" in drawn
        assert "DataFrame 90 x 3" in drawn
        again = load(run.log_path).tree
    assert text_tree.tree(again) == drawn
    assert again.cost == run.cost
    assert again.agents["0"].mapping.counts == {"delivery": {"true": 60, "false": 30}}


def test_the_table_is_there_before_the_first_request(tmp_path):
    with mapping(answering(delay=0.5), tmp_path) as rlm:
        run = rlm.start_map(complaints(30), QUESTION, SCHEMA, confirm=False)
        assert set(run.value["error"]) == {"not done"}
        assert run.value.index.equals(complaints(30).index)


def test_it_is_among_the_runs_of_the_process(tmp_path):
    from rlm_jupyter.rlm import find_run, last_run

    with mapping(answering(), tmp_path) as rlm:
        rlm.map(complaints(5), QUESTION, SCHEMA)
        run = rlm.started[0]
        assert last_run() is run
        assert find_run(run.id) is run
        assert run.agents["0"].pull()["why"].tolist() == complaints(5)["text"].tolist()


def test_the_data_may_change_while_it_is_asked_about(tmp_path):
    data = complaints(60)

    def reply(messages):
        data.loc[:, "text"] = "changed"
        return good_reply(messages)

    out = ask(answering(reply), tmp_path, data)
    assert out["why"].tolist() == complaints(60)["text"].tolist()


def test_in_async_code(tmp_path):
    with mapping(answering(), tmp_path) as rlm:
        out = asyncio.run(rlm.amap(complaints(30), QUESTION, SCHEMA, confirm=False))
    assert out["delivery"].tolist() == [
        is_late({"text": text})["delivery"] for text in complaints(30)["text"]
    ]
