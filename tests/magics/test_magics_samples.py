"""`%%rlm --samples`, `--verify`, `--check` and `--plain`, and what the command line has of them."""

import pytest
from IPython.core.error import UsageError
from magics_parts import orders_shell

from rlm_jupyter import Samples, cli
from rlm_jupyter.models import ScriptedModel


def code(text):
    return f"```repl\n{text}\n```"


@pytest.fixture
def shell(tmp_path, monkeypatch):
    with orders_shell(tmp_path, monkeypatch) as shell:
        yield shell


def ask(shell, line, reply=lambda _: code("FINAL(sum(context))")):
    shell.user_ns["model"] = ScriptedModel(reply)
    return shell.run_cell(f"%%rlm {line} -m model\nWhat is the sum?\n")


def failure(result):
    return result.error_in_exec or result.error_before_exec


def test_samples_are_asked_for_by_number_or_by_a_variable(shell, capsys):
    assert ask(shell, "orders --samples 2").result == 6
    assert "Samples: 2 of 2 agree" in capsys.readouterr().out
    shell.user_ns["two"] = Samples(2, relative=0.5)
    drawn = iter(range(6, 9))
    assert ask(
        shell, "orders --samples two", lambda _: code(f"FINAL(len(context) + {next(drawn)})")
    ).result in (9, 10)
    run = shell.run_cell("%rlm last").result
    assert run.agreement == 1


def test_verify_takes_three_and_stops_early(shell):
    assert ask(shell, "orders --verify").result == 6
    run = shell.run_cell("%rlm last").result
    assert (run.agreement.asked, run.agreement.ran) == (3, 2)


def test_checks_are_named(shell):
    shell.run_cell("def even(answer):\n    assert answer % 2 == 0, 'odd'")
    replies = iter([code("FINAL(len(context))"), code("FINAL(sum(context))")])
    assert ask(shell, "orders --check even", lambda _: next(replies)).result == 6
    assert "it is not a check" in str(failure(ask(shell, "orders --check orders")))
    assert "no function `odd`" in str(failure(ask(shell, "orders --check odd")))


def test_a_plain_call_answers_by_text(shell):
    assert ask(shell, "orders --plain", lambda _: "six").result == "six"


@pytest.mark.parametrize("given", ["x", "orders", "-1", "0"])
def test_what_is_no_number_of_samples_is_refused(shell, given):
    failed = failure(ask(shell, f"orders --samples {given}"))
    assert isinstance(failed, UsageError) or "from 1 to 25" in str(failed)


def test_a_dry_run_tells_how_often_and_what_a_plain_call_sends(shell, capsys):
    ask(shell, "orders --samples 4 --dry-run")
    assert "Samples: 4, each" in capsys.readouterr().out
    ask(shell, "orders --verify --dry-run")
    assert "Samples: 2 to 3, and one more agent" in capsys.readouterr().out
    ask(shell, "orders --plain --dry-run")
    assert "[1, 2, 3]" in capsys.readouterr().out


def test_the_command_line_has_them_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text("city,sales\n" + "Bonn,1\nKiel,2\n" * 30)
    question = ["-q", "What is the sum of sales by city?", "-m", "demo", "--log-dir", "none"]
    assert cli.main(["run", "sales.csv", *question, "--samples", "2"]) == cli.DONE
    assert "Samples: 2 of 2 agree" in capsys.readouterr().err
    assert cli.main(["run", "sales.csv", *question, "--samples", "0"]) == cli.USAGE
