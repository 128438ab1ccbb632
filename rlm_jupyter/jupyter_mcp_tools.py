"""Tools that Jupyter's own MCP server (`jupyter-server-mcp`) offers to assistants: runs in the kernel of a notebook.

They run in the process of the Jupyter server, which finds them by the entry point `jupyter_server_mcp.tools`. A request
goes to the notebook's kernel as metadata of a message; `magics/permitted_assistant.py` serves it there, if its user
allows that.
"""

# No postponed annotations: the server reads these functions' types, in a module of its own.

import ast
import asyncio
import contextlib
import json
import time
from typing import Any

from rlm_jupyter.errors import ConfigError, RLMError

TOOLS = [f"rlm_jupyter.jupyter_mcp_tools:{name}" for name in ("rlm_ask", "rlm_status", "rlm_pull")]
"""What the entry point names."""

_CODE = "__import__('rlm_jupyter.magics.permitted_assistant', fromlist=['answer']).answer()"
_METADATA = "rlm_jupyter_assistant"
_REPLY_SECONDS = 20.0
_WAIT_SECONDS = 45.0
"""How long `rlm_ask` waits for an answer before it says that the run goes on: clients give up after a minute."""
_TICK = 1.0


async def rlm_ask(
    variable: str, question: str, max_cost: float | None = None, notebook: str | None = None
) -> dict[str, Any]:
    """Let agents answer a question about a variable of the user's open notebook, of any size, by code and models.

    The data does not leave the notebook's machine; you get a handle and a preview of the answer, and the user sees the
    agents at work below a cell. The user must have run `%rlm assistant` in the notebook.

    Args:
        variable: name of the variable in the notebook: a table, a text, a dict of documents, an array.
        question: what is to be found out.
        max_cost: USD that the answer may cost, if that is less than the user allows.
        notebook: path of the notebook; by default the one that was used last.

    Returns:
        `handle`, `status`, `cost_usd` and, at the end, `preview` or `error`. While `status` is `running`, ask
        `rlm_status` again.
    """
    request = {"what": "ask", "variable": variable, "question": question, "max_cost": max_cost}
    told = await _request(notebook, request)
    end = time.monotonic() + _WAIT_SECONDS
    while told.get("status") == "running" and time.monotonic() < end:
        await asyncio.sleep(_TICK)
        again = await _request(notebook, {"what": "status", "handle": told["handle"]}, busy=told)
        told = again["runs"][0] if "runs" in again else again
    return told


async def rlm_status(handle: str | None = None, notebook: str | None = None) -> dict[str, Any]:
    """Say how far runs in the user's notebook are, and what they cost so far.

    Args:
        handle: of a run, as `rlm_ask` returned it; then with a preview of its answer. By default all runs.
        notebook: path of the notebook; by default the one that was used last.
    """
    return await _request(notebook, {"what": "status", "handle": handle})


async def rlm_pull(handle: str, name: str, notebook: str | None = None) -> dict[str, Any]:
    """Put the answer of a run into a new variable of the user's notebook, as the object that it is.

    Args:
        handle: of the run, as `rlm_ask` returned it.
        name: of the new variable.
        notebook: path of the notebook; by default the one that was used last.
    """
    return await _request(notebook, {"what": "pull", "handle": handle, "name": name})


async def _request(
    notebook: str | None, request: dict[str, Any], *, busy: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Send a request to a notebook's kernel and return its answer; refusals are told as `error`.

    Args:
        notebook: its path.
        request: what is asked.
        busy: what to return if the kernel does not answer in time; None: an error.
    """
    try:
        kernel = await _kernel_of(notebook)
        return await _ask_kernel(kernel, request)
    except TimeoutError:
        return busy or {
            "error": "The notebook's kernel did not answer in time: it is busy with a cell, or still hands over "
            "data that is large. Ask `rlm_status` before you ask again."
        }
    except RLMError as error:
        return {"error": error.message}


async def _kernel_of(notebook: str | None) -> Any:
    """Returns the manager of a notebook's kernel.

    Raises:
        ConfigError: no such notebook is open.
    """
    from jupyter_server.serverapp import ServerApp

    app: Any = ServerApp.instance()
    sessions = [one for one in await app.session_manager.list_sessions() if one.get("type") == "notebook"]
    if notebook is not None:
        sessions = [one for one in sessions if one.get("path") == notebook.lstrip("/")]
    with_kernel = [one for one in sessions if one.get("kernel")]
    if not with_kernel:
        which = "That notebook is not open" if notebook is not None else "No notebook is open"
        raise ConfigError(f"{which} with a running kernel: open it in JupyterLab, and run a cell.")
    newest = max(with_kernel, key=lambda one: str(one["kernel"].get("last_activity", "")))
    return app.kernel_manager.get_kernel(newest["kernel"]["id"])


async def _ask_kernel(manager: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a kernel by an expression that is always the same, with the request beside it as data.

    Raises:
        TimeoutError: it is busy.
        ConfigError: it cannot answer.
    """
    client = manager.client()
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    try:
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"answer": _CODE},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        until = time.time() + _REPLY_SECONDS
        metadata = {_METADATA: {**request, "until": until}}
        message = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(message)
        async with asyncio.timeout(_REPLY_SECONDS):
            while True:
                reply = await client.get_shell_msg()
                if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                    return _answer_in(reply["content"])
    finally:
        with contextlib.suppress(Exception):
            client.stop_channels()


def _answer_in(content: dict[str, Any]) -> dict[str, Any]:
    found = (content.get("user_expressions") or {}).get("answer") or {}
    if found.get("status") != "ok":
        raise ConfigError(
            "The notebook's kernel has no rlm_jupyter: `%load_ext rlm_jupyter` and `%rlm assistant` in it "
            "allow requests."
        )
    try:
        answer = json.loads(ast.literal_eval(found["data"]["text/plain"]))
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise ConfigError("The notebook's kernel gave an answer that cannot be read.") from None
    return answer if isinstance(answer, dict) else {"error": "The notebook's kernel gave no answer."}
