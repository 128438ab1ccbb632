"""Language models behind one small protocol: OpenAI-compatible servers, scripts, and the demo."""

from rlm_jupyter.models.base import ChatModel, Completion, CompletionRequest, Message, Price, Usage
from rlm_jupyter.models.decoding import DecodingHelps
from rlm_jupyter.models.ollama.ollama_chat import OllamaChat
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.models.scripted import ScriptedModel

__all__ = [
    "ChatModel",
    "Completion",
    "CompletionRequest",
    "DecodingHelps",
    "Message",
    "OllamaChat",
    "OpenAIChat",
    "Price",
    "RetryPolicy",
    "ScriptedModel",
    "Usage",
]
