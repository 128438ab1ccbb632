"""The words for MCP servers. The servers belong to the notebook; an agent's kernel only asks for them.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .pending_calls import Work, deliver, settled

if TYPE_CHECKING:
    from .bridge.socket_link import Line, Reply
    from .caller_kind import Cell


class Listing(list[Any]):
    """A list that may be awaited, too."""

    def __await__(self) -> Any:
        yield from ()
        return self


class About(dict[str, Any]):
    """A dict that may be awaited, too."""

    def __await__(self) -> Any:
        yield from ()
        return self


class ServerWords:
    """The words, as methods; whoever subclasses it has `link` and `cell`.

    What only tells what there is blocks always and may be awaited all the same: code that awaits a call often
    looks something up in the same cell, without. `mcp_call` and `mcp_read_resource` follow the rule of all words.
    """

    cell: Cell
    link: Line

    def mcp_list_tools(self, server: str) -> Listing:
        """List a server's tools.

        Returns:
            A list of dicts with `name` and `description`.
        """
        return Listing(self._look_up("list_tools", server))

    def mcp_tool_schema(self, server: str, tool: str) -> About:
        """Returns what a tool takes and gives.

        Returns:
            A dict with `name`, `description`, `input_schema` and `output_schema` (or None).
        """
        return About(self._look_up("tool_schema", server, tool=tool))

    def mcp_call(self, server: str, tool: str, arguments: dict[str, Any] | None = None) -> Any:
        """Call a tool of a server.

        Args:
            server: its name.
            tool: the tool's name.
            arguments: as `mcp_tool_schema` tells; JSON data.

        Returns:
            A dict: `text`, all text of the result; `structured`, its data (or None); `content`, its parts in
            order, each a dict with `type`, and `text`, or `data` (bytes) and `mime_type`.

        Raises:
            RLMQueryError: the tool or the server failed; the message says why.
        """
        arguments = {} if arguments is None else {key: settled(value) for key, value in arguments.items()}
        try:
            json.dumps(arguments)
        except (TypeError, ValueError) as error:
            raise TypeError(f"The arguments of `{tool}` must be JSON data: {error}.") from None
        return self._ask_server("call", server, tool=tool, arguments=arguments)

    def mcp_list_resources(self, server: str) -> Listing:
        """List a server's resources.

        Returns:
            A list of dicts with `uri`, `name`, `description` and `mime_type`.
        """
        return Listing(self._look_up("list_resources", server))

    def mcp_list_resource_templates(self, server: str) -> Listing:
        """List the patterns of a server's resources.

        Returns:
            A list of dicts with `uri_template`, `name`, `description` and `mime_type`.
        """
        return Listing(self._look_up("list_resource_templates", server))

    def mcp_read_resource(self, server: str, uri: str) -> Any:
        """Read a resource.

        Returns:
            A list of its parts: dicts with `uri`, `mime_type`, and `text` or `data` (bytes).
        """
        return self._ask_server("read_resource", server, uri=str(uri))

    def _ask_server(self, what: str, server: str, **details: Any) -> Any:
        return deliver(self._server_work(what, server, details), self.cell)

    def _look_up(self, what: str, server: str, **details: Any) -> Any:
        return self._server_work(what, server, details).wait()

    def _server_work(self, what: str, server: str, details: dict[str, Any]) -> Work:
        body = {"what": what, "server": server, **details}
        return Work(f"mcp_{what}", self._finish).start(self.link, "mcp", body)

    def _finish(self, reply: Reply) -> Any:
        raise NotImplementedError
