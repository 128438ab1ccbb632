"""`%rlm`: its commands on a real run, of which one is made for all tests of this file."""

import pytest
from IPython.core.error import UsageError
from local_servers import LocalServer, vllm
from magics_parts import terminal_shell

from rlm_jupyter.errors import (
    AgentNotFoundError,
    KernelDiedError,
    KernelError,
    LimitReachedError,
    RunNotFoundError,
    VariableNotFoundError,
)
from rlm_jupyter.magics.command_registry import COMMANDS
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.rlm import RLM, last_run


def reply(messages):
    """The root asks two sub-agents; each has a variable of its own."""
    if "Add up" in messages[1]["content"]:
        return "```repl\ncounts = [x + 1 for x in context]\nFINAL(sum(context))\n```"
    return "```repl\nparts = rlm_query_batched(['Add up.'] * 2, contexts=[context[:1], context[1:]])\nFINAL(sum(parts))\n```"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with terminal_shell(tmp_path_factory.mktemp("shell")) as shell:
        shell.user_ns.update(orders=[1, 2, 3], model=ScriptedModel(reply))
        shell.run_cell("%%rlm orders -m model -o total\nWhat is the sum?")
        assert shell.user_ns["total"] == 6
        yield shell


@pytest.fixture(scope="module")
def run(shell):
    return last_run()


def say(shell, capsys, line):
    """What a command prints; it gives nothing."""
    capsys.readouterr()
    result = shell.run_cell(line)
    assert result.success
    assert result.result is None
    return capsys.readouterr().out


def test_code_gives_the_code_behind_the_answer(shell, run):
    code = shell.run_cell("%rlm code").result
    assert code.verdict == "reproduced"
    assert code.source.endswith("\nsum([sub_agent_1(each) for each in [orders[:1], orders[1:]]])\n")
    assert shell.run_cell(f"%rlm code {run.id}").result == code


def test_code_goes_into_a_variable_and_the_next_cell(shell, capsys, monkeypatch):
    cells = []
    monkeypatch.setattr(shell, "set_next_input", cells.append)
    told = say(shell, capsys, "%rlm code -o how")
    assert "Reproduced" in told
    assert "`how`" in told
    assert cells == [shell.user_ns["how"].source]
    result = shell.run_cell(cells[0])  # as the user runs that cell
    assert result.result == 6


def test_code_in_the_next_cell_binds_no_variable_of_the_notebook_anew(shell, capsys, monkeypatch):
    cells = []
    monkeypatch.setattr(shell, "set_next_input", cells.append)
    code = shell.run_cell("%rlm code").result
    names = code.written.cell.binds or {"nothing"}
    for name in names:
        shell.user_ns[name] = "mine"
    say(shell, capsys, "%rlm code -o how")
    assert shell.run_cell(cells[0]).result == 6
    assert {shell.user_ns.pop(name) for name in names} == {"mine"}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("%rlm", ["done", "3 agents"]),
        ("%rlm status", ["done", "3 agents"]),
        ("%rlm tree", ["What is the sum?", "├─ 0.1", "└─ 0.2"]),
        ("%rlm runs", ["What is the sum?", ".jsonl"]),
        ("%rlm show", ["rlm_query_batched", "Turn 1"]),
        ("%rlm show 0.2", ["counts = [x + 1", "Add up."]),
        ("%rlm show 0.2 --prompt", ["--- system", "--- user", "--- assistant", "Add up."]),
        ("%rlm cost", ["0.1", "0.2", "all"]),
    ],
)
def test_a_command_prints_what_there_is_to_say(shell, capsys, line, parts):
    shown = say(shell, capsys, line)
    for part in parts:
        assert part in shown


@pytest.mark.parametrize("command", ["tree", "show", "cost"])
def test_a_run_is_found_by_a_part_of_its_id(shell, run, capsys, command):
    assert say(shell, capsys, f"%rlm {command} {run.id[-6:]}") == say(shell, capsys, f"%rlm {command}")


def test_show_takes_a_run_and_an_agent(shell, run, capsys):
    assert say(shell, capsys, f"%rlm show {run.id} 0.1") == say(shell, capsys, "%rlm show 0.1")


def test_last_gives_the_run(shell, run):
    assert shell.run_cell("r = %rlm last").success
    assert shell.user_ns["r"] is run


def test_pull_gives_the_object_and_stores_it_where_a_name_is_given(shell):
    shell.run_cell("x = %rlm pull 0.2 counts")
    assert shell.user_ns["x"] == [3, 4]
    assert shell.run_cell("%rlm pull 0.1 counts -o taken").result == [2]
    assert shell.user_ns["taken"] == [2]
    shell.run_cell("%rlm pull 0.2 counts --out taken")
    assert shell.user_ns["taken"] == [3, 4]


def test_pull_with_trust_takes_what_only_code_can_make(shell):
    assert shell.run_cell("%rlm exec 0 odd = type('Odd', (), {'n': 7})()").success
    assert not shell.run_cell("%rlm pull 0 odd").success
    assert shell.run_cell("%rlm pull 0 odd --trust").result.n == 7


def test_exec_runs_a_line_verbatim_and_prints_what_it_shows(shell, run, capsys):
    assert (
        say(shell, capsys, "%rlm exec 0.2 print({'a': counts}, \"$x {y}\")").strip() == "{'a': [3, 4]} $x {y}"
    )
    assert "[3, 4]" in say(shell, capsys, f"%rlm exec --run {run.id} 0.2 counts")


def test_exec_of_failing_code_raises_with_its_traceback(shell, run):
    error = shell.run_cell("%rlm exec 0.2 1 / 0").error_in_exec
    assert isinstance(error, KernelError)
    assert "ZeroDivisionError" in str(error)
    assert error.run is run


@pytest.mark.parametrize(
    ("line", "error", "parts"),
    [
        ("%rlm pull 0.2 count", VariableNotFoundError, ["`count`", "`counts`"]),
        ("%rlm pull 0.9 counts", AgentNotFoundError, ["`0.9`", "`0.2`"]),
        ("%rlm pull 0.2 counts -o 1x", UsageError, ["`1x`"]),
        ("%rlm pull", UsageError, ["AGENT", "%rlm pull AGENT [NAME]"]),
        ("%rlm pull 0.2 counts more", UsageError, ["`more`"]),
        ("%rlm pull 0.2 counts --trus", UsageError, ["`--trus`", "`--trust`"]),
        ("%rlm exec 0.2", UsageError, ["%rlm exec 0.2 counts.head()"]),
        ("%rlm show 0.9", AgentNotFoundError, ["`0.9`", "`0.2`"]),
        ("%rlm tree nothing", RunNotFoundError, ["`nothing`"]),
        ("%rlm replay nothing.jsonl", RunNotFoundError, ["`nothing.jsonl`"]),
        ("%rlm tre", UsageError, ["`tre`", "`tree`", "`pull`"]),
    ],
)
def test_a_wrong_command_says_what_there_is(shell, capsys, line, error, parts):
    capsys.readouterr()
    raised = shell.run_cell(line).error_in_exec
    assert type(raised) is error
    for part in parts:
        assert part in str(raised)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


def test_replay_shows_the_tree_of_a_log(shell, run, capsys):
    shown = say(shell, capsys, f"%rlm replay {run.log_path}")
    assert shown == say(shell, capsys, "%rlm tree")
    assert shown == say(shell, capsys, f"%rlm replay {run.id}")
    assert shown == say(shell, capsys, "%rlm replay")


def test_stop_of_a_run_that_has_ended_says_so(shell, capsys):
    assert "ended already" in say(shell, capsys, "%rlm stop")


def test_completion_knows_agents_variables_and_runs(shell, run):
    def complete(text):
        # Not `completions`: it warns, and filters of warnings are the process's, in which the engine's threads change
        # them too (`catch_warnings` of numpy and pandas).
        shell.Completer._complete(cursor_line=0, cursor_pos=len(text), full_text=text)
        return shell.Completer.matches

    assert complete("%rlm pull 0.") == ["0.1", "0.2"]
    assert complete("%rlm pull 0.2 coun") == ["counts"]
    assert complete("%rlm pull --run x 0.2 coun") == ["counts"]
    assert complete("%rlm stop ") == ["0", "0.1", "0.2"]
    assert run.id in complete("%rlm tree ")
    assert complete("%rlm exec 0.") == ["0.1", "0.2"]


def test_doctor_tells_versions_model_key_kernels_and_sandbox_but_no_key(shell, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("RLM_MODEL", "openai/gpt-5")
    monkeypatch.setenv("RLM_MODEL_BASE_URL", "http://user:hidden@127.0.0.1:9/v1")
    shown = say(shell, capsys, "%rlm doctor")
    for part in (
        "rlm_jupyter 0.",
        "ipykernel 7",
        "Display: text",
        "openai/gpt-5",
        "`OPENAI_API_KEY`",
        "127.0.0.1",
    ):
        assert part in shown
    assert "ready in" in shown
    assert "kept from agents: keys" in shown
    assert "very-secret" not in shown
    assert "hidden" not in shown


def test_models_lists_those_of_local_servers_and_the_doctor_too(shell, capsys, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.models.bounded_json.SECONDS", 60.0)
    monkeypatch.setenv("XAI_API_KEY", "xai-secret-0123456789")
    with LocalServer(vllm("Qwen/Qwen3-8B", window=40960)) as server:
        shell.run_line_magic("config", f"RLMMagics.base_url = {server.url!r}")
        shell.run_line_magic("config", "RLMMagics.model = 'Qwen/Qwen3-8B'")
        shown = say(shell, capsys, "%rlm models")
        assert f"vLLM at {server.url} 0.11.2\n  -m Qwen/Qwen3-8B  (40,960 tokens)" in shown
        assert "Provider xai: -m xai/NAME  (`XAI_API_KEY` is set)" in shown
        assert "secret" not in shown
        doctor = say(shell, capsys, "%rlm doctor")
        shell.run_line_magic("config", "RLMMagics.base_url = None")
        shell.run_line_magic("config", "RLMMagics.model = None")
    assert f"Local models: vLLM at {server.url} 0.11.2: `Qwen/Qwen3-8B`" in doctor


def test_the_commands_are_those_of_the_design():
    assert set(COMMANDS) >= {
        "status",
        "tree",
        "stop",
        "pull",
        "exec",
        "runs",
        "show",
        "replay",
        "cost",
        "doctor",
        "models",
    }


def test_free_ends_the_kernels_and_keeps_value_and_tree(shell, capsys):
    run = RLM(model=ScriptedModel(reply), log_dir=None).run(
        "What is the sum?", context=[1, 2, 3], names=("orders",)
    )
    assert "stay" in say(shell, capsys, f"%rlm free {run.id}")
    assert run.value == 6
    assert "0.2" in say(shell, capsys, f"%rlm tree {run.id}")
    error = shell.run_cell(f"%rlm pull 0.2 counts --run {run.id}").error_in_exec
    assert isinstance(error, KernelDiedError)


def test_retry_asks_a_sub_agent_again_or_says_why_it_cannot(shell, capsys):
    with RLM(model=ScriptedModel(reply), log_dir=None).run("What is the sum?", context=[1, 2, 3]) as run:
        assert "only a sub-agent" in str(shell.run_cell("%rlm retry 0").error_in_exec)
        assert "as agent `0.3`" in say(shell, capsys, "%rlm retry 0.2")
        assert "0.3" in say(shell, capsys, f"%rlm tree {run.id}")
        run.set_limit("agents", 4)
        raised = shell.run_cell(f"%rlm retry 0.2 --run {run.id}").error_in_exec
        assert isinstance(raised, LimitReachedError)
        assert "`run.set_limit('agents', ...)`" in str(raised)


def test_without_a_run_a_command_says_how_to_start_one(shell, monkeypatch, capsys):
    monkeypatch.setattr("rlm_jupyter.registry._runs", [])
    for line in ("%rlm", "%rlm tree", "%rlm runs", "%rlm pull 0 x"):
        assert type(shell.run_cell(line).error_in_exec) is UsageError
        assert "There is no run yet" in capsys.readouterr().err
