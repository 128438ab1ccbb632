"""Replies of Google's Gemini API, whole or in chunks, read as completions of OpenAI's protocol.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.models.openai.chat_replies import Reply, clean_text

_OWN: Final = frozenset({"candidates", "promptFeedback", "usageMetadata"})
_FINISHES: Final = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "ESCALATION"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
        ),
        "content_filter",
    ),
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), "tool_calls"),
    **dict.fromkeys(("OTHER", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"), "error"),
}
"""Why a reply ended, in OpenAI's words; what is not here is kept as it is."""
_UNSAID: Final = ("FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "")
_CALLS: Final = ("functionCall", "executableCode")
_SIGNATURE: Final = "thoughtSignature"
_MOST_REASON: Final = 80
_MOST_MESSAGE: Final = 500
_TIER: Final = "service_tier_"
_CHUNK: Final = "chat.completion.chunk"
_PER_TOKEN: Final = 4
"""Characters of a signature that are taken to be a token: how they are counted, Google does not say."""


@dataclass
class _Part:
    """A part of text; its pieces are joined only when it is sent back."""

    pieces: list[str]
    signature: str = ""

    def sent_back(self) -> dict[str, object]:
        text = clean_text("".join(self.pieces))
        return {"text": text, _SIGNATURE: self.signature} if self.signature else {"text": text}


@dataclass
class GeminiReply(Reply):
    """One reply, folded from a whole response or from the chunks of a stream.

    Attributes:
        signed: whether any of them has a signature of the model's thoughts.
        thought_tokens: tokens of the thoughts, as the provider counts.
    """

    signed: bool = False
    thought_tokens: int = 0
    _parts: list[_Part] = field(default_factory=list)

    @property
    def parts(self) -> list[dict[str, object]]:
        """What the model said, in the parts in which it is to be sent back: one with a signature stays apart."""
        return [part.sent_back() for part in self._parts]

    @property
    def kept_tokens(self) -> int:
        """The most tokens that the signatures add to a prompt, as far as can be told."""
        return max(self.thought_tokens, sum(len(part.signature) for part in self._parts) // _PER_TOKEN)

    def add(self, payload: Mapping[str, object]) -> str:
        """Take a response or a chunk; return the text that it adds."""
        if payload.get("error") or _OWN.isdisjoint(payload):
            return super().add(payload)  # an error, or a server that answers in another protocol
        text = ""
        for chunk in self._as_chunks(payload):
            text += super().add(chunk)
        return text

    def _as_chunks(self, payload: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        """Yields the text of a chunk, and then what it says of the reply as a whole, if anything."""
        model = {"model": payload.get("modelVersion")}
        candidate = _first(payload.get("candidates"))
        blocked = finish = None
        if candidate is None:
            blocked = _blocked(_mapping(payload.get("promptFeedback")))
        else:
            finish = _finish(candidate)
            yield {"object": _CHUNK, **model, "choices": [{"delta": self._delta(candidate)}]}
        # Each chunk has a count of what came so far, which of a stream that breaks off is not that of the reply.
        if finish is None and blocked is None and self.finish_reason is None:
            return
        usage = _mapping(payload.get("usageMetadata"))
        last: dict[str, object] = {
            **model,
            "usage": self._usage(usage),
            "service_tier": _tier(usage.get("serviceTier")),
        }
        if blocked is not None:
            last["error"] = blocked
        elif finish is not None:
            delta = {"tool_calls": [{"type": "function"}]} if finish == "tool_calls" else {}
            last["choices"] = [{"delta": delta, "finish_reason": finish}]
        yield last

    def _delta(self, candidate: Mapping[str, object]) -> dict[str, object]:
        """Returns the parts of a candidate as the delta of a chunk."""
        given = _mapping(candidate.get("content")).get("parts")
        parts = [part for part in given if isinstance(part, Mapping)] if isinstance(given, list) else []
        texts: list[str] = []
        thoughts: list[str] = []
        for part in parts:
            text = part.get("text")
            if isinstance(text, str):
                (thoughts if part.get("thought") is True else texts).append(text)
            if part.get("thought") is not True:
                self._keep(part)
        delta: dict[str, object] = {"content": "".join(texts)}
        if thoughts:
            delta["thinking"] = "".join(thoughts)
        calls = [dict(part) for part in parts if any(name in part for name in _CALLS)]
        return {**delta, "tool_calls": calls} if calls else delta

    def _keep(self, part: Mapping[str, object]) -> None:
        """Keep a part of text as it is to be sent back; pieces of a text are joined, but for one with a signature.

        https://ai.google.dev/gemini-api/docs/thought-signatures
        """
        text, signature = part.get("text"), part.get(_SIGNATURE)
        if any(name in part for name in _CALLS):
            return
        said = text if isinstance(text, str) else ""
        if isinstance(signature, str) and signature:
            self.signed = True
            self._parts.append(_Part([said], signature))
        elif said and self._parts and not self._parts[-1].signature:
            self._parts[-1].pieces.append(said)
        elif said:
            self._parts.append(_Part([said]))

    def _usage(self, told: Mapping[str, object]) -> dict[str, object]:
        """Returns a usage as OpenAI has it: thoughts are part of the reply, as they are of the bill."""
        thoughts = _count(told.get("thoughtsTokenCount"))
        self.thought_tokens = thoughts or 0
        said = [count for count in (_count(told.get("candidatesTokenCount")), thoughts) if count is not None]
        prompt = _count(told.get("promptTokenCount"))
        usage: dict[str, object] = {
            "prompt_tokens": None
            if prompt is None
            else prompt + (_count(told.get("toolUsePromptTokenCount")) or 0),
            "total_tokens": told.get("totalTokenCount"),
            "prompt_tokens_details": {"cached_tokens": told.get("cachedContentTokenCount")},
        }
        return {**usage, "completion_tokens": sum(said)} if said else usage


def _finish(candidate: Mapping[str, object]) -> str | None:
    reason = candidate.get("finishReason")
    if not isinstance(reason, str) or reason in _UNSAID:
        return None
    return _FINISHES.get(reason, reason[:_MOST_REASON].lower())


def _blocked(feedback: Mapping[str, object]) -> dict[str, object] | None:
    """Returns the refusal of a prompt as an error, since the same one would be refused again."""
    reason = feedback.get("blockReason")
    if not isinstance(reason, str) or reason in _UNSAID:
        return None
    told = feedback.get("blockReasonMessage")
    more = f": {told[:_MOST_MESSAGE]}" if isinstance(told, str) and told.strip() else ""
    message = f"The prompt was blocked (`{reason[:_MOST_REASON]}`){more}"
    return {"code": 400, "status": "BLOCKED", "message": message}


def _tier(value: object) -> str | None:
    return value.lower().removeprefix(_TIER) if isinstance(value, str) else None


def _first(candidates: object) -> Mapping[str, object] | None:
    found = candidates if isinstance(candidates, list) else []
    return next((one for one in found if isinstance(one, Mapping)), None)


def _count(value: object) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None  # type: ignore[return-value]  # checked in the line above


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
