"""Batches, callbacks, streams; and the engine outside a notebook: a script, a thread, a loop that runs."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripts import by_question

from rlm_jupyter import RLM, AgentFailedError, ConfigError, Limits, wiring
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.rlm import last_run, runs

SCRIPT = {
    "double": ["FINAL(context * 2)"],
    "wrong": ["1 / 0"],
    "slow": ["import time\ntime.sleep(600)\nFINAL(0)"],
    "nap": ["import time\ntime.sleep(0.4)\nFINAL(context)"],
    "endless": ["x = 1"],
}


@pytest.fixture
def rlm():
    before = len(runs())
    yield RLM(model=by_question(SCRIPT), log_dir=None, cache=False, limits=Limits(calls_per_agent=6))
    for run in runs()[before:]:
        run.close()


def test_a_batch_gives_a_run_for_each_question_and_keeps_those_that_did_not_fail(rlm):
    asked = ["double", "wrong", "double", "", "double", "endless", "double"]
    done = rlm.run_batch(asked, [1, 2, 3, 4, threading.Lock(), 6, 7])
    assert [run.status for run in done] == ["done", "failed", "done", "failed", "failed", "limit", "done"]
    assert [run.value for run in done] == [2, None, 6, None, None, None, 14]
    assert [run.question for run in done] == asked
    assert isinstance(done[1].error, AgentFailedError)
    assert "empty" in done[3].error.message
    assert "lock" in done[4].error.message
    assert done[4].error.run is done[4]
    assert done[4].tree.error == done[4].error.message
    assert set(done) <= set(runs())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_batch_runs_no_more_at_once_than_it_was_told(rlm, concurrency):
    done = rlm.run_batch(["nap"] * 4, [0, 1, 2, 3], concurrency=concurrency)
    assert [run.value for run in done] == [0, 1, 2, 3]
    marks = sorted([(r.tree.started, 1) for r in done] + [(r.tree.finished, -1) for r in done])
    at_once = most = 0
    for _, change in marks:
        at_once += change
        most = max(most, at_once)
    assert most == concurrency


def test_one_context_for_all_questions_and_options_for_all(rlm):
    assert [run.value for run in rlm.run_batch(["double"] * 2, context=[1], schema=list)] == [[1, 1]] * 2
    assert rlm.run_batch([]) == []


@pytest.mark.parametrize(
    ("questions", "contexts", "concurrency", "says"),
    [
        ("one text", None, 4, "a list of questions"),
        (["a", "b"], [1], 4, "2 questions and 1 contexts"),
        (["double"], None, 0, "`concurrency` cannot be 0"),
    ],
)
def test_a_batch_that_cannot_be_starts_nothing(rlm, questions, contexts, concurrency, says):
    before = len(runs())
    with pytest.raises(ConfigError, match=says):
        rlm.run_batch(questions, contexts, concurrency=concurrency)
    assert len(runs()) == before


async def test_a_batch_is_awaited_and_ends_when_it_is_cancelled(rlm):
    done = await rlm.arun_batch(["double", "wrong"], [1, 2])
    assert [run.status for run in done] == ["done", "failed"]
    before = len(runs())
    task = asyncio.create_task(rlm.arun_batch(["slow", "slow"], [1, 2]))
    while len(runs()) < before + 2 or not all(r.agents and r.tree.agents["0"].cells for r in runs()[before:]):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for run in runs()[before:]:
        await asyncio.to_thread(run.wait, 60)
        assert run.status == "stopped"


def test_an_event_callback_hears_all_from_the_first_and_may_fail():
    heard, each = [], []

    def fails(event):
        raise RuntimeError("mine")

    rlm = RLM(model=by_question(SCRIPT), log_dir=None, cache=False, on_event=heard.append)
    with rlm.run("double", 4, on_event=each.append) as run:
        logged = [event.seq for event in run.events]
    with rlm.run("double", 4, on_event=fails) as run:
        assert run.value == 8
    first = [event for event in heard if event.run == each[0].run]
    assert [event.seq for event in first] == [event.seq for event in each]
    assert each[0].kind == "run_started"
    assert each[-1].kind == "run_finished"
    assert set(logged) <= {event.seq for event in each}


def test_a_listener_that_cannot_be_called_starts_nothing(rlm):
    before = len(runs())
    with pytest.raises(ConfigError, match="`on_event` takes a function"):
        rlm.run("double", 4, on_event=3)
    assert len(runs()) == before


async def test_a_stream_of_events_begins_the_run_and_leaving_it_ends_the_run(rlm):
    kinds = [event.kind async for event in rlm.stream("double", 3)]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
    assert last_run().value == 6
    events = rlm.stream("slow", 3)
    async for event in events:
        if event.kind == "code_started":
            break
    await events.aclose()
    run = last_run()
    await asyncio.to_thread(run.wait, 60)
    assert run.status == "stopped"


def test_from_a_thread_and_from_many_at_once(rlm):
    values = {}

    def ask(number):
        values[number] = rlm.run("double", number).value

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert values == {n: 2 * n for n in range(4)}


async def test_in_a_loop_that_runs_blocking_and_awaited(rlm):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(tick())
    assert (await rlm.arun("nap", 5)).value == 5
    assert ticks > 10
    beside.cancel()
    assert rlm.run("double", 2).value == 4  # blocks this loop and not the engine's


def test_a_callback_cannot_wait_for_the_run_that_calls_it(rlm):
    said = []

    def wait(event):
        if event.kind == "agent_started":
            try:
                rlm.start("double", 1)
            except ConfigError as error:
                said.append(str(error))

    rlm.run("double", 1, on_event=wait)
    assert "from another thread" in said[0]


PLAIN = """
    import sys
    from rlm_jupyter import RLM
    from rlm_jupyter.models import ScriptedModel

    def reply(messages):
        if messages[1]["content"].startswith("Question:\\nroot"):
            return "```repl\\nFINAL(sum(rlm_query_batched(['sub'] * 2, contexts=[[1, 2], [3]])))\\n```"
        return "```repl\\nFINAL(sum(context))\\n```"

    if __name__ == "__main__":
        run = RLM(model=ScriptedModel(reply), log_dir=None, cache=False).run("root")
        print(run.value, run.status, "IPython" in sys.modules and sys.modules["IPython"].get_ipython())
"""


def test_a_plain_script_needs_no_notebook_and_ends_by_itself(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text(textwrap.dedent(PLAIN))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[:2] == ["6", "done"]
    assert done.stdout.split()[2] in ("None", "False")


def test_a_script_under_asyncio_run(tmp_path):
    path = tmp_path / "plain.py"
    body = textwrap.dedent(PLAIN).replace("RLM(", "await RLM(").replace(".run(", ".arun(")
    body = body.replace('if __name__ == "__main__":', "async def main():")
    path.write_text(body + "\nimport asyncio\nasyncio.run(main())\n")
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("6 done")


def test_a_failed_question_of_a_script_raises_with_its_run():
    with pytest.raises(AgentFailedError) as caught:
        RLM(model=ScriptedModel(["no", "no", "no"]), log_dir=None, cache=False).run("q")
    with caught.value.run as run:
        assert run.status == "failed"


def test_what_counts_the_open_runs_of_an_rlm_is_one_also_when_threads_ask_first_at_once(monkeypatch):
    rlm = RLM(model="demo", early_start=False)

    def slowly(*arguments, make=wiring.Wiring, **named):
        time.sleep(0.1)
        return make(*arguments, **named)

    monkeypatch.setattr(wiring, "Wiring", slowly)
    with ThreadPoolExecutor(4) as threads:
        made = [threads.submit(rlm._wiring) for _ in range(4)]
    assert len({id(one.result()) for one in made}) == 1
