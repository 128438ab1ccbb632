"""Replies without text: why there is none, what the model is told of it, and what stands for them in a chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.openai.chat_replies import is_blank

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Completion, Message

ONLY_THOUGHTS: Final = "only_thoughts"
"""The finish reason of a reply whose provider sent the model's thoughts and no text."""
TOOL_CALLS: Final = "tool_calls"
_WHY: Final = {
    ONLY_THOUGHTS: "The reply had thoughts and no text: think shorter and write the answer",
    TOOL_CALLS: "The reply was a tool call, and there are no tools to call",
    "length": "The reply was cut off by the length limit before any text: think shorter",
    "max_tokens": "The reply was cut off by the length limit before any text: think shorter",
    "content_filter": "The reply was withheld by the provider's content filter",
}


def why_blank(finish_reason: str) -> str:
    """Returns in a sentence without its full stop why a reply has no text."""
    return _WHY.get(finish_reason, "The reply was empty")


def shown_reply(completion: Completion) -> Message:
    """Returns a reply as the chat keeps it: strict servers refuse a chat with a message that shows nothing."""
    if not is_blank(completion.text):
        return {"role": "assistant", "content": completion.text}
    return {"role": "assistant", "content": f"({why_blank(completion.finish_reason)}.)"}
