"""A real JupyterLab (or Notebook 7) and a real browser, for tests that look at what a user sees."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from programs import require

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

MAIN = {"lab": "jupyterlab.labapp", "notebook": "notebook.app"}
START = "import sys; sys.modules['rfc3987_syntax'] = None; from {module} import main; main()"
"""Starts a server without the grammar that conftest.py leaves out too."""


class Lab:
    """A Jupyter server over a directory of its own.

    Args:
        directory: of its notebooks, settings and kernels.
        application: `lab` or `notebook`.
        assistants: whether Jupyter's MCP server runs in it, at a port of its own; else it is off, as the default port
            is one for all servers of a machine.
        base: the path below which it is, as a hub has its users' servers; it then asks for a token, too.
    """

    def __init__(
        self, directory: Path, application: str = "lab", *, assistants: bool = False, base: str = ""
    ) -> None:
        self.directory = directory
        self.base, self.token = base, secrets.token_hex(16) if base else ""
        self.application = application
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.notebooks = directory / "notebooks"
        self.notebooks.mkdir(parents=True)
        settings = directory / "config" / "lab" / "user-settings"
        (settings / "@jupyterlab" / "apputils-extension").mkdir(parents=True)
        (settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false}'
        )
        own = {"ServerApp": {"jpserver_extensions": {"jupyter_server_mcp": assistants}}}
        own["MCPExtensionApp"] = {"mcp_port": 0}
        (directory / "config" / "jupyter_server_config.json").write_text(json.dumps(own))
        self._log = (directory / "server.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Lab:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RLM_", "JUPYTER"))},
            "JUPYTER_CONFIG_DIR": str(self.directory / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.directory / "runtime"),
            "JUPYTER_DATA_DIR": str(self.directory / "data"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.directory / "config" / "lab" / "user-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.directory / "workspaces"),
            "IPYTHONDIR": str(self.directory / "ipython"),
        }
        command = [
            *(sys.executable, "-c", START.format(module=MAIN[self.application])),
            *(
                "--no-browser",
                "--allow-root",
                f"--port={self.port}",
                f"--IdentityProvider.token={self.token}",
            ),
            f"--ServerApp.base_url={self.base}/",
            *("--ServerApp.password=", f"--ServerApp.root_dir={self.notebooks}"),
            "--LabApp.expose_app_in_browser=True",  # themes and panels are set as Lab's own menus do it
            "--ServerApp.disable_check_xsrf=True",  # `shut_kernels` speaks to the server without a browser
        ]
        self._process = subprocess.Popen(
            command,
            env=env,
            cwd=self.notebooks,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api", timeout=2):
                return self
            log = (self.directory / "server.log").read_text()[-3000:]
            assert self._process.poll() is None, f"the server ended: {log}"
            assert time.monotonic() < end, f"the server did not come up: {log}"
            time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{self.base}"

    @property
    def mcp_url(self) -> str:
        """Where its MCP server is."""
        (told,) = (self.directory / "runtime").glob("*mcp*.json")
        return json.loads(told.read_text())["url"]

    def write(self, name: str, cells: list[str]) -> Path:
        """Make a notebook of code cells."""
        import nbformat

        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        path = self.notebooks / name
        nbformat.write(book, path)
        return path

    def script(self, name: str, text: str) -> None:
        """Put a Python module beside the notebooks."""
        (self.notebooks / f"{name}.py").write_text(text)

    def open_gate(self, name: str) -> None:
        """Let the agents of a scripted question go on that wait for a file."""
        (self.notebooks / name).touch()

    def shut_kernels(self) -> None:
        """End all kernels of the server, as one who closes the lid and comes back tomorrow."""
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        listed = urllib.request.Request(f"{self.url}/api/sessions", headers=headers)
        with urllib.request.urlopen(listed, timeout=10) as answer:
            sessions = json.load(answer)
        for session in sessions:
            url = f"{self.url}/api/sessions/{session['id']}"
            request = urllib.request.Request(url, headers=headers, method="DELETE")
            with urllib.request.urlopen(request, timeout=10):
                pass


class Page:
    """A notebook in the browser."""

    def __init__(self, lab: Lab, page, name: str) -> None:
        self.lab, self.page, self.name = lab, page, name

    def open(self) -> Page:
        """Open it and wait for its cells; in the Lab that the page shows, if a test has left it one."""
        if self.page.url.startswith(f"{self.lab.url}/lab"):
            # Its value, the widget with all that this refers to, would be sent here.
            show = "async path => { await jupyterapp.commands.execute('docmanager:open', {path}); }"
            self.page.evaluate(show, self.name)
        else:
            kind = "lab/tree" if self.lab.application == "lab" else "notebooks"
            token = f"&token={self.lab.token}" if self.lab.token else ""
            self.page.goto(f"{self.lab.url}/{kind}/{self.name}?reset{token}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return self

    def wait_for_kernel(self) -> Page:
        """Wait until the kernel is idle."""
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
        return self

    @property
    def notebook(self):
        """The notebook without what is around it."""
        return self.page.locator(".jp-NotebookPanel-notebook:visible")

    def theme(self, name: str) -> None:
        """Choose a theme, as in the menu Settings."""
        light = str("Dark" not in name).lower()
        self.page.evaluate(
            "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name
        )
        self.page.wait_for_selector(
            f"body[data-jp-theme-light='{light}'][data-jp-theme-name='{name}']", state="attached"
        )

    def hide_sidebar(self) -> None:
        """Give the notebook the room of the file browser."""
        self.page.evaluate("jupyterapp.shell.collapseLeft()")

    def cell(self, number: int):
        """Returns a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def agent(self, id_: str):
        """Returns an agent's row in the tree."""
        return self.page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(id_)}\s")).first

    def choose(self, id_: str):
        """Open an agent's page and give it."""
        self.agent(id_).click()
        return self.panel(id_)

    def panel(self, id_: str):
        """Returns an agent's page."""
        return self.page.get_by_role("region", name=f"Agent {id_}", exact=True)

    def variables(self, id_: str):
        """Returns what an agent's page shows of its variables."""
        return self.panel(id_).get_by_role("region", name="Variables")

    def pull(self, id_: str, name: str, as_: str) -> None:
        """Ask for one of an agent's variables, as one who fills the form in."""
        part = self.variables(id_)
        part.get_by_role("option", name=re.compile(rf"^{name}\b")).click()
        part.get_by_role("textbox", name="Pull as").fill(as_)
        part.get_by_role("button", name="Pull", exact=True).click()

    @property
    def head(self):
        """The run's head."""
        return self.page.get_by_role("region", name="Run", exact=True)

    def run(self, number: int, *, wait: bool = True) -> None:
        """Run a cell; wait for its end."""
        self._press_run(number)
        if wait:
            self.wait_done(number)

    def ask(self, number: int, seconds: float = 60) -> None:
        """Run a cell with a question, and wait until its first agent is in the tree."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        end = time.monotonic() + seconds
        self._press_run(number)
        pressed = time.monotonic()
        while not self.agent("0").is_visible():
            assert time.monotonic() < end, f"no tree in cell {number}: {self.output(number)[:2000]}"
            if prompt.inner_text() == before and time.monotonic() - pressed > 5:
                self._press_run(number)  # Lab dropped the first, while it still connected to the kernel
                pressed = time.monotonic()
            self.page.wait_for_timeout(50)

    def _press_run(self, number: int) -> None:
        self.cell(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def run_first(self) -> None:
        """Run the first cell. While Lab still connects to the kernel it may drop that: then once more."""
        prompt = self.cell(0).locator(".jp-InputPrompt")
        for _ in range(10):
            self._press_run(0)
            end = time.monotonic() + 1
            while not prompt.inner_text().strip("[]: ") and time.monotonic() < end:
                self.page.wait_for_timeout(50)
            if prompt.inner_text().strip("[]: "):
                break
        self.wait_done(0)

    def wait_done(self, number: int, seconds: float = 60) -> None:
        """Wait until a cell has ended."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        end = time.monotonic() + seconds
        while not prompt.inner_text().strip("[]: ").isdigit():
            assert time.monotonic() < end, (
                f"cell {number} still runs: {self.cell(number).inner_text()[:2000]}"
            )
            self.page.wait_for_timeout(50)

    def busy(self, number: int) -> bool:
        """Whether a cell runs."""
        return "*" in self.cell(number).locator(".jp-InputPrompt").inner_text()

    def output(self, number: int) -> str:
        """What a cell shows below it."""
        area = self.cell(number).locator(".jp-OutputArea")
        return area.first.inner_text() if area.count() else ""

    def save(self) -> None:
        """Save the notebook, and wait until that is done."""
        path = self.lab.notebooks / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 60
        while path.stat().st_mtime_ns == before or not _is_whole(path):
            assert time.monotonic() < end, "the notebook was not saved"
            self.page.wait_for_timeout(50)


def _is_whole(path):
    try:
        return "cells" in json.loads(path.read_text())
    except ValueError:  # it is being written
        return False


@contextlib.contextmanager
def launched():
    """Returns a started browser."""
    # other tests import this file, and need no browser
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # its own 5 s are few beside other work
    chromium = require("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


VIEWPORT = {"width": 1300, "height": 1000}


def new_tab(browser):
    """Returns a page of its own; `errors` are what the widget did not catch."""
    tab = browser.new_page(viewport=VIEWPORT)
    watch(tab)
    return tab


@pytest.fixture
def page(browser):
    """A page of its own."""
    tab = new_tab(browser)
    yield tab
    with contextlib.suppress(Exception):
        tab.close()


# Whether the page was neither reloaded nor sent elsewhere; then all documents in it are closed without a question.
CLEARED = """
async () => {
  if (!window.leftByATest) return false;
  for (const shown of [...jupyterapp.shell.widgets('main')]) shown.dispose();
  jupyterapp.shell.expandLeft();
  if (document.body.dataset.jpThemeName !== 'JupyterLab Light')
    await jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'});
  return true;
}
"""


class LeftPage:
    """The page that shows JupyterLab to the tests, one after the other: loading it takes longer than most of them.

    A test leaves it without documents. A page that a test reloaded, closed, or sent elsewhere is not used again,
    nor is one with which a test failed.
    """

    def __init__(self, browser) -> None:
        self._browser = browser
        self._left = None

    def take(self):
        """Returns the page that was left, or a new one."""
        tab, self._left = self._left or new_tab(self._browser), None
        return tab

    def leave(self, tab, *, failed: bool) -> None:
        """Clear a page for the next test, or close it."""
        with contextlib.suppress(Exception):
            if not failed and tab.evaluate(CLEARED):
                tab.set_viewport_size(VIEWPORT)
                tab.mouse.move(0, 0)
                tab.errors = []
                self._left = tab
        if self._left is None:
            with contextlib.suppress(Exception):
                tab.close()


@contextlib.contextmanager
def opening(lab, left_page, session):
    """Returns what opens a notebook made of cells, and runs its first; its kernels end with this."""
    tab = left_page.take()
    failed = session.testsfailed

    def opened(name: str, cells: list[str]) -> Page:
        lab.write(name, cells)
        book = Page(lab, tab, name).open().wait_for_kernel()
        tab.evaluate("window.leftByATest = true")
        book.run_first()
        return book

    yield opened
    left_page.leave(tab, failed=session.testsfailed > failed or lab.application != "lab")
    for gate in lab.notebooks.glob("gate-*"):
        gate.unlink()
    lab.shut_kernels()


@pytest.fixture
def notebook(lab, left_page, request):
    """Open a notebook made of cells, and run its first; its kernels end with the test."""
    with opening(lab, left_page, request.session) as opened:
        yield opened


def watch(tab) -> None:
    """Note the errors of a page, and dismiss dialogs of Lab's own, such as one on a kernel slow to start."""
    tab.errors = []
    dialog = tab.locator(".jp-Dialog")
    tab.add_locator_handler(dialog, lambda: dialog.locator("button.jp-mod-accept").click())
    # A widget's module comes from a blob; Notebook 7 has errors of its own.
    tab.on(
        "pageerror", lambda error: tab.errors.append(error.stack) if "blob:" in (error.stack or "") else None
    )
