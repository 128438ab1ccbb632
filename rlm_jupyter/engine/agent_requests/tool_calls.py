"""Calls of an agent's code to what runs in the notebook: host tools and MCP servers; and tools handed on.

What an agent may call is what it was handed itself; who asks is known from the connection.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.errors import ConfigError, RLMError, ToolError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import Bridge, BridgeError
from rlm_jupyter.tools.functions import Form, Tool, tool_from_agent
from rlm_jupyter.tools.host_tools import ToolBusyError, ToolTimeoutError, host_thread
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent

Answer = tuple[Any, list[int]]

_MAX_FUNCTIONS = 32
_MESSAGE_CHARS = 2000
_HAND_OVER_SECONDS = 60.0
_PYTHON = list(sys.version_info[:2])


async def call_tool(agent: Agent, body: Mapping[str, Any], fds: list[int]) -> Answer:
    """Run a host tool for an agent.

    Raises:
        BridgeError: it was not handed one of that name, or the tool raised, or a value cannot cross.
    """
    name = str(body.get("name"))
    tool = agent.spec.tools.get(name)
    function = tool.function if tool is not None else None
    if tool is None or function is None or tool.options is None or len(fds) != 1:
        raise BridgeError("failed", f"Agent `{agent.id}` has no tool `{name[:60]}` in the notebook.")
    began = time.monotonic()
    seconds = tool.options.seconds or agent.services.settings.tool_seconds
    error: BridgeError | None = None
    try:
        args, named = await agent.calls.work.run(_arguments, name, fds[0])
        outcome = await host_thread().call(function, lambda: function(*args, **named), seconds)
        if outcome.error is None:
            result = await agent.calls.work.run(_encoded, name, outcome.value)
            return {"kind": result.kind}, [result.detach()]
        error = _raised(agent, name, outcome.error)
    except asyncio.CancelledError:
        error = BridgeError("stopped", "The call was given up.")
        raise
    except ToolTimeoutError as trouble:
        error = _took_too_long(agent, name, seconds, running=trouble.running)
    except ToolBusyError:
        text = (
            f"`{name}` still runs in the notebook from an earlier call whose time was up or that was stopped"
        )
        error = BridgeError("failed", f"{text}. Work without it.")
    except RLMError as trouble:
        error = BridgeError("failed", _short(agent, str(trouble)))
    finally:
        _tell(agent, name, None, began, error)
    raise error


def _arguments(name: str, fd: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode what an agent sent, as plain data only."""
    with Buffer.from_fd(os.dup(fd)) as buffer:
        given = load_received(buffer)
    match given:
        case {"args": tuple(args), "named": dict(named)}:
            return args, named
    raise ToolError(f"The arguments of `{name}` are malformed.")


def _encoded(name: str, value: object) -> Buffer:
    try:
        return Buffer.encode(value, allow_pickle=False, name=name, rows=0)
    except RLMError as error:
        raise ToolError(
            f"What `{name}` gave cannot leave the notebook, only plain data can: {error.message}"
        ) from None


def _raised(agent: Agent, name: str, error: BaseException) -> BridgeError:
    """Returns what a tool raised: type and message, nothing else of the notebook."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be read)"
    return _tool_error(
        kind, f"`{name}` raised {kind}: {_short(agent, text)}" if text else f"`{name}` raised {kind}."
    )


def _took_too_long(agent: Agent, name: str, seconds: float, *, running: bool) -> BridgeError:
    """Returns the agent that the time of a call was up, and the user what still runs."""
    if running:
        notice = (
            f"The host tool `{name}` did not return in {seconds:g} s and still runs in the notebook, where no "
            "function can be ended from outside. Agents go on without it. If it is only slow, give it time: "
            "`@host_tool(seconds=...)`, or the setting `tool_seconds`."
        )
        agent.services.tell_once([notice])
    text = f"`{name}` took longer than {seconds:g} s in the notebook and was given up. Ask less of it, or work without."
    return _tool_error("TimeoutError", text)


def _tool_error(kind: str, message: str) -> BridgeError:
    return BridgeError("tool", message, data={"type": kind})


def _short(agent: Agent, text: str) -> str:
    return agent.services.journal.redact(text)[:_MESSAGE_CHARS]


async def ask_server(agent: Agent, body: Mapping[str, Any], _fds: list[int]) -> Answer:
    """Ask an MCP server for an agent.

    Raises:
        BridgeError: it was not handed that server, or the server failed.
    """
    name, what = str(body.get("server")), str(body.get("what"))
    if name not in agent.spec.mcp:
        known = ", ".join(f"`{one}`" for one in agent.spec.mcp) or "none"
        raise BridgeError("failed", f"Agent `{agent.id}` has no MCP server `{name[:60]}`. It has: {known}.")
    began = time.monotonic()
    called = str(body.get("tool") if what == "call" else what)[:100]
    error: BridgeError | None = None
    try:
        value = await agent.services.servers.request(name, what, body)
        result = await agent.calls.work.run(_encoded, called, value)
        return {"kind": result.kind}, [result.detach()]
    except asyncio.CancelledError:
        error = BridgeError("stopped", "The call was given up.")
        raise
    except RLMError as trouble:
        error = _tool_error("MCPError", _short(agent, trouble.message))
    finally:
        _tell(agent, called, name, began, error)
    raise error


def _tell(agent: Agent, name: str, server: str | None, began: float, error: BridgeError | None) -> None:
    agent.services.journal.emit(
        ev.ToolCalled,
        agent.id,
        name=name,
        server=server,
        turn=agent.turn,
        seconds=time.monotonic() - began,
        ok=error is None,
        error=error.message if error is not None else None,
    )


def resolve_tools_for_child(agent: Agent, asked: object, fds: list[int]) -> dict[str, Tool]:
    """Returns the tools for a sub-agent: those that its parent names, and functions that the parent wrote.

    Args:
        agent: the parent.
        asked: names, and descriptions of functions.
        fds: the functions, encoded, in the same order; they stay the caller's.

    Raises:
        BridgeError: the parent has no such tool, or a function cannot be handed on.
    """
    found = dict(agent.spec.tools) if agent.services.inherit_tools else {}
    items = asked if isinstance(asked, list) else []
    functions = iter(fds)
    for item in items:
        if isinstance(item, dict):
            tool = _own_function(agent, item, next(functions))
        elif (tool := agent.spec.tools.get(str(item))) is None:  # type: ignore[assignment]
            known = ", ".join(f"`{name}`" for name in agent.spec.tools) or "none"
            raise BridgeError(
                "failed",
                f"Agent `{agent.id}` has no tool `{str(item)[:60]}` to hand on. It has: {known}. A function of "
                "your own goes as itself: `tools=[f]`.",
            )
        found[tool.name] = tool
    return found


def count_functions(asked: object) -> int:
    """Returns how many functions of the agent's own a call for a sub-agent brings along.

    Raises:
        BridgeError: too many.
    """
    count = sum(isinstance(item, dict) for item in asked) if isinstance(asked, list) else 0
    if count > _MAX_FUNCTIONS:
        raise BridgeError(
            "failed", f"{count} functions are too many for one call; the most is {_MAX_FUNCTIONS}."
        )
    return count


def _own_function(agent: Agent, item: Mapping[str, Any], fd: int) -> Tool:
    code = agent.services.store.hold(Buffer.from_fd(os.dup(fd)))
    try:
        return tool_from_agent(
            item.get("name"),
            item.get("signature", "(...)"),
            item.get("doc", ""),
            awaited=item.get("awaited") is True,
            code=code,
        )
    except ConfigError as error:
        raise BridgeError("failed", error.message) from None


def resolve_servers_for_child(agent: Agent, asked: object) -> tuple[str, ...]:
    """Returns the MCP servers for a sub-agent: those that its parent names, of its own.

    Raises:
        BridgeError: the parent has no such server.
    """
    names = tuple(dict.fromkeys(str(name) for name in asked)) if isinstance(asked, list) else ()
    for name in names:
        if name not in agent.spec.mcp:
            known = ", ".join(f"`{one}`" for one in agent.spec.mcp) or "none"
            raise BridgeError(
                "failed", f"Agent `{agent.id}` has no MCP server `{name[:60]}` to hand on. It has: {known}."
            )
    return names


async def install_tools(bridge: Bridge, tools: Mapping[str, Tool]) -> None:
    """Put an agent's tools into its kernel.

    Raises:
        ToolError: one cannot be used there.
    """
    for tool in tools.values():
        hint = "If it must stay in the notebook, mark it with `@rlm_jupyter.host_tool`."
        await hand_over(bridge, "tool", tool.name, tool.forms, hint)


async def hand_over(bridge: Bridge, kind: str, name: str, forms: Mapping[Form, Buffer], hint: str) -> None:
    """Put a function of the user's into an agent's kernel.

    Args:
        bridge: to the kernel.
        kind: what it is there: `tool` or `check`, which is the kernel's request too.
        name: of the function.
        forms: how it travels.
        hint: what to do if it cannot be used there.

    Raises:
        ToolError: it cannot be used there.
    """
    body = {"name": name, "forms": list(forms), "python": _PYTHON}
    fds = tuple(form.dup().detach() for form in forms.values())
    try:
        await bridge.request(kind, body, fds=fds, timeout=_HAND_OVER_SECONDS)
    except BridgeError as error:
        raise ToolError(
            f"The {kind} `{name}` cannot be used in an agent's kernel: {error.message} {hint}"
        ) from error
