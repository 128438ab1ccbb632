"""A chat in the form that every server takes: no message is blank, roles alternate, and a system role is not needed.

Strict servers refuse a whole chat for one blank message, for two messages of one role in a row, or, with
some models' templates, for a system message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

from rlm_jupyter.models.base import audio_of, images_of, media_of
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
            chat[-1] = _message(role, f"{chat[-1]['content']}\n\n{text}", [chat[-1], message])
        else:
            chat.append(_message(role, text, [message]))
    if fixed:
        chat = _with_last(chat, "\n\n".join(fixed))
    return chat


def fixed_and_chat(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """Returns the fixed text at the head of a chat, and the rest for APIs without a system role: the user speaks first.

    Args:
        messages: the chat.
    """
    number = 0
    while number < len(messages) and messages[number]["role"] == "system":
        number += 1
    fixed = "\n\n".join(message["content"] for message in messages[:number])
    rest = [
        cast("Message", {**message, "role": "user"}) if message["role"] == "system" else message
        for message in messages[number:]
    ]
    chat = sendable(rest)
    if not chat or chat[0]["role"] != "user":
        chat.insert(0, {"role": "user", "content": BLANK})
    return fixed, chat


def with_parts(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Returns the messages as OpenAI's protocol has them: those with images or audio in parts, the text first.

    A prompt cache then holds up to the end of the text when a later request has the message without them.
    """
    return [_in_parts(message) if media_of([message]) else dict(message) for message in messages]


def _in_parts(message: Message) -> dict[str, object]:
    parts: list[dict[str, object]] = [{"type": "text", "text": message["content"]}]
    parts += [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image.base64}"}}
        for image in message.get("images", ())
    ]
    parts += [
        {"type": "input_audio", "input_audio": {"data": audio.base64, "format": audio.format}}
        for audio in message.get("audio", ())
    ]
    return {"role": message["role"], "content": parts}


def _message(role: Literal["system", "user", "assistant"], text: str, messages: Sequence[Message]) -> Message:
    """Returns a message with a text, and with all that goes with some messages."""
    made: Message = {"role": role, "content": text}
    if images := images_of(messages):
        made["images"] = tuple(images)
    if audio := audio_of(messages):
        made["audio"] = tuple(audio)
    return made


def _with_last(chat: list[Message], text: str) -> list[Message]:
    """Add what the system said last, where no message of the user came after it."""
    if chat and chat[-1]["role"] == "user":
        return [
            *chat[:-1],
            _message("user", f"{chat[-1]['content']}\n\n{text}", chat[-1:]),
        ]
    return [*chat, {"role": "user", "content": text}]
