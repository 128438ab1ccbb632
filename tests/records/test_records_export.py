"""A run as a notebook and as a script."""

import ast

import nbformat
import pytest
from IPython.core.error import UsageError
from magics_parts import terminal_shell
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.records import load
from rlm_jupyter.records.export import to_notebook, to_script


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    script = {
        "# <b>root</b>": ["print('hello')\nx = 1", "FINAL(rlm_query('part', context=x))"],
        "part": ["FINAL(context + 1)"],
    }
    rlm = RLM(model=by_question(script), log_dir=tmp_path_factory.mktemp("logs"), cache=False)
    with rlm.run("# <b>root</b>") as run:
        yield load(run.log_path).tree


def test_a_run_from_its_log_becomes_a_valid_notebook_with_code_and_outputs_in_order(tree):
    book = nbformat.from_dict(to_notebook(tree))
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code] == [
        "print('hello')\nx = 1",
        "FINAL(rlm_query('part', context=x))",
        "FINAL(context + 1)",
    ]
    assert "hello" in code[0].outputs[0].text


def test_text_of_a_model_is_no_markup_in_it(tree):
    book = to_notebook(tree)
    text = "\n".join(cell["source"] for cell in book["cells"] if cell["cell_type"] == "markdown")
    for line in text.splitlines():
        assert "<b>" not in line or line.startswith("    ")


def test_a_run_becomes_a_script_that_parses(tree):
    script = to_script(tree)
    ast.parse(script)
    assert script.count("# %%\n") == 3


def test_the_magic_writes_a_new_file_and_overwrites_none(tmp_path, monkeypatch):
    with terminal_shell(tmp_path) as shell:
        monkeypatch.chdir(tmp_path)
        shell.user_ns["script"] = by_question({"q": ["FINAL(1)"]})
        assert shell.run_cell("%%rlm -m script\nq").success
        assert shell.run_cell("%rlm export -o run.ipynb").success
        nbformat.validate(nbformat.read(tmp_path / "run.ipynb", as_version=4))
        assert isinstance(shell.run_cell("%rlm export -o run.ipynb").error_in_exec, UsageError)
        assert shell.run_cell("%rlm export -o run.py").success
        assert isinstance(shell.run_cell("%rlm export -o run.txt").error_in_exec, UsageError)
        shell.run_cell("_run = get_ipython().run_line_magic('rlm', 'free')")


def test_odd_line_ends_in_texts_cut_no_line_and_begin_none(tmp_path):
    odd = "one\u2028two\x85three\x0cfour"
    script = by_question({f"{odd}\rimport os": [f"print({odd!r})\nFINAL({odd!r})"]})
    with RLM(model=script, log_dir=tmp_path, cache=False).run(f"{odd}\rimport os") as run:
        assert run.value == odd
        tree = load(run.log_path).tree
        assert tree.question == run.tree.question
    assert load(run.log_path).damaged == 0
    source = to_script(tree)
    assert odd in source
    assert "\nimport os" not in source.replace("\r", "\n")
    ast.parse(source)
    quoted = [cell["source"] for cell in to_notebook(tree)["cells"] if cell["cell_type"] == "markdown"]
    assert any(f"    {odd}" in text for text in quoted)
    assert not any("\nimport os" in text.replace("\r", "\n") for text in quoted)


def test_the_magic_writes_pages_at_three_levels_and_without_a_script(tmp_path, monkeypatch):
    with terminal_shell(tmp_path) as shell:
        monkeypatch.chdir(tmp_path)
        shell.user_ns["script"] = by_question({"secret question": ["print('secret ' + 'output')\nFINAL(1)"]})
        assert shell.run_cell("%%rlm -m script\nsecret question").success
        for line, name, has in (
            ("-o run.html", "run.html", {"secret question", "secret output"}),
            ("-o red.html --level redacted", "red.html", {"secret question"}),
            ("-o bare.html --level structure", "bare.html", set()),
            ("-o static.html --static", "static.html", {"secret question", "secret output"}),
            ("-o red.ipynb --level redacted", "red.ipynb", {"secret question"}),
        ):
            assert shell.run_cell(f"%rlm export {line}").success, line
            text = (tmp_path / name).read_text("utf-8")
            assert {words for words in ("secret question", "secret output") if words in text} == has, line
            assert ("<script>" in text) == (name.endswith(".html") and name != "static.html"), line
        assert shell.run_cell("%rlm export named.html").success
        assert (tmp_path / "named.html").exists()
        for wrong in ("-o x.html --level some", "-o x.txt", "-o x.ipynb --static", "-o run.html"):
            assert isinstance(shell.run_cell(f"%rlm export {wrong}").error_in_exec, UsageError), wrong
        assert not list(tmp_path.glob("x.*"))
        shell.run_cell("past = %rlm last")
        named = f"{shell.user_ns['past'].id}.html"
        assert shell.run_cell("%rlm export --static").success
        assert (tmp_path / named).exists()


def test_a_past_run_is_exported_from_its_log(tree, tmp_path):
    from rlm_jupyter.export_file import export_run
    from rlm_jupyter.records.past_run import PastRun

    kept = PastRun(tree, "", None)  # without a log: a tree without texts
    text = export_run(kept.tree, tmp_path / "run.html").read_text("utf-8")
    assert "print(&#39;hello&#39;)" not in text
    assert "print('hello')" in text, "code stays, prompts and replies do not"
