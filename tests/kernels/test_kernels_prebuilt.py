"""What forked kernels have in common is made before the fork: they are as if each had made it, and what is a process'
own is its own.
"""

import ast
import asyncio
import contextlib
import json
import re

import pytest
from kernel_parts import opened, shown, started

from rlm_jupyter.kernels import pool as pools
from rlm_jupyter.kernels.launch import manager
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources

MADE_BEFORE = "import gc; shell = get_ipython(); not any(one is shell for one in gc.get_objects())"
"""Whether the shell was made before the fork: it is then in the generation that was frozen there."""

SEEN = """
import atexit, builtins, json, logging, os, signal, sys, tempfile, threading, warnings
shell = get_ipython()
kernel, app = shell.kernel, shell.kernel.parent

def plain(value):
    if value is None or isinstance(value, (str, bytes, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, map(plain, value)))
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items() if len(value) < 200}
    return type(value).__name__

def fields(thing):
    found = {name: plain(one) for name, one in vars(thing).items() if name not in HIDDEN}
    # a trait that nobody has asked for yet has no value: it is made by asking
    found["traits"] = {name: plain(getattr(thing, name)) for name in sorted(thing.traits()) if name not in HIDDEN}
    return found

HIDDEN = {"_trait_values", "_all_trait_default_generators", "_cross_validation_lock", "_sys_modules_keys",
          "user_ns_hidden", "profile_dir", "input_hist_parsed", "input_hist_raw", "output_hist", "dir_hist",
          "session_number", "output_hist_reprs", "config", "cli_config", "argv", "user_ns", "config_file_paths",
          "built", "shell_streams", "kernel_class", "class_hierarchy", "classes", "_instance",
          "_last_traceback", "_config_files", "_user_ns", "ns_table", "last_execution_result",
          "_kernel_modules", "_parent_header_global", "_in_init_profile_dir", "message_count", "digest_history", "_",
          # of one kernel alone, see the test of identities:
          "session", "bsession", "key", "ident", "topic"}
seen = {
    "shell": fields(shell), "kernel": fields(kernel), "app": fields(app), "session": fields(kernel.session),
    "history": fields(shell.history_manager), "hidden": sorted(shell.user_ns_hidden), "names": sorted(shell.user_ns),
    "display_pub": fields(shell.display_pub), "hook": fields(shell.displayhook),
    "events": {name: [one.__qualname__ for one in of] for name, of in shell.events.callbacks.items()},
    "magics": {kind: sorted(of) for kind, of in shell.magics_manager.magics.items()},
    "transformers": [type(one).__name__ for one in shell.ast_transformers],
    "formatters": shell.display_formatter.active_types,
    "environment": dict(os.environ), "directory": os.getcwd(), "temporary": tempfile.gettempdir(),
    "path": sys.path, "prompts": (sys.ps1, sys.ps2), "excepthook": sys.excepthook.__qualname__,
    "displayhook": type(sys.displayhook).__name__, "streams": (type(sys.stdout).__name__, type(sys.stderr).__name__),
    "saved": {name: getattr(sys, name) is one for name, one in shell._orig_sys_module_state.items()},
    "main": sys.modules["__main__"] is shell.user_module, "builtins": [hasattr(builtins, "display"), __IPYTHON__],
    "streams of the kernel": (kernel._stdout is sys.stdout, kernel._stderr is sys.stderr),
    "one socket": [thing.pub_socket is kernel.iopub_socket for thing in (shell.displayhook, shell.display_pub)],
    "one session": [thing.session is kernel.session for thing in (app, shell.displayhook, shell.display_pub)],
    "threads": sorted(re.sub("[0-9]+", "N", one.name) for re in [__import__("re")] for one in threading.enumerate()),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)],
    "handlers": [type(one).__name__ for one in app.log.handlers + logging.getLogger().handlers],
    "filters": sorted({str(one[:3]) for one in warnings.filters}),
    "extensions": sorted(shell.extension_manager.loaded),
    "atexit": atexit._ncallbacks(),
}
open("seen", "w").write(json.dumps(seen, default=repr))
"""

OWN = [
    (r"\b[0-9a-f]{8}-[0-9a-f]{4,}-[0-9a-f-]+\b|\b[0-9a-f]{8}_[0-9a-f]+_[0-9a-f]+", "ID"),
    (r"/k\d+\b", "/kN"),
    (r"ipykernel_\d+", "ipykernel_PID"),
]


async def seen_in(kernel):
    """Returns what a kernel's code sees of its IPython, without what is of this kernel alone."""
    await shown(kernel, SEEN)
    text = (kernel._process.launch.directory / "scratch" / "seen").read_text()
    text = re.sub(rf"\b{kernel.pid}\b", "0", text)
    for pattern, name in OWN:
        text = re.sub(pattern, name, text)
    return json.loads(text)


@contextlib.asynccontextmanager
async def both(monkeypatch):
    """A kernel that was made before the fork, and one with another argument, which makes all of it itself."""
    async with opened() as pool, started(pool) as prebuilt:
        monkeypatch.setattr(manager, "ARGV", (*manager.ARGV, "--Session.debug=False"))
        async with started(pool) as whole:
            yield prebuilt, whole


async def test_a_kernel_that_was_made_before_the_fork_is_as_one_that_was_not(monkeypatch):
    async with both(monkeypatch) as (prebuilt, whole):
        assert await shown(prebuilt, MADE_BEFORE) == "True"
        assert await shown(whole, MADE_BEFORE) == "False"
        one, other = await seen_in(prebuilt), await seen_in(whole)
        assert one.keys() == other.keys()
        for name in one:
            assert one[name] == other[name], name


IDENTITY = """
import os, uuid
kernel = get_ipython().kernel
assert kernel.session.pid == os.getpid() and str(uuid.UUID(kernel.ident)) == kernel.ident
assert get_ipython().displayhook.topic == f"kernel.{kernel.ident}.execute_result".encode()
print(kernel.ident, kernel.session.session, kernel.session.bsession.decode(), kernel.session.key.decode())
"""


async def test_each_kernel_has_an_identity_of_its_own():
    async with opened() as pool, started(pool) as one, started(pool) as other:
        ids = [(await shown(kernel, IDENTITY)).split() for kernel in (one, other)]
        for ident, session, same, key in ids:
            assert session == same
            assert len({ident, session, key}) == 3
        assert set(ids[0]).isdisjoint(ids[1])


async def test_the_application_makes_no_records_of_what_each_cell_does():
    """ipykernel tells its logger of each request, and traitlets would let that logger take everything."""
    async with opened() as pool, started(pool) as kernel:
        assert (await shown(kernel, "print(get_ipython().kernel.log.isEnabledFor(20))")).strip() == "False"


async def test_a_profile_is_made_where_it_is_asked_for_in_the_kernel_s_own_directory():
    async with opened() as pool, started(pool) as kernel:
        assert await shown(kernel, "import os; sorted(os.listdir('.'))") == "[]"
        await shown(kernel, "kept = {'a': 1}\n%store kept\ndel kept\n%store -r kept\nassert kept == {'a': 1}")
        places = (
            "profile = get_ipython().profile_dir; [os.path.isdir(getattr(profile, name)) for name in (%s)]"
        )
        names = ("location", "startup_dir", "log_dir", "pid_dir", "security_dir")
        assert await shown(kernel, places % ", ".join(map(repr, names))) == str([True] * len(names))
        assert [entry.name for entry in pool._base.path.glob(".ipython")] == []
        assert (
            await shown(kernel, "profile.location == os.path.join(os.getcwd(), 'profile_default')") == "True"
        )


@pytest.mark.parametrize(
    "fault",
    [
        "\ndef build():\n    raise ValueError('planted')\n",
        "\ndef _use(shell):\n    raise ValueError('planted')\n",
    ],
    ids=["at once", "when the shell is there"],
)
async def test_where_nothing_can_be_made_before_the_fork_each_kernel_makes_it(monkeypatch, fault):
    sources = fork_server_sources()
    name = next(name for name in sources if name.endswith(".prebuilt_app"))
    monkeypatch.setattr(pools, "fork_server_sources", lambda: {**sources, name: sources[name] + fault})
    told = []
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert await shown(kernel, MADE_BEFORE) == "False"
        assert await shown(kernel, "llm_query('ask'), type(shell).__name__, __name__") == (
            "('reply to ask', 'ZMQInteractiveShell', '__main__')"
        )
        assert "planted" in pool._supervisor._log.read_text()
    assert told == []


THREADS = "import threading; sorted(one.name for one in threading.enumerate())"


async def test_the_heartbeat_begins_when_somebody_listens_to_it():
    from jupyter_client.asynchronous import AsyncKernelClient

    async with opened() as pool, started(pool) as kernel:
        before = ast.literal_eval(await shown(kernel, THREADS))
        assert "Heartbeat" not in before
        client = AsyncKernelClient()
        client.load_connection_info(kernel._process._manager.get_connection_info())
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            async with asyncio.timeout(60):
                while not client.hb_channel.is_beating():
                    await asyncio.sleep(0.05)
            after = ast.literal_eval(await shown(kernel, THREADS))
            assert sorted([*before, "Heartbeat"]) == after
            # It beats while a cell keeps the interpreter to itself, as it would in a stock kernel.
            busy = asyncio.ensure_future(shown(kernel, "sum(range(2 * 10**8))", 60))
            beats = 0
            while not busy.done():
                beats += client.hb_channel.is_beating()
                await asyncio.sleep(0.05)
            assert beats
        finally:
            client.stop_channels()


async def test_a_kernel_has_the_connections_that_are_used_and_no_more():
    async with opened() as pool, started(pool) as kernel:
        client, sockets = kernel._process._channels.client, set(pool._context._sockets)
        async with started(pool) as other:
            assert len(set(pool._context._sockets) - sockets) == 2
            assert await shown(other, "llm_query('ask')") == "'reply to ask'"
        assert (client._stdin_channel, client._hb_channel, client._control_channel) == (None, None, None)
        assert kernel._process._manager._control_socket is None
        await kernel.stop()
        assert [one for one in pool._context._sockets if not one.closed] == []


async def test_a_kernel_whose_calls_go_over_the_control_channel_has_that_too():
    async with opened(bridge="control") as pool, started(pool) as kernel:
        assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
        assert kernel._process._channels.client._control_channel is not None
