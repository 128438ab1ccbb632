"""The harnesses in environments of their own: what they are told, what they are not, and how they end."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.quality import harness_peers
from benchmarks.quality.harness import Conditions, HarnessError
from benchmarks.quality.harness_peers import PEERS, RUNNER, Peer, command, environment, outcome, request
from benchmarks.quality.task_sets import select

CONDITIONS = Conditions("small-model", turns=8, reply_tokens=700, seconds=5)
BEGAN, TURN = {"event": "began", "task": "t"}, {"event": "turn", "task": "t"}


def answered(answer, error=None):
    return {"event": "answer", "task": "t", "answer": answer, "error": error}


def test_both_are_installed_into_environments_of_their_own():
    assert {name: peer.requirements for name, peer in PEERS.items()} == {
        "rlms": ("rlms==0.1.3",),
        "dspy": ("dspy>=3,<4",),
    }
    folders = {peer.environment for peer in PEERS.values()}
    assert [folder.parent.name for folder in folders] == [".venvs", ".venvs"]
    assert all(peer.python.is_relative_to(peer.environment) for peer in PEERS.values())


def test_a_peer_is_told_the_task_as_text_and_the_same_limits():
    (task,) = select(["table_largest"], size=2**13)
    told = request(task, "http://127.0.0.1:1/v1", CONDITIONS)
    assert told == json.loads(json.dumps(told))
    assert told["text"].startswith("order_id,date,")
    assert (told["question"], told["model"], told["turns"], told["reply_tokens"]) == (
        task.question,
        "small-model",
        8,
        700,
    )


def test_the_command_runs_the_runner_by_the_peers_python(tmp_path):
    python, runner, name, tasks, events = command(PEERS["rlms"], tmp_path)
    assert python == str(PEERS["rlms"].python)
    assert (runner, name) == (str(RUNNER), "rlms")
    assert {Path(tasks).parent, Path(events).parent} == {tmp_path}


def test_the_runner_imports_nothing_of_this_repository_nor_of_a_peer_at_once():
    nodes = [
        node
        for node in ast.walk(ast.parse(RUNNER.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_a_peers_process_has_no_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv("RLM_MODEL_API_KEY", "sk-0123456789")
    told = environment(tmp_path)
    assert "sk-0123456789" not in told.values()
    assert told["HOME"] == str(tmp_path)
    assert told["PATH"] == os.environ["PATH"]


def test_what_a_runner_told_is_an_outcome():
    right = outcome([BEGAN, TURN, TURN, answered("7")], False, CONDITIONS)
    assert (right.answer, right.error, right.turns, right.limited) == ("7", None, 2, False)
    failed = outcome([BEGAN, TURN, answered(None, "ValueError: no")], False, CONDITIONS)
    assert (failed.answer, failed.error, failed.limited) == (None, "ValueError: no", False)
    used_up = outcome([BEGAN, *[TURN] * 8, answered(None, "ValueError: no")], False, CONDITIONS)
    assert used_up.limited
    forced = outcome([BEGAN, *[TURN] * 9, answered("no idea")], False, CONDITIONS)
    assert (forced.answer, forced.turns, forced.limited) == ("no idea", 8, True)
    late = outcome([BEGAN, TURN], True, CONDITIONS)
    assert (late.error, late.limited, late.turns) == ("It was not done after 5 s.", True, 1)
    dead = outcome([], False, CONDITIONS, "ModuleNotFoundError: rlm\n")
    assert dead.error == "Its process ended without an answer: ModuleNotFoundError: rlm"


RUNAWAY = """
import json, subprocess, sys, time
from pathlib import Path
loops = [sys.executable, "-c", "while True: pass"]
own_group = subprocess.Popen(loops)
own_session = subprocess.Popen(loops, start_new_session=True)
Path(sys.argv[1]).write_text(json.dumps([own_group.pid, own_session.pid]))
with open(sys.argv[2], "a") as file:
    file.write('{"event": "began"}\\n{"event": "turn"}\\n')
time.sleep(3600)
"""


def test_a_run_whose_time_is_over_ends_with_all_that_it_started(tmp_path, monkeypatch):
    """One of them in a session of its own, as dspy starts its interpreter: no signal to the group reaches it."""
    (task,) = select(["judged_count"])
    script, pids = tmp_path / "runaway.py", tmp_path / "pids"
    script.write_text(RUNAWAY)
    monkeypatch.setattr(
        harness_peers,
        "command",
        lambda _, scratch: [sys.executable, str(script), str(pids), str(scratch / "events.jsonl")],
    )
    ended = PEERS["rlms"].run(task, "http://127.0.0.1:1/v1", Conditions("m", seconds=0.5), tmp_path)
    assert (ended.limited, ended.turns) == (True, 1)
    end = time.monotonic() + 60
    while any(map(runs, json.loads(pids.read_text()))):
        assert time.monotonic() < end
        time.sleep(0.05)


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_peer_that_is_not_there_is_told_by_its_last_words(tmp_path, monkeypatch):
    """The real runner, by a Python that has no `rlm`."""
    (task,) = select(["judged_count"])
    folder = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    monkeypatch.setattr(Peer, "environment", folder)
    ended = PEERS["rlms"].run(task, "http://127.0.0.1:1/v1", CONDITIONS, tmp_path)
    assert "No module named 'rlm'" in ended.error
    assert not ended.limited


def test_what_cannot_be_installed_is_told_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Peer, "environment", tmp_path / "file" / "environment")
    with pytest.raises(HarnessError, match=r"`rlms` cannot be installed:[\s\S]*file"):
        PEERS["rlms"].prepare()


def test_an_environment_that_is_there_is_used_again_and_another_requirement_makes_it_anew(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Peer, "environment", tmp_path)
    (tmp_path / ".installed").write_text("rlms==0.1.3")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was made anew"))
    PEERS["rlms"].prepare()
    with pytest.raises(pytest.fail.Exception, match="it was made anew"):
        PEERS["dspy"].prepare()
