"""`AcpModel`: an agent that speaks the Agent Client Protocol in the place of a model."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rlm_jupyter.errors import AuthenticationError, EmptyReplyError, ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest, Price, Usage
from rlm_jupyter.models.programs.acp_connection import (
    LONGEST_LINE,
    AcpConnection,
    AcpReply,
    RefusedRequestError,
)
from rlm_jupyter.models.programs.program import (
    MOST_ERROR,
    MOST_TOLD,
    ProgramModel,
    Tail,
    drain,
    end,
    prompt_text,
)
from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.text.shorten import cut_end

_VERSION: Final = 1
"""Of the protocol: https://agentclientprotocol.com/protocol/initialization"""
_SIGN_IN: Final = -32000
"""The code of an error that asks for authentication: https://agentclientprotocol.com/protocol/schema"""
_CANCEL_SECONDS: Final = 0.2
_REASONS: Final = {
    "end_turn": "stop",
    "max_tokens": "length",
    "max_turn_requests": "length",
    "refusal": "content_filter",
}
_MOST_TOKENS: Final = 1 << 40


class AcpModel(ProgramModel):
    """Starts an agent of the Agent Client Protocol for each request, and takes its message for the reply.

    Usage:
        >>> from rlm_jupyter.models import AcpModel
        >>> rlm = RLM(model=AcpModel(["claude-code-acp"]))
        >>> rlm = RLM(model=AcpModel(["gemini", "--experimental-acp"], mode="plan"))

    Each request is a session of its own with the whole chat as its prompt. The agent is offered no files, no
    terminal and no MCP servers, and whatever it asks permission for is refused. **It is a program all the same**:
    it runs as you, outside the sandbox, and reads text of your data; what it does without asking is up to it. Its
    price is not known, unless you give it, so that a money limit is refused. Tokens are its own figures where it
    gives them (they hold all that it sent itself), and are estimated where it does not. It is ended with all
    processes that it started in its session after each request, when the run is stopped and when the time is over.

    The protocol: https://agentclientprotocol.com/protocol/overview

    Args:
        command: the program and its arguments; no shell reads them.
        name: in the tree and the log; None: `acp/` and the program's name.
        mode: one of the agent's own session modes, such as one that only plans; None: the one that it begins with.
        timeout: seconds that one request may take.
        env: environment variables besides those of this process, or in their place; None for one takes it away. Keys,
            passwords and other secrets in the environment of this process are passed on only if they are named here.
        cwd: its working directory; None: a directory of its own that is empty and removed afterwards.
        price: USD per million tokens (prompt, completion); None: not known.

    Raises:
        ConfigError: the command is empty or no list of texts, or `timeout` or `price` cannot be.
    """

    _kind = "acp"
    _example = "['claude-code-acp']"

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        mode: str | None = None,
        timeout: float = 600.0,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        price: Price | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(command, name=name, timeout=timeout, env=env, cwd=cwd, price=price)
        self._mode = mode

    async def complete(self, request: CompletionRequest) -> Completion:
        """Start the agent, ask it once, and end it.

        Raises:
            ProviderUnreachableError: it cannot be started.
            AuthenticationError: it asks its user to sign in first.
            EmptyReplyError: it ended its turn without a message.
            ModelError: it failed, took too long or wrote too much, or speaks another version of the protocol; or the
                request has images or audio.
        """
        self._refuse_media(request.messages)
        reply = AcpReply(request.on_delta, request.on_begin)
        with self._directory() as cwd:
            result = await self._run(prompt_text(request.messages), cwd, reply)
        reason = result.get("stopReason")
        if reason == "cancelled":
            raise ModelError(f"`{self.name}` says that its turn was cancelled; nobody here did that.")
        if not reply.text.strip():
            raise EmptyReplyError(f"`{self.name}` ended its turn without a message{_refused(reply)}.")
        return Completion(
            reply.text,
            usage=_usage(result.get("usage")),
            model=self.name,
            finish_reason=_REASONS.get(str(reason), "stop"),
            thought_bytes=reply.thought_bytes,
        )

    async def _run(self, prompt: str, cwd: str, reply: AcpReply) -> Mapping[str, Any]:
        process = await self._start(cwd, LONGEST_LINE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = Tail(MOST_ERROR)
        connection = AcpConnection(self.name, process.stdout, process.stdin, reply)
        reading = asyncio.ensure_future(drain(process.stderr, errors.add))
        try:
            async with asyncio.timeout(self.timeout):
                return await self._ask(connection, prompt, cwd)
        except TimeoutError:
            raise self._too_slow() from None
        except RefusedRequestError as error:
            if error.code == _SIGN_IN:
                raise AuthenticationError(
                    f"`{self.name}` asks to be signed in first: {error.told}. Start `{self.command[0]}` in a terminal "
                    f"once and sign in{self._kept_back()}"
                ) from None
            raise ModelError(
                f"`{self.name}` refused `{error.method}`: {error.told}{self._kept_back()}"
            ) from None
        except EOFError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(reading), 1.0)  # what it says of its end
            told = cut_end(clean(errors.text).strip(), MOST_TOLD) or "it wrote no error"
            raise ModelError(
                f"`{self.name}` ended before it had answered: {told}{self._kept_back()}"
            ) from None
        except asyncio.CancelledError:
            await connection.cancel(_CANCEL_SECONDS)
            raise
        finally:
            reading.cancel()
            await end(process)

    async def _ask(self, connection: AcpConnection, prompt: str, cwd: str) -> Mapping[str, Any]:
        from rlm_jupyter import __version__

        begun = await connection.request(
            "initialize",
            {
                "protocolVersion": _VERSION,
                "clientCapabilities": {
                    "fs": {"readTextFile": False, "writeTextFile": False},
                    "terminal": False,
                },
                "clientInfo": {"name": "rlm_jupyter", "version": __version__},
            },
        )
        if begun.get("protocolVersion") != _VERSION:
            raise ModelError(
                f"`{self.name}` speaks version `{begun.get('protocolVersion')!r:.20}` of the Agent Client Protocol; "
                f"version {_VERSION} is understood here."
            )
        opened = await connection.request("session/new", {"cwd": cwd, "mcpServers": []})
        session = opened.get("sessionId")
        if not isinstance(session, str):
            raise ModelError(f"`{self.name}` opened a session and did not say its `sessionId`.")
        connection.session = session
        if self._mode is not None:
            await connection.request("session/set_mode", {"sessionId": session, "modeId": self._mode})
        asked = {"sessionId": session, "prompt": [{"type": "text", "text": prompt}]}
        return await connection.request("session/prompt", asked)


def _refused(reply: AcpReply) -> str:
    return f"; it asked {reply.refused} times for what it may not do here" if reply.refused else ""


def _usage(told: object) -> Usage | None:
    """Returns the tokens that an agent counts; None if it does not, or not in figures that can be used."""
    if not isinstance(told, dict):
        return None
    sent, written = told.get("inputTokens"), told.get("outputTokens")
    thought, cached = told.get("thoughtTokens") or 0, told.get("cachedReadTokens") or 0
    figures = (sent, written, thought, cached)
    if not all(type(figure) is int and 0 <= figure < _MOST_TOKENS for figure in figures):
        return None
    assert isinstance(sent, int)
    assert isinstance(written, int)
    return Usage(sent + cached, written + thought, cached)
