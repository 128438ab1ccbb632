"""`rlm-jupyter serve` as a process: what the tests of the web server share."""

import contextlib
import re
import subprocess
import sys
import threading

import httpx
from mcp_client_parts import environment
from run_parts import until

TOKEN = "token-of-the-web-servers-tests"


@contextlib.contextmanager
def served(model_server, *words, token=TOKEN):
    """Yields the address of a server, which ends with the block, and its process."""
    arguments = [
        *(sys.executable, "-m", "rlm_jupyter.cli", "serve", "--port", "0", "--log-dir", "none", "--no-cache"),
        *("-m", "test-model", "--base-url", model_server.url, "--price", "1", "2", *words),
    ]
    env = environment(**({} if token is None else {"RLM_WEB_TOKEN": token}))
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=env) as server:
        try:
            told = server.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/\S*", told)
            assert found, told + server.stderr.read()
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield found[0], server
        finally:
            server.terminate()
            server.wait(20)


def client(address, token=TOKEN, **headers):
    """Returns a client with a token, and with other headers."""
    given = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=address, headers={**given, **headers}, timeout=60)


def ended(asking, run):
    """Returns what a run answers when it has ended."""
    until(lambda: asking.get(f"/runs/{run}").json()["status"] != "running", seconds=60)
    return asking.get(f"/runs/{run}").json()


def events(response):
    """Yields number, kind and content of server-sent events."""
    for part in "".join(response.iter_text()).split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
        if "data" in lines:
            yield lines.get("id"), lines.get("event"), lines["data"]
