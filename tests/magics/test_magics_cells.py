"""`%%rlm` in a terminal-like IPython: real engine, real agents' kernels, scripted models."""

import asyncio
import os
import signal
import threading
import time

import pytest
from IPython.core.error import UsageError
from magics_parts import orders_shell

from rlm_jupyter.errors import (
    ConfigError,
    ContextError,
    KernelDiedError,
    LimitReachedError,
    MissingKeyError,
    ModelError,
    RunStoppedError,
    UnsafeValueError,
)
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.rlm import last_run, runs


def code(text):
    return f"```repl\n{text}\n```"


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    with orders_shell(tmp_path, monkeypatch) as shell:
        yield shell


def ask(shell, line, *replies, body="What is the sum?", cell="%%rlm"):
    """Run a cell whose model gives these replies."""
    shell.user_ns["model"] = ScriptedModel(replies[0] if callable(replies[0]) else list(replies))
    return shell.run_cell(f"{cell} {line} -m model\n{body}\n")


def test_the_cell_gives_the_value_and_stores_it_under_the_name(shell, capsys):
    result = ask(shell, "orders -o total", code("FINAL(sum(context))"))
    assert (result.result, shell.user_ns["total"], shell.user_ns["_"]) == (6, 6, 6)
    shown = capsys.readouterr().out
    assert "Answer: 6\n" in shown
    assert "Out[" not in shown
    run = shell.run_cell("%rlm last").result
    assert (run is last_run(), run.status, run.question) == (True, "done", "What is the sum?")


def test_the_data_carries_its_own_name_and_several_are_a_dict(shell):
    shell.user_ns["returns"] = [10]
    assert ask(shell, "orders", code("FINAL(orders is context)")).result is True
    both = ask(
        shell,
        "orders returns",
        code("FINAL((sorted(context), orders[0] + returns[0] + context['orders'][1]))"),
    )
    assert list(both.result) == [["orders", "returns"], 13]


def test_without_a_name_the_question_itself_is_the_context(shell):
    body = "How {many} $words 'are' \"here\"?"
    assert ask(shell, "", code("FINAL(context)"), body=body).result == body


def test_a_schema_a_tool_and_an_environment_variable_reach_the_agent(shell, monkeypatch):
    shell.run_cell("def double(x: int) -> int:\n    return 2 * x")
    monkeypatch.setenv("RLM_TEST_SETTING", "loud")
    asked = code("import os\nFINAL([str(double(x)) + os.environ['RLM_TEST_SETTING'] for x in context])")
    result = ask(shell, "orders -s list[str] -t double --env RLM_TEST_SETTING", asked)
    assert result.result == ["2loud", "4loud", "6loud"]


@pytest.mark.parametrize("around", ["%%time", "%%capture captured"])
def test_within_another_cell_magic_it_works_too(shell, around):
    shell.user_ns["model"] = ScriptedModel([code("FINAL(sum(context))")])
    result = shell.run_cell(f"{around}\n%%rlm orders -o total -m model\nWhat is the sum?\n")
    assert result.success
    assert shell.user_ns["total"] == 6


def test_the_model_of_config_is_used(shell):
    shell.user_ns["scripted"] = ScriptedModel([code("FINAL(len(context))")])
    shell.run_cell("%config RLMMagics.model = 'scripted'")
    assert shell.run_cell("%%rlm orders\nHow many?").result == 3


def test_without_a_key_and_a_model_the_demo_answers_and_says_that_it_is_scripted(shell, capsys):
    import pandas as pd

    shell.user_ns["table"] = pd.DataFrame({"a": [1, 2, 3] * 20, "b": list("xyz") * 20})
    assert shell.run_cell("%%rlm table -o found\nHow many rows are there?").success
    assert shell.user_ns["found"] is not None
    assert "scripted" in capsys.readouterr().out


def test_a_failed_run_raises_an_error_of_a_few_lines_that_carries_the_run(shell, capsys):
    result = ask(shell, "orders -o total", ModelError("The provider is `down`. Try later."))
    assert isinstance(result.error_in_exec, ModelError)
    assert result.error_in_exec.run is last_run()
    assert last_run().status == "failed"
    assert "total" not in shell.user_ns
    printed = capsys.readouterr()
    shown = (printed.out + printed.err).split("ModelError", 1)[1]
    assert "The provider is `down`. Try later." in shown
    assert "Traceback" not in printed.out + printed.err
    assert "magics" not in printed.out + printed.err


def test_at_a_limit_the_partial_value_is_stored_before_the_error_is_raised(shell):
    def reply(messages):
        if "last turn" in messages[-1]["content"]:
            return code("FINAL(best)")
        return code("best = sum(context[:2])\nprint(best)")

    result = ask(shell, "orders -o total --max-calls 3", reply)
    if last_run().status == "limit":
        assert isinstance(result.error_in_exec, LimitReachedError)
    assert shell.user_ns["total"] == 3


def test_an_interrupt_stops_the_run_and_raises(shell):
    started = threading.Event()

    def reply(_messages):
        started.set()
        return code("import time\ntime.sleep(600)")

    def interrupt():
        started.wait(60)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = ask(shell, "orders -o total", reply)
    thread.join()
    assert isinstance(result.error_in_exec, RunStoppedError)
    assert result.error_in_exec.run is last_run()
    last_run().wait(60)
    assert last_run().status == "stopped"


def test_in_the_background_the_run_comes_at_once_and_the_value_when_it_is_done(shell):
    release = threading.Event()

    async def reply(_messages):
        assert await asyncio.to_thread(release.wait, 60)
        return code("FINAL(sum(context))")

    run = ask(shell, "orders -o total --bg", reply).result
    assert (run.status, "\n" in repr(run), "total" in shell.user_ns) == ("running", False, False)
    release.set()
    run.wait(60)
    wait_until(lambda: "total" in shell.user_ns)
    assert shell.user_ns["total"] == 6


def test_unload_stops_the_runs_in_the_background(shell):
    run = ask(shell, "orders --bg", code("import time\ntime.sleep(600)")).result
    wait_until(lambda: run.tree.agents)
    shell.run_line_magic("unload_ext", "rlm_jupyter")
    run.wait(60)
    assert run.status == "stopped"


def test_step_by_step_where_no_button_can_be_pressed_next_is_a_command(shell, capsys):
    run = ask(shell, "orders -o total --step", code("part = sum(context)"), code("FINAL(part)")).result
    assert "%rlm next" in capsys.readouterr().out
    for _ in range(2):
        wait_until(lambda: run.tree.agents and run.tree.agents["0"].pending_code is not None)
        shell.run_cell("%rlm status")
        assert "waiting for Next" in capsys.readouterr().out
        waiting = run.tree.agents["0"].pending_code
        assert shell.run_cell("%rlm next").success
        wait_until(
            lambda waiting=waiting: run.tree.agents["0"].pending_code != waiting
        )  # the next may wait already
    assert run.wait(60).value == 6


def test_next_without_a_waiting_cell_is_an_error_of_one_line(shell):
    ask(shell, "orders", code("FINAL(sum(context))"))
    error = shell.run_cell("%rlm next").error_in_exec
    assert isinstance(error, ConfigError)
    assert "Nothing waits" in str(error)


def test_a_dry_run_shows_the_first_message_and_asks_nothing(shell, capsys):
    before = len(runs())
    result = ask(shell, "orders --dry-run -s int --max-tokens 5000 -o total", code("FINAL(1)"))
    shown = capsys.readouterr().out
    assert result.success
    assert (shell.user_ns["model"].requests, len(runs())) == ([], before)
    assert "total" not in shell.user_ns
    for part in ("nothing was sent", "What is the sum?", "`orders`", '"integer"', "tokens 5,000", "scripted"):
        assert part in shown


def test_a_dry_run_shows_what_the_real_run_then_sends(shell, capsys):
    ask(shell, "orders --dry-run", code("FINAL(1)"))
    shown = capsys.readouterr().out.split("First message:\n\n")[1].strip()
    ask(shell, "orders", code("FINAL(sum(context))"))
    sent = shell.user_ns["model"].requests[0].messages[-1]["content"].strip()
    without_time = [text.rpartition(", ")[0] for text in (sent, shown)]  # the seconds that are left
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("orders -m openai/gpt-5", MissingKeyError, "OPENAI_API_KEY"),
        ("orders -m nobody/gpt-5", ConfigError, "`nobody/`"),
        ("lock -m model", ContextError, "lock"),
        ("orders -s orders -m model", ConfigError, "schema"),
    ],
)
def test_what_cannot_work_is_said_in_a_line_before_anything_starts(shell, capsys, line, error, said):
    shell.user_ns.update(lock=threading.Lock(), model=ScriptedModel([]))
    before = len(runs())
    result = shell.run_cell(f"%%rlm {line}\nWhat?")
    assert type(result.error_in_exec) is error
    assert said in str(result.error_in_exec)
    assert len(runs()) == before
    assert "Traceback" not in capsys.readouterr().out


def test_a_display_mode_that_does_not_exist_is_said_before_anything_starts(shell, monkeypatch):
    monkeypatch.setenv("RLM_JUPYTER_DISPLAY", "hologram")
    before = len(runs())
    error = ask(shell, "orders", code("FINAL(1)")).error_in_exec
    assert isinstance(error, ConfigError)
    assert "hologram" in str(error)
    assert len(runs()) == before


def test_a_usage_error_is_one_line_without_a_traceback(shell, capsys):
    result = shell.run_cell("%%rlm ordes\nWhat?")
    assert type(result.error_in_exec) is UsageError
    printed = capsys.readouterr()
    assert printed.err.startswith("UsageError: There is no variable `ordes`. Did you mean `orders`?")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_a_value_that_only_running_code_could_decode_is_refused_and_said_so(shell):
    error = ask(shell, "orders -o total", code("class Odd: pass\nFINAL(Odd())")).error_in_exec
    assert isinstance(error, UnsafeValueError)
    assert error.run is last_run()
    assert "total" not in shell.user_ns


def test_a_view_that_fails_leaves_no_run_behind(shell, monkeypatch):
    def show(run, **_options):
        wait_until(lambda: run.tree.agents)
        raise OSError("the screen is gone")

    monkeypatch.setattr("rlm_jupyter.views.display.show", show)
    error = ask(shell, "orders", code("import time\ntime.sleep(600)")).error_in_exec
    assert isinstance(error, OSError)
    assert last_run().wait(60).status == "stopped"


def test_a_cell_continues_the_newest_run_with_its_kernel_model_and_more_data(shell):
    turns = iter(["x = sum(context)\nFINAL(x)", "FINAL([x, returns, context])", "FINAL(x * 2)"])
    assert ask(shell, "orders", lambda messages: code(next(turns))).result == 6
    first = last_run()
    shell.user_ns["returns"] = [10]
    found = shell.run_cell("%%rlm --continue returns -o found\nAnd these?\n")
    assert list(found.result) == [6, [10], [1, 2, 3]]
    assert shell.user_ns["found"] == found.result
    assert last_run().continues == first.id
    assert last_run().model is first.model
    assert shell.run_cell("%%rlm --continue\nTwice?\n").result == 12


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("--continue --dry-run", UsageError, "leave out `--continue`"),
        ("--continue", KernelDiedError, "is gone"),
    ],
)
def test_a_cell_that_cannot_continue_says_why(shell, line, error, says):
    ask(shell, "orders", code("FINAL(1)"))
    last_run().close()
    result = shell.run_cell(f"%%rlm {line}\nMore?\n")
    assert isinstance(result.error_in_exec, error)
    assert says in str(result.error_in_exec)


def test_there_is_nothing_to_continue_at_first(shell, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.registry._runs", [])
    result = shell.run_cell("%%rlm --continue\nMore?\n")
    assert "no run to continue" in str(result.error_in_exec)
