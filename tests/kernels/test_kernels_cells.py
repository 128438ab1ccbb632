"""Cells in agents' kernels: forked and stock ones, in the box and outside."""
# No other work waits in these loops, and paths are strings as agents use them.
# ruff: noqa: ASYNC240, PTH110

import asyncio
import os
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from kernel_parts import Answers, gone, opened, shown, started

from rlm_jupyter.errors import KernelDiedError, KernelStartError
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.pool import KernelRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS = {"forked": ("auto", "auto"), "forked-unboxed": ("auto", "none"), "stock": ("stock", "none")}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def way(request):
    launch, sandbox = WAYS[request.param]
    async with opened(launch=launch) as pool:
        yield pool, sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(way):
    """One kernel for tests that leave nothing behind in it."""
    pool, sandbox = way
    async with started(pool, sandbox=sandbox) as kernel:
        yield kernel


@pytest_asyncio.fixture(loop_scope="module")
async def kernel(way):
    pool, sandbox = way
    async with started(pool, sandbox=sandbox) as kernel:
        yield kernel


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("1 + 1", "2"),
        ("x = 5", ""),
        ("print('a'); 'b'", "a\n'b'"),
        ("import sys; print('e', file=sys.stderr)", "e"),
        ("from IPython.display import display; display('d'); display(1, 2)", "'d'\n1\n2"),
        ("import asyncio; await asyncio.sleep(0); 'awaited'", "'awaited'"),
        ("import subprocess; subprocess.run(['echo', 'child']); 'after'", "child\n'after'"),
        ("import os; os.write(1, b'raw'); None", "raw"),
        ("import os\nif not os.fork(): print('from a fork'); os._exit(0)\nos.wait(); None", "from a fork"),
        ("import multiprocessing as m\nwith m.Pool(1) as p: p.map(print, ['pool'])", "pool"),
        ("!echo shell", "shell"),
        ("got = !echo one; echo two\nlist(got)", "['one', 'two']"),
        ("import pandas as pd; pd.DataFrame({'a': [1]})", "a\n0  1"),
        ("from IPython.display import clear_output\nprint('old'); clear_output(); print('new')", "new"),
        ("from IPython.display import HTML; HTML('<b>x</b>')", "<IPython.core.display.HTML object>"),
        ("from concurrent.futures import ThreadPoolExecutor as T\nsum(T(4).map(abs, range(-3, 0)))", "6"),
    ],
)
async def test_output_of_a_cell_is_text_in_the_order_it_came(shared, code, output):
    assert await shown(shared, code) == output


async def test_output_arrives_while_the_cell_runs(shared):
    heard = []
    arrived = asyncio.Event()

    def take(stream, text):
        heard.append((stream, text))
        arrived.set()

    running = asyncio.ensure_future(
        shared.execute("print('early', flush=True)\nimport time; time.sleep(600)", seconds=60, on_output=take)
    )
    await asyncio.wait_for(arrived.wait(), 60)
    assert heard == [("stdout", "early\n")]
    assert not running.done()
    await shared.interrupt()
    assert (await running).status == "interrupted"


@pytest.mark.parametrize(
    ("code", "name", "line"),
    [
        ("def f():\n    return 1 / 0\nf()", "ZeroDivisionError", "----> 3 f()"),
        ("x ===", "SyntaxError", "x ==="),
        ("import json; json.loads('{')", "JSONDecodeError", "... 3 frames in json ..."),
        ("input('name?')", "StdinNotImplementedError", "does not support input"),
        ("import sys; sys.exit(3)", "SystemExit", "SystemExit: 3"),
        (
            "import asyncio\nawait asyncio.gather(*[asyncio.sleep(0), asyncio.sleep('a')])",
            "TypeError",
            "Cell In",
        ),
    ],
)
async def test_an_error_shows_the_agents_own_lines(shared, code, name, line):
    result = await shared.execute(code, seconds=60)
    assert (result.status, result.error_name, result.restarted) == ("error", name, False)
    assert line in result.traceback
    assert "site-packages" not in result.traceback
    assert "\x1b" not in result.traceback
    assert await shown(shared, "'goes on'") == "'goes on'"


@pytest.mark.parametrize(
    "code",
    [
        "print('s' + 'x' * 3_000_000 + 'e')",
        "'s' + 'x' * 3_000_000 + 'e'",
        "for i in range(300_000): print(i)",
        "from IPython.display import display\ndisplay('s' + 'x' * 3_000_000 + 'e')",
        "for i in range(3_000):\n    display('abc' * 500)",
        "import subprocess; subprocess.run('yes | head -c 3000000', shell=True)",
        "import os\nfor i in range(300): os.write(2, b'x' * 10_000)",
    ],
)
async def test_a_flood_is_cut_at_its_source_and_counted(shared, code):
    arrived = []
    result = await shared.execute(code, seconds=30, on_output=lambda _, text: arrived.append(text))
    assert result.status == "ok", result
    assert result.cut > 1_000_000
    assert f"{result.cut:,} characters cut" in result.output
    assert len(result.output) < 70_000
    assert sum(map(len, arrived)) < 70_000
    assert await shown(shared, "'next'") == "'next'"  # the next cell has its whole room again


async def test_a_huge_error_text_is_cut(shared):
    result = await shared.execute("raise ValueError('x' * 3_000_000)", seconds=60)
    assert result.error_name == "ValueError"
    assert len(result.error_value) <= 2000
    assert len(result.traceback) < 15_000


async def test_cells_of_one_kernel_run_one_after_the_other(shared):
    await shown(shared, "trace = []")
    code = "import asyncio; trace.append('{0}in'); await asyncio.sleep(0.05); trace.append('{0}out')"
    await asyncio.gather(*(shown(shared, code.format(name)) for name in "ab"))
    assert await shown(shared, "trace") == "['ain', 'aout', 'bin', 'bout']"


async def test_waiting_for_requests_does_not_count_as_working(shared):
    assert await shown(shared, "llm_query('4')", seconds=3) == "'reply to 4'"
    result = await shared.execute("import time; llm_query('0.2'); time.sleep(600)", seconds=0.3)
    assert result.status == "timeout"


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(600)",
        "import asyncio; await asyncio.sleep(600)",
        "import asyncio; await asyncio.Event().wait()",
        "import subprocess; subprocess.run(['sleep', '600'])",
        "llm_query('60')",
        "await llm_query('60')",
        "import asyncio; await asyncio.gather(*[llm_query('60') for _ in range(5)])",
        "import threading; threading.Event().wait()",
    ],
)
async def test_interrupt_ends_a_cell_and_keeps_the_variables(shared, code):
    await shown(shared, "kept = 7")
    running = asyncio.ensure_future(shared.execute(code, seconds=None))
    await asyncio.sleep(0.2)
    await shared.interrupt()
    result = await running
    assert (result.status, result.restarted) == ("interrupted", False)
    assert await shown(shared, "kept") == "7"


@pytest.mark.parametrize(
    "code",
    [
        "def stubborn():\n    for _ in range(4):\n        try: llm_query('600')\n        except RLMQueryError: pass\nimport threading; threading.Thread(target=stubborn).start()\nthreading.Event().wait()",
        "def late():\n    try: llm_query('600')\n    except RLMQueryError: pass\n    import time; time.sleep(0.5)\n    try: llm_query('600')\n    except RLMQueryError: pass\nimport threading; threading.Thread(target=late).start()\nthreading.Event().wait()",
    ],
    ids=["thread-that-asks-again", "thread-that-asks-when-the-cell-has-ended"],
)
async def test_what_threads_of_an_interrupted_cell_ask_for_is_not_left_pending(kernel, monkeypatch, code):
    refused = []
    refuse = kernel.bridge._refuse
    monkeypatch.setattr(kernel.bridge, "_refuse", lambda *what: (refused.append(what), refuse(*what)))
    running = asyncio.ensure_future(kernel.execute(code, seconds=None))
    while not kernel.bridge.pending:
        await asyncio.sleep(0.01)
    await kernel.interrupt()
    result = await running
    assert (result.status, result.restarted) == ("interrupted", False)
    async with asyncio.timeout(60):
        while not refused:
            await asyncio.sleep(0.01)
    assert kernel.bridge.pending == 0
    assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"


async def test_an_interrupt_at_any_moment_of_a_cell_is_answered(shared):
    """A signal may strike ipykernel on its way to the cell, and a reply may come while something is sent."""
    await shown(shared, "kept = 7")
    for step in range(30):
        running = asyncio.ensure_future(
            shared.execute("import asyncio; await asyncio.sleep(600)", seconds=None)
        )
        await asyncio.sleep(0.002 * step)
        await shared.interrupt()
        result = await running
        assert (result.status, result.restarted) == ("interrupted", False)
    assert await shown(shared, "kept") == "7"


async def test_interrupt_of_an_idle_kernel_does_nothing(shared):
    await shared.interrupt()
    assert await shown(shared, "'well'") == "'well'"


@pytest.mark.parametrize(
    ("code", "restarted"),
    [
        ("while True: pass", False),
        ("import asyncio; await asyncio.sleep(600)", False),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", None),
        ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", True),
        ("sum(range(10**13))", True),
        ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", None),
        (
            "import builtins\nbuiltins.len = lambda *_: 1 / 0\nbuiltins.isinstance = None\nwhile True: pass",
            None,
        ),
    ],
    ids=["loop", "await", "swallows-all", "sigint-ignored", "hangs-in-c", "regex", "tampered-builtins"],
)
async def test_a_cell_that_runs_too_long_is_ended(kernel, monkeypatch, code, restarted):
    if restarted is not False:
        monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.5)
    await shown(kernel, "kept = 7")
    first = kernel.pid
    async with asyncio.timeout(60):
        result = await kernel.execute(code, seconds=0.3)
    assert result.status == "timeout"
    if restarted is not None:
        assert result.restarted is restarted
    assert (kernel.pid != first) is result.restarted
    if result.restarted:
        assert gone(first) == []
        assert (await kernel.execute("kept", seconds=60)).error_name == "NameError"
    elif "builtins" not in code:
        assert await shown(kernel, "kept") == "7"
    result = await kernel.execute("1 + 1", seconds=60)
    if "builtins" not in code:
        assert result.output == "2\n"
    assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import os; os.abort()", "SIGABRT"),
        ("import os; [os.close(n) for n in range(3, 300) if os.path.exists(f'/proc/self/fd/{n}')]", ""),
    ],
    ids=["exit", "segfault", "killed", "abort", "closes-all-descriptors"],
)
async def test_death_in_a_cell_is_told_and_a_fresh_kernel_takes_its_place(kernel, code, said):
    first = kernel.pid
    async with asyncio.timeout(60):
        result = await kernel.execute("print('before', flush=True)\n" + code, seconds=60)
    assert (result.status, result.restarted, result.error_name) == ("died", True, "KernelDied")
    assert said in result.error_value
    assert gone(first) == []
    assert kernel.alive
    assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"


async def test_death_between_cells_is_found_and_the_cell_does_not_run(kernel):
    os.kill(kernel.pid, 9)
    result = await kernel.execute("print('ran')", seconds=60)
    assert (result.status, result.restarted, result.output) == ("died", True, "")
    assert await shown(kernel, "'fresh'") == "'fresh'"


async def test_death_while_a_request_waits_cancels_it(kernel):
    running = asyncio.ensure_future(kernel.execute("llm_query('60')", seconds=60))
    while not kernel.bridge.pending:
        await asyncio.sleep(0.01)
    old = kernel.bridge
    os.kill(kernel.pid, 9)
    async with asyncio.timeout(60):
        assert (await running).status == "died"
    assert old.pending == 0
    assert old.closed


async def test_a_forged_frame_ends_that_kernel_alone(kernel, shared):
    code = (
        "import os, stat\n"
        "for n in map(int, os.listdir('/proc/self/fd')):\n"
        "    try:\n"
        "        if stat.S_ISSOCK(os.fstat(n).st_mode): os.write(n, b'\\xff' * 64)\n"
        "    except OSError: pass\n"
        "import time; time.sleep(600)"
    )
    async with asyncio.timeout(60):
        result = await kernel.execute(code, seconds=60)
    assert (result.status, result.restarted) == ("died", True)
    assert await shown(kernel, "'fresh'") == "'fresh'"
    assert await shown(shared, "'untouched'") == "'untouched'"


async def test_stop_in_a_cell_leaves_no_process_and_no_directory(way):
    pool, sandbox = way
    async with started(pool, sandbox=sandbox) as kernel:
        where = await shown(kernel, "import os; print(os.getcwd())")
        child = int(
            await shown(
                kernel,
                "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)",
            )
        )
        running = asyncio.ensure_future(kernel.execute("while True: pass", seconds=None))
        await asyncio.sleep(0.1)
        pid = kernel.pid
        await kernel.stop()
        with pytest.raises(KernelDiedError):
            await running
        await kernel.stop()  # twice is fine
    assert gone(pid, child) == []
    assert not os.path.exists(where)
    with pytest.raises(KernelDiedError):
        await kernel.execute("1", seconds=1)


async def test_a_task_that_is_cancelled_ends_its_cell(kernel):
    await shown(kernel, "kept = 7")
    running = asyncio.ensure_future(kernel.execute("while True: pass", seconds=None))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await shown(kernel, "kept") == "7"


async def test_the_users_variables_reach_the_kernel_and_nothing_else_does(way, monkeypatch):
    pool, sandbox = way
    monkeypatch.setenv("RLM_TEST_API_KEY", "planted")
    async with started(pool, sandbox=sandbox, env={"TOOL": "given"}) as kernel:
        seen = await shown(kernel, "import os; print(os.environ['TOOL'], sorted(os.environ))")
    assert seen.startswith("given")
    assert "KEY" not in seen
    assert "JPY" not in seen.replace("JPY_PARENT_PID", "").replace("JPY_SESSION_NAME", "")


async def test_many_kernels_start_at_once(way):
    pool, sandbox = way
    number = 6 if pool._launch == "stock" else 20
    request = KernelRequest(run="many", agent="0", sandbox=sandbox)
    kernels = await asyncio.gather(*(pool.start(request, Answers()) for _ in range(number)))
    outputs = await asyncio.gather(*(shown(kernel, "import os; os.getpid()") for kernel in kernels))
    assert sorted(map(int, outputs)) == sorted(kernel.pid for kernel in kernels)
    directory = await pool.open_run("many")
    assert directory.stat().st_mode & 0o777 == 0o700
    await pool.close_run("many")
    assert gone(*(int(text) for text in outputs)) == []
    assert not directory.exists()


async def test_more_kernels_than_fit_wait_and_that_is_told():
    told = []
    async with opened(notice=told.append) as pool:
        pool._places = asyncio.Semaphore(1)
        first = await pool.start(KernelRequest(run="r", agent="0"), Answers())
        second = asyncio.ensure_future(pool.start(KernelRequest(run="r", agent="1"), Answers()))
        await asyncio.sleep(0.1)
        assert not second.done()
        assert "ulimit -n" in told[0]
        await first.stop()
        assert await shown(await second, "1 + 1") == "2"


async def test_a_closed_pool_starts_nothing():
    async with opened() as pool:
        pass
    with pytest.raises(KernelStartError):
        await pool.start(KernelRequest(run="r", agent="0"), Answers())


FLOODS = [
    "print('x' * 200_000_000)",
    "'x' * 200_000_000",
    "for _ in range(2000): print('x' * 100_000)",
    "from IPython.display import display\nfor i in range(100_000): display(i)",
    "raise ValueError('x' * 100_000_000)",
    "import os\nfor _ in range(300): os.write(1, b'x' * 100_000)",
]


@pytest.mark.parametrize("launch", ["auto", "stock"])
async def test_floods_of_200_megabytes_cost_the_notebook_less_than_20(launch):
    """In a process of its own, because the peak of this one may be higher already."""
    code = (
        "import asyncio, resource\n"
        "from kernel_parts import opened, started, shown\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "async def main():\n"
        f"    async with opened(launch={launch!r}) as pool, started(pool) as kernel:\n"
        "        await shown(kernel, '1')\n"
        "        before = peak()\n"
        f"        for cell in {FLOODS!r}:\n"
        "            result = await kernel.execute(cell, seconds=100)\n"
        "            assert not result.restarted, result\n"
        "            assert len(result.output) + len(result.traceback) < 100_000\n"
        "        print(peak() - before)\n"
        "asyncio.run(main())\n"
    )
    here = Path(__file__).parents[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here / "support")])},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert float(output) < 20
