"""What an agent's kernel may use up: memory, processes, processor time, disk; and what its code is told."""

import asyncio
import textwrap

import pytest
import pytest_asyncio
from kernel_parts import alive, gone, opened, shown, started
from programs import needs_program

from rlm_jupyter.guest.confinement import landlock_seccomp
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.confinement import process_usage

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not process_usage.possible(), reason="this system does not tell what a process uses"),
]
needs_box = pytest.mark.skipif(not landlock_seccomp.landlock_version(), reason="this system has no Landlock")
MEGABYTE = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool():
    async with opened() as pool:
        yield pool


async def run(kernel, code, seconds=30):
    return await kernel.execute(textwrap.dedent(code), seconds=seconds)


# ------------------------------------------------------------------------------------------------- memory


async def test_too_much_memory_at_once_is_a_memory_error_and_the_variables_stay(pool):
    async with started(pool, sandbox={"memory": "300 MB"}) as kernel:
        assert await shown(kernel, f"kept = bytearray(200 * {MEGABYTE}); len(kept)") == str(200 * MEGABYTE)
        result = await run(kernel, f"bytearray(800 * {MEGABYTE})")
        assert (result.error_name, result.restarted) == ("MemoryError", False)
        assert await shown(kernel, "len(kept)") == str(200 * MEGABYTE)


@pytest.mark.parametrize(
    "code",
    [
        """
        import multiprocessing, time
        def take(_):
            held = b"x" * (120 << 20)
            time.sleep(600)
        multiprocessing.Pool(4).map(take, range(4))
        """,
        """
        import resource, time
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (hard, hard))
        held = [b"x" * (50 << 20) for _ in range(12)]
        time.sleep(600)
        """,
    ],
    ids=["by-several-processes", "by-code-that-raises-its-own-limit"],
)
async def test_memory_that_no_process_refuses_ends_the_kernel_with_its_limit_named(pool, code):
    told = []
    async with started(pool, sandbox={"memory": "300 MB"}, tell=told.append) as kernel:
        result = await run(kernel, code)
        assert (result.status, result.error_name, result.restarted) == ("died", "LimitExceeded", True)
        assert "of memory besides its data, of 300 MB" in result.error_value
        assert "Sandbox(memory=...)" in told[0].text
        assert await shown(kernel, "1 + 1") == "2"


async def test_a_fork_that_shares_its_parents_data_counts_it_once(pool):
    code = """
    import multiprocessing, time
    held = b"x" * (200 << 20)
    multiprocessing.Pool(4).map(time.sleep, [0.5] * 4)
    len(held)
    """
    async with started(pool, sandbox={"memory": "300 MB"}) as kernel:
        assert await shown(kernel, textwrap.dedent(code)) == str(200 * MEGABYTE)


async def test_memory_of_a_kernel_that_is_idle_is_watched_too(pool):
    code = """
    import threading, time
    def grow():
        global held
        held = []
        while True:
            held.append(b"x" * (20 << 20))
            time.sleep(0.05)
    threading.Thread(target=grow, daemon=True).start()
    """
    async with started(pool, sandbox={"memory": "300 MB"}) as kernel:
        pid = kernel.pid
        assert (await run(kernel, code)).status == "ok"
        assert await asyncio.to_thread(lambda: gone(pid)) == []
        result = await run(kernel, "len(held)")
        assert (result.error_name, result.restarted) == ("LimitExceeded", True)


# ---------------------------------------------------------------------------------------------- processes


@pytest.mark.parametrize("mode", ["auto", pytest.param("bwrap", marks=[needs_box, needs_program("bwrap")])])
async def test_a_fork_bomb_ends_with_its_kernel(pool, mode):
    """Root is exempt from the system's own limit of processes."""
    code = """
    import os, time
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    time.sleep(600)
    """
    async with started(pool, sandbox={"mode": mode, "processes": 40}) as kernel:
        pid = kernel.pid
        result = await run(kernel, code)
        assert (result.status, result.error_name) == ("died", "LimitExceeded")
        assert "more than 40 processes" in result.error_value
        assert not alive(pid)


async def test_processes_within_the_limit_are_left_alone(pool):
    code = """
    import subprocess
    some = [subprocess.Popen(["sleep", "1"]) for _ in range(8)]
    [one.wait() for one in some]
    """
    async with started(pool, sandbox={"processes": 10}) as kernel:
        assert (await run(kernel, code)).status == "ok"


# ------------------------------------------------------------------------------------------------ processor


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import subprocess\nsubprocess.run(['sh', '-c', 'while :; do :; done'])",
        (
            "x = 1\nimport threading\nt = [threading.Thread(target=lambda: sum(range(10**12)), daemon=True) for _ in 'ab']\n"
            "[one.start() for one in t]; [one.join() for one in t]"
        ),
    ],
    ids=["python", "a-program", "threads"],
)
async def test_a_cell_that_passes_its_processor_time_is_interrupted(pool, monkeypatch, code):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 4)  # of threads, some do not end with the cell
    told = []
    async with started(pool, sandbox={"cpu_seconds": 0.6}, tell=told.append) as kernel:
        await shown(kernel, "kept = 1")
        result = await run(kernel, code)
        assert result.error_name == "LimitExceeded"
        assert "more than 0.6 s of processor time" in result.error_value
        assert "Sandbox(cpu_seconds=...)" in told[0].text
        assert result.status == ("died" if result.restarted else "timeout")


async def test_processor_time_is_counted_for_each_cell_anew_and_sleep_costs_none(pool):
    code = (
        "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(0.7)"
    )
    async with started(pool, sandbox={"cpu_seconds": 0.6}) as kernel:
        for _ in range(3):
            assert (await run(kernel, code)).status == "ok"


# ----------------------------------------------------------------------------------------------------- disk


async def test_a_file_that_is_too_large_is_an_error_that_code_can_handle(pool):
    async with started(pool, sandbox={"disk": "20 MB"}) as kernel:
        result = await run(kernel, "f = open('big', 'wb')\nf.write(bytes(30 << 20)); f.flush()")
        assert (result.error_name, result.restarted) == ("OSError", False)
        assert "File too large" in result.error_value


async def test_many_files_that_are_too_large_together_end_the_kernel(pool):
    code = """
    import time
    for number in range(10):
        open(f"part{number}", "wb").write(bytes(8 << 20))
    time.sleep(600)
    """
    told = []
    async with started(pool, sandbox={"disk": "20 MB"}, tell=told.append) as kernel:
        result = await run(kernel, code)
        assert (result.status, result.error_name) == ("died", "LimitExceeded")
        assert "to disk, of 20 MB" in result.error_value
        assert "Sandbox(disk=...)" in told[0].text
        assert "part0" not in await shown(kernel, "import os; os.listdir()")


@needs_box
async def test_a_directory_of_the_user_can_be_written_to_and_stays(pool, tmp_path):
    (tmp_path / "old").write_bytes(bytes(40 << 20))
    box = {"scratch": tmp_path, "disk": "20 MB"}
    async with started(pool, sandbox=box) as kernel:
        await shown(
            kernel, f"open({str(tmp_path)!r} + '/new', 'w').write('kept'); import time; time.sleep(1)"
        )
        assert kernel.confinement["read"] == [str(tmp_path)]
    assert (tmp_path / "new").read_text() == "kept"


@needs_box
@pytest.mark.parametrize("mode", ["auto", pytest.param("bwrap", marks=needs_program("bwrap"))])
async def test_a_path_that_is_named_can_be_read_and_nothing_beside_it(pool, tmp_path, mode):
    for name in ("data", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    async with started(pool, sandbox={"mode": mode, "read": tmp_path / "data"}) as kernel:
        assert await shown(kernel, f"open('{tmp_path}/data/file').read()") == "'data'"
        for code in (f"open('{tmp_path}/other/file')", f"open('{tmp_path}/data/file', 'a')"):
            assert (await run(kernel, code)).error_name in {"PermissionError", "FileNotFoundError", "OSError"}
    assert (tmp_path / "data" / "file").read_text() == "data"
