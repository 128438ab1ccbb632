"""marimo: an app without magics, run as a script and by the real server, its tree in a real browser."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from lab import watch
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]

APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    import asyncio
    from pathlib import Path

    import rlm_jupyter
    from rlm_jupyter.models import ScriptedModel

    async def reply(messages):
        if "part of it" in messages[1]["content"]:
            return "```repl\\ntotal = sum(context)\\nFINAL(total)\\n```"
        while not Path("go").exists():
            await asyncio.sleep(0.05)
        return "```repl\\nfound = rlm_query('part of it', context=context)\\nFINAL({'answer': found})\\n```"

    rlm = rlm_jupyter.RLM(model=ScriptedModel(reply), log_dir=None, cache=False)
    return rlm, rlm_jupyter


@app.cell
def _(rlm, rlm_jupyter):
    run = rlm.start("How much is it?", context=[20, 22])
    tree = rlm_jupyter.view(run, globals())
    tree
    return run, tree


if __name__ == "__main__":
    _, defined = app.run()
    run = defined["run"]
    print("VALUE", run.wait(60).value, type(defined["tree"]).__name__)
    run.close()
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path / "app.py"


def environment(directory):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RLM_")}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": paths, "XDG_CONFIG_HOME": str(directory), "XDG_STATE_HOME": str(directory)}


def test_an_app_runs_as_a_script(app):
    (app.parent / "go").touch()
    done = subprocess.run(
        [sys.executable, str(app)],
        cwd=app.parent,
        env=environment(app.parent),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "VALUE {'answer': 42}" in done.stdout, done.stderr


@contextlib.contextmanager
def served(app):
    """The app behind marimo's own server; gives the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = app.parent / "server.log"
    command = [sys.executable, "-m", "marimo", "-q", "run", str(app), "--headless", "--no-token"]
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--port={port}"],
            cwd=app.parent,
            env=environment(app.parent),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                break
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.browser
def test_the_tree_grows_in_marimos_page_and_its_buttons_work(app, browser):
    context = browser.new_context()
    with served(app) as address:
        page = context.new_page()
        watch(page)
        page.goto(address)
        root = page.get_by_role("treeitem").first
        root.wait_for(timeout=90_000)
        expect(page.get_by_role("treeitem")).to_have_count(1)
        (app.parent / "go").touch()
        expect(page.get_by_role("treeitem")).to_have_count(2, timeout=60_000)  # told without any click
        expect(page.locator(".rlm-card").first).to_contain_text("42", timeout=60_000)
        page.get_by_role("treeitem", name="0.1 ").click()
        region = page.get_by_role("region", name="Agent 0.1", exact=True)
        expect(region).to_contain_text(
            "total = sum(context)", timeout=60_000
        )  # which the kernel was asked for
    context.close()
