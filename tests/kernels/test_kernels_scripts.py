"""What scripts do at their beginning and end, in agents' kernels: standard streams, logs, `exit()`."""

import asyncio

import pytest
import pytest_asyncio
from kernel_parts import opened, shown, started
from run_parts import asking

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS = {"forked": ("auto", "auto"), "stock": ("stock", "none")}
RAW = "sys.stdout.buffer.write(%r); None"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def kernel(request):
    """One kernel for all tests: whatever a cell does, the next one begins as the first one did."""
    launch, sandbox = WAYS[request.param]
    async with opened(launch=launch) as pool, started(pool, sandbox=sandbox) as kernel:
        yield kernel


STREAMS = {
    "reconfigure": [
        "import sys; sys.stdout.reconfigure(encoding='utf-8', errors='replace'); print('ü')",
        "ü",
    ],
    "bytes": ["import sys; " + RAW % "ß\n".encode(), "ß"],
    "bad-bytes": ["import sys; " + RAW % b"a\xff\n", "a\ufffd"],
    "a-character-in-two": [
        "import sys\nfor c in '€!'.encode(): sys.stdout.buffer.write(bytes([c]))\nNone",
        "€!",
    ],
    "half-a-character": ["import sys; " + RAW % b"a\xe2", "a\ufffd"],
    "bytes-of-another-encoding": [
        (
            "import sys; sys.stdout.reconfigure(encoding='cp1252')\n"
            "sys.stdout.buffer.write(b'\\xfc'); print(sys.stdout.encoding); sys.stdout.reconfigure(encoding='utf-8')"
        ),
        "ücp1252",
    ],
    "order": ["import sys\nprint('a'); sys.stdout.buffer.write(b'b\\n'); print('c')", "a\nb\nc"],
    "wrapper": [
        "import sys, io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8'); print('ü')",
        "ü",
    ],
    "wrapper-of-detached": [
        (
            "import sys, io, gc\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'utf-8', line_buffering=True)\nprint('a')\n"
            "sys.stdout = sys.__stdout__; gc.collect(); None"
        ),
        "a",
    ],
    "codec": [
        "import sys, codecs\nsys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer); print('ü')",
        "ü",
    ],
    "open-its-number": [
        "import sys\nsys.stdout = open(sys.stdout.fileno(), 'w', encoding='utf-8', buffering=1); print('ü')",
        "ü",
    ],
    "fdopen": ["import sys, os\nwith os.fdopen(sys.stderr.fileno(), 'w') as f: f.write('e')\nNone", "e"],
    "closed": ["import sys; sys.stdout.close(); print('still', sys.stdout.closed)", "still False"],
    "with": ["import sys\nwith sys.stdout as out: print('a', file=out)\nprint('b')", "a\nb"],
    "the-first-one": ["import sys; print('a', file=sys.__stdout__, flush=True)", "a"],
    "taken-away": ["import sys; sys.stdout = sys.stderr = None", ""],
    "hidden": ["import sys, io; sys.stdout = io.StringIO(); print('hidden')", ""],
    "redirected": [
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as f: print('x')\nprint(f.getvalue())",
        "x",
    ],
    "magic-within": [
        "from IPython.utils.capture import capture_output\nwith capture_output() as c: print('in')\nc.stdout",
        "'in\\n'",
    ],
    "writelines": ["import sys; sys.stdout.writelines(['a', 'b']); None", "ab"],
    "subprocess": ["import subprocess as s, sys; s.run(['echo', 'a'], stdout=sys.stdout.buffer); None", "a"],
    "libraries": [
        (
            "import sys, json, csv, shutil, io, pandas as pd, numpy as np\n"
            "pd.DataFrame({'a': [1]}).to_csv(sys.stdout.buffer, index=False); json.dump([1], sys.stdout)\n"
            "np.savetxt(sys.stdout.buffer, [2], fmt='%d'); shutil.copyfileobj(io.BytesIO(b'copied'), sys.stdout.buffer)"
        ),
        "a\n1\n[1]2\ncopied",
    ],
    "properties": [
        (
            "import sys\ns, b = sys.stderr, sys.stderr.buffer\n"
            "[s.encoding, s.errors, s.newlines, s.isatty(), s.writable(), s.readable(), s.seekable(), s.closed,\n"
            " b.raw is b, b.mode, b.name == s.name, b.fileno() == s.fileno(), b.isatty(), b.writable(), b.readable(),\n"
            " b.closed, b.write(memoryview(b'')), s.write('')]"
        ),
        (
            "['utf-8', 'strict', None, False, True, False, False, False, True, 'wb', True, True, False, True, False,\n"
            " False, 0, 0]"
        ),
    ],
}


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_are_the_text_files_that_scripts_expect(kernel, name):
    cell, expected = STREAMS[name]
    assert "".join((await shown(kernel, cell)).split()) == "".join(expected.split())
    assert await shown(kernel, "print('next', sys.stdout.closed)") == "next False"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("sys.stdout.reconfigure(encoding='no-such')", "LookupError"),
        ("sys.stdout.reconfigure(errors='no-such')", "LookupError"),
        ("sys.stdout.reconfigure(newline='x')", "ValueError"),
        ("sys.stdout.reconfigure(colour=1)", "TypeError"),
        ("sys.stdout.buffer.write('text')", "TypeError"),
        ("sys.stdout.write(b'bytes')", "TypeError"),
        ("sys.stdout.read()", "UnsupportedOperation"),
        ("sys.stdout.seek(0)", "UnsupportedOperation"),
    ],
)
async def test_what_a_text_file_refuses_is_refused(kernel, call, error):
    assert (await kernel.execute(f"import sys; {call}", seconds=20)).error_name == error


async def test_a_cell_that_replaces_a_stream_and_fails_costs_only_its_own_output(kernel):
    result = await kernel.execute(
        "import sys, io\nsys.stdout = kept = io.StringIO()\nprint('x')\n1 / 0", seconds=20
    )
    assert result.error_name == "ZeroDivisionError"
    assert await shown(kernel, "print('seen'); kept.getvalue()") == "seen\n'x\\n'"


async def test_output_through_a_wrapper_is_bounded_as_all_output_is(kernel):
    result = await kernel.execute(
        "import sys, io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('x' * 5_000_000)", seconds=30
    )
    assert (result.status, len(result.output) < 200_000) == ("ok", True)
    assert result.cut > 4_000_000


# ---- logs


@pytest_asyncio.fixture(loop_scope="module")
async def log(kernel):
    """Logging as in a new kernel."""
    yield kernel
    await shown(kernel, "import logging; logging.root.handlers.clear(); logging.root.setLevel('WARNING')")


SET_UP = "import logging\nlogging.basicConfig(level=logging.INFO, format='%(levelname)s|%(message)s')"


async def test_each_line_of_a_log_is_shown_once_in_the_form_that_was_set(log):
    assert await shown(log, f"{SET_UP}\nlogging.info('read'); logging.getLogger('own').warning('odd')") == (
        "INFO|read\nWARNING|odd"
    )
    assert await shown(log, "logging.info('later')") == "INFO|later"


async def test_settings_win_over_the_handler_that_an_earlier_line_made(log):
    assert await shown(log, "import logging; logging.warning('early')") == "WARNING:root:early"
    assert await shown(log, f"{SET_UP}\nlogging.info('read')") == "INFO|read"
    assert await shown(log, "logging.basicConfig(format='other %(message)s'); logging.info('as set')") == (
        "INFO|as set"
    )
    assert await shown(log, "logging.basicConfig(); logging.info('as set')") == "INFO|as set"


async def test_a_handler_that_a_cell_made_stays(log):
    cell = "import logging, sys\nlogging.root.addHandler(logging.StreamHandler(sys.stdout))\nlogging.warning('mine')"
    assert await shown(log, cell) == "mine"
    assert await shown(log, f"{SET_UP}\nlogging.warning('again')") == "again"


async def test_debug_lines_are_those_of_the_cells_and_not_of_the_kernel(log):
    await shown(
        log, "import logging; logging.basicConfig(level=logging.DEBUG, format='%(name)s %(message)s')"
    )
    cell = "import asyncio; await asyncio.sleep(0.05); logging.getLogger('own').debug('mine')"
    assert await shown(log, cell) == "own mine"


async def test_the_workers_of_a_pool_and_threads_log_too(log):
    cell = (
        f"{SET_UP}\nimport multiprocessing, threading\n"
        "def work(x): logging.info('worker %s', x)\n"
        "with multiprocessing.Pool(2) as pool: pool.map(work, range(2))\n"
        "thread = threading.Thread(target=logging.info, args=('thread',)); thread.start(); thread.join()"
    )
    assert set((await shown(log, cell)).splitlines()) == {"INFO|worker 0", "INFO|worker 1", "INFO|thread"}


# ---- the ends of scripts

NOTE = "the cell ended here; the kernel and its variables stay"
ENDS = {
    "exit": "exit()",
    "quit": "quit(0)",
    "exit-of-sys": "import sys; sys.exit()",
    "raised": "raise SystemExit(0)",
    "in-a-function": "def main(): exit()\nmain()",
    "of-the-shell": "get_ipython().ask_exit()",
    "in-a-task": "import asyncio\nasync def leave(): exit()\nawait asyncio.gather(leave(), asyncio.sleep(5))",
    "help": "import argparse; argparse.ArgumentParser(prog='x').parse_args(['-h'])",
    "tests": "import unittest; unittest.main(argv=['x'])",
    "after-a-reset": "%reset -f\nkept = 7\nexit()",
}


@pytest.mark.parametrize("name", ENDS)
async def test_an_end_without_a_fault_ends_the_cell_without_an_error(kernel, name):
    result = await kernel.execute(f"kept = 7\n{ENDS[name]}\nkept = 8", seconds=30)
    if name == "tests" and result.status == "error":  # from Python 3.12 on, no tests are a fault
        assert result.error_name == "SystemExit"
    else:
        assert (result.status, result.error_name) == ("ok", "")
        assert NOTE in result.output
        assert "To exit: use" not in result.output
    assert await shown(kernel, "import asyncio; await asyncio.sleep(0.3); kept") == "7"


@pytest.mark.parametrize(
    ("end", "name", "value"),
    [
        ("import sys; sys.exit('no data')", "SystemExit", "no data"),
        ("exit(2)", "SystemExit", "2"),
        ("import os; os.kill(os.getpid(), 2)", "KeyboardInterrupt", ""),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        (
            "async def f(): raise KeyboardInterrupt\nimport asyncio; await asyncio.gather(f())",
            "KeyboardInterrupt",
            "",
        ),
    ],
)
async def test_an_end_with_a_fault_is_an_error_of_the_cell(kernel, end, name, value):
    result = await kernel.execute(f"kept = 7\n{end}\nkept = 8", seconds=30)
    assert (result.status, result.error_name, result.error_value) == ("error", name, value)
    assert len(result.traceback.splitlines()) < 30
    assert await shown(kernel, "import asyncio; await asyncio.sleep(0.3); kept") == "7"


async def test_a_task_that_nobody_awaits_ends_alone(kernel):
    cell = (
        "import asyncio, sys\nasync def leave(): sys.exit(3)\ntask = asyncio.create_task(leave())\n"
        "asyncio.get_running_loop().call_soon(sys.exit)\nawait asyncio.sleep(0.1)\nrepr(task.exception())"
    )
    assert await shown(kernel, cell) == "'SystemExit(3)'"


async def test_the_name_alone_says_what_it_does(kernel):
    assert await shown(kernel, "kept = 1\nexit") == "exit() ends a cell; the kernel and its variables stay"
    assert NOTE in await shown(kernel, "exit")  # which IPython calls, where it is all of a cell


@pytest.mark.parametrize("end", ["exit()", "import sys; sys.exit(1)", "import os; os._exit(0)", "1 / 0"])
async def test_the_answer_counts_whatever_comes_after_it(tmp_path, end):
    with asking(tmp_path) as ask:
        run = await asyncio.to_thread(ask, {"root": [f"FINAL(len(context))\n{end}"]}, context=[1, 2, 3])
        assert run.raise_for_error().value == 3


async def test_an_agent_that_exits_goes_on_with_all_it_has(tmp_path):
    script = {"root": ["kept = len(context)\nexit()", "import time; time.sleep(1)", "FINAL(kept)"]}
    with asking(tmp_path) as ask:
        run = await asyncio.to_thread(ask, script, context=[1, 2, 3])
        assert run.raise_for_error().value == 3
        told = [message["content"] for message in run.messages() if message["role"] == "user"]
    assert NOTE in told[1]
    assert not any("had to be replaced" in text for text in told)
