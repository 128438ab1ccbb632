"""What a cell's end waits for, and what is sent by whom, in forked and stock kernels."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from kernel_parts import Answers, opened, shown

from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.pool import KernelRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Slow(Answers):
    """Takes its time to hear of variables."""

    def __init__(self):
        super().__init__()
        self.seconds, self.told = 0.0, []

    async def __call__(self, op, body, fds):
        if op == "cell_done":
            await asyncio.sleep(self.seconds)
            self.told += [one["name"] for one in body["variables"]]
        return await super().__call__(op, body, fds)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["auto", "stock"])
async def pool(request):
    async with opened(launch=request.param) as pool:
        yield pool


@contextlib.asynccontextmanager
async def made(pool, handler):
    kernel = await pool.start(KernelRequest(run="run", agent="0"), handler)
    try:
        yield kernel
    finally:
        await kernel.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(pool):
    async with made(pool, Answers()) as kernel:
        yield kernel


async def test_the_engine_knows_of_the_variables_when_the_cell_has_ended(pool):
    handler = Slow()
    async with made(pool, handler) as kernel:
        await shown(kernel, "x = 1")
        handler.seconds = 0.3
        await shown(kernel, "y = 2")
        assert handler.told == ["x", "y"]


async def test_a_kernel_whose_code_broke_what_tells_of_variables_is_waited_for_once(pool, monkeypatch):
    monkeypatch.setattr(agent_kernel, "_TOLD_SECONDS", 1)
    async with made(pool, Answers()) as kernel:
        # It has told of no cell yet: its first one takes away what would.
        await shown(kernel, "get_ipython().events.callbacks['post_run_cell'].clear()")
        assert await shown(kernel, "1") == "1"
        monkeypatch.setattr(agent_kernel, "_TOLD_SECONDS", 600)
        async with asyncio.timeout(200):
            for number in range(20):
                assert await shown(kernel, f"{number}") == f"{number}"


@pytest.mark.parametrize(
    "code",
    [
        "import os; n = os.write(1, b'out')",
        "import os; n = os.write(2, b'out')",
        "import os; n = os.system('printf out')",
        "import subprocess; done = subprocess.run(['printf', 'out'])",
        "import subprocess; done = subprocess.run(['sh', '-c', 'printf out >&2'])",
        "import ctypes; n = ctypes.CDLL(None).write(1, b'out', 3)",
        "import subprocess, sys; done = subprocess.run(['printf', 'out'], stdout=sys.stdout)",
        "import os\nif not os.fork():\n    print('out', end='', flush=True)\n    os._exit(0)\nstatus = os.wait()",
    ],
)
async def test_what_goes_past_the_streams_is_in_the_output_of_its_own_cell(kernel, code):
    for _ in range(10):
        assert await shown(kernel, code) == "out"
        assert await shown(kernel, "1") == "1"


async def test_a_subprocess_that_never_stops_writing_does_not_keep_the_cell(kernel):
    result = await kernel.execute("import subprocess; writer = subprocess.Popen(['yes', 'é'])", seconds=60)
    assert (result.status, result.restarted) == ("ok", False)
    await shown(kernel, "writer.kill(); status = writer.wait()")
    assert set((await shown(kernel, "1")).split()) <= {"é", "1"}
    assert await shown(kernel, "1") == "1"


async def test_text_of_a_megabyte_from_a_subprocess_is_bounded_and_the_next_cell_is_clean(kernel):
    result = await kernel.execute("import os; n = os.system('yes word | head -c 1000000')", seconds=60)
    assert result.status == "ok"
    assert result.output.startswith("word\nword")
    assert result.cut > 900_000
    assert await shown(kernel, "1") == "1"


@pytest.mark.parametrize(
    "work",
    ["display(number)", "print(number, flush=True)", "os.write(1, b'x\\n')", "print(number)", "budget()"],
)
@pytest.mark.parametrize("pool", ["auto"], indirect=True, scope="module")
async def test_sigint_in_the_middle_of_a_forked_kernels_output_spoils_no_message(kernel, work):
    # A message that is half sent when KeyboardInterrupt strikes would swallow the next ones.
    code = f"import os\nfor number in range(10**7):\n    {work}"
    for _ in range(12):
        running = asyncio.ensure_future(kernel.execute(code, seconds=60))
        await asyncio.sleep(0.05)
        await kernel.interrupt()
        result = await asyncio.wait_for(running, 60)
        assert (result.status, result.restarted) == ("interrupted", False)
        assert await shown(kernel, "'well'") == "'well'"


STRIKE = """\
import signal, sys, threading, zmq
def strike_in(owner, name, when=lambda *_: True):
    plain, armed = getattr(owner, name), []
    def striking(*args, **options):
        result = plain(*args, **options)
        if armed == [True] and threading.current_thread() is threading.main_thread() and when(*args):
            armed.append("struck")
            signal.raise_signal(signal.SIGINT)
        return result
    setattr(owner, name, striking)
    return armed
"""


AFTER_DELIMITER = "zmq.Socket, 'send', lambda socket, data, *_: data == b'<IDS|MSG>'"


@pytest.mark.parametrize(
    ("place", "work"),
    [
        (AFTER_DELIMITER, "display('half')"),
        (AFTER_DELIMITER, "print('half', flush=True)"),
        (
            "type(sys.modules['_rlm.guest.agent_side']._guests[-1].link), '_send_nowait'",
            "llm_query('x' * 3_000_000)",
        ),
    ],
    ids=["display", "print", "call"],
)
async def test_sigint_between_the_parts_of_a_message_waits_for_its_end(request, pool, place, work):
    async with made(pool, Answers()) as kernel:
        await shown(kernel, f"{STRIKE}\narmed = strike_in({place})")
        code = (
            f"import time\narmed.append(True)\ntry:\n    {work}\n    time.sleep(0.01)\n    armed.append('over')\n"
            "except KeyboardInterrupt:\n    print('struck')\nelse:\n    print('spared')"
        )
        said = await asyncio.wait_for(shown(kernel, code), 60)
        ours = "stock" not in request.node.name or "llm_query" in work  # there, a thread sends all output
        assert said.split()[-1] == ("struck" if ours else "spared")
        assert await shown(kernel, "'well'") == "'well'"
        assert await shown(kernel, "len(llm_query('x' * 3_000_000))") == "3000009"


async def test_output_of_threads_and_of_the_cell_is_whole_and_each_line_its_own(kernel):
    code = (
        "import sys, threading\n"
        "def say(name):\n"
        "    for number in range(200):\n"
        "        sys.stdout.write(f'{name}-{number}\\n')\n"  # one piece, unlike `print`
        "        if number % 7 == 0: sys.stdout.flush()\n"
        "threads = [threading.Thread(target=say, args=(name,)) for name in 'abcd']\n"
        "for one in threads: one.start()\n"
        "say('e')\n"
        "for one in threads: one.join()"
    )
    lines = (await shown(kernel, code, 60)).split()
    assert sorted(lines) == sorted(f"{name}-{number}" for name in "abcde" for number in range(200))


async def test_a_cell_that_awaits_is_answered(kernel):
    for _ in range(20):
        assert await shown(kernel, "import asyncio; await asyncio.sleep(0); 'awaited'") == "'awaited'"


async def test_another_client_may_listen_as_well(kernel):
    """A console that joins an agent's kernel is welcomed and gets its output, while cells run."""
    process = kernel._process
    connection = process._manager.get_connection_info()
    from jupyter_client.asynchronous import AsyncKernelClient

    client = AsyncKernelClient()
    client.load_connection_info(connection)
    client.start_channels()
    try:
        async with asyncio.timeout(60):
            ran = asyncio.ensure_future(
                shown(kernel, "import time\nfor n in range(10): print(n); time.sleep(0.02)")
            )
            await client.wait_for_ready(timeout=60)
            await ran
            number = client.execute("'second'")
            while True:
                message = await client.get_iopub_msg(timeout=60)
                if message["msg_type"] == "execute_result" and message["parent_header"]["msg_id"] == number:
                    break
    finally:
        client.stop_channels()
    assert message["content"]["data"]["text/plain"] == "'second'"
