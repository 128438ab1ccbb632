"""Ollama's `/api/chat`: a request of OpenAI's protocol put into its fields, and its lines read as chunks of a reply.

https://github.com/ollama/ollama/blob/main/docs/api.md; `truncate` and `shift` are in its `api/types.go` alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.models.base import media_of
from rlm_jupyter.models.openai.chat_replies import MOST_BYTES, Reply, WireError, clean_text, parse_json
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rlm_jupyter.models.base import Message

KEEP_ALIVE: Final = "30m"
"""How long the server keeps the model, and with it the prompt that it has read: an agent's cell may take minutes."""
_TOP: Final = frozenset(
    ("model", "messages", "format", "keep_alive", "think", "truncate", "shift", "logprobs", "top_logprobs")
) | frozenset(("extra_headers", "extra_query"))
_DROPPED: Final = frozenset(
    ("stream", "stream_options", "n", "usage", "user", "tools", "tool_choice", "options")
)


def native_request(fields: Mapping[str, object]) -> dict[str, Any]:
    """Returns a request in Ollama's own fields: what is neither its name nor its bound is one of its `options`."""
    options = fields.get("options")
    options = dict(options) if isinstance(options, Mapping) else {}
    # `truncate` and `shift` unset, a prompt or a reply that is too long loses its beginning without a word.
    body: dict[str, Any] = {"truncate": False, "shift": False, "keep_alive": KEEP_ALIVE, "stream": True}
    bounds = [options.get("num_predict"), fields.get(OLD_LIMIT), fields.get(NEW_LIMIT)]
    given = [bound for bound in bounds if isinstance(bound, int) and bound > 0]
    for name, value in fields.items():
        if name in _TOP:
            body[name] = value
        elif name == "reasoning_effort":
            body.setdefault("think", False if value == "none" else value)
        elif name == "response_format":
            body.setdefault("format", _format(value))
        elif name not in _DROPPED and name not in (OLD_LIMIT, NEW_LIMIT):
            options.setdefault(name, value)
    if given:
        options["num_predict"] = min(given)
    return {**body, "options": options}


def with_media(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Returns the messages as Ollama has them: images and audio in base64, in one field of their own.

    It tells audio from images by the first bytes (https://github.com/ollama/ollama/issues/15427).
    """
    return [
        {
            "role": message["role"],
            "content": message["content"],
            **({"images": [one.base64 for one in media]} if (media := media_of([message])) else {}),
        }
        for message in messages
    ]


def _format(value: object) -> object:
    """Returns what OpenAI calls a response format as Ollama takes it: a JSON Schema, or ``"json"``."""
    schema = value.get("json_schema") if isinstance(value, Mapping) else None
    return schema["schema"] if isinstance(schema, Mapping) and "schema" in schema else "json"


async def receive_lines(
    response: Any, reply: Reply, on_delta: Callable[[str], None] | None, heard: Callable[[], None]
) -> None:
    """Read a response into `reply`, one JSON object to a line.

    Args:
        response: the SDK's response, its body not yet read.
        reply: filled while the body arrives, so that what came is kept when the rest does not.
        on_delta: called with each piece of text.
        heard: called with each line.

    Raises:
        WireError: the body is something else, or larger than any reply.
    """
    # Closed here and now: left to the garbage collector, a cancelled body ends in a warning, much later.
    async with contextlib.aclosing(response.iter_bytes()) as chunks:
        async for line in _lines(chunks):
            heard()
            text = reply.add(as_chunk(parse_json(line)))
            if text and on_delta is not None:
                on_delta(clean_text(text))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
        first, *others = chunk.split(b"\n")
        rest.append(first)
        for line in others:
            whole, rest = b"".join(rest).strip(), [line]
            if whole:
                yield whole
    if last := b"".join(rest).strip():
        yield last


def as_chunk(line: Mapping[str, object]) -> dict[str, object]:
    """Returns a line of Ollama as a chunk of OpenAI's protocol."""
    if line.get("error"):
        return {"error": line["error"]}
    message = line.get("message")
    message = message if isinstance(message, Mapping) else {}
    delta = {"content": message.get("content"), "reasoning": message.get("thinking")}
    delta["tool_calls"] = message.get("tool_calls")
    chunk: dict[str, object] = {"model": line.get("model"), "choices": []}
    if not line.get("done"):
        return {**chunk, "choices": [{"delta": delta}]}
    reason = line.get("done_reason")
    choice = {"delta": delta, "finish_reason": reason if isinstance(reason, str) else "stop"}
    usage = {"prompt_tokens": line.get("prompt_eval_count"), "completion_tokens": line.get("eval_count")}
    return {**chunk, "choices": [choice], "usage": usage}
