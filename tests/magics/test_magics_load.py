"""`%load_ext` and `%unload_ext`, the awaiting hook, and completion, in real shells."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from IPython.core.completer import provisionalcompleter
from magics_parts import terminal_shell

import rlm_jupyter
from rlm_jupyter.magics import arguments, await_transform
from rlm_jupyter.magics.command_registry import COMMANDS


@pytest.fixture
def bare(tmp_path):
    """A shell without the extension."""
    with terminal_shell(tmp_path, load=False) as shell:
        yield shell


@pytest.fixture
def shell(tmp_path):
    with terminal_shell(tmp_path) as shell:
        yield shell


def state(shell):
    """All that an extension could leave in a shell."""
    return (
        list(shell.input_transformers_cleanup),
        list(shell.input_transformers_post),
        list(shell.Completer.custom_matchers),
        list(shell.configurables),
        dict(shell.magics_manager.registry),
        {kind: dict(table) for kind, table in shell.magics_manager.magics.items()},
        {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
        dict(shell.user_ns),
        list(shell.ast_transformers),
        dict(shell.display_formatter.ipython_display_formatter.type_printers),
        dict(shell.display_formatter.ipython_display_formatter.deferred_printers),
    )


def test_unload_leaves_nothing_of_what_load_put_there(bare, capsys):
    before = state(bare)
    rlm_jupyter.load_ipython_extension(bare)
    assert bare.find_cell_magic("rlm")
    assert bare.find_line_magic("rlm")
    magics = weakref.ref(bare.magics_manager.registry["RLMMagics"])
    rlm_jupyter.unload_ipython_extension(bare)
    assert state(bare) == before
    gc.collect()
    assert magics() is None
    assert capsys.readouterr() == ("", "")


def test_loading_and_unloading_twice_is_fine(bare, capsys):
    before = state(bare)
    rlm_jupyter.load_ipython_extension(bare)
    once = state(bare)
    rlm_jupyter.load_ipython_extension(bare)
    assert state(bare) == once
    rlm_jupyter.unload_ipython_extension(bare)
    rlm_jupyter.unload_ipython_extension(bare)
    assert state(bare) == before
    assert capsys.readouterr() == ("", "")


def test_reload_ext_works(shell, capsys):
    shell.run_line_magic("reload_ext", "rlm_jupyter")
    assert shell.run_cell("%rlm nonsense").error_in_exec is not None
    assert "no command `nonsense`" in capsys.readouterr().err


def test_what_the_configuration_file_says_is_taken(shell, tmp_path):
    assert shell.magics_manager.registry["RLMMagics"].log_dir == str(tmp_path / "logs")


CELL = "%%rlm orders -o 'x'\nWhat {is} it?\n"


def test_in_a_kernel_a_cell_becomes_an_awaited_one(shell):
    shell.kernel = SimpleNamespace()
    code = shell.transform_cell(CELL)
    assert code == (
        "await get_ipython().magics_manager.registry['RLMMagics'].ask_awaited("
        "'rlm', \"orders -o 'x'\", 'What {is} it?\\n')\n"
    ).replace("'rlm', ", "")
    assert shell.should_run_async(CELL, transformed_cell=code)


@pytest.mark.parametrize(
    "cell",
    [
        "%%time\n%%rlm orders\nWhat?\n",
        "%%rlm?\n",
        "x = 1\n",
        "%rlm status\n",
        "%%rlmx orders\nWhat?\n",
        "y = '%%rlm'\n",
    ],
)
def test_other_cells_are_left_as_they_are(shell, cell):
    plain = shell.transform_cell(cell)
    shell.kernel = SimpleNamespace()
    assert shell.transform_cell(cell) == plain
    assert "await" not in plain


def in_terminal(shell):
    del shell.kernel


def with_autoawait_off(shell):
    shell.run_line_magic("autoawait", "off")


def on_another_loop(shell):
    shell.loop_runner = lambda coroutine: coroutine


@pytest.mark.parametrize("circumstance", [in_terminal, with_autoawait_off, on_another_loop])
def test_a_cell_blocks_where_it_cannot_be_awaited(shell, circumstance, capsys):
    shell.kernel = SimpleNamespace()
    circumstance(shell)
    assert shell.transform_cell(CELL).startswith("get_ipython().run_cell_magic('rlm', ")


def test_a_cell_within_a_running_cell_blocks_and_the_next_one_does_not(shell):
    shell.kernel = SimpleNamespace()
    shell.user_ns["found"] = found = []
    shell.user_ns["cell"] = CELL
    shell.run_cell("found.append(get_ipython().transform_cell(cell))")
    found.append(shell.transform_cell(CELL))
    assert [code.startswith("await") for code in found] == [False, True]


async def test_a_suspended_cell_is_not_taken_for_an_enclosing_one(shell):
    import asyncio

    shell.kernel = SimpleNamespace()
    running = asyncio.ensure_future(
        shell.run_cell_async(
            "import asyncio\nawait asyncio.sleep(600)",
            transformed_cell="import asyncio\nawait asyncio.sleep(600)",
        )
    )
    await asyncio.sleep(0.05)
    assert not running.done()
    assert await_transform.can_await(shell)  # as for a click that runs code while the cell awaits
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def complete(shell, text):
    """What Tab offers at the end of a text: the names alone."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    return [completion.text for completion in found]


def test_completion_of_options_variables_and_values(shell, monkeypatch):
    monkeypatch.setenv("RLM_TEST_VARIABLE", "1")
    shell.user_ns.update(orders=[1], order_lines=[2], tool=print, Verdict=dict[str, int], servers={})
    assert complete(shell, "%%rlm --max-c") == ["--max-calls", "--max-cost"]
    assert set(complete(shell, "%%rlm orders -")) == set(arguments.options(arguments.CELL))
    assert complete(shell, "%%rlm ord") == ["order_lines", "orders"]
    assert complete(shell, "%%rlm orders ord") == ["order_lines"]
    assert complete(shell, "%%rlm orders -s Ver") == ["Verdict"]
    assert complete(shell, "%%rlm orders --tool to") == ["tool"]
    assert complete(shell, "%%rlm orders --sandbox b") == ["bwrap"]
    assert complete(shell, "%%rlm orders --env RLM_TEST_V") == ["RLM_TEST_VARIABLE"]
    assert complete(shell, "%%rlm orders --mcp se") == ["servers"]
    assert complete(shell, "%%rlm orders -m dem") == ["demo"]
    assert "python3" in complete(shell, "%%rlm orders --kernel py")


def test_completion_of_commands(shell):
    assert set(complete(shell, "%rlm ")) == set(COMMANDS)
    assert complete(shell, "x = %rlm pu") == ["pull"]
    assert complete(shell, "%rlm pull 0.2 counts --tr") == ["--trust"]


@pytest.mark.parametrize("text", ["%%rlm orders\nord", "orders.app", "%%time --x", "%rlmx st"])
def test_completion_keeps_out_of_all_other_text(shell, text):
    shell.user_ns["orders"] = [1]
    with_us = complete(shell, text)
    shell.extension_manager.unload_extension("rlm_jupyter")
    assert complete(shell, text) == with_us
