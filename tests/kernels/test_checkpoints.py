"""Checkpoints of kernels: frozen forks, and kernels made of them that share nothing with the first one."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernel_parts import Answers, alive, opened, shown, started

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.checkpoints import checkpoint
from rlm_jupyter.kernels.checkpoints.checkpoint import CheckpointRefusedError
from rlm_jupyter.kernels.confinement import process_usage
from rlm_jupyter.kernels.pool import KernelRequest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="kernels are forked on Linux only"
)


@contextlib.asynccontextmanager
async def thawed(pool, kernel, turn, run="branch"):
    """A kernel made of a checkpoint, that is stopped again."""
    found = kernel.checkpoints.newest("agent", turn)
    answers = Answers()
    made = await pool.thaw(found[1], KernelRequest(run=run, agent="0"), answers)
    made.answers = answers
    try:
        yield made
    finally:
        await made.stop()


async def gone(pids, seconds=30):
    end = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < end, [pid for pid in pids if alive(pid)]
        await asyncio.sleep(0.02)


STATE = """
import random, tempfile
import numpy as np
frame = np.arange(1_000_000)
rows = ["first"]
number, drawn = random.random(), np.random.random()
"""
LOOK = "print(rows, int(frame[0]), random.random(), np.random.random())"


async def test_kernels_of_a_checkpoint_have_its_state_and_touch_nobody_elses():
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, STATE)
        await kernel.checkpoint("agent", 1, 3)
        changed = await shown(kernel, f"rows.append('old'); frame[0] = 7\n{LOOK}")
        async with thawed(pool, kernel, 1) as one, thawed(pool, kernel, 1, "other") as other:
            told = await shown(one, f"rows.append('new'); frame[0] = 8\n{LOOK}")
            assert told.startswith("['first', 'new'] 8")
            assert told.split()[-2:] == changed.split()[-2:]  # the seeds are part of the state
            assert await shown(other, "print(rows, int(frame[0]))") == "['first'] 0"
            assert await shown(kernel, "print(rows, int(frame[0]))") == "['first', 'old'] 7"
            assert len({kernel.pid, one.pid, other.pid}) == 3


async def test_a_kernel_of_a_checkpoint_works_as_any_other():
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, f"{STATE}\nimport logging\nhandler = logging.StreamHandler()\nraised = 0")
        await kernel.checkpoint("agent", 1, 3)
        async with thawed(pool, kernel, 1) as made:
            assert await shown(made, "print(llm_query('hello'))") == "reply to hello"
            assert kernel.answers.seen.count("llm_query") == 0
            assert await shown(made, "!echo from a shell") == "from a shell"
            assert await shown(made, "import os\n_ = os.system('echo by descriptor')") == "by descriptor"
            assert await shown(made, "_ = handler.stream.write('by a handler')") == "by a handler"
            code = (
                "import multiprocessing\nwith multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))"
            )
            assert await shown(made, code) == "[1, 2]"
            assert await shown(made, "import asyncio\nawait asyncio.sleep(0.01)\n2 + 2") == "4"
            assert (await made.execute("1 / 0")).error_name == "ZeroDivisionError"
            looped = await made.execute("while True: pass", seconds=0.5)
            assert (looped.status, looped.restarted) == ("timeout", False)
            assert await shown(made, "print(rows)") == "['first']"
            places = await shown(
                made, "print(os.getcwd() == tempfile.gettempdir(), os.environ['HOME'] == os.getcwd())"
            )
            assert places == "True True"
            await shown(made, "open('file', 'w').write('mine')")
            assert await shown(kernel, "import os\nprint(os.path.exists('file'))") == "False"


async def test_the_box_of_the_kernel_holds_for_the_copy():
    async with opened() as pool, started(pool) as kernel:
        await kernel.checkpoint("agent", 1, 3)
        async with thawed(pool, kernel, 1) as made:
            assert made.confinement == kernel.confinement
            for code in (
                "open('/etc/hostname')",
                "import socket; socket.socket()",
                "import os; os.kill(1, 0)",
            ):
                with_error = await made.execute(code)
                assert with_error.error_name in ("PermissionError", "OSError"), (code, with_error)


async def test_without_a_sandbox_checkpoints_are_made_of_copies_too_and_with_one_they_say_why_not():
    for sandbox in ("none", "auto"):
        async with opened() as pool, started(pool, sandbox=sandbox) as kernel:
            await shown(kernel, "x = [1]")
            await kernel.checkpoint("agent", 1, 3)
            request = KernelRequest(run="branch", agent="0", sandbox=sandbox)
            made = await pool.thaw(kernel.checkpoints.newest("agent", 1)[1], request, Answers())
            await shown(made, "x.append(2)")
            if sandbox == "auto" and made.confinement["mode"] != "none":
                with pytest.raises(CheckpointRefusedError, match="come of a checkpoint itself"):
                    await made.checkpoint("agent", 2, 3)
                continue
            await made.checkpoint("agent", 2, 3)
            other = await pool.thaw(made.checkpoints.newest("agent", 2)[1], request, Answers())
            await made.stop()
            await kernel.stop()
            assert await shown(other, "print(x, llm_query('q'))") == "[1, 2] reply to q"


async def test_the_oldest_end_and_all_end_with_their_kernel_but_not_what_was_made_of_them():
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, "x = 1")
        for turn in (1, 2, 3):
            await kernel.checkpoint("agent", turn, 2)
        pids = kernel.checkpoints.pids
        assert len(pids) == 2
        assert kernel.checkpoints.newest("agent", 1) is None
        assert kernel.checkpoints.newest("agent", 9)[0] == 3
        assert kernel.checkpoints.newest("another", 9) is None
        directory = kernel._process.launch.directory
        async with thawed(pool, kernel, 3) as made:
            await kernel.stop()
            await gone(pids)
            assert await shown(made, "print(x); open('f', 'w').close()") == "1"
            assert directory.exists()  # the copy works in it
        assert not directory.exists()


async def test_a_kernel_that_dies_takes_its_checkpoints_along():
    async with opened() as pool, started(pool) as kernel:
        await kernel.checkpoint("agent", 1, 3)
        pids = kernel.checkpoints.pids
        os.kill(kernel.pid, signal.SIGKILL)
        await gone(pids)
        assert (await kernel.execute("1")).restarted
        assert kernel.checkpoints.pids == []


async def test_a_kernel_of_a_checkpoint_that_dies_is_replaced():
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, "x = 1")
        await kernel.checkpoint("agent", 1, 3)
        async with thawed(pool, kernel, 1) as made:
            died = await made.execute("import os; os.kill(os.getpid(), 9)")
            assert (died.status, died.restarted) == ("died", True)
            assert await shown(made, "print('x' in globals())") == "False"
            await kernel.checkpoint("agent", 2, 3)  # and no hold on orphans was left


REFUSED = {
    "a thread": ("import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait, name='mine').start()", "thread of its code, `mine`"),
    "a process": ("import subprocess\nchild = subprocess.Popen(['sleep', '600'])", "processes that it started"),
    "a task": ("import asyncio\nasync def later(): await asyncio.sleep(600)\ntask = asyncio.ensure_future(later())", "a task that goes on, `later`"),
    "a file to write": ("file = open('.hidden', 'w')", "open to be written"),
    "files": ("open('result.csv', 'w').close()", "files in its working directory"),
    "a pair of sockets": ("import socket\npair = socket.socketpair()", "an open socket"),
    "a pipe": ("import os\npipe = os.pipe()", "an open pipe"),
    "a lock": ("import multiprocessing\nlock = multiprocessing.Lock()", "`multiprocessing`"),
}  # fmt: skip


async def test_what_a_fork_would_lose_or_share_is_refused():
    async with opened() as pool:
        for name, (code, why) in REFUSED.items():
            async with started(pool) as kernel:
                await shown(kernel, code)
                with pytest.raises(CheckpointRefusedError, match=why):
                    await kernel.checkpoint("agent", 1, 3)
                assert kernel.checkpoints.pids == [], name
                assert await shown(kernel, "print('goes on')") == "goes on"


async def test_a_file_that_is_read_has_a_place_of_its_own_in_the_copy():
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, "import os\nfile = open(os.__file__)\nfirst = os.read(file.fileno(), 10)")
        await kernel.checkpoint("agent", 1, 3)
        read = "print(os.read(file.fileno(), 20))"
        expected = await shown(kernel, read)
        async with thawed(pool, kernel, 1) as made:
            assert await shown(made, read) == expected


async def test_kernels_that_are_no_forks_of_ours_are_refused():
    async with opened(launch="stock") as pool, started(pool) as kernel:
        with pytest.raises(CheckpointRefusedError, match="not forked"):
            await kernel.checkpoint("agent", 1, 3)


async def test_checkpoints_that_hold_too_much_end_the_oldest_first():
    told = []
    async with opened() as pool:
        request = KernelRequest(
            run="run", agent="0", limits={"memory": 300 << 20}, tell=lambda event: told.append(event.text)
        )
        kernel = await pool.start(request, Answers())
        await shown(kernel, "import numpy as np\nframe = np.ones(20 << 20)")  # 160 MiB
        for turn in (1, 2, 3):
            await kernel.checkpoint("agent", turn, 3)
        pids = kernel.checkpoints.pids
        assert process_usage.held_by_copies(kernel.pid, pids) < 40 << 20  # the array is shared
        await shown(kernel, "frame += 1")
        assert 150 << 20 < process_usage.held_by_copies(kernel.pid, pids) < 250 << 20  # once, not three times
        await kernel.checkpoint("agent", 4, 4)
        await shown(kernel, "frame += 1")  # what they hold is now above the limit
        end = time.monotonic() + 60
        while len(kernel.checkpoints.pids) > 1:
            assert time.monotonic() < end, process_usage.held_by_copies(kernel.pid, kernel.checkpoints.pids)
            await asyncio.sleep(0.05)
        await gone(pids)
        assert "the oldest 1 were ended" in told[0]
        assert await shown(kernel, "print(int(frame[0]))") == "3"


async def test_a_kernel_cannot_pass_a_process_off_as_its_checkpoint():
    async with opened() as pool, started(pool) as kernel, started(pool) as victim:
        lie = "import _rlm.guest.agent_side as side\nside.take_checkpoint = lambda guest, link: {{'pid': {}}}"
        for pid in (victim.pid, os.getpid(), 1, -5, 2**40, "'x'"):
            await shown(kernel, lie.format(pid))
            with pytest.raises(CheckpointRefusedError, match="fork was lost"):
                await kernel.checkpoint("agent", 1, 3)
        assert await shown(victim, "print('lives')") == "lives"
        await victim.checkpoint("agent", 1, 3)  # orphans are looked after as before


async def test_a_checkpoint_that_works_instead_of_waiting_is_ended():
    hooked = """
import os, time
kernel, server = os.getpid(), os.getppid()
def hook():
    for _ in range(500):
        if os.getppid() == server:  # the checkpoint, and not what forks it
            return [os.fork() or time.sleep(600) for _ in range(3)]
        time.sleep(0.001)
os.register_at_fork(after_in_child=hook)
"""
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, hooked)
        await kernel.checkpoint("agent", 1, 3)
        end = time.monotonic() + 60
        while kernel.checkpoints.pids:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert await shown(kernel, "print('goes on')") == "goes on"


HOST = """
import asyncio, json
from kernel_parts import Answers
from rlm_jupyter.kernels.pool import KernelPool, KernelRequest

async def main():
    pool = KernelPool(ready=0)
    kernel = await pool.start(KernelRequest(run="run", agent="0"), Answers())
    await kernel.checkpoint("agent", 1, 3)
    await kernel.checkpoint("agent", 2, 3)
    made = await pool.thaw(kernel.checkpoints.newest("agent", 1)[1], KernelRequest(run="b", agent="0"), Answers())
    pids = [kernel.pid, made.pid, *kernel.checkpoints.pids]
    print(json.dumps({"pids": pids, "supervisor": pool._supervisor.pid}), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("victim", ["notebook", "fork server"])
async def test_nothing_is_left_when_the_owner_is_killed(victim, tmp_path):
    script = tmp_path / "host.py"
    script.write_text(HOST)
    support = str(Path(__file__).parents[1] / "support")
    environment = {**os.environ, "PYTHONPATH": support}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as host:  # noqa: ASYNC220
        try:
            told = json.loads(await asyncio.to_thread(host.stdout.readline))
            assert all(map(alive, told["pids"]))
            os.kill(host.pid if victim == "notebook" else told["supervisor"], signal.SIGKILL)
            await gone([*told["pids"], told["supervisor"]])
        finally:
            host.kill()


async def test_a_checkpoint_that_owes_an_answer_is_asked_no_more(monkeypatch):
    async with opened() as pool, started(pool) as kernel:
        await kernel.checkpoint("agent", 1, 3)
        (pid,) = kernel.checkpoints.pids
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(checkpoint, "THAW_SECONDS", 0.2)
        with pytest.raises(KernelStartError, match="does not answer"):
            async with thawed(pool, kernel, 1):
                pass
        os.kill(pid, signal.SIGCONT)  # its answer to that order comes now
        assert kernel.checkpoints.newest("agent", 1) is None


SWAPPED = """
import os, pathlib
(place,) = pathlib.Path().glob("branch-*")
place.rename("aside")
place.symlink_to({!r})
"""


async def test_a_link_in_the_place_of_a_branchs_directory_leads_to_no_other_one(tmp_path):
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    (victim / "inner" / "file").write_text("kept")
    for path in (victim, victim / "inner"):
        path.chmod(0o755)
    async with opened() as pool, started(pool) as kernel:
        await kernel.checkpoint("agent", 1, 3)
        async with thawed(pool, kernel, 1):
            assert await shown(kernel, SWAPPED.format(str(victim))) == ""
        assert (victim / "inner" / "file").read_text() == "kept"
        assert {path.stat().st_mode & 0o777 for path in (victim, victim / "inner")} == {0o755}
