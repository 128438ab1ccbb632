"""The sample of a map: done and priced first, then the user is asked; and the function that may do the rest."""

import json
import re
import time

import pytest
from map_parts import QUESTION, SCHEMA, answering, complaints, good_reply, items_in, mapping, sizes
from run_parts import until

from rlm_jupyter import ConfigError, Limits
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.models.base import Price, Usage
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.widget_messages import Patcher

FUNCTION = """
A word decides it:

```python
import re

def f(row):
    return {"delivery": re.search("late", row["text"]) is not None, "why": "a rule"}
```
"""


def scripted(function="NONE", **options):
    def reply(messages):
        return function if items_in(messages) is None else good_reply(messages)

    return answering(reply, **options)


def waiting(rlm, data, **options):
    run = rlm.start_map(data, QUESTION, SCHEMA, **options)
    until(lambda: run.waits or run.done)
    return run


def test_twenty_rows_are_done_and_priced_before_the_user_is_asked(tmp_path):
    usage = lambda messages, text: Usage(sum(len(m["content"]) for m in messages) // 4, len(text) // 4)  # noqa: E731
    model = scripted(price=Price(10.0, 50.0), usage=usage, delay=0.05)
    limits = Limits(cost=10)
    with mapping(model, tmp_path, limits=limits) as rlm:
        run = waiting(rlm, complaints(1000), write_function=False)
        assert sizes(model) == [20]
        assert run.value["error"].isna().sum() == 20
        drawn = text_tree.tree(run.tree)
        asked = re.search(r"all 1,000 rows: about \$(\S+) and (\d+) seconds?; go on\?", drawn)
        assert asked, drawn
        assert "0 waiting for Next" in drawn
        assert "20 of 1,000 rows" in drawn
        time.sleep(0.3)
        assert sizes(model) == [20]
        sample = run.cost
        run.next()
        run.wait(60)
        assert run.value["error"].isna().all()
        assert float(asked[1]) == pytest.approx(run.cost - sample, rel=0.25)


@pytest.mark.parametrize("going_on", ["next", "resume"])
def test_the_user_may_go_on_or_stop(tmp_path, going_on):
    with mapping(scripted(), tmp_path) as rlm:
        run = waiting(rlm, complaints(60))
        getattr(run, going_on)()
        run.wait(60)
        assert run.status == "done"
        run = waiting(rlm, complaints(60))
        run.stop()
        run.wait(60)
        assert run.status == "stopped"
        assert run.value["error"].isna().sum() == 20


def test_a_call_that_blocks_returns_what_is_done_and_says_how_to_go_on(tmp_path):
    with mapping(scripted(), tmp_path) as rlm:
        with pytest.warns(UserWarning, match=r"20 of 60 rows are done.*go on\?.*confirm=False"):
            out = rlm.map(complaints(60), QUESTION, SCHEMA)
        assert out["error"].isna().sum() == 20
        assert set(out["error"].dropna()) == {"not done"}


def test_a_small_table_is_done_without_asking(tmp_path):
    model = scripted()
    with mapping(model, tmp_path) as rlm:
        assert rlm.map(complaints(20), QUESTION, SCHEMA)["error"].isna().all()
    assert len(model.requests) == 1


def test_without_confirmation_the_same_requests_are_made(tmp_path):
    asked, unasked = scripted(), scripted()
    with mapping(asked, tmp_path, limits=Limits(concurrency=1)) as rlm:
        run = waiting(rlm, complaints(100), write_function=False)
        run.next()
        run.wait(60)
    with mapping(unasked, tmp_path, limits=Limits(concurrency=1)) as rlm:
        rlm.map(complaints(100), QUESTION, SCHEMA, confirm=False)
    assert [one.messages for one in asked.requests] == [one.messages for one in unasked.requests]


def test_a_limit_that_will_be_met_is_told_and_can_be_raised(tmp_path):
    usage = lambda messages, text: Usage(1000, 100)  # noqa: E731
    with mapping(scripted(price=Price(10.0, 10.0), usage=usage), tmp_path, limits=Limits(cost=0.2)) as rlm:
        run = waiting(rlm, complaints(1000), write_function=False)
        told = run.tree.agents["0"].wait_text
        assert "The limit `cost` ends it after about" in told
        run.set_limit("cost", 50.0)
        run.next()
        run.wait(60)
        assert run.error is None


def test_the_widget_is_told_what_is_asked(tmp_path):
    with mapping(scripted(), tmp_path) as rlm:
        run = waiting(rlm, complaints(60))
        row = Patcher(run.tree).snapshot()[0]["agents"]["0"]
        assert row["activity"] == "step"
        assert "go on?" in row["wait"]
        assert row["name"].startswith("20 of 60 rows · ")
        assert "pending_code" not in row
        run.next("0")
        run.wait(60)
        assert TreeState.of(run.events).agents["0"].wait_text == ""


# ---- a function instead


def test_a_function_that_agrees_with_rows_it_was_not_shown_is_offered_and_does_the_rest(tmp_path):
    model = scripted(FUNCTION)
    with mapping(model, tmp_path) as rlm:
        run = waiting(rlm, complaints(300))
        assert "def f(row)" in run.function_source
        assert (
            "agrees with its answers in 10 of 10 rows that it was not shown" in run.tree.agents["0"].wait_text
        )
        labelled = [
            line
            for line in model.requests[1].messages[-1]["content"].splitlines()
            if line.startswith('{"row"')
        ]
        assert len(labelled) == 10
        requests = len(model.requests)
        run.use_function()
        run.wait(100)
        out = run.value
        assert run.error is None
        assert len(model.requests) == requests
        assert out["error"].isna().all()
        assert out["delivery"].tolist() == ["late" in text for text in complaints(300)["text"]]
        assert (out["why"] == "a rule").sum() == 280
        assert out.attrs["function"] == run.function_source


def test_it_can_be_asked_for_from_the_beginning(tmp_path):
    model = scripted(FUNCTION)
    with mapping(model, tmp_path) as rlm:
        out = rlm.map(complaints(300), QUESTION, SCHEMA, confirm=False, use_function=True)
    assert len(model.requests) == 2
    assert out["error"].isna().all()


WRONG = FUNCTION.replace('"late"', '"order .*[13579]$"')
BROKEN = FUNCTION.replace("re.search", "re.nonsense")
TEXT = FUNCTION.replace("is not None", 'and "yes"')


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("NONE", "wrote no function"),
        (WRONG, "not enough"),
        (BROKEN, "0 of 10 rows"),
        (TEXT, "0 of 10 rows"),
        ("```python\ndef f(row):\n    retur n\n```", "no function|of no use"),
        ("```python\ndef f(row):\n    return {}\nraise SystemError('x')\n```", "of no use"),
        ("```python\ndef f(row):\n    return llm_query('hm')\n```", "0 of 10 rows"),
    ],
)
def test_a_function_that_does_not_agree_is_not_used(tmp_path, function, told):
    model = scripted(function)
    with mapping(model, tmp_path) as rlm:
        run = rlm.start_map(complaints(60), QUESTION, SCHEMA, use_function=True)
        until(lambda: run.waits or run.done)
        assert re.search(told, " ".join(run.tree.agents["0"].notices)), run.tree.agents["0"].notices
        with pytest.raises(ConfigError, match="no function"):
            run.use_function()
        run.next()
        run.wait(60)
        assert run.value["why"].tolist() == complaints(60)["text"].tolist()
        assert sum(items_in(request.messages) is None for request in model.requests) == 1


def test_it_runs_in_the_sandbox_and_not_in_the_notebook(tmp_path):
    mark = tmp_path / "touched"
    source = f"""```python
import os

def f(row):
    try:
        open({str(mark)!r}, "w").close()
    except OSError:
        pass
    return {{"delivery": "late" in row["text"], "why": str(os.getpid())}}
```"""
    import os

    with mapping(scripted(source), tmp_path) as rlm:
        out = rlm.map(complaints(60), QUESTION, SCHEMA, confirm=False, use_function=True)
    assert not mark.exists()
    assert str(os.getpid()) not in set(out["why"])


def test_rows_that_it_fails_for_have_an_error(tmp_path):
    data = complaints(200)
    picky = FUNCTION.replace("    return", "    assert 'order 150' not in row['text'], 'no'\n    return")
    with mapping(scripted(picky), tmp_path) as rlm:
        out = rlm.map(data, QUESTION, SCHEMA, confirm=False, use_function=True)
    assert out["error"].dropna().index.tolist() == ["r150"]
    assert "AssertionError: no" in out["error"].loc["r150"]


def test_it_can_be_switched_off(tmp_path):
    model = scripted(FUNCTION)
    with mapping(model, tmp_path) as rlm:
        run = waiting(rlm, complaints(60), write_function=False)
        assert run.function_source is None
    assert len(model.requests) == 1


def test_what_the_function_is_given(tmp_path):
    import pandas as pd

    source = "```python\ndef f(row):\n    return {'kind': type(row['when']).__name__, 'gap': row['gap'] is None}\n```"

    def reply(messages):
        items = items_in(messages)
        if items is None:
            return source
        return json.dumps(
            [{"n": n, "kind": "Timestamp", "gap": one["gap"] is None} for n, one in items.items()]
        )

    data = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=40), "gap": [1.0, None] * 20})
    with mapping(answering(reply), tmp_path) as rlm:
        out = rlm.map(
            data, "?", {"kind": ["Timestamp", "other"], "gap": "bool"}, confirm=False, use_function=True
        )
    assert out["gap"].tolist() == [False, True] * 20
    assert set(out["kind"]) == {"Timestamp"}
