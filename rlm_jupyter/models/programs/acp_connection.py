"""One conversation with an agent of the Agent Client Protocol: JSON-RPC in lines, bounded, on a program's streams.

There is a client in the package `agent-client-protocol`. It starts a task for each line that an agent writes, without a
bound, and logs a traceback for each that it cannot read; what is needed here is four requests and one refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rlm_jupyter.errors import ModelError
from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.text.shorten import cut_end

LONGEST_LINE: Final = 4_000_000
"""Bytes of one message."""
_MOST_BYTES: Final = 64_000_000
"""Of all that an agent writes in one request: thoughts and reports of its tools come beside its message."""
_MOST_REPLY: Final = 4_000_000
"""Characters of its message."""
_MOST_OTHER_LINES: Final = 200
"""Lines that are no messages of the protocol, such as a program's greeting."""
_TOLD: Final = 400
_NO_METHOD: Final = -32601
"""The code for a method that is not there: https://www.jsonrpc.org/specification#error_object"""


class RefusedRequestError(Exception):
    """An agent answered a request with an error.

    Attributes:
        method: that was asked for.
        code: of the error; 0 if it has none.
        told: its message, shortened.
    """

    def __init__(self, method: str, error: object) -> None:
        super().__init__(method)
        self.method = method
        found = error if isinstance(error, dict) else {}
        self.code = found["code"] if type(found.get("code")) is int else 0
        message = found.get("message")
        told = message if isinstance(message, str) and message.strip() else f"error {self.code}"
        data = found.get("data")
        details = data.get("details") if isinstance(data, dict) else data
        if isinstance(details, str) and details.strip():
            told += f": {details}"
        self.told = cut_end(clean(told).strip(), _TOLD)


@dataclass
class AcpReply:
    """What comes of one prompt.

    Attributes:
        on_delta: called with each piece of the message.
        on_begin: called with the first sign of it, be it a thought.
        thought_bytes: bytes of the agent's thoughts.
        refused: how often it asked for a permission, a file or a terminal, and was refused.
    """

    on_delta: Callable[[str], None] | None = None
    on_begin: Callable[[], None] | None = None
    thought_bytes: int = 0
    refused: int = 0
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _begun: bool = False

    @property
    def text(self) -> str:
        """The message."""
        return "".join(self._parts)

    def update(self, told: object) -> bool:
        """Take one update of a session. Returns whether the message still has room."""
        if not isinstance(told, dict):
            return True
        kind, content = told.get("sessionUpdate"), told.get("content")
        if kind not in ("agent_message_chunk", "agent_thought_chunk"):
            return True
        if not self._begun:
            self._begun = True
            if self.on_begin is not None:
                self.on_begin()
        text = content.get("text") if isinstance(content, dict) and content.get("type") == "text" else None
        if not isinstance(text, str):
            return True
        if kind == "agent_thought_chunk":
            self.thought_bytes += len(text.encode("utf-8", "replace"))
            return True
        self._length += len(text)
        if self._length > _MOST_REPLY:
            return False
        self._parts.append(text)
        if self.on_delta is not None:
            self.on_delta(text)
        return True


class AcpConnection:
    """Asks one thing at a time, and refuses what the agent asks for meanwhile.

    Args:
        name: of the model, for errors.
        reader: the program's output; its limit is `LONGEST_LINE`.
        writer: the program's input.
        reply: takes the updates of the session.

    Attributes:
        session: the id of the session; updates of others are not taken.
    """

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: AcpReply
    ) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer
        self._reply = reply
        self._asked = 0
        self._bytes = 0
        self._others = 0
        self.session = ""

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the result of a request; an empty one if the agent gives no object.

        Raises:
            RefusedRequestError: the answer is an error.
            EOFError: the program ended first.
            ModelError: it wrote too much, or what is no message of the protocol.
        """
        self._asked += 1
        mine = self._asked
        # Written beside the reading: an agent may write before it has read all of a long prompt.
        writing = asyncio.ensure_future(
            self._write({"jsonrpc": "2.0", "id": mine, "method": method, "params": params})
        )
        try:
            while True:
                message = await self._read()
                if message is None:
                    continue
                if "method" in message:
                    await self._take(message)
                elif message.get("id") == mine and type(message.get("id")) is int:
                    if message.get("error") is not None:
                        raise RefusedRequestError(method, message["error"])
                    result = message.get("result")
                    return result if isinstance(result, dict) else {}
        finally:
            writing.cancel()

    async def cancel(self, seconds: float) -> None:
        """Say that the turn is over, and leave the agent some seconds to say so to its provider."""
        if self.session:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    note = {
                        "jsonrpc": "2.0",
                        "method": "session/cancel",
                        "params": {"sessionId": self.session},
                    }
                    await self._write(note)
                    while await self._reader.read(LONGEST_LINE):
                        pass

    async def _write(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is seen by the reader
            self._writer.write(json.dumps(message, ensure_ascii=True).encode() + b"\n")
            await self._writer.drain()

    async def _read(self) -> dict[str, Any] | None:
        """Returns the next message; None for a line that is none."""
        try:
            line = await self._reader.readline()
        except ValueError:
            raise ModelError(
                f"`{self._name}` wrote a line of more than {LONGEST_LINE:,} bytes, and was ended."
            ) from None
        if not line:
            raise EOFError
        self._bytes += len(line)
        if self._bytes > _MOST_BYTES:
            raise ModelError(f"`{self._name}` wrote more than {_MOST_BYTES:,} bytes, and was ended.")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return message
        self._others += 1
        if self._others > _MOST_OTHER_LINES:
            raise ModelError(
                f"`{self._name}` writes lines that are no messages of the Agent Client Protocol. Does its command have "
                "the option that makes it speak this protocol?"
            )
        return None

    async def _take(self, message: Mapping[str, Any]) -> None:
        """Take a notification, or answer a request of the agent: with a refusal."""
        method, params = message.get("method"), message.get("params")
        found = params if isinstance(params, dict) else {}
        if "id" not in message:
            mine = bool(self.session) and found.get("sessionId") == self.session
            if method == "session/update" and mine and not self._reply.update(found.get("update")):
                raise ModelError(f"`{self._name}` wrote more than {_MOST_REPLY:,} characters, and was ended.")
            return
        self._reply.refused += 1
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if method == "session/request_permission":
            answer["result"] = {"outcome": _refusal(found.get("options"))}
        else:
            answer["error"] = {
                "code": _NO_METHOD,
                "message": "This client offers no files, terminals or forms.",
            }
        await self._write(answer)


def _refusal(options: object) -> dict[str, Any]:
    """Returns the outcome that refuses: the agent's own choice for it, or else the end of the turn."""
    for kind in ("reject_once", "reject_always"):
        for option in options if isinstance(options, list) else ():
            if (
                isinstance(option, dict)
                and option.get("kind") == kind
                and isinstance(option.get("optionId"), str)
            ):
                return {"outcome": "selected", "optionId": option["optionId"]}
    return {"outcome": "cancelled"}
