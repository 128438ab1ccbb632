"""What models that are programs have in common: how one is started with the environment it may see, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from rlm_jupyter.errors import ConfigError, ModelError, ProviderUnreachableError
from rlm_jupyter.models.base import Message, Price, media_of
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.settings import PROVIDERS

MOST_ERROR: Final = 4_000
"""Bytes of a program's error output that are kept: its end."""
MOST_TOLD: Final = 400
ENDING_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
_PIECE: Final = 65_536
_KEYS: Final = frozenset({"RLM_MODEL_API_KEY", *(one.key for one in PROVIDERS.values() if one.key)})
_NAMED: Final = 5
"""Variables that an error names."""


class ProgramModel:
    """A model that is a program, started for each request. See `CommandModel` and `AcpModel` for the arguments."""

    scripted = False
    hears = False
    _kind = "command"
    _example = "['claude', '-p']"

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        timeout: float = 600.0,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        price: Price | tuple[float, float] | None = None,
    ) -> None:
        texts = not isinstance(command, str) and all(isinstance(part, str) for part in command)
        if not texts or not command or not command[0]:
            raise ConfigError(
                f"`command` cannot be `{command!r:.80}`: give a program and its arguments as a list of texts, such as "
                f"`{self._example}`."
            )
        if any("\0" in part for part in command):
            raise ConfigError("A part of `command` has a null character, which no program can be given.")
        if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not timeout > 0:
            raise ConfigError(f"`timeout` cannot be `{timeout!r:.40}`: give seconds above 0.")
        self.command = tuple(command)
        self.name = name or f"{self._kind}/{PurePath(command[0]).name}"
        self.price = None if price is None else Price.read(price)
        self.timeout = float(timeout)
        self._env = dict(env or {})
        self._cwd = cwd

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command[0]!r}, name={self.name!r})"  # arguments may hold secrets

    def _refuse_media(self, messages: Sequence[Message]) -> None:
        if media_of(messages):
            raise ModelError(
                f"`{self.name}` is a program that takes text alone, and the prompt has images or audio."
            )

    @contextlib.contextmanager
    def _directory(self) -> Iterator[str]:
        """The working directory of one request: the one that was given, or an empty one that is removed afterwards."""
        import tempfile

        if self._cwd is not None:
            yield str(Path(self._cwd).absolute())
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
            yield made

    async def _start(self, cwd: str, longest_line: int = _PIECE) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=self._environment(),
                limit=longest_line,
                start_new_session=True,  # so that it can be ended with its children
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ProviderUnreachableError(
                f"The program `{self.command[0]}` of `{self.name}` cannot be started: {reason}. Is it installed, and "
                "in the `PATH` of this process?"
            ) from None

    def _too_slow(self) -> ModelError:
        return ModelError(
            f"`{self.name}` had not ended after {self.timeout:g} seconds, and was ended. `timeout=` gives it more."
        )

    def _environment(self) -> dict[str, str]:
        secret = self._secret_names()
        own = {name: value for name, value in os.environ.items() if name not in secret}
        return {name: value for name, value in {**own, **self._env}.items() if value is not None}

    def _secret_names(self) -> list[str]:
        """Returns the variables of this process that are not passed on: it is a program that reads text of data."""
        return [
            name for name, value in os.environ.items() if name not in self._env and _is_secret(name, value)
        ]

    def _kept_back(self) -> str:
        secret = [name for name in sorted(self._secret_names()) if name in _KEYS][:_NAMED]
        if not secret:
            return ""
        names = ", ".join(f"`{name}`" for name in secret)
        return f". It was not given {names}: `env=` does that, if it needs one."


def prompt_text(messages: Sequence[Message]) -> str:
    """Returns a chat as one text: a single message of the user as it is, else each below the name of its role."""
    if len(messages) == 1:
        return messages[0]["content"]
    names = {"system": "Instructions", "user": "User", "assistant": "You answered"}
    parts = [f"## {names[message['role']]}\n\n{message['content']}" for message in messages]
    return "\n\n".join([*parts, "## Now\n\nReply to the last message, with the reply alone."])


@dataclass
class Tail:
    """The end of what a program writes."""

    most: int
    _kept: bytes = b""

    def add(self, piece: bytes) -> bool:
        """Take a piece. Returns that more is wanted."""
        self._kept = (self._kept + piece)[-self.most :]
        return True

    @property
    def text(self) -> str:
        """It, decoded."""
        return self._kept.decode("utf-8", "replace")


async def drain(stream: asyncio.StreamReader, add: Callable[[bytes], bool]) -> None:
    """Read a stream to its end, or until `add` returns that no more is wanted."""
    while add(piece := await stream.read(_PIECE)) and piece:
        pass


def _is_secret(name: str, value: str) -> bool:
    if name.lower().endswith("_proxy"):  # without it, the program reaches nobody
        return False
    return name in _KEYS or any(secrets_in({name: value}))


async def end(process: asyncio.subprocess.Process) -> None:
    """End a program with what it started; what has ended already is left alone, but for its children."""
    kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING_SECONDS):
            while (
                process.returncode is None
            ):  # before the transport is closed, which would take the code away
                await asyncio.sleep(POLL_SECONDS)
    # Pipes that nobody reads to their end stay open, and there is no public way to close them.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a program with all processes of its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)  # its session, of which it is the leader
        elif process.returncode is None:
            process.kill()
