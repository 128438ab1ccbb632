"""The supervisor that is started before a kernel is wanted: when, by what, at which priority, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from kernel_parts import gone

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.launch import early_start as early
from rlm_jupyter.kernels.launch import site_packages, supervisor_client
from rlm_jupyter.kernels.launch.environment import BaseDirectory
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
from rlm_jupyter.kernels.launch.supervisor_client import Supervisor
from rlm_jupyter.supervisor import idle_priority

SUPPORT = Path(__file__).parents[1] / "support"
SHELL = """
import json, os, signal, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config(); config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
def tell(**what): print(json.dumps(what), flush=True)
def modules(): return sorted(sys.modules)
"""
LOAD = "shell.run_line_magic('load_ext', 'rlm_jupyter')\n"
STARTED = """
from rlm_jupyter.kernels.launch.early_start import early_start
early_start._thread.join()
supervisor = early_start._started.supervisor
"""
RUN = """
from scripts import by_question
from rlm_jupyter import RLM, registry
rlm = RLM(model=by_question({"root": ["import os; FINAL(os.getppid())"]}), cache=False, log_dir=None)
parent = rlm.run("root").value
"""
WAITS = """
import os, time
from pathlib import Path
Path({0!r} + "/waits").touch()
while not Path({0!r} + "/go").exists():
    time.sleep(0.01)
"""
HEAVY = {"pydantic", "pandas", "numpy", "openai", "aiohttp", "jupyter_client", "zmq", "rlm_jupyter.engine"}


@contextmanager
def notebook(code):
    """A fresh process that runs code, then waits for a line; yields it and what it told."""
    paths = os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])])
    with subprocess.Popen(
        [sys.executable, "-c", f"{SHELL}{code}\nsys.stdin.readline()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        try:
            yield process, lambda: json.loads(process.stdout.readline())
        finally:
            process.kill()


def supervisors(pid):
    """The supervisors that a process has now."""
    found = []
    for child in psutil.Process(pid).children():
        try:
            if any(part.endswith("supervisor/serve.py") for part in child.cmdline()):
                found.append(child.pid)
        except psutil.NoSuchProcess:
            pass
    return found


def test_after_load_ext_one_supervisor_comes_up_and_nothing_heavy_is_imported_for_it():
    told = "supervisor.ready.result(60)\ntell(pid=supervisor.pid, modules=modules())"
    with notebook(f"{LOAD}{STARTED}{told}") as (process, read):
        found = read()
        assert supervisors(process.pid) == [found["pid"]]
        assert not HEAVY & set(found["modules"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert gone(found["pid"]) == []


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "preparing"])
@pytest.mark.parametrize("end", ["kill", "exit", "leave"])
def test_it_is_gone_with_the_process_however_that_ends(end, ready):
    wait = "supervisor.ready.result(60)\n" if ready else ""
    ended = {"kill": "", "exit": "sys.exit()", "leave": "os._exit(3)"}[end]
    told = (
        f"{wait}tell(pid=supervisor.pid, directory=str(supervisor.directory))\nsys.stdin.readline()\n{ended}"
    )
    with notebook(f"{LOAD}{STARTED}{told}") as (process, read):
        found = read()
        if end == "kill":
            process.kill()
        else:
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait(60)
        assert gone(found["pid"]) == []
    until = time.monotonic() + 60
    while Path(found["directory"]).exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(found["directory"]).exists()


@pytest.mark.parametrize("first", ["load_ext", "RLM"])
def test_a_run_uses_it_and_starts_no_other(first):
    begin = LOAD if first == "load_ext" else "from rlm_jupyter import RLM; RLM(model='demo')\n"
    told = f"pid = supervisor.pid\n{RUN}tell(pid=pid, parent=parent)"
    with notebook(f"{begin}{STARTED}{told}") as (process, read):
        found = read()
        assert found["parent"] == found["pid"]
        assert supervisors(process.pid) == [found["pid"]]


def test_an_rlm_that_asks_nothing_has_imported_nothing_that_answers():
    told = "from rlm_jupyter import RLM; RLM(model='demo')\ntell(modules=modules())"
    with notebook(told) as (_, read):
        found = set(read()["modules"])
    assert "rlm_jupyter.rlm" in found
    assert not (HEAVY - {"pydantic"} | {"rlm_jupyter.wiring"}) & found


def test_its_kernels_may_open_as_many_files_as_those_of_one_that_is_started_later():
    code = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
"""
    run = """
from scripts import by_question
from rlm_jupyter import RLM
cell = "import resource; FINAL(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
rlm = RLM(model=by_question({"root": [cell]}), sandbox="none", cache=False, log_dir=None)
tell(kernel=rlm.run("root").value, here=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    with notebook(f"{code}{LOAD}{STARTED}{run}") as (_, read):
        found = read()
    assert found["kernel"] == found["here"] > 512


OTHERWISE = {
    "gateway": "RLM(model='demo', kernel='gateway:http://127.0.0.1:9/python3')",
    "kernelspec": "RLM(model='demo', kernel='python3')",
    "early_start=False": "RLM(model='demo', early_start=False)",
    "%config early_start": f"config.RLMMagics.early_start = False\n{LOAD}",
    "%config kernel": f"config.RLMMagics.kernel = 'gateway:http://127.0.0.1:9/python3'\n{LOAD}",
    "doctor": "from rlm_jupyter import diagnostics; list(diagnostics.models({'model': 'demo'}))",
    "dry run": f"config.RLMMagics.early_start = False\n{LOAD}shell.user_ns['text'] = 'some text'\n"
    "shell.run_line_magic('config', 'RLMMagics.early_start = True')\n"
    "shell.run_cell_magic('rlm', 'text -m demo --dry-run', 'What is it?')",
    "no forks here": "from rlm_jupyter.kernels.launch import supervisor_client\n"
    f"supervisor_client.possible = lambda: False\nRLM(model='demo')\n{LOAD}",
}


@pytest.mark.parametrize("code", OTHERWISE.values(), ids=OTHERWISE)
def test_none_is_started_where_none_can_be_used_or_none_is_wanted(code):
    after = (
        "from rlm_jupyter.kernels.launch.early_start import early_start\n"
        "early_start._thread and early_start._thread.join()\ntell(done=True)"
    )
    with notebook(f"from rlm_jupyter import RLM\n{code}\n{after}") as (process, _):
        assert '{"done": true}\n' in iter(process.stdout.readline, "")
        assert psutil.Process(process.pid).children(recursive=True) == []


def test_the_first_request_does_not_wait_for_it(tmp_path):
    code = f"""
from pathlib import Path
from rlm_jupyter.kernels.launch import guest_bundle
sources = {{**guest_bundle.fork_server_sources(), "_rlm.guest.waits": {WAITS.format(str(tmp_path))!r}}}
guest_bundle.fork_server_sources = lambda: sources
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel
from scripts import cell
def reply(messages):
    Path({str(tmp_path / "go")!r}).touch()
    return cell("FINAL(len(context))")
run = RLM(model=ScriptedModel(reply), cache=False, log_dir=None).start("root", "four").wait(100)
tell(value=run.value, waited=Path({str(tmp_path / "waits")!r}).exists())
"""
    with notebook(code) as (_, read):
        assert read() == {"value": 4, "waited": True}


def test_to_unload_ends_it_and_to_load_again_starts_another():
    told = (
        "tell(pid=supervisor.pid)\nshell.run_line_magic('unload_ext', 'rlm_jupyter')\n"
        f"tell(alive=supervisor.alive)\n{LOAD}{STARTED}tell(pid=supervisor.pid)"
    )
    with notebook(f"{LOAD}{STARTED}{told}") as (process, read):
        first = read()["pid"]
        assert read()["alive"] is False
        second = read()["pid"]
        assert second != first
        assert supervisors(process.pid) == [second]


def test_a_forked_child_leaves_that_of_its_parent_alone_and_has_its_own():
    child = f"{RUN}tell(parent=parent)\nsys.exit()"
    told = f"""
pid = supervisor.pid
sys.stdout.flush()
child = os.fork()
if child == 0:
    {child.strip().replace(chr(10), chr(10) + "    ")}
os.waitpid(child, 0)
{RUN}
tell(pid=pid, parent=parent)
"""
    with notebook(f"{LOAD}{STARTED}{told}") as (_, read):
        in_child, in_parent = read(), read()
    assert in_parent["parent"] == in_parent["pid"]
    assert in_child["parent"] != in_parent["pid"]


# ------------------------------------------------------------------------------ what was installed meanwhile


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """One that was begun, for packages in a directory that a test can change."""
    monkeypatch.setattr(site_packages, "site_directories", lambda: [str(tmp_path)])
    start = early.EarlyStart()
    start.begin()
    start._thread.join()
    yield start
    start.drop()


def test_it_is_taken_once_by_who_wants_it(begun):
    taken = begun.take()
    assert taken.supervisor.ready.result(60)["threads"] == 1
    assert begun.take() is None
    taken.discard()
    assert gone(taken.supervisor.pid) == []
    assert not taken.base.path.exists()


def test_one_that_knows_other_packages_than_are_installed_now_is_not_used(begun, tmp_path):
    pid = begun._started.supervisor.pid
    (tmp_path / "later-1.0.dist-info").mkdir()
    assert begun.take() is None
    assert gone(pid) == []


def test_one_that_has_died_is_not_used(begun):
    supervisor = begun._started.supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    with pytest.raises(KernelStartError):
        supervisor.ready.result(60)
    assert begun.take() is None


def test_one_that_cannot_be_started_is_an_error_of_nobody(monkeypatch):
    def no_more(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(supervisor_client.subprocess, "Popen", no_more)
    start = early.EarlyStart()
    start.begin()
    assert start.take() is None


# -------------------------------------------------------------------------------------------------- priority


@pytest.fixture
def waiting(tmp_path):
    """Starts a supervisor whose last import waits until a file is there."""
    made = []

    def start(*, hurry):
        base = BaseDirectory()
        sources = {**fork_server_sources(), "_rlm.guest.waits": WAITS.format(str(tmp_path))}
        supervisor = Supervisor(base.path, sources, (), idle=True)
        made.append((base, supervisor))
        if hurry:
            supervisor.hurry()
        until((tmp_path / "waits").exists)
        return supervisor, (tmp_path / "go").touch

    yield start
    for base, supervisor in made:
        supervisor.discard()
        base.remove()


def test_it_imports_no_further_module_after_the_notebook_has_ended(tmp_path):
    base = BaseDirectory()
    after = f"from pathlib import Path\nPath({str(tmp_path / 'after')!r}).touch()"
    waits = WAITS.format(str(tmp_path))
    sources = {**fork_server_sources(), "_rlm.guest.waits": waits, "_rlm.guest.after": after}
    supervisor = Supervisor(base.path, sources, ("_rlm.guest.waits", "_rlm.guest.after"))
    until((tmp_path / "waits").exists)
    supervisor._link.shutdown(socket.SHUT_RDWR)  # as the end of the process does
    (tmp_path / "go").touch()
    assert gone(supervisor.pid) == []
    assert not (tmp_path / "after").exists()
    supervisor.close()
    base.remove()


def until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def policy(pid):
    return os.sched_getscheduler(pid)


NOBODY_WAITS = os.SCHED_IDLE if idle_priority._may_leave() else os.SCHED_OTHER


def test_it_is_prepared_at_idle_priority_where_that_can_be_left_and_has_the_ordinary_one_when_ready(waiting):
    supervisor, go = waiting(hurry=False)
    assert policy(supervisor.pid) == NOBODY_WAITS
    go()
    supervisor.ready.result(60)
    assert policy(supervisor.pid) == os.SCHED_OTHER
    about = {"argv": ["sleep", "60"], "env": dict(os.environ), "cwd": "/", "log": None, "policy": None}
    assert policy(supervisor.ask("exec", **about).result(60)) == os.SCHED_OTHER


def test_whoever_wants_a_kernel_ends_its_idle_priority_at_once(waiting):
    supervisor, _ = waiting(hurry=False)
    supervisor.hurry()
    assert policy(supervisor.pid) == os.SCHED_OTHER
    assert not supervisor.ready.done()


def test_it_does_not_enter_idle_priority_after_somebody_wanted_a_kernel(waiting):
    supervisor, _ = waiting(hurry=True)
    assert policy(supervisor.pid) == os.SCHED_OTHER


def test_idle_priority_that_could_not_be_left_is_not_entered():
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)  # gives up all capabilities
            may = idle_priority._may_leave()
            idle_priority.enter()
            entered = policy(0) == os.SCHED_IDLE
            idle_priority.leave()
            status = int(entered != may or policy(0) != os.SCHED_OTHER)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
