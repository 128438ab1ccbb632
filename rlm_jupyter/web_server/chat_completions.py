"""OpenAI's protocol in front of the sources: any chat client can ask (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from tornado.iostream import StreamClosedError

from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.web_server.checked_request import Request

if TYPE_CHECKING:
    from rlm_jupyter.web_server.served_runs import ServedRun

_MOST_MESSAGES: Final = 200
_HISTORY: Final = "history"


class ModelsRequest(Request):
    """`GET /v1/models`."""

    def get(self) -> None:
        """Name the one model."""
        self.tell(
            {
                "object": "list",
                "data": [{"id": self.server.model, "object": "model", "owned_by": "rlm_jupyter"}],
            }
        )


class CompletionRequest(Request):
    """`POST /v1/chat/completions`: the last message is the question, the sources are the data."""

    run: ServedRun | None = None

    async def post(self) -> None:
        """Answer, whole or as a stream; a client that goes away stops the run."""
        asked = self.body()
        question, history = _conversation(asked.get("messages"))
        sources = self.server.sources
        data: dict[str, Any] = dict(sources.chosen(sources.names))
        if history:
            data[_HISTORY] = history
        self.run = await self.server.runs.start(question, data, names=sources.spelled)
        about = {"id": f"chatcmpl-{self.run.id}", "created": int(time.time()), "model": self.server.model}
        if asked.get("stream") is True:
            options = asked.get("stream_options")
            with_usage = isinstance(options, dict) and options.get("include_usage") is True
            with contextlib.suppress(StreamClosedError):
                await self._stream(self.run, about, with_usage=with_usage)
            return
        async for _ in self.run.after(0):
            pass
        told = await in_thread(self.run.answer)
        if told["error"] is not None:
            self.refuse(500, told["error"])
            return
        message = {"role": "assistant", "content": _words(told["answer"])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.tell({**about, "object": "chat.completion", "choices": [choice], "usage": _usage(told)})

    async def _stream(self, run: ServedRun, about: dict[str, Any], *, with_usage: bool) -> None:
        """Send the answer when it is there; comments meanwhile, so that no proxy takes the stream for dead."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        await self.flush()
        about = {**about, "object": "chat.completion.chunk"}
        async for _, kind, told in run.after(0):
            if kind == "progress":
                self.write(f": {told['status']}, {told['completions']} completions\n\n")
            elif kind == "error":
                self._send({"error": {"message": told["error"], "type": "run_failed", "code": 500}})
            else:
                delta = {"role": "assistant", "content": _words(told["answer"])}
                self._send({**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                self._send({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                if with_usage:
                    self._send({**about, "choices": [], "usage": _usage(told)})
            await self.flush()
        self.write("data: [DONE]\n\n")
        await self.flush()

    def _send(self, told: dict[str, Any]) -> None:
        self.write(f"data: {json.dumps(told, allow_nan=False)}\n\n")

    def on_connection_close(self) -> None:
        """Stop the run that nobody waits for any more."""
        if self.run is not None:
            self.run.run.stop()


def _conversation(given: object) -> tuple[str, list[dict[str, str]]]:
    """Returns the question, and what was said before it.

    Raises:
        RequestRefusedError: these are no messages, or the last one is not the user's.
    """
    if not isinstance(given, list) or not 0 < len(given) <= _MOST_MESSAGES:
        raise RequestRefusedError(f"`messages` is a list of 1 to {_MOST_MESSAGES} messages.")
    said = [{"role": _role(message), "content": _content(message)} for message in given]
    if said[-1]["role"] != "user":
        raise RequestRefusedError("The last message is the user's: the question.")
    return said[-1]["content"], said[:-1]


def _role(message: object) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("system", "developer", "user", "assistant"):
        raise RequestRefusedError("The `role` of a message is `system`, `developer`, `user` or `assistant`.")
    return str(role)


def _content(message: object) -> str:
    """Returns the text of a message: a text, or parts of type `text`."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts
    ]
    if not all(isinstance(text, str) for text in texts):
        raise RequestRefusedError(
            "The `content` of a message is a text; other parts than `text` are not read."
        )
    return "\n".join(str(text) for text in texts)


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _usage(told: dict[str, Any]) -> dict[str, int]:
    read, written = told["input_tokens"], told["output_tokens"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
