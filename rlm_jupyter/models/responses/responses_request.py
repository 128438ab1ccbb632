"""A request of chat completions, put into the fields of OpenAI's Responses API.

https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Message

    Items = list[Mapping[str, object]]

LIMIT: Final = "max_output_tokens"
ENCRYPTED: Final = "reasoning.encrypted_content"
_LEAST: Final = 16
"""The fewest tokens of a reply that the API takes a bound for."""
_DROPPED: Final = frozenset(
    (
        *(
            "n",
            "stream_options",
            "usage",
            "stop",
            "seed",
            "logit_bias",
            "logprobs",
            "modalities",
            "prediction",
        ),
        *("presence_penalty", "frequency_penalty", "messages"),
    )
)
"""Fields that the API does not have."""


def responses_request(
    fields: Mapping[str, object], kept: Mapping[int, Items] | None = None
) -> dict[str, Any]:
    """Returns a request in the fields of the Responses API; nothing is stored on the server, unless `store` says so.

    Args:
        fields: of chat completions; `messages` may hold images.
        kept: what a model put out for some of its messages, by their place; None: nothing is kept.
    """
    body: dict[str, Any] = {"store": False}
    text: dict[str, object] = {}
    for name, value in fields.items():
        if name in _DROPPED:
            continue
        if name in (OLD_LIMIT, NEW_LIMIT):
            body[LIMIT] = max(value, _LEAST) if isinstance(value, int) else value
        elif name == "reasoning_effort":
            body["reasoning"] = {"effort": value, **(body.get("reasoning") or {})}
        elif name == "reasoning" and isinstance(value, Mapping):
            body["reasoning"] = {**(body.get("reasoning") or {}), **value}
        elif name == "response_format":
            text["format"] = _format(value)
        elif name == "verbosity":
            text["verbosity"] = value
        else:
            body[name] = value
    if text:
        given = body.get("text")
        body["text"] = {**text, **(given if isinstance(given, dict) else {})}
    if kept is not None:
        named = body.get("include")
        body["include"] = sorted({ENCRYPTED, *(named if isinstance(named, list) else ())})
    body["input"] = _input(cast("Sequence[Message]", fields["messages"]), kept or {})
    return body


def _input(messages: Sequence[Message], kept: Mapping[int, Items]) -> Items:
    items: Items = []
    for place, message in enumerate(messages):
        if place in kept:
            items += kept[place]
        else:
            items.append({"role": message["role"], "content": _content(message)})
    return items


def _content(message: Message) -> object:
    images = message.get("images", ())
    if not images:
        return message["content"]
    parts: list[dict[str, object]] = [{"type": "input_text", "text": message["content"]}]
    parts += [
        {"type": "input_image", "image_url": f"data:image/png;base64,{image.base64}"} for image in images
    ]
    return parts


def _format(value: object) -> object:
    """Returns a response format as the API has it: what is in `json_schema` stands beside its type."""
    schema = value.get("json_schema") if isinstance(value, Mapping) else None
    return {"type": "json_schema", **schema} if isinstance(schema, Mapping) else value
