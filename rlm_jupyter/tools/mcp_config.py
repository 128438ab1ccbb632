"""What `mcp=` says: servers by name, each a command to run or a URL."""

from __future__ import annotations

import importlib.util
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.tools import mcp_pasted

DEFAULT_SECONDS = 300.0
_LOCAL = {"command", "args", "env", "cwd"}
_REMOTE = {"url", "headers"}
_BOTH = {"timeout", "type"}
_FIELDS = ", ".join(f"`{name}`" for name in sorted(_LOCAL | _REMOTE | _BOTH))


@dataclass(frozen=True)
class ServerConfig:
    """One server.

    Attributes:
        name: by which agents call it.
        command: what is run, with its arguments; empty for one that is reached by URL.
        env: variables of its process, besides the few that all processes need.
        cwd: where it runs; None: where the notebook does.
        url: of its streamable-HTTP endpoint; None for one that is run.
        headers: of each request.
        timeout: seconds that a call may take.
        sse: whether the URL is that of an older server, which sends events over a connection of their own.
        handed: values that came from the environment by a placeholder such as ``${env:NAME}``, by their names.
    """

    name: str
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout: float = DEFAULT_SECONDS
    sse: bool = False
    handed: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> list[str]:
        """Values that are kept out of all records and prompts: of headers and variables that are secret.

        Not all of them: many are directories and modes, whose names agents must read in what servers answer.
        """
        headers = list(secrets_in(self.headers, handed=True))
        tokens = [value.partition(" ")[2] for value in headers]  # of `Bearer ...`
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url or "").query))
        named = [
            secret for values in (self.env, self.handed, query) for secret in secrets_in(values, handed=True)
        ]
        known = [secret for word in self.command for secret in secrets_in({"": word})]
        return [*named, *headers, *tokens, *known]


def read_servers(servers: Mapping[str, Any] | None) -> dict[str, ServerConfig]:
    """Read `mcp=`.

    Args:
        servers: name → ``{"command": ..., "args": [...], "env": {...}, "cwd": ...}`` or
            ``{"url": ..., "headers": {...}}``; each may have `timeout`, seconds of a call. A list as other clients
            have it, ``{"mcpServers": {...}}`` and the like, is read too: see `mcp_pasted`.

    Raises:
        ConfigError: a server that cannot be, or the `mcp` package is not installed.
    """
    if servers is None:
        return {}
    if not isinstance(servers, Mapping):
        raise ConfigError(
            f"`mcp` takes a dict of servers by name, not a `{type(servers).__name__}`. Of a file: "
            "`json.load(open(path))`."
        )
    listed = mcp_pasted.unwrapped(servers)
    found = {name: _read(name, given) for name, given in listed.items() if mcp_pasted.is_enabled(given)}
    if found:
        _check_installed()
    return found


def _check_installed() -> None:
    need = "MCP servers need the package `mcp`, version 2 or newer"
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError(f"{need}, which is not installed: `pip install rlm_jupyter[mcp]`.")
    if importlib.util.find_spec("mcp.client.client") is None:
        raise ConfigError(f"{need}; an older one is installed: `pip install -U rlm_jupyter[mcp]`.")


def _read(name: object, given: object) -> ServerConfig:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"The name of an MCP server must be a text, not {name!r:.60}.")
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"The MCP server `{name}` must be a dict with `command` or `url`, not a `{type(given).__name__}`."
        )
    given, handed = mcp_pasted.as_ours(name, given)
    unknown = [key for key in given if key not in _LOCAL | _REMOTE | _BOTH]
    if unknown:
        raise ConfigError(
            f"The MCP server `{name}` has an unknown field `{unknown[0]!s:.60}`. Fields are: {_FIELDS}."
        )
    if ("command" in given) == ("url" in given):
        raise ConfigError(f"The MCP server `{name}` needs either `command` or `url`.")
    wrong = (_REMOTE if "command" in given else _LOCAL) & set(given)
    if wrong:
        one = "command" if "command" in given else "url"
        raise ConfigError(f"The MCP server `{name}` has `{one}`, so `{min(wrong)}` has no meaning.")
    timeout = given.get("timeout", DEFAULT_SECONDS)
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not timeout > 0:
        raise ConfigError(f"The `timeout` of the MCP server `{name}` must be seconds, not {timeout!r:.60}.")
    if "url" in given:
        url = given["url"]
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"The `url` of the MCP server `{name}` must begin with `http://` or `https://`."
            )
        headers = _texts(name, "headers", given.get("headers"))
        sse = given.get("type") == "sse"
        return ServerConfig(name, url=url, headers=headers, timeout=timeout, sse=sse, handed=handed)
    return ServerConfig(
        name,
        command=_command(name, given),
        env=_texts(name, "env", given.get("env")),
        cwd=os.fspath(given["cwd"]) if given.get("cwd") is not None else None,
        timeout=timeout,
        handed=handed,
    )


def _command(name: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    command, arguments = given["command"], given.get("args") or ()
    if not isinstance(command, (str, os.PathLike)) or not os.fspath(command):
        raise ConfigError(f"The `command` of the MCP server `{name}` must be a text; arguments go to `args`.")
    if isinstance(arguments, str) or not all(isinstance(one, (str, os.PathLike)) for one in arguments):
        raise ConfigError(f"The `args` of the MCP server `{name}` must be a list of texts.")
    return (str(os.fspath(command)), *(str(os.fspath(one)) for one in arguments))


def _texts(name: str, what: str, given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in given.items()
    ):
        raise ConfigError(f"The `{what}` of the MCP server `{name}` must be a dict of texts.")
    return dict(given)
