"""What a supervisor should never say, and its death at any moment: nobody waits for ever, and nothing is left."""

import asyncio
import contextlib
import gc
import json
import os
import random
import resource
import signal
import socket
import threading
from pathlib import Path

import psutil
import pytest
from kernel_parts import Answers, gone, opened, shown, started

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels import pool as pools
from rlm_jupyter.kernels.launch import supervisor_client as supervisor
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
from rlm_jupyter.kernels.launch.kernel_process import KernelProcess
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.kernels.prestarted import ReadyKernels
from rlm_jupyter.supervisor import serve

READY = {"event": "ready", "pid": 1, "preloaded": [], "threads": 1}


class Line:
    """A `ForkClient` with this test at the other end of its socket."""

    def __init__(self):
        ours, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.other.settimeout(20)
        self.chief = supervisor.ForkClient(ours, "token")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.other.close()
        self.chief.close()
        assert not self.chief._listener.is_alive()

    def say(self, *messages):
        for message in messages:
            self.other.send(message if isinstance(message, bytes) else json.dumps(message).encode())

    def heard(self):
        """Returns the next request."""
        return json.loads(self.other.recv(1 << 20))

    def works(self):
        """Whether a question is still answered."""
        answer = self.chief.ask("fork", argv=[])
        number = self.heard()["id"]
        self.say({"event": "done", "id": number, "pid": 4711})
        return answer.result(20) == 4711


@pytest.fixture
def line():
    with Line() as line:
        yield line


@pytest.mark.parametrize(
    "messages",
    [
        [READY, READY],
        [READY, {"event": "failed", "module": "", "reason": "late"}],
        [READY, {"event": "done", "id": 77, "pid": 5}],
        [READY, {"event": "error", "id": 77, "reason": "of nothing"}],
        [READY, {"event": "exit", "pid": 5, "status": 0}],
        [READY, {**READY, "more": ["of", "a", "later", "version"]}],
    ],
    ids=["ready", "failed", "done", "error", "exit", "more"],
)
def test_what_comes_twice_or_to_nobody_changes_nothing(line, messages):
    line.say(*messages)
    assert line.chief.ready.result(20)["pid"] == 1
    assert line.works()
    assert line.chief.alive


def test_what_is_ready_after_it_failed_has_failed(line):
    line.say({"event": "failed", "module": "m", "reason": "r"}, READY)
    with pytest.raises(KernelStartError, match="because of the module `m`: r"):
        line.chief.ready.result(20)
    assert line.works()


def test_an_answer_that_comes_twice_counts_once(line):
    line.say(READY)
    answer = line.chief.ask("fork", argv=[])
    number = line.heard()["id"]
    line.say(
        {"event": "done", "id": number, "pid": 5},
        {"event": "done", "id": number, "pid": 6},
        {"event": "error", "id": number, "reason": "late"},
        {"event": "exit", "pid": 5, "status": 3},
        {"event": "exit", "pid": 5, "status": 4},
    )
    assert answer.result(20) == 5
    assert line.chief.exit_of(5).result(20) == 3
    assert line.works()


def test_a_process_is_not_taken_for_dead_because_one_of_that_number_was(line):
    for status in (1, 2):
        answer = line.chief.ask("fork", argv=[])
        line.say({"event": "done", "id": line.heard()["id"], "pid": 5})
        assert answer.result(20) == 5
        exited = line.chief.exit_of(5)
        assert not exited.done()
        line.say({"event": "exit", "pid": 5, "status": status})
        assert exited.result(20) == status  # and nobody forgets it


def test_one_that_was_not_heard_to_die_is_dead_when_another_has_its_number(line):
    for _ in range(2):
        answer = line.chief.ask("fork", argv=[])
        line.say({"event": "done", "id": line.heard()["id"], "pid": 5})
        answer.result(20)
        exited, earlier = line.chief.exit_of(5), locals().get("exited")
    assert earlier.result(20) == -signal.SIGKILL
    assert not exited.done()


def test_a_kernel_that_nobody_asks_for_any_more_is_killed_by_whoever_knows_it(line):
    answer = line.chief.ask("fork", argv=[])
    number = line.heard()["id"]
    assert answer.cancel()
    line.say({"event": "done", "id": number, "pid": 5})
    asked = line.heard()
    assert (asked["op"], asked["pid"]) == ("kill", 5)
    line.say({"event": "done", "id": asked["id"], "pid": 5}, {"event": "exit", "pid": 5, "status": -9})
    assert line.works()
    assert set(line.chief._exits) == {4711}


@pytest.mark.parametrize(
    "garbage",
    [
        b"{", b"\xff\xfe", b"null", b"[]", b"7", b"[" * 100_000, {}, {"event": None}, {"event": "other", "id": 1},
        {"event": "done"}, {"event": "done", "id": "1", "pid": 5}, {"event": "done", "id": 1}, {"event": "done", "id": 1, "pid": None},
        {"event": "done", "id": 1, "pid": True}, {"event": "error", "id": 1}, {"event": "error", "id": [1], "reason": "r"},
        {"event": "exit", "pid": 5}, {"event": "exit", "pid": {}, "status": 0}, {"event": "exit", "pid": 5, "status": "0"},
        {"event": "failed"}, {"event": "failed", "module": "m"},
    ],
    ids=range(21),
)  # fmt: skip
def test_garbage_ends_it_and_all_who_wait_hear_of_it(line, garbage):
    live = line.chief.ask("fork", argv=[])
    line.say({"event": "done", "id": line.heard()["id"], "pid": 5})
    live.result(20)
    exited, waiting = line.chief.exit_of(5), line.chief.ask("fork", argv=[])
    line.say(garbage)
    for future in (line.chief.ready, waiting):
        with pytest.raises(KernelStartError, match="It sent what cannot be understood: b"):
            future.result(20)
    assert exited.result(20) == -signal.SIGKILL
    assert not line.chief.alive
    with pytest.raises(KernelStartError, match="is gone"):
        line.chief.ask("fork", argv=[]).result(20)


def test_those_who_ask_while_it_dies_all_hear_of_it():
    for _ in range(100):
        with Line() as line:
            answers = []

            def ask(chief=line.chief, answers=answers):
                answers.extend(chief.ask("kill", pid=1) for _ in range(20))

            asking = [threading.Thread(target=ask) for _ in range(3)]
            for thread in asking:
                thread.start()
            line.other.close()
            for thread in asking:
                thread.join(20)
            assert len(answers) == 60, "a thread failed"
            for answer in answers:
                with pytest.raises(KernelStartError):
                    answer.result(20)


def test_one_that_is_cancelled_while_it_dies_stops_nobody_from_hearing():
    with Line() as line:
        answers = [line.chief.ask("fork", argv=[]) for _ in range(10)]
        for answer in answers[::2]:
            answer.cancel()
        line.other.close()
        for answer in answers[1::2]:
            with pytest.raises(KernelStartError):
                answer.result(20)


# ---- real ones

PRELUDES = {
    "ready twice": 'link.send(b\'{"event": "ready", "pid": 1, "preloaded": [], "threads": 1}\')',
    "nothing": "os._exit(0)",
    "an exception": "raise RuntimeError('early')",
    "garbage": "link.send(b'garbage'); signal.pause()",
    "a failure": 'link.send(b\'{"event": "failed", "module": "", "reason": "as asked"}\'); signal.pause()',
    "another module each time": 'link.send(b\'{"event": "failed", "module": "numpy", "reason": "as asked"}\')',
}


@pytest.mark.parametrize("prelude", PRELUDES)
async def test_kernels_start_whatever_the_supervisor_says_first(tmp_path, monkeypatch, prelude):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, socket, sys, runpy\n"
        "link = socket.socket(fileno=os.dup(int(sys.argv[1])))\n"
        f"{PRELUDES[prelude]}\n"
        "link.close()\n"
        f"runpy.run_path({str(supervisor.PROGRAM)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(supervisor, "PROGRAM", program)
    told = []
    before, children = set(_descriptors()), _children()
    async with opened(notice=told.append) as pool:
        async with started(pool) as kernel:
            assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
        if prelude != "ready twice":
            assert len(told) == (2 if prelude == "another module each time" else 1)
            assert pool.standing == told
    await _until(lambda: not set(_descriptors()) - before and not _children() - children)


def _children():
    """Returns the processes that this one has, and theirs; other tests' pool may have some."""
    return set(psutil.Process().children(recursive=True))


def _descriptors():
    """Name what this process has open, by what it is."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(path.readlink()))
    return [name for name in found if name.startswith(("socket:", "/memfd", "anon_inode:[pidfd]"))]


async def _until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", range(4))
async def test_a_supervisor_that_dies_at_any_moment_hangs_nobody_and_leaves_nothing(seed):
    chance, children = random.Random(seed), _children()
    async with opened(ready=1) as pool:
        await pool.open_run("run")
        before = set(_descriptors())
        starting = [
            asyncio.ensure_future(pool.start(KernelRequest("run", str(i)), Answers())) for i in range(3)
        ]
        pids = []
        for _ in range(3):
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.05, 0.2, 0.5, 1.0]))
            if pool._supervisor is not None:
                pids.append(pool._supervisor.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[-1], chance.choice([signal.SIGKILL, signal.SIGSEGV]))
        async with asyncio.timeout(90):
            results = await asyncio.gather(*starting, return_exceptions=True)
        assert all(not isinstance(r, BaseException) or isinstance(r, KernelStartError) for r in results), (
            results
        )
        async with started(pool) as kernel:
            assert await shown(kernel, "llm_query('on')") == "'reply to on'"
        assert await asyncio.to_thread(gone, *pids) == []
        base = pool._base.path
        await pool.close_run("run")
        await _until(lambda: len(set(_descriptors()) - before) < 6)
    assert not base.exists()
    await _until(lambda: not _children() - children)


async def test_a_supervisor_that_is_never_ready_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text("import signal\nsignal.pause()\n")
    monkeypatch.setattr(supervisor, "PROGRAM", program)
    monkeypatch.setattr(supervisor, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(pools, "READY_SECONDS", 0.5)
    told = []
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert await shown(kernel, "1") == "1"
    assert "was not ready within" in told[0]


async def test_a_supervisor_that_cannot_be_started_is_an_error_of_ours_and_the_next_try_works(monkeypatch):
    async with opened() as pool:
        with monkeypatch.context() as patch:
            patch.setattr(supervisor.subprocess, "Popen", _no_more)
            with pytest.raises(KernelStartError, match=r"Too many open files.*ulimit -n"):
                await started(pool).__aenter__()
        async with started(pool) as kernel:
            assert await shown(kernel, "1") == "1"


def _no_more(*_, **__):
    raise OSError(24, "Too many open files")


def test_descriptors_that_are_lost_on_the_way_are_an_error_of_that_kernel_alone(tmp_path):
    directory = tmp_path / "base"
    directory.mkdir()
    chief = supervisor.Supervisor(directory, fork_server_sources(), ())
    about = {"argv": ["true"], "env": {}, "cwd": "/", "log": None, "policy": None}
    try:
        chief.ready.result(60)
        full = len(list(Path(f"/proc/{chief.pid}/fd").iterdir()))
        resource.prlimit(chief.pid, resource.RLIMIT_NOFILE, (full, full + 100))
        with pytest.raises(KernelStartError, match="of 2 descriptors arrived"):
            chief.ask("exec", [0, 1], **about).result(20)
        resource.prlimit(chief.pid, resource.RLIMIT_NOFILE, (full + 100, full + 100))
        with pytest.raises(KernelStartError, match="too large to hand over"):
            chief.ask("exec", **{**about, "env": {"LARGE": "x" * 2_000_000}}).result(20)
        assert chief.alive
        pid = chief.ask("exec", **about).result(20)
        assert chief.exit_of(pid).result(20) == 0
    finally:
        chief.close()


# ---- kernels that are kept ready


@pytest.mark.parametrize(
    "error",
    [OSError(24, "Too many open files"), RuntimeError("can't start new thread"), KernelStartError("no")],
)
async def test_an_error_while_kernels_are_kept_ready_is_nobodys_and_the_next_are_kept(error):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    number = 0

    async def start():
        nonlocal number
        number += 1
        if number == 1:
            raise error
        return await pool._process(request)

    async with opened() as pool:
        await pool.open_run("run")
        request = KernelRequest("run", "0")
        kept = ReadyKernels(1, lambda: False)
        kept.fill("kind", start)
        await _until(kept._filling.done)
        assert kept.take("kind") is None
        kept.fill("kind", start)
        await _until(kept._filling.done)
        process = kept.take("kind")
        assert process.pid
        await process.close()
        await kept.close()
    gc.collect()
    assert reported == []


# ---- ends that come while something starts


async def test_a_kernel_whose_run_was_closed_while_it_started_does_not_stay():
    async with opened() as pool:
        await pool.open_run("run")
        async with started(pool, run="other") as other:
            starting = asyncio.ensure_future(pool.start(KernelRequest("run", "0"), Answers()))
            await _until(lambda: "run" in pool._starting)
            await pool.close_run("run")
            with pytest.raises(KernelStartError, match="was closed while"):
                await starting
            assert await shown(other, "1") == "1"
            assert [path.name for path in pool._base.path.iterdir() if path.name[0] == "k"] == [
                other._process.launch.directory.name
            ]
            assert pool._ended == set()
            assert set(pool._kernels) == {"other"}


async def test_a_start_that_is_cancelled_twice_leaves_nothing(monkeypatch):
    closing = asyncio.Event()
    close = KernelProcess.close

    async def slowly(self):
        closing.set()
        await asyncio.sleep(0.05)
        await close(self)

    async with opened() as pool, started(pool):
        monkeypatch.setattr(KernelProcess, "close", slowly)
        task = asyncio.ensure_future(pool.start(KernelRequest("run", "1"), Answers()))
        await _until(lambda: any(path.name == "k2" for path in pool._base.path.iterdir()))
        task.cancel()
        await closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lambda: not (pool._base.path / "k2").exists())


def test_modules_come_from_the_byte_code_beside_their_files_under_names_without_a_path():
    sources = fork_server_sources()
    name = "_rlm.guest.agent_api"
    code = serve.cached_code(name, sources[name])
    assert _files(code) == {f"<{name}>"}
    expected = compile(sources[name], f"<{name}>", "exec", dont_inherit=True)
    assert [one.co_code for one in _codes(code)] == [one.co_code for one in _codes(expected)]
    assert serve.cached_code(name, f"{sources[name]}\nanother = 1\n") is None
    assert serve.cached_code("_rlm.guest.elsewhere", "") is None


async def test_a_forked_kernel_shows_no_path_of_ours():
    async with opened() as pool, started(pool) as kernel:
        assert await shown(kernel, "print(llm_query.__code__.co_filename)") == "<_rlm.guest.agent_api>"


async def test_a_forked_kernel_completes_names_without_jedi_which_code_may_import():
    async with opened() as pool, started(pool) as kernel:
        assert (
            await shown(kernel, "import sys; 'jedi' in sys.modules, 'parso' in sys.modules")
            == "(False, False)"
        )
        complete = "get_ipython().Completer.complete('number_of_ro', 'number_of_ro')[1]"
        assert await shown(kernel, f"number_of_rows = 1\n{complete}") == "['number_of_rows']"
        assert await shown(kernel, "import jedi; jedi.__name__") == "'jedi'"


def _codes(code):
    inner = [one for one in code.co_consts if isinstance(one, type(code))]
    return [code, *(found for one in inner for found in _codes(one))]


def _files(code):
    return {one.co_filename for one in _codes(code)}
