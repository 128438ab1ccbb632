"""A request of chat completions, put into the fields of Bedrock's Converse API.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from rlm_jupyter.models.openai.chat_messages import fixed_and_chat
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Message

LIMIT: Final = "maxTokens"
_INFERENCE: Final = {
    OLD_LIMIT: LIMIT,
    NEW_LIMIT: LIMIT,
    LIMIT: LIMIT,
    "temperature": "temperature",
    "top_p": "topP",
    "topP": "topP",
    "stopSequences": "stopSequences",
}
_OWN: Final = frozenset(
    (
        *("guardrailConfig", "performanceConfig", "requestMetadata", "promptVariables", "serviceTier"),
        *("additionalModelResponseFieldPaths", "outputConfig", "toolConfig", "extra_headers", "extra_query"),
    )
)
"""Fields of the API that are taken as they are; those of no API are the model's own."""
_DROPPED: Final = frozenset(
    (
        *("n", "model", "messages", "system", "stream", "stream_options", "usage", "user", "store", "seed"),
        *("logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "verbosity"),
        *("parallel_tool_calls", "prediction", "modalities", "prompt_cache_key", "metadata"),
        *("inferenceConfig", "additionalModelRequestFields"),
    )
)
_CONFIG: Final = "inferenceConfig"
_MORE: Final = "additionalModelRequestFields"
_TRANSLATED: Final = frozenset({"stop", "reasoning_effort", "response_format", "service_tier"})
_MARK: Final = {"cachePoint": {"type": "default"}}
_SCHEMA: Final = "reply"
"""The name of a schema that has none."""


def converse_path(model: str, *, streamed: bool) -> str:
    """Returns where a model is asked, below the base URL.

    Args:
        model: its id, or the ARN of one or of an inference profile.
        streamed: whether the reply is to come in frames.
    """
    return f"/model/{quote(model, safe='')}/converse" + ("-stream" if streamed else "")


def converse_request(fields: Mapping[str, object], *, marks_turn: bool, marks: bool) -> dict[str, Any]:
    """Returns a request in the fields of the Converse API.

    The end of the fixed text is marked for the prompt cache, and so is the newest turn of a chat that goes on
    (https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html).

    Args:
        fields: of chat completions; `messages` may hold images and audio. Names of the API itself are taken too.
        marks_turn: whether the chat goes on.
        marks: whether the model takes any marks.
    """
    body = _parameters(fields)
    fixed, chat = fixed_and_chat(cast("Sequence[Message]", fields["messages"]))
    if fixed:
        body["system"] = [{"text": fixed}, *([_MARK] if marks else [])]
    body["messages"] = [{"role": message["role"], "content": _blocks(message)} for message in chat]
    if marks and marks_turn:
        body["messages"][-1]["content"].append(_MARK)
    return body


def _parameters(fields: Mapping[str, object]) -> dict[str, Any]:
    """Returns the fields besides the messages."""
    body: dict[str, Any] = {}
    inference: dict[str, Any] = {}
    output: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _INFERENCE:
            _merge(inference, {_INFERENCE[name]: value})
        elif name in _OWN:
            body[name] = value
        elif name in _TRANSLATED:
            _translate(name, value, body, inference, output)
        elif name not in _DROPPED:
            more[name] = value
    _merge(inference, _mapping(fields.get(_CONFIG)))
    given = _mapping(fields.get(_MORE))
    more |= {name: value for name, value in given.items() if name not in _DROPPED and name not in _INFERENCE}
    if output:
        body["outputConfig"] = {**output, **_mapping(body.get("outputConfig"))}
    return body | {name: part for name, part in ((_CONFIG, inference), (_MORE, more)) if part}


def _translate(
    name: str, value: object, body: dict[str, Any], inference: dict[str, Any], output: dict[str, Any]
) -> None:
    """Put a field of OpenAI's where the API has it."""
    match name:
        case "stop":
            texts = value if isinstance(value, list) else [value]
            inference["stopSequences"] = [text for text in texts if isinstance(text, str) and text.strip()]
        case "reasoning_effort":
            output["effort"] = value
        case "response_format":
            output |= _format(value)
        case "service_tier":
            body["serviceTier"] = {"type": "default" if value == "auto" else value}


def _merge(inference: dict[str, Any], given: Mapping[str, object]) -> None:
    """Add settings to others; of bounds the smallest counts."""
    for name, value in given.items():
        before = inference.get(name)
        smaller = name == LIMIT and isinstance(before, int) and isinstance(value, int) and before < value
        inference[name] = before if smaller else value


def _blocks(message: Message) -> list[dict[str, object]]:
    images: list[dict[str, object]] = [
        {"image": _source("png", image.base64)} for image in message.get("images", ())
    ]
    audio: list[dict[str, object]] = [
        {"audio": _source(one.format, one.base64)} for one in message.get("audio", ())
    ]
    return [{"text": message["content"]}, *images, *audio]


def _source(kind: str, data: str) -> dict[str, object]:
    return {"format": kind, "source": {"bytes": data}}


def _format(value: object) -> dict[str, object]:
    """Returns what OpenAI calls a response format, if it is a JSON Schema; the API has no other one."""
    given = _mapping(_mapping(value).get("json_schema"))
    if "schema" not in given:
        return {}
    schema = {"schema": json.dumps(given["schema"]), "name": given.get("name") or _SCHEMA}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
