"""Streamable HTTP on the loopback, for clients that have a token."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.access_tokens import MCP_TOKENS, whose_token
from rlm_jupyter.mcp_server.served_tools import CLIENT

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

PATH = "/mcp"
_HOST = "127.0.0.1"
_MOST_BODY = 1 << 20


class TokenCheck:
    """Lets requests through to an application whose `Authorization` has one of the tokens (ASGI).

    Args:
        app: the application.
        tokens: by what their clients are called.
    """

    def __init__(self, app: Any, tokens: Mapping[str, str]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":  # the start and the end of the application
            await self._app(scope, receive, send)
            return
        client = self._client(scope)
        if client is not None:
            await self._app({**scope, CLIENT: client}, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"A token is needed: Authorization: Bearer TOKEN\n"}
        )

    def _client(self, scope: Any) -> str | None:
        """Returns whose token a request has; None for nobody's."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return whose_token(given[0], self._tokens) if len(given) == 1 else None


async def serve_http(server: MCPServer, port: int, tokens: Mapping[str, str], *, show: bool) -> None:
    """Serve until the process is told to end.

    Args:
        server: with its tools.
        port: on the loopback; 0 for one that is free.
        tokens: of the clients.
        show: whether to print the token, because nobody else knows it.

    Raises:
        ConfigError: the port is taken.
    """
    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"Port {port} cannot be used ({error}): name another, or 0 for one that is free."
        ) from None
    app = TokenCheck(
        server.streamable_http_app(streamable_http_path=PATH, max_request_body_size=_MOST_BODY), tokens
    )
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    _tell(f"Serving MCP at http://{_HOST}:{listening.getsockname()[1]}{PATH}")
    if show:
        _tell(
            f"Token: {next(iter(tokens.values()))} (set {MCP_TOKENS}, or `--token-file FILE`, to choose it)"
        )
    await uvicorn.Server(config).serve(sockets=[listening])


def _tell(text: str) -> None:
    print(f"rlm-jupyter: {text}", file=sys.stderr, flush=True)  # noqa: T201 - it is the command's output
