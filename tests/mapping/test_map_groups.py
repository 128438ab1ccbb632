"""`rlm.map(..., by=...)`: each group to a sub-agent with a kernel of its own, and the group as its table."""

import pandas as pd
import pytest
from map_parts import mapping
from run_parts import until
from scripts import by_question

from rlm_jupyter import ConfigError, LimitReachedError, Limits
from rlm_jupyter.models import ScriptedModel

QUESTION = "What did this customer spend?"
SCHEMA = {"total": "int64", "many": "bool"}
GOOD = "FINAL({'total': int(context['price'].sum()), 'many': len(context) > 2})"


def orders():
    return pd.DataFrame(
        {
            "customer": ["b", "a", "b", "c", "a", "b", None],
            "price": [1, 2, 4, 8, 16, 32, 64],
            "note": ["x"] * 7,
        }
    )


def test_each_group_is_answered_by_an_agent_of_its_own(tmp_path):
    model = by_question({QUESTION: [GOOD]})
    with mapping(model, tmp_path) as rlm:
        out = rlm.map(orders(), QUESTION, SCHEMA, by="customer", confirm=False)
        run = rlm.started[0]
        assert out["total"].tolist() == [18, 37, 8, 64]
        assert out["many"].tolist() == [False, True, False, False]
        assert out["total"].dtype == "int64"
        assert out.index.name == "customer"
        assert out.index[:3].tolist() == ["a", "b", "c"]
        assert pd.isna(out.index[3])
        assert out["error"].isna().all()
        agents = run.tree.agents
        assert sorted(agent.name for agent in agents.values() if agent.parent == "0")[:3] == ["a", "b", "c"]
        pids = {event.pid for event in run.events if event.kind == "kernel_started"}
        assert len(pids) == 4
        held = [run.agents[name].pull("context") for name in agents if name != "0"]
        assert sorted(len(frame) for frame in held) == [1, 1, 2, 3]


def test_groups_by_several_columns_show_only_the_columns_that_are_named(tmp_path):
    model = by_question({"?": ["FINAL(','.join(context.columns))"]})
    with mapping(model, tmp_path) as rlm:
        out = rlm.map(orders(), "?", by=["customer", "note"], columns=["price"], confirm=False)
    assert out.index.names == ["customer", "note"]
    assert set(out["answer"]) == {"price"}


def test_the_data_may_change_while_groups_are_asked_about(tmp_path):
    data = orders()

    def reply(messages):
        data.loc[:, "price"] = 0
        return f"```repl\n{GOOD}\n```"

    with mapping(ScriptedModel(reply), tmp_path, limits=Limits(concurrency=1)) as rlm:
        out = rlm.map(data, QUESTION, SCHEMA, by="customer", confirm=False)
    assert out["total"].tolist() == [18, 37, 8, 64]


def test_three_groups_are_done_before_the_user_is_asked(tmp_path):
    data = pd.DataFrame({"customer": [f"c{number}" for number in range(6)], "price": range(6)})
    with mapping(by_question({QUESTION: [GOOD]}), tmp_path, limits=Limits(agents=6)) as rlm:
        run = rlm.start_map(data, QUESTION, SCHEMA, by="customer")
        until(lambda: run.waits or run.done)
        assert run.waits
        assert len(run.agents) == 4
        assert "all 6 groups: about" in run.tree.agents["0"].wait_text
        assert "The limit `agents` ends it after about 2 more" in run.tree.agents["0"].wait_text
        run.set_limit("agents", 10)
        run.next()
        run.wait(100)
        assert run.value["total"].tolist() == list(range(6))


def test_a_group_whose_agent_fails_has_an_error_and_the_others_their_answers(tmp_path):
    code = f"""
if "b" in set(context["customer"]):
    FINAL("no number")
else:
    {GOOD}
"""
    with mapping(by_question({QUESTION: [code]}), tmp_path, limits=Limits(calls_per_agent=3)) as rlm:
        out = rlm.map(orders(), QUESTION, SCHEMA, by="customer", confirm=False)
    assert out["error"].notna().tolist() == [False, True, False, False]
    assert out["total"].isna().tolist() == [False, True, False, False]


def test_limits_of_agents_hold(tmp_path):
    with mapping(by_question({QUESTION: [GOOD]}), tmp_path, limits=Limits(agents=3)) as rlm:
        with pytest.raises(LimitReachedError) as caught:
            rlm.map(orders(), QUESTION, SCHEMA, by="customer", confirm=False, sample=1)
        assert caught.value.limit == "agents"
        assert caught.value.run.value["error"].isna().sum() == 2
    with (
        mapping(by_question({}), tmp_path, limits=Limits(depth=0)) as rlm,
        pytest.raises(ConfigError, match="`depth`"),
    ):
        rlm.map(orders(), QUESTION, SCHEMA, by="customer")
