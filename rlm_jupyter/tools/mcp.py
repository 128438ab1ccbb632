"""MCP servers of a run: started when they are first needed, ended with it. They belong to the notebook's process.

Agents' kernels never talk to them: each call comes over the bridge, and goes on from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ToolError
from rlm_jupyter.tools import mcp_data, mcp_noise
from rlm_jupyter.tools.mcp_config import ServerConfig

if TYPE_CHECKING:
    from mcp import Client

_START_SECONDS = 60.0
_STOP_SECONDS = 8.0
_TAIL = 2000
_PAGES = 100
_MOST_LISTED = 10_000
_GUARD = Path(__file__).with_name("mcp_guard_process.py")

Redact = Callable[[str], str]
OnNotice = Callable[[str], object]
"""Told of what the user should know of a server."""


class Server:
    """One server, on the engine's loop.

    Args:
        config: what it is.
        redact: keeps secrets out of messages.
        on_notice: told once, if the server writes to stdout what is not a message.
    """

    def __init__(self, config: ServerConfig, redact: Redact, on_notice: OnNotice) -> None:
        self.config = config
        self._redact = redact
        self._on_notice = on_notice
        self._noise = ""
        self._stderr = _Tail()
        self._ending = asyncio.Event()
        self._ready: asyncio.Future[Client] | None = None
        self._lives: set[asyncio.Task[None]] = set()

    async def client(self) -> Client:
        """Returns the connection; starts the server the first time.

        Raises:
            ToolError: it did not start; the message has what it wrote to stderr.
        """
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            # One task opens and closes it: anyio's scopes belong to the task that they were entered in.
            life = asyncio.create_task(self._live(self._ready, self._ending, self._stderr))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)
        return await asyncio.shield(self._ready)

    async def ask(self, request: Callable[[Client], Awaitable[Any]]) -> Any:
        """Send a request.

        Raises:
            ToolError: the server did not start, did not answer in time, ended, or answered with an error.
        """
        client, stderr = await self.client(), self._stderr
        seconds = self.config.timeout
        try:
            with mcp_noise.heard_by(self._hear_noise):
                async with asyncio.timeout(seconds):
                    return await request(client)
        except TimeoutError:
            raise ToolError(
                f"The MCP server `{self.config.name}` did not answer in {seconds:g} s. Ask for less, or give it "
                f"more time: `mcp={{{self.config.name!r}: {{..., 'timeout': ...}}}}`."
            ) from None
        except Exception as error:
            raise ToolError(
                f"The MCP server `{self.config.name}` failed: {self._reason(error, stderr)}"
            ) from error

    async def close(self) -> None:
        """End it; bounded, and twice is fine."""
        ready, ending = self._ready, self._ending
        # What asks for it from now on, such as an agent that the user asks again, starts it anew.
        self._ready, self._ending, self._stderr = None, asyncio.Event(), _Tail()
        ending.set()
        if ready is not None and not ready.done():
            self._cancel()
        if self._lives:
            await asyncio.wait(self._lives, timeout=_STOP_SECONDS)
        if self._lives:
            self._cancel()
            await asyncio.wait(self._lives, timeout=_STOP_SECONDS)

    def _cancel(self) -> None:
        for life in self._lives:
            life.cancel()

    def _hear_noise(self, line: str) -> None:
        """Note the first line on stdout that is not a message, and tell the user of it."""
        if not self._noise and line:
            self._noise = line
            self._on_notice(
                f"The MCP server `{self.config.name}` writes to stdout, which is for messages alone: `{line}`. "
                "Such lines are skipped; its log belongs to stderr."
            )

    async def _live(self, ready: asyncio.Future[Client], ending: asyncio.Event, stderr: _Tail) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(mcp_noise.heard_by(self._hear_noise))
                async with asyncio.timeout(_START_SECONDS):
                    client = await self._open(stack, stderr)
                _take_results_as_they_are(client)
                stderr.let_go()
                ready.set_result(client)
                await ending.wait()
        except BaseException as error:
            if not ready.done():
                stderr.read_rest()
                ready.set_exception(self._not_started(error, stderr))
                ready.exception()  # nobody may wait for it any more
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            stderr.close()

    async def _open(self, stack: contextlib.AsyncExitStack, stderr: _Tail) -> Client:
        # The package takes most of a second to import: not on the loop that serves all agents.
        mcp = await asyncio.to_thread(importlib.import_module, "mcp")
        if self.config.url is not None:
            transport = self._sse if self.config.sse else self._http
            connection = await transport(stack, self.config.url)
            mcp_noise.keep_quiet()
            return await stack.enter_async_context(mcp.Client(connection))
        stdio = importlib.import_module("mcp.client.stdio")
        mcp_noise.keep_quiet()
        command, *arguments = self.config.command
        if sys.platform != "win32":  # there, mcp's own job object ends the server with this process
            arguments = ["-I", "-S", str(_GUARD), str(os.getpid()), command, *arguments]
            command = sys.executable
        parameters = stdio.StdioServerParameters(
            command=command,
            args=arguments,
            env=self.config.env,
            cwd=self.config.cwd,
            encoding_error_handler="replace",  # a line in another encoding is noise, and no end of the connection
        )
        pipes = stdio.stdio_client(parameters, errlog=stderr.open())
        client: Client = await stack.enter_async_context(mcp.Client(pipes))
        return client

    async def _http(self, stack: contextlib.AsyncExitStack, url: str) -> Any:
        http = importlib.import_module("mcp.client.streamable_http")
        client = http.create_mcp_http_client(headers=self.config.headers or None)
        return http.streamable_http_client(url, http_client=await stack.enter_async_context(client))

    async def _sse(self, _stack: contextlib.AsyncExitStack, url: str) -> Any:
        sse = importlib.import_module("mcp.client.sse")
        return sse.sse_client(url, headers=self.config.headers or None)

    def _not_started(self, error: BaseException, stderr: _Tail) -> ToolError:
        if isinstance(error, TimeoutError):
            why = f"it did not answer in {_START_SECONDS:g} s."
            if self._noise:
                why += f" It wrote to stdout what is not a message: {self._noise}"
        elif isinstance(error, asyncio.CancelledError):
            why = "the run ended meanwhile."
        else:
            why = self._reason(error, stderr)
        what = (
            "cannot be reached"
            if self.config.url is not None
            else f"(`{self.config.command[0]}`) did not start"
        )
        return ToolError(f"The MCP server `{self.config.name}` {what}: {why}")

    def _reason(self, error: BaseException, stderr: _Tail) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        text = f"{str(error) or type(error).__name__}"[:_TAIL]
        tail = stderr.text.strip()
        return self._redact(f"{text}\nIt wrote to stderr:\n{tail}" if tail else text)


def _take_results_as_they_are(client: Client) -> None:
    """Keep the client from checking results by the server's own `outputSchema`.

    It does so on this loop, with `jsonschema`: patterns are matched by backtracking, and in mcp 2.0 a `$ref` is
    fetched from wherever it says. For agents' code a result is data of any shape in any case.
    """

    async def take(name: str, result: Any) -> None:
        del name, result

    client.session.validate_tool_result = take  # type: ignore[method-assign]


class _Tail:
    """Keeps the end of what a server writes to stderr, however long it writes."""

    def __init__(self) -> None:
        self._bytes = b""
        self._reader = -1
        self._writer: Any = None

    @property
    def text(self) -> str:
        """The end of it."""
        return self._bytes.decode("utf-8", "replace")[-_TAIL:]

    def open(self) -> Any:
        """Returns the file that the server shall write to."""
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._writer = os.fdopen(writer, "w")
        asyncio.get_running_loop().add_reader(self._reader, self._read)
        return self._writer

    def let_go(self) -> None:
        """Close our copy of the server's end."""
        if self._writer is not None:
            self._writer.close()

    def close(self) -> None:
        """Read no more."""
        self.let_go()
        if self._reader >= 0:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            self._reader = -1

    def read_rest(self) -> None:
        """Read what is there now."""
        if self._reader >= 0:
            while self._read():
                pass

    def _read(self) -> bool:
        """Read a piece; false, where there is none."""
        try:
            data = os.read(self._reader, 65536)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._reader)
        self._bytes = (self._bytes + data)[-4 * _TAIL :]
        return bool(data)


async def _page(client: Client, *, kind: str, cursor: str | None) -> Any:
    return await getattr(client, f"list_{kind}")(cursor=cursor)


class Servers:
    """A run's servers by name; an agent may use those that it was handed.

    Args:
        configs: by name.
        redact: keeps secrets out of messages.
        on_notice: told of what the user should know.
    """

    def __init__(
        self,
        configs: Mapping[str, ServerConfig],
        redact: Redact,
        on_notice: OnNotice = lambda _text: None,
    ) -> None:
        self._servers = {name: Server(config, redact, on_notice) for name, config in configs.items()}
        self.names = tuple(self._servers)

    async def shown(self, names: Iterable[str]) -> str:
        """Returns how much servers offer, as the model is told: counts only. Starts them.

        Raises:
            ToolError: one did not start.
        """
        return ", ".join(await asyncio.gather(*(self._counts(name) for name in names)))

    async def _counts(self, name: str) -> str:
        found = [
            f"{len(items)} {what}{'' if len(items) == 1 else 's'}"
            for what, word in (
                ("tool", "list_tools"),
                ("resource", "list_resources"),
                ("resource template", "list_resource_templates"),
            )
            if (items := await self.request(name, word, {})) or what == "tool"
        ]
        return f"`{name}` ({', '.join(found)})"

    async def request(self, name: str, what: str, details: Mapping[str, Any]) -> Any:
        """Do what one of the words for servers asks for; give plain data.

        Raises:
            ToolError: the server or its tool failed, or there is no such tool.
        """
        server = self._servers[name]
        if what == "list_tools":
            tools = await self._list(server, "tools")
            return [{"name": tool.name, "description": tool.description} for tool in tools]
        if what == "tool_schema":
            return await self._schema(server, str(details.get("tool")))
        if what == "list_resources":
            return [mcp_data.resource(one) for one in await self._list(server, "resources")]
        if what == "list_resource_templates":
            return [mcp_data.template(one) for one in await self._list(server, "resource_templates")]
        if what == "read_resource":
            uri = str(details.get("uri"))
            read = await server.ask(lambda client: client.read_resource(uri))
            return [mcp_data.contents(part) for part in read.contents]
        if what == "call":
            return await self._call(server, str(details.get("tool")), details.get("arguments"))
        raise ToolError(f"There is no request `{what[:40]}` to an MCP server.")

    async def _call(self, server: Server, tool: str, arguments: object) -> dict[str, Any]:
        if arguments is not None and not isinstance(arguments, dict):
            raise ToolError(f"The arguments of `{tool}` must be a dict.")
        result = await server.ask(lambda client: client.call_tool(tool, arguments))
        found = mcp_data.tool_result(result)
        if result.is_error:
            raise ToolError(
                f"The tool `{tool}` of the MCP server `{server.config.name}` failed: {found['text'][:_TAIL]}"
            )
        return found

    async def _schema(self, server: Server, tool: str) -> dict[str, Any]:
        tools = {one.name: one for one in await self._list(server, "tools")}
        if tool not in tools:
            known = ", ".join(f"`{name}`" for name in list(tools)[:50]) or "none"
            raise ToolError(
                f"The MCP server `{server.config.name}` has no tool `{tool[:60]}`. It has: {known}."
            )
        return mcp_data.schema(tools[tool])

    async def _list(self, server: Server, kind: str) -> list[Any]:
        """Read all pages of a list; nothing, where the server has no such things."""
        client = await server.client()
        if getattr(client.server_capabilities, "tools" if kind == "tools" else "resources") is None:
            return []
        found: list[Any] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await server.ask(partial(_page, kind=kind, cursor=cursor))
            found += getattr(page, kind)
            cursor = page.next_cursor
            if not cursor or len(found) >= _MOST_LISTED:
                break
        return found

    async def close(self) -> None:
        """End all that were started."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))
