"""Many calls at once, and calls that end otherwise than by an answer: in a real kernel."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from guest_kernel import GuestKernel, encode

from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError


@pytest.fixture(scope="module")
def shared():
    kernel = GuestKernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared):
    shared.reset()
    yield shared
    until(lambda: not shared.bridge._tasks)
    shared.clear()


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- many at once


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nr = await asyncio.gather(*[llm_query(str(i)) for i in range(1000)])",
        "r = llm_query_batched([str(i) for i in range(1000)])",
        "r = await llm_query_batched([str(i) for i in range(1000)])",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(50) as pool: r = list(pool.map(llm_query, map(str, range(1000))))",
        "import threading\nr = [None] * 1000\ndef work(k):\n    for i in range(k, 1000, 50): r[i] = llm_query(str(i))\nt = [threading.Thread(target=work, args=(k,)) for k in range(50)]\nfor x in t: x.start()\nfor x in t: x.join()",
    ],
    ids=["gather", "batch", "awaited batch", "thread pool", "50 threads"],
)
def test_a_thousand_calls_each_get_their_own_answer(kernel, code):
    assert kernel.run(f"{code}\nr == [f'<{{i}}>' for i in range(1000)]").result == "True"
    assert len(kernel.ops) == 1000


def test_calls_run_at_the_same_time(kernel):
    waiting = 0

    async def all_together(op, body, fds):
        nonlocal waiting
        waiting += 1
        while waiting < 100:
            await asyncio.sleep(0.001)
        return "met", []

    kernel.handler = all_together
    code = "import asyncio\nr = await asyncio.gather(rlm_query_batched(['q'] * 50, range(50)), *[llm_query('q') for i in range(50)])\nset(r[0] + r[1:])"
    assert kernel.run(code).result == "{'met'}"


def test_many_frames_travel_without_a_copy_of_each_other(kernel):
    code = "import pandas as pd\nr = rlm_query_batched(['q'] * 30, [pd.DataFrame({'n': [i] * 1000}) for i in range(30)])\n[int(x['context']['n'].sum()) for x in r] == [1000 * i for i in range(30)]"
    assert kernel.run(code).result == "True"


# -- descriptors


def test_no_descriptor_is_left_open_in_the_kernel_or_here(kernel):
    def counts():
        until(lambda: not kernel.bridge._tasks)
        theirs = int(kernel.run("import gc, os; gc.collect(); len(os.listdir('/proc/self/fd'))").result)
        return theirs, len(list(Path("/proc/self/fd").iterdir()))

    async def give(op, body, fds):
        if op == "rlm_query" and body["prompt"] == "fail":
            raise BridgeError("failed", "no", fds=[encode([1])])
        return await GuestKernel.answer(kernel, op, body, fds)

    kernel.handler = give
    code = (
        "import asyncio\n"
        "async def quick(*a):\n    try: return await asyncio.wait_for(rlm_query(*a), 0.01)\n    except (TimeoutError, RLMQueryError): pass\n"
        "await asyncio.gather(*[rlm_query('q', [i]) for i in range(20)])\n"
        "await asyncio.gather(*[quick('hang', [i]) for i in range(20)])\n"
        "await asyncio.gather(*[quick('fail', [i]) for i in range(20)])\n"
        "rlm_query('forgotten', [1])\n"
        "def sync():\n    FINAL([1])\n    llm_query_batched(['a', 'fail'])\n    return rlm_query_batched(['a', 'fail'], [1, 2])\n"
        "sync()\n"
        "x = [1, 2]"
    )
    kernel.run(code)
    kernel.load([1], "context")
    kernel.pull("x")
    before = counts()
    for _ in range(3):
        assert kernel.run(code).error == ""
        kernel.load([1], "context")
        kernel.pull("x")
        with pytest.raises(BridgeError):
            kernel.pull("missing")
    assert counts() == before


# -- cancelled, interrupted, forgotten


@pytest.mark.parametrize(
    "code",
    [
        "try: await asyncio.wait_for(llm_query('hang'), 0.05)\nexcept TimeoutError: print('late')",
        "async def main():\n    async with asyncio.timeout(0.05): await rlm_query('hang', [1])\ntry: await main()\nexcept TimeoutError: print('late')",
        "t = asyncio.create_task(llm_query('hang'))\nawait asyncio.sleep(0.05)\nt.cancel()\nprint('late')",
        "t = asyncio.create_task(llm_query('hang'))\nt.cancel()\nawait asyncio.sleep(0)\nprint('late')",
        "t = llm_query('hang')\nawait asyncio.sleep(0)\nt.cancel()\nprint('late')",
        "g = asyncio.gather(llm_query('a'), llm_query('hang'))\nawait asyncio.sleep(0.05)\ng.cancel()\nprint('late')",
        "try: await asyncio.wait_for(llm_query_batched(['a', 'hang']), 0.05)\nexcept TimeoutError: print('late')",
    ],
)
def test_cancelling_a_call_cancels_what_the_engine_does_for_it(kernel, code):
    ran = kernel.run(f"import asyncio\n{code}")
    assert (ran.stdout, ran.stderr, ran.error) == ("late\n", "", "")
    until(lambda: kernel.bridge.pending == 0)
    started = [body["prompt"] for _, body in kernel.ops].count("hang")
    until(lambda: kernel.cancelled.count("hang") == started)


def test_a_batch_that_is_cancelled_begins_no_more(kernel):
    code = "import asyncio\nt = asyncio.create_task(rlm_query_batched(['hang'] * 300, range(300)))\nawait asyncio.sleep(0)"
    kernel.run(code)
    until(lambda: kernel.bridge.pending == 100)
    kernel.run("t.cancel()")
    until(lambda: kernel.cancelled.count("hang") == 100)
    assert kernel.run("llm_query('after')").result == "'<after>'"
    assert len(kernel.ops) == 101


@pytest.mark.parametrize(
    "code",
    [
        "llm_query('hang')",
        "rlm_query('hang', [1])",
        "llm_query_batched(['a', 'hang', 'hang'])",
        "await llm_query('hang')",
        "await llm_query_batched(['a', 'hang'])",
        "import asyncio\nawait asyncio.gather(llm_query('a'), llm_query('hang'))",
        "import asyncio\nawait asyncio.sleep(0)\ndef f(): return llm_query('hang')\nf()",
        "import asyncio\nasync def main(): return await llm_query('hang')\nasyncio.run(main())",
        "import asyncio\nasync def main(): return await llm_query('hang')\nawait asyncio.sleep(0)\nasyncio.run(main())",
    ],
    ids=[
        "blocked",
        "sub-agent",
        "batch",
        "awaited",
        "awaited batch",
        "gather",
        "helper in async cell",
        "asyncio.run",
        "asyncio.run in async cell",
    ],
)
def test_an_interrupt_ends_a_call_and_tells_the_engine(kernel, code):
    ran = kernel.run(code, interrupt=lambda: any(body["prompt"] == "hang" for _, body in kernel.ops))
    assert ran.status == "error"
    assert "KeyboardInterrupt" in ran.error or "CancelledError" in ran.error
    until(lambda: kernel.bridge.pending == 0)
    assert set(kernel.cancelled) == {"hang"}
    assert kernel.run("llm_query('after')").result == "'<after>'"


def test_a_thread_pool_unwinds_when_the_engine_answers_all_that_is_pending(kernel):
    code = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(5) as pool: list(pool.map(llm_query, ['hang'] * 5))"

    def fail_pending():
        kernel.bridge.fail_pending("stopped", "interrupted by the user")

    def all_hang():
        if len(kernel.ops) < 5:
            return False
        kernel.loop.call_soon_threadsafe(fail_pending)
        return True

    ran = kernel.run(code, interrupt=all_hang)
    assert ran.status == "error"
    assert len(kernel.cancelled) == 5


def test_a_call_that_nobody_awaited_is_told_and_cancelled(kernel):
    ran = kernel.run(
        "import asyncio\nawait asyncio.sleep(0)\nllm_query('hang')\nc = llm_query('hang')\nd = rlm_query('q')\nawait asyncio.sleep(0.05)"
    )
    assert "llm_query(...) was not awaited (2 times), so it was cancelled" in ran.stderr
    assert "rlm_query(...) was not awaited, so it was cancelled" in ran.stderr
    until(lambda: kernel.cancelled == ["hang", "hang"])


def test_a_failed_call_that_nobody_awaited_is_told_once(kernel):
    ran = kernel.run("import asyncio, gc\nllm_query('fail')\nawait asyncio.sleep(0.05)\ngc.collect()")
    assert ran.stderr.count("\n") == 1
    assert kernel.run("gc.collect(); await asyncio.sleep(0)").stderr == ""


@pytest.mark.parametrize(
    "first",
    [
        "t = asyncio.create_task(llm_query('a'))",
        "t = asyncio.ensure_future(asyncio.gather(llm_query('a')))",
        "async def f():\n    c = llm_query('a')\n    await asyncio.sleep(0.05)\n    return await c\nt = asyncio.create_task(f())",
    ],
)
def test_a_call_that_a_task_will_await_in_the_next_cell_goes_on(kernel, first):
    assert kernel.run(f"import asyncio\nawait asyncio.sleep(0)\n{first}\nawait asyncio.sleep(0)").stderr == ""
    assert "<a>" in kernel.run("await t").result


def test_a_call_in_a_thread_goes_on_after_the_cell(kernel):
    kernel.run(
        "import threading\nr = []\nt = threading.Thread(target=lambda: r.append(llm_query('a')))\nt.start()"
    )
    assert kernel.run("t.join(); r").result == "['<a>']"


def test_when_the_engine_is_gone_a_call_raises_and_the_cell_ends():
    kernel = GuestKernel()
    try:
        kernel.loop.call_soon_threadsafe(kernel.bridge.close)
        assert "Stopped: The engine is gone" in kernel.run("llm_query('a')").error
        assert kernel.run("1").result == "1"
    finally:
        kernel.close()


def test_the_end_of_the_kernel_closes_the_bridge():
    kernel = GuestKernel()
    try:
        # a forked child holds no copy of the line
        child = kernel.run(
            "import os, time\npid = os.fork()\nif not pid:\n    time.sleep(600); os._exit(0)\npid"
        )
        os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
        assert kernel.lost.wait(60)
        os.kill(int(child.result), signal.SIGKILL)
    finally:
        kernel.close()
