"""A person as the model: replies from code, from a function, in a terminal; what is shown meanwhile."""

import os
import pty
import select
import sys
import time

import pytest
from magics_parts import terminal_shell
from run_parts import asking, until

from rlm_jupyter.errors import ConfigError, ModelError
from rlm_jupyter.models import InteractiveModel
from rlm_jupyter.models.interactive import answer_pending, as_turn
from rlm_jupyter.views.text_tree import tree


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def test_replies_written_by_code_make_a_run_with_a_sub_agent_and_a_plain_completion(ask):
    you = InteractiveModel()
    run = ask(None, "How long?", "a\nb\nc", model=you, wait=False)
    first = you.wait(60)
    assert (first.agent, first.run, first.plain) == ("0", run.id, False)
    assert "How long?" in first.messages[-1]["content"]
    with run.lock:
        assert run.tree.activity(run.tree.agents["0"]) == "reply"
        drawn = tree(run.tree)
    assert "waiting for your reply" in drawn
    assert "a person writes the replies, no language model" in drawn
    you.answer("part = rlm_query('How many?', context=context.splitlines())\nword = llm_query('Say yes')")
    assert "How many?" in you.wait(60, agent="0.1").messages[-1]["content"]
    you.answer("Counting.\n```repl\nFINAL(len(context))\n```", agent="0.1")
    plain = you.wait(60, agent="0")
    assert plain.plain
    assert "Say yes" in plain.messages[-1]["content"]
    you.answer("yes")  # plain text, although it would be Python too
    assert "part" in repr(you.wait(60).messages)
    you.answer("FINAL((part, word))")
    assert run.wait(60).value == (3, "yes")
    assert you.pending == []
    assert run.tree.agents["0"].held == {}


def test_a_reply_that_nobody_waits_for_is_refused(ask):
    you = InteractiveModel("Ada")
    with pytest.raises(ConfigError, match="no agent waits for a reply of `Ada`"):
        you.answer("x")
    with pytest.raises(TimeoutError, match=r"no reply within 0\.01 s"):
        you.wait(0.01)
    run = ask(None, model=you, wait=False)
    waiting = you.wait(60)
    for bad in (" \n", 7, "x" * 100_001):
        with pytest.raises(ConfigError, match="The reply"):
            waiting.answer(bad)
    with pytest.raises(ConfigError, match=r"agent `0\.7` waits"):
        you.answer("x", agent="0.7")
    waiting.answer("FINAL(1)")
    with pytest.raises(ConfigError, match="waits for no reply"):
        waiting.answer("FINAL(2)")
    assert run.wait(60).value == 1


def test_a_stopped_run_waits_no_more(ask):
    you = InteractiveModel()
    run = ask(None, model=you, wait=False)
    waiting = you.wait(60)
    run.stop()
    run.wait(60)
    until(lambda: not waiting.waits)
    assert you.pending == []
    with pytest.raises(ConfigError, match="it has one, or has ended"):
        answer_pending(run.id, "0", "FINAL(1)")


def test_two_runs_of_one_model_get_their_own_replies(ask):
    you = InteractiveModel()
    runs = [ask(None, f"question {n}", model=you, wait=False) for n in (0, 1)]
    until(lambda: len(you.pending) == 2)
    for number in (1, 0):
        answer_pending(runs[number].id, "0", f"FINAL({number})")
    assert [run.wait(60).value for run in runs] == [0, 1]


def test_a_function_is_asked_one_request_at_a_time(ask):
    inside = []

    def reply(waiting):
        inside.append(waiting.agent)
        assert len(inside) == 1
        time.sleep(0.05)
        inside.remove(waiting.agent)
        if waiting.plain:
            return waiting.messages[-1]["content"].upper()
        return "FINAL(llm_query_batched(['a', 'b', 'c']))"

    assert ask(None, model=InteractiveModel(ask=reply)).value == ["A", "B", "C"]


def test_a_function_that_fails_ends_the_request_with_its_reason(ask):
    run = ask(None, model=InteractiveModel(ask=lambda waiting: 1 / 0))
    assert isinstance(run.error, ModelError)
    assert "No reply came from `you`: ZeroDivisionError" in str(run.error)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("FINAL(1)\n", "```repl\nFINAL(1)\n```"),
        ("I look.\n```repl\nx\n```", "I look.\n```repl\nx\n```"),
        ("What is this?", "What is this?"),
        ("x = '\0'", "x = '\0'"),
    ],
)
def test_python_becomes_a_block_of_code(text, reply):
    assert as_turn(text) == reply


def test_a_cell_that_blocks_gives_its_run_at_once_so_that_later_cells_can_reply(tmp_path, capsys):
    with terminal_shell(tmp_path) as shell:
        shell.run_cell("from rlm_jupyter.models import InteractiveModel\nyou = InteractiveModel()")
        assert shell.run_cell("%%rlm -m you -o answer\nWhat?").success
        assert "You are the model" in capsys.readouterr().out
        until(lambda: shell.user_ns["you"].pending)
        assert shell.run_cell("you.answer('FINAL(6 * 7)')").success
        until(lambda: shell.user_ns.get("answer") == 42)


PROGRAM = """
import sys
from rlm_jupyter import RLM
from rlm_jupyter.models import InteractiveModel
run = RLM(model=InteractiveModel(), log_dir=sys.argv[1], cache=False).run("Which?\\x1b[31m", context=[4, 5])
print("VALUE", run.value)
print("NEXT", input())
"""


def _until_said(terminal, words, said):
    end = time.monotonic() + 120
    while words not in said:
        assert time.monotonic() < end, said
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 65536).decode("utf-8", "replace")
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a pseudo-terminal of Unix")
def test_replies_are_typed_in_a_terminal_and_later_lines_are_left_to_the_program(tmp_path):
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(tmp_path)])
    try:
        said = _until_said(terminal, "an empty line ends it", "")
        assert "Agent 0 asks its model, which is you" in said
        assert "Which?" in said
        assert "\x1b[31m" not in said
        os.write(terminal, b"```repl\nx = 1\n\nprint(context[0] + x)\n```\n\n")
        said = _until_said(terminal, "5", said[-1:])
        said = _until_said(terminal, "an empty line ends it", said)
        os.write(terminal, b"FINAL(max(context))\n\nleft\n")
        said = _until_said(terminal, "NEXT", said)
        assert "VALUE 5" in said
        _until_said(terminal, "NEXT left", said)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
