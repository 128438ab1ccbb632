"""The same behaviours over every way that calls travel: an inherited socket, the control channel, a gateway."""

import asyncio
import contextlib
import gc
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gateway_server import TOKEN, Gateway
from guest_kernel import GuestKernel, encode

from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.control_bridge import ControlBridge
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError, HostBridge
from rlm_jupyter.kernels.pool import KernelPool, KernelRequest
from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec import container

WAYS = {"socket": HostBridge, "control": ControlBridge, "gateway": ControlBridge}


class PoolKernel(GuestKernel):
    """A kernel of a pool, with the handler of `GuestKernel`."""

    def __init__(self, way, gateway):
        self.way = way
        self.request = KernelRequest(run="r", agent="0", kernelspec=gateway.kernel if gateway else None)
        super().__init__()

    async def _start(self):
        self.pool = KernelPool(bridge="auto" if self.way == "gateway" else self.way)
        self.kernel = await self.pool.start(self.request, self._handle)
        assert type(self.bridge) is WAYS[self.way]

    @property
    def bridge(self):
        return self.kernel.bridge

    def run(self, code, *, seconds=60):
        return self.on_loop(self.kernel.execute(code, seconds=seconds), 90)

    def shown(self, code, seconds=60):
        result = self.run(code, seconds=seconds)
        assert result.status == "ok", result
        return result.output.strip()

    @contextlib.contextmanager
    def running(self, code, *, until):
        """Run a cell beside the body of `with`, once `until` holds; give the future of its result."""
        cell = asyncio.run_coroutine_threadsafe(self.kernel.execute(code, seconds=60), self.loop)
        wait(until)
        yield cell
        cell.result(90)

    def close(self):
        self.on_loop(self.pool.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def wait(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module", params=WAYS)
def shared(request):
    with contextlib.ExitStack() as stack:
        gateway = None
        if request.param == "gateway":
            gateway = stack.enter_context(contextlib.closing(Gateway()))
            stack.enter_context(pytest.MonkeyPatch.context()).setenv("JUPYTER_GATEWAY_AUTH_TOKEN", TOKEN)
        with contextlib.closing(PoolKernel(request.param, gateway)) as kernel:
            yield kernel
        if gateway:
            assert gateway.left() == []


@pytest.fixture
def kernel(shared):
    shared.reset()
    before = fds()
    yield shared
    wait(lambda: not shared.bridge._tasks)
    shared.reset()  # values that were loaded keep their descriptors
    gc.collect()
    wait(lambda: fds() <= before)  # nothing that travelled stays open in this process


def fds():
    """Values that are open in this process."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += "rlm-value" in str(link.readlink())
    return found


def test_words_block_await_and_call_from_threads(kernel):
    assert kernel.shown("llm_query('a') + [llm_query(str(i)) for i in range(3)][2]") == "'<a><2>'"
    code = "import asyncio\nsorted(await asyncio.gather(*(llm_query(str(i)) for i in range(20))))[3]"
    assert kernel.shown(code) == "'<12>'"
    code = (
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "with P(8) as p: r = list(p.map(lambda i: llm_query(str(i)), range(100)))\n"
        "r == [f'<{i}>' for i in range(100)]"
    )
    assert kernel.shown(code) == "True"
    assert kernel.shown("budget()") == "calls: 7, cost: 0.50, seconds: no limit"


def test_a_sub_agent_gets_a_frame_and_its_value_comes_back(kernel):
    code = (
        "import pandas as pd\n"
        "df = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})\n"
        "back = rlm_query('look', {'df': df, 'n': 3})\n"
        "back['question'], back['context']['df'].equals(df), back['context']['n']"
    )
    assert kernel.shown(code) == "('look', True, 3)"


def test_a_batch_keeps_its_order_and_one_failure_loses_no_other(kernel):
    code = "r = llm_query_batched([f'fail {i}' if i == 7 else str(i) for i in range(50)]); r[6], r[7].kind, r[49]"
    assert kernel.shown(code) == "('<6>', 'failed', '<49>')"
    code = (
        "r = rlm_query_batched([str(i) for i in range(60)], [list(range(i)) for i in range(60)])\n"
        "[len(x['context']) for x in r] == list(range(60))"
    )
    assert kernel.shown(code) == "True"


def test_final_gives_any_object_and_may_be_rejected(kernel):
    kernel.shown("FINAL({'a': {1, 2}, ('t', 1): 2**100})")
    assert kernel.finals == [{"a": {1, 2}, ("t", 1): 2**100}]

    async def reject(op, body, fds):
        raise BridgeError("rejected", "`total` is missing", data={"field": "total"})

    kernel.handler = reject
    result = kernel.run("FINAL(1)")
    assert (result.error_name, result.error_value) == ("FinalRejected", "`total` is missing")


def test_an_error_carries_its_partial_value(kernel):
    async def limit(op, body, fds):
        raise BridgeError("limit", "no more calls", fds=[encode([1, 2])], data={"limit": "calls"})

    kernel.handler = limit
    code = "try:\n    rlm_query('x')\nexcept Exception as e:\n    s = (type(e).__name__, e.kind, e.value, e.data)\ns"
    assert kernel.shown(code) == "('LimitReached', 'limit', [1, 2], {'limit': 'calls'})"


def test_megabytes_travel_both_ways_whole_and_arrive_sealed(kernel):
    data = np.random.default_rng(1).integers(0, 255, 12_000_001, np.uint8)
    frame = pd.DataFrame({"a": data[:1_000_000].astype(float), "s": data[:1_000_000].astype(str)})
    kernel.load({"data": data, "frame": frame}, "both", item_names=["data", "frame"])
    assert kernel.shown("int(data.sum()), frame.shape") == f"({data.sum()}, (1000000, 2))"
    _, back = kernel.pull("frame")
    pd.testing.assert_frame_equal(back, frame)
    body, sent = kernel.ask("export", {"name": "data", "allow_pickle": False})
    assert (body["kind"], container.is_sealed(sent[0])) == ("safe", True)
    assert np.array_equal(codec.load(sent[0], allow_pickle=False), data)
    frames.close_all(sent)
    kernel.shown("back = rlm_query('copy', data)\nassert (back['context'] == data).all()\nFINAL(data[::-1])")
    assert np.array_equal(kernel.finals[0], data[::-1])


def test_the_engine_loads_and_exports_while_a_cell_runs(kernel):
    code = "import time\nnow = [1]\nllm_query('go')\nwhile 'flag' not in globals(): time.sleep(0.01)\nflag"
    with kernel.running(code, until=lambda: kernel.ops) as cell:
        assert kernel.pull("now")[1] == [1]
        with pytest.raises(BridgeError, match="no variable `nothing`") as missing:
            kernel.pull("nothing")
        assert "now" in missing.value.data
        assert not cell.done()
        kernel.load("seen", "flag")
    assert cell.result().output == "'seen'\n"
    kernel.clear()


def test_a_call_that_is_cancelled_ends_the_engines_work_for_it(kernel):
    code = (
        "import asyncio\nt = asyncio.ensure_future(llm_query('hang'))\nawait asyncio.sleep(0)\n"
        "await llm_query('other')\nt.cancel()\nawait llm_query('after')"
    )
    assert kernel.shown(code) == "'<after>'"
    wait(lambda: kernel.cancelled == ["hang"])
    assert kernel.bridge.pending == 0


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        (1, "llm_query('hang')"),
        (1, "await llm_query('hang')"),
        # Its calls are failed before the signal comes, and a batch does not raise: the cell may go on until then.
        (20, "llm_query_batched(['hang'] * 20)\nimport threading\nthreading.Event().wait()"),
        (
            4,
            (
                "from concurrent.futures import ThreadPoolExecutor as P\n"
                "with P(4) as p: print([f.result() for f in [p.submit(llm_query, 'hang') for i in range(4)]])"
            ),
        ),
    ],
    ids=["blocking", "awaiting", "batch", "threads"],
)
def test_an_interrupt_ends_calls_and_keeps_the_kernel(kernel, calls, code):
    kernel.shown("kept = 5")
    with kernel.running(code, until=lambda: len(kernel.ops) == calls) as cell:
        kernel.on_loop(kernel.kernel.interrupt())
    assert (cell.result().status, cell.result().restarted) == ("interrupted", False)
    wait(lambda: kernel.cancelled == ["hang"] * calls)
    assert kernel.shown("kept, llm_query('a')") == "(5, '<a>')"


def test_death_cancels_calls_and_a_fresh_kernel_has_a_line_of_its_own(kernel):
    code = "import os, threading\nthreading.Timer(0.2, os._exit, (3,)).start()\nllm_query('hang')"
    bridge = kernel.bridge
    result = kernel.run(code)
    assert (result.status, result.restarted) == ("died", True)
    wait(lambda: kernel.cancelled == ["hang"])
    assert bridge.closed
    with pytest.raises(KernelDiedError):
        kernel.on_loop(bridge.request("describe", {}))
    assert kernel.shown("llm_query('again')") == "'<again>'"


@pytest.mark.parametrize(
    "frame",
    [
        r"b'\xff' * 8",
        r"b'\x04\0\0\0\0\0\0\0nope'",
        r"""b'\x0f\0\0\0\0\0\0\0{"op":"final"  }'""",
        r"""b'\x11\0\0\0\0\0\0\0{"id":1,"op":[2]}'""",
    ],
    ids=["sizes", "no JSON", "no number", "no name"],
)
def test_a_forged_frame_ends_that_kernel_alone(kernel, frame):
    bridge = kernel.bridge
    put = "import sys, time\nsys.modules['_rlm.guest.agent_side']._here().link._outbox.put"
    result = kernel.run(f"{put}(({frame}, []))\ntime.sleep(600)")
    assert (result.status, result.restarted) == ("died", True)
    assert "malformed" in bridge.reason
    assert kernel.shown("llm_query('again')") == "'<again>'"


def test_ten_thousand_small_calls_are_each_answered_and_served_once(kernel):
    code = (
        "r = llm_query_batched([f'b{i}' for i in range(8000)])\n"
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "with P(20) as p: r += p.map(lambda i: llm_query(f't{i}'), range(1900))\n"
        "r += [llm_query(f's{i}') for i in range(100)]\n"
        "r == [f'<{k}{i}>' for k, n in (('b', 8000), ('t', 1900), ('s', 100)) for i in range(n)]"
    )
    assert kernel.shown(code, 100) == "True"
    prompts = [body["prompt"] for _, body in kernel.ops]
    assert len(prompts) == len(set(prompts)) == 10_000


def test_calls_beside_a_flood_of_output_are_not_lost(kernel):
    code = "r = []\nfor i in range(300):\n    print('x' * 2000)\n    r.append(llm_query(str(i)))\nFINAL(r)"
    kernel.shown(code)
    assert kernel.finals == [[f"<{i}>" for i in range(300)]]


def test_a_child_process_of_the_kernel_cannot_call_and_does_not_disturb(kernel):
    code = (
        "import os\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    try:\n        llm_query('from the child')\n"
        "    except Exception as e:\n        os._exit(7 if e.kind == 'stopped' else 8)\n"
        "    os._exit(9)\n"
        "os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), llm_query('from the parent')"
    )
    assert kernel.shown(code).splitlines()[-1] == "(7, '<from the parent>')"
    assert [body["prompt"] for _, body in kernel.ops] == ["from the parent"]


def test_what_is_asked_of_a_busy_interpreter_is_answered_when_it_has_time(kernel):
    """Code in C that holds the interpreter stops every thread of the kernel; nothing is lost meanwhile."""
    code = "llm_query('begin')\nimport re\nre.match('(a|a)*b', 'a' * 22)\nllm_query('end')"
    with kernel.running(code, until=lambda: kernel.ops):
        assert kernel.ask("describe")[0]["variables"] is not None
    assert [body["prompt"] for _, body in kernel.ops] == ["begin", "end"]
