"""`%%rlm --chat`: the notebook's one conversation, with one tree; `%rlm chat` shows and ends it."""

import pytest
from chat_parts import talking
from IPython.core.error import UsageError
from magics_parts import notebook, orders_shell

from rlm_jupyter.errors import ConfigError, LimitReachedError
from rlm_jupyter.rlm import last_run


@pytest.fixture
def shell(tmp_path, monkeypatch):
    with orders_shell(tmp_path, monkeypatch) as shell:
        shell.user_ns["model"] = talking(
            {
                "Sum?": ["total = sum(orders)\nFINAL(total)"],
                "Twice?": ["FINAL(2 * total)"],
                "With returns?": ["FINAL([sum(orders), sum(returns), double(len(history))])"],
                "Never": ["x = 1", "x = 2"],
            }
        )
        yield shell


def asked(shell, line, question):
    return shell.run_cell(f"%%rlm {line}\n{question}\n")


def test_the_cells_of_a_conversation_share_a_kernel_and_one_growing_tree(shell, capsys):
    first = asked(shell, "orders --chat -m model -o total", "Sum?")
    assert (first.result, shell.user_ns["total"]) == (6, 6)
    assert "0.1" in capsys.readouterr().out
    second = asked(shell, "--chat", "Twice?")  # of the same model, which no line names
    assert second.result == 12
    shown = capsys.readouterr().out
    assert "Sum?" in shown
    assert "Twice?" in shown
    assert "0.2" in shown
    assert last_run().continues is not None
    assert shell.run_cell("%rlm chat").success
    told = capsys.readouterr().out
    assert "1. Sum?\n6" in told
    assert "2. Twice?\n12" in told


def test_names_and_tools_on_a_later_line_are_added(shell):
    asked(shell, "orders --chat -m model", "Sum?")
    shell.run_cell("returns = [10]\ndef double(n):\n    '''Returns twice a number.'''\n    return 2 * n")
    found = asked(shell, "returns --chat -t double", "With returns?").result
    assert found == [6, 10, 2]
    shell.user_ns["returns"] = [20]
    assert asked(shell, "orders returns --chat -t double", "With returns?").result == [6, 20, 4]


def test_a_cell_without_chat_is_a_question_on_its_own(shell):
    asked(shell, "orders --chat -m model", "Sum?")
    assert asked(shell, "orders -m model", "Sum?").result == 6
    assert last_run().continues is None
    assert asked(shell, "--chat", "Twice?").result == 12


def test_an_error_leaves_the_conversation_usable(shell):
    asked(shell, "orders --chat -m model", "Sum?")
    result = asked(shell, "--chat --max-calls 1", "Never")
    assert isinstance(result.error_in_exec, LimitReachedError)
    assert asked(shell, "--chat", "Twice?").result == 12


def test_closing_ends_it_and_the_next_begins_another(shell, capsys):
    asked(shell, "orders --chat -m model", "Sum?")
    first = last_run()
    assert shell.run_cell("%rlm chat --close").success
    assert "has ended" in capsys.readouterr().out
    assert first.closed
    assert asked(shell, "orders --chat -m model", "Sum?").result == 6
    assert last_run().continues is None


def test_what_does_not_go_together_is_said(shell):
    result = shell.run_cell("%rlm chat")
    assert isinstance(result.error_in_exec, UsageError)
    assert "There is no conversation yet" in str(result.error_in_exec)
    asked(shell, "orders --chat -m model", "Sum?")
    for line, said in (
        ("--chat --continue", "`--continue` does not go with `--chat`"),
        ("--chat --dry-run", "`--dry-run` does not go"),
        ("--chat -m a,b", "`-m` with several models does not go"),
        ("--chat --env HOME", "`%rlm chat --close`"),
    ):
        result = asked(shell, line, "Sum?")
        assert isinstance(result.error_in_exec, UsageError), line
        assert said in str(result.error_in_exec)
    shell.user_ns["history"] = [1]
    result = asked(shell, "history --chat", "Sum?")
    assert isinstance(result.error_in_exec, ConfigError)
    assert asked(shell, "--chat", "Twice?").result == 12


def test_unloading_closes_it(shell):
    asked(shell, "orders --chat -m model", "Sum?")
    run = last_run()
    shell.extension_manager.unload_extension("rlm_jupyter")
    assert run.closed
    shell.extension_manager.load_extension("rlm_jupyter")


def test_a_conversation_streams_in_a_notebooks_cell(tmp_path):
    with notebook(tmp_path) as book:
        begin = "from rlm_jupyter import RLM, TextChunk, ValueChunk\nchat = RLM(model='demo').chat([1, 2, 3])"
        assert book.run(begin)[0]["status"] == "ok"
        loop = (
            "async for chunk in chat.send('How many items are there?'):\n"
            "    if isinstance(chunk, TextChunk): print(chunk.text, end='')\n"
            "    elif isinstance(chunk, ValueChunk): print('ANSWER', chunk.text)"
        )
        reply, outputs = book.run(loop)
        assert reply["status"] == "ok"
        printed = [
            content["text"] for kind, content in outputs if kind == "stream" and content["name"] == "stdout"
        ]
        assert "ANSWER" in "".join(printed)
        assert "FINAL(" in "".join(printed)
        assert book.run("chat.close()")[0]["status"] == "ok"


def test_in_a_notebook_each_cell_keeps_the_tree_up_to_its_question(tmp_path):
    with notebook(tmp_path, display="html") as book:
        _, first = book.run("%%rlm --chat\nCount the words in 'a b c'\n")
        _, second = book.run("%%rlm --chat\nAnd again?\n")
        shown = [
            "".join(
                content["data"].get("text/html", "") for kind, content in outputs if "display_data" in kind
            )
            for outputs in (first, second)
        ]
        assert "Count the words" in shown[0]
        assert "And again?" not in shown[0]
        assert "Count the words" in shown[1]
        assert "And again?" in shown[1]
