"""Estimates from the logs of runs alike: of real runs against a server, in Python, in a cell, on the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from magics_parts import terminal_shell
from openai_server import OpenAIServer
from run_parts import until
from scripts import cell

from rlm_jupyter import RLM, ConfigError, Limits, cli
from rlm_jupyter.estimates.run_figures import figures_of_description
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.records.reader import load
from rlm_jupyter.run_setup.start import describe_data, encode
from rlm_jupyter.views.text_tree import tree
from rlm_jupyter.views.widget_messages import run_fields

QUESTION = "How many rows are there?"
RUNS = 3


@pytest.fixture(scope="module", autouse=True)
def cache_directory(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def server():
    with OpenAIServer(lambda request: cell("FINAL(len(context))")) as server:
        yield server


def asking_of(server, logs, **settings):
    model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
    return RLM(model=model, log_dir=logs, cache=False, price=(1.0, 2.0), **settings)


@pytest.fixture(scope="module")
def logs(server, tmp_path_factory):
    """The logs of three runs about a table."""
    logs = tmp_path_factory.mktemp("runs") / "logs"
    rlm = asking_of(server, logs)
    for number in range(RUNS):
        with rlm.start(QUESTION, frame(100 + number)) as run:
            assert run.wait(120).value == 100 + number
    (logs / "broken.jsonl").write_bytes(b"\xff{not json\n")
    return logs


def frame(rows):
    return pd.DataFrame({"price": range(rows), "name": ["x"] * rows})


def test_an_estimate_is_what_runs_alike_took_and_nothing_is_sent(server, logs):
    before = server.calls
    trees = [load(path).tree for path in logs.glob("2*.jsonl")]
    assert len(trees) == RUNS
    made = asking_of(server, logs).estimate(QUESTION, frame(100))
    assert server.calls == before
    tokens = sorted(one.input_tokens + one.output_tokens for one in trees)
    costs = sorted(one.cost for one in trees)
    assert made.runs == RUNS
    assert tokens[0] * 0.999 <= made.tokens.p50 <= made.tokens.p90 <= tokens[-1] * 1.001
    assert costs[0] * 0.999 <= made.cost.p50 <= made.cost.p90 <= costs[-1] * 1.001
    assert 0 < made.seconds.p50 <= made.seconds.p90
    assert made.why.startswith("3 runs alike in ")
    assert "the same model, table of " in made.why
    assert (made.worst.cost, made.worst.rests_on) == (1.0, "the limit `cost`")
    assert "Cost:   about $0.0" in str(made)


def test_the_limits_and_a_shared_budget_bound_the_worst_case(server, logs, tmp_path):
    budget = tmp_path / "course.toml"
    budget.write_text("[total]\ncost = 0.0001\n")
    made = asking_of(server, logs, budget=budget).estimate(QUESTION, frame(100))
    assert made.worst.cost == 0.0001
    assert "the shared budget (`cost` of $0.00)" in made.worst.rests_on
    assert made.note.startswith("The shared budget")
    assert "will probably end the run before its answer" in made.note
    made = asking_of(server, logs).estimate(QUESTION, frame(100), limits=Limits(cost=None, tokens=1_000_000))
    assert (made.worst.cost, made.worst.rests_on) == (2.0, "the limit `tokens`")
    assert made.note == ""


def test_without_runs_alike_only_the_limits_speak(server, logs, tmp_path):
    nothing = asking_of(server, tmp_path / "none").estimate(QUESTION, frame(100))
    assert (nothing.runs, nothing.cost, nothing.tokens, nothing.seconds) == (0, None, None, None)
    assert "no run alike" in nothing.why
    other = RLM(
        model=OpenAIChat("other", base_url=server.url, api_key="sk-test-0123456789"),
        log_dir=logs,
        price=(10.0, 20.0),
    ).estimate(QUESTION, frame(100))
    assert other.seconds is None, "nobody knows how fast that model is"
    assert other.cost.p50 == pytest.approx(
        10 * asking_of(server, logs).estimate(QUESTION, frame(100)).cost.p50
    )
    assert "there is none of this model" in other.why


def test_providers_are_priced_beside_each_other_without_their_keys(server, logs, monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RLM_MODEL_API_KEY", "RLM_MODEL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    rlm = RLM(model=OpenAIChat("x", base_url=server.url, api_key="sk-test-0123456789"), log_dir=logs)
    made = rlm.estimate(
        QUESTION, frame(100), models=["openai/gpt-5", "anthropic/claude-sonnet-4-5", "ollama/qwen3"]
    )
    rows = [made, *made.beside]
    assert [row.model for row in rows] == ["gpt-5", "claude-sonnet-4-5", "qwen3"]
    assert 0 < made.cost.p50 < made.beside[0].cost.p50
    assert made.beside[1].cost.p50 == 0
    assert made.tiers["flex"].p50 == pytest.approx(made.cost.p50 / 2)
    assert made.tiers["batch"].p50 == pytest.approx(made.cost.p50 / 2)
    cheap = RLM(model=rlm.model, log_dir=logs, service_tier="flex").estimate(
        QUESTION, frame(100), models=["openai/gpt-5"]
    )
    assert cheap.cost.p50 == pytest.approx(made.cost.p50 / 2)
    lines = str(made).splitlines()
    assert lines[0].split() == [
        "model",
        "cost",
        "9",
        "of",
        "10",
        "at",
        "most",
        *made.tiers,
        "tokens",
        "time",
        "runs",
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["gpt-5", "claude-sonnet-4-5", "qwen3"]


def test_the_head_of_a_running_tree_says_what_to_expect_and_the_log_keeps_it(server, logs, tmp_path):
    own = tmp_path / "logs"
    own.mkdir()
    for path in logs.glob("2*.jsonl"):
        (own / path.name).write_bytes(path.read_bytes())
    begun = []

    def answer(request):
        begun.append(request)
        return cell("import time\ntime.sleep(600)")

    with OpenAIServer(answer) as slow, asking_of(slow, own).start(QUESTION, frame(100)) as run:
        until(lambda: run.tree.estimate is not None)
        with run.lock:
            drawn, fields = tree(run.tree), run_fields(run.tree)
        assert "Expected: about $0.0" in drawn
        assert fields["expected"] in drawn
        assert "3 runs alike" in fields["expected"]
        run.stop()
        run.wait(60)
        assert "Expected:" not in tree(run.tree)
    assert [event.runs for event in load(run.log_path).events if isinstance(event, ev.RunEstimated)] == [RUNS]


def test_a_cell_with_estimate_sends_nothing(server, logs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RLM_MODEL_BASE_URL", server.url)
    before = server.calls
    with terminal_shell(tmp_path) as shell:
        shell.user_ns["table"] = frame(100)
        shell.run_line_magic("config", f"RLMMagics.log_dir = {str(logs)!r}")
        assert shell.run_cell(f"%%rlm table -m test-model --estimate\n{QUESTION}").success
        assert "Estimate for test-model; nothing was sent." in capsys.readouterr().out
        assert shell.run_cell(f"%%rlm table -m test-model,other --estimate\n{QUESTION}").success
        assert capsys.readouterr().out.splitlines()[1].startswith("test-model")
        assert not shell.run_cell(f"%%rlm table -m a,,b --estimate\n{QUESTION}").success
        assert "with commas between them" in capsys.readouterr().out
    assert server.calls == before


def test_the_command_estimates_and_shows_the_figures_behind(server, logs, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    table = tmp_path / "table.csv"
    frame(100).to_csv(table, index=False)
    before = server.calls
    words = ["run", str(table), "-q", QUESTION, "--log-dir", str(logs), "--estimate"]
    assert cli.main([*words, "-m", "test-model", "--base-url", server.url]) == 0
    out = capsys.readouterr().out
    assert "3 runs alike" in out
    assert cli.main([*words, "-m", "openai/gpt-5,openai/gpt-5-mini"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("gpt-5-mini")
    assert server.calls == before
    assert cli.main(["log", str(logs)]) == 0
    out = capsys.readouterr().out
    assert "3 runs that ended, of 4 logs" in out
    assert "Left out: 1 log without figures" in out
    assert "test-model · table · 3 runs · " in out
    assert cli.main(["log", str(logs), "--tui"]) == 2


def test_figures_are_kept_and_a_log_that_changes_is_read_again(server, logs, tmp_path, monkeypatch):
    from rlm_jupyter.estimates import log_index

    reads = []
    read = log_index.read_figures
    monkeypatch.setattr(log_index, "read_figures", lambda path: reads.append(path.name) or read(path))
    cache = tmp_path / "cache"
    first = log_index.logged_runs(logs, cache=cache)
    assert len(reads) == RUNS + 1
    assert log_index.logged_runs(logs, cache=cache) == first
    assert len(reads) == RUNS + 1
    (index,) = (cache / "run_figures").iterdir()
    assert index.stat().st_mode & 0o777 == 0o600
    assert QUESTION not in index.read_text()
    for text in (
        "",
        "[]",
        '{"version": 1, "logs": {"a": 7}}',
        json.dumps({"version": 1, "logs": [1]}),
        "{" * 9999,
    ):
        index.write_text(text)
        assert log_index.logged_runs(logs, cache=cache) == first
    index.unlink()
    assert log_index.logged_runs(logs, cache=cache, seconds=-1).unread == RUNS + 1


def test_a_model_that_is_none_is_refused(server, logs):
    with pytest.raises(ConfigError, match="not a provider"):
        asking_of(server, logs).estimate(QUESTION, models=["nowhere/x"])


@pytest.mark.parametrize(
    "value", [None, "a text", frame(7), [1, "x"], {"a": 1, "b": [2]}, Path("notes.txt"), 5, b"raw"]
)
def test_data_is_described_as_a_run_would_log_it(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("three words here")
    data = encode(value, (), rows=3)
    whole = data.buffer.description if data.buffer is not None else None
    assert figures_of_description(describe_data(value, ())) == figures_of_description(whole)


def test_a_script_is_paid_nothing(tmp_path):
    made = RLM(model="demo", log_dir=tmp_path).estimate(QUESTION, frame(3))
    assert "nothing is paid" in str(made)
