"""Replies of Anthropic's Messages API, whole or in events, read as completions of OpenAI's protocol.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlm_jupyter.models.openai.chat_replies import Reply


@dataclass
class MessagesReply(Reply):
    """One reply, folded from a whole message or from the events of a stream."""

    _told: dict[str, object] = field(default_factory=dict)
    """The usage so far: the prompt's comes with the first event, the reply's with the last."""

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a message or an event; return the text that it adds."""
        kind = payload.get("type")
        if kind == "message_stop":
            self.ended = True
            return ""
        return super().add(self._as_chunk(kind, payload))

    def _as_chunk(  # noqa: PLR0911 - one for each kind of event
        self, kind: object, payload: Mapping[str, object]
    ) -> Mapping[str, object]:
        match kind:
            case "message_start":
                message = _mapping(payload.get("message"))
                self._learn(message.get("usage"))
                return {"model": message.get("model"), "choices": [{"delta": {}}]}
            case "content_block_start":
                return _chunk(_delta(_mapping(payload.get("content_block"))))
            case "content_block_delta":
                return _chunk(_delta(_mapping(payload.get("delta"))))
            case "message_delta":
                self._learn(payload.get("usage"))
                finish = _mapping(payload.get("delta")).get("stop_reason")
                return {"choices": [{"delta": {}, "finish_reason": finish}], "usage": self._told}
            case "message":
                return _whole(payload)
            case "error":
                return {"error": payload.get("error") or "error"}
            case "content_block_stop" | "ping":
                return {}
            case _:  # a server that answers in OpenAI's protocol, or what a proxy says of an error
                return payload

    def _learn(self, usage: object) -> None:
        self._told.update((name, value) for name, value in _mapping(usage).items() if value is not None)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _chunk(delta: Mapping[str, object]) -> Mapping[str, object]:
    return {"choices": [{"delta": delta}]}


def _delta(block: Mapping[str, object]) -> dict[str, object]:
    """Returns a block, or a piece of one, as the delta of a chunk."""
    match block.get("type"):
        case "text" | "text_delta":
            return {"content": block.get("text")}
        case "thinking" | "thinking_delta":
            return {"thinking": block.get("thinking")}
        case "redacted_thinking":
            return {"thinking": block.get("data")}
        case "tool_use" | "server_tool_use" | "input_json_delta":
            return {"tool_calls": [dict(block)]}
        case _:  # signatures, citations
            return {}


def _whole(payload: Mapping[str, object]) -> Mapping[str, object]:
    content = payload.get("content")
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    parts = [_delta(block) for block in blocks]
    texts = [text for part in parts if isinstance(text := part.get("content"), str)]
    thoughts = [thought for part in parts if isinstance(thought := part.get("thinking"), str)]
    message: dict[str, object] = {"content": "".join(texts), "thinking": "".join(thoughts)}
    if any("tool_calls" in part for part in parts):
        message["tool_calls"] = [part["tool_calls"] for part in parts if "tool_calls" in part]
    choice = {"message": message, "finish_reason": payload.get("stop_reason")}
    usage = {name: value for name, value in _mapping(payload.get("usage")).items() if value is not None}
    return {"model": payload.get("model"), "choices": [choice], "usage": usage}
