"""Replies of the Responses API, whole or in events, read as completions of chat completions.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.models.openai.chat_replies import Reply

_TEXT: Final = ("response.output_text.delta", "response.refusal.delta")
_THOUGHTS: Final = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_BEGUN: Final = ("response.created", "response.in_progress", "response.queued")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")
_CALL: Final = "_call"
_FINISHES: Final = {"completed": "stop", "max_output_tokens": "length"}


@dataclass
class ResponsesReply(Reply):
    """One reply, folded from a whole response or from the events of a stream.

    Attributes:
        items: what the model put out, in order: reasoning and messages.
        reasoning_tokens: of them, as the provider counts.
    """

    items: list[Mapping[str, object]] = field(default_factory=list)
    reasoning_tokens: int = 0

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a response or an event; return the text that it adds."""
        return super().add(self._as_chunk(payload))

    def _as_chunk(  # noqa: PLR0911 - one for each kind of event
        self, payload: Mapping[str, object]
    ) -> Mapping[str, object]:
        kind = payload.get("type")
        if kind in _TEXT:
            return {"choices": [{"delta": {"content": payload.get("delta")}}]}
        if kind in _THOUGHTS:
            return {"choices": [{"delta": {"reasoning": payload.get("delta")}}]}
        if kind in _BEGUN:
            return {"model": _mapping(payload.get("response")).get("model"), "choices": [{"delta": {}}]}
        if kind in _ENDS:
            self.ended = True
            return self._whole(_mapping(payload.get("response")))
        if payload.get("object") == "response":
            return self._whole(payload)
        if kind == "response.output_item.done":
            item = _mapping(payload.get("item"))
            self.items.append(item)
            return {"choices": [{"delta": {"tool_calls": [item]} if _calls(item) else {}}]}
        if kind == "error":
            return {"error": payload.get("error") or payload}
        # Events of parts say nothing that the others do not; what has no such name is of another protocol.
        return {} if isinstance(kind, str) and kind.startswith("response.") else payload

    def _whole(self, response: Mapping[str, object]) -> Mapping[str, object]:
        """Returns a whole response as a completion; in a stream, its text has come already."""
        error, status = response.get("error"), response.get("status")
        if error or status == "failed":
            return {"error": error or "the response failed"}
        output = response.get("output")
        items = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
        self.items = items or self.items
        usage = _mapping(response.get("usage"))
        tokens = _mapping(usage.get("output_tokens_details")).get("reasoning_tokens")
        self.reasoning_tokens = tokens if isinstance(tokens, int) and tokens > 0 else 0
        reason = _mapping(response.get("incomplete_details")).get("reason") or status
        calls = [item for item in items if _calls(item)]
        finish = "tool_calls" if calls else _FINISHES.get(str(reason), reason)
        message = {"content": "".join(_text(item) for item in items), "tool_calls": calls}
        message["reasoning"] = "".join(_thoughts(item) for item in items)
        return {
            "object": "chat.completion",
            "model": response.get("model"),
            "service_tier": response.get("service_tier"),
            "choices": [{"message": message, "finish_reason": finish}],
            "usage": usage,
        }


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _calls(item: Mapping[str, object]) -> bool:
    return str(item.get("type")).endswith(_CALL)


def _parts(item: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    parts = item.get(name)
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def _text(item: Mapping[str, object]) -> str:
    """Returns the text of a message; of anything else nothing."""
    if item.get("type", "message") != "message":
        return ""
    texts = (part.get("text") or part.get("refusal") for part in _parts(item, "content"))
    return "".join(text for text in texts if isinstance(text, str))


def _thoughts(item: Mapping[str, object]) -> str:
    """Returns what is shown of the reasoning in an item; the rest of it is encrypted."""
    if item.get("type") != "reasoning":
        return ""
    shown = [part.get("text") for name in ("content", "summary") for part in _parts(item, name)]
    return "".join(text for text in shown if isinstance(text, str)) or " "
