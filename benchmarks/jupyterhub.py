"""`python -m benchmarks.jupyterhub`: a real JupyterHub below a prefix, two users, and what each sees in a real browser.

The hub, JupyterLab and this package are installed into an environment of their own (`.venvs/jupyterhub`; 1 GB and a
network, which is why it is not part of the tests), the proxy by npm beside them. The hub listens on loopback, takes any
name with one password, and starts each user's server as a process (`simple`). The browser is that of the tests:
Playwright with Debian's chromium. Each line says what was tried and whether it held; the exit code is 1 if anything did
not. `--shots DIR` keeps pictures of the pages.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests")]

import psutil  # noqa: E402 - as the next, of the tests
from lab import Page, launched, new_tab  # noqa: E402
from mcp import Client  # noqa: E402
from mcp_client_parts import call  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

HUB = "6.1"
PROXY = "5"
PREFIX = "/course"
PASSWORD = "one-password-for-all-0123"
SERVICE_TOKEN = "0123456789abcdef0123456789abcdef"
START_SECONDS = 180.0
END_SECONDS = 60.0
SOON = 90_000
USERS = ("ada", "ben")

SETTINGS = """
c.JupyterHub.bind_url = 'http://127.0.0.1:{port}{prefix}/'
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{api_port}'
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.db_url = 'sqlite:///hub.sqlite'
c.JupyterHub.authenticator_class = 'dummy'
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = 'simple'
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.cmd = [{single!r}]
c.Spawner.args = ['--allow-root', '--LabApp.expose_app_in_browser=True', '--MCPExtensionApp.mcp_port=0']
c.Spawner.default_url = '/lab'
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.Spawner.environment = {environment!r}
c.JupyterHub.services = [{{'name': 'culler', 'api_token': {token!r}}}]
c.JupyterHub.load_roles = [{{'name': 'culler', 'services': ['culler'],
                            'scopes': ['admin:servers', 'list:users', 'read:servers']}}]
"""

WORK = r"""
import asyncio, pathlib
from rlm_jupyter.models import ScriptedModel

async def reply(messages):
    if any("Question:\npart\n" in m["content"] for m in messages):
        while not pathlib.Path("gate").exists():
            await asyncio.sleep(0.05)
        return "```repl\nFINAL(context * 2)\n```"
    if any("Question:\nsum\n" in m["content"] for m in messages):
        return "```repl\nFINAL(sum(context))\n```"
    if any("Question:\nkeys\n" in m["content"] for m in messages):
        return "```repl\nimport os\nFINAL(sorted(os.environ.items()))\n```"
    if not any(m["role"] == "assistant" for m in messages):
        return "```repl\nkept = 6\n```"
    return "```repl\nFINAL(rlm_query('part', context=21))\n```"

script = ScriptedModel(reply, price=(1, 1))
"""

SETUP = "%load_ext rlm_jupyter\nfrom work import script"
ASK = "%%rlm -m script -o found\nwhole"
FIRST = [SETUP, "%%rlm -m demo\nWhat is this?", "%rlm doctor"]
LIVE = [
    SETUP,
    ASK,
    "found",
    "%rlm export run.html",
    "%%rlm -m script -o seen\nkeys",
    """import os
token = os.environ['JUPYTERHUB_API_TOKEN']
print('token', token in str(seen), 'names', [name for name, _ in seen if name.startswith('JUPYTER')])""",
]
WHOLE_PAGE = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are in the page, too
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@dataclass
class Report:
    """What was tried, and whether it held."""

    lines: list[tuple[str, bool, str]] = field(default_factory=list)

    def add(self, what: str, good: bool, told: str = "") -> None:
        self.lines.append((what, good, told))
        print(f"| {what} | {'yes' if good else '**no**'} | {told} |", flush=True)

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Note whether a part of the story holds; what fails does not end the rest."""
        try:
            yield
        except Exception as error:
            self.add(what, good=False, told=" ".join(str(error).split())[:300])
        else:
            self.add(what, good=True)


def environment() -> Path:
    """Returns the environment of the hub, installed if it is not."""
    home = ROOT / ".venvs" / "jupyterhub"
    pip = str(home / "bin" / "pip")
    if not (home / "bin" / "jupyterhub-singleuser").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        packages = [
            f"jupyterhub=={HUB}.*",
            "jupyterlab>=4.4",
            "jupyter-server-mcp>=0.4",
            "-e",
            f"{ROOT}[mcp]",
        ]
        subprocess.run([pip, "install", "-q", *packages], check=True)
    if not (home / "node_modules" / ".bin" / "configurable-http-proxy").exists():
        npm = ["npm", "install", "--silent", "--prefix", str(home), f"configurable-http-proxy@{PROXY}"]
        subprocess.run(npm, check=True)
    return home


class Hub:
    """A JupyterHub on loopback."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.port, hub_port, api_port = free_ports(3)
        (folder / "hub").mkdir()
        # The prices of a course, and a limit for each user: shared by all servers.
        budget = folder / "course.toml"
        budget.write_text("[user.day]\ncalls = 500\n")
        for user in USERS:
            self.notebooks(user).mkdir(parents=True)
            (self.notebooks(user) / "work.py").write_text(WORK)
            for name, values in WHOLE_PAGE.items():
                path = (
                    self.notebooks(user)
                    / f".jupyter/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(values))
        given = {
            "RLM_BUDGET": str(budget),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "OPENAI_API_KEY": "sk-planted-key-of-the-course-0123456789",
        }
        text = SETTINGS.format(
            port=self.port,
            hub_port=hub_port,
            api_port=api_port,
            prefix=PREFIX,
            password=PASSWORD,
            token=SERVICE_TOKEN,
            environment=given,
            homes=str(folder / "homes" / "{username}"),
            proxy=str(home / "node_modules" / ".bin" / "configurable-http-proxy"),
            single=str(home / "bin" / "jupyterhub-singleuser"),
        )
        (folder / "hub" / "jupyterhub_config.py").write_text(text)

    def notebooks(self, user: str) -> Path:
        """Returns the home of a user."""
        return self.folder / "homes" / user

    def __enter__(self) -> Hub:
        dropped = ("RLM_", "JUPYTER", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        env["PATH"] = f"{self.home / 'bin'}:{env['PATH']}"
        self._log = (self.folder / "hub.log").open("wb")
        self._process = subprocess.Popen(
            [str(self.home / "bin" / "jupyterhub"), "-f", "jupyterhub_config.py"],
            env=env,
            cwd=self.folder / "hub",
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.until(self._is_up, "the hub did not come up", START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        with contextlib.suppress(RuntimeError):  # the proxy is there before the hub
            return self.api("GET", "/") is not None
        return False

    def __exit__(self, *_: object) -> None:
        children = psutil.Process(self._process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._process.kill()
        self._process.wait()
        self._log.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    def api(self, method: str, path: str, data: Any = None) -> Any:
        """Ask the hub as its culler does; None if it is not up."""
        body = None if data is None else json.dumps(data).encode()
        headers = {"Authorization": f"token {SERVICE_TOKEN}"}
        request = urllib.request.Request(f"{self.url}/hub/api{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:200]!r}") from None
        except OSError:
            return None
        return json.loads(text) if text else {}

    def until(self, holds: Callable[[], bool], failure: str, seconds: float = END_SECONDS) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end or self._process.poll() is not None:
                log = (self.folder / "hub.log").read_text()[-3000:]
                raise RuntimeError(f"{failure}: {log}")
            time.sleep(0.2)

    def server(self, user: str) -> psutil.Process:
        """Returns the process of a user's server."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                single = any("jupyterhub-singleuser" in word for word in process.cmdline())
                if single and process.cwd() == str(self.notebooks(user)):
                    return process
        raise RuntimeError(f"no server of {user}")


@dataclass
class Place:
    """The server of a user, as `lab.Page` has a server."""

    hub: Hub
    user: str
    application: str = "lab"

    @property
    def url(self) -> str:
        """Below the prefix of the hub."""
        return f"{self.hub.url}/user/{self.user}"

    @property
    def notebooks(self) -> Path:
        """The home of the user."""
        return self.hub.notebooks(self.user)


def free_ports(number: int) -> list[int]:
    """Returns ports that nobody listens on."""
    with contextlib.ExitStack() as open_now:
        probes = [open_now.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def write(path: Path, cells: list[str]) -> None:
    """Write a notebook."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = [
        {
            "cell_type": "code",
            "id": f"c{n}",
            "source": text,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for n, text in enumerate(cells)
    ]
    book = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book))


def sign_in(hub: Hub, tab: Any, user: str) -> None:
    """Sign a user in, and wait until the user's Lab is there."""
    tab.goto(f"{hub.url}/hub/login?next={PREFIX}/hub/spawn", timeout=SOON)
    tab.fill("#username_input", user)
    tab.fill("#password_input", PASSWORD)
    tab.click("#login_submit")
    tab.wait_for_url(re.compile(f"{PREFIX}/user/{user}/lab"), timeout=START_SECONDS * 1000)


def open_fresh(book: Page) -> None:
    """Open a notebook in a Lab of its own, whatever the page shows."""
    book.page.goto(f"{book.lab.url}/lab/tree/{book.name}?reset", timeout=SOON)
    book.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=SOON)
    book.wait_for_kernel()


def story(hub: Hub, tab: Any, user: str, report: Report, shot: Callable[[Any, str], None]) -> None:
    """Tell what a user sees, from `%load_ext` to a server that is culled while agents work."""
    place = Place(hub, user)
    write(place.notebooks / "first.ipynb", FIRST)
    write(place.notebooks / "live.ipynb", LIVE)
    sign_in(hub, tab, user)
    book = Page(place, tab, "first.ipynb")
    with report.trying(f"{user}: `%load_ext` below `{PREFIX}/user/{user}/`"):
        open_fresh(book)
        book.run_first()
    with report.trying(f"{user}: the demo's answer, and its tree as a widget"):
        book.run(1)
        expect(book.cell(1).get_by_role("tree").first).to_be_visible(timeout=SOON)
        shot(tab, f"{user}-demo")
    with report.trying(f"{user}: `%rlm doctor` runs"):
        book.run(2)
        (hub.folder / f"{user}-doctor.txt").write_text(book.output(2))
    live(hub, Page(place, tab, "live.ipynb"), user, report, shot)
    assistant(Page(place, tab, "assistant.ipynb"), user, report, shot)
    report.add(f"{user}: the page has no errors of the widget", tab.errors == [], "; ".join(tab.errors)[:200])


def live(hub: Hub, book: Page, user: str, report: Report, shot: Callable[[Any, str], None]) -> None:
    """Tell what a user sees of a run while its cell runs, and what is left of it."""
    place, tab = Place(hub, user), book.page
    with report.trying(f"{user}: the tree grows while the cell runs"):
        open_fresh(book)
        book.run_first()
        book.ask(1, seconds=90)
        expect(book.agent("0.1")).to_be_visible(timeout=SOON)
        assert book.busy(1)
    with report.trying(f"{user}: an agent's variable is pulled while the cell runs"):
        book.choose("0")
        book.pull("0", "kept", "mine")
        expect(book.variables("0")).to_contain_text("mine", timeout=SOON)
        assert book.busy(1)
        shot(tab, f"{user}-live")
    with report.trying(f"{user}: the cell ends with the answer"):
        (place.notebooks / "gate").touch()
        book.wait_done(1, seconds=90)
        book.run(2)
        assert "42" in book.output(2), book.output(2)
    with report.trying(f"{user}: the run is exported as a page"):
        book.run(3)
        assert (place.notebooks / "run.html").stat().st_size > 10_000
    with report.trying(
        f"{user}: neither an agent's kernel nor a log has the hub's token or the course's key"
    ):
        book.run(4)
        book.run(5)
        assert "token False names []" in book.output(5), book.output(5)
        logs = "".join(path.read_text() for path in (place.notebooks / "rlm_runs").glob("*.jsonl"))
        assert logs
        assert "sk-planted" not in logs


def assistant(book: Page, user: str, report: Report, shot: Callable[[Any, str], None]) -> None:
    """Tell what comes of a question that an assistant asks by the MCP server in the user's server."""
    place = book.lab
    setup = f"{SETUP}\n%config RLMMagics.model = 'script'\ntable = list(range(21))"
    write(place.notebooks / book.name, [setup, "%rlm assistant --max-cost 0.5"])
    told: dict[str, Any] = {}

    async def ask() -> None:
        (found,) = (place.notebooks / ".local/share/jupyter/runtime").glob("*mcp*.json")
        async with Client(json.loads(found.read_text())["url"]) as client:
            told.update(await call(client, "rlm_ask", variable="table", question="sum"))

    with report.trying(
        f"{user}: an assistant asks by the MCP server, and its tree is below the cell that allows it"
    ):
        open_fresh(book)
        book.run_first()
        book.run(1)
        asking = threading.Thread(target=lambda: asyncio.run(ask()))
        asking.start()
        expect(book.cell(1).locator(".rlm-card")).to_contain_text("210", timeout=SOON)
        asking.join()
        assert told["status"] == "done", told
        shot(book.page, f"{user}-assistant")


def culled(hub: Hub, tab: Any, user: str, report: Report, shot: Callable[[Any, str], None]) -> None:
    """Tell what becomes of agents at work when the hub ends their user's server."""
    place = Place(hub, user)
    (place.notebooks / "gate").unlink(missing_ok=True)
    write(place.notebooks / "culled.ipynb", [SETUP, ASK])
    book = Page(place, tab, "culled.ipynb")
    with report.trying(
        f"{user}: all of a user's processes end with a server that is culled, agents at work or not"
    ):
        open_fresh(book)
        book.run_first()
        book.ask(1, seconds=90)
        expect(book.agent("0.1")).to_be_visible(timeout=SOON)
        server = hub.server(user)
        below = server.children(recursive=True)
        assert len(below) > 2, below
        hub.api("DELETE", f"/users/{user}/server")
        hub.until(lambda: not any(alive(one) for one in [server, *below]), "processes are left")
    with report.trying(f"{user}: after that, the log is there and `%rlm resume` goes on"):
        logs = sorted((place.notebooks / "rlm_runs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        run = logs[-1].stem
        write(place.notebooks / "again.ipynb", [SETUP, f"%rlm resume {run} -m script"])
        (place.notebooks / "gate").touch()
        tab.goto(f"{hub.url}/hub/spawn/{user}", timeout=SOON)
        tab.wait_for_url(re.compile(f"{PREFIX}/user/{user}/lab"), timeout=START_SECONDS * 1000)
        book = Page(place, tab, "again.ipynb")
        open_fresh(book)
        book.run_first()
        book.run(1)
        assert "42" in book.output(1), book.output(1)[:500]
        shot(tab, f"{user}-resumed")


def alive(process: psutil.Process) -> bool:
    """Whether a process has not ended."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def shared(hub: Hub, report: Report) -> None:
    """Tell whether the budget that all servers share knows the users apart."""
    with report.trying("the budget that all share counts each user of the hub apart"):
        sums = json.loads((hub.folder / "course.toml.spent").read_text())
        told = json.dumps(sums)
        assert all(user in told for user in USERS), told[:300]


def without_namespaces(home: Path, report: Report) -> None:
    """Tell whether agents are confined where a container may make no user namespaces, as is usual at a hub."""
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces && ! unshare -U true 2> /dev/null"
    doctor = [str(home / "bin" / "rlm-jupyter"), "doctor"]
    command = ["unshare", "-Ur", "sh", "-c", f'{forbid} && exec "$@"', "sh", *doctor]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    found = next((line for line in told.splitlines() if line.startswith("Sandbox: ")), told[-200:])
    report.add("agents are confined without user namespaces", "files, network" in found, found)


def main() -> None:
    """Tell the story of two users, and of one whose server is culled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path, help="a directory for pictures of the pages")
    chosen = parser.parse_args()
    home, report = environment(), Report()

    def shot(tab: Any, name: str) -> None:
        if chosen.shots is not None:
            chosen.shots.mkdir(parents=True, exist_ok=True)
            tab.screenshot(path=str(chosen.shots / f"{name}.png"))

    print("| tried | held | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Hub(Path(folder), home) as hub, launched() as browser:
        for user in USERS:
            tab = new_tab(browser)  # with cookies of its own
            story(hub, tab, user, report, shot)
            if user == USERS[-1]:
                culled(hub, tab, user, report, shot)
            tab.close()
        shared(hub, report)
        log = (hub.folder / "hub.log").read_text()
        if chosen.shots is not None:
            (chosen.shots / "hub.log").write_text(log)
            for told in hub.folder.glob("*-doctor.txt"):
                (chosen.shots / told.name).write_text(told.read_text())
        report.add("the hub's log has no traceback", "Traceback" not in log)
    without_namespaces(home, report)
    sys.exit(0 if all(good for _, good, _ in report.lines) else 1)


if __name__ == "__main__":
    main()
