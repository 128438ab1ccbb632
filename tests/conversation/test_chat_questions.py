"""Conversations: one kernel and one chat for many questions, with data and tools that come later, and errors on the way."""

import asyncio
import os
import signal
import threading
import time

import pandas as pd
import pytest
from chat_parts import chatting, talking
from run_parts import until

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent import kernel_setup, loop
from rlm_jupyter.engine.agent.loop import AgentLoop
from rlm_jupyter.errors import (
    ConfigError,
    ContextError,
    KernelDiedError,
    LimitReachedError,
    ModelError,
    RunStoppedError,
    UnknownPriceError,
)
from rlm_jupyter.models import ScriptedModel


@pytest.fixture
def begin(tmp_path):
    with chatting(tmp_path) as begin:
        yield begin


def test_each_question_goes_on_with_the_kernel_the_variables_and_the_chat(begin):
    chat = begin(
        {
            "How many?": ["n = len(context)", "FINAL(n)"],
            "Twice that?": ["FINAL(2 * n)"],
            "All?": ["FINAL(history)"],
        },
        [1, 2, 3],
    )
    first = chat.run("How many?")
    second = chat.run("Twice that?")
    assert (first.value, second.value) == (3, 6)
    assert second.messages()[: len(first.messages())] == first.messages()
    assert second.continues == first.id
    assert chat.run("All?").value == [
        {"question": "How many?", "answer": 3, "summary": "3", "status": "done"},
        {"question": "Twice that?", "answer": 6, "summary": "6", "status": "done"},
    ]
    assert [(one.question, one.answer, one.run) for one in chat.history[:2]] == [
        ("How many?", 3, first.id),
        ("Twice that?", 6, second.id),
    ]


def test_the_model_is_told_of_history_from_the_second_question_on(begin):
    chat = begin({"one": ["FINAL(history)"], "two": ["FINAL(1)"]})
    first = chat.run("one")
    assert first.value == []
    assert not any("`history` has" in one["content"] for one in first.messages())
    asked = chat.run("two").messages()[-2]["content"]
    assert "`history` has the earlier questions and answers of this conversation (1," in asked


def test_what_was_found_before_may_be_said_again_though_only_notes_have_it(begin):
    script = {
        "find": [
            "print('word ' * 3000)\nname = ''.join(context[:2])",
            *["print('word ' * 3000)"] * 3,
            "FINAL(name)",
        ],
        "again": ["FINAL('4711')"],
    }
    chat = begin(None, ["47", "11"] * 500, model=talking(script, plain="- the supplier: 4711"), memory=2000)
    chat.run("find")
    run = chat.run("again")
    assert any("My notes on my turns so far" in one["content"] for one in run.messages())
    assert run.value == "4711"
    assert not any(event.kind == "value_rejected" for event in run.events)


def test_history_has_questions_that_failed_and_no_answers_that_are_large(begin):
    large = "FINAL('x' * 3_000_000)"
    chat = begin({"large": [large], "bad": [ModelError("no such model")], "now": ["FINAL(history)"]})
    chat.run("large")
    with pytest.raises(ModelError, match="no such model"):
        chat.run("bad")
    big, bad = chat.run("now").value
    assert big["answer"] is None
    assert "xxx" in big["summary"]
    assert len(big["summary"]) <= 2000
    assert (bad["status"], bad["answer"]) == ("failed", None)
    assert "no such model" in bad["error"]


def test_data_is_added_and_a_name_that_comes_again_has_its_new_value(begin):
    script = {
        "one": ["FINAL(sum(orders))"],
        "two": ["FINAL([sum(orders), sum(returns)])"],
        "three": ["FINAL([orders, returns, sorted(n for n in globals() if n.startswith('context'))])"],
    }
    chat = begin(script, [1, 2], names=("orders",))
    assert chat.run("one").value == 3
    chat.add(returns=[5])
    assert chat.run("two").value == [3, 5]
    chat.add(returns=[7, 8])
    assert chat.run("three").value == [[1, 2], [7, 8], ["context", "context_2"]]
    assert len(chat.newest.root.spec.added) == 1


def test_data_can_be_added_before_the_first_question(begin):
    chat = begin({"one": ["FINAL([context['data'], more, data])"]}, 1)
    chat.add(more=2)
    assert chat.run("one").value == [1, 2, 1]


def test_tools_are_registered_on_the_way(begin):
    def double(number: int) -> int:
        """Returns twice a number."""
        return 2 * number

    chat = begin(
        {"one": ["FINAL(double(4))"], "two": ["FINAL(triple(double(1)))"], "three": ["FINAL(triple(1))"]},
        tools=[double],
    )
    assert chat.run("one").value == 8

    @chat.register
    def triple(number: int) -> int:
        """Returns three times a number."""
        return 3 * number

    run = chat.run("two")
    assert run.value == 6
    assert "def triple" in run.messages()[-2]["content"]

    def other(number: int) -> int:
        """Returns thirty times a number."""
        return 30 * number

    other.__name__ = "triple"
    chat.register(other)
    assert chat.run("three").value == 30


def test_what_cannot_be_handed_over_is_refused_or_left_out_and_the_conversation_goes_on(begin):
    chat = begin({"one": ["FINAL(1)"], "two": ["FINAL('x' in globals())"]})
    chat.run("one")
    with pytest.raises(ConfigError, match="`history`"):
        chat.add(history=[])
    with pytest.raises(ConfigError, match="FINAL"):
        chat.add(FINAL=1)
    with pytest.raises(ConfigError, match="not a function"):
        chat.register(3)
    chat.add(x=threading.Lock())
    with pytest.raises(ContextError, match="Left out of the conversation: `x`"):
        chat.run("two")
    assert chat.run("two").value is False
    assert len(chat.history) == 2


@pytest.mark.parametrize("by", ["chat", "run"])
def test_one_question_at_a_time(begin, by):
    chat = begin({"long": ["import time\ntime.sleep(600)"], "next": ["FINAL(1)"]})
    run = chat.start("long")
    with pytest.raises(ConfigError, match="still answers"):
        chat.start("next")
    until(lambda: run.agents and run.tree.agents["0"].cells)
    (chat if by == "chat" else run).stop()
    until(lambda: any(event.kind == "command" for event in run.events))
    assert chat.run("next").value == 1  # waits for the end of the one that was stopped
    assert run.status == "stopped"


def test_a_question_that_is_stopped_leaves_variables_and_data(begin):
    chat = begin(
        {
            "one": ["x = 5\nFINAL(x)"],
            "long": ["y = 6", "import time\ntime.sleep(600)"],
            "next": ["FINAL([x, y, more])"],
        }
    )
    chat.run("one")
    chat.add(more=7)
    run = chat.start("long")
    until(lambda: run.agents and run.tree.agents["0"].cells >= 2)
    chat.stop()
    with pytest.raises(RunStoppedError):
        run.wait(60).raise_for_error()
    assert chat.run("next").value == [5, 6, 7]


@pytest.mark.parametrize("first", [True, False])
def test_a_question_that_is_stopped_at_once_leaves_nothing_out(begin, first):
    """However soon: the kernel may not have been taken over yet, or not have its new data."""
    chat = begin(
        {"one": ["x = 5\nFINAL(x)"], "gone": ["FINAL(0)"], "next": ["FINAL([more, context])"]}, "data"
    )
    if not first:
        chat.run("one")
    chat.add(more=7)
    for _ in range(3):
        run = chat.start("gone")
        run.stop()
        run.wait(60)
        if run.status == "done":
            pytest.skip("it was quicker than the stop")
    found = chat.run("next").value
    assert found == ([7, "data"] if not first else [7, {"data": "data", "more": 7}])


@pytest.mark.parametrize("first", [True, False])
def test_a_question_that_is_stopped_while_its_data_is_loaded_leaves_nothing_out(begin, first, monkeypatch):
    at_work, load, waits = threading.Event(), kernel_setup.load, [True]

    async def slow(*arguments):
        if waits:
            at_work.set()
            await asyncio.sleep(600)
        await load(*arguments)

    def double(number: int) -> int:
        """Returns twice a number."""
        return 2 * number

    chat = begin({"one": ["FINAL(1)"], "gone": ["FINAL(0)"], "next": ["FINAL([double(more), history])"]})
    if not first:
        chat.run("one")
    chat.add(more=7)
    chat.register(double)
    monkeypatch.setattr(kernel_setup, "load", slow)
    run = chat.start("gone")
    assert at_work.wait(60)
    run.stop()
    assert run.wait(60).status == "stopped"
    waits.clear()
    found, history = chat.run("next").value
    assert found == 14
    assert history[-1]["question"] == "gone"


def test_a_question_that_is_cancelled_before_it_took_the_kernel_gives_it_back(begin, monkeypatch):
    """As a stop that comes before the agent's first step."""
    chat = begin({"one": ["x = 5\nFINAL(x)"], "gone": ["FINAL(0)"], "next": ["FINAL([x, more])"]})
    chat.run("one")
    chat.add(more=7)
    work = AgentLoop.work
    monkeypatch.setattr(AgentLoop, "work", lambda agent: asyncio.sleep(600))
    run = chat.start("gone")
    run.stop()
    assert run.wait(60).status == "stopped"
    monkeypatch.setattr(AgentLoop, "work", work)
    assert chat.run("next").value == [5, 7]
    assert [one.status for one in chat.history] == ["done", "stopped", "done"]


def test_a_question_that_is_stopped_before_its_prompt_is_made_keeps_the_chat(begin, monkeypatch):
    chat = begin({"one": ["x = 5\nFINAL(x)"], "gone": ["FINAL(0)"], "next": ["FINAL(x + 1)"]})
    first = chat.run("one")
    at_work, choose = threading.Event(), loop.choose_prompt

    async def slow(*_arguments):
        at_work.set()
        await asyncio.sleep(600)

    monkeypatch.setattr(loop, "choose_prompt", slow)
    run = chat.start("gone")
    assert at_work.wait(60)
    run.stop()
    run.wait(60)
    monkeypatch.setattr(loop, "choose_prompt", choose)
    assert chat.history[-1].status == "stopped"
    rlm = RLM(model=ScriptedModel(lambda _: "```repl\nFINAL(0)\n```"), log_dir=None, cache=False)
    others = [rlm.run("other") for _ in range(5)]
    until(lambda: others[0].closed and (first.closed or run.closed))
    found = chat.run("next")
    assert found.value == 6
    assert found.messages()[: len(first.messages())] == first.messages()


def test_a_model_that_fails_and_a_limit_that_is_reached_leave_it_usable(begin):
    failing = {
        "key": [ModelError("401")],
        "turns": ["x = 1", "x = 2", "x = 3"],
        "next": ["FINAL(x)"],
    }
    chat = begin(failing, limits=Limits(calls_per_agent=2))
    with pytest.raises(ModelError):
        chat.run("key")
    with pytest.raises(LimitReachedError):
        chat.run("turns")
    assert chat.run("next").value == 2


def test_a_kernel_that_dies_between_questions_is_replaced_with_the_data(begin):
    chat = begin(
        {
            "one": ["x = 5\nFINAL(len(context))"],
            "two": ["FINAL(['x' in globals(), context, added, history])"],
        },
        [1, 2],
    )
    chat.add(added="a")
    first = chat.run("one")
    kernel = first.root.kernel
    os.kill(kernel.pid, signal.SIGKILL)
    until(lambda: not kernel.alive)
    second = chat.run("two")
    known, context, added, history = second.value
    assert (known, added) == (False, "a")
    assert context == {"data": [1, 2], "added": "a"}
    assert [one["question"] for one in history] == ["one"]
    assert "Your kernel was lost meanwhile and replaced" in second.messages()[-2]["content"]
    assert any("The kernel was replaced" in text for text in second.tree.agents["0"].notices)
    assert chat.run("two").value[2] == "a"


def test_a_plain_follow_up_still_says_that_its_kernel_is_gone(begin):
    chat = begin({"one": ["FINAL(1)"]})
    run = chat.run("one")
    kernel = run.root.kernel
    os.kill(kernel.pid, signal.SIGKILL)
    until(lambda: not kernel.alive)
    with pytest.raises(KernelDiedError, match="is gone"):
        run.ask("two")


def test_other_runs_do_not_close_the_kernel_of_a_conversation(begin, tmp_path):
    chat = begin({"one": ["x = 5\nFINAL(x)"], "two": ["FINAL(x + 1)"]})
    run = chat.run("one")
    rlm = RLM(model=ScriptedModel(lambda _: "```repl\nFINAL(0)\n```"), log_dir=None, cache=False)
    for _ in range(5):
        rlm.run("other")
    assert not run.closed
    assert chat.run("two").value == 6
    until(lambda: run.closed or rlm.run("other").value)  # what it went on from need not stay


def test_a_conversation_that_nobody_holds_is_closed_like_any_run(tmp_path):
    rlm = RLM(model=ScriptedModel(lambda _: "```repl\nFINAL(0)\n```"), log_dir=None, cache=False)
    run = rlm.chat().run("one")
    others = [rlm.run("other") for _ in range(5)]
    until(lambda: run.closed)
    for other in others:
        other.close()


def test_the_budget_is_of_all_questions_together(begin):
    chat = begin(
        {"one": ["x = 1", "FINAL(1)"], "two": ["x = 2", "x = 3", "FINAL(2)"], "three": ["FINAL(3)"]},
        budget={"calls": 4},
    )
    chat.run("one")
    assert chat.spent.calls == 2
    with pytest.raises(LimitReachedError, match="calls"):
        chat.run("two")
    assert chat.spent.calls == 4
    with pytest.raises(LimitReachedError, match=r"has spent its `calls` of 4: raise it \(`chat.set_limit"):
        chat.run("three")
    assert len(chat.history) == 2  # nothing was asked
    chat.set_limit("calls", 10)
    assert chat.run("three").value == 3


def test_a_budget_in_money_is_never_passed_and_needs_a_price(begin):
    model = talking(lambda question: ["FINAL(1)"], price=(1.0, 1.0))
    chat = begin(None, model=model, budget=Limits(cost=0.03))
    runs = [chat.run("again")]
    with pytest.raises(LimitReachedError):
        runs += (chat.run("again") for _ in range(50))
    assert 0 < chat.spent.cost <= 0.03
    chat = begin(None, model=talking(lambda question: ["FINAL(1)"], price=None), budget={"cost": 1})
    with pytest.raises(UnknownPriceError):
        chat.run("one")
    for wrong in ({"depth": 2}, {"no": 1}, {"cost": -1}):
        with pytest.raises(ConfigError):
            begin(None, model=model, budget=wrong)


def test_a_question_has_a_schema_limits_and_other_models(begin):
    chat = begin({"one": ["FINAL(1)"], "two": ["FINAL('no')", "FINAL(2)"], "three": ["x = 1", "FINAL(3)"]})
    chat.run("one")
    assert chat.run("two", schema=int).value == 2
    with pytest.raises(LimitReachedError):
        chat.run("three", limits={"calls_per_agent": 1})
    other = RLM(model=talking(lambda question: ["FINAL('other')"], name="other"), log_dir=None, cache=False)
    run = chat.run("one", asker=other.asker)
    assert (run.value, run.tree.model) == ("other", "other")


def test_closing_stops_and_ends_it(begin):
    chat = begin({"one": ["FINAL(1)"], "long": ["import time\ntime.sleep(600)"]})
    chat.run("one")
    run = chat.start("long")
    until(lambda: run.agents and run.tree.agents["0"].cells)
    began = time.monotonic()
    chat.close()
    assert time.monotonic() - began < 300  # and not the cell's ten minutes
    assert run.closed
    assert chat.closed
    assert [one.status for one in chat.history] == ["done", "stopped"]
    for use in (lambda: chat.run("one"), lambda: chat.add(x=1), lambda: chat.register(len)):
        with pytest.raises(ConfigError, match="was closed"):
            use()


def test_a_run_that_was_closed_by_hand_says_so(begin):
    chat = begin({"one": ["FINAL(1)"], "two": ["FINAL(2)"]})
    chat.run("one").close()
    with pytest.raises(KernelDiedError, match="begin another conversation"):
        chat.run("two")


@pytest.mark.parametrize("memory", [0, True, "32k", 1999])
def test_a_memory_that_cannot_be_is_refused(begin, memory):
    with pytest.raises(ConfigError, match="`memory`"):
        begin({}, memory=memory)


def test_the_demo_goes_on_in_a_conversation():
    orders = pd.DataFrame({"city": ["Kiel", "Bonn", "Jena"] * 9, "amount": range(27)})
    with RLM(model="demo", log_dir=None, cache=False).chat(orders, names=("orders",)) as chat:
        assert chat.run("Which city has the highest average amount?").value["city"] == "Jena"
        assert chat.run("And the lowest?").value["city"] == "Kiel"
