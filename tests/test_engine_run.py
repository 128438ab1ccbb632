"""A run from end to end: real kernels, a scripted model."""

import asyncio
import itertools
import threading
import time

import numpy as np
import pandas as pd
import pytest
from scripts import Raw, by_question, cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.errors import (
    AgentFailedError,
    AgentNotFoundError,
    ConfigError,
    ContextError,
    LimitReachedError,
    RLMError,
    RunStoppedError,
    UnknownPriceError,
    UnsafeValueError,
    VariableNotFoundError,
)
from rlm_jupyter.models import ScriptedModel


@pytest.fixture
def ask(tmp_path):
    """Ask a question with a script; the run is closed at the end of the test."""
    open_runs = []

    def start(script, question="root", context=None, *, limits=None, wait=True, model=None, **options):
        rlm = RLM(model=model or by_question(script), limits=limits, log_dir=tmp_path / "logs", cache=False)
        run = rlm.start(question, context, **options)
        open_runs.append(run)
        return run.wait(60) if wait else run

    yield start
    for run in open_runs:
        run.close()


def test_an_answer_computed_in_the_kernel_comes_back_as_the_object_it_is(ask):
    run = ask(
        {"root": ["print(context['a'].sum())", "FINAL(context['a'].sum())"]},
        context=pd.DataFrame({"a": [1, 2]}),
    )
    assert run.raise_for_error().value == 3
    assert run.status == "done"
    assert run.usage.prompt_tokens > 0
    assert run.cost == 0
    assert run.elapsed > 0
    assert run.log_path.exists()


def test_three_sub_agents_at_once_return_frames_that_no_prompt_shows(ask, tmp_path):
    rng = np.random.default_rng(3)
    orders = pd.DataFrame(
        {
            "supplier": rng.choice(["x1", "x2", "x3"], 3000),
            "code": [f"secretrow{i:05d}" for i in range(3000)],
            "price": rng.random(3000),
        }
    )
    model = by_question(
        {
            "root": [
                "print(len(context))",
                (
                    "parts = rlm_query_batched(['part'] * 3, contexts=[context.iloc[i::3] for i in range(3)])\n"
                    "import pandas as pd\nwhole = pd.concat(parts).sort_index()"
                ),
                "FINAL(whole[whole.price > 0.5])",
            ],
            "part": ["FINAL(context.assign(double=context.price * 2))"],
        }
    )
    run = RLM(model=model, log_dir=tmp_path, sample_rows=0, cache=False).run("root", context=orders)
    with run:
        expected = orders.assign(double=orders.price * 2)
        expected = expected[expected.price > 0.5]
        pd.testing.assert_frame_equal(run.value, expected)
        assert list(run.agents) == ["0", "0.1", "0.2", "0.3"]
        sent = "".join(m["content"] for request in model.requests for m in request.messages)
        assert "secretrow" not in sent
        assert "whole" in run.agents["0"].variables
        pd.testing.assert_frame_equal(run.agents["0"].pull("whole"), orders.assign(double=orders.price * 2))
        assert len(run.agents["0.2"].pull("context")) == 1000
        assert len(run.agents["0.2"].pull()) == 1000  # what it gave to FINAL


def test_each_prompt_extends_the_last_byte_for_byte(ask):
    run = ask({"root": ["a = 1\nprint(a)", "print(a + 1)", Raw("no code here"), "FINAL(a)"]})
    assert run.value == 1
    model = run._conductor.model
    prompts = [request.messages for request in model.requests]
    assert [len(p) for p in prompts] == [2, 4, 6, 8]
    for shorter, longer in itertools.pairwise(prompts):
        assert list(longer[: len(shorter)]) == list(shorter)


def test_without_data_the_question_is_the_context(ask):
    assert ask({"root": ["FINAL(context)"]}).value == "root"


def test_several_variables_are_a_dict_and_carry_their_own_names(ask):
    run = ask(
        {"root": ["FINAL([sorted(context), a, context['b']])"]}, context={"a": 1, "b": 2}, names=("a", "b")
    )
    assert run.value == [["a", "b"], 1, 2]


def test_one_variable_also_carries_its_own_name(ask):
    run = ask({"root": ["FINAL(orders is context)"]}, context=[1, 2], names=("orders",))
    assert run.value is True


def test_a_bare_last_expression_is_shown_and_long_output_keeps_head_and_tail(ask):
    run = ask({"root": ["'begin-' + 'x' * 50_000 + '-end'", "FINAL(1)"]})
    shown = run.messages()[3]["content"]
    assert "begin-" in shown
    assert "-end" in shown
    assert len(shown) < 20_000
    assert run.tree.agents["0"].turns[0].cells[0].cut > 30_000


def test_an_error_of_the_code_is_shown_to_the_model_and_later_blocks_do_not_run(ask):
    two = f"{cell('a = 1 / 0')}\n{cell('FINAL(5)')}"
    run = ask({"root": [two, "FINAL(7)"]})
    assert run.value == 7
    shown = run.messages()[3]["content"]
    assert "ZeroDivisionError" in shown
    assert "not run" in shown


def test_plain_completions_batched_and_awaited(ask):
    code = (
        "import asyncio\n"
        "one = await llm_query('a')\n"
        "many = await llm_query_batched(['b', 'c'])\n"
        "more = await asyncio.gather(llm_query('d'), llm_query('e'))\n"
        "FINAL([one, many, list(more)])"
    )
    run = ask(None, model=by_question({"root": [code]}, plain=str.upper))
    assert run.value == ["A", ["B", "C"], ["D", "E"]]
    assert [call.purpose for call in run.tree.agents["0"].calls] == ["llm_query"] * 5


def test_at_the_depth_limit_a_sub_agent_is_a_plain_completion_and_the_tree_says_so(ask):
    run = ask(
        None,
        model=by_question({"root": ["FINAL(rlm_query('what is it', context=[1, 2]))"]}, plain="seen"),
        limits=Limits(depth=0),
    )
    assert run.value == "seen"
    assert list(run.agents) == ["0"]
    assert run.tree.agents["0"].calls[0].purpose == "fallback"
    assert "\n1\n2\n" in run.tree.agents["0"].calls[0].messages[0]["content"]


def test_sub_agents_go_as_deep_as_the_limit(ask):
    script = {
        "root": ["FINAL(rlm_query('one', context=[1, 2, 3]))"],
        "one": ["FINAL(['one', rlm_query('two', context=context[1:])])"],
        "two": ["FINAL(['two', context])"],
    }
    run = ask(script, limits=Limits(depth=2))
    assert run.value == ["one", ["two", [2, 3]]]
    assert [agent.depth for agent in run.tree.agents.values()] == [0, 1, 2]


def test_a_failing_sub_agent_raises_in_its_parents_code_and_the_others_are_kept(ask):
    script = {
        "root": [
            (
                "parts = rlm_query_batched(['good', 'bad'], contexts=[1, 2])\n"
                "try:\n    rlm_query('bad', context=3)\nexcept Exception as e:\n    said = str(e)\n"
                "FINAL([parts[0], bool(parts[1]), said])"
            )
        ],
        "good": ["FINAL(context)"],
        "bad": [Raw("I give up")],
    }
    run = ask(script)
    assert run.value[:2] == [1, False]
    assert "without code" in run.value[2]
    assert run.agents["0.2"].status == "failed"


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
    run = ask({"root": ["x = 5", "import time\ntime.sleep(60)"]}, wait=False)
    _until(lambda: run.agents and run.tree.agents["0"].cells == 2)
    began = time.monotonic()
    run.stop()
    run.wait(10)
    assert time.monotonic() - began < 8
    assert run.status == "stopped"
    assert isinstance(run.error, RunStoppedError)
    assert run.agents["0"].pull("x") == 5


def test_a_stop_that_comes_before_the_first_agent_is_not_lost(ask):
    for _ in range(5):
        run = ask({"root": ["import time\ntime.sleep(60)"]}, wait=False)
        run.stop()
        assert run.wait(10).status == "stopped"


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.06])
def test_a_stop_while_sub_agents_kernels_start_takes_no_time(ask, delay):
    async def reply(messages):
        if "\nchild\n" in messages[1]["content"]:
            await asyncio.sleep(60)
        return cell("n = 3" if len(messages) < 3 else "rlm_query_batched(['child'] * 3)")

    run = ask(None, model=ScriptedModel(reply), wait=False)
    _until(lambda: run.tree.in_flight == 3)
    time.sleep(delay)
    began = time.monotonic()
    run.stop()
    assert run.wait(20).status == "stopped"
    assert time.monotonic() - began < 3


def test_stop_ends_one_branch_while_its_siblings_finish(ask):
    script = {
        "root": [
            "parts = rlm_query_batched(['fast', 'slow', 'fast'], contexts=[1, 2, 3])\nFINAL([p or p.kind for p in parts])"
        ],
        "fast": ["FINAL(context)"],
        "slow": ["import time\ntime.sleep(60)"],
    }
    run = ask(script, wait=False)
    _until(lambda: "0.2" in run.agents and run.tree.agents["0.2"].cells == 1)
    slow = next(a.id for a in run.tree.agents.values() if a.question == "slow")
    run.stop(slow)
    run.wait(20)
    assert run.value == [1, "stopped", 3]
    assert run.agents[slow].status == "stopped"


def test_a_variable_is_pulled_while_its_agent_is_busy(ask):
    run = ask({"root": ["x = [1, 2, 3]\nimport time\ntime.sleep(1.5)\nFINAL(x)"]}, wait=False)
    _until(lambda: run.agents and run.tree.agents["0"].cells == 1)
    time.sleep(0.3)
    assert run.agents["0"].pull("x") == [1, 2, 3]
    assert run.status == "running"
    run.wait(20)


def test_pull_of_what_is_not_there_names_what_is(ask):
    run = ask({"root": ["counts = 1\nFINAL(2)"]})
    with pytest.raises(VariableNotFoundError, match="`counts`") as caught:
        run.agents["0"].pull("cuonts")
    assert caught.value.run is run
    with pytest.raises(AgentNotFoundError, match="`0`"):
        run.agents["0.7"]


def test_a_value_that_only_pickle_can_carry_is_refused_by_the_notebook(ask):
    evil = "class Evil:\n    def __reduce__(self):\n        import os\n        return (os.system, ('echo pwned',))\nFINAL(Evil())"
    run = ask({"root": [evil]})
    assert run.status == "done"
    with pytest.raises(UnsafeValueError, match="trust=True"):
        _ = run.value
    with pytest.raises(UnsafeValueError, match="trust=True"):
        run.agents["0"].pull("Evil")


def test_objects_of_an_agents_own_class_travel_between_agents(ask):
    script = {
        "root": ["p = rlm_query('point', context=3)\nFINAL([type(p).__name__, p.x])"],
        "point": ["class Point:\n    def __init__(self, x):\n        self.x = x\nFINAL(Point(context))"],
    }
    assert ask(script).value == ["Point", 3]


def test_a_large_text_is_held_once_however_many_agents_read_it(ask):
    text = "0123456789abcdef" * (4 << 20)
    private = "int(open('/proc/self/smaps_rollup').read().split('Private_Dirty:')[1].split()[0]) >> 10"
    script = {
        "root": ["FINAL(rlm_query_batched(['size'] * 4, contexts=[context] * 4))"],
        "size": [f"n = len(context) + context.count('f0')\nFINAL([n, {private}])"],
    }
    run = ask(script, context=text)
    sizes, megabytes = zip(*run.value, strict=True)
    assert set(sizes) == {len(text) + text.count("f0")}
    assert max(megabytes) < 48, "a copy of 64 MiB is in an agent's own memory"


def test_a_dataclass_keeps_its_class_among_agents_and_is_plain_data_for_the_notebook(ask):
    script = {
        "root": ["p = rlm_query('point', context=3)\nFINAL([type(p).__name__, p.x, p])"],
        "point": [
            "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\nFINAL(Point(context))"
        ],
    }
    assert ask(script).value == ["Point", 3, {"x": 3}]


def test_an_answer_is_checked_against_its_schema_and_sent_back(ask):
    run = ask(
        {"root": ["FINAL({'n': 'many'})", "FINAL({'n': 3})"]},
        schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    )
    assert run.value == {"n": 3}
    assert "n: 'many' is not of type 'integer'" in run.messages()[3]["content"]


def test_final_before_a_look_at_the_data_is_answered_with_a_request_to_look(ask):
    data = pd.DataFrame({"a": range(1000)})
    run = ask({"root": ["FINAL(0)", "FINAL(len(context))"]}, context=data)
    assert run.value == 1000
    assert "has not read `context`" in run.messages()[3]["content"]


def test_a_tool_runs_in_the_agents_kernel_with_its_own_module_code(ask):
    def tax(amount: float) -> float:
        """Give the tax of an amount."""
        return amount * RATE

    run = ask({"root": ["FINAL(tax(100))"]}, tools=[tax])
    assert run.value == 19.0
    assert "def tax(amount: float) -> float" in run.messages()[1]["content"]


RATE = 0.19


def test_environment_variables_reach_the_kernel_and_no_record(ask):
    run = ask(
        {"root": ["import os\nprint('value', os.environ['SERVICE_PIN'])\nFINAL('ok')"]},
        env={"SERVICE_PIN": "hunter2hunter2"},
    )
    assert run.value == "ok"
    assert "hunter2hunter2" not in run.log_path.read_text()
    assert all("hunter2hunter2" not in event.model_dump_json() for event in run.events)


@pytest.mark.parametrize(
    ("question", "context", "error", "says"),
    [
        ("  ", None, ConfigError, "empty"),
        ("q", threading.Lock(), ContextError, "lock"),
        ("q", {"rows": (i for i in range(3))}, ContextError, "generator"),
    ],
)
def test_bad_input_is_named_before_anything_starts(question, context, error, says, tmp_path):
    rlm = RLM(model=ScriptedModel([]), log_dir=tmp_path / "logs", cache=False)
    with pytest.raises(error, match=says):
        rlm.run(question, context=context)


def test_an_empty_frame_is_data_like_any_other(ask):
    run = ask({"root": ["FINAL(context.shape)"]}, context=pd.DataFrame())
    assert list(run.value) == [0, 0]


def test_the_wall_clock_limit_ends_a_run(ask):
    run = ask({"root": ["x = 1", "import time\ntime.sleep(60)"]}, limits=Limits(seconds=2))
    assert run.status == "limit"
    assert run.error.limit == "seconds"
    assert run.agents["0"].pull("x") == 1


def test_a_cell_that_takes_too_long_is_ended_and_the_agent_told(ask):
    run = ask({"root": ["import time\ntime.sleep(60)", "FINAL('later')"]}, limits=Limits(cell_seconds=1))
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


async def test_a_run_is_awaited_on_a_loop_that_runs_already(tmp_path):
    rlm = RLM(model=by_question({"root": ["FINAL(1)"]}), log_dir=None, cache=False)
    run = await rlm.arun("root")
    assert run.value == 1
    started = rlm.start("root")
    assert (await started).value == 1
    kinds = [event.kind async for event in rlm.start("root").stream()]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    await asyncio.to_thread(run.close)
    await asyncio.to_thread(started.close)


def test_in_step_mode_each_cell_waits_for_next_and_can_be_edited(ask):
    run = ask({"root": ["x = 1", "FINAL(x)"]}, wait=False, step=True)
    _until(lambda: run.agents and run.tree.agents["0"].pending_code == "x = 1")
    run.next(code="x = 40")
    _until(lambda: run.tree.agents["0"].pending_code == "FINAL(x)")
    run.next("0")
    assert run.wait(20).value == 40


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
    _until(lambda: run.agents[new].status == "done")
    assert (new, run.agents[new].value) == ("0.2", 42)


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


def _until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
