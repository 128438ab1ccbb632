"""Chat completions as they come over the wire: bytes to events, events to one reply, nothing taken on trust.

Servers differ: fields are missing, null, of another type, or in another shape. Whatever is not understood
is left out; what remains is checked by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.models.base import Usage

MOST_BYTES: Final = 64 * 2**20
_MOST: Final = 10**9
"""More tokens, or USD, than any reply has; a larger figure is no figure."""


class WireError(ValueError):
    """The bytes are no chat completion."""


class EventReader:
    """Cuts a stream of server-sent events into the data of each; made for chunks cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take more bytes; give the data of each event that is complete.

        Raises:
            WireError: the stream is larger than any reply.
        """
        self._bytes += len(chunk)
        if self._bytes > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))

    def end(self) -> Iterator[bytes]:
        """Give the last event, where the server left out the empty line after it."""
        yield from self._line(self._rest.removesuffix(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


def parse_json(data: bytes) -> Mapping[str, object]:
    """Read one JSON object.

    Raises:
        WireError: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("no valid JSON") from None
    if not isinstance(value, dict):
        raise WireError("JSON, but no object")
    return value


@dataclass
class Reply:
    """One reply, folded from a whole completion or from the chunks of a stream.

    Attributes:
        pieces: its text so far.
        finish_reason: as the provider says; None until it did.
        usage: its tokens; None where none, or none that can be, was given.
        cost: USD as the provider reports it.
        model: the name of the model that answered.
        error: the error object that came in the place of a reply, or in its middle.
        tool_calls: whether the model called tools, which nobody offered.
        choices: whether any choice was there.
        ended: whether the stream's own end mark came.
    """

    pieces: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    error: object = None
    tool_calls: bool = False
    choices: bool = False
    ended: bool = False

    @property
    def text(self) -> str:
        """The whole text so far; halves of a character that came in two chunks are joined."""
        return clean_text("".join(self.pieces))

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a completion or a chunk of one; give the text that it adds."""
        if isinstance(model := payload.get("model"), str):
            self.model = model
        if payload.get("error"):
            self.error = payload["error"]
        self._count(payload)
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        self.choices = True
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self.finish_reason = reason
        message = choice.get("delta") or choice.get("message") or {}
        if not isinstance(message, dict):
            return ""
        self.tool_calls |= bool(message.get("tool_calls") or message.get("function_call"))
        text = _text(message.get("content")) or _text(message.get("refusal"))
        if text:
            self.pieces.append(text)
        return text

    def _count(self, payload: Mapping[str, object]) -> None:
        raw = payload.get("usage")
        if isinstance(raw, Mapping):
            # The last one counts: some servers send a running total with each chunk.
            self.usage = usage_from(raw)
        cost = cost_from(payload)
        if cost is not None:
            self.cost = cost


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts, of which some models make their thoughts one
        parts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def clean_text(text: str) -> str:
    """Join halves of surrogate pairs, and replace lone ones, which no encoding takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def usage_from(raw: Mapping[str, object]) -> Usage | None:
    """Read a usage object; None unless both of its main figures can be true.

    A prompt of no tokens does not exist, so that 0 is no figure either.
    """
    prompt = _tokens(raw.get("prompt_tokens"))
    completion = _tokens(raw.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    details = raw.get("prompt_tokens_details")
    cached = _tokens(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    if cached is None:
        cached = _tokens(raw.get("prompt_cache_hit_tokens"))  # DeepSeek's name for it
    return Usage(prompt, completion, min(cached or 0, prompt))


def cost_from(payload: Mapping[str, object]) -> float | None:
    """Read the cost in USD that the provider itself reports (OpenRouter and its like)."""
    usage = payload.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    cost = _amount(usage.get("cost"))
    if cost is None:
        return _amount(payload.get("cost"))
    details = usage.get("cost_details")
    if usage.get("is_byok") and isinstance(details, Mapping):
        # With a key of one's own, OpenRouter's cost is only its fee; the provider's bill comes on top.
        cost += _amount(details.get("upstream_inference_cost")) or 0.0
    return cost


def _tokens(value: object) -> int | None:
    number = _amount(value)
    return None if number is None or not number.is_integer() else int(number)


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _MOST else None  # also false for a NaN
