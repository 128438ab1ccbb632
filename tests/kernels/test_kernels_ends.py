"""Nothing of an agent outlives the supervisor, nothing of the supervisor outlives the notebook."""
# No other work waits in these loops, and paths are strings as agents use them.
# ruff: noqa: ASYNC240, PTH110

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from kernel_parts import Answers, alive, gone, opened, shown, started

from rlm_jupyter.guest import private_directory
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.launch import environment
from rlm_jupyter.kernels.pool import KernelRequest

HERE = Path(__file__).parents[1]


class Host:
    """A process that holds five kernels with three children each, all of them busy or deaf."""

    def __init__(self, *arguments):
        paths = os.pathsep.join([str(HERE.parent), str(HERE / "support")])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "support" / "kernel_host.py"), *arguments],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts = json.loads(self.process.stdout.readline())
        self.all = [*self.facts["kernels"], *filter(None, [self.facts["supervisor"]])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in (self.process.pid, *self.all, *filter(None, [self.facts["forked"]])):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.stdout.close()
        self.process.wait()


def removed(path, within=60.0):
    end = time.monotonic() + within
    while os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return not os.path.exists(path)


def swept(path, within=60.0):
    """Whether the next notebook removes a directory. The dead hold its lock until they are quite gone, each of them."""
    end = time.monotonic() + within
    while os.path.exists(path) and time.monotonic() < end:
        environment.BaseDirectory().remove()  # sweeps
    return not os.path.exists(path)


@pytest.mark.parametrize("sandbox", ["auto", "none"])
@pytest.mark.parametrize("more", ["", "forked"], ids=["", "with-a-forked-child"])
def test_sigkill_of_the_notebook_leaves_nothing(sandbox, more):
    with Host("auto", sandbox, more) as host:
        assert len(host.all) == 21
        assert all(map(alive, host.all))
        host.process.kill()
        assert gone(*host.all) == []
        assert removed(host.facts["base"])


@pytest.mark.parametrize("launch", ["auto", "stock"])
def test_a_notebook_that_ends_without_a_word_leaves_nothing(launch):
    with Host(launch, "none", "end") as host:
        host.process.wait(60)
        assert gone(*host.all) == []
        assert removed(host.facts["base"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PDEATHSIG is Linux'")
def test_sigkill_of_a_notebook_without_supervisor_ends_its_kernels_even_in_c_and_what_they_detached():
    with Host("stock", "none") as host:
        host.process.kill()
        assert gone(*host.all) == []
        host.process.wait()
        assert swept(host.facts["base"])


@pytest.mark.parametrize("sandbox", ["auto", "none"])
def test_sigkill_of_notebook_and_supervisor_at_once_is_swept_by_the_next(sandbox):
    with Host("auto", sandbox) as host:
        os.kill(host.facts["supervisor"], signal.SIGSTOP)
        host.process.kill()
        os.kill(host.facts["supervisor"], signal.SIGKILL)
        assert gone(*host.facts["kernels"][::4]) == []  # by PDEATHSIG
        host.process.wait()  # it holds the lock until it is quite gone
        assert os.path.exists(host.facts["base"])
        assert swept(host.facts["base"])


async def test_sigkill_of_the_supervisor_ends_its_kernels_and_the_next_one_starts():
    async with opened() as pool:
        kernels = [await pool.start(KernelRequest(run="r", agent=str(i)), Answers()) for i in range(3)]
        code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True).pid"
        children = [int(await shown(kernel, code)) for kernel in kernels]
        running = asyncio.ensure_future(kernels[0].execute("while True: pass", seconds=None))
        await asyncio.sleep(0.1)
        first, base = pool._supervisor.pid, pool._base.path
        pids = [kernel.pid for kernel in kernels]
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            result = await running
        assert (result.status, result.restarted) == ("died", True)
        assert await asyncio.to_thread(gone, first, *pids, *children) == []
        assert pool._supervisor.pid != first
        assert not base.exists()
        assert await shown(kernels[0], "llm_query('ask')") == "'reply to ask'"
        assert (await kernels[1].execute("1", seconds=60)).status == "died"  # found out when it is needed
        assert await shown(kernels[1], "1") == "1"
        async with started(pool) as kernel:
            assert await shown(kernel, "2") == "2"


async def test_forty_random_sigkills_of_kernels_and_supervisors_hang_nothing_and_leave_nothing(monkeypatch):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.2)
    chance = random.Random(7)
    before = set(psutil.pids())
    async with opened() as pool:
        kernels = [await pool.start(KernelRequest(run="r", agent=str(i)), Answers()) for i in range(4)]
        bases = set()
        for _ in range(40):
            cell = chance.choice(["llm_query('0.05')", "sum(range(10**13))", "1", "print('x' * 10**7)"])
            bases.add(pool._base.path)
            running = [asyncio.ensure_future(kernel.execute(cell, seconds=0.2)) for kernel in kernels]
            await asyncio.sleep(chance.random() * 0.1)
            victim = chance.choice(
                [*(kernel.pid for kernel in kernels), pool._supervisor and pool._supervisor.pid]
            )
            if victim is not None and alive(victim):
                os.kill(victim, signal.SIGKILL)
            async with asyncio.timeout(60):
                results = await asyncio.gather(*running)
            assert {result.status for result in results} <= {"ok", "timeout", "died", "error"}
        for kernel in kernels:
            async with asyncio.timeout(60):
                while (await kernel.execute("1", seconds=60)).output != "1\n":
                    pass
    ours = [p for p in set(psutil.pids()) - before if _is_ours(p)]
    assert await asyncio.to_thread(gone, *ours) == []
    assert not [base for base in bases if base.exists()]


def test_ten_random_sigkills_of_the_notebook_leave_nothing_at_any_moment():
    chance = random.Random(11)
    paths = os.pathsep.join([str(HERE.parent), str(HERE / "support")])
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as place:  # short: sockets lie in it
        variables = {**os.environ, "PYTHONPATH": paths, "TMPDIR": place}
        for _ in range(10):
            command = [
                sys.executable,
                str(HERE / "support" / "kernel_host.py"),
                "auto",
                chance.choice(["auto", "none"]),
            ]
            host = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
            time.sleep(chance.random() * 2)  # until its kernels are busy, it takes about one second
            host.kill()
            host.wait()
            end = time.monotonic() + 60
            while (left := _marked(place)) and time.monotonic() < end:
                time.sleep(0.01)
            assert left == []
        own, lock = private_directory.make_locked(
            place
        )  # sweeps what was killed together with its maker's first lines
        assert [path for path in Path(place).iterdir() if (path / private_directory.LOCK).exists()] == [own]
        os.close(lock)


def _marked(text):
    """The processes that live and have a text in their environment."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if (
                pid != os.getpid()
                and text.encode() in Path(f"/proc/{pid}/environ").read_bytes()
                and alive(pid)
            ):
                found.append(pid)
    return found


def _is_ours(pid):
    try:
        return (
            b"RLM_SUPERVISOR=" in Path(f"/proc/{pid}/environ").read_bytes()
            and psutil.Process(pid).ppid() == os.getpid()
        )
    except (OSError, psutil.Error):
        return False


async def test_the_directory_is_private_and_short(monkeypatch, tmp_path):
    base = environment.BaseDirectory()
    try:
        assert base.path.stat().st_mode & 0o777 == 0o700
        assert len(str(base.path)) < 60
    finally:
        base.remove()
    assert not base.path.exists()
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(environment.tempfile, "gettempdir", lambda: str(long))
    base = environment.BaseDirectory()
    assert not base.path.is_relative_to(long)
    base.remove()


async def test_a_sweep_spares_the_living_and_the_strange(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.tempfile, "gettempdir", lambda: "/tmp")
    living = environment.BaseDirectory()
    strange = Path(environment.tempfile.mkdtemp(prefix=private_directory.PREFIX, dir="/tmp"))
    try:
        environment.BaseDirectory().remove()
        assert living.path.exists()
        assert strange.exists()
    finally:
        living.remove()
        strange.rmdir()


def test_a_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path):
    def folder(name, *, old=False, lock=False):
        (tmp_path / name).mkdir()
        if lock:
            (tmp_path / name / private_directory.LOCK).touch()
        if old:
            os.utime(tmp_path / name, (0, time.time() - 2 * private_directory.UNFINISHED_SECONDS))

    living, held = private_directory.make_locked(str(tmp_path))
    folder("rlm-dead", lock=True)
    folder("rlm-half-made", old=True)
    folder("rlm-young")
    folder("rlm-full")
    folder("rlm-full/of-something")
    folder("other", old=True)
    os.utime(tmp_path / "rlm-full", (0, 0))
    own, lock = private_directory.make_locked(str(tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {living.name, own.name, "rlm-young", "rlm-full", "other"}
    for number in (held, lock):
        os.close(number)


def test_what_a_kernel_elsewhere_left_when_its_shell_was_killed_too_is_swept_by_the_next(tmp_path):
    code = "import os; from rlm_jupyter.guest import remote_setup as remote; remote.settle({}); print(os.getcwd(), flush=True); input()"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(HERE.parent)}

    def settled():
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=-1, stdout=-1, text=True
        )
        return process, Path(process.stdout.readline().strip()).parent

    def killed(process, *more):
        for each in (*more, process):
            each.kill()
        process.communicate()

    first, one = settled()
    killed(first, *psutil.Process(first.pid).children())
    assert one.parent == tmp_path
    assert one.exists()
    second, two = settled()
    assert not one.exists()
    killed(second)
    assert removed(two)  # by the shell


FORKS = """
import os, signal, sys
from rlm_jupyter.guest import private_directory as leftovers
leftovers.clear_up_after(sys.argv[1])
for daemon in (False, True):
    if not os.fork():
        os.setsid()
        if daemon and os.fork():
            os._exit(0)
        print(os.getpid(), flush=True)
        signal.pause()
signal.pause()
"""


def test_forks_that_left_the_session_end_with_a_kernel_without_supervisor(tmp_path):
    room = tmp_path / "k1"
    room.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS, str(room)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        pids = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
        left = gone(*pids)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert left == []
    assert removed(room)


def test_the_environment_keeps_paths_and_language_alone():
    source = {
        "PATH": "/bin", "LC_ALL": "C", "LC_SECRET": "k", "TZ": "UTC", "OPENAI_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "k", "SSH_AUTH_SOCK": "s",
        "JUPYTER_TOKEN": "t", "JPY_PARENT_PID": "1", "PYTHONPATH": "p", "HOME": "/home/u", "LD_PRELOAD": "x",
    }  # fmt: skip
    kept = environment.clean_environment(source)
    assert set(kept) - set(environment.SINGLE_THREADED) == {"PATH", "LC_ALL", "TZ"}
