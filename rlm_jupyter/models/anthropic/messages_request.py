"""A request of OpenAI's protocol, put into the fields of Anthropic's Messages API.

https://platform.claude.com/docs/en/api/messages; what has no field there, its OpenAI-compatible endpoint ignores too
(https://platform.claude.com/docs/en/api/openai-sdk).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from rlm_jupyter.models.openai.chat_messages import fixed_and_chat
from rlm_jupyter.models.openai.dialect import OLD_LIMIT

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Message

DEFAULT_MOST: Final = 4096
"""Tokens of a reply if nobody says how many: the API does not take a request without."""
_DROPPED: Final = frozenset(
    (
        *("n", "stream_options", "usage", "logprobs", "top_logprobs", "logit_bias", "seed", "store"),
        *(
            "presence_penalty",
            "frequency_penalty",
            "parallel_tool_calls",
            "prediction",
            "modalities",
            "messages",
        ),
    )
)
_EFFORTS: Final = {"minimal": "low", "xhigh": "max"}
"""OpenAI's names of efforts that are others here."""
_MARK: Final = {"type": "ephemeral"}


def messages_request(fields: Mapping[str, object], *, marks_turn: bool, marks: bool = True) -> dict[str, Any]:
    """Returns a request in the fields of the Messages API.

    The end of the fixed text is marked for the prompt cache, and so is the newest turn of a chat that goes on: its next
    request begins with all of this one (https://platform.claude.com/docs/en/build-with-claude/prompt-caching). A
    question that is asked once has no mark at its end: to write it costs more than to read it, and nobody would.

    Args:
        fields: of OpenAI's protocol; `messages` may hold images.
        marks_turn: whether the chat goes on.
        marks: whether the server takes any marks.
    """
    body = _parameters(fields)
    fixed, chat = fixed_and_chat(cast("Sequence[Message]", fields["messages"]))
    if fixed:
        body["system"] = [{"type": "text", "text": fixed}]
        if marks:
            body["system"][-1]["cache_control"] = _MARK
    body["messages"] = [{"role": message["role"], "content": _blocks(message)} for message in chat]
    if marks and marks_turn:
        body["messages"][-1]["content"][-1]["cache_control"] = _MARK
    return body


def _parameters(fields: Mapping[str, object]) -> dict[str, Any]:
    """Returns the fields besides the messages."""
    body: dict[str, Any] = {}
    output: dict[str, object] = {}
    for name, value in fields.items():
        match name:
            case "stop":
                texts = value if isinstance(value, list) else [value]
                body["stop_sequences"] = [text for text in texts if isinstance(text, str) and text.strip()]
            case "reasoning_effort" if value == "none":
                body.setdefault("thinking", {"type": "disabled"})
            case "reasoning_effort":
                output.setdefault("effort", _EFFORTS.get(str(value), value))
            case "response_format":
                output |= _format(value)
            case "user":
                body.setdefault("metadata", {"user_id": value})
            case _ if name not in _DROPPED:
                body[name] = value
    if output:
        given = body.get("output_config")
        body["output_config"] = {**output, **(given if isinstance(given, dict) else {})}
    body.setdefault(OLD_LIMIT, DEFAULT_MOST)
    return body


def _blocks(message: Message) -> list[dict[str, object]]:
    images: list[dict[str, object]] = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": image.base64},
        }
        for image in message.get("images", ())
    ]
    return [{"type": "text", "text": message["content"]}, *images]


def _format(value: object) -> dict[str, object]:
    """Returns what OpenAI calls a response format, if it is a JSON Schema; the API has no other one."""
    schema = value.get("json_schema") if isinstance(value, Mapping) else None
    if not isinstance(schema, Mapping) or "schema" not in schema:
        return {}
    return {"format": {"type": "json_schema", "schema": schema["schema"]}}
