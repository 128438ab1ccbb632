"""Chat completions as they come over the wire: bytes to events, events to one reply, nothing taken on trust.

Servers differ: fields are missing, null, of another type, or in another shape. Whatever is not understood
is left out; what remains is checked by the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.models.base import Usage
from rlm_jupyter.models.openai.error_body import error_in_choice, find_complaint, find_error
from rlm_jupyter.models.openai.reply_usage import cost_of, usage_from, usage_of
from rlm_jupyter.models.token_estimate import utf8_bytes

__all__ = ["EventReader", "Reply", "WireError", "clean_text", "is_blank", "parse_json", "usage_from"]

MOST_BYTES: Final = 64 * 2**20
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_VISIBLE: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff]")
_MOST_NAME: Final = 200
_REPEATED: Final = 32
"""Characters from which on a last piece that equals all that came before is a repetition, not a text of its own."""
_THOUGHTS: Final = (
    *("reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking", "thoughts"),
    "thinking_blocks",
)
_THOUGHT_TEXTS: Final = ("text", "thinking", "reasoning", "summary", "content")
"""Names of the text in a part of thoughts."""
_ALIVE: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""Names of events that only keep a connection open."""
_TEXT_PARTS: Final = ("text", "output_text", "refusal")
_FINISHES: Final = {
    **dict.fromkeys(
        ("stop", "end_turn", "eos", "eos_token", "stop_sequence", "completed", "complete"), "stop"
    ),
    **dict.fromkeys(
        (
            "length",
            "max_tokens",
            "max_output_tokens",
            "max_length",
            "model_length",
            "model_context_window_exceeded",
        ),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "safety", "content_filtered", "recitation", "sensitive", "refusal"),
        "content_filter",
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("error", "network_error", "insufficient_system_resource"), "error"),
    **dict.fromkeys(("", "null", "none"), None),
}
"""How providers call the ends of a reply, without case; what is not here is kept as it is."""


class WireError(ValueError):
    """The bytes are not a chat completion."""


_OF_CHUNK: Final = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier")
)
_OF_CHOICE: Final = frozenset(("index", "delta", "finish_reason", "logprobs"))
_OF_DELTA: Final = frozenset(("role", "content"))


class EventData(bytes):
    """The data of one server-sent event.

    Attributes:
        event: the event's name; empty if it has none.
    """

    event: str = ""

    @classmethod
    def of(cls, lines: list[bytes], event: bytes) -> EventData:
        """Returns the data of an event that came in these lines."""
        data = cls(b"\n".join(lines))
        data.event = event.decode("utf-8", "replace")[:_MOST_NAME]
        return data


class EventReader:
    """Cuts a stream of server-sent events into the data of each; made for chunks cut anywhere."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._event = b""
        self._bytes = 0
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[EventData]:
        """Take more bytes; give the data of each event that is complete.

        Raises:
            WireError: the stream is larger than any reply.
        """
        self._bytes += len(chunk)
        if self._bytes > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
        if self._rest and self._rest[-1].endswith(b"\r"):
            # Half of a line end, perhaps: only now can it be told.
            chunk = self._rest.pop() + chunk
        if b"\n" not in chunk and b"\r" not in chunk[:-1]:
            self._rest.append(chunk)
            return
        held = chunk[-1:] if chunk.endswith(b"\r") else b""
        first, *lines = _LINE_END.split(chunk.removesuffix(b"\r") if held else chunk)
        lines = [b"".join([*self._rest, first]), *lines]
        self._rest = [lines.pop() + held]
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[EventData]:
        """Yields the last event, where the server left out the empty line after it."""
        rest, self._rest = b"".join(self._rest), []
        yield from self._line(rest.removesuffix(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[EventData]:
        if not self._begun and line:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"event:"):
            self._event = line[6:].strip()
        elif line.startswith(b"{") and line.rstrip().endswith(b"}"):
            # An object without `data:`, as proxies send an error into a stream.
            yield EventData.of([line], self._event)
        elif not line:
            data, self._data = self._data, []
            event, self._event = self._event, b""
            if data:
                yield EventData.of(data, event)


def parse_json(data: bytes) -> Mapping[str, object]:
    """Read one JSON object.

    Raises:
        WireError: it is none.
    """
    value = parse_any_json(data)
    if not isinstance(value, dict):
        raise WireError("JSON, but no object")
    return value


def parse_any_json(data: bytes) -> object:
    """Read JSON of any kind.

    Raises:
        WireError: it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("no valid JSON") from None


@dataclass
class Reply:
    """One reply, folded from a whole completion or from the chunks of a stream.

    Attributes:
        pieces: its text so far.
        finish_reason: as the provider says; None until it did.
        usage: its tokens; None if none, or none that can be, was given.
        cost: USD as the provider reports it.
        model: the name of the model that answered.
        service_tier: at which it was served, as the provider says.
        error: the error that came in the place of a reply, or in its middle.
        complaint: what is an error if nothing else comes.
        tool_calls: whether the model called tools, which nobody offered.
        thoughts: whether the model's thoughts came besides its text.
        thought_bytes: how many bytes of them.
        choices: whether any choice was there.
        ended: whether the stream's own end mark came.
    """

    pieces: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    service_tier: str | None = None
    error: object = None
    complaint: object = None
    tool_calls: bool = False
    thoughts: bool = False
    thought_bytes: int = 0
    choices: bool = False
    ended: bool = False
    _by_delta: bool = False
    _visible: bool = False
    _length: int = 0

    @property
    def text(self) -> str:
        """The whole text so far; halves of a character that came in two chunks are joined."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return clean_text(self.pieces[0]) if self.pieces else ""

    @property
    def blank(self) -> bool:
        """Whether nothing in the text can be seen."""
        return not self._visible

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a completion or a chunk of one; give the text that it adds."""
        piece = _plain_piece(payload)
        if piece is not None:
            return self._add_piece(payload, piece)
        if isinstance(model := payload.get("model"), str):
            self.model = clean_text(model[:_MOST_NAME])
        choices = payload.get("choices")
        found = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
        choice = found[0] if found else {}
        self._find_error(payload, choice)
        finish = _finish(payload, choice)
        text = self._take(payload, choice, last=finish is not None) if choice else ""
        if text:
            self.pieces.append(text)
            self._length += len(text)
            self._visible = self._visible or not is_blank(text)
            self.usage = None  # a count that was made before the text was there leaves it out
        if finish is not None:
            self.finish_reason = finish
        # The last one counts: some servers send a running total with each chunk.
        usage = usage_of(payload)
        if usage is not None and (self.usage is None or self.usage.estimated or not usage.estimated):
            self.usage = usage
        if isinstance(tier := payload.get("service_tier"), str):
            self.service_tier = tier[:_MOST_NAME]
        cost = cost_of(payload)
        self.cost = self.cost if cost is None else cost
        return text

    def _add_piece(self, payload: Mapping[str, object], text: str) -> str:
        """Take a chunk that is nothing but a piece of text: as below, without a look for all else."""
        if isinstance(model := payload.get("model"), str):
            self.model = clean_text(model[:_MOST_NAME])
        self.choices = True
        if text:
            self._by_delta = True
            self.pieces.append(text)
            self._length += len(text)
            self._visible = self._visible or not is_blank(text)
            self.usage = None
        return text

    def add_event(self, data: EventData) -> str:
        """Take one event of a stream; give the text that it adds.

        Raises:
            WireError: it is neither JSON nor an error.
        """
        if data.strip().strip(b'"').upper() == b"[DONE]":
            self.ended = True
            return ""
        if data.strip() in (b"", b"null", b"{}") or data.event.lower() in _ALIVE:
            return ""
        try:
            payloads = _payloads(data)
        except WireError:
            if data.event.lower() != "error":
                raise
            self.error = data.decode("utf-8", "replace")[:_MOST_NAME]
            return ""
        if data.event.lower() == "error" and not any("choices" in payload for payload in payloads):
            self.error = payloads
        self.ended = data.count(b"\n") > 0 and any(line.strip() == b"[DONE]" for line in data.splitlines())
        return "".join([self.add(payload) for payload in payloads])

    def add_whole(self, data: bytes) -> str:
        """Take a whole body; give its text.

        Raises:
            WireError: it is not JSON.
        """
        try:
            payloads = _payloads(data)
        except WireError:
            # Chunks, one to a line, or a stream that something stands before.
            reader = EventReader()
            events = [*reader.feed(data), *reader.end()]
            if not events:
                raise
            return "".join([self.add_event(event) for event in events])
        return "".join([self.add(payload) for payload in payloads])

    def _find_error(self, payload: Mapping[str, object], choice: Mapping[str, object]) -> None:
        over = self.finish_reason not in (None, "error") and not self.blank
        error = error_in_choice(choice)
        if error is None:
            error = find_error(payload)
        if error is not None and not over:  # after the reply's own end, it takes nothing away from it
            self.error = error
        self.complaint = self.complaint or find_complaint(payload)

    def _take(self, payload: Mapping[str, object], choice: Mapping[str, object], *, last: bool) -> str:
        """Read the text that a choice adds."""
        self.choices = True
        delta, message = (
            part if isinstance(part := choice.get(name), dict) else {} for name in ("delta", "message")
        )
        for part in (delta, message):
            self.tool_calls |= bool(part.get("tool_calls") or part.get("function_call"))
            self.thoughts |= any(part.get(name) for name in _THOUGHTS) or _has_thoughts(part.get("content"))
        # A last frame may repeat them as a whole.
        self.thought_bytes += _thought_bytes(delta) or (0 if self.thought_bytes else _thought_bytes(message))
        text = _text_of(delta)
        if text and payload.get("object") != "chat.completion" and not (last and self._repeats(text)):
            self._by_delta = True
            return text
        whole = text or _text_of(message)
        if whole:
            return self._rest_of(whole)
        legacy = choice.get("text")  # of completions that are not chat
        return legacy if isinstance(legacy, str) else ""

    def _repeats(self, text: str) -> bool:
        return len(text) >= _REPEATED and len(text) == self._length and self.text == clean_text(text)

    def _rest_of(self, whole: str) -> str:
        """Returns what the whole text, as a last frame or each frame has it, adds to what came in pieces."""
        # Lengths first: to join the pieces for each of many short frames would take for ever.
        if self.pieces and len(whole) >= self._length and whole.startswith(so_far := self.text):
            return whole[len(so_far) :]
        return "" if self._by_delta else whole


def _plain_piece(payload: Mapping[str, object]) -> str | None:
    """Returns the text of a chunk that has a piece of text and nothing else to tell, as nearly all of a stream."""
    if payload.get("object") != "chat.completion.chunk" or not payload.keys() <= _OF_CHUNK:
        return None
    choices = payload.get("choices")
    choice = choices[0] if type(choices) is list and len(choices) == 1 else None
    if payload.get("usage") is not None or type(choice) is not dict or not choice.keys() <= _OF_CHOICE:
        return None
    delta = choice.get("delta")
    if choice.get("finish_reason") is not None or type(delta) is not dict:
        return None
    content = delta.get("content")
    if type(content) is not str or any(delta[name] for name in delta.keys() - _OF_DELTA):
        return None
    return content


def _payloads(data: bytes) -> list[Mapping[str, object]]:
    """Read the objects of one event: one, a list of them, or one to a line if the lines between are missing."""
    try:
        value = parse_any_json(data)
    except WireError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:  # noqa: PLR2004  # one line was tried already
            raise
        return [parse_json(line) for line in lines if line.strip() != b"[DONE]"]
    items = value if isinstance(value, list) else [value]
    objects: list[Mapping[str, object]] = [item for item in items if isinstance(item, dict)]
    if not objects or len(objects) < len(items):
        raise WireError("JSON, but no object")
    return objects


def _finish(payload: Mapping[str, object], choice: Mapping[str, object]) -> str | None:
    """Read why a reply ended; None as long as it has not."""
    holders = [choice, choice.get("delta"), choice.get("message"), payload]
    for holder in holders:
        for name in ("finish_reason", "finishReason"):
            reason = holder.get(name) if isinstance(holder, Mapping) else None
            if isinstance(reason, Mapping):
                reason = reason.get("type")
            if isinstance(reason, str):
                known = _FINISHES.get(reason.strip().lower(), clean_text(reason[:_MOST_NAME]))
                if known is not None:
                    return known
    return None


def _text_of(message: Mapping[str, object]) -> str:
    return _text(message.get("content")) or _text(message.get("refusal")) or _text(message.get("text"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts, of which some models make their thoughts one
        return "".join(_part(part) for part in content)
    return _part(content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in _TEXT_PARTS:
        return ""
    text = part.get("text") or part.get("refusal")
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _has_thoughts(content: object) -> bool:
    parts = content if isinstance(content, list) else []
    kinds = [part.get("type") for part in parts if isinstance(part, dict)]
    return any(
        isinstance(kind, str) and kind.startswith(("thinking", "reasoning", "redacted_thinking"))
        for kind in kinds
    )


def _thought_bytes(message: Mapping[str, object]) -> int:
    """Returns how many bytes of thoughts a message has; servers send the same ones under several names."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    thoughts = [part for part in parts if isinstance(part, dict) and _has_thoughts([part])]
    return max(_bytes_in(thoughts), *(_bytes_in(message.get(name)) for name in _THOUGHTS))


def _bytes_in(thoughts: object, depth: int = 5) -> int:
    if isinstance(thoughts, str):
        return utf8_bytes(thoughts)
    if depth and isinstance(thoughts, list):
        return sum(_bytes_in(part, depth - 1) for part in thoughts)
    if depth and isinstance(thoughts, dict):
        return max((_bytes_in(thoughts.get(name), depth - 1) for name in _THOUGHT_TEXTS), default=0)
    return 0


def is_blank(text: str) -> bool:
    """Returns whether a text shows nothing: it is empty, or of blanks and invisible characters only."""
    return _VISIBLE.search(text) is None


def clean_text(text: str) -> str:
    """Join halves of surrogate pairs, and replace lone ones, which no encoding takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
