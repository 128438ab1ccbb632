"""A real ipykernel with the guest in it, for tests: the bridge is served on a loop of its own, as in the engine."""

import asyncio
import re
import socket
import tempfile
import threading
from dataclasses import dataclass

from jupyter_client.manager import AsyncKernelManager

from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError, HostBridge
from rlm_jupyter.kernels.launch.guest_bundle import installing_code, loading_code
from rlm_jupyter.values.codec import api as codec

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def encode(value):
    """Returns a descriptor of the encoded value."""
    return codec.dump(value, allow_pickle=True)[0]


@dataclass
class Ran:
    """What a cell gave."""

    status: str
    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""


class GuestKernel:
    """A kernel, a bridge to it, and a handler that tests replace; use from any thread but the loop's."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.lost = threading.Event()
        self.reset()
        self.on_loop(self._start())

    def reset(self):
        self.handler = self.answer
        self.ops = []  # (op, body) of all requests but cell_done
        self.finals = []
        self.changes = []  # bodies of cell_done
        self.cancelled = []  # prompts whose handler was cancelled
        self.budget = {"calls": 7, "cost": 0.5, "seconds": None}

    def on_loop(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    async def _start(self):
        ours, theirs = socket.socketpair()
        # Without a place for them its sockets would lie in the working directory. Paths of sockets must be short.
        self.place = tempfile.TemporaryDirectory(prefix="g", ignore_cleanup_errors=True)
        self.manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{self.place.name}/k")
        number = theirs.fileno()
        await self.manager.start_kernel(
            pass_fds=(number,),
            extra_arguments=["--HistoryManager.enabled=False"],
            stderr=asyncio.subprocess.DEVNULL,
        )
        theirs.close()
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=60)
        self.bridge = HostBridge(ours, self._handle, self.lost.set)
        wake = "from rlm_jupyter.guest.ipykernel_hooks.interrupt_wakeup import wake_on_interrupt as _wake; _wake()\n"
        ran = await self._execute(f"{wake}{loading_code()}\n{installing_code(number)}", silent=True)
        assert ran.status == "ok", ran.error

    async def _handle(self, op, body, fds):
        if op == "cell_done":
            self.changes.append(body)
            return {}, []
        self.ops.append((op, body))
        try:
            return await self.handler(op, body, fds)
        except asyncio.CancelledError:
            self.cancelled.append(body.get("prompt"))
            raise

    async def answer(self, op, body, fds):
        """Answer as a small engine would."""
        if op == "final":
            self.finals.append(codec.load(fds[0], allow_pickle=True))
            return {}, []
        if op == "budget":
            return self.budget, []
        prompt = body["prompt"]
        if prompt.startswith("fail"):
            raise BridgeError("failed", f"no answer to {prompt}")
        if prompt.startswith("hang"):
            await asyncio.Event().wait()
        if op == "rlm_query":
            context = codec.load(fds[0], allow_pickle=True) if fds else None
            return {}, [encode({"question": prompt, "context": context})]
        return f"<{prompt}>", []

    def run(self, code, *, interrupt=None, timeout=60):
        """Run a cell; `interrupt` is an event of this thread's choosing after which SIGINT is sent."""
        return self.on_loop(self._execute(code, interrupt=interrupt), timeout)

    async def _execute(self, code, *, silent=False, interrupt=None):
        told = self.bridge.next_end()
        number = self.client.execute(code, silent=silent)
        ran = Ran("ok")
        if interrupt is not None:
            task = asyncio.ensure_future(self._interrupt(interrupt))
        while True:
            message = await self.client.get_iopub_msg(timeout=60)
            content = message["content"]
            if message["parent_header"].get("msg_id") != number:
                continue
            if message["msg_type"] == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
            elif message["msg_type"] == "execute_result":
                ran.result = content["data"]["text/plain"]
            elif message["msg_type"] == "error":
                ran.error = ANSI.sub("", "\n".join(content["traceback"]))
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = await self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == number:
                break
        if not silent and not self.bridge.closed:
            await asyncio.wait({told}, timeout=20)  # as `AgentKernel` does
        if interrupt is not None:
            await task
        ran.status = reply["content"]["status"]
        if ran.status == "error":
            ran.error = (
                ran.error
                or ANSI.sub("", "\n".join(reply["content"]["traceback"]))
                or reply["content"]["ename"]
            )
        return ran

    async def _interrupt(self, condition):
        while not condition():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await self.manager.interrupt_kernel()

    def ask(self, op, body=None, fds=(), timeout=30):
        """Send a request of the engine to the kernel."""
        return self.on_loop(self.bridge.request(op, body or {}, fds, timeout))

    def clear(self):
        """Forget the agent's variables and the data that was loaded."""
        self.run(
            "_guest = __import__('sys').modules['_rlm.guest.agent_side']._here()\n"
            "for _name in _guest.variables.current(): get_ipython().user_ns.pop(_name)\n"
            "_guest.data_names.clear()"
        )

    def load(self, value, *names, item_names=None):
        return self.ask("load", {"names": list(names), "item_names": item_names}, [encode(value)])[0]

    def pull(self, name, allow_pickle=True):
        body, fds = self.ask("export", {"name": name, "allow_pickle": allow_pickle})
        try:
            return body, codec.load(fds[0], allow_pickle=True)
        finally:
            frames.close_all(fds)

    def close(self):
        async def end():
            self.bridge.close()
            if self.bridge._tasks:
                await asyncio.wait(self.bridge._tasks)
            self.client.stop_channels()
            await self.manager.shutdown_kernel(now=True)

        self.on_loop(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.place.cleanup()
