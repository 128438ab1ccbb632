"""Values that a model only typed: sent back as long as turns last, where their figures stand nowhere it has seen."""

import pandas as pd
import pytest
from run_parts import asking
from scripts import cell

from rlm_jupyter import Limits
from rlm_jupyter.engine.agent_requests.typed_value import typed_value
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.values.store import Buffer

DATA = pd.DataFrame({"n": range(1000)})
LOOK = "print(len(context))"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def check(value, codes, seen, *, small=False):
    with Buffer.encode(value) as buffer:
        return typed_value(buffer, codes, seen, small=small)


@pytest.mark.parametrize(
    ("value", "code", "seen"),
    [
        ("The code is 1234567890", "FINAL('The code is 1234567890')", ["Output:\n17"]),
        (98765, "FINAL(98765)", ["nothing of it"]),
        ([1234, 5678], "FINAL([1234, 5678])", ["12345678"]),
        ({"total": 4321.5}, "x = {'total': 4321.5}\nFINAL(x)", []),
    ],
)
def test_long_figures_that_were_typed_and_never_seen_are_invented(value, code, seen):
    assert "was typed and stands in no output" in check(value, [code], seen)


@pytest.mark.parametrize(
    ("value", "code", "seen"),
    [
        (98765, "FINAL(98765)", ["Output:\n98,765 rows"]),
        (98765, "FINAL(context.sum())", []),
        (12, "FINAL(12)", []),
        (4711, "FINAL(4711 if '4711' in context else 0)", []),
        (4711, "for x in [4711]:\n    if x in context:\n        found = x\nFINAL(found)", []),
        ("positive", "FINAL('positive')", []),
        ("In 2026 it was 12.5 %", "FINAL('In 2026 it was 12.5 %')", ["Question: what of 2026?"]),
        (4321.50, "FINAL(4321.50)", ["Total: 4,321.5"]),
        (pd.DataFrame({"a": [123456]}), "FINAL(pd.DataFrame({'a': [123456]}))", []),
        (True, "FINAL(True)", []),
    ],
)
def test_what_was_seen_or_computed_or_is_no_figure_is_let_through(value, code, seen):
    assert check(value, [code], seen) is None


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_of_a_small_model_nothing_is_no_answer(value):
    assert "is no answer" in check(value, [], [], small=True)
    assert check(value, [], []) is None


def test_an_invented_answer_is_sent_back_at_every_turn_but_the_last(ask):
    invented = cell("FINAL('The code is 1234567890')")
    run = ask(
        {}, context=DATA, model=ScriptedModel([cell(LOOK), *[invented] * 9]), limits=Limits(calls_per_agent=4)
    )
    assert run.value == "The code is 1234567890"  # the last turn takes what there is
    sent_back = [n for n in run.tree.agents["0"].notices if "FINAL was sent back" in n]
    assert sent_back
    assert run.tree.agents["0"].turns[-1].turn == 4


def test_an_answer_without_a_look_is_sent_back_again_and_answered_with_a_look(ask):
    replies = [cell("FINAL(1)"), cell("FINAL(2)"), cell("FINAL(len(context))")]
    model = ScriptedModel(replies)
    run = ask({}, context=DATA, model=model)
    assert run.value == 1000
    first = model.requests[1].messages[-1]["content"]
    assert "has not read `context`" in first
    assert "A look at the data was run for you" in first
    assert "DataFrame 1,000 x 1" in first
    assert "A look at the data" not in model.requests[2].messages[-1]["content"]


def test_a_figure_that_was_printed_may_be_typed(ask):
    run = ask({}, context=DATA, model=ScriptedModel([cell("print(context.n.sum())"), cell("FINAL(499500)")]))
    assert run.value == 499500
