"""Runs whose agents' kernels live behind a real Jupyter Kernel Gateway."""

import asyncio
import contextlib
import json
import time
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import psutil
import pytest
from gateway_server import TOKEN, Gateway
from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from kernel_parts import opened, shown, started
from scripts import by_question
from tornado.httpclient import HTTPClientError

from rlm_jupyter import RLM, Limits
from rlm_jupyter.errors import (
    KernelDiedError,
    KernelStartError,
    LimitReachedError,
    RunStoppedError,
    UnsafeValueError,
)
from rlm_jupyter.kernels.bridge.control_bridge import ControlBridge
from rlm_jupyter.kernels.channels import gateway as gateways
from rlm_jupyter.kernels.channels.websocket import decode, encode


@pytest.fixture(scope="module")
def server():
    with contextlib.closing(Gateway()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", TOKEN)
        yield server


@pytest.fixture
def ask(server, tmp_path):
    """Ask with kernels behind the gateway; afterwards nothing is left there."""
    open_runs = []

    def start(script, question="root", context=None, *, limits=None, wait=True, **options):
        rlm = RLM(
            model=by_question(script), limits=limits, log_dir=tmp_path, cache=False, kernel=server.kernel
        )
        run = rlm.start(question, context, **options)
        open_runs.append(run)
        return run.wait(100) if wait else run

    yield start
    for run in open_runs:
        run.close()
    assert server.left() == []


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_run_with_sub_agents_gets_frames_and_gives_frames(ask, server, tmp_path):
    frame = pd.DataFrame({"k": np.arange(60_000) % 7, "v": np.linspace(0, 1, 60_000), "s": "täxt"})
    run = ask(
        {
            "root": [
                (
                    "parts = rlm_query_batched(['part'] * 2, [context.iloc[::2], context.iloc[1::2]])\n"
                    "import pandas as pd, os\nwhole = pd.concat(parts).sort_index()\nsecret = lambda: 1\nwhere = os.getcwd()"
                ),
                "print(llm_query('say'), whole.shape)\nFINAL(whole)",
            ],
            "part": [
                "import os\nassert os.environ['MINE'] == 'yes-it-is'\nFINAL(context.assign(double=context.v * 2))"
            ],
        },
        context=frame,
        env={"MINE": "yes-it-is"},
    )
    expected = frame.assign(double=frame.v * 2)
    pd.testing.assert_frame_equal(run.raise_for_error().value, expected)
    assert len(server.kernels()) == 3
    pd.testing.assert_frame_equal(run.agents["0"].pull("whole"), expected)
    assert len(run.agents["0.2"].pull("context")) == 30_000
    with pytest.raises(UnsafeValueError):
        run.agents["0"].pull("secret")
    assert run.agents["0"].pull("secret", trust=True)() == 1
    assert run.agents["0"].execute("where.count('rlm-'), 6 * 7").output == "(1, 42)\n"
    assert run.agents["0.1"].pull("context").shape == (30_000, 3)
    assert "decided there" in run.log_path.read_text()


def test_a_stopped_run_leaves_its_kernels_idle_and_then_none(ask, server):
    run = ask(
        {
            "root": ["rlm_query_batched(['hang', 'spin'])"],
            "hang": ["import time; time.sleep(600)"],
            "spin": ["while True: pass"],
        },
        wait=False,
    )
    until(lambda: len(server.kernels()) == 3 and len(run.agents) == 3)
    time.sleep(0.5)
    run.stop()
    assert run.wait(60).status == "stopped"
    with pytest.raises(RunStoppedError):
        run.raise_for_error()


def test_a_branch_that_is_stopped_ends_alone_and_what_it_had_stays(ask):
    run = ask(
        {
            "root": ["parts = rlm_query_batched(['hang', 'part'])\nFINAL([str(part) for part in parts])"],
            "hang": ["kept = 7", "import time; time.sleep(600)"],
            "part": ["import pandas as pd\nFINAL(pd.Series([1, 2]).sum())"],
        },
        wait=False,
    )
    until(lambda: "kept" in (run.tree.agents["0.1"].variables if "0.1" in run.tree.agents else ()))
    until(lambda: len(run.tree.agents["0.1"].turns) == 2)
    run.stop("0.1")
    stopped, value = run.wait(60).raise_for_error().value
    assert "stopped" in stopped
    assert value == "3"
    assert run.agents["0.1"].pull("kept") == 7
    assert run.agents["0.1"].execute("kept + 1").output == "8\n"


def test_limits_of_money_and_of_a_cells_time_hold(ask):
    run = ask({"root": ["for i in range(9): llm_query(str(i))"]}, limits=Limits(calls=4))
    assert run.status == "limit"
    assert isinstance(run.error, LimitReachedError)
    turns = ["kept = 1\nwhile True: pass", "FINAL(kept)"]
    assert ask({"root": turns}, limits=Limits(cell_seconds=3)).value == 1


def test_a_kernel_that_dies_is_replaced_and_the_run_goes_on(ask, server):
    run = ask({"root": ["import os; os._exit(1)", "FINAL(len(context))"]}, context=[1, 2, 3])
    assert run.raise_for_error().value == 3
    assert len(server.kernels()) == 1  # not the one that the gateway started in its place


@pytest.mark.parametrize("how", ["culled", "killed"])
async def test_the_end_of_a_kernel_by_others_is_noticed(server, how, monkeypatch):
    monkeypatch.setattr(gateways, "_WATCH_SECONDS", 0.3)
    async with opened() as pool, started(pool, kernelspec=server.kernel) as kernel:
        cell = asyncio.create_task(kernel.execute("import time; time.sleep(600)", seconds=None))
        await asyncio.sleep(0.5)
        if how == "culled":
            await asyncio.to_thread(server.ask, f"/api/kernels/{server.kernels()[0]}", "DELETE")
        else:
            for process in psutil.Process(server.process.pid).children():
                if "ipykernel_launcher" in process.cmdline():
                    process.kill()
        result = await asyncio.wait_for(cell, 60)
        assert (result.status, result.restarted) == ("died", True)
        assert "ended where it runs" in result.error_value
        assert await shown(kernel, "llm_query('on')") == "'reply to on'"
    assert server.left() == []


async def test_what_a_cell_started_and_wrote_goes_with_its_kernel(server):
    code = (
        "import subprocess, os, time\nopen('file', 'w').write('x')\nos.mkdir('shut'); os.chmod('shut', 0)\n"
        "pid = os.fork()\nif not pid:\n    os.setsid(); time.sleep(600)\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True).pid, pid"
    )
    async with opened() as pool, started(pool, kernelspec=server.kernel) as kernel:
        pids = eval(await shown(kernel, code))
        assert all(map(psutil.pid_exists, pids))
    assert server.left() == []
    until(lambda: not any(map(psutil.pid_exists, pids)))


async def test_a_gateway_that_refuses_to_end_a_kernel_is_asked_again(server, monkeypatch):
    ask, refused = gateways.GatewayManager._ask, []

    async def busy(self, method, path, *args, **options):
        if method == "DELETE" and len(refused) < 2:
            refused.append(path)
            raise HTTPClientError(500)
        return await ask(self, method, path, *args, **options)

    monkeypatch.setattr(gateways.GatewayManager, "_ask", busy)
    async with opened() as pool, started(pool, kernelspec=server.kernel) as kernel:
        assert await shown(kernel, "1") == "1"
    assert len(refused) == 2
    assert server.left() == []


async def test_a_websocket_that_breaks_is_opened_again_and_nothing_is_lost(server):
    async with opened() as pool, started(pool, kernelspec=server.kernel) as kernel:
        client = kernel._process._channels.client
        cell = asyncio.create_task(
            kernel.execute("r = [llm_query(str(i / 1000)) for i in range(100)]\nlen(set(r))", seconds=60)
        )
        for _ in range(3):
            await asyncio.sleep(0.3)
            connect, client._connect = client._connect, None
            for task in asyncio.all_tasks():
                if task.get_coro().__qualname__ == "WebsocketClient._send":
                    task.get_coro().cr_frame.f_locals["websocket"].close()
            client._connect = connect
        result = await cell
        assert (result.status, result.output) == ("ok", "100\n")


async def test_the_end_of_the_gateway_is_the_end_of_its_kernels(monkeypatch):
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setattr(gateways, "_WATCH_SECONDS", 0.3)
    server = await asyncio.to_thread(Gateway)
    try:
        async with opened() as pool, started(pool, kernelspec=server.kernel) as kernel:
            cell = asyncio.create_task(kernel.execute("llm_query('600')", seconds=None))
            await asyncio.sleep(0.5)
            processes = psutil.Process(server.process.pid).children(recursive=True)
            server.process.kill()
            with pytest.raises(KernelStartError, match="cannot be reached"):
                await asyncio.wait_for(cell, 60)
            with pytest.raises(KernelDiedError):
                await kernel.bridge.request("describe", {})
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kernel": "{url}/none"}, r"has no kernelspec `none`. It has: .*`python3`"),
        ({"token": "wrong"}, r"refuses us \(HTTP 401\).*`JUPYTER_GATEWAY_AUTH_TOKEN`"),
        ({"kernel": "http://127.0.0.1:9/python3"}, r"`127.0.0.1:9` cannot be reached"),
        ({"kernel": "{url}/python3?token=open"}, r"no password or token"),
        ({"kernel": "http://me:pass@127.0.0.1/python3"}, r"no password or token"),
        ({"kernel": "python3"}, r"`gateway:python3` names no kernel of a gateway.*JUPYTER_GATEWAY_URL"),
        ({"kernel": "ftp://h/python3"}, r"names no kernel of a gateway"),
        ({"sandbox": "bwrap"}, r"runs elsewhere, where the sandbox `bwrap` cannot hold it"),
    ],
    ids=["no such kernelspec", "no right", "nobody there", "a token", "a password", "no URL", "no scheme", "bwrap"],
)  # fmt: skip
async def test_what_is_wrong_is_said_with_the_way_out_and_without_a_secret(server, monkeypatch, change, says):
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", change.get("token", TOKEN))
    kernel = "gateway:" + change.get("kernel", "{url}/python3").format(url=server.url)
    async with opened() as pool:
        with pytest.raises(KernelStartError, match=says) as caught:
            await started(pool, kernelspec=kernel, sandbox=change.get("sandbox", "auto")).__aenter__()
    assert TOKEN not in str(caught.value)
    assert "pass@" not in str(caught.value)


async def test_the_url_and_the_default_kernelspec_may_come_from_elsewhere(server, monkeypatch):
    monkeypatch.setenv("JUPYTER_GATEWAY_URL", server.url + "/")
    async with opened() as pool:
        for name in ("gateway:python3", f"gateway:{server.url}/"):
            async with started(pool, kernelspec=name) as kernel:
                assert await shown(kernel, "llm_query('a')") == "'reply to a'"
                assert kernel.confinement["holds"] == []
                assert kernel.pid is None
    assert server.left() == []


class Elsewhere(LocalProvisioner):
    """A provisioner that is not ours: kernels that no descriptor reaches."""


async def test_a_kernelspec_with_a_provisioner_of_its_own_is_asked_over_the_control_channel(
    tmp_path, monkeypatch
):
    place = tmp_path / "kernels" / "cluster"
    place.mkdir(parents=True)
    spec = {
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "C",
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": "elsewhere"}},
    }
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key-0123456789")
    monkeypatch.setenv("KERNEL_SIZE", "large")
    point = EntryPoint("elsewhere", f"{__name__}:Elsewhere", KernelProvisionerFactory.GROUP_NAME)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Elsewhere)
    monkeypatch.setitem(KernelProvisionerFactory.instance().provisioners, "elsewhere", point)
    for launch in ("auto", "stock"):
        async with (
            opened(launch=launch) as pool,
            started(pool, kernelspec="cluster", env={"A": "b"}) as kernel,
        ):
            assert type(kernel.bridge) is ControlBridge
            code = "import os; os.environ['A'], os.environ['KERNEL_SIZE'], 'OPENAI_API_KEY' in os.environ"
            assert await shown(kernel, code) == "('b', 'large', False)"
            assert await shown(kernel, "llm_query('a'), FINAL(b'x' * 5_000_000)") == "('reply to a', None)"
            assert (await kernel.execute("import os; os._exit(3)", seconds=60)).restarted
            assert await shown(kernel, "llm_query('b')") == "'reply to b'"
            where = await shown(kernel, "import os; os.getcwd()")
        until(lambda where=where: not psutil.os.path.exists(eval(where)))


@pytest.mark.parametrize("buffers", [[], [b"one"], [b"", b"\xff" * 1000, b"three"]])
def test_websocket_messages_are_those_of_jupyter_server(buffers):
    from jupyter_client.session import Session
    from jupyter_server.services.kernels.connection.base import (
        deserialize_binary_message,
        serialize_binary_message,
    )

    session = Session(key=b"")
    message = session.msg("any", {"text": "é\u2028", "n": 1.5})
    sent = encode("control", [*session.serialize(message), *buffers])
    read = deserialize_binary_message(sent) if buffers else json.loads(sent)
    assert (
        read["channel"],
        read["content"],
        read["msg_type"] if "msg_type" in read else read["header"]["msg_type"],
    ) == ("control", message["content"], "any")
    assert [bytes(buffer) for buffer in read.get("buffers", [])] == buffers
    theirs = {**message, "channel": "iopub", "buffers": buffers}
    raw = serialize_binary_message(dict(theirs)) if buffers else json.dumps(theirs, default=str)
    channel, frames, header, content = decode(raw)
    assert (channel, header["msg_type"], content) == ("iopub", "any", message["content"])
    back = session.deserialize(session.feed_identities(frames)[1])
    assert back["content"] == message["content"]
    assert [bytes(buffer) for buffer in back["buffers"]] == buffers


@pytest.mark.parametrize(
    "message",
    [b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1\0\0\0\x08{}", b"\0\0\0\0", "", "[]", "{}", '{"header": 1}', "[" * 100_000, '{"header": {}, "metadata": {}, "content": 3}'],
    ids=range(11),
)  # fmt: skip
def test_broken_websocket_messages_are_known_as_such(message):
    import struct

    with pytest.raises((ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError)):
        decode(message)
