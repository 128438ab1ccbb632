"""How kernels come to be: kernelspecs, failures, the supervisor's rules, the provisioner for others."""
# No other work waits in these loops, and paths are strings as agents use them.

import asyncio
import json
import os
import socket
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from kernel_parts import gone, opened, shown, started

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels import pool as pools
from rlm_jupyter.kernels.channels import zmq_channels
from rlm_jupyter.kernels.launch import first_request as startup
from rlm_jupyter.kernels.launch import fork_provisioner, kernel_process, supervisor_client
from rlm_jupyter.kernels.launch.environment import BaseDirectory
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
from rlm_jupyter.kernels.launch.supervisor_client import Supervisor
from rlm_jupyter.supervisor import forkserver


@pytest.fixture
def kernelspec(tmp_path, monkeypatch):
    """Install a kernelspec named `special` for this test."""

    def install(argv, **more):
        room = tmp_path / "kernels" / "special"
        room.mkdir(parents=True)
        spec = {"argv": argv, "display_name": "Special", "language": "python", **more}
        (room / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        return "special"

    return install


ORDINARY = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.mark.parametrize(("launch", "sandbox"), [("auto", "auto"), ("auto", "none"), ("stock", "auto")])
async def test_a_kernelspec_is_started_with_its_variables(kernelspec, monkeypatch, launch, sandbox):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.5)
    name = kernelspec(ORDINARY, env={"OF_SPEC": "yes"})
    async with opened(launch=launch) as pool, started(pool, kernelspec=name, sandbox=sandbox) as kernel:
        assert await shown(kernel, "import os; os.environ['OF_SPEC']") == "'yes'"
        assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
        assert await shown(kernel, "import pandas; int(pandas.Series([1]).sum())") == "1"
        held = kernel.confinement
        assert ("files" in held["holds"]) is (launch == "auto" and sandbox == "auto")
        if launch == "stock":
            assert held["mode"] == "seccomp"
            assert any("without the supervisor" in line for line in held["missing"])
        children = int(
            await shown(
                kernel, "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True).pid"
            )
        )
        assert (await kernel.execute("sum(range(10**13))", seconds=0.2)).restarted
    assert gone(children) == []


async def test_an_unknown_kernelspec_lists_those_there_are(kernelspec):
    kernelspec(ORDINARY)
    async with opened() as pool:
        with pytest.raises(KernelStartError, match=r"no kernelspec `julia`.*`special`"):
            async with started(pool, kernelspec="julia"):
                pass


@pytest.mark.parametrize("launch", ["auto", "stock"])
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no license here')"], "no license here"),
        (["/nowhere/python", "{connection_file}"], "nowhere"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "SIGKILL"),
    ],
    ids=["says-why", "no-such-program", "killed"],
)
async def test_death_at_the_start_tells_why_and_what_to_try(kernelspec, launch, argv, message):
    name = kernelspec(argv)
    async with opened(launch=launch) as pool:
        with pytest.raises(KernelStartError, match=message) as caught:
            async with asyncio.timeout(60), started(pool, kernelspec=name):
                pass
        assert "Try" in str(caught.value) or "choose another" in str(caught.value)
        assert "`special`" in str(caught.value)
        async with started(pool) as kernel:
            assert await shown(kernel, "1") == "1"
        assert not [path for path in pool._base.path.iterdir() if path.name.startswith("k")]


async def test_a_kernel_that_never_answers_is_given_up(kernelspec, monkeypatch):
    monkeypatch.setattr(kernel_process, "START_SECONDS", 2.0)
    name = kernelspec([sys.executable, "-c", "import time; time.sleep(600)"])
    async with opened() as pool:
        with pytest.raises(KernelStartError, match="did not answer within 2 s"):
            async with started(pool, kernelspec=name):
                pass


async def test_an_iopub_channel_without_a_welcome_is_asked_until_it_speaks(monkeypatch):
    """ipykernel 6 binds a plain PUB socket; there the first output must not be lost either."""
    take = zmq_channels.Channels._take_output
    monkeypatch.setattr(
        zmq_channels.Channels,
        "_take_output",
        lambda self, message: None if message["msg_type"] == "iopub_welcome" else take(self, message),
    )
    async with opened() as pool, started(pool) as kernel:
        assert await shown(kernel, "print('heard')") == "heard"


# ------------------------------------------------------------------------------------------ the supervisor


@pytest.fixture
def base():
    base = BaseDirectory()
    yield base.path
    base.remove()


async def test_the_supervisor_has_one_thread_and_no_key(base, monkeypatch):
    monkeypatch.setenv("RLM_TEST_API_KEY", "planted")
    chief = Supervisor(base, fork_server_sources())
    try:
        ready = await asyncio.wrap_future(chief.ready)
        assert ready["threads"] == 1
        assert {"numpy", "pandas", "ipykernel.kernelapp"} <= set(ready["preloaded"])
        assert "polars" not in supervisor_client.MODULES
    finally:
        chief.close()
    assert not base.exists()


THREADED = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"


async def test_a_module_that_starts_a_thread_is_refused_by_name(base):
    chief = Supervisor(base, {**fork_server_sources(), "_rlm.guest.threaded": THREADED})
    with pytest.raises(KernelStartError, match=r"`_rlm\.guest\.threaded`.*starts a thread"):
        await asyncio.wrap_future(chief.ready)
    chief.close()


async def test_the_pool_goes_on_without_a_module_that_starts_a_thread(monkeypatch):
    told = []
    # polars is the real one that does.
    monkeypatch.setattr(supervisor_client, "MODULES", (*supervisor_client.MODULES[:6], "polars"))
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert pool._supervisor is not None, told
        assert await shown(kernel, "'forked'") == "'forked'"
    assert "`polars`" in told[0]


async def test_without_a_supervisor_the_pool_starts_stock_kernels_and_says_so(monkeypatch):
    told = []
    monkeypatch.setattr(supervisor_client, "PROGRAM", Path("/nowhere/serve.py"))
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
        assert "files" not in kernel.confinement["holds"]
    assert "ordinary way" in told[0]


async def test_forks_differ_in_their_random_numbers():
    code = "import random, numpy, uuid, os; print(random.random(), numpy.random.rand(), uuid.uuid4(), os.urandom(4))"
    async with opened() as pool, started(pool) as one, started(pool) as two:
        first, second = (await shown(one, code)).split(), (await shown(two, code)).split()
        assert not set(first) & set(second)


async def test_a_fork_writes_to_nobodys_ipython_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "a.py").write_text("from_profile = 1")
    before = sorted(tmp_path.rglob("*"))
    async with opened() as pool, started(pool) as kernel:
        assert (await kernel.execute("from_profile", seconds=60)).error_name == "NameError"
    assert sorted(tmp_path.rglob("*")) == before


async def test_the_limit_of_open_files_is_raised_and_bounds_the_kernels():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        places = pools.raise_open_files()
        now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert now == min(hard, pools.WANTED_DESCRIPTORS)
        assert places == max(1, (now - pools.DESCRIPTORS_OF_OTHERS) // pools.DESCRIPTORS_PER_KERNEL)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_where_the_system_refuses_many_open_files_fewer_are_asked_for(monkeypatch):
    import resource

    now = [256]

    def refuse(kind, limits):
        if limits[0] > 10_240:  # as macOS does
            raise ValueError("current limit exceeds maximum limit")
        now[0] = limits[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _: (now[0], resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert pools.raise_open_files() > 200
    assert now == [10_240]


async def test_kernels_leave_no_descriptor_and_no_thread_behind():
    import threading

    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    async with opened() as pool:
        async with started(pool):
            pass
        before, threads = count(), threading.active_count()
        for _ in range(3):
            async with started(pool) as kernel:
                await kernel.execute("import os; os._exit(1)", seconds=60)
        await asyncio.sleep(0.2)  # zmq closes its sockets in its own thread
        assert count() <= before + 1
        assert threading.active_count() <= threads


# ------------------------------------------------------------------------------------------ for others


def test_the_entry_point_names_the_provisioner():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    group = "jupyter_client.kernel_provisioners"
    (name, value), *_ = tomllib.loads(text)["project"]["entry-points"][group].items()
    assert name == "rlm-fork"
    assert EntryPoint(name, value, group).load() is fork_provisioner.ForkProvisioner


async def test_jupyter_clients_own_manager_works_with_a_forked_kernel(monkeypatch, tmp_path):
    """Start, run, interrupt, restart and shut down, as Jupyter does with any kernelspec that names `rlm-fork`."""
    monkeypatch.setenv("RLM_TEST_API_KEY", "planted")
    spec = KernelSpec(argv=ORDINARY, display_name="forked", language="python", interrupt_mode="signal")
    manager = AsyncKernelManager(transport="ipc", connection_file=str(tmp_path / "c.json"))
    manager._kernel_spec = spec
    manager.provisioner = fork_provisioner.ForkProvisioner(kernel_id="k", kernel_spec=spec, parent=manager)
    client = None
    try:
        await manager.start_kernel(extra_arguments=["--HistoryManager.enabled=False"])
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        reply = await client.execute(
            "import os; x = os.environ.get('RLM_TEST_API_KEY')",
            user_expressions={"x": "x"},
            reply=True,
            timeout=30,
        )
        assert reply["content"]["user_expressions"]["x"]["data"]["text/plain"] == "None"
        first = manager.provisioner.pid
        sleeping = asyncio.ensure_future(
            client.execute("import time; time.sleep(600)", reply=True, timeout=60)
        )
        await asyncio.sleep(0.3)
        await manager.interrupt_kernel()
        assert (await sleeping)["content"]["ename"] == "KeyboardInterrupt"
        await manager.restart_kernel(now=True)
        await client.wait_for_ready(timeout=60)
        assert manager.provisioner.pid != first
        assert gone(first) == []
        last = manager.provisioner.pid
        assert await manager.is_alive()
        await manager.shutdown_kernel()
        assert not await manager.is_alive()
        assert gone(last) == []
    finally:
        if client is not None:
            client.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)
        fork_provisioner.shared_supervisor().close()


def test_descriptors_that_the_supervisor_receives_are_not_inherited():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(theirs, [b"{}"], [theirs.fileno(), ours.fileno()])
        data, fds = forkserver._receive(ours)
        assert (data, [os.get_inheritable(fd) for fd in fds]) == (b"{}", [False, False])
        frames.close_all(fds)


def test_the_oldest_python_that_is_asked_of_a_kernel_is_the_one_that_the_guest_needs():
    oldest = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "requires-python"
    ].removeprefix(">=")
    with pytest.raises(KernelStartError, match=rf"Python {oldest} or newer"):
        startup.read_report({"status": "error"}, "old")
