"""A request of chat completions, put into the fields of Google's Gemini API.

https://ai.google.dev/api/generate-content; names are translated as by Google's own endpoint for chat completions
(https://ai.google.dev/gemini-api/docs/openai).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.openai.chat_messages import fixed_and_chat
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Message

    Parts = Sequence[Mapping[str, object]]

LIMIT: Final = "maxOutputTokens"
_RENAMED: Final = {
    OLD_LIMIT: LIMIT,
    NEW_LIMIT: LIMIT,
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "top_logprobs": "logprobs",
    "logprobs": "responseLogprobs",
}
_SETTINGS: Final = frozenset(
    (
        *(
            "temperature",
            "topP",
            "topK",
            "seed",
            "presencePenalty",
            "frequencyPenalty",
            "stopSequences",
            LIMIT,
        ),
        *(
            "responseMimeType",
            "responseSchema",
            "responseJsonSchema",
            "responseModalities",
            "mediaResolution",
        ),
        *("thinkingConfig", "responseLogprobs", "speechConfig", "imageConfig"),
    )
)
"""Fields of `generationConfig`, which may be given without it."""
_RESERVED: Final = frozenset(("contents", "systemInstruction", "candidateCount"))
"""Fields that are ours to set: with them, a reply could no longer be read or accounted for."""
_DROPPED: Final = frozenset(
    (
        *("n", "stream", "stream_options", "usage", "model", "messages", "user", "store", "metadata"),
        *("logit_bias", "parallel_tool_calls", "prediction", "modalities", "prompt_cache_key", "verbosity"),
        *("generationConfig", "generation_config", "google"),
    )
)
"""Fields that the API does not have, and those that are taken apart."""
_THINKING: Final = "thinkingConfig"
_AMOUNTS: Final = frozenset({"thinkingBudget", "thinkingLevel"})
_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
"""Tokens that Gemini 2.5 may think, by OpenAI's names of efforts, as Google translates these."""
_LEVELS: Final = {"xhigh": "high"}
_BY_BUDGET: Final = re.compile(r"(?:^|/)gemini-(?:robotics-er-1|[12])(?:[.-]|$)")
"""Models before Gemini 3, which knows levels."""
_KINDS: Final = ("models/", "tunedModels/")
_AUDIO: Final = {"wav": "audio/wav", "mp3": "audio/mp3"}
_STANDARD_TIERS: Final = ("auto", "default")


def gemini_path(model: str, *, streamed: bool) -> str:
    """Returns where a model is asked, below the base URL.

    Args:
        model: its name, with or without ``models/``.
        streamed: whether the reply is to come in events.
    """
    kind = next((kind for kind in _KINDS if model.startswith(kind)), _KINDS[0])
    name = quote(model.removeprefix(kind), safe="")
    return f"/{kind}{name}:" + ("streamGenerateContent?alt=sse" if streamed else "generateContent")


def check_gemini_parameters(parameters: Mapping[str, object]) -> None:
    """Refuse parameters that are ours to set.

    Raises:
        ConfigError: one is among them, or among those for `generationConfig`.
    """
    extra = _mapping(parameters.get("extra_body"))
    for given in (parameters, extra, _own_config(parameters), _own_config(extra)):
        if taken := sorted(name for name in given if _camel(name) in _RESERVED):
            raise ConfigError(f"The parameter `{taken[0]}` of a model cannot be set: each request sets it.")


def gemini_request(fields: Mapping[str, object], kept: Mapping[int, Parts] | None = None) -> dict[str, Any]:
    """Returns a request in the fields of the Gemini API.

    Args:
        fields: of chat completions; `messages` may hold images and audio. Names of the API itself are taken too.
        kept: the parts of some replies of the model as it sent them, by the place of their message.
    """
    body, config = _parameters(fields)
    messages = cast("Sequence[Message]", fields["messages"])
    fixed, chat = fixed_and_chat(messages)
    if fixed:
        body["systemInstruction"] = {"parts": [{"text": fixed}]}
    # By text: where messages of one role were joined, their places are others.
    replies = {messages[place]["content"]: parts for place, parts in (kept or {}).items()}
    body["contents"] = [_content(message, replies) for message in chat]
    if config:
        body["generationConfig"] = config
    return body


def _parameters(fields: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the fields besides the messages, and those of `generationConfig`."""
    body: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for name in sorted(
        fields, key=lambda name: name != "reasoning_effort"
    ):  # what names the thoughts itself wins
        value = fields[name]
        settings = _settings(name, value, str(fields.get("model", "")))
        if settings is not None:
            _merge(config, settings)
        elif name == "service_tier":
            body |= {} if value in _STANDARD_TIERS else {name: value}
        elif name not in _DROPPED and _camel(name) not in _RESERVED:
            body[name] = value
    google = _mapping(fields.get("google"))
    body |= {
        _camel(name): value for name, value in google.items() if _camel(name) not in _SETTINGS | _RESERVED
    }
    _merge(config, _own_config(fields))
    return body, config


def _settings(name: str, value: object, model: str) -> dict[str, object] | None:
    """Returns a field as those of `generationConfig`; None if it is none of them."""
    match name:
        case "stop":
            texts = value if isinstance(value, list) else [value]
            return {"stopSequences": [text for text in texts if isinstance(text, str) and text]}
        case "reasoning_effort":
            return {_THINKING: _thinking(model, value)}
        case "response_format":
            return _format(value)
    named = _RENAMED.get(name) or _camel(name)
    return {named: value} if named in _SETTINGS else None


def _own_config(fields: Mapping[str, object]) -> dict[str, object]:
    """Returns what is given for `generationConfig` itself, or as Google's endpoint for chat completions has it."""
    own: dict[str, object] = {}
    for name in ("generationConfig", "generation_config"):
        own |= {_camel(key): value for key, value in _mapping(fields.get(name)).items()}
    google = {_camel(key): value for key, value in _mapping(fields.get("google")).items()}
    own |= {key: value for key, value in google.items() if key in _SETTINGS | _RESERVED}
    return own


def _merge(config: dict[str, Any], given: Mapping[str, object]) -> None:
    """Add settings to others: of bounds the smallest counts, of what is said of thoughts the last."""
    for name, value in given.items():
        before = config.get(name)
        if name == LIMIT and isinstance(before, int) and isinstance(value, int):
            config[name] = min(before, value)
        elif name == _THINKING and isinstance(value, Mapping):
            thinking = {_camel(key): item for key, item in value.items()}
            chosen = thinking.keys() & _AMOUNTS  # the API takes only one of them
            kept = {key: item for key, item in _mapping(before).items() if not (chosen and key in _AMOUNTS)}
            config[name] = {**kept, **thinking}
        elif name not in _RESERVED:
            config[name] = value


def _camel(name: str) -> str:
    """Returns a name as the API writes it; it takes them with underscores too."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _thinking(model: str, effort: object) -> dict[str, object]:
    """Returns how much a model is to think; an effort that is not known is the server's to refuse."""
    if effort == "none" or _BY_BUDGET.search(model):
        budget = _BUDGETS.get(str(effort))
        return {"thinkingLevel": effort} if budget is None else {"thinkingBudget": budget}
    return {"thinkingLevel": _LEVELS.get(str(effort), effort)}


def _format(value: object) -> dict[str, object]:
    """Returns what OpenAI calls a response format: JSON, by a schema or by none."""
    given = _mapping(value)
    if given.get("type") not in ("json_schema", "json_object"):
        return {}
    schema = _mapping(given.get("json_schema")).get("schema")
    json: dict[str, object] = {"responseMimeType": "application/json"}
    return json if schema is None else {**json, "responseJsonSchema": schema}


def _content(message: Message, replies: Mapping[str, Parts]) -> dict[str, object]:
    if message["role"] == "assistant":
        parts = replies.get(message["content"])
        return {"role": "model", "parts": [{"text": message["content"]}] if parts is None else list(parts)}
    shown: list[dict[str, object]] = [{"text": message["content"]}]
    shown += [_inline("image/png", image.base64) for image in message.get("images", ())]
    shown += [_inline(_AUDIO[audio.format], audio.base64) for audio in message.get("audio", ())]
    return {"role": "user", "parts": shown}


def _inline(kind: str, data: str) -> dict[str, object]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
