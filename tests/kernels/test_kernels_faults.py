"""What may go wrong between a kernel and this process: lost messages, taken paths, too many kernels, deaths."""
# No other work waits in these loops, and paths are strings as agents use them.

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_parts import Answers, gone, opened, shown, started

from rlm_jupyter.kernels import agent_kernel
from rlm_jupyter.kernels.channels import zmq_channels
from rlm_jupyter.kernels.launch import kernel_process
from rlm_jupyter.kernels.pool import KernelRequest

HERE = Path(__file__).parents[1]


def losing(monkeypatch, method, number):
    """Let the messages that a method takes be lost, from `number` on, `count` of them; give what to arm it with."""
    take = getattr(zmq_channels.Channels, method)
    lost = {"armed": False, "seen": 0, "gone": []}

    def maybe(self, message):
        if lost["armed"]:
            lost["seen"] += 1
            if lost["seen"] == number:
                lost["gone"].append(message["msg_type"])
                return
        take(self, message)

    monkeypatch.setattr(zmq_channels.Channels, method, maybe)
    return lost


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_a_message_of_output_that_is_lost_hangs_nothing(monkeypatch, number):
    lost = losing(monkeypatch, "_take_output", number)
    async with opened() as pool, started(pool) as kernel:
        lost["armed"] = True
        async with asyncio.timeout(60):
            result = await kernel.execute("print('out')", seconds=None)
        assert lost["gone"] in (["status"], ["execute_input"], ["stream"])
        assert result.status == "ok"
        assert result.output == ("" if lost["gone"] == ["stream"] else "out\n")
        assert await shown(kernel, "'next'") == "'next'"


async def test_a_reply_that_is_lost_costs_the_cells_time_and_no_more(monkeypatch):
    monkeypatch.setattr(agent_kernel, "GRACE_SECONDS", 0.5)
    lost = losing(monkeypatch, "_take_reply", 1)
    async with opened() as pool, started(pool) as kernel:
        await shown(kernel, "kept = 7")
        lost["armed"] = True
        async with asyncio.timeout(60):
            result = await kernel.execute("1 + 1", seconds=0.5)
        assert lost["gone"] == ["execute_reply"]
        assert (result.status, result.restarted) == ("timeout", False)
        assert await shown(kernel, "kept") == "7"


async def test_a_heartbeat_that_stops_is_no_death():
    async with opened(launch="stock") as pool, started(pool, sandbox="none") as kernel:
        code = "from ipykernel.kernelapp import IPKernelApp\nbeat = IPKernelApp.instance().heartbeat\nbeat.context.destroy(linger=0)\nbeat.join(60)\nbeat.is_alive()"
        assert await shown(kernel, code) == "False"
        assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"


async def test_a_socket_path_that_is_taken_stops_no_kernel(monkeypatch):
    squatters = []
    make = kernel_process.make_manager

    def taken(name, directory, context):
        for number in range(1, 6):
            squatter = socket.socket(socket.AF_UNIX)
            squatter.bind(str(directory / "sockets" / f"s-{number}"))
            squatter.listen()
            squatters.append(squatter)
        return make(name, directory, context)

    monkeypatch.setattr(kernel_process, "make_manager", taken)
    try:
        async with opened() as pool, started(pool) as kernel:
            assert len(squatters) == 5
            assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
    finally:
        for squatter in squatters:
            squatter.close()


@pytest.mark.parametrize("launch", ["auto", "stock"])
async def test_death_before_the_first_cell_is_found_without_a_cell(launch):
    async with opened(launch=launch) as pool, started(pool, sandbox="none") as kernel:
        os.kill(kernel.pid, 9)
        async with asyncio.timeout(60):
            await asyncio.shield(kernel._process.died)
        assert not kernel.alive
        assert (await kernel.execute("1", seconds=60)).status == "died"
        assert await shown(kernel, "'fresh'") == "'fresh'"


async def test_a_kernel_that_memory_runs_out_for_is_replaced_and_the_agent_is_told():
    """As the system's killer of processes does it."""
    async with opened() as pool, started(pool) as kernel:
        running = asyncio.ensure_future(kernel.execute("import time; time.sleep(600)", seconds=None))
        await asyncio.sleep(0.1)
        os.kill(kernel.pid, 9)
        result = await asyncio.wait_for(running, 60)
        assert (result.status, result.restarted) == ("died", True)
        assert "a machine without free memory" in result.error_value


async def test_two_hundred_kernels_live_at_once_and_are_gone_together():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))  # the usual one of a terminal
    told = []
    try:
        async with opened(notice=told.append) as pool:
            request = KernelRequest(run="many", agent="0")
            kernels = await asyncio.gather(*(pool.start(request, Answers()) for _ in range(200)))
            outputs = await asyncio.gather(
                *(shown(k, "llm_query('ask'); import os; os.getpid()", 100) for k in kernels)
            )
            pids = list(map(int, outputs))
            assert len(set(pids)) == 200
            assert all(kernel.alive for kernel in kernels)
            await pool.close_run("many")
            assert await asyncio.to_thread(gone, *pids) == []
        assert told == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


FEW = """
import asyncio, json, resource
from kernel_parts import Answers, opened, shown
from rlm_jupyter.kernels.pool import KernelRequest
resource.setrlimit(resource.RLIMIT_NOFILE, (320, 320))
async def main():
    told, most = [], 0
    async with opened(notice=told.append) as pool:
        async def work(number):
            nonlocal most
            kernel = await pool.start(KernelRequest(run="r", agent=str(number)), Answers())
            most = max(most, sum(map(len, pool._kernels.values())))
            out = await shown(kernel, f"llm_query('{number}')")
            await kernel.stop()
            return out
        outputs = await asyncio.gather(*(work(number) for number in range(12)))
    print(json.dumps([outputs, most, told]))
asyncio.run(main())
"""


async def test_where_few_files_may_be_open_kernels_take_turns_and_that_is_told():
    """The real limit, which cannot be raised again: in a process of its own."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FEW],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE / "support")])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs, most, told = json.loads(done.stdout)
    assert outputs == [f"'reply to {number}'" for number in range(12)]
    assert most <= 4
    assert "ulimit -n" in told[0]
