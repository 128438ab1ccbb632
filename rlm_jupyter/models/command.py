"""`CommandModel`: a program in the place of a model, such as a vendor's agent that is started for each request."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from rlm_jupyter.errors import ConfigError, EmptyReplyError, ModelError, ProviderUnreachableError
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, media_of
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.settings import PROVIDERS
from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.text.shorten import cut_end

MOST_REPLY: Final = 4_000_000
"""Bytes of a reply; a program that writes more is ended."""
_MOST_ERROR: Final = 4_000
_TOLD: Final = 400
_PIECE: Final = 65_536
_ENDING_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05
_KEYS: Final = frozenset({"RLM_MODEL_API_KEY", *(one.key for one in PROVIDERS.values() if one.key)})
_NAMED: Final = 5
"""Variables that an error names."""


class CommandModel:
    """Starts a program for each request: the prompt goes to its standard input, the reply is its standard output.

    Usage:
        >>> from rlm_jupyter.models import CommandModel
        >>> rlm = RLM(model=CommandModel(["claude", "-p"]))
        >>> rlm = RLM(model=CommandModel(["codex", "exec", "-"], timeout=900))

    The program is no model, but may be an agent with tools of its own: it runs as you, outside the sandbox, with your
    files, and reads text of your data. Switch its tools off where it has a way to. Its price is not known, unless you
    give it, so that a money limit is refused; tokens are estimated from what it was sent and wrote. It is ended with
    all processes that it started in its session when the run is stopped and when the time is over.

    Args:
        command: the program and its arguments; no shell reads them.
        name: in the tree and the log; None: `command/` and the program's name.
        timeout: seconds that one request may take.
        env: environment variables besides those of this process, or in their place; None for one takes it away. Keys,
            passwords and other secrets in the environment of this process are passed on only if they are named here:
            `env={"ANTHROPIC_API_KEY": os.environ["ANTHROPIC_API_KEY"]}`.
        cwd: its working directory; None: a directory of its own that is empty and removed afterwards.
        price: USD per million tokens (prompt, completion); None: not known.

    Raises:
        ConfigError: the command is empty or no list of texts, or `timeout` or `price` cannot be.
    """

    scripted = False
    hears = False

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
                "`['claude', '-p']`."
            )
        if any("\0" in part for part in command):
            raise ConfigError("A part of `command` has a null character, which no program can be given.")
        if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not timeout > 0:
            raise ConfigError(f"`timeout` cannot be `{timeout!r:.40}`: give seconds above 0.")
        self.command = tuple(command)
        self.name = name or f"command/{PurePath(command[0]).name}"
        self.price = None if price is None else Price.read(price)
        self.timeout = float(timeout)
        self._env = dict(env or {})
        self._cwd = cwd

    def __repr__(self) -> str:
        return f"CommandModel({self.command[0]!r}, name={self.name!r})"  # arguments may hold secrets

    async def complete(self, request: CompletionRequest) -> Completion:
        """Run the program once.

        Raises:
            ProviderUnreachableError: it cannot be started.
            EmptyReplyError: it wrote nothing.
            ModelError: it failed, took too long or wrote too much; or the request has images or audio.
        """
        if media_of(request.messages):
            raise ModelError(
                f"`{self.name}` is a program that takes text alone, and the prompt has images or audio."
            )
        import tempfile

        with contextlib.ExitStack() as stack:
            cwd = self._cwd
            if cwd is None:
                cwd = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            text = await self._run(prompt_text(request.messages), cwd, request.on_delta)
        if not text.strip():
            raise EmptyReplyError(f"`{self.name}` ended without an error and wrote nothing.")
        return Completion(text, model=self.name)

    async def _run(
        self, prompt: str, cwd: str | os.PathLike[str], on_delta: Callable[[str], None] | None
    ) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=self._environment(),
                start_new_session=True,  # so that it can be ended with its children
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ProviderUnreachableError(
                f"The program `{self.command[0]}` of `{self.name}` cannot be started: {reason}. Is it installed, and "
                "in the `PATH` of this process?"
            ) from None
        reply = _Output(MOST_REPLY, on_delta)
        errors = ""
        try:
            async with asyncio.timeout(self.timeout):
                errors = await self._talk(process, prompt, reply)
        except TimeoutError:
            raise ModelError(
                f"`{self.name}` had not ended after {self.timeout:g} seconds, and was ended. `timeout=` gives it more."
            ) from None
        finally:
            await _end(process)
        if reply.full:
            raise ModelError(f"`{self.name}` wrote more than {MOST_REPLY:,} bytes, and was ended.")
        if process.returncode != 0:
            told = cut_end(clean(errors or reply.text).strip(), _TOLD)
            raise ModelError(
                f"`{self.name}` ended with code {process.returncode}: {told or 'it wrote nothing'}{self._kept_back()}"
            )
        return reply.text

    async def _talk(self, process: asyncio.subprocess.Process, prompt: str, reply: _Output) -> str:
        """Write the prompt and read both outputs at once: a program may write before it has read all.

        Returns:
            The end of its error output.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = _Tail(_MOST_ERROR)

        async def read_reply(stream: asyncio.StreamReader) -> None:
            await _drain(stream, reply.add)
            if reply.full:
                _kill(process)

        async with asyncio.TaskGroup() as group:
            talk = [
                group.create_task(_write(process.stdin, prompt)),
                group.create_task(_drain(process.stderr, errors.add)),
                group.create_task(read_reply(process.stdout)),
            ]
            group.create_task(_end_children(process, talk))
        return errors.text

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
class _Output:
    """What a program writes, decoded as it comes and passed on, up to a size."""

    most: int
    on_delta: Callable[[str], None] | None = None
    full: bool = False
    _bytes: int = 0
    _parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> bool:
        """Take a piece; an empty one is the end. Returns whether more is wanted."""
        self._bytes += len(piece)
        if self._bytes > self.most:
            self.full = True
            return False
        text = self._decoder.decode(piece, final=not piece)
        self._parts.append(text)
        if text and self.on_delta is not None:
            self.on_delta(text)
        return True

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)


@dataclass
class _Tail:
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


async def _write(stream: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read all, or anything
        stream.write(text.encode("utf-8", "replace"))
        await stream.drain()
    with contextlib.suppress(OSError):
        stream.close()


async def _drain(stream: asyncio.StreamReader, add: Callable[[bytes], bool]) -> None:
    while add(piece := await stream.read(_PIECE)) and piece:
        pass


def _is_secret(name: str, value: str) -> bool:
    if name.lower().endswith("_proxy"):  # without it, the program reaches nobody
        return False
    return name in _KEYS or any(secrets_in({name: value}))


async def _end_children(process: asyncio.subprocess.Process, talk: Sequence[asyncio.Task[None]]) -> None:
    """End what a program left behind when it ended: it would hold its outputs open.

    What made a session of its own is not found; nobody waits for what that may still write.
    """
    # `wait()` may itself wait for the outputs: https://github.com/python/cpython/issues/119710
    while process.returncode is None:
        await asyncio.sleep(_POLL_SECONDS)
    _kill(process)
    _, late = await asyncio.wait(talk, timeout=_ENDING_SECONDS)
    for task in late:
        task.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program with what it started; what has ended already is left alone, but for its children."""
    _kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDING_SECONDS):
            while (
                process.returncode is None
            ):  # before the transport is closed, which would take the code away
                await asyncio.sleep(_POLL_SECONDS)
    # Pipes that nobody reads to their end stay open, and there is no public way to close them.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)  # its session, of which it is the leader
        elif process.returncode is None:
            process.kill()
