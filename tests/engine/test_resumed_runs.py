"""Runs that go through the record of an earlier one: resumed where it ended, or left at a turn that is changed."""

import json
import sys
import time

import pandas as pd
import pytest
from scripts import cell

from rlm_jupyter import RLM, Limits, host_tool
from rlm_jupyter.errors import ConfigError, ContextError, RunNotFoundError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load, values
from rlm_jupyter.values.value_files import ValueKey, directory_of
from rlm_jupyter.views import text_tree

TURNS = [
    "import time\nn = len(context)\nprint(n, time.time_ns())",
    "part = rlm_query('part', context=context[:2])\nnote = llm_query('note')",
    "FINAL([n, part, note])",
]


class Asked:
    """A scripted model that counts what it is asked, by kind."""

    def __init__(self, turns=TURNS, name="counted", sub="FINAL(sum(context))"):
        self.counts = {"root": 0, "part": 0, "plain": 0}
        self.turns, self.sub = turns, sub
        self.model = ScriptedModel(self.reply, name=name)

    def reply(self, messages):
        first = messages[1]["content"] if len(messages) > 1 else ""
        kind = "part" if first.startswith("Question:\npart\n") else "root" if first else "plain"
        self.counts[kind] += 1
        if kind == "plain":
            return "a note"
        turn = sum(message["role"] == "assistant" for message in messages)
        return cell(self.sub if kind == "part" else self.turns[min(turn, len(self.turns) - 1)])


@pytest.fixture
def ask(tmp_path):
    """Ask through `RLM`, by a verb of it; all runs are closed at the end."""
    opened = []

    def start(asked, verb, *arguments, limits=None, **options):
        rlm = RLM(model=asked.model, log_dir=tmp_path / "logs", cache=False, limits=limits)
        run = getattr(rlm, verb)(*arguments, **options)
        opened.append(run)
        return run.wait(120)

    yield start
    for run in opened:
        run.close()


@pytest.fixture
def first(ask):
    """A run that is over, in a process that is, as far as its log and its values are concerned."""
    run = ask(Asked(), "start", "root", [1, 2, 3])
    run.close()
    return run


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def pending(run):
    """The code that waits for Next in the root."""
    return "0" in run.tree.agents and run.tree.agents["0"].pending_code


def cut_after(log, wanted):
    """Cut a log behind its first event that is wanted, and in the middle of the next one: as a kill leaves it."""
    lines = log.read_bytes().split(b"\n")
    end = next(n for n, line in enumerate(lines) if line and wanted(json.loads(line)))
    log.write_bytes(b"\n".join(lines[: end + 1]) + b"\n" + lines[end + 1][:20])


def test_a_run_that_was_over_has_its_values_again_asks_nobody_and_can_be_asked_on(ask, first):
    asked = Asked([*TURNS, "FINAL([n, part, 'more'])"])
    again = ask(asked, "resume", str(first.log_path))
    assert again.value == first.value == [3, 3, "a note"]
    assert asked.counts == {"root": 0, "part": 0, "plain": 0}
    assert (again.tree.resumes, again.tree.branch) == (first.id, None)
    assert again.tree.input_tokens == again.tree.output_tokens == 0
    assert [again.agents["0"].pull(name) for name in ("n", "part", "note")] == [3, 3, "a note"]
    assert again.agents["0.1"].value == 3
    assert again.ask("And now?").value == [3, 3, "more"]  # the same kernel, with its variables
    assert asked.counts == {"root": 1, "part": 0, "plain": 0}


def test_it_says_what_it_does_and_where_the_record_does_not_fit(ask, first):
    again = ask(Asked(), "resume", str(first.log_path))
    assert f"resumes run `{first.id}`" in again.tree.notices[0]
    assert "new kernel" in again.tree.notices[0]
    told = "\n".join(again.tree.agents["0"].notices)
    assert "Cell 1 printed or ended otherwise" in told  # it prints the time
    assert "Cell 2" not in told
    assert any("was not run again" in text for text in again.tree.agents["0.1"].notices)


def test_a_run_that_was_cut_short_goes_on_where_its_record_ends(ask, first):
    cut_after(first.log_path, lambda event: event["kind"] == "code_finished" and event["agent"] == "0.1")
    asked = Asked()
    again = ask(asked, "resume", first.id)
    assert again.value == [3, 3, "a note"]
    assert asked.counts == {
        "root": 1,
        "part": 0,
        "plain": 1,
    }  # what the record has not: a note, and the last turn


def test_a_sub_agent_whose_answer_was_not_kept_runs_again_by_its_record(ask, first):
    (directory_of(first.log_path) / ValueKey("answer", "0.1").file_name).unlink()
    asked = Asked()
    again = ask(asked, "resume", str(first.log_path))
    assert (again.value, asked.counts) == ([3, 3, "a note"], {"root": 0, "part": 0, "plain": 0})
    assert again.tree.agents["0.1"].cells == 1


def test_the_answer_of_then_stays_whatever_the_code_gives_now(ask):
    turns = ["import secrets\nFINAL(secrets.token_hex(8))"]
    run = ask(Asked(turns), "start", "root", [1, 2, 3])
    again = ask(Asked(turns), "resume", str(run.log_path))
    assert again.value == run.value
    assert any("gave another answer" in text for text in again.tree.agents["0"].notices)


def test_a_cell_that_was_changed_in_step_mode_runs_as_it_ran(ask, tmp_path):
    asked = Asked(["n = 1", "FINAL(n)"])
    run = RLM(model=asked.model, log_dir=tmp_path / "logs", cache=False).start("root", step=True)
    for code in ("n = 5", None):
        wait_until(lambda: pending(run))
        run.next(code=code)
        wait_until(lambda: not pending(run))
    assert run.wait(60).value == 5
    again = ask(Asked(["n = 1", "FINAL(n)"]), "resume", str(run.log_path))
    assert (again.value, again.agents["0"].pull("n")) == (5, 5)
    run.close()


def test_what_was_spent_counts_for_the_limits_of_both(ask, first):
    cut_after(first.log_path, lambda event: event["kind"] == "code_finished" and event["agent"] == "0.1")
    spent = load(first.log_path).tree
    tokens = spent.input_tokens + spent.output_tokens
    with pytest.raises(ConfigError, match=r"has spent .* of its limit `tokens`"):
        ask(Asked(), "resume", first.id, limits=Limits(tokens=tokens))
    again = ask(Asked(), "resume", first.id, limits=Limits(tokens=tokens + 50_000))
    assert again.value == [3, 3, "a note"]
    assert again.tree.limits["tokens"] == 50_000


def test_a_follow_up_is_resumed_with_the_run_before_it(ask):
    turns = ["n = len(context)\nFINAL(n)", "m = n * 10\nFINAL(m)", "FINAL([n, m])"]
    run = ask(Asked(turns), "start", "root", [1, 2, 3])
    more = run.ask("times ten?")
    asked = Asked(turns)
    again = ask(asked, "resume", str(more.log_path))
    assert (again.value, again.agents["0"].pull("n")) == (30, 3)
    assert asked.counts["root"] == 0
    assert again.ask("both?").value == [3, 30]
    more.close()


def test_other_models_and_other_data_are_refused(ask, first):
    with pytest.raises(ConfigError, match=r"was asked of `counted`.*`-m counted`"):
        ask(Asked(name="another"), "resume", str(first.log_path))
    with pytest.raises(ConfigError, match=r"not what run .* was asked about: that was list of 3"):
        ask(Asked(), "resume", str(first.log_path), [1, 2, 3, 4])
    with pytest.raises(RunNotFoundError, match=r"no log of a run `nowhere`"):
        ask(Asked(), "resume", "nowhere")


def test_data_that_was_not_kept_is_to_be_handed_over_again(ask, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("a,b\n1,2\n")
    turns = ["text = open(context).read()\nFINAL(len(text))"]
    run = ask(Asked(turns), "start", "root", file)
    with pytest.raises(ContextError, match=r"was not kept with it .* hand it over"):
        ask(Asked(turns), "resume", str(run.log_path))
    assert ask(Asked(turns), "resume", str(run.log_path), file).value == run.value == 8


# ---- values on disk


def test_values_are_on_disk_as_the_run_goes_and_for_the_user_alone(ask):
    run = ask(Asked(), "start", "root", [1, 2, 3])
    kept = values(run.log_path)
    assert (kept.value, kept.data, kept.pull("0.1")) == ([3, 3, "a note"], [1, 2, 3], 3)
    assert kept.variables() == ("n", "note", "part")
    assert kept.pull("0", "note") == "a note"
    directory = directory_of(run.log_path)
    if sys.platform != "win32":
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_a_table_is_kept_and_code_is_not(ask):
    turns = ["class A: pass\nodd = A()\nbig = bytes(2_000_000)\nFINAL(context.groupby('a').sum())"]
    run = ask(Asked(turns), "start", "root", pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    kept = values(run.log_path)
    assert kept.value.b.tolist() == [3, 3]
    assert kept.data.equals(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}))
    assert not {"odd", "big"} & set(kept.variables())


def test_no_value_with_a_secret_is_kept(ask):
    turns = ["import os\nkey = os.environ['MY_TOKEN']\nother = key[::-1]\nFINAL([key, 1])"]
    run = ask(Asked(turns), "start", "root", [1, 2, 3], env={"MY_TOKEN": "5f3c9a7be21d44"})
    held = b"".join(path.read_bytes() for path in directory_of(run.log_path).iterdir())
    assert b"5f3c9a7be21d44" not in held
    assert b"44d12eb7a9c3f5" not in held
    assert values(run.log_path).answers == ()
    assert values(run.log_path).data == [1, 2, 3]


def test_without_logs_and_with_keep_values_off_nothing_is_kept(tmp_path):
    for options in ({"log_dir": None}, {"log_dir": tmp_path / "logs", "keep_values": False}):
        with RLM(model=Asked().model, **options).run("root", [1, 2, 3]):
            assert list(tmp_path.rglob("*.value")) == []


# ---- branches


def test_a_branch_has_other_code_from_a_turn_on_and_leaves_the_other_run_as_it_was(ask):
    run = ask(Asked(), "start", "root", [1, 2, 3])
    asked = Asked()
    branch = ask(asked, "branch", run, 2, code="part = note = 'mine'")
    assert branch.value == [3, "mine", "mine"]
    assert run.value == [3, 3, "a note"]
    assert [one.agents["0"].pull("part") for one in (run, branch)] == [3, "mine"]
    assert asked.counts == {"root": 1, "part": 0, "plain": 0}
    assert branch.tree.resumes == run.id
    assert branch.tree.branch == "turn 2 of agent `0`, with other code"
    assert "part = note = 'mine'" in branch.messages()[-3]["content"]  # the model reads that as its own


def test_the_run_that_is_left_tells_of_its_branches_and_of_theirs(ask):
    run = ask(Asked(), "start", "root", [1, 2, 3])
    figures = run.frame("runs").to_csv()
    branch = ask(Asked(), "branch", run, 2, code="part = note = 'mine'")
    inner = ask(Asked(), "branch", branch, 1, code="n = 7")
    wait_until(lambda: run.tree.branches[branch.id].finished and branch.tree.branches[inner.id].finished)
    assert run.frame("runs").to_csv() == figures
    assert list(run.agents) == ["0", "0.1"]
    assert run.tree.branch_trees[branch.id] == branch.tree
    told = load(run.log_path).tree.branches[branch.id]
    assert (told.agent, told.turn, told.change) == ("0", 2, "code")
    assert (told.log, told.status, told.agents) == (branch.log_path.name, "done", len(branch.tree.agents))
    assert told.cost == branch.cost
    assert told.value["summary"] == branch.value_description["summary"]
    drawn = text_tree.tree(run.tree)
    assert "0~1 done" in drawn
    assert "0~1~1 done" in drawn
    assert f"This branches off run `{run.id}`" in text_tree.tree(branch.tree)
    resumed = ask(Asked(), "resume", str(run.log_path))
    assert resumed.value == run.value


def test_a_branch_has_another_observation_and_the_model_reads_that(ask, first):
    asked = Asked()
    branch = ask(asked, "branch", str(first.log_path), 2, observation="It printed: forty-two")
    assert branch.messages()[-2] == {"role": "user", "content": "It printed: forty-two"}
    assert branch.value == [3, 3, "a note"]
    assert asked.counts["root"] == 1


def test_a_branch_in_a_sub_agent_goes_up_to_its_parent(ask, first):
    asked = Asked()
    branch = ask(asked, "branch", str(first.log_path), 1, agent="0.1", code="FINAL('other')")
    assert branch.value == [3, "other", "a note"]
    assert asked.counts == {"root": 1, "part": 0, "plain": 1}  # what came after it is asked anew


def test_a_branch_does_not_take_answers_to_what_was_asked_after_it(ask):
    """The changed code hands over other data that looks the same: the same type, size and beginning."""
    turns = ["rows = list(range(100))", "part = rlm_query('part', context=rows)", "FINAL(part)"]
    run = ask(Asked(turns), "start", "root")
    asked = Asked(turns)
    branch = ask(asked, "branch", run, 1, code="rows = list(range(99)) + [1000]")
    assert (run.value, branch.value) == (4950, 5851)
    assert asked.counts["part"] == 1


@pytest.mark.parametrize(
    ("turn", "change", "told"),
    [
        (9, {"code": "1"}, "has no turn 9 with a reply. Its turns: 1, 2, 3"),
        (1, {"code": "1", "agent": "0.7"}, "has no agent `0.7`"),
        (1, {}, "either `code` or `observation`"),
        (1, {"code": "1", "observation": "1"}, "either `code` or `observation`"),
        (3, {"observation": "no"}, "gave the answer"),
        (1, {"code": "  "}, "`code` takes a text that is not empty"),
        (1, {"code": "```\nx"}, "three backticks"),
        ("1", {"code": "1"}, "`turn` takes the number of a turn"),
    ],
)
def test_what_cannot_be_a_branch_is_refused_plainly(ask, first, turn, change, told):
    with pytest.raises(ConfigError, match=told):
        ask(Asked(), "branch", str(first.log_path), turn, **change)


def test_a_run_that_goes_on_and_a_follow_up_are_refused(ask):
    run = ask(Asked(["FINAL(1)"]), "start", "root", [1, 2, 3])
    more = run.ask("more")
    with pytest.raises(ConfigError, match="which has changed since"):
        ask(Asked(), "branch", more, 1, code="1")
    more.close()
    waiting = RLM(model=Asked().model, log_dir=None).start("root", [1, 2, 3], step=True)
    with waiting, pytest.raises(ConfigError, match="still runs"):
        ask(Asked(), "branch", waiting, 1, code="1")


def test_tools_are_called_again_and_the_run_says_so(ask):
    called = []

    @host_tool
    def order(what: str) -> str:
        """Order something."""
        called.append(what)
        return f"ordered {what}"

    turns = ["got = order('tea')\nprint(got)", "FINAL(got)"]
    run = ask(Asked(turns), "start", "root", tools=[order])
    again = ask(Asked(turns), "resume", str(run.log_path), tools=[order])
    assert again.value == "ordered tea"
    assert called == ["tea", "tea"]
    assert "is called again: `order`." in again.tree.notices[0]


def test_a_run_that_still_goes_on_is_not_resumed(ask, tmp_path):
    with RLM(model=Asked().model, log_dir=tmp_path / "logs").start("root", [1, 2, 3], step=True) as waiting:
        wait_until(lambda: pending(waiting) and waiting.log_path.exists())
        with pytest.raises(ConfigError, match="still runs"):
            ask(Asked(), "resume", str(waiting.log_path))


def test_a_log_that_claims_to_continue_itself_is_refused(ask, first):
    lines = first.log_path.read_text().splitlines()
    begun = json.loads(lines[0])
    lines[0] = json.dumps({**begun, "continues": first.id})
    first.log_path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match="continued itself"):
        ask(Asked(), "resume", str(first.log_path))


def test_a_reply_that_held_a_secret_is_asked_for_again(ask, first):
    text = first.log_path.read_text()
    first.log_path.write_text(text.replace("note = llm_query('note')", "note = '«redacted»'"))
    asked = Asked()
    again = ask(asked, "resume", str(first.log_path))
    assert again.value == [3, 3, "a note"]
    assert asked.counts["root"] == 2  # that turn and the one after it
