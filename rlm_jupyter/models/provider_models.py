"""From a name to a model of a provider, in the wire format that the name or its profile says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.models.local.addresses import is_ollama
from rlm_jupyter.settings import endpoint_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.models.openai.chat import OpenAIChat
    from rlm_jupyter.providers import WireFormat


def named_model(
    name: str,
    *,
    wire: WireFormat | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> OpenAIChat:
    """Returns the model of a provider, or of a server of one's own, that a name means.

    Args:
        name: such as ``openai/gpt-5``, ``openai+responses/gpt-5`` or ``ollama/qwen2.5-coder:7b``.
        wire: the wire format; None: what the name or the provider's profile says.
        base_url: of a server of one's own; names are then sent as they are.
        api_key: None: from the environment.
        env: the environment; None: this process's.
        options: of the model's class: `parameters`, `price` (USD per million tokens), `timeout` (seconds), `retry`.

    Raises:
        ConfigError: the name means nothing, the provider's address is not set, or there is no such wire format.
        MissingKeyError: the provider's key is not set.
    """
    endpoint = endpoint_for(name, base_url=base_url, api_key=api_key, wire=wire, env=env)
    local = endpoint.provider == "ollama" or is_ollama(endpoint.base_url)
    if local and endpoint.wire == "chat":
        from rlm_jupyter.models.ollama.ollama_chat import OllamaChat

        return OllamaChat(
            endpoint.model, base_url=endpoint.base_url or "", api_key=endpoint.api_key, **options
        )
    return _class_of(endpoint.wire)(
        endpoint.model,
        base_url=endpoint.base_url,
        api_key=endpoint.api_key or None,
        provider=endpoint.provider,
        **options,
    )


def _class_of(wire: WireFormat) -> type[OpenAIChat]:
    if wire == "messages":
        from rlm_jupyter.models.anthropic.anthropic_chat import AnthropicChat

        return AnthropicChat
    if wire == "responses":
        from rlm_jupyter.models.responses.responses_chat import ResponsesChat

        return ResponsesChat
    if wire == "converse":
        from rlm_jupyter.models.bedrock.bedrock_chat import BedrockChat

        return BedrockChat
    if wire == "gemini":
        from rlm_jupyter.models.gemini.gemini_chat import GeminiChat

        return GeminiChat
    from rlm_jupyter.models.openai.chat import OpenAIChat

    return OpenAIChat
