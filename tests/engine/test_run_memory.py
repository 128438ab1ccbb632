"""Where a run's bytes are: values above the limit on disk, one copy of the data, kernels that end to free memory."""

import asyncio
import contextlib
import gc
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from kernel_parts import gone
from magics_parts import notebook
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.engine.run.run_values import Holdings
from rlm_jupyter.errors import ConfigError, KernelDiedError, VariableNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.confinement.process_usage import own_memory
from rlm_jupyter.records.reader import load

MIB = 1 << 20
PART = "import numpy as np\npart = np.full(131_072, context)\nsmall = {'n': [context]}\nFINAL(part)"
PARTS = "parts = rlm_query_batched(['part'] * 4, contexts=[1, 2, 3, 4])"


@pytest.fixture
def ask(tmp_path):
    """Ask a question with a script and settings; the run is closed at the end of the test."""
    open_runs = []

    def start(script, context=None, *, wait=True, **settings):
        rlm = RLM(model=by_question(script), log_dir=tmp_path / "logs", cache=False, **settings)
        run = rlm.start("root", context)
        open_runs.append(run)
        return run.wait(60).raise_for_error() if wait else run

    yield start
    for run in open_runs:
        run.close()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def events(run, kind):
    return [event for event in run.events if isinstance(event, kind)]


def test_sizes_are_bytes_or_texts_with_a_unit():
    rlm = RLM("demo", value_memory="2 GB", kernel_memory=5)
    assert (rlm.settings.value_memory, rlm.settings.kernel_memory) == (2_000_000_000, 5)
    with pytest.raises(
        ConfigError, match=r"`value_memory` cannot be 'lots': write bytes, or a number with a unit"
    ):
        RLM("demo", value_memory="lots")


# ---- values above their limit


def test_values_above_the_limit_lie_on_disk_and_serve_as_before(ask):
    script = {"root": [f"{PARTS}\nFINAL([int(p.sum()) for p in parts])"], "part": [PART]}
    run = ask(script, value_memory=5 * MIB // 2)
    assert run.value == [131_072 * n for n in (1, 2, 3, 4)]
    places = [run.tree.agents[f"0.{n}"].value["place"] for n in (1, 2, 3, 4)]
    assert sorted(places) == ["disk", "disk", "memory", "memory"]
    held = run.tree.held
    assert (held["limit"], held["shared"] > 0) == (5 * MIB // 2, False)
    assert 2 * MIB < held["memory"] <= held["limit"]
    assert 2 * MIB < held["disk"] < 3 * MIB
    for n in (1, 2, 3, 4):
        assert int(run.agents[f"0.{n}"].pull().sum()) == 131_072 * n
    assert run.agents["0"].pull("parts")[3][0] == 4
    directory = run._conductor.store.directory
    assert list(directory.iterdir()) == [], "spilled values have no name"
    assert os.fstat(_on_disk(run).fd).st_nlink == 0
    run.close()
    assert not directory.exists()
    assert {run.tree.held[name] for name in ("memory", "disk", "shared")} == {0}
    assert load(run.log_path).tree.held == run.tree.held


def _on_disk(run):
    return next(a.value for a in run._conductor.agents.values() if a.value.place == "disk")


def test_data_for_sub_agents_counts_and_spills_too(ask):
    script = {
        "root": [
            "import numpy as np\nFINAL(rlm_query_batched(['sum'] * 3, contexts=[np.ones(131_072)] * 3))"
        ],
        "sum": ["FINAL(float(context.sum()))"],
    }
    run = ask(script, value_memory=MIB // 2)
    assert run.value == [131_072.0] * 3
    assert {run.tree.agents[f"0.{n}"].context["place"] for n in (1, 2, 3)} == {"disk"}
    assert run.tree.held["disk"] > 3 * MIB


def test_without_room_on_disk_the_agents_code_is_told_and_may_give_less(ask, monkeypatch):
    from rlm_jupyter.values import store

    def full(size, first):
        raise OSError(f"`{first}` has 10 bytes free")

    monkeypatch.setattr(store, "disk_for", full)
    script = {
        "root": [
            "import numpy as np\ntry:\n    FINAL(np.ones(131_072))\nexcept Exception as error:\n    FINAL(str(error))"
        ]
    }
    run = ask(script, value_memory=MIB // 2)
    assert "cannot move to disk" in run.value
    assert "has 10 bytes free" in run.value
    assert "`value_memory`" in run.value


def test_small_values_are_no_news(ask):
    run = ask({"root": [f"{PARTS}\nFINAL(parts)"], "part": ["FINAL(context)"]})
    assert events(run, ev.ValuesHeld) == []
    assert run.tree.held == {}


def test_after_sigkill_of_the_notebook_nothing_of_spilled_values_is_left(tmp_path):
    setup = (
        "from rlm_jupyter.models import ScriptedModel\nimport rlm_jupyter\n"
        "script = ScriptedModel(['```repl\\nimport numpy as np\\nFINAL(np.ones(131_072))\\n```'])\n"
        "run = rlm_jupyter.RLM(model=script, value_memory=1000, log_dir=None).run('q')"
    )
    with notebook(tmp_path) as book:
        assert book.run(setup)[0]["status"] == "ok"
        assert int(book.value("run.tree.held['disk']")) > MIB
        directory = Path(book.value("str(run._conductor.store.directory)").strip("'"))
        assert directory.exists()
        child = psutil.Process(book.manager.provisioner.pid)

        def spilled(pid):
            return [
                file for file in _open_files(pid) if file.startswith(f"{directory}/") and "(deleted)" in file
            ]

        assert spilled(child.pid), "the spilled value is open, and has no name"
        child.kill()
        assert until(lambda: not directory.exists())
        assert until(lambda: not any(spilled(one.pid) for one in psutil.process_iter()))


def _open_files(pid):
    found = []
    with contextlib.suppress(OSError):  # it has just ended
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(link.readlink()))
    return found


# ---- one copy of the data


def private_memory(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) << 10


@pytest.mark.parametrize(
    "unit",
    ["a quick brown fox ", "ä quick brown fox ", b"a quick brown f\xff "],
    ids=["ascii", "wide", "bytes"],
)
def test_a_large_text_is_held_once_whoever_has_it(ask, unit):
    data = unit * 3_000_000
    script = {
        "root": [
            "same, part = context, context[:3]",
            "FINAL([rlm_query('own', context), rlm_query('own', context), rlm_query('own', part)])",
            "FINAL([len(context), len(context_2)])",
        ],
        "own": ["print(len(context))\nFINAL([len(context), context[:3]])"],
    }
    run = ask(script, data)
    assert run.value == [[len(data), data[:3]]] * 2 + [[3, data[:3]]]
    context = run._conductor.agents["0"].spec.context
    assert context.released, "the encoded bytes were let go once the template had the value"
    assert os.fstat(context.fd).st_size < 1000
    assert run.tree.held["shared"] == context.size >= len(data)
    assert run.tree.held["memory"] < MIB
    assert run.tree.agents["0"].context["place"] == "shared"
    assert run.tree.agents["0"].variables["same"]["place"] == "shared"
    assert "place" not in run.tree.agents["0"].variables["part"]
    for agent in run._conductor.agents.values():
        assert private_memory(agent.kernel.pid) < 45 * MIB, "a copy of its own would be 50 MiB more"
    assert run.agents["0"].pull("same") == data
    follow_up = run.ask("more", "y" * len(data))
    assert follow_up.value == [len(data), len(data)]
    follow_up.close()


def test_data_that_was_let_go_is_there_again_after_the_kernels_server_was_killed(ask):
    data = "one two three " * 3_000_000
    script = {"root": ["import time\nprint(len(context))\ntime.sleep(600)", "FINAL(len(context))"]}
    run = ask(script, data, wait=False)
    assert until(lambda: events(run, ev.CodeStarted), 30)
    assert run._conductor.agents["0"].spec.context.released
    os.kill(run._conductor.pool._supervisor.pid, signal.SIGKILL)
    assert run.wait(60).value == len(data)


def test_a_kernel_that_is_not_forked_gets_a_large_text_too(ask):
    data = "one two three " * 3_000_000
    run = ask({"root": ["FINAL([len(context), context[-6:]])"]}, data, kernel="python3")
    assert run.value == [len(data), "three "]
    assert run._conductor.pool._templates.get(run.id) is None, "nobody would be forked from it"


def test_an_answer_that_is_the_data_itself_costs_nothing_and_is_whole(ask):
    data = "one two three " * 3_000_000
    run = ask(
        {"root": ["print(len(context))\nFINAL(rlm_query('echo', context))"], "echo": ["FINAL(context)"]}, data
    )
    assert run.value == data
    assert run.tree.agents["0.1"].value["place"] == "shared"
    assert run.tree.held["memory"] < MIB


# ---- descriptors


def descriptors():
    """Which values this process holds open."""
    gc.collect()
    return sorted(target for target in _open_files(os.getpid()) if "rlm-value" in target)


def test_no_value_outlives_its_run_whatever_became_of_its_agents(ask, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.registry._runs", [])  # what other tests left shall not go meanwhile
    before = descriptors()
    script = {
        "root": [
            "import pandas as pd\nframe = pd.DataFrame({'a': context['b'].head(1000)})",
            "some = rlm_query_batched(['good', 'bad', 'good'], contexts=[frame] * 3)",
            "FINAL(frame)",
        ],
        "good": ["FINAL(context)"],
        "bad": ["print(1)", "import os\nos._exit(1)", "FINAL(1 / 0)", "no code at all", "raise SystemExit"],
    }
    run = ask(
        script, pd.DataFrame({"b": np.arange(2000)}), value_memory=10_000, limits={"calls_per_agent": 4}
    )
    assert run.tree.agents["0.2"].status != "done"
    held = len(descriptors())
    for number in range(200):
        assert len(run.agents["0"].pull("frame" if number % 2 else None)) == 1000
        with pytest.raises(VariableNotFoundError):
            run.agents["0.1"].pull("nothing")
    assert len(descriptors()) == held, "a pull gives back what it took"
    run.close()
    del run
    assert until(lambda: descriptors() == before), (before, descriptors())


# ---- kernels of agents that have ended


def test_above_their_limit_the_oldest_kernels_end_and_what_they_gave_stays(ask):
    script = {
        "root": [
            f"{PARTS}\nimport time\ntime.sleep(1)\nFINAL(len(parts))",
        ],
        "part": [
            "big = bytearray(100_000_000)\nsmall = {'n': [context]}\nfunction = lambda: 1\nFINAL(['part', context])"
        ],
    }
    run = ask(script, kernel_memory=300 * MIB)
    assert until(lambda: len(events(run, ev.KernelEnded)) == 2), run.tree.agents
    ended = events(run, ev.KernelEnded)
    finished = [event.agent for event in events(run, ev.AgentFinished)]
    assert [event.agent for event in ended] == finished[:2], "the oldest first"
    for event in ended:
        assert event.bytes > 95 * MIB
        assert event.held > event.limit == 300 * MIB
        assert (event.saved, set(event.lost)) == (("small",), {"big", "function"})
        agent = run.agents[event.agent]
        number = int(event.agent[2:])
        assert gone(next(e.pid for e in events(run, ev.KernelStarted) if e.agent == event.agent)) == []
        assert (agent.pull(), agent.pull("small")) == (["part", number], {"n": [number]})
        assert "Kernel ended to free memory" in agent.state.kernel_ended
        with pytest.raises(KernelDiedError, match=r"`big` would need.*free memory.*`small`.*`kernel_memory`"):
            agent.pull("big")
        with pytest.raises(KernelDiedError, match="the cell would need"):
            agent.execute("1")
    for id_ in finished[2:4]:
        result = run.agents[id_].execute("len(big)")
        assert (result.status, result.output.strip()) == ("ok", "100000000")
    assert TreeState.of(run.events).agents["0.1"].kernel_ended == run.tree.agents["0.1"].kernel_ended


def test_of_many_sub_agents_the_newest_kernels_stay_and_nothing_is_lost(ask):
    script = {
        "root": [f"{PARTS}\nFINAL(len(parts))"],
        "part": ["import math\nhalf = context / 2\ntable = {'n': [context]}\nFINAL(['part', context])"],
    }
    run = ask(script, kept_kernels=1)
    assert until(lambda: len(events(run, ev.KernelEnded)) == 3), run.tree.agents
    ended = events(run, ev.KernelEnded)
    finished = [event.agent for event in events(run, ev.AgentFinished)]
    assert [event.agent for event in ended] == finished[:3], "the oldest first, and not the root's"
    assert run.agents["0"].execute("1").restarted is False
    for event in ended:
        assert (event.kernels, set(event.saved), event.lost) == (1, {"half", "table"}, ())
        agent, number = run.agents[event.agent], int(event.agent[2:])
        assert gone(next(e.pid for e in events(run, ev.KernelStarted) if e.agent == event.agent)) == []
        assert "`kept_kernels`" in agent.state.kernel_ended
        assert (agent.pull("half"), agent.pull("table")) == (number / 2, {"n": [number]})
    agent, number = run.agents[ended[0].agent], int(ended[0].agent[2:])
    results = [agent.execute(code) for code in ("half += 1", "print(math.floor(half), table, context)")]
    assert [result.status for result in results] == ["ok", "ok"], results
    assert results[1].output.strip() == f"{int(number / 2 + 1)} {{'n': [{number}]}} {number}"
    assert agent.state.kernel_ended is None
    assert agent.pull("half") == number / 2 + 1, "and not what was saved"
    run.close()
    with pytest.raises(KernelDiedError):
        run.agents[ended[1].agent].execute("1")


def test_figures_do_not_keep_a_kernel_and_are_there_again_when_a_cell_asks(ask):
    draw = (
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2, 4])\nax.set_title('Sales')\n"
        "import plotly.graph_objects as go\nbars = go.Figure(go.Bar(x=['a'], y=[1]))\nplt.close()\nFINAL(['part', context])"
    )
    run = ask({"root": [f"{PARTS}\nFINAL(len(parts))"], "part": [draw]}, kept_kernels=0)
    assert until(lambda: len(events(run, ev.KernelEnded)) == 4), run.tree.agents
    for event in events(run, ev.KernelEnded):
        assert (set(event.saved), event.lost) == ({"fig", "ax", "bars"}, ())
    agent = run.agents[events(run, ev.KernelEnded)[0].agent]
    assert agent.variables["fig"]["bytes"] > 100_000
    assert agent.pull("fig").title == "Sales"
    shown = agent.execute(
        "print(type(fig).__name__, fig.axes[0].get_title(), bars.data[0].y, ax.lines[0].get_ydata())"
    )
    assert shown.status == "ok", shown
    assert shown.output.split() == ["Figure", "Sales", "(1,)", "[1", "2", "4]"]


def test_a_kernel_ends_also_if_there_is_no_room_for_what_it_has(ask, monkeypatch):
    keep = Holdings.keep

    async def full(holdings, buffer):
        if "_thin_out" in asyncio.current_task().get_coro().__qualname__:
            raise BridgeError("failed", "No space left on device.")
        return await keep(holdings, buffer)

    monkeypatch.setattr(Holdings, "keep", full)
    script = {"root": [f"{PARTS}\nFINAL(len(parts))"], "part": ["half = context / 2\nFINAL(context)"]}
    run = ask(script, kept_kernels=0)
    assert until(lambda: len(events(run, ev.KernelEnded)) == 4)
    for event in events(run, ev.KernelEnded):
        assert (event.saved, event.lost) == ((), ("half",))
        assert gone(next(e.pid for e in events(run, ev.KernelStarted) if e.agent == event.agent)) == []


def test_a_kernel_of_which_something_would_be_lost_stays_as_long_as_there_are_not_many_more(ask):
    script = {
        "root": [f"{PARTS}\nFINAL(len(parts))"],
        "part": ["function = lambda: context\nFINAL(['part', context])"],
    }
    run = ask(script, kept_kernels=1)
    time.sleep(2)
    assert events(run, ev.KernelEnded) == []
    for id_ in list(run.agents)[1:]:
        assert run.agents[id_].execute("print(function())").output.strip() == id_[2:]
    run.close()
    run = ask(script, kept_kernels=0)
    assert until(lambda: len(events(run, ev.KernelEnded)) == 4)
    assert {event.lost for event in events(run, ev.KernelEnded)} == {("function",)}


def test_data_that_a_kernel_only_sees_is_not_its_own_memory(ask):
    script = {
        "root": ["FINAL(rlm_query_batched(['sum'] * 3, contexts=[context[n:] for n in range(3)]))"],
        "sum": ["FINAL(float(context.sum()))"],
    }
    run = ask(script, np.ones(15_000_000), kernel_memory=300 * MIB)
    assert run.value == [15_000_000.0, 14_999_999.0, 14_999_998.0]
    assert run.tree.held["memory"] > 300 * MIB
    for agent in run._conductor.agents.values():
        assert own_memory(agent.kernel.pid) < 60 * MIB
    assert events(run, ev.KernelEnded) == []


def test_the_limit_of_kernels_is_for_all_runs_and_use_makes_a_kernel_new(ask):
    script = {"root": ["big = bytearray(100_000_000)\nFINAL(1)"]}
    first, second = ask(script, kernel_memory=300 * MIB), ask(script, kernel_memory=300 * MIB)
    assert first.agents["0"].execute("len(big)").status == "ok"
    third = ask(script, kernel_memory=300 * MIB)
    assert until(lambda: events(second, ev.KernelEnded))
    assert (events(first, ev.KernelEnded), events(third, ev.KernelEnded)) == ([], [])
    assert first.agents["0"].execute("len(big)").status == "ok"
    with pytest.raises(KernelDiedError, match=r"root kernel .* is gone.*ended to free memory.*Ask anew"):
        second.ask("root")


def test_the_newest_kernel_stays_whatever_it_holds_and_a_follow_up_may_use_it(ask):
    run = ask({"root": ["big = bytearray(100_000_000)\nFINAL(1)", "FINAL(len(big))"]}, kernel_memory=0)
    time.sleep(0.2)
    more = run.ask("root")
    assert more.value == 100_000_000
    more.close()
