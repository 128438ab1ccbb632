"""A fork of the notebook's process, however it ends, touches nothing of the parent's, and waits for nothing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parents[1]

# It has a run open, with three kernels at work, while it forks one child after the other. `PLACE/go` lets them end.
PARENT = """
import asyncio, gc, json, multiprocessing, os, subprocess, sys, threading, time, warnings
from pathlib import Path
from scripts import by_question
from rlm_jupyter import RLM, registry as process
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.kernels.launch import supervisor_client as supervisor

warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads, which is what this is about
place, launch = Path(sys.argv[1]), sys.argv[2]
if launch == "stock":
    supervisor.possible = lambda: False
SCRIPT = {
    "root": ["kept = [1]", "parts = rlm_query_batched(['part', 'part'])\\nFINAL([parts, kept])"],
    "part": ["import os, time\\nwhile not os.path.exists('go'): time.sleep(0.02)\\nFINAL(os.getpid())"],
    "child": ["FINAL(rlm_query('leaf') + 1)"],
    "leaf": ["FINAL(41)"],
}

def new():
    return RLM(model=by_question(SCRIPT), cache=False, log_dir=place / "logs")

def refused(work):
    try:
        work()
    except ConfigError as error:
        assert "forked from" in str(error), error
    else:
        raise AssertionError(work)

def kernels():
    return process._pool._kernels.get(run.id, ())

def lives():
    pool = process._pool
    files = sorted(str(file.relative_to(place)) for file in pool._base.path.glob("k*/*"))
    return sorted(kernel.pid for kernel in kernels()), pool._supervisor and pool._supervisor.pid, files

def ended(pid):
    began = time.monotonic()
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > began + 60:
            os.kill(pid, 9)  # it waits for something
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

rlm = new()
run = rlm.start("root")
end = time.monotonic() + 60
while not (len(kernels()) == 3 and all(kernel.busy for kernel in kernels()) and len(process._pool._ready._stock) == 2):
    assert time.monotonic() < end, [run.status, run.tree.notices, run.error]
    time.sleep(0.02)
before, found = lives(), {}
for name, code in json.load(sys.stdin).items():
    errors = place / "errors"
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        os.dup2(2, 1)
        exec(code)
        sys.exit(3)
    found[name] = {"status": ended(pid), "errors": errors.read_text()}
    time.sleep(0.1)  # for a kernel that was told to end
    found[name]["untouched"] = lives() == before and all(kernel.alive for kernel in kernels())
for kernel in kernels():
    Path(kernel.directories[0], "go").touch()
parts, kept = run.wait(60).raise_for_error().value
assert kept == [1] and set(parts) < set(before[0]), (parts, before)
assert run.agents["0"].execute("len(kept)").output.strip() == "1"
run.close()
process.stop_all()
print(json.dumps({"found": found, "pids": before[0]}))
"""

ENDS = {
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise RuntimeError('of the child')", 1),
    "os._exit": ("os._exit(3)", 3),
    "a signal": ("os.kill(os.getpid(), 9)", -9),
    "its objects dropped": (
        "for name in ('run', 'rlm', 'pool', 'before'): globals().pop(name, None)\nprocess._runs.clear()\ngc.collect()",
        3,
    ),
    "all modules dropped": (
        (
            "for name in [n for n in sys.modules if n.startswith('rlm_jupyter')]:\n"
            "    vars(sys.modules.pop(name)).clear()\ndel run, rlm\ngc.collect()"
        ),
        3,
    ),
    "closed": ("with run: pass\nrun.close(); process.stop_all()", 3),
    "asked": (
        (
            "for work in (run.wait, run.wait_interruptibly, run.stop, run.pause, lambda: run.agents['0'].pull('kept'),\n"
        "             lambda: run.agents['0.1'].execute('1'), lambda: run.set_limit('calls', 9), lambda: run.next()):\n"
        "    refused(work)\n"
        "async def wait(): await run\n"
        "refused(lambda: asyncio.run(wait()))\n"
        "assert run.status == 'running' and len(run.tree.agents) == 3 and run.value is None and process.runs() == []"
        ),
        3,
    ),
    "a loop of its own": ("async def nap(): await asyncio.sleep(0.01)\nasyncio.run(nap())", 3),
    "multiprocessing": (
        "with multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map(abs, [-1]) == [1]",
        3,
    ),
    "a child of the child": ("if os.fork() == 0: sys.exit()\nos.wait()", 3),
    "a program": ("subprocess.run([sys.executable, '-c', ''], preexec_fn=lambda: None, check=True)", 3),
    "threads": ("t = threading.Thread(target=time.sleep, args=(0.05,)); t.start()", 3),
    "a run of its own": (
        "mine = new().run('child')\nassert mine.value == 42 and process.runs() == [mine]\nmine.close()",
        3,
    ),
    "a run of its own, left open": ("assert new().run('child').value == 42", 3),
    "a run of its own by the parent's object": ("assert rlm.run('child').value == 42", 3),
}  # fmt: skip


def forked(codes, launch="auto"):
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as place:
        done = subprocess.run(
            [sys.executable, "-c", PARENT, place, launch],
            input=json.dumps(codes),
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE / "support")]),
                "TMPDIR": place,
            },
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "left": [path.name for path in Path(place).glob("rlm-*")]}


@pytest.fixture(scope="module")
def facts():
    return forked({end: code for end, (code, _) in ENDS.items()})


@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_touches_nothing_and_waits_for_nothing(facts, end):
    found = facts["found"][end]
    assert found["status"] == ENDS[end][1], found["errors"]
    assert found["untouched"]
    errors = found["errors"].splitlines()
    if end == "an exception":
        assert errors.pop() == "RuntimeError: of the child"
        errors = [line for line in errors if not line.startswith(("Traceback", "  "))]
    if (
        end != "all modules dropped"
    ):  # what is registered for the end of the process has lost its globals then
        assert errors == []


def test_when_the_parents_run_is_closed_nothing_is_left_of_it_nor_of_its_childrens_runs(facts):
    assert facts["left"] == []
    assert not any(map(psutil.pid_exists, facts["pids"]))


def test_a_forked_child_touches_no_kernel_that_started_without_supervisor():
    found = forked({end: ENDS[end][0] for end in ("sys.exit", "its objects dropped", "closed")}, "stock")
    assert found["left"] == []
    for one in found["found"].values():
        assert (one["status"], one["untouched"], one["errors"]) == (3, True, "")
