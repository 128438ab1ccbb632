"""`rlm-jupyter mcp` as a process, and real clients of it: what the tests of the MCP server share."""

import contextlib
import importlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

TOKEN = "first-token-of-these-tests"
OTHER = "other-token-of-these-tests"
NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the tests


def environment(**more):
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RLM_") and "_API_KEY" not in name
    }
    return {**own, "RLM_MODEL_API_KEY": "sk-test-0123456789", **more}


def command(root, model_server, *words, audit):
    return [
        *("-m", "rlm_jupyter.cli", "mcp", "--root", str(root), "--audit-log", str(audit)),
        *("-m", "test-model", "--base-url", model_server.url, "--no-cache", "--log-dir", "none"),
        *("--price", "1", "2", *words),
    ]


@contextlib.asynccontextmanager
async def stdio(root, model_server, *words, audit, **options):
    """Yields a client of a server that was started for it, over stdin and stdout."""
    parameters = StdioServerParameters(
        command=sys.executable, args=command(root, model_server, *words, audit=audit), env=environment()
    )
    async with Client(stdio_client(parameters, errlog=NOWHERE), **options) as client:
        yield client


@contextlib.contextmanager
def served_over_http(root, model_server, *words, audit):
    """Yields the URL of a server over HTTP, for clients with `TOKEN` and with `OTHER`."""
    arguments = [sys.executable, *command(root, model_server, "--http", "0", *words, audit=audit)]
    env = environment(RLM_MCP_TOKEN=f"{TOKEN} {OTHER}")
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=env) as server:
        try:
            told = server.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/mcp", told)
            assert found, told + server.stderr.read()
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield found[0]
        finally:
            server.terminate()


@contextlib.asynccontextmanager
async def over_http(url, token=TOKEN, **options):
    """Yields a client of a server over HTTP."""
    http = importlib.import_module("mcp.client.streamable_http")
    async with (
        http.create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as connection,
        Client(http.streamable_http_client(url, http_client=connection), **options) as client,
    ):
        yield client


async def call(client, tool, **arguments):
    """Returns what a tool answers; of one that refuses, the text."""
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return str(error)
    if result.is_error:
        return result.content[0].text
    return result.structured_content


async def opened(client, source):
    """Returns the handle of a source."""
    return (await call(client, "open_source", source=str(source)))["handle"]
