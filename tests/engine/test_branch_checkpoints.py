"""Branches that begin with a kernel made of a checkpoint, and those that run the cells again, which each says."""

import sys

import pytest
from scripts import cell

from rlm_jupyter import RLM, Limits, Sandbox, host_tool
from rlm_jupyter.models import ScriptedModel

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="kernels are forked on Linux only"
)

TURNS = [
    "import time\nmade = time.time_ns()\nrows = ['first']",
    "rows.append('second')\nprint(rows)",
    "part = rlm_query('part', context=[1, 2])",
    "rows.append('fourth')\nprint(rows, part)",
    "FINAL([made, rows, part])",
]
PART = ["seen = [time_ns() for time_ns in [__import__('time').time_ns]]", "seen.append(1)", "FINAL(seen)"]


@host_tool
def lookup(key: int) -> int:
    """Look up a number."""
    return key * 10


class Elsewhere:
    """Another place to look up numbers in."""

    @staticmethod
    @host_tool
    def lookup(key: int) -> int:
        """Look up a number."""
        return key * 100


class Asked:
    """A scripted model, and how often it was asked."""

    def __init__(self, turns=TURNS):
        self.count, self.turns = 0, turns
        self.model = ScriptedModel(self.reply, name="counted")

    def reply(self, messages):
        self.count += 1
        turns = PART if messages[1]["content"].startswith("Question:\npart\n") else self.turns
        turn = sum(message["role"] == "assistant" for message in messages)
        return cell(turns[min(turn, len(turns) - 1)])


@pytest.fixture
def ask(tmp_path):
    """Ask through `RLM`, by a verb of it; all runs are closed at the end."""
    opened = []

    def start(asked, verb, *arguments, checkpoints=9, **options):
        rlm = RLM(model=asked.model, log_dir=tmp_path / "logs", cache=False, checkpoints=checkpoints)
        run = getattr(rlm, verb)(*arguments, **options)
        opened.append(run)
        return run.wait(180)

    yield start
    for run in opened:
        run.close()


def told(run, agent="0"):
    return "\n".join((*run.tree.notices, *run.tree.agents[agent].notices))


def way(run, agent="0"):
    return [
        (one.way, one.checkpoint) for one in run.events if one.kind == "kernel_started" and one.agent == agent
    ]


def test_a_branch_has_the_values_of_then_and_leaves_those_of_the_other_run(ask):
    asked = Asked()
    run = ask(asked, "start", "root", "some data")
    made, rows, part = run.value
    assert rows == ["first", "second", "fourth"]
    before = asked.count
    branch = ask(asked, "branch", run, 4, code="rows.append('mine')")
    assert branch.value == [
        made,
        ["first", "second", "mine"],
        part,
    ]  # the time of then: its cell did not run again
    assert asked.count == before + 1  # the changed turn is known, and the one after it is asked for
    assert way(branch) == [("checkpoint", 3)]
    assert f"the checkpoint after turn 3 of agent `0` of run `{run.id}`" in told(branch)
    assert run.agents["0"].pull("rows") == ["first", "second", "fourth"]
    assert branch.agents["0"].pull("rows") == ["first", "second", "mine"]
    chats = [[message["content"] for message in one.messages()] for one in (run, branch)]
    assert chats[0][:7] == chats[1][:7]  # up to the changed turn, word for word
    run.close()
    assert (
        "mine" in branch.agents["0"].execute("print(rows)").output
    )  # its kernel does not end with the other run


def test_several_branches_of_one_checkpoint_and_of_an_observation(ask):
    asked = Asked()
    run = ask(asked, "start", "root", "some data")
    branches = [ask(asked, "branch", run, 2, code=f"rows.append({n})") for n in (1, 2)]
    assert [one.value[1][:2] for one in branches] == [["first", 1], ["first", 2]]
    observed = ask(asked, "branch", run, 2, observation="It printed nothing.")
    assert observed.messages()[5]["content"] == "It printed nothing."
    assert way(observed) == [("checkpoint", 2)]
    assert observed.value[0] == run.value[0]
    assert observed.value[1] == ["first", "second", "fourth"]  # the turn's own cell was not run twice


def test_a_branch_in_a_sub_agent_takes_a_checkpoint_of_each_agent_on_the_way(ask):
    asked = Asked()
    run = ask(asked, "start", "root", "some data")
    branch = ask(asked, "branch", run, 2, agent="0.1", code="seen.append('mine')")
    assert branch.value == [run.value[0], run.value[1], [run.value[2][0], "mine"]]
    assert way(branch) == [("checkpoint", 2)]
    assert way(branch, "0.1") == [("checkpoint", 1)]


def test_without_a_checkpoint_the_cells_run_again_and_the_branch_says_why(ask):
    asked = Asked()
    run = ask(asked, "start", "root", "some data", checkpoints=0)
    branch = ask(asked, "branch", run, 2, code="rows.append('mine')")
    assert branch.value[0] != run.value[0]
    assert way(branch) == [("cells run again", None)]
    assert "no checkpoints of its kernel were kept" in told(branch)
    assert way(run) == [("", None)]


def test_a_kernel_that_cannot_be_copied_says_so_in_the_run_and_in_its_branch(ask):
    turns = [
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])",
        "rows = [1]",
        "child.kill(); child.wait()",
        "FINAL(rows)",
    ]
    asked = Asked(turns)
    run = ask(asked, "start", "root", "some data")
    why = "it has processes that it started"
    assert told(run).count(f"There is no checkpoint of this kernel: {why}") == 1  # once, not for each turn
    branch = ask(asked, "branch", run, 3, code="rows.append('mine'); child.kill()")
    assert branch.value == [1, "mine"]
    assert way(branch) == [("cells run again", None)]


def test_a_branch_with_another_sandbox_gets_a_kernel_in_it(ask):
    asked = Asked(["x = 1", "y = 2", "FINAL(x)"])
    run = ask(asked, "start", "root", "some data")
    rlm = RLM(model=asked.model, cache=False, log_dir=None, sandbox=Sandbox(memory="1 GB"))
    branch = rlm.branch(run, 2, code="y = 3").wait(120)
    assert way(branch) == [("cells run again", None)]
    assert "Its sandbox or its environment is not that of this run" in told(branch)
    assert branch.agents["0"].pull("y") == 3
    branch.close()


def test_tools_and_checks_of_a_branch_hold_in_a_kernel_of_a_checkpoint(ask):
    asked = Asked(["x = lookup(1)", "y = 2", "FINAL([x, lookup(2)])"])
    run = ask(asked, "start", "root", "some data", tools=[lookup])
    assert run.value == [10, 20]
    branch = ask(asked, "branch", run, 2, code="y = 3")
    assert (branch.value, way(branch)) == ([10, 20], [("checkpoint", 1)])
    other = ask(asked, "branch", run, 2, code="y = 3", tools=[Elsewhere.lookup])
    assert (other.value, way(other)) == ([10, 200], [("checkpoint", 1)])


def test_the_newest_checkpoint_before_the_turn_is_taken_and_what_follows_it_runs_again(ask):
    turns = [
        "x = [0]",
        "x.append(1)\nfile = open('.file', 'w')",
        "x.append(2); file.close()",
        "x.append(3)",
        "FINAL(x)",
    ]
    asked = Asked(turns)
    run = ask(asked, "start", "root", "some data")
    branch = ask(asked, "branch", run, 3, code="x.append('mine'); file.close()")
    assert branch.value == [0, 1, "mine", 3]
    assert way(branch) == [("checkpoint", 1)]


def test_data_that_all_kernels_of_a_run_share_outlives_the_run_in_its_branch(ask):
    asked = Asked(["n = len(context)", "m = n + 1", "FINAL([n, m, len(context)])"])
    text = "line of text\n" * 200_000
    run = ask(asked, "start", "root", text)
    branch = ask(asked, "branch", run, 2, code="m = -n")
    assert branch.value == [len(text), -len(text), len(text)]
    run.close()
    assert str(len(text)) in branch.agents["0"].execute("print(len(context), m)").output
    assert branch.ask("again?").value == [len(text), -len(text), len(text)]


def test_step_mode_keeps_checkpoints_and_other_runs_none(ask):
    asked = Asked(["x = 1", "y = 2", "FINAL(x)"])
    assert ask(asked, "start", "root", "some data", checkpoints=None).agents["0"].history is None
    rlm = RLM(model=asked.model, cache=False, log_dir=None, limits=Limits(seconds=120))
    run = rlm.start("root", "some data", step=True)
    while not run.done:
        if "0" in run.tree.agents and run.tree.agents["0"].pending_code:
            run.next("0")
    try:
        assert run.value == 1
        branch = rlm.branch(run, 2, code="y = 3").wait(60)
        assert way(branch) == [("checkpoint", 1)]
        branch.close()
    finally:
        run.close()
