"""Language models behind one small protocol: OpenAI-compatible servers, scripts, and the demo.

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel, Completion, CompletionRequest, Message, Price, Usage
    from rlm_jupyter.models.decoding import DecodingHelps
    from rlm_jupyter.models.images import Image
    from rlm_jupyter.models.interactive import InteractiveModel, PendingReply
    from rlm_jupyter.models.ollama.ollama_chat import OllamaChat
    from rlm_jupyter.models.openai.chat import OpenAIChat
    from rlm_jupyter.models.retry import RetryPolicy
    from rlm_jupyter.models.scripted import ScriptedModel

__all__ = [
    "ChatModel",
    "Completion",
    "CompletionRequest",
    "DecodingHelps",
    "Image",
    "InteractiveModel",
    "Message",
    "OllamaChat",
    "OpenAIChat",
    "PendingReply",
    "Price",
    "RetryPolicy",
    "ScriptedModel",
    "Usage",
]

_ROOMS = {
    **dict.fromkeys(("ChatModel", "Completion", "CompletionRequest", "Message", "Price", "Usage"), "base"),
    "DecodingHelps": "decoding",
    "Image": "images",
    **dict.fromkeys(("InteractiveModel", "PendingReply"), "interactive"),
    "OllamaChat": "ollama.ollama_chat",
    "OpenAIChat": "openai.chat",
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
