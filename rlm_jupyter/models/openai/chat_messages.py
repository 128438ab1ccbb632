"""A chat in the form that every server takes: no message is blank, roles alternate, and a system role is not needed.

Strict servers refuse a whole chat for one blank message, for two messages of one role in a row, or, with
some models' templates, for a system message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.openai.chat_replies import clean_text, is_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.base import Message

BLANK: Final = "(no text)"
"""What is sent in the place of a message that shows nothing."""


def sendable(messages: Sequence[Message], *, system_role: bool = True) -> list[Message]:
    """Returns the messages as they are sent.

    Args:
        messages: the chat.
        system_role: whether the model takes system messages; if it does not, their text leads the first message
            of the user.
    """
    chat: list[Message] = []
    fixed: list[str] = []
    for message in messages:
        role, text = message["role"], clean_text(message["content"])
        if role == "system" and (not system_role or is_blank(text)):
            if not is_blank(text):
                fixed.append(text)
            continue
        if role == "user" and fixed:
            text = "\n\n".join([*fixed, *([] if is_blank(text) else [text])])
            fixed = []
        if is_blank(text):
            text = BLANK
        if chat and chat[-1]["role"] == role:
            chat[-1] = {"role": role, "content": f"{chat[-1]['content']}\n\n{text}"}
        else:
            chat.append({"role": role, "content": text})
    if fixed:
        chat = _with_last(chat, "\n\n".join(fixed))
    return chat


def _with_last(chat: list[Message], text: str) -> list[Message]:
    """Add what the system said last, where no message of the user came after it."""
    if chat and chat[-1]["role"] == "user":
        return [*chat[:-1], {"role": "user", "content": f"{chat[-1]['content']}\n\n{text}"}]
    return [*chat, {"role": "user", "content": text}]
