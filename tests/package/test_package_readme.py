"""Each word of code in the README runs: its Python over HTTP with a scripted provider, its magics with the demo."""

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from magics_parts import terminal_shell

from rlm_jupyter.settings import PROVIDERS, Provider

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")

SAID = {
    "since when?": "FINAL({'supplier': 'Elm', 'since': '2025-02-20'})",
    "Which supplier?": "FINAL(context.supplier.iloc[0])",
}


def blocks(language):
    return [m[2] for m in re.finditer(rf"^(```+){language}\n(.*?)^\1$", TEXT, re.MULTILINE | re.DOTALL)]


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


def _answer(request):
    question = request["messages"][1]["content"].splitlines()[1]
    code = next(code for end, code in SAID.items() if question.endswith(end))
    return f"```repl\nprint(len(context))\n{code}\n```"


def test_the_python_of_the_readme_runs(orders, openai_server, monkeypatch, capsys):
    openai_server.script = _answer
    monkeypatch.setitem(PROVIDERS, "openai", Provider(openai_server.url, "OPENAI_API_KEY"))
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.cwd()))
    space = {"orders": orders}
    for block in blocks("python"):
        exec(block, space)
    out = capsys.readouterr().out
    assert "'supplier': 'Elm'" in out
    assert "done" in out
    assert space["verdict"].supplier == "Elm"
    assert space["table"].equals(orders)
    assert space["record"].tree.status == "done"


def test_the_magics_of_the_readme_run(orders, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("RLM_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    with terminal_shell(Path.cwd()) as shell:
        shell.user_ns["orders"] = orders
        for block in blocks("ipython"):
            assert shell.run_cell(block).success, block
        assert shell.user_ns["findings"]["supplier"] == "Elm"
        assert isinstance(shell.user_ns["counts"], pd.DataFrame)
    assert "no language model" in capsys.readouterr().out


def test_the_shell_commands_of_the_readme_run(orders, capfd):
    from rlm_jupyter.cli import main

    orders.to_csv("orders.csv", index=False)
    lines = [
        shlex.split(line) for block in blocks("sh") for line in block.splitlines() if line.startswith("rlm-")
    ]
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
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    said = TEXT + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = {
        target
        for line in re.findall(r"^make (\w+)|`make (\w+)`", said, re.MULTILINE)
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
