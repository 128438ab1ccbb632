"""`%rlm resume`, `%rlm branch`, `%rlm compare`, and `%%rlm -m a,b`, in a shell."""

import pytest
from IPython.core.error import UsageError
from magics_parts import terminal_shell
from scripts import cell

from rlm_jupyter.errors import ConfigError, RunNotFoundError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.rlm import last_run, runs

TURNS = ["n = len(context)\nprint(n)", "FINAL(n)"]


def replies(messages):
    return cell(TURNS[sum(message["role"] == "assistant" for message in messages)])


def failing(_messages):
    raise ValueError("no reply today")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with terminal_shell(tmp_path_factory.mktemp("shell")) as shell:
        shell.user_ns.update(orders=[1, 2, 3], texts=["a", "b"], model=ScriptedModel(replies, name="m"))
        shell.user_ns["ten"] = ScriptedModel(lambda messages: cell("FINAL(10)"), name="ten")
        shell.user_ns["fails"] = ScriptedModel(failing, name="fails")
        shell.run_cell("%%rlm orders -m model -o total\nHow many?")
        assert shell.user_ns["total"] == 3
        yield shell


@pytest.fixture(scope="module")
def run(shell):
    return last_run()


def result(shell, code):
    done = shell.run_cell(code)
    done.raise_error()
    return done.result


def test_a_run_is_resumed_by_its_id_with_the_options_of_a_cell(shell, run):
    assert result(shell, f"%rlm resume {run.id} -m model -o again") == 3
    assert shell.user_ns["again"] == 3
    assert last_run().tree.resumes == run.id
    assert last_run().tree.cached == 2
    assert result(shell, f"%rlm resume {run.log_path} orders -m model") == 3


def test_data_that_was_not_kept_is_taken_from_the_variable_of_then(shell, run):
    shell.run_cell("%config RLMMagics.keep_values = False")
    try:
        shell.run_cell("%%rlm orders -m model\nHow many?")
        bare = last_run()
        assert result(shell, f"%rlm resume {bare.id} -m model") == 3
        shell.user_ns["orders"] = [1, 2, 3, 4]
        with pytest.raises(ConfigError, match="not what run"):
            result(shell, f"%rlm resume {bare.id} -m model")
    finally:
        shell.user_ns["orders"] = [1, 2, 3]
        shell.run_cell("%config RLMMagics.keep_values = True")


def test_what_resume_cannot_do_is_refused(shell, run):
    with pytest.raises(UsageError, match="Name a run"):
        result(shell, "%rlm resume")
    with pytest.raises(RunNotFoundError, match="no log of a run `nowhere`"):
        result(shell, "%rlm resume nowhere")
    with pytest.raises(ConfigError, match="was asked of `m`"):
        result(shell, f"%rlm resume {run.id} -m ten")
    with pytest.raises(UsageError, match="neither"):
        result(shell, f"%rlm resume {run.id} -m model --dry-run")


def test_a_turn_goes_into_the_next_cell_and_from_there_into_a_branch(shell, run, monkeypatch, capsys):
    cells = []
    monkeypatch.setattr(shell, "set_next_input", cells.append)
    result(shell, f"%rlm branch {run.id} 1")
    assert "n = len(context)" in cells[0]
    assert result(shell, cells[0].replace("len(context)", "77")) == 77
    assert last_run().tree.branch == "turn 1 of agent `0`, with other code"
    shown = capsys.readouterr().out
    assert "n = len(context)" in shown  # the comparison with the other run
    assert "n = 77" in shown
    assert "≠" in shown
    assert run.value == 3


def test_a_branch_needs_a_turn_and_a_text(shell, run):
    with pytest.raises(UsageError, match="is not the number of a turn"):
        result(shell, f"%rlm branch {run.id} first")
    with pytest.raises(UsageError, match=r"has no turn 9. Its turns: 1, 2"):
        result(shell, f"%rlm branch {run.id} 9")
    with pytest.raises(UsageError, match="`--code` takes the name of a variable"):
        result(shell, f"%rlm branch {run.id} 1 --code orders")


def test_runs_and_logs_are_compared(shell, run):
    result(shell, "%%rlm orders -m ten\nHow many?")
    other = last_run()
    made = result(shell, f"%rlm compare {run.id} {other.log_path}")
    assert [row.answer for row in made.rows] == ["3", "10"]
    assert not made.same_answer
    assert len(result(shell, f"%rlm compare {run.id} {other.id} {run.log_path}").rows) == 3
    with pytest.raises(UsageError, match="two runs or more"):
        result(shell, f"%rlm compare {run.id}")


def test_several_models_are_asked_the_same_each_under_limits_of_its_own(shell, capsys):
    before = len(runs())
    answers = result(shell, "%%rlm orders -m model,ten -o both --max-tokens 50000\nHow many?")
    assert answers == shell.user_ns["both"] == {"model": 3, "ten": 10}
    mine = runs()[before:]
    assert [run.tree.model for run in mine] == ["m", "ten"]
    assert [run.tree.limits["tokens"] for run in mine] == [50000, 50000]
    assert len({load(run.log_path).tree.question for run in mine}) == 1
    assert "The answers differ." in capsys.readouterr().out


def test_a_model_that_fails_leaves_the_others_their_answers(shell):
    assert result(shell, "%%rlm orders -m fails,ten\nHow many?") == {"fails": None, "ten": 10}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("-m model,model", "different models"),
        ("-m model,,ten", "different models"),
        ("-m model,ten --bg", "`--bg` goes with one model only"),
        ("-m model,ten --continue", "`--continue` goes with one model only"),
    ],
)
def test_what_goes_with_one_model_only_is_refused(shell, run, line, told):
    with pytest.raises(UsageError, match=told):
        result(shell, f"%%rlm orders {line}\nHow many?")
