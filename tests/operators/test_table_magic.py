"""`%%rlm_table` in a real shell: its verbs and options, what it waits for, its dry run and completion."""

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from magics_parts import terminal_shell
from operator_parts import answering, tickets
from run_parts import until


@pytest.fixture(scope="module")
def module_shell(tmp_path_factory):
    with terminal_shell(tmp_path_factory.mktemp("shell")) as made:
        yield made


@pytest.fixture
def shell(module_shell):
    products = pd.DataFrame({"name": [f"p{n}" for n in range(30)]})
    module_shell.user_ns.update(model=answering(), table=tickets(100), products=products)
    return module_shell


def cell(shell, line, body="Which has the highest score?"):
    return shell.run_cell_magic("rlm_table", line, body)


def test_each_verb_gives_its_table(shell):
    data = shell.user_ns["table"]
    best = cell(shell, "top table -m model -k 3 -o out --no-confirm")
    assert best is shell.user_ns["out"]
    assert best.index.tolist() == data.nlargest(3, "score").index.tolist()
    assert len(cell(shell, "filter table -m model --no-confirm --per 50 --columns text", "Is it late?")) == 66
    assert len(cell(shell, "join table products -m model --no-confirm", "About it")) == 100
    assert len(cell(shell, "search table -m model -k 3 --candidates 20 --no-confirm", "late")) == 3
    labels = cell(shell, "group table -m model --labels late,broken --no-confirm", "what?")
    assert labels["label"].notna().all()
    assert len(cell(shell, "reduce table -m model --by score --no-confirm", "The sum?")) == 100


def test_where_nothing_can_be_clicked_the_cell_returns_and_the_run_waits_for_next(shell, capsys):
    run = cell(shell, "join table products -m model -o pairs", "About it")
    until(lambda: run.waits or run.done)
    assert "`%rlm next` goes on" in capsys.readouterr().out
    shell.run_line_magic("rlm", "next")
    run.wait(60)
    until(lambda: "pairs" in shell.user_ns)
    assert len(shell.user_ns["pairs"]) == 100


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("top table -k 3", "comparisons in about"),
        ("filter table", "100 rows in about 4 requests"),
        ("join table products", "200 comparisons in about 8 requests"),
    ],
)
def test_a_dry_run_says_how_many_requests_there_will_be(shell, capsys, line, told):
    assert cell(shell, f"{line} -m model --dry-run") is None
    assert told in capsys.readouterr().out
    assert shell.user_ns["model"].requests == []


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("sort table", "`sort` is no verb"),
        ("", "takes a verb"),
        ("join table", "`join` takes 2"),
        ("top table products", "`top` takes 1"),
        ("filter table -k 3", "`filter` has no option `-k`"),
        ("top table --right-columns name", "no option `--right-columns`"),
        ("top nothing", "nothing"),
    ],
)
def test_wrong_lines(shell, line, match):
    with pytest.raises(UsageError, match=match):
        cell(shell, f"{line} -m model")


def test_help_and_completion(shell):
    assert "`top` ranks them" in shell.magics_manager.magics["cell"]["rlm_table"].__doc__

    def completed(text):
        with provisionalcompleter():
            return {one.text for one in shell.Completer.completions(text, len(text))}

    assert completed("%%rlm_table re") == {"reduce"}
    assert "table" in completed("%%rlm_table top ta")
    assert "--right-columns" in completed("%%rlm_table join table products --ri")
    assert completed("%%rlm_table top table --columns te") == {"text"}
