"""Replies of Bedrock's Converse API, whole or in frames, read as completions of OpenAI's protocol.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.openai.chat_replies import Reply, parse_json

if TYPE_CHECKING:
    from rlm_jupyter.models.bedrock.event_frames import Frame

_CHUNK: Final = "chat.completion.chunk"
_STATUSES: Final = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""Exceptions in the middle of a stream, with the status that they have before one."""
_FINISHES: Final = {
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "tool_calls",
}
"""Why a reply ended, where it is called otherwise than elsewhere."""
_COUNTS: Final = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_input_tokens",
    "cacheWriteInputTokens": "cache_creation_input_tokens",
}
"""As in Anthropic's API, the first leaves out what was read from the cache or written to it."""
_MOST_TEXT: Final = 500


@dataclass
class ConverseReply(Reply):
    """One reply, folded from a whole response or from the frames of a stream."""

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a whole response; return its text."""
        if "output" not in payload and "stopReason" not in payload:
            return super().add(payload)  # an error, or a server that answers in another protocol
        parts = [_delta(block) for block in _blocks(_mapping(_mapping(payload.get("output")).get("message")))]
        text = super().add(_chunk(_joined(parts)))
        super().add(_end(payload.get("stopReason")))
        super().add(_told(payload))
        return text

    def add_frame(self, frame: Frame) -> str:
        """Take one frame of a stream; return the text that it adds.

        Raises:
            WireError: its payload is not JSON.
        """
        kind = frame.headers.get(":message-type", "event")
        if kind != "event":
            super().add({"error": _error(kind, frame)})
            self.ended = True  # nothing follows
            return ""
        payload = parse_json(frame.payload) if frame.payload else {}
        event = frame.headers.get(":event-type")
        self.ended = event == "metadata"
        return super().add(_as_chunk(event, payload))


def _as_chunk(event: str | None, payload: Mapping[str, object]) -> Mapping[str, object]:
    match event:
        case "messageStart":
            return _chunk({})
        case "contentBlockStart":
            return _chunk(_delta(_mapping(payload.get("start"))))
        case "contentBlockDelta":
            return _chunk(_delta(_mapping(payload.get("delta"))))
        case "messageStop":
            return _end(payload.get("stopReason"))
        case "metadata":
            return _told(payload)
        case _:  # the ends of blocks, and what may come later
            return {}


def _error(kind: str, frame: Frame) -> dict[str, object]:
    """Returns an exception as the error of a refusal."""
    if kind == "exception":
        name = frame.headers.get(":exception-type", "exception")
        try:
            told = parse_json(frame.payload)
        except ValueError:
            told = {}
        said = [text for key in ("message", "originalMessage") if isinstance(text := told.get(key), str)]
    else:
        name, said = frame.headers.get(":error-code", kind), [frame.headers.get(":error-message", "")]
    message = ": ".join(text[:_MOST_TEXT] for text in said if text) or "the stream ended with an error"
    status = _STATUSES.get(name[:1].lower() + name[1:], 500)
    return {"code": status, "type": name[:_MOST_TEXT], "message": message}


def _chunk(delta: Mapping[str, object]) -> Mapping[str, object]:
    return {"object": _CHUNK, "choices": [{"delta": delta}]}


def _end(reason: object) -> Mapping[str, object]:
    reason = _FINISHES.get(reason, reason) if isinstance(reason, str) else None
    delta = {"tool_calls": [{"type": "function"}]} if reason == "tool_calls" else {}
    return {"choices": [{"delta": delta, "finish_reason": reason}]}


def _told(payload: Mapping[str, object]) -> Mapping[str, object]:
    """Returns what a response says of its tokens and of its tier."""
    counts = _mapping(payload.get("usage"))
    usage = {other: counts[name] for name, other in _COUNTS.items() if counts.get(name) is not None}
    return {"usage": usage, "service_tier": _mapping(payload.get("serviceTier")).get("type")}


def _delta(block: Mapping[str, object]) -> dict[str, object]:
    """Returns a block, or a piece of one, as the delta of a chunk."""
    if isinstance(text := block.get("text"), str):
        return {"content": text}
    if "reasoningContent" in block:
        thought = _mapping(block["reasoningContent"])
        texts = (
            thought.get("text"),
            _mapping(thought.get("reasoningText")).get("text"),
            thought.get("redactedContent"),
        )
        return {"thinking": next((text for text in texts if isinstance(text, str)), "")}
    return {"tool_calls": [dict(block)]} if "toolUse" in block else {}


def _joined(parts: list[dict[str, object]]) -> dict[str, object]:
    delta: dict[str, object] = {
        name: "".join(text for part in parts if isinstance(text := part.get(name), str))
        for name in ("content", "thinking")
    }
    calls = [part["tool_calls"] for part in parts if "tool_calls" in part]
    return {**delta, "tool_calls": calls} if calls else delta


def _blocks(message: Mapping[str, object]) -> list[Mapping[str, object]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
