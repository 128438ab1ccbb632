"""Real shells and kernels for the tests of the magics."""

import atexit
import contextlib
import os
import sys
import time
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from traitlets.config import Config

REPOSITORY = Path(__file__).parents[2]


@contextlib.contextmanager
def terminal_shell(directory, *, load=True):
    """A terminal-like IPython shell, the one that `get_ipython` gives, with the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.ipython_dir = str(directory / "ipython")
    config.InteractiveShell.colors = "nocolor"
    config.RLMMagics.log_dir = str(directory / "logs")
    main = sys.modules["__main__"]
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        if load:
            shell.extension_manager.load_extension("rlm_jupyter")
        yield shell
    finally:
        shell.extension_manager.unload_extension("rlm_jupyter")
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()
        InteractiveShell.clear_instance()
        sys.modules["__main__"] = main  # a shell puts its own module there


def without_settings(monkeypatch):
    """Take keys and settings of this package out of the environment."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("RLM_"):
            monkeypatch.delenv(name)


@contextlib.contextmanager
def orders_shell(directory, monkeypatch):
    """A terminal-like shell that works in a directory, without keys and settings, and has a list `orders`."""
    monkeypatch.chdir(directory)
    without_settings(monkeypatch)
    with terminal_shell(directory) as shell:
        shell.user_ns["orders"] = [1, 2, 3]
        yield shell


class Notebook:
    """A real kernel of a notebook, driven as a frontend does."""

    def __init__(self, manager, client, directory):
        self.manager, self.client, self.directory = manager, client, directory

    def send(self, code):
        """Send a cell; give the id of the request."""
        return self.client.execute(code, stop_on_error=True)

    def reply(self, request, timeout=60):
        """Wait for a cell's reply."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            message = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if message["parent_header"].get("msg_id") == request:
                return message["content"]
        raise TimeoutError(f"no reply within {timeout} s")

    def outputs(self, request, timeout=60):
        """Collect what a cell showed until its kernel is idle."""
        found = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found
            found.append((message["msg_type"], message["content"]))

    def run(self, code, timeout=60):
        """Run a cell; give its reply and what it showed."""
        while True:
            request = self.send(code)
            reply = self.reply(request, timeout)
            outputs = self.outputs(request, timeout)
            if (
                reply["status"] != "aborted"
            ):  # as ipykernel does with what comes right after a cell that failed
                return reply, outputs

    def value(self, expression):
        """Returns the repr of an expression, evaluated in the kernel."""
        request = self.client.execute("", user_expressions={"value": expression}, silent=False)
        content = self.reply(request)["user_expressions"]["value"]
        return content["data"]["text/plain"] if content["status"] == "ok" else content

    def interrupt(self):
        """What the frontend's button does."""
        self.manager.interrupt_kernel()

    def wait_for(self, path, timeout=60):
        """Wait until an agent's cell has made a file."""
        end = time.monotonic() + timeout
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"no {path} within {timeout} s")
            time.sleep(0.02)


@contextlib.contextmanager
def notebook(directory, *, display="text"):
    """A real ipykernel in a directory of its own, with the extension loaded."""
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    env.update(PYTHONPATH=path, RLM_JUPYTER_DISPLAY=display, IPYTHONDIR=str(directory / "ipython"))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(directory), env=env, startup_timeout=60)
    try:
        book = Notebook(manager, client, directory)
        assert book.run("%load_ext rlm_jupyter")[0]["status"] == "ok"
        yield book
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
