"""`rlm-jupyter serve`: the command line, and what it starts."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.options.argparse_options import add_options
from rlm_jupyter.options.table import RUN, options_on

if TYPE_CHECKING:
    import tornado.web

    from rlm_jupyter.web_server.checked_request import Server

TOKENS: Final = "RLM_WEB_TOKEN"
"""Environment variable with the tokens, separated by spaces."""
_HOST: Final = "127.0.0.1"
_MOST_BODY: Final = 32 << 20
_RUN: Final = r"/runs/(run_[a-z2-7]{16})"


def add_command(commands: Any) -> None:
    """Declare the command.

    Args:
        commands: the sub-parsers of `rlm-jupyter`.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="answer questions about files over HTTP, on a page and for chat clients",
        description="Answer questions about files over HTTP, on this machine only: as JSON, in OpenAI's protocol, and "
        "on a page.",
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(command=serve)
    add = parser.add_argument
    add(
        "sources",
        metavar="NAME=PATH",
        nargs="*",
        default=[],
        help="A file or folder that may be asked about, and what it is called.",
    )
    add("--port", metavar="PORT", type=int, default=8765, help="At 127.0.0.1; 0: one that is free.")
    add("--token-file", metavar="FILE", default=None, help="With the tokens, one on each line.")
    add_options(parser, options_on(RUN))


def serve(given: argparse.Namespace) -> int:
    """Serve until the process is told to end.

    Raises:
        ConfigError: a source, the port, a token or a setting cannot work.
    """
    from rlm_jupyter.mcp_server.access_tokens import read_tokens
    from rlm_jupyter.mcp_server.mcp_command import rlm_of, state_directory
    from rlm_jupyter.web_server.checked_request import Server
    from rlm_jupyter.web_server.named_sources import HandedFiles, NamedSources
    from rlm_jupyter.web_server.served_runs import ServedRuns

    told = vars(given)
    told.setdefault("log_dir", str(state_directory() / "web_runs"))
    sources = NamedSources(told["sources"])
    tokens, made = read_tokens(told["token_file"], TOKENS)
    files = HandedFiles()
    server = Server(sources, files, ServedRuns(lambda: rlm_of(told)), tokens)
    try:
        asyncio.run(_serve(server, told["port"], show=made))
    finally:
        server.runs.close()
        files.close()
    return 0


def application(server: Server) -> tornado.web.Application:
    """Returns what answers requests.

    Args:
        server: what handlers share.
    """
    import tornado.web

    from rlm_jupyter.web_server import browser_page as page
    from rlm_jupyter.web_server import chat_completions as chat
    from rlm_jupyter.web_server import run_requests as runs
    from rlm_jupyter.web_server.checked_request import NoSuchPath

    shared = {"server": server}
    routes: list[Any] = [
        (r"/", page.BrowserPage, shared),
        (r"/(page\.js|page\.css)", page.PagePart, shared),
        (r"/sources", runs.SourceRequest, shared),
        (r"/runs", runs.RunsRequest, shared),
        (_RUN, runs.RunRequest, shared),
        (rf"{_RUN}/events", runs.EventsRequest, shared),
        (rf"{_RUN}/value", runs.ValueRequest, shared),
        (rf"{_RUN}/stop", runs.StopRequest, shared),
        (rf"{_RUN}/page", runs.PageRequest, shared),
        (r"/v1/models", chat.ModelsRequest, shared),
        (r"/v1/chat/completions", chat.CompletionRequest, shared),
    ]
    return tornado.web.Application(
        routes,
        default_handler_class=NoSuchPath,
        default_handler_args=shared,
        log_function=lambda handler: None,  # noqa: ARG005 - addresses may hold the token
    )


async def _serve(server: Server, port: int, *, show: bool) -> None:
    import tornado.httpserver

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen(64)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"Port {port} cannot be used ({error}): name another by `--port`, or 0 for one that is free."
        ) from None
    listening.setblocking(False)
    port = listening.getsockname()[1]
    server.hosts = frozenset({f"{_HOST}:{port}", f"localhost:{port}"})
    http = tornado.httpserver.HTTPServer(
        application(server), max_body_size=_MOST_BODY, max_buffer_size=_MOST_BODY + (1 << 16)
    )
    http.add_socket(listening)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(
            NotImplementedError
        ):  # Windows, where an interrupt ends the process by itself
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    token = next(iter(server.tokens.values()))
    _tell(f"Serving at http://{_HOST}:{port}/" + (f"?token={token}" if show else ""))
    if show:
        _tell(f"Programs send `Authorization: Bearer {token}` (set {TOKENS} to choose the token).")
    await ended.wait()
    http.stop()
    server.runs.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(http.close_all_connections(), 2)


def _tell(text: str) -> None:
    print(f"rlm-jupyter: {text}", file=sys.stderr, flush=True)  # noqa: T201 - it is the command's output
