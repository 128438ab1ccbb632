"""`Sandbox`: what agents' kernels may touch and use up, as the user sets it."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.options.pydantic_fields import field_of

SandboxMode = Literal["auto", "none", "bwrap"]

_field = partial(field_of, "sandbox")

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_NAME = 253
_LEAST_MEMORY, _LEAST_DISK = 100_000_000, 1_000_000

# Below the home directory: keys and tokens, and the files by which the user's own kernels are reached.
SECRET_PLACES = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".pypirc", ".npmrc", ".pgpass", ".password-store",
    ".git-credentials", ".config/gcloud", ".config/gh", ".config/git/credentials", ".jupyter", ".local/share/jupyter",
    ".local/share/keyrings", ".mozilla", ".config/google-chrome", ".config/chromium", ".bash_history", ".ipython",
)  # fmt: skip
_SECRET_PLACES_OF_SYSTEM = ("/proc", "/dev", "/sys", "/run", "/etc/shadow", "/etc/ssl/private", "/etc/ssh")


class Sandbox(BaseModel):
    """What agents' kernels may touch and use up. The defaults keep files and network away, and the machine alive.

    If the system lacks a part, the tree's badge, the log and `%rlm doctor` say so. None is no limit. Fields are
    described in `rlm_jupyter.options.table`.

    Usage:
        >>> RLM(sandbox=Sandbox(memory="2 GB", net=["api.example.org"], read=["~/data"]))

    Raises:
        ConfigError: an unknown name, a value that cannot be, or a path that agents must not see.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: SandboxMode = _field("mode")
    memory: int | Literal["auto"] | None = _field("memory")
    cpu_seconds: float | None = _field("cpu_seconds")
    processes: int | None = _field("processes")
    disk: int | Literal["auto"] | None = _field("disk")
    read: tuple[Path, ...] = _field("read")
    net: tuple[str, ...] | Literal["all"] = _field("net")
    scratch: Path | None = _field("scratch")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @classmethod
    def of(cls, value: Sandbox | Mapping[str, object] | str | None = None, **changes: object) -> Sandbox:
        """Build a sandbox from a sandbox, a mode, a mapping or nothing, with `changes` on top.

        Raises:
            ConfigError: an unknown name, a value that cannot be, or a path that agents must not see.
        """
        if isinstance(value, str):
            value = {"mode": value}
        if isinstance(value, cls) and not changes:
            return value
        if not isinstance(value, (Sandbox, Mapping, NoneType)):
            raise ConfigError(
                f"`sandbox` takes a mode, `Sandbox(...)` or a dict, not a `{type(value).__name__}`."
            )
        base = value.model_dump(exclude_unset=True) if isinstance(value, Sandbox) else dict(value or {})
        return cls(**{**{str(name): one for name, one in base.items()}, **changes})

    @field_validator("memory", "disk", mode="before")
    @classmethod
    def _read_size(cls, value: object, info: Any) -> object:
        if value is None or value == "auto":
            return value
        size = read_bytes(value)
        least = _LEAST_MEMORY if info.field_name == "memory" else _LEAST_DISK
        if size < least:
            raise ValueError(
                f"{size:,} bytes are too few, the least is {least:,}: write a unit, as in `2 GB`"
            )
        return size

    @field_validator("read", mode="before")
    @classmethod
    def _read_paths(cls, value: object) -> object:
        if value is None:
            return ()
        return tuple(
            _path(one) for one in ([value] if isinstance(value, (str, os.PathLike)) else _items(value))
        )

    @field_validator("read")
    @classmethod
    def _check_paths(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(exposed_path(path) for path in value))

    @field_validator("scratch", mode="before")
    @classmethod
    def _read_scratch(cls, value: object) -> object:
        return None if value is None else _path(value)

    @field_validator("scratch")
    @classmethod
    def _check_scratch(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        path = exposed_path(value)
        if not path.is_dir():
            raise ValueError(f"`{_shown(path)}` is not a directory: make it first")
        if not os.access(path, os.W_OK):
            raise ValueError(f"you may not write to `{_shown(path)}` yourself: choose another")
        return path

    @field_validator("net", mode="before")
    @classmethod
    def _read_net(cls, value: object) -> object:
        if value is None:
            return ()
        hosts = value.split(",") if isinstance(value, str) else _items(value)
        found = tuple(dict.fromkeys(str(host).strip() for host in hosts if str(host).strip()))
        if "all" in found:
            return "all"
        return tuple(str(Host.read(host)) for host in found if host != "none")


class Host:
    """One entry of `Sandbox.net`.

    Attributes:
        name: in lower case, without a port; of a wildcard, what follows ``*.``.
        port: None for any.
        wildcard: whether it stands for all names below `name`.
    """

    __slots__ = ("name", "port", "wildcard")

    def __init__(self, name: str, port: int | None, *, wildcard: bool) -> None:
        self.name, self.port, self.wildcard = name, port, wildcard

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{'*.' if self.wildcard else ''}{name}{'' if self.port is None else f':{self.port}'}"

    @classmethod
    def read(cls, text: str) -> Host:
        """Read ``host``, ``host:port``, ``*.example.org`` or an address (IPv6 with a port in brackets).

        Raises:
            ValueError: it is none of these.
        """
        shown = _shown(text)
        if "/" in text or "@" in text:
            raise ValueError(
                f"`{shown}` is not a host: write the name alone, as in `api.example.org` or `localhost:8000`"
            )
        name, port = text, ""
        if text.startswith("["):
            name, end, port = text[1:].partition("]")
            if not end:
                raise ValueError(f"`{shown}` has no closing bracket: write `[::1]:8000`")
        elif text.count(":") == 1:
            name, _, port = text.partition(":")
            port = f":{port}"
        wildcard = name.startswith("*.")
        if port and not (port[1:].isascii() and port[1:].isdigit() and 0 < int(port[1:]) < 1 << 16):
            raise ValueError(f"`{shown}` has no port that can be: give 1 to 65535, or none for any")
        return cls(canonical(name.removeprefix("*.")), int(port[1:]) if port else None, wildcard=wildcard)

    def matches(self, name: str, port: int) -> bool:
        """Returns whether it stands for this canonical name and port."""
        if self.port not in (None, port):
            return False
        return name.endswith(f".{self.name}") if self.wildcard else name == self.name


def canonical(name: str) -> str:
    """Bring a host's name or address to the one form in which it is compared.

    Raises:
        ValueError: it is neither.
    """
    import ipaddress

    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        plain = name.strip().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        plain = ""
    labels = plain.split(".")
    # A name that ends in a number is an address in disguise (`127.1`, `0x7f.1`): some resolvers take it for one.
    number = re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1])
    if number or len(plain) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"`{_shown(name[:80])}` is not a host name")
    return plain


def read_bytes(value: object) -> int:
    """Read a size: a number of bytes, or a text such as ``"2 GB"``, ``"512MB"``, ``"1.5 GiB"``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return int(value)
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write bytes, or a number with a unit, as in `2 GB` or `512 MiB`")
    number, unit, binary = found.groups()
    return int(float(number.replace("_", "")) * (1024 if binary else 1000) ** _UNITS[unit.lower()])


def check_log_dir(sandbox: Sandbox, log_dir: Path | None) -> str | None:
    """See to it that agents cannot write the logs; tell in a sentence if they can read them.

    Raises:
        ConfigError: the directory of the logs itself is readable to agents, or lies in what they may write.
    """
    if log_dir is None or sandbox.mode == "none":
        return None
    logs = log_dir.expanduser().resolve()
    for path in sandbox.read:
        if path.is_relative_to(logs):
            raise ConfigError(
                f"`{path}` holds the logs of runs, with all prompts and data in them: agents must not read it. "
                "Leave it out of `read`, or set `log_dir` elsewhere."
            )
    if sandbox.scratch is not None and (
        logs.is_relative_to(sandbox.scratch) or sandbox.scratch.is_relative_to(logs)
    ):
        raise ConfigError(
            f"Agents could change the logs in `{logs}` if they may write to `{sandbox.scratch}`. Choose another "
            "`scratch`, or set `log_dir` elsewhere."
        )
    if any(logs.is_relative_to(path) for path in sandbox.read):
        return (
            f"Agents may read the logs of earlier runs: `{log_dir}` lies in a path of `read`. "
            "Set `log_dir` elsewhere to keep them."
        )
    return None


def _items(value: object) -> list[Any]:
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    raise ValueError("give a list")


def _path(value: object) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value).strip():
        raise ValueError("give the path of a file or directory")
    try:
        return Path(value).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise ValueError(f"there is no `{_shown(value)}`: check the path") from None


def _shown(path: object) -> str:
    """Returns a path or name for a message; of one that is not UTF-8, pydantic could not make one."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def exposed_path(path: Path) -> Path:
    """Returns the path back, if agents may see it: nothing with keys in it, and nothing that holds such."""
    home = Path.home().resolve()
    shown = _shown(path)
    if home.is_relative_to(path):
        raise ValueError(
            f"`{shown}` holds your whole home directory, keys included: name the directory with the data"
        )
    temporary = Path(tempfile.gettempdir()).resolve()
    if temporary.is_relative_to(path):
        raise ValueError(f"`{shown}` holds the temporary files of all your programs: name a directory in it")
    secret = [home / place for place in SECRET_PLACES] + [Path(place) for place in _SECRET_PLACES_OF_SYSTEM]
    for place in secret:
        if path.is_relative_to(place) or (place.is_relative_to(path) and place.exists()):
            raise ValueError(
                f"`{shown}` gives agents `{_shown(place)}`, where keys are kept: copy what they need elsewhere"
            )
    return path


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "sandbox"
    if first["type"] == "extra_forbidden":
        known = ", ".join(f"`{field}`" for field in Sandbox.model_fields)
        return f"`Sandbox` has no `{name}`. It has: {known}."
    why = str(first["msg"]).removeprefix("Value error, ")
    return f"`{name}` of the sandbox cannot be {first.get('input')!r}: {why}."
