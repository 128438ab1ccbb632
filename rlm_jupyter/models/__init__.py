"""Language models behind one small protocol: providers and servers, in six wire formats, scripts, and the demo.

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_jupyter.models.anthropic.anthropic_chat import AnthropicChat
    from rlm_jupyter.models.audio import Audio
    from rlm_jupyter.models.base import (
        CachingPrice,
        ChatModel,
        Completion,
        CompletionRequest,
        Message,
        Price,
        Usage,
    )
    from rlm_jupyter.models.bedrock.bedrock_chat import BedrockChat
    from rlm_jupyter.models.decoding import DecodingHelps
    from rlm_jupyter.models.gemini.gemini_chat import GeminiChat
    from rlm_jupyter.models.images import Image
    from rlm_jupyter.models.interactive import InteractiveModel, PendingReply
    from rlm_jupyter.models.ollama.ollama_chat import OllamaChat
    from rlm_jupyter.models.openai.chat import OpenAIChat
    from rlm_jupyter.models.programs.acp import AcpModel
    from rlm_jupyter.models.programs.command import CommandModel
    from rlm_jupyter.models.provider_models import named_model
    from rlm_jupyter.models.recorded_replies import Departure
    from rlm_jupyter.models.replay_model import ReplayModel
    from rlm_jupyter.models.responses.responses_chat import ResponsesChat
    from rlm_jupyter.models.retry import RetryPolicy
    from rlm_jupyter.models.scripted import ScriptedModel

__all__ = [
    "AcpModel",
    "AnthropicChat",
    "Audio",
    "BedrockChat",
    "CachingPrice",
    "ChatModel",
    "CommandModel",
    "Completion",
    "CompletionRequest",
    "DecodingHelps",
    "Departure",
    "GeminiChat",
    "Image",
    "InteractiveModel",
    "Message",
    "OllamaChat",
    "OpenAIChat",
    "PendingReply",
    "Price",
    "ReplayModel",
    "ResponsesChat",
    "RetryPolicy",
    "ScriptedModel",
    "Usage",
    "named_model",
]

_ROOMS = {
    "AcpModel": "programs.acp",
    "AnthropicChat": "anthropic.anthropic_chat",
    "Audio": "audio",
    "BedrockChat": "bedrock.bedrock_chat",
    **dict.fromkeys(
        ("CachingPrice", "ChatModel", "Completion", "CompletionRequest", "Message", "Price", "Usage"), "base"
    ),
    "CommandModel": "programs.command",
    "DecodingHelps": "decoding",
    "Departure": "recorded_replies",
    "GeminiChat": "gemini.gemini_chat",
    "Image": "images",
    **dict.fromkeys(("InteractiveModel", "PendingReply"), "interactive"),
    "OllamaChat": "ollama.ollama_chat",
    "OpenAIChat": "openai.chat",
    "ReplayModel": "replay_model",
    "ResponsesChat": "responses.responses_chat",
    "named_model": "provider_models",
    "RetryPolicy": "retry",
    "ScriptedModel": "scripted",
}
"""Where a public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    value = getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value
