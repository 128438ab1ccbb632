"""Lists of MCP servers as other clients write them, brought into the form that `mcp=` takes.

Claude, Cursor, Cline, Windsurf: `mcpServers`. VS Code: `servers`, or `mcp.servers` among its settings. Zed:
`context_servers`. Others name fields in ways of their own. What only tells another client's screen is left out;
what would restrict a server, and cannot be kept here, is refused.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ConfigError

_LISTS = frozenset(
    {
        "mcpServers",
        "mcp_servers",
        "mcp-servers",
        "servers",
        "context_servers",
        "mcp.servers",
        "amp.mcpServers",
        "mcp",
    }
)
_SCREEN = frozenset(
    {"disabled", "enabled", "isActive", "active", "autoApprove", "alwaysAllow", "autoStart", "trust", "dev"}
    | {
        "name",
        "title",
        "description",
        "icon",
        "iconUrl",
        "logoUrl",
        "version",
        "gallery",
        "source",
        "metadata",
    }
    | {
        "tags",
        "provider",
        "providerUrl",
        "homepage",
        "repository",
        "category",
        "author",
        "note",
        "notes",
        "comment",
    }
    | {"installUrl", "longRunning", "priority", "startup_timeout_sec", "startup_timeout_ms", "initTimeout"}
)
"""Fields about how another client shows, approves or starts a server."""
_RESTRICTIONS = frozenset(
    {"includeTools", "excludeTools", "allowedTools", "disabledTools", "enabledTools", "tools"}
    | {"enabled_tools", "disabled_tools", "allowed_tools"}
)
_NAMES = {
    "serverUrl": "url",
    "server_url": "url",
    "httpUrl": "url",
    "endpoint": "url",
    "baseUrl": "url",
    "uri": "url",
    "environment": "env",
    "envs": "env",
    "http_headers": "headers",
    "httpHeaders": "headers",
    "workingDirectory": "cwd",
    "tool_timeout_sec": "timeout",
    "transport": "type",
    "transportType": "type",
}
_TYPES = {
    "stdio": "stdio",
    "local": "stdio",
    "command": "stdio",
    "process": "stdio",
    "http": "http",
    "https": "http",
    "remote": "http",
    "streamablehttp": "http",
    "sse": "sse",
}
_MOST_SECONDS = 10_000
"""A time-out above this is one in milliseconds, as some clients have it."""
_PLACEHOLDER = re.compile(r"\$\{(?P<braced>[^{}]*)\}|\{env:(?P<env>[^{}]*)\}")
_BARE = re.compile(r"\$([A-Za-z_]\w*)|%([A-Za-z_]\w*)%")


def unwrapped(servers: Mapping[str, Any]) -> dict[str, Any]:
    """Return servers by name, without the fields of other clients' files around them.

    Args:
        servers: servers by name, or what a file of another client holds.
    """
    if not any(_is_list(key, value) for key, value in servers.items()):
        return {name: one for name, one in servers.items() if name != "inputs" or isinstance(one, Mapping)}
    found: dict[str, Any] = {}
    for key, value in servers.items():
        if _is_list(key, value):
            found |= unwrapped(value)
        elif isinstance(value, Mapping) and {"command", *_URLS} & set(value):
            found[key] = value  # a server of your own beside the pasted list
    return found


_URLS = {"url", *(name for name, ours in _NAMES.items() if ours == "url")}


def _is_list(key: object, value: object) -> bool:
    """Returns whether this is a list of servers, and not a server that is called `servers` or `mcp`."""
    if key not in _LISTS or not isinstance(value, Mapping):
        return False
    if key not in ("servers", "mcp"):
        return True
    return all(isinstance(one, Mapping) or name == "inputs" for name, one in value.items())


def is_enabled(server: object) -> bool:
    """Returns whether a server is meant to be used: other clients keep those that are switched off in their lists."""
    if not isinstance(server, Mapping):
        return True
    off = server.get("disabled") is True
    return not off and all(server.get(name) is not False for name in ("enabled", "isActive", "active"))


def as_ours(name: str, server: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Bring one server into our form.

    Args:
        name: of the server.
        server: its fields, as we or another client have them.

    Returns:
        The fields that we have (others stay, to be refused), and the values that placeholders stood for.

    Raises:
        ConfigError: a placeholder without a value, a transport that there is not, or a restriction of tools.
    """
    fields: dict[str, Any] = {}
    for key, value in server.items():
        if key in _SCREEN or str(key).startswith(("_", "$", "//", "x-")):
            continue
        if key in _RESTRICTIONS:
            _check_restriction(name, key, value)
        elif key == "requestInit" and isinstance(value, Mapping):
            fields.setdefault("headers", value.get("headers"))
        elif key in ("envFile", "env_file"):
            raise ConfigError(
                f"The MCP server `{name}` has `{key}`, which is not read: put its variables into `env`."
            )
        elif value is not None:
            fields[_NAMES.get(key, key)] = value
    _use_command(fields)
    _use_type(name, fields)
    resolver = _Resolver(name)
    for key, value in fields.items():
        fields[key] = resolver.resolved(key, value)
    _use_token(fields, resolver)
    timeout = fields.get("timeout")
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout >= _MOST_SECONDS:
        fields["timeout"] = timeout / 1000
    return fields, resolver.values


def _check_restriction(name: str, key: str, value: object) -> None:
    if value in (["*"], "*", None, [], {}):
        return
    raise ConfigError(
        f"The MCP server `{name}` has `{key}`, which cannot be kept here: agents may call all tools of a server. Leave "
        "it out if that is fine, or hand over a server that offers fewer."
    )


def _use_command(fields: dict[str, Any]) -> None:
    """Bring a command that holds its arguments into its parts: a list, a dict as Zed had it, one line of a shell."""
    command = fields.get("command")
    if isinstance(command, Mapping):  # {"path": ..., "args": [...], "env": {...}}
        inner = {key: value for key, value in command.items() if value is not None}
        fields["command"] = inner.pop("path", inner.pop("command", ""))
        fields.update({key: value for key, value in inner.items() if key not in fields})
    elif isinstance(command, list) and command:
        fields["command"], *rest = command
        fields["args"] = [*rest, *(fields.get("args") or ())]
    elif isinstance(command, str) and " " in command and not fields.get("args") and not shutil.which(command):
        fields["command"], *fields["args"] = _split(command)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quotation that is not closed: the system will say that there is no such program
        return [command]


def _use_type(name: str, fields: dict[str, Any]) -> None:
    """Keep of `type` only what cannot be told from the other fields: the older transport."""
    given = fields.pop("type", None)
    if isinstance(given, Mapping):  # {"type": "stdio"}
        given = given.get("type")
    if given is None:
        return
    kind = _TYPES.get(re.sub(r"[-_\s]", "", str(given)).lower())
    if kind is None:
        raise ConfigError(
            f"The MCP server `{name}` has the transport `{given!s:.40}`. There are `stdio`, `http` (streamable HTTP) "
            "and `sse`."
        )
    if kind == "stdio" and "command" not in fields and "url" in fields:
        raise ConfigError(f"The MCP server `{name}` is `{given}` and has a `url`: it needs a `command`.")
    if kind == "sse" and "url" in fields:
        fields["type"] = "sse"


def _use_token(fields: dict[str, Any], resolver: _Resolver) -> None:
    """Make the header of a token whose variable is named, as in Codex's configuration."""
    variable = fields.pop("bearer_token_env_var", None)
    if isinstance(variable, str):
        headers = fields.get("headers")
        token = resolver.of_environment(variable, variable, None)
        fields["headers"] = {
            **(headers if isinstance(headers, Mapping) else {}),
            "Authorization": f"Bearer {token}",
        }
    by_variable = fields.pop("env_http_headers", None)
    if isinstance(by_variable, Mapping):
        headers = {key: resolver.of_environment(str(v), str(v), None) for key, v in by_variable.items()}
        fields["headers"] = {**(fields.get("headers") or {}), **headers}
    for variable in fields.pop("env_vars", None) or ():
        if isinstance(variable, str):
            fields["env"] = {
                variable: resolver.of_environment(variable, variable, None),
                **(fields.get("env") or {}),
            }


class _Resolver:
    """Replaces the placeholders of one server.

    Attributes:
        values: what came from the environment, by name.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self.values: dict[str, str] = {}

    def resolved(self, field: str, value: Any) -> Any:
        """Return a field's value with its placeholders replaced, and plain values of variables as texts."""
        strict = field in ("env", "headers", "url")
        if isinstance(value, str):
            return self._text(value, strict=strict)
        if isinstance(value, (list, tuple)):
            return [self._text(str(v) if isinstance(v, (int, float)) else v, strict=strict) for v in value]
        if isinstance(value, Mapping):
            return {key: self._text(_plain(v), strict=strict) for key, v in value.items() if v is not None}
        return value

    def _text(self, value: Any, *, strict: bool) -> Any:
        if not isinstance(value, str):
            return value
        if strict and (bare := _BARE.fullmatch(value)) and (bare[1] or bare[2]) in os.environ:
            return self.of_environment(bare[1] or bare[2], value, None)
        return _PLACEHOLDER.sub(lambda found: self._value(found, strict=strict), value)

    def _value(self, found: re.Match[str], *, strict: bool) -> str:
        text = found.group()
        if found["env"] is not None:
            return self.of_environment(found["env"], text, None)
        kind, colon, rest = found["braced"].partition(":")
        if kind == "env" and colon:
            return self.of_environment(rest, text, None)
        if kind in ("input", "promptString") and colon:
            raise ConfigError(
                f"The MCP server `{self._server}` has `{text}`, which another client asks its user for: put the value "
                f"there yourself, such as `os.environ[...]`, or write `${{env:NAME}}`."
            )
        if found["braced"] in _PLACES:
            return _PLACES[found["braced"]]()
        default = rest[1:] if colon and rest.startswith("-") else None  # ${NAME:-default}
        if not kind.isidentifier() or (colon and default is None):
            if strict:
                raise ConfigError(f"The MCP server `{self._server}` has `{text}`, which means nothing here.")
            return text
        if not strict and default is None and kind not in os.environ:
            return text  # of a shell, perhaps: `sh -c 'echo ${x}'`
        return self.of_environment(kind, text, default)

    def of_environment(self, variable: str, text: str, default: str | None) -> str:
        """Return the value of an environment variable, and note it.

        Raises:
            ConfigError: it is not set.
        """
        value = os.environ.get(variable, default)
        if value is None:
            raise ConfigError(
                f"The MCP server `{self._server}` has `{text}`, and the environment variable `{variable}` is not set: "
                f"`os.environ[{variable!r}] = ...` sets it."
            )
        self.values[variable] = value
        return value


_PLACES: dict[str, Callable[[], str]] = {
    "workspaceFolder": os.getcwd,
    "workspaceRoot": os.getcwd,
    "cwd": os.getcwd,
    "userHome": lambda: str(Path.home()),
    "pathSeparator": lambda: os.sep,
    "/": lambda: os.sep,
}


def _plain(value: Any) -> Any:
    """Return a number or a truth value of JSON as a variable holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value
