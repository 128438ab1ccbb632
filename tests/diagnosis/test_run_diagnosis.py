"""What stands out in a run: each kind is found where it is, and nothing where all is well."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from made_events import MadeRun
from magics_parts import terminal_shell, without_settings
from run_parts import asking
from scripts import cell

from rlm_jupyter import Limits
from rlm_jupyter.cli import main
from rlm_jupyter.diagnosis.run_diagnosis import diagnose
from rlm_jupyter.errors import RunNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.records.past_run import PastRun

ROOT = Path(__file__).parents[2]
WRONG = """
print(len(context))
context.no_such_method()
"""
IN_A_ROW = """
words = [llm_query(f"name {n % 4}") for n in range(12)]
same = rlm_query("root", context)
FINAL("Elm & Sons")
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("diagnosed")) as ask:
        yield ask


@pytest.fixture(scope="module")
def bad(asked):
    """A run with the same error twice, an invented answer, calls in a row, and a sub-agent that repeats it."""
    replies = iter([WRONG, "list(context).no_such_method()", IN_A_ROW, "FINAL(len(context))"])

    def reply(messages):
        return "a name" if len(messages) == 1 else cell(next(replies))

    run = asked(
        {},
        "root",
        list(range(100)),
        model=ScriptedModel(reply),
        settings={"stuck_after": None, "recursion_guard": False},
    )
    assert run.error is None
    return run


def kinds(events):
    return diagnose(events).kinds


def only(events, kind):
    (found,) = (one for one in diagnose(events) if one.kind == kind)
    return found


# ---- runs of real kernels


def test_a_real_run_shows_what_went_wrong_in_it(bad):
    found = {one.kind: one for one in bad.diagnose()}
    assert {"same_error", "invented_answer", "calls_in_a_row", "bought_twice", "same_as_parent"} <= set(found)
    assert (found["same_error"].agent, found["same_error"].turn) == ("0", 2)
    assert "2 cells ended with the same error, `AttributeError: " in found["same_error"].text
    assert (found["invented_answer"].agent, found["invented_answer"].turn) == ("0", 3)
    assert "`Elm & Sons`" in found["invented_answer"].text
    assert "12 plain completions were asked one after another" in found["calls_in_a_row"].text
    assert "8 plain completions had a prompt that had been asked before" in found["bought_twice"].text
    assert found["same_as_parent"].agent == "0.1"
    assert all(one.advice for one in found.values())


def test_a_good_run_shows_nothing(asked):
    run = asked({"root": ["print(len(context))", "FINAL(sum(context))"]}, "root", [1, 2, 3])
    assert str(run.diagnose()).endswith("done: nothing stands out.")
    computed = asked({"root": ["n = len(context)\nprint(n)", "FINAL(3)"]}, "root", [1, 2, 3])
    assert list(computed.diagnose()) == []  # the model wrote down what it had read


def test_the_same_is_said_of_the_log_and_by_the_commands(bad, capsys, tmp_path, monkeypatch):
    said = bad.diagnose().text
    assert load(bad.log_path).diagnose().text == said
    assert PastRun(bad.tree, "", bad.log_path).diagnose().text == said
    with pytest.raises(RunNotFoundError, match="has no log"):
        PastRun(bad.tree, "", None).diagnose()
    assert main(["log", str(bad.log_path), "--diagnose"]) == 0
    assert capsys.readouterr().out.strip() == said
    assert main(["log", str(bad.log_path.parent), "--diagnose"]) == 2  # a directory has no one run
    assert "take the log of one run" in capsys.readouterr().err
    without_settings(monkeypatch)
    with terminal_shell(tmp_path) as shell, contextlib.redirect_stdout(io.StringIO()) as shown:
        shell.run_line_magic("rlm", f"diagnose {bad.log_path}")
        shell.run_line_magic("rlm", f"diagnose {bad.id}")
    assert shown.getvalue().strip() == f"{said}\n{said}"


def test_a_limit_and_answers_that_were_sent_back(asked):
    limits = Limits(calls_per_agent=3, cost=None)
    run = asked({"root": ["print(context)\nFINAL('many')"]}, "root", [1], limits=limits, schema=int)
    found = {one.kind: one for one in run.diagnose()}
    assert run.status == "limit"
    assert "Limits(calls_per_agent=...)" in found["limit"].advice
    assert re.search(r"sent back \d times", found["sent_back"].text)


def test_a_real_model_that_ignored_a_hint():
    log = ROOT / "tests" / "logs" / "teaching" / "hint_ignored_wrong_total.qwen2.5-coder-1.5b.jsonl"
    assert load(log).diagnose().kinds == ["same_error", "failing_cells", "provider_time"]


# ---- made events


def test_cost_that_went_to_one_agent_and_prompts_that_grew():
    run = MadeRun()
    for turn in range(1, 7):
        run.call("0", turn, "```repl\nx\n```", input_tokens=4000 * turn**2, cost=0.1 * turn)
    for name in ("0.1", "0.2"):
        run.agent(name)
        run.call(name, 1, "```repl\nx\n```")
    found = {one.kind: one for one in diagnose(run.end())}
    assert found["cost_concentrated"].text.startswith("99% of the cost ($2.10 of $2.12)")
    assert "from 4,000 to 144,000 tokens in 6 turns" in found["long_chat"].text
    assert found["prompt_cache_unused"].agent == "0"


def test_a_provider_that_reads_from_its_cache_is_not_blamed():
    run = MadeRun()
    for turn in range(1, 7):
        run.call("0", turn, "```repl\nx\n```", input_tokens=4000, cached_tokens=1000)
    assert "prompt_cache_unused" not in kinds(run.end())


def test_outputs_that_were_cut_and_data_in_the_chat():
    run = MadeRun()
    for turn in range(1, 5):
        run.turn("0", turn, output="x" * 8000, cut=1000)
    found = {one.kind: one for one in diagnose(run.end())}
    assert "4 outputs 4,000 characters were cut" in found["output_cut"].text
    assert "32,000 characters" in found["data_in_chat"].text


def test_time_at_the_provider_in_cells_and_in_rate_limits():
    slow = MadeRun()
    slow.call(seconds=20.0, text="```repl\nx\n```", attempts=4)
    slow.cell()
    assert kinds(slow.end()) == ["provider_time", "requests_sent_again"]
    busy = MadeRun()
    busy.turn(seconds=60.0)
    found = only(busy.end(), "cell_time")
    assert (found.agent, found.turn) == ("0", 1)
    limited = MadeRun()
    for _ in range(3):
        limited.add(ev.Waiting, "0", reason="rate_limit", seconds=5.0, call=1)
    assert "3 times for the provider's rate limit, 15.0 s" in only(limited.end(), "waited_rate_limit").text


def test_waits_of_agents_are_measured():
    run = MadeRun()
    run.add(ev.Waiting, "0", reason="kernel", seconds=None)
    run.now += 30
    run.add(ev.Waiting, "0", reason="kernel", seconds=0)
    assert "30.0 s in all" in only(run.end(), "waited_kernel").text


def test_kernels_that_died_and_cells_that_took_too_long():
    run = MadeRun()
    run.turn("0", 1, status="died", seconds=3.0)
    run.add(ev.Notice, "0", text=ev.KERNEL_REPLACED)
    run.turn("0", 2, status="timeout", seconds=120.0)
    run.now += 1000
    assert kinds(run.end()) == ["kernel_died", "cell_timeout", "kernel_replaced"]


def test_replies_without_code_echoes_and_replies_that_were_cut():
    run = MadeRun()
    notice = "There was no code to run in your reply."
    run.call(turn=1, text="I would look at it.")
    run.call(turn=2, text=f"{notice} So I look.", prompt=notice)
    run.call(turn=3, text="And so on", finish_reason="length", output_tokens=8192)
    assert kinds(run.end()) == ["no_code", "notice_echoed", "reply_cut"]


def test_many_small_calls_at_once():
    run = MadeRun()
    run.turn()
    began = run.now
    for number in range(60):
        run.now = began
        run.call(purpose="llm_query", prompt=f"item {number}")
    assert kinds(run.end()) == ["many_small_calls"]


def test_sub_agents_that_failed_and_those_with_another_question_about_the_same():
    items = [{"type": "str", "summary": "'a'"}]
    data = {"type": "list", "length": 3, "items": items}
    run = MadeRun(context=data)
    run.events.pop()
    run.agent("0", "the question", context=data)
    for number in range(1, 4):
        run.agent(f"0.{number}", "another question", context=data)
        run.add(ev.AgentFinished, f"0.{number}", status="failed", error=f"Agent `0.{number}` broke")
    run.agent("0.4", "the  question", context={**data, "bytes": 7})
    run.agent("0.5", "the question", context={**data, "length": 2})
    run.agent("0.6", "the question", context={**data, "items": [{"type": "str", "summary": "'b'"}]})
    found = {one.kind: one for one in diagnose(run.end())}
    assert (
        "3 of 6 sub-agents ended without an answer (failed), such as 0.1"
        in found["sub_agents_without_answer"].text
    )
    assert found["same_as_parent"].agent == "0.4"


def test_of_many_findings_alike_some_are_told_and_the_rest_is_counted():
    run = MadeRun()
    for number in range(1, 21):
        run.agent(f"0.{number}")
        for turn in (1, 2):
            run.turn(f"0.{number}", turn, status="error", error="ValueError: no")
    made = diagnose(run.end())
    assert made.more == {"same_error": 15}
    assert made.kinds.count("same_error") == 1
    assert "and 15 more of this kind" in made.text


def test_text_of_a_log_is_no_command_for_a_terminal_and_no_markup():
    run = MadeRun()
    run.agent("0.1\x1b[31m")
    for turn in (1, 2):
        run.turn("0.1\x1b[31m", turn, status="error", error="E: `\x1b[2J\n# <b>" + "x" * 5000)
    said = diagnose(run.end()).text
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 1100
    assert len(said) < 3000


def test_an_unended_and_an_empty_run_can_be_diagnosed():
    assert diagnose([]).text.endswith("nothing stands out.")
    assert diagnose(MadeRun().events).status == "running"


def test_each_kind_stands_in_the_documentation():
    sources = "".join(path.read_text() for path in (ROOT / "rlm_jupyter" / "diagnosis").glob("*.py"))
    named = set(re.findall(r'^\s+"([a-z_]+)",\n\s+"(?:answer|code|cost|time)",', sources, re.MULTILINE))
    named |= set(re.findall(r'Finding\("([a-z_]+)",', sources))
    told = (ROOT / "docs" / "diagnosis.md").read_text()
    assert len(named) > 20
    assert [kind for kind in named if f"`{kind}`" not in told] == []


def test_texts_of_a_hostile_log_neither_keep_a_diagnosis_busy_nor_end_it():
    # Each took minutes, or ended with an error; what is too slow runs into the time limit of the test.
    run = MadeRun()
    sentences = "".join(f"a b c d e f{number}.\n" for number in range(12_000))
    for turn in range(1, 9):
        run.call(turn=turn, text="\n" * 100_000 + "a b c d e " * 200_000, prompt=sentences)
    assert "no_code" in kinds(run.end())
    run = MadeRun()
    run.turn(code=f"x = 0x{'f' * 5000}\nFINAL('Elm')")
    run.add(ev.AgentFinished, "0", status="done", value={"type": "str", "preview": "Elm"})
    assert "invented_answer" in kinds(run.events)
