"""`!command`, subprocesses and multiprocessing in the box: they work, or one sentence says what does."""

import pytest
import pytest_asyncio
from kernel_parts import gone, opened, shown, started
from programs import needs_program

from rlm_jupyter.guest.confinement import landlock_seccomp

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not landlock_seccomp.landlock_version(), reason="this system has no Landlock"),
]

MODES = ["auto", pytest.param("bwrap", marks=needs_program("bwrap"))]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def kernel(request):
    async with opened() as pool, started(pool, sandbox=request.param) as kernel:
        kernel.mode = request.param
        yield kernel


WORKS = {
    "command": ("!echo hi", "hi"),
    "command-with-a-variable": ("word = 'there'\n!echo {word} $word", "there there"),
    "command-as-a-list": ("x = !printf 'a\\nb'\nx", "['a', 'b']"),
    "command-that-fails": ("!exit 5\n_exit_code", "5"),
    "command-that-reads": ("!cat", ""),
    "python": ("!python -c 'import pandas, sys; print(sys.prefix == \"<prefix>\")'", "True"),
    "cell-magic": ("%%bash\necho hi", "hi"),
    "os-system": ("import os; x = os.system('echo hi')", "hi"),
    "popen": ("import os; os.popen('echo hi').read()", "'hi\\n'"),
    "asyncio": (
        "import asyncio; p = await asyncio.create_subprocess_exec('echo', 'hi', stdout=-1); (await p.communicate())[0]",
        "b'hi\\n'",
    ),
    "pool": (
        "import multiprocessing as m\nwith m.Pool(2) as p: r = p.map(lambda_free, range(3))\nr",
        "[0, 2, 4]",
    ),
    "pool-spawn": (
        "import multiprocessing as m\nwith m.get_context('spawn').Pool(2) as p: r = p.map(abs, [-1])\nr",
        "[1]",
    ),
    "pool-forkserver": (
        "import multiprocessing as m\nwith m.get_context('forkserver').Pool(2) as p: r = p.map(lambda_free, [1])\nr",
        "[2]",
    ),
    "executor": (
        (
            "from concurrent.futures import ProcessPoolExecutor as P\n"
            "with P(2) as p: r = [*p.map(lambda_free, range(3))]\nr"
        ),
        "[0, 2, 4]",
    ),
    "array": ("import multiprocessing as m; a = m.Array('d', 2); a[0] = 1; list(a)", "[1.0, 0.0]"),
    "shared-memory": (
        (
            "from multiprocessing import Process, shared_memory as s\n"
            "def write(name): m = s.SharedMemory(name); m.buf[0] = 7; m.close()\n"
            "m = s.SharedMemory(create=True, size=10); p = Process(target=write, args=(m.name,)); p.start(); p.join()\n"
            "r = m.buf[0]; m.close(); m.unlink(); r"
        ),
        "7",
    ),
}


@pytest.mark.parametrize("name", WORKS)
async def test_what_starts_processes_works(kernel, name):
    code, expected = WORKS[name]
    if not code.startswith("%%"):
        code = f"def lambda_free(x): return 2 * x\n{code}"
    code = code.replace("<prefix>", landlock_seccomp.sys.prefix)
    assert await shown(kernel, code) == expected


POOLS = {
    "default": "from multiprocessing import Pool",
    "fork": "import multiprocessing as m; Pool = m.get_context('fork').Pool",
    "spawn": "import multiprocessing as m; Pool = m.get_context('spawn').Pool",
    "forkserver": "import multiprocessing as m; Pool = m.get_context('forkserver').Pool",
    "spawn-for-all": "import multiprocessing as m; m.set_start_method('spawn', force=True); Pool = m.Pool",
    "executor": "from concurrent.futures import ProcessPoolExecutor as Pool",
    "executor-spawn": (
        "import multiprocessing as m, functools\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "Pool = functools.partial(ProcessPoolExecutor, mp_context=m.get_context('spawn'))"
    ),
}


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[("auto", "auto"), ("auto", "none"), ("stock", "none")],
    ids="-".join,
)
async def any_kernel(request):
    launch, box = request.param
    async with opened(launch=launch) as pool, started(pool, sandbox=box) as kernel:
        yield kernel


@pytest.mark.parametrize("name", POOLS)
async def test_a_pool_knows_the_functions_of_its_cell(any_kernel, name):
    cell = f"kept = 1\ndef square(x): return x * x\n{POOLS[name]}\nif __name__ == '__main__':\n    with Pool(2) as p: print([*p.map(square, range(4))])"
    assert await shown(any_kernel, cell) == "[0, 1, 4, 9]"
    assert await shown(any_kernel, "kept") == "1"


async def test_a_pool_that_waits_for_ever_ends_with_its_cells_time_and_its_kernel():
    cell = (
        "import multiprocessing as m, time\npool = m.Pool(2)\n"
        "print(*[process.pid for process in pool._pool], flush=True)\npool.map(time.sleep, [600, 600])"
    )
    async with opened() as pool, started(pool) as kernel:
        result = await kernel.execute(cell, seconds=2)
        assert result.status == "timeout"
        assert await shown(kernel, "1 + 1") == "2"
    assert not gone(*map(int, result.output.splitlines()[0].split()), within=30)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import multiprocessing as m; m.Manager()",
            "use Pool, Queue, Pipe, Value, Array or `shared_memory`",
        ),
        ("import multiprocessing as m; m.get_context('spawn').Manager()", "needs sockets"),
        ("import socket; socket.socket(socket.AF_UNIX)", "use `socket.socketpair()`"),
    ],
)
async def test_what_cannot_work_says_what_does(kernel, code, says):
    result = await kernel.execute(code, seconds=60)
    assert result.error_name == "PermissionError"
    assert says in result.error_value


@pytest.mark.parametrize("code", ["import os; os.openpty()", "import pty; pty.spawn(['ls'])"])
async def test_a_terminal_is_the_boxs_own_or_refused_with_the_reason(kernel, code):
    result = await kernel.execute(code, seconds=60)
    if kernel.mode == "bwrap":
        assert result.status == "ok"
    else:
        assert "The sandbox gives no pseudo-terminal" in result.error_value


async def test_shared_memory_and_what_code_leaves_end_with_the_kernel():
    async with opened() as pool, started(pool) as kernel:
        code = (
            "from multiprocessing import shared_memory as s; m = s.SharedMemory(create=True, size=10); m.name"
        )
        await shown(kernel, code)
        directory = kernel._process.launch.directory
        assert list(directory.glob("scratch/.shm/*"))
    assert not directory.exists()
