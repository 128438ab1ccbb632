"""`%rlm tour` in a real notebook kernel and in a terminal-like shell: cell after cell, as a frontend gets them."""

import pytest
from magics_parts import notebook, terminal_shell

from rlm_jupyter.magics.tour import END, STEPS


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    with notebook(tmp_path_factory.mktemp("notebook")) as book:
        yield book


def next_cell(reply):
    puts = [part for part in reply["payload"] if part["source"] == "set_next_input"]
    assert all(part["replace"] is False for part in puts)
    return [part["text"] for part in puts]


def printed(outputs):
    return "".join(content["text"] for kind, content in outputs if kind == "stream")


def test_each_cell_that_ran_puts_the_next_one_until_the_end(book):
    reply, outputs = book.run("%rlm tour")
    for step in STEPS:
        assert next_cell(reply) == [step.cell]
        assert step.text in printed(outputs)
        reply, outputs = book.run(step.cell, timeout=120)
        assert reply["status"] == "ok"
    assert next_cell(reply) == []
    assert END in printed(outputs)
    assert "Reproduced" in str(outputs), "the last cell shows the code behind the answer"
    reply, outputs = book.run(STEPS[0].cell)
    assert next_cell(reply) == [], "it has ended"
    assert book.run("assert tour_answer is not None")[0]["status"] == "ok"


def test_other_cells_and_failed_ones_do_not_disturb_it_and_edited_ones_go_on(book):
    assert next_cell(book.run("%rlm tour")[0]) == [STEPS[0].cell]
    assert next_cell(book.run("1 + 1")[0]) == []
    assert next_cell(book.run("import pandas as pd\n1 / 0")[0]) == []
    assert next_cell(book.run("import pandas as pd\ntour_sales = pd.DataFrame()")[0]) == [STEPS[1].cell]
    assert next_cell(book.run("%rlm tour")[0]) == [STEPS[0].cell], "it starts anew, once"
    assert next_cell(book.run(STEPS[0].cell)[0]) == [STEPS[1].cell]


def test_it_ends_with_the_extension(tmp_path, capsys):
    with terminal_shell(tmp_path) as shell:
        callbacks = shell.events.callbacks["post_run_cell"]
        before = list(callbacks)
        shell.run_cell("%rlm tour")
        assert len(callbacks) == len(before) + 1
        assert shell.rl_next_input == STEPS[0].cell
        shell.run_cell("%unload_ext rlm_jupyter")
        assert callbacks == before
        shell.run_cell(STEPS[0].cell)
    assert STEPS[1].text not in capsys.readouterr().out
