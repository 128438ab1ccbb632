"""`python -m benchmarks peers` with real processes: tiny sizes, and what of it fails."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.peers import command, measure
from benchmarks.peers.contenders import CONTENDERS, Contender, SpeedPeer
from benchmarks.peers.figures import FIGURES, Sizes
from benchmarks.peers.replies import replies
from benchmarks.peers.session import ContenderError, Session
from benchmarks.server import Server

TINY = ["--calls", "2", "--agents", "2", "--turns", "2", "--kept", "1", "--runs", "1"]
SIZES = Sizes(calls=2, agents=2, turns=2, kept=1)
INSTALLED = {name: one.peer is None or one.peer.python.exists() for name, one in CONTENDERS.items()}


@pytest.fixture
def server():
    with Server() as started:
        yield started


def test_floor_and_ours_have_a_value_for_each_figure(tmp_path, capsys):
    main(["peers", *TINY, "--contenders", "ours", "floor", "--json", str(tmp_path / "out.json")])
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["failures"] == []
    names = {figure.name for figure in FIGURES if not figure.name.endswith("4th")}
    for contender in ("floor", "ours"):
        found = told["samples"][contender]
        assert names <= set(found)
        assert all(
            value > 0
            for name, values in found.items()
            for value in values
            if not name.endswith("_processor")  # which the system counts in hundredths of a second
        )
        # Latencies that only a contender that really asked can have waited for.
        assert min(found["batch_warm"]) > 0.2
        assert min(found["agents_warm"]) > 0.1
    assert len(told["samples"]["ours"]["batch_warm"]) == len(told["samples"]["floor"]["batch_warm"]) == 2
    assert told["samples"]["floor"]["processes"] == [1.0]
    assert told["samples"]["ours"]["processes"][0] >= 4  # the notebook's, the fork server, two agents
    out = capsys.readouterr().out
    assert "| figure | floor | ours | ours / floor |" in out
    assert out.count("none: other sizes") == len([figure for figure in FIGURES if figure.goal])
    assert "rlm_jupyter" in out
    assert "Failed" not in out


@pytest.mark.parametrize("name", ["dspy", "rlms", "dspy-host"])
def test_an_installed_peer_does_what_the_others_do(name, server, tmp_path):
    if not INSTALLED[name]:
        pytest.skip(f"`python -m benchmarks peers --contenders {name}` installs it, from the network")
    report = command.run(server, tmp_path, SIZES, [name], ["batch", "agents", "turns", "memory"], 1)
    assert list(report.failures) == []
    names = {figure.name for figure in FIGURES if figure.group in CONTENDERS[name].groups}
    wanted = {"batch_warm", "agents_warm", "between", "after_closed", "memory"}
    assert wanted & names <= set(report.samples[name])
    assert min(report.samples[name]["batch_warm"]) > 0.2
    assert min(report.samples[name]["agents_warm"]) > 0.1


def test_who_cannot_be_installed_is_told_and_has_no_figures(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(SpeedPeer, "environment", tmp_path / "file" / "environment")
    report = command.run(server, tmp_path, SIZES, ["dspy", "floor"], ["start"], 1)
    (failure,) = report.failures
    assert failure.startswith("dspy, all figures: The harness `dspy` cannot be installed:")
    assert "dspy" not in report.samples
    assert len(report.samples["floor"]["start"]) == 1


def test_an_environment_of_its_own_for_each_peer():
    folders = [CONTENDERS[name].peer.environment for name in ("dspy", "rlms")]
    assert [folder.name for folder in folders] == ["peers-dspy", "peers-rlms"]
    assert [folder.parent.name for folder in folders] == [".venvs", ".venvs"]
    assert CONTENDERS["dspy"].peer.requirements == ("dspy==3.4.1",)
    assert CONTENDERS["rlms"].peer.requirements == ("rlms[ipython]==0.1.3",)


def test_a_contender_that_fails_says_why_and_those_after_it_are_measured(server, tmp_path, monkeypatch):
    monkeypatch.setitem(CONTENDERS, "rlms", Contender("rlms"))  # not in this environment
    report = command.run(server, tmp_path, SIZES, ["rlms", "floor"], ["start"], 1)
    assert [name for name in report.failures if "No module named 'rlm'" in name] == list(report.failures)
    assert len(report.failures) == 1
    assert set(report.samples) == {"floor"}


def test_samples_before_a_fault_are_kept(server, tmp_path, monkeypatch):
    def broken(contender, sizes):
        made = replies(contender, sizes)
        made["part"] = [{"text": "no code", "latency": 0.0}]
        return made

    monkeypatch.setattr(measure, "replies", broken)
    report = command.run(server, tmp_path, SIZES, ["floor"], ["batch", "agents", "memory"], 1)
    assert len(report.samples["floor"]["batch_warm"]) == 2
    assert not any(name.startswith(("agents", "memory")) for name in report.samples["floor"])
    assert [failure.partition(":")[0] for failure in report.failures] == [
        "floor, `agents`",
        "floor, `memory`",
    ]
    assert all("IndexError" in failure for failure in report.failures)


def test_who_sends_fewer_requests_has_no_figure_and_no_memory(server, tmp_path, monkeypatch):
    def one_turn(contender, sizes):
        made = replies(contender, sizes)
        return {**made, "part": made["part"][1:]}

    monkeypatch.setattr(measure, "replies", one_turn)
    report = command.run(server, tmp_path, SIZES, ["floor"], ["agents", "memory"], 1)
    agents, memory = report.failures
    assert "`floor` sent 2 requests, and not 4." in agents
    assert "`floor` did not have 2 sub-agents at once." in memory
    assert not report.samples["floor"]


def test_what_a_contender_was_about_when_its_process_ended(server, tmp_path):
    with Session(CONTENDERS["floor"], server.url, tmp_path) as session:
        session._process.kill()
        with pytest.raises(ContenderError, match="The process of `floor` has ended: it printed nothing"):
            session.ask("one")


def test_what_a_contender_prints_is_not_taken_for_its_answer(server, tmp_path):
    loud = replies("floor", SIZES)
    code = "import os\nos.write(1, b'printed')\nvalue = 2"
    loud["one"][0]["text"] = f"```python\n{code}\n```"
    server.play(loud, other="part")
    with Session(CONTENDERS["floor"], server.url, tmp_path) as session:
        assert session.ask("one")["inside"] is None
        assert session._tail() == "printed"


def test_a_contender_that_takes_too_long_is_ended(server, tmp_path):
    slow = replies("floor", SIZES)
    slow["one"][0]["latency"] = 3600.0
    server.play(slow, other="part")
    with (
        pytest.raises(ContenderError, match="`floor` was not done after 1 s"),
        Session(CONTENDERS["floor"], server.url, tmp_path, seconds=1.0) as session,
    ):
        session.ask("one")
    assert session._process.poll() is not None


def test_a_process_gets_no_keys(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    with Session(CONTENDERS["floor"], server.url, tmp_path) as session:
        session.ask("import")
        variables = Path(f"/proc/{session.pid}/environ").read_bytes()
    assert b"sk-0123456789" not in variables
    assert f"HOME={tmp_path}".encode() in variables


def test_a_count_below_one_and_an_unknown_group_are_refused(capsys):
    for wrong in (["--runs", "0"], ["--figures", "speed"], ["--contenders", "nobody"]):
        with pytest.raises(SystemExit):
            main(["peers", *wrong])
    assert "at least 1" in capsys.readouterr().err


def test_other_benchmarks_still_have_their_names():
    with pytest.raises(SystemExit, match=r"no benchmark `peer`.*and `peers`"):
        main(["peer"])
    assert replace(SIZES, calls=200, agents=20, turns=20, kept=10).standard
