"""`CommandModel`: a program in the place of a model, such as a vendor's agent that is started for each request."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.errors import EmptyReplyError, ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest
from rlm_jupyter.models.programs.program import (
    ENDING_SECONDS,
    MOST_ERROR,
    MOST_TOLD,
    POLL_SECONDS,
    ProgramModel,
    Tail,
    drain,
    end,
    kill,
    prompt_text,
)
from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.text.shorten import cut_end

MOST_REPLY: Final = 4_000_000
"""Bytes of a reply; a program that writes more is ended."""


class CommandModel(ProgramModel):
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

    async def complete(self, request: CompletionRequest) -> Completion:
        """Run the program once.

        Raises:
            ProviderUnreachableError: it cannot be started.
            EmptyReplyError: it wrote nothing.
            ModelError: it failed, took too long or wrote too much; or the request has images or audio.
        """
        self._refuse_media(request.messages)
        with self._directory() as cwd:
            text = await self._run(prompt_text(request.messages), cwd, request.on_delta)
        if not text.strip():
            raise EmptyReplyError(f"`{self.name}` ended without an error and wrote nothing.")
        return Completion(text, model=self.name)

    async def _run(self, prompt: str, cwd: str, on_delta: Callable[[str], None] | None) -> str:
        process = await self._start(cwd)
        reply = _Output(MOST_REPLY, on_delta)
        errors = ""
        try:
            async with asyncio.timeout(self.timeout):
                errors = await self._talk(process, prompt, reply)
        except TimeoutError:
            raise self._too_slow() from None
        finally:
            await end(process)
        if reply.full:
            raise ModelError(f"`{self.name}` wrote more than {MOST_REPLY:,} bytes, and was ended.")
        if process.returncode != 0:
            told = cut_end(clean(errors or reply.text).strip(), MOST_TOLD)
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
        errors = Tail(MOST_ERROR)

        async def read_reply(stream: asyncio.StreamReader) -> None:
            await drain(stream, reply.add)
            if reply.full:
                kill(process)

        async with asyncio.TaskGroup() as group:
            talk = [
                group.create_task(_write(process.stdin, prompt)),
                group.create_task(drain(process.stderr, errors.add)),
                group.create_task(read_reply(process.stdout)),
            ]
            group.create_task(_end_children(process, talk))
        return errors.text


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


async def _write(stream: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read all, or anything
        stream.write(text.encode("utf-8", "replace"))
        await stream.drain()
    with contextlib.suppress(OSError):
        stream.close()


async def _end_children(process: asyncio.subprocess.Process, talk: Sequence[asyncio.Task[None]]) -> None:
    """End what a program left behind when it ended: it would hold its outputs open.

    What made a session of its own is not found; nobody waits for what that may still write.
    """
    # `wait()` may itself wait for the outputs: https://github.com/python/cpython/issues/119710
    while process.returncode is None:
        await asyncio.sleep(POLL_SECONDS)
    kill(process)
    _, late = await asyncio.wait(talk, timeout=ENDING_SECONDS)
    for task in late:
        task.cancel()
