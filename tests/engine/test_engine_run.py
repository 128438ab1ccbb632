"""A run from end to end: real kernels, a scripted model."""

import asyncio
import itertools

import numpy as np
import pandas as pd
import pytest
from run_parts import asking, until
from scripts import Raw, by_question, cell

from rlm_jupyter import RLM, Limits


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


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
        """Returns the tax of an amount."""
        return amount * RATE

    run = ask({"root": ["FINAL(tax(100))"]}, tools=[tax])
    assert run.value == 19.0
    assert "def tax(amount: float) -> float" in run.messages()[1]["content"]


RATE = 0.19


def test_an_empty_frame_is_data_like_any_other(ask):
    run = ask({"root": ["FINAL(context.shape)"]}, context=pd.DataFrame())
    assert list(run.value) == [0, 0]


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
    until(lambda: run.agents and run.tree.agents["0"].pending_code == "x = 1")
    run.next(code="x = 40")
    until(lambda: run.tree.agents["0"].pending_code == "FINAL(x)")
    run.next("0")
    assert run.wait(60).value == 40
