"""A sub-agent that would be asked what its parent was asked, about the same data, is refused; all else passes."""

import pandas as pd
import pytest
from run_parts import asking
from scripts import by_question

import rlm_jupyter
from rlm_jupyter import RLM, Limits
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load

TRY = """
def tried(*arguments, **named):
    try:
        return rlm_query(*arguments, **named)
    except Exception as error:
        return "not started" if "was not started" in str(error) else repr(error)
"""
REFUSED = "not started"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("recursion")) as ask:
        yield ask


def asked(ask, code, *, data=(1, 2, 3), leaf="FINAL(('asked', len(context)))", question="root", **options):
    """Let the root run code; each other agent, and one with the root's question, answers at once."""
    said = {"root": 0}

    def reply(messages):
        first = messages[1]["content"]
        if first.startswith("Question:\nroot\n") and not said["root"]:
            said["root"] = 1
            return f"```repl\n{TRY}{code}\n```"
        return f"```repl\n{leaf}\n```"

    context = list(data) if isinstance(data, tuple) else data
    return ask({}, question, context, model=ScriptedModel(reply), **options)


@pytest.mark.parametrize(
    "data",
    [(1, 2, 3), "text " * 5000, pd.DataFrame({"a": range(50)}), {"a": ["b"]}, "x" * (33 << 20)],
    ids=["list", "text", "table", "dict", "large text"],
)
def test_the_same_question_about_the_same_data_is_refused(ask, data):
    again = "dict(context)" if isinstance(data, dict) else "context[:]"
    run = asked(ask, f"FINAL([tried('root', context), tried(' root  ', {again}), len(context)])", data=data)
    assert run.value[0] == REFUSED
    assert run.value[1] == REFUSED
    assert list(run.tree.agents) == ["0"]
    assert any("`recursion_guard`" in text for text in run.tree.agents["0"].notices)
    assert any(event.kind == "notice" for event in load(run.log_path).events)


def test_what_differs_in_anything_passes(ask):
    code = """
part = tried("root", context[:2])
other = tried("another question", context)
changed = tried("root", [*context[:-1], 9])
form = tried("root", context, schema=list)
alone = tried("root")
FINAL([part, other, changed, form, alone])
"""
    run = asked(ask, code, leaf="FINAL(['asked', len(context)])")
    assert run.error is None
    assert [value[0] for value in run.value] == ["asked"] * 5
    assert len(run.tree.agents) == 6


def test_a_sub_agent_with_a_tool_or_a_model_of_its_own_passes(ask):
    @rlm_jupyter.sub_tool
    def page(number: int) -> str:
        """Give a page."""
        return str(number)

    run = asked(ask, "FINAL(tried('root', context))", tools=[page], leaf="FINAL(page(3))")
    assert run.value == "3"
    other = by_question({"root": ["FINAL('by another model')"]}, name="other")
    with RLM(
        model=by_question({"root": ["FINAL(rlm_query('root', context))"]}), sub_model=other, log_dir=None
    ).run("root", [1, 2]) as run:
        assert run.value == "by another model"


def test_without_data_the_question_alone_counts(ask):
    run = asked(ask, "FINAL([tried('root'), tried('root', [1])])", data=None, leaf="FINAL('asked')")
    assert run.value == [REFUSED, "asked"]


def test_in_a_batch_the_others_go_on(ask):
    code = "FINAL([str(x)[-60:] for x in rlm_query_batched(['root', 'part'], [context, context])])"
    run = asked(ask, code, leaf="FINAL('asked')")
    assert run.value[1] == "asked"
    assert len(run.tree.agents) == 2


def test_it_can_be_switched_off(ask):
    run = asked(
        ask,
        "FINAL(tried('root', context))",
        leaf="FINAL('asked')",
        settings={"recursion_guard": False},
        limits=Limits(cost=None, depth=1),
    )
    assert run.value == "asked"
