"""Follow-up questions: the same kernel and its variables, the chat goes on, limits begin anew."""

import time

import pandas as pd
import pytest
from scripts import Raw, by_question

from rlm_jupyter import RLM, Limits
from rlm_jupyter.errors import ConfigError, KernelDiedError, LimitReachedError
from rlm_jupyter.records import load
from rlm_jupyter.views import text_tree


@pytest.fixture
def begin(tmp_path):
    """Start a question; the run and all that continue it are closed at the end."""
    opened = []

    def start(turns, context=None, *, wait=True, **options):
        script = {"root": turns, "sub": ["FINAL(context * 2)"]}
        rlm = RLM(model=by_question(script), log_dir=tmp_path / "logs", cache=False, **options)
        run = rlm.start("root", context, on_event=lambda event: None)
        opened.append(run)
        return run.wait(60) if wait else run

    yield start
    while opened:
        run = opened.pop()
        if run.continued_by is not None:
            from rlm_jupyter.rlm import find_run

            opened.append(find_run(run.continued_by))
        run.close()


def test_a_follow_up_goes_on_in_the_same_kernel_with_its_variables_and_chat(begin):
    frame = pd.DataFrame({"a": [1, 2, 3]})
    first = begin(["total = context.a.sum()\nFINAL(total)", "FINAL([total + 1, len(context)])"], frame)
    sent = [dict(m) for m in first.messages()]
    again = first.ask("And one more?")
    assert (first.value, again.value) == (6, [7, 3])
    assert again.messages()[: len(sent)] == sent  # appended, nothing rewritten
    asked = again.messages()[len(sent)]["content"]
    assert "And one more?" in asked
    assert "Your answer was taken" in asked
    assert "pid" in next(e for e in again.events if e.kind == "kernel_started").model_dump()
    pids = [next(e.pid for e in run.events if e.kind == "kernel_started") for run in (first, again)]
    assert pids[0] == pids[1]
    assert again.agents["0"].pull("total") == 6
    assert "total" in again.agents["0"].variables


def test_it_is_a_run_of_its_own_that_names_the_one_it_continues(begin):
    first = begin(["FINAL(1)", "FINAL(2)"])
    again = first.ask("more")
    assert again.id != first.id
    assert (again.continues, first.continues, first.continued_by) == (first.id, None, again.id)
    assert again.log_path != first.log_path
    record = load(again.log_path)
    assert record.tree.continues == first.id
    assert record.events[0].continues == first.id
    assert f"continues run `{first.id}`" in text_tree.tree(record.tree)
    prompt = next(e for e in record.events if e.kind == "prompt_sent")
    assert [dict(m) for m in prompt.messages] == again.messages()[:-1]  # the log is whole by itself


def test_limits_begin_anew_and_may_be_others(begin):
    first = begin(["x = 1", "x = 2", "FINAL(x)"], limits=Limits(calls_per_agent=2))
    assert isinstance(first.error, LimitReachedError)
    again = first.ask("go on", limits=Limits(calls_per_agent=5))
    assert again.value == 2
    assert "ended before there was an answer" in again.messages()[-2]["content"]
    assert again.tree.limits["calls_per_agent"] == 5
    assert again.tree.calls == 1
    roles = [m["role"] for m in again.messages()]
    assert roles == ["system", *["user", "assistant"] * ((len(roles) - 1) // 2)]


def test_a_follow_up_takes_a_schema_more_data_and_tools(begin):
    def triple(number: int) -> int:
        """Returns three times a number."""
        return number * 3

    more = "FINAL([triple(context_2.b.sum()), returns is context_2, len(context)])"
    first = begin(["FINAL(len(context))", "print(context_2.shape)", "FINAL('no')", more], [1, 2])
    again = first.ask("and these?", pd.DataFrame({"b": [4]}), names=("returns",), schema=list, tools=[triple])
    assert again.value == [12, True, 2]
    asked = next(m["content"] for m in again.messages() if "and these?" in m["content"])
    for part in ("`context_2`, `returns`", "def triple(number: int) -> int", "FINAL takes"):
        assert part in asked
    third = again.ask("the end?")
    assert third.value == [12, True, 2]


def test_new_data_is_to_be_looked_at_first(begin):
    first = begin(["FINAL(len(context))", "FINAL(0)", "FINAL(len(context_2))"], list(range(500)))
    again = first.ask("and this?", list(range(900)))
    assert again.value == 900
    assert any("has not read `context_2`" in m["content"] for m in again.messages())


def test_sub_agents_of_a_follow_up_are_its_own(begin):
    ask = "part = rlm_query('sub', context=3)\nFINAL(part)"
    first = begin([ask, "FINAL(part + rlm_query('sub', context=50))"])
    again = first.ask("more")
    assert again.value == 106
    assert list(first.agents) == list(again.agents) == ["0", "0.1"]
    assert first.agents["0.1"].pull("context") == 3
    assert again.agents["0.1"].pull("context") == 50


def test_closing_the_earlier_run_leaves_the_kernel_to_the_later_one(begin):
    first = begin(["x = 5\nFINAL(x)", "FINAL(x + 1)", "FINAL(x + 2)"])
    again = first.ask("more")
    first.close()
    assert first.value == 5
    assert again.agents["0"].pull("x") == 5
    assert again.ask("and more").value == 7
    with pytest.raises(KernelDiedError):
        first.agents["0"].pull("x")


def test_a_kernel_that_dies_in_a_follow_up_gets_all_its_data_again(begin):
    first = begin(
        [
            "FINAL(context[0])",
            "import os\nos._exit(1)",
            "FINAL([context[0], context_2[0], 'x' in globals()])",
        ],
        [1],
    )
    again = first.ask("more", [2])
    assert again.value == [1, 2, False]


def test_closing_a_run_gives_up_the_descriptors_of_its_data_and_of_that_alone(begin):
    first = begin(
        ["FINAL(1)", "FINAL(2)", "import os\nos._exit(1)", "FINAL([context[0], context_2[0]])"], [1]
    )
    second = first.ask("more", [2])
    held = second.root.spec.added[0].data
    third = second.follow_up("and more")
    first.close()
    second.close()
    assert held.closed
    assert third.wait(60).raise_for_error().value == [1, 2]
    third.close()
    assert third.root.spec.added[0].data.closed
    assert third.root.spec.context.closed


def test_a_stopped_run_can_be_continued(begin):
    first = begin(["x = 1\nimport time\ntime.sleep(600)", "FINAL(x)"], wait=False)
    end = time.monotonic() + 60
    while not (first.agents and first.tree.agents["0"].cells) and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    first.stop()
    first.wait(60)
    assert first.ask("what is x?").value == 1


def test_asking_on_where_that_cannot_be_says_why(begin):
    first = begin(["import time\ntime.sleep(2)\nFINAL(1)", "FINAL(2)", "FINAL(3)"], wait=False)
    with pytest.raises(ConfigError, match="still runs"):
        first.ask("too early")
    first.wait(60)
    with pytest.raises(ConfigError, match="`env` is set when a kernel starts"):
        first.ask("more", env={"NEW": "value"})
    with pytest.raises(ConfigError, match="empty"):
        first.ask(" ")
    again = first.ask("more")
    with pytest.raises(ConfigError, match=f"continued by run `{again.id}`"):
        first.ask("a second branch")
    again.close()
    with pytest.raises(KernelDiedError, match="is gone"):
        again.ask("too late")


def test_a_run_that_failed_can_be_told_more(begin):
    first = begin(["x = 'now'", Raw("no code"), Raw("no code"), Raw("no code"), "FINAL(x)"])
    assert first.status == "failed"
    assert first.ask("Write code.").value == "now"


async def test_a_follow_up_is_awaited(begin):
    first = begin(["FINAL(1)", "FINAL(2)", "FINAL(3)"])
    assert (await first.aask("more")).value == 2
    started = begin(["FINAL(1)", "FINAL(5)"]).follow_up("more")
    assert (await started).value == 5


@pytest.mark.parametrize(("turns", "told"), [(1, True), (2, False)])
def test_a_follow_up_of_one_turn_is_told_that_it_is_the_last(begin, turns, told):
    again = begin(["FINAL(1)", "FINAL(2)"]).ask("more", limits=Limits(calls_per_agent=turns))
    assert again.value == 2
    assert ("This is your last turn" in again.messages()[-2]["content"]) is told
