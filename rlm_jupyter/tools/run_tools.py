"""What a run's agents may use besides their functions: environment variables and MCP servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_jupyter.errors import ConfigError

if TYPE_CHECKING:
    from rlm_jupyter.tools.mcp import Servers


@dataclass(frozen=True)
class Toolkit:
    """What a run's agents may use besides their functions.

    Attributes:
        env: variables of their kernels.
        servers: MCP servers.
        inherit: whether sub-agents have all tools of their parents.
        redact: takes secrets out of what a model is told.
    """

    env: dict[str, str]
    servers: Servers
    inherit: bool
    redact: Callable[[str], str]


def read_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Read `env=`.

    Raises:
        ConfigError: a name or a value that cannot be; no message has a value.
    """
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise ConfigError(f"`env` takes a dict of texts by name, not a `{type(env).__name__}`.")
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ConfigError(f"`env` has {name!r:.60}, which cannot be the name of an environment variable.")
        if not isinstance(value, str) or "\0" in value:
            raise ConfigError(
                f"The value of `{name}` in `env` must be a text, not a `{type(value).__name__}`."
            )
    return dict(env)
