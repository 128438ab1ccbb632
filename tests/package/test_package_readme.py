"""Each word of code in the README and in docs/ runs: its Python over HTTP with a scripted provider, its magics with the demo.

A block that cannot run here (it needs a machine, a key, a server) is marked in its fence: `python no-run`.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from magics_parts import terminal_shell

from rlm_jupyter import RLM
from rlm_jupyter.models import InteractiveModel
from rlm_jupyter.settings import PROVIDERS, Provider

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
TEXT = PAGES["README.md"]
FENCE = re.compile(r"^(```+)([^\n`]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)

SAID = {
    "since when?": "FINAL({'supplier': 'Elm', 'since': '2025-02-20'})",
    "Which supplier?": "FINAL(context.supplier.iloc[0])",
    "rise in refunds?": "found = context.groupby('supplier').refunded.mean().idxmax()\nFINAL(found)",
}


def blocks(language, page="README.md"):
    return [found[3] for found in fences(PAGES[page]) if found[2].strip() == language]


def fences(text):
    return list(FENCE.finditer(text))


def with_blocks(language):
    return [page for page in PAGES if blocks(language, page)]


@pytest.fixture
def orders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"date": pd.date_range("2025-01-01", periods=100).repeat(20)})
    table["supplier"] = rng.choice(["Ash", "Birch", "Elm"], len(table))
    table["price"] = rng.integers(1, 100, len(table))
    bad = (table["supplier"] == "Elm") & (table["date"] >= "2025-02-20")
    table["refunded"] = rng.random(len(table)) < np.where(bad, 0.8, 0.05)
    return table


@pytest.fixture
def files(orders):
    """The files that the pages name."""
    for folder in ("orders", "notes", "rlm_runs"):
        Path(folder).mkdir()
    for month in (1, 2):
        orders.to_parquet(f"orders/2025-0{month}.parquet")
    orders.to_parquet("orders.parquet")
    orders.head().assign(date="2025").to_excel("budget.xlsx")
    Path("notes/july.md").write_text("July was hot.")
    shutil.copy(ROOT / "tests" / "logs" / "niah.jsonl", "rlm_runs/RUN.jsonl")


@pytest.fixture
def provider(openai_server, monkeypatch, tmp_path):
    openai_server.script = _answer
    monkeypatch.setitem(PROVIDERS, "openai", Provider(openai_server.url, "OPENAI_API_KEY"))
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _answer(request):
    question = request["messages"][1]["content"].splitlines()[1]
    code = next((code for end, code in SAID.items() if question.endswith(end)), "FINAL(len(context))")
    if "context.groupby" in code and "DataFrame" not in request["messages"][1]["content"]:
        code = "FINAL(str(type(context)))"
    return f"```repl\nprint(type(context))\n{code}\n```"


@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_python_runs(page, orders, files, provider, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what a page sets there is gone afterwards
    rlm = RLM(model="openai/gpt-5")
    space = {"orders": orders, "next_month": orders.tail(500), "rlm": rlm}
    if page == "frames.md":
        space["run"] = rlm.run("Which supplier?", context=orders)
    for block in blocks("python", page):
        try:
            exec(compile(block, page, "exec"), space)
        except Exception as error:
            error.add_note(f"in a block of `{page}`:\n{block}")
            raise
    check = CHECKS.get(page)
    if check is not None:
        check(space)


def _check_python(space):
    assert space["verdict"].supplier == "Elm"
    assert space["table"].equals(space["orders"])
    assert space["record"].tree.status == "done"


def _check_code(space):
    assert space["code"].verdict == "reproduced"
    assert space["run"].value == space["answer"](space["orders"])


def _check_models(space):
    assert isinstance(space["you"], InteractiveModel)
    assert space["run"].value == len(space["orders"])


CHECKS = {
    "README.md": lambda space: space["run"].value["supplier"] == "Elm" or pytest.fail("another answer"),
    "python.md": _check_python,
    "code-behind.md": _check_code,
    "models.md": _check_models,
}


def test_most_pages_with_python_are_checked_and_no_code_is_without_a_language():
    assert set(CHECKS) <= set(with_blocks("python"))
    for page, text in PAGES.items():
        for found in fences(text):
            if not found[2].strip():
                assert "%%rlm" not in found[3], f"{page}: mark this block `ipython`"
                assert "import " not in found[3], f"{page}: mark this block `python`"


@pytest.mark.parametrize("page", with_blocks("ipython"))
def test_the_magics_run(page, orders, files, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("RLM_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    with terminal_shell(Path.cwd()) as shell:
        shell.user_ns["orders"] = orders
        for block in blocks("ipython", page):
            assert shell.run_cell(block).success, block
        if page in ("README.md", "notebook.md"):
            assert shell.user_ns["findings"]["supplier"] == "Elm"
            assert isinstance(shell.user_ns["data"], pd.DataFrame)
    assert "no language model" in capsys.readouterr().out


def test_the_shell_commands_run(orders, capfd):
    from rlm_jupyter.cli import main

    orders.to_csv("orders.csv", index=False)
    found = [block for page in PAGES for block in blocks("sh", page)]
    lines = [shlex.split(line) for block in found for line in block.splitlines() if line.startswith("rlm-")]
    assert [line[1] for line in lines] == ["run", "log", "export", "doctor"]
    for _, *arguments in lines:
        (log,) = [str(path) for path in Path("rlm_runs").glob("*.jsonl")] or [""]
        done = main([log if word.endswith("RUN.jsonl") else word for word in arguments])
        assert not done, capfd.readouterr().err
    out = capfd.readouterr().out
    assert "Elm has the clearest rise of refunded" in out
    assert "Sandbox: " in out


def test_the_two_commands_come_first_and_every_make_target_that_is_named_exists():
    assert [line.split()[:2] for line in blocks("sh")[0].splitlines()] == [["make", "demo"], ["make", "test"]]
    assert TEXT.index("make demo") < 100
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    said = TEXT + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = {
        target
        for line in re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", said, re.MULTILINE)
        for target in line
        if target
    }
    assert named >= {"demo", "test", "lab"}
    assert named <= set(targets)


def test_figures_of_the_readme_are_those_of_the_code():
    from rlm_jupyter import Limits, registry

    limits = Limits()
    said = (
        f"{limits.cost:g} USD, {limits.tokens:,} tokens, {limits.calls:,} completions, {limits.agents} agents"
    )
    assert f"{said}, depth {limits.depth}, half an hour" in " ".join(TEXT.split())
    assert limits.seconds == 1800
    assert registry._KEPT_RUNS == 3
