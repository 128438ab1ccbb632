"""How runs and agents end: by limits, by Stop, by failures; what they had stays."""

import asyncio
import time

import pytest
from run_parts import asking, until
from scripts import Raw, by_question, cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.errors import (
    AgentFailedError,
    ConfigError,
    LimitReachedError,
    RLMError,
    RunStoppedError,
    UnknownPriceError,
)
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.views.widget_commands import Commands


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def test_an_agent_without_code_fails_and_the_error_carries_the_run(tmp_path):
    rlm = RLM(model=ScriptedModel(["hm", "hm", "hm"]), log_dir=None, cache=False)
    with pytest.raises(AgentFailedError, match="without code") as caught:
        rlm.run("root")
    assert caught.value.run.status == "failed"
    caught.value.run.close()


def test_the_turns_limit_asks_for_the_best_value_and_then_ends(ask):
    run = ask({"root": ["x = 41", "x += 1"]}, limits=Limits(calls_per_agent=3))
    assert run.status == "limit"
    assert isinstance(run.error, LimitReachedError)
    assert run.error.limit == "calls_per_agent"
    assert "last turn" in run.messages()[-2]["content"]
    assert run.agents["0"].pull("x") == 43


def test_a_value_given_on_the_last_turn_is_an_answer(ask):
    run = ask({"root": ["x = 41", "FINAL(x)"]}, limits=Limits(calls_per_agent=2))
    assert run.raise_for_error().value == 41


def test_the_calls_limit_holds_and_what_there_was_is_kept(ask):
    run = ask(
        None,
        model=by_question({"root": ["parts = llm_query_batched(['q'] * 20)", "FINAL(parts)"]}),
        limits=Limits(calls=5),
    )
    assert len(run._conductor.model.requests) == 5
    assert run.status == "limit"
    with pytest.raises(LimitReachedError):
        run.raise_for_error()
    kept = run.agents["0"].execute("sum(map(bool, parts))")
    assert kept.output.strip() == "4"


def test_a_money_limit_holds_with_a_given_price(tmp_path):
    rlm = RLM(
        model=by_question({"root": ["llm_query_batched(['q' * 4000] * 50)\nFINAL(1)"]}, plain="a" * 400),
        price=(10.0, 10.0),
        limits=Limits(cost=0.30),
        log_dir=None,
        cache=False,
        completion_tokens=200,
    )
    run = rlm.start("root").wait(60)
    assert run.status == "limit"
    assert 0 < run.cost <= 0.30
    run.close()


def test_a_money_limit_without_a_price_is_refused_at_the_start():
    model = ScriptedModel([], price=None)
    with pytest.raises(UnknownPriceError, match="price="):
        RLM(model=model, limits=Limits(cost=1.0))
    assert RLM(model=model).limits.cost is None


def test_stop_ends_a_run_that_hangs_in_its_kernel_and_its_variables_can_be_pulled(ask):
    run = ask({"root": ["x = 5", "import time\ntime.sleep(600)"]}, wait=False)
    until(lambda: run.agents and run.tree.agents["0"].cells == 2)
    run.stop()
    run.wait(60)
    assert run.status == "stopped"
    assert isinstance(run.error, RunStoppedError)
    assert run.agents["0"].pull("x") == 5


def test_a_stop_that_comes_before_the_first_agent_is_not_lost(ask):
    for _ in range(5):
        run = ask({"root": ["import time\ntime.sleep(600)"]}, wait=False)
        run.stop()
        assert run.wait(60).status == "stopped"


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.06])
def test_a_stop_while_sub_agents_kernels_start_waits_for_nothing(ask, delay):
    async def reply(messages):
        if "\nchild\n" in messages[1]["content"]:
            await asyncio.sleep(600)
        return cell("n = 3" if len(messages) < 3 else "rlm_query_batched(['child'] * 3)")

    run = ask(None, model=ScriptedModel(reply), wait=False)
    until(lambda: run.tree.in_flight == 3)
    time.sleep(delay)
    run.stop()
    assert run.wait(60).status == "stopped"


def test_stop_ends_one_branch_while_its_siblings_finish(ask):
    script = {
        "root": [
            "parts = rlm_query_batched(['fast', 'slow', 'fast'], contexts=[1, 2, 3])\nFINAL([p or p.kind for p in parts])"
        ],
        "fast": ["FINAL(context)"],
        "slow": ["import time\ntime.sleep(600)"],
    }
    run = ask(script, wait=False)
    until(lambda: "0.2" in run.agents and run.tree.agents["0.2"].cells == 1)
    slow = next(a.id for a in run.tree.agents.values() if a.question == "slow")
    run.stop(slow)
    run.wait(60)
    assert run.value == [1, "stopped", 3]
    assert run.agents[slow].status == "stopped"


def test_the_wall_clock_limit_ends_a_run(ask):
    script = {"root": ["x = 1", "import time\ntime.sleep(600)"]}
    run = ask(script, limits=Limits(seconds=600), wait=False)
    until(lambda: run.agents and run.tree.agents["0"].cells == 2)
    run.set_limit("seconds", run.elapsed + 0.2)
    assert run.wait(60).status == "limit"
    assert run.error.limit == "seconds"
    assert run.agents["0"].pull("x") == 1


def test_a_cell_that_takes_too_long_is_ended_and_the_agent_told(ask):
    run = ask({"root": ["import time\ntime.sleep(600)", "FINAL('later')"]}, limits=Limits(cell_seconds=3))
    assert run.value == "later"
    assert "too long" in run.messages()[3]["content"]


def test_a_kernel_that_dies_is_replaced_with_its_data_and_the_agent_told(ask):
    run = ask(
        {
            "root": [
                "x = 1\nprint(len(context))",
                "import os\nos._exit(3)",
                "FINAL([len(context), 'x' in globals()])",
            ]
        },
        context=list(range(10)),
    )
    assert run.value == [10, False]
    assert "replaced" in run.messages()[5]["content"]


def test_a_failed_sub_agent_is_asked_again_and_its_value_can_be_pulled(ask):
    said = iter([Raw("nothing"), Raw("nothing"), Raw("nothing")])

    def reply(messages):
        if "\nchild\n" in messages[1]["content"]:
            return next(said, cell("FINAL(context + 1)"))
        return cell("try:\n    rlm_query('child', context=41)\nexcept Exception as e:\n    FINAL(e.kind)")

    run = ask(None, model=ScriptedModel(reply))
    assert run.value == "failed"
    with pytest.raises(ConfigError, match="root"):
        run.retry("0")
    new = run.retry("0.1")
    until(lambda: run.agents[new].status == "done")
    assert (new, run.agents[new].value) == ("0.2", 42)


@pytest.mark.parametrize("limit", ["agents", "seconds"])
def test_a_retry_for_which_a_limit_leaves_no_room_says_so_everywhere_and_goes_on_once_it_is_raised(
    ask, limit
):
    script = {
        "root": ["parts = rlm_query_batched(['part'])\nFINAL(parts[0] is None)"],
        "part": ["try:\n    again\nexcept NameError:\n    raise"],
    }
    run = ask(script, limits=Limits(agents=2, calls_per_agent=2))
    assert run.agents["0.1"].status == "limit"
    if limit == "seconds":
        run.set_limit("agents", None)
        run.set_limit("seconds", 0.001)
    said = []
    Commands(lambda: run, None, lambda f: f()).handle({"kind": "retry", "agent": "0.1"}, said.append)
    with pytest.raises(LimitReachedError, match="cannot be asked again") as caught:
        run.retry("0.1")
    assert (caught.value.limit, caught.value.run) == (limit, run)
    assert f"`run.set_limit('{limit}', ...)`" in caught.value.message
    assert (said[0]["kind"], said[0]["message"]) == ("error", caught.value.message)
    assert run.tree.agents["0.1"].notices[-1] == caught.value.message
    assert list(run.agents) == ["0", "0.1"]
    assert not [event for event in run.events if event.kind == "command" and event.name == "retry"]
    run.set_limit(limit, None)
    new = run.retry("0.1")
    assert run.agents[new].status == "running", "it is there as soon as it was asked"
    until(lambda: run.agents[new].status != "running")
    assert new == "0.2"


def test_after_the_run_its_agents_spend_nothing(ask):
    run = ask({"root": ["FINAL(1)"]})
    result = run.agents["0"].execute("llm_query('more')")
    assert "has ended" in result.traceback + result.output
    assert len(run._conductor.model.requests) == 1


def test_an_error_inside_a_model_of_the_users_own_is_told(tmp_path):
    def broken(messages):
        raise KeyError("oops")

    with pytest.raises(RLMError, match="KeyError") as caught:
        RLM(model=ScriptedModel(broken), log_dir=None, cache=False).run("root")
    caught.value.run.close()
