"""The sandbox in whole runs: what the agent, the tree, the log and the doctor say of it."""

import numpy as np
import pytest
from scripts import by_question, cell

from rlm_jupyter import RLM, Sandbox
from rlm_jupyter.kernels import sandbox
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records.reader import load

pytestmark = pytest.mark.skipif(not sandbox.landlock_version(), reason="this system has no Landlock")


@pytest.fixture
def ask(tmp_path):
    runs = []

    def start(script, context=None, **box):
        model = script if isinstance(script, ScriptedModel) else by_question(script)
        rlm = RLM(model=model, log_dir=tmp_path, cache=False, sandbox=Sandbox(**box))
        runs.append(rlm.start("root", context).wait(60))
        return runs[-1]

    yield start
    for one in runs:
        one.close()


@pytest.fixture
def watched(ask):
    """Run cells one after the other; give the run, and what the model was told each time."""

    def start(*cells, **box):
        seen = []

        def reply(messages):
            seen.append(messages[-1]["content"])
            return cell(cells[len(seen) - 1])

        return ask(ScriptedModel(reply), **box), seen

    return start


@pytest.mark.parametrize("kind", ["frame", "text"])
def test_data_that_is_handed_over_does_not_count(ask, kind):
    """Shared by a fork, loaded into the root, given to a sub-agent, and given back: all of it is above the limit."""
    context = np.zeros((45_000_000,)) if kind == "frame" else "x" * 360_000_000
    script = {
        "root": ["part = rlm_query('sub', context)", "context[0], part[0]", "FINAL(len(part))"],
        "sub": ["context[0]", "FINAL(context)"],
    }
    run = ask(script, context, memory="150 MB")
    assert run.raise_for_error().value == len(context)


def test_a_value_may_be_larger_than_a_file(ask):
    run = ask({"root": ["FINAL(bytes(30 << 20))"]}, disk="20 MB")
    assert len(run.raise_for_error().value) == 30 << 20


def test_the_agent_the_tree_and_the_log_say_which_limit_ended_the_kernel(watched):
    bomb = (
        "import subprocess, time\np = [subprocess.Popen(['sleep', '60']) for _ in range(30)]\ntime.sleep(60)"
    )
    run, seen = watched(bomb, "FINAL(1)", processes=20)
    assert run.raise_for_error().value == 1
    assert "more than 20 processes, and was ended (the sandbox's limit `processes`)" in seen[1]
    assert "all variables but the data are gone" in seen[1]
    notices = run.tree.agents["0"].notices
    assert any("the limit `processes` of the sandbox: raise it" in text for text in notices)
    assert "256" not in run.tree.sandbox
    assert "20 processes" in run.tree.sandbox
    logged = [event for event in load(run.log_path).events if event.kind == "notice"]
    assert any("more than 20 processes" in event.text for event in logged)


def test_a_cell_that_passes_its_processor_time_is_told_so(watched):
    run, seen = watched("kept = 5\nwhile True: pass", "FINAL(kept)", cpu_seconds=0.5)
    assert run.raise_for_error().value == 5
    assert "A cell used more than 0.5 s of processor time (the sandbox's limit `cpu_seconds`)" in seen[1]
