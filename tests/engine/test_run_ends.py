"""However a run ends, nothing of it is left but its log: no kernel, no socket, no directory."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from magics_parts import notebook

SETUP = """\
from rlm_jupyter.models import ScriptedModel
def reply(messages):
    question = messages[1]["content"].split("\\n")[1]
    if question == "bad":
        return "no code"
    code = {
        "good": "FINAL(rlm_query_batched(['part', 'part'], contexts=[1, 2]))",
        "part": "FINAL(context)",
        "slow": "rlm_query_batched(['hang', 'spin'], contexts=[1, 2])",
        "hang": "import subprocess, time\\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\\ntime.sleep(600)",
        "spin": "while True:\\n    try:\\n        while True: pass\\n    except BaseException: pass",
    }[question]
    return f"```repl\\n{code}\\n```"
script = ScriptedModel(reply)
import rlm_jupyter.rlm
"""


@pytest.fixture
def place(monkeypatch):
    """A short directory for all temporary files of the notebook's kernel."""
    path = Path(tempfile.mkdtemp(prefix="e", dir="/tmp"))
    for name in ("TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(path))
    tempfile.tempdir = None
    yield path
    tempfile.tempdir = None
    shutil.rmtree(path, ignore_errors=True)


def ours(place: Path) -> list[psutil.Process]:
    """Processes of agents: those that were started with this place for temporary files, and what they started."""
    found = []
    for process in psutil.process_iter():
        try:
            values = [*process.environ().values(), *process.cmdline()]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(value.startswith(f"{place}/rlm-") for value in values):
            found.append(process)
    return found


def nothing_left(place: Path, seconds: float = 60.0) -> list[object]:
    """Wait a little; give what is left of runs."""
    end = time.monotonic() + seconds
    while True:
        left = [*ours(place), *place.glob("rlm-*")]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


@pytest.mark.parametrize("question", ["good", "bad"])
def test_after_success_and_failure_closing_the_run_leaves_only_the_log(place, question):
    with notebook(place) as book:
        book.run(SETUP)
        reply, _ = book.run(f"%%rlm -m script\n{question}")
        assert reply["status"] == ("ok" if question == "good" else "error")
        if question == "good":  # the other one fails before its kernel is up
            assert ours(place), "the test does not see agents' processes"
        book.run("run = %rlm last\nrun.close()")
        kernels = book.value("[k.alive for k in run._conductor.pool._kernels.get(run.id, ())]")
        assert kernels == "[]"
        log = book.value("str(run.log_path)").strip("'")
        book.run("rlm_jupyter.rlm.stop_all()")
        assert nothing_left(place) == []
        assert Path(log).exists()


def test_after_an_interrupt_its_kernels_are_idle_and_closing_leaves_nothing(place):
    with notebook(place) as book:
        book.run(SETUP)
        request = book.send("%%rlm -m script\nslow")
        _until_two_sub_agents_run(place)
        book.interrupt()
        assert book.reply(request)["ename"] == "RunStoppedError"
        assert book.run("rlm_jupyter.rlm.stop_all()")[0]["status"] == "ok"
        assert nothing_left(place) == []


def test_sigkill_of_the_notebooks_kernel_leaves_nothing(place):
    with notebook(place) as book:
        book.run(SETUP)
        book.send("%%rlm -m script\nslow")
        _until_two_sub_agents_run(place)
        assert len(ours(place)) >= 4
        os.kill(book.manager.provisioner.pid, signal.SIGKILL)
        assert nothing_left(place) == []


def test_a_notebook_kernel_that_ends_by_itself_leaves_nothing(place):
    with notebook(place) as book:
        book.run(SETUP)
        assert book.run("%%rlm -m script\ngood")[0]["status"] == "ok"
        assert ours(place)
        book.manager.shutdown_kernel(now=False)
        assert nothing_left(place) == []


def _until_two_sub_agents_run(place: Path) -> None:
    end = time.monotonic() + 60
    while not any("sleep" in process.name() for process in ours(place)):
        assert time.monotonic() < end, "the sub-agents did not come up"
        time.sleep(0.05)
    time.sleep(0.5)
