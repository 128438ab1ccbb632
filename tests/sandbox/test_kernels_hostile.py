"""Hostile cells beside those against the box: what they look for inside, break in their own kernel, and leave behind."""

import asyncio
import os
import signal

import psutil
import pytest
import pytest_asyncio
from kernel_parts import Answers, gone, opened, shown, started
from scripts import by_question

from rlm_jupyter import RLM, Limits
from rlm_jupyter.guest.confinement import landlock_seccomp
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.pool import KernelRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = {f"RLM_TEST_{kind}_{n}": f"planted-{n:02}-5d1c7f" for n in range(5) for kind in ("KEY", "TOKEN", "PASSWORD", "URL")}  # fmt: skip
BOXES = [
    pytest.param(
        "auto",
        marks=pytest.mark.skipif(
            not landlock_seccomp.landlock_version(), reason="this system has no Landlock"
        ),
    ),
    "none",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        async with opened() as pool:
            yield pool


@pytest_asyncio.fixture(loop_scope="module", params=BOXES)
async def kernel(pool, request):
    async with started(pool, sandbox=request.param) as kernel:
        yield kernel


# Patterns, so that what is looked for is not itself in the memory that is searched.
SEARCH = r"""
import gc, inspect, re, sys
pattern = re.compile('planted-[0-9]{2}-5d1c[7]f')
names = re.compile('RLM_TEST_(KEY|TOKEN|PASSWORD|URL)_[0-9]')
found = set()
def look(text, where):
    if pattern.search(text) or names.search(text): found.add(where)
for owner in gc.get_objects():
    for thing in gc.get_referents(owner):
        if type(thing) is str: look(thing, 'an object')
        elif type(thing) is bytes: look(thing[:10_000].decode('latin-1'), 'bytes')
words = [llm_query, rlm_query, FINAL, budget]
for word in words:
    look(repr(inspect.getclosurevars(word.__func__ if hasattr(word, '__func__') else word)), 'a closure')
    look(repr(vars(word.__self__)) if hasattr(word, '__self__') else '', 'a word')
for frame in sys._current_frames().values():
    while frame: look(repr(frame.f_locals)[:100_000], 'a frame'); frame = frame.f_back
spots = 0
with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
    raw = re.compile(pattern.pattern.encode())
    for line in maps.read().splitlines():
        span, rights, *_ = line.split()
        if 'rw' not in rights: continue
        start, end = (int(part, 16) for part in span.split('-'))
        while start < end:
            try: memory.seek(start); part = memory.read(min(end - start, 1 << 24))
            except (OSError, OverflowError): break
            spots += len(part)
            if raw.search(part): found.add('memory')
            start += len(part) or end
print(sorted(found), spots > 10_000_000)
"""


async def test_none_of_twenty_keys_is_anywhere_in_the_memory_of_an_agents_kernel(kernel):
    assert len(KEYS) == 20
    assert await shown(kernel, SEARCH, 100) == "[] True"


async def test_the_search_for_keys_finds_one_that_is_there(kernel):
    """That the test above can fail."""
    code = "kept = ('planted-' + '01-5d1c' + chr(55) + 'f',)\n" + SEARCH
    found = await shown(kernel, code, 100)
    assert "'an object'" in found
    assert "'memory'" in found


ENDINGS = {
    "sys.exit": "import sys; sys.exit(3)",
    "exit": "exit()",
    "SystemExit": "raise SystemExit('text')",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "own-base-exception": "class Odd(BaseException): pass\nraise Odd",
    "signal-to-itself": "import os, signal; os.kill(os.getpid(), signal.SIGINT)\nwhile True: pass",
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_cell_that_raises_what_ends_programs_ends_alone(kernel, monkeypatch, name):
    # Only of a gateway's kernel, of which this may be the end, is it awaited.
    monkeypatch.setattr(agent_kernel, "_ENDED_SECONDS", 600)
    await shown(kernel, "kept = 7")
    async with asyncio.timeout(60):
        result = await kernel.execute(ENDINGS[name], seconds=60)
    assert result.status in {"ok", "error", "interrupted"}
    assert not result.restarted
    assert await shown(kernel, "kept") == "7"
    assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"


TAMPER = {
    "json": "import json; json.dumps = json.loads = None",
    "stdout": "import sys; sys.stdout = sys.stderr = sys.__stdout__ = None",
    "stdout-closed": "import sys; sys.stdout.close()",
    "display-hook": "import sys; sys.displayhook = get_ipython().displayhook = None",
    "run-cell": "get_ipython().run_cell = get_ipython().run_cell_async = None",
    "events": "get_ipython().events.callbacks.clear()",
    "ast-transformers": "get_ipython().ast_transformers.append(None)",
    "namespace": "get_ipython().user_ns.clear()",
    "session": "get_ipython().kernel.session.send = None",
    "modules": "import sys; sys.modules.clear()",
    "threading": "import threading; threading.Thread.start = threading.Lock = None",
    "atexit-hangs": "import atexit, time; atexit.register(time.sleep, 600)",
    "excepthook": "import sys; sys.excepthook = sys.unraisablehook = None; raise ValueError('x')",
    "traceback": "get_ipython().showtraceback = None; 1 / 0",
    "trace-function": "import sys; sys.settrace(lambda *a: 1 / 0)",
    "loop-stopped": "import asyncio; asyncio.get_running_loop().stop()",
    "loop-closed": "import asyncio; asyncio.get_running_loop().call_soon(asyncio.get_running_loop().close)",
    "all-descriptors": "import os\nfor number in range(3, 300):\n    try: os.close(number)\n    except OSError: pass",
}


@pytest.mark.parametrize("name", TAMPER)
async def test_a_kernel_that_breaks_its_own_machinery_harms_nobody_and_can_be_replaced(
    pool, kernel, monkeypatch, name
):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.4)
    async with started(pool) as bystander, asyncio.timeout(60):
        await kernel.execute(TAMPER[name], seconds=1)
        again = await kernel.execute("print(1 + 1)", seconds=1)
        assert again.status in {"ok", "error", "timeout", "died"}
        assert await shown(bystander, "llm_query('ask')") == "'reply to ask'"
        if kernel.pid is not None and not again.restarted:
            await kernel.execute("import os; os.kill(os.getpid(), 9)", seconds=1)
            os.kill(kernel.pid, 9)  # however its code was answered
        while (fresh := await kernel.execute("print(1 + 1)", seconds=60)).status == "died":
            pass
        assert fresh.output == "2\n"


LOADS = {
    "500-forks": "import os, signal\nfor _ in range(500):\n    if not os.fork(): signal.pause(); os._exit(0)\nprint(500)",
    "1000-threads": "import threading\nhold = threading.Event()\nfor _ in range(1000): threading.Thread(target=hold.wait, daemon=True).start()\nprint(threading.active_count() > 1000)",
    "fork-bomb": "import os\nfor _ in range(7):\n    os.fork()\nimport signal; signal.pause()",
}


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("box", BOXES)
async def test_a_load_of_processes_and_threads_is_gone_with_its_kernel(pool, monkeypatch, name, box):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.4)
    before = set(psutil.pids())
    kernel = await pool.start(KernelRequest(run="r", agent="0", sandbox=box), Answers())
    pid = kernel.pid
    async with asyncio.timeout(100):
        await kernel.execute(LOADS[name], seconds=60)
        await kernel.stop()
    assert await asyncio.to_thread(gone, pid) == []

    def ours():
        return [one for one in set(psutil.pids()) - before if _group(one) == pid]

    assert await asyncio.to_thread(gone, *ours()) == []


def _group(pid):
    try:
        return os.getpgid(pid)
    except OSError:
        return None


@pytest.mark.parametrize("box", BOXES)
async def test_a_signal_to_everyone_reaches_nobody_outside_the_box(pool, box):
    heard = []
    before = signal.signal(signal.SIGURG, lambda *_: heard.append(1))  # a signal that nobody else minds
    try:
        async with started(pool, sandbox=box) as kernel:
            await shown(kernel, "import os, signal; os.kill(-1, signal.SIGURG)")
            held = "signals" in kernel.confinement["holds"]
    finally:
        signal.signal(signal.SIGURG, before)
    assert held is (box == "auto")
    assert bool(heard) is (not held)


FORGED = """
link = __import__('sys').modules['_rlm.guest.agent_side']._here().link
def ask(op, **body): return link.submit(op, {'agent': '0', 'run': 'x', 'depth': 0, 'leaf': False, 'model': None, **body})[1].result(60)
deeper = ask('rlm_query', prompt='deeper').error
plain = ask('llm_query', prompt='on whose account?').value
odd = ask('shell', prompt='ls').error
FINAL([deeper['kind'], plain, odd['kind']])
"""


async def test_a_frame_that_claims_to_be_of_another_agent_counts_for_its_sender(tmp_path):
    script = {
        "root": ["FINAL(rlm_query('leaf', [1]))"],
        "leaf": [FORGED],
        "deeper": ["FINAL('should not be')"],
    }
    rlm = RLM(model=by_question(script, plain="said"), log_dir=tmp_path, cache=False, limits=Limits(depth=1))
    with await rlm.arun("root") as run:
        assert run.value == ["limit", "said", "internal"]
        assert set(run.tree.agents) == {"0", "0.1"}
        calls = {agent: [call.purpose for call in row.calls] for agent, row in run.tree.agents.items()}
        assert calls == {"0": [], "0.1": ["llm_query"]}
