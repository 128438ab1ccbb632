"""`@PATH` on the line of `%%rlm` and of the command: what it names, and what is said of one that names nothing."""

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from magics_parts import terminal_shell, without_settings

from rlm_jupyter import cli
from rlm_jupyter.errors import ContextError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.run_setup.named_paths import paths_of, variable_for

FRAME = pd.DataFrame({"city": ["Ulm", "Bonn"] * 10, "sales": range(20)})


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    without_settings(monkeypatch)
    (tmp_path / "data").mkdir()
    for number in range(3):
        FRAME.to_parquet(tmp_path / "data" / f"part-{number}.parquet")
    FRAME.to_csv(tmp_path / "2024 orders.csv", index=False)
    return tmp_path


@pytest.fixture
def shell(here):
    with terminal_shell(here) as shell:
        yield shell


def ask(shell, line, code):
    shell.user_ns["model"] = ScriptedModel([f"```repl\n{code}\n```"])
    shell.run_cell_magic("rlm", f"{line} -m model --no-cache -o out", "What?")
    return shell.user_ns["out"]


@pytest.mark.parametrize(
    ("line", "code", "value"),
    [
        ('@"2024 orders.csv"', "FINAL([file_2024_orders.name, len(frame)])", ["2024 orders.csv", 20]),
        ("@data/*.parquet", "FINAL([len(data), len(frame)])", [3, 60]),
        ("@data/", "FINAL([len(frame), data == context])", [60, True]),
        ("@data/part-?.parquet extra", "FINAL([len(loaded['data']), extra])", [60, 7]),
    ],
)
def test_a_word_with_an_at_names_files(shell, line, code, value):
    shell.user_ns["extra"] = 7
    assert ask(shell, line, code) == value


def test_a_word_that_names_nothing_is_refused_with_the_names_that_are_alike(shell):
    with pytest.raises(UsageError, match=r"There is no file or folder `dta/`. Did you mean `@data`"):
        ask(shell, "@dta/", "FINAL(1)")
    with pytest.raises(UsageError, match=r"Did you mean `@data/part-0.parquet`"):
        ask(shell, "@data/part0.parquet", "FINAL(1)")
    with pytest.raises(UsageError, match=r"No file fits the pattern `data/\*.csv`"):
        ask(shell, "@data/*.csv", "FINAL(1)")


def test_a_dry_run_shows_what_the_metadata_says(shell, capsys):
    shell.run_cell_magic("rlm", "@data/*.parquet --dry-run", "What?")
    assert "3 files, Parquet, 60 rows x 2 columns" in capsys.readouterr().out


def test_paths_are_completed(shell):
    def completed(text):
        with provisionalcompleter():
            return [found.text for found in shell.Completer.completions(text, len(text))]

    assert "@data/" in completed("%%rlm @da")
    assert "@data/part-1.parquet" in completed("%%rlm @data/pa")


def test_the_command_takes_several_files(here, capsys, openai_server):
    from scripts import cell

    openai_server.script = lambda _: cell("FINAL([len(loaded['data']), len(loaded['file_2024_orders'])])")
    where = ["-m", "test-model", "--base-url", openai_server.url, "--no-cache", "--quiet"]
    assert cli.main(["run", "@data/*.parquet", "@2024 orders.csv", "-q", "What?", *where]) == 0
    assert capsys.readouterr().out == "[60, 20]\n"
    assert cli.main(["run", "data", "@data", "-q", "What?", *where]) == 2
    assert "write `@data`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("@orders.csv", "orders"),
        ("@/tmp/x/2024-q1.tar.gz", "file_2024_q1"),
        ("@data/**/*.parquet", "data"),
        ("@*.csv", "files"),
        ("@list.csv", "file_list"),
        ("@context.csv", "file_context"),
        ("@taken.csv", "taken_2"),
    ],
)
def test_the_variable_is_named_after_the_file(word, name):
    assert variable_for(word, {"taken"}) == name


def test_a_home_directory_is_found(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert paths_of("@~/data") == here / "data"
    with pytest.raises(ContextError):
        paths_of("@~/nothing")
