"""How many tokens a prompt has at most, without knowing the model's tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.models.base import media_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.base import Message

_PER_MESSAGE = 32
"""Tokens that a chat template puts around one message; real ones take 3 to 12."""
_PER_PROMPT = 256
"""Tokens that a chat template puts before all messages, such as a date or a default system line; up to 100."""


def estimate_prompt_tokens(messages: Sequence[Message], model: str = "") -> int:
    """Returns an upper bound for the tokens of a prompt: a token for each byte of UTF-8, and the template.

    No tokenizer in use makes more than one token of a byte, so the server's own count is never higher. It is
    about four times the true count for English text: it bounds what is reserved, never what is settled.

    Args:
        messages: the prompt.
        model: the model's name, for what is known of its count of images.
    """
    media = sum(one.most_tokens(model) for one in media_of(messages))
    return _PER_PROMPT + media + sum(_message_tokens(message) for message in messages)


def _message_tokens(message: Message) -> int:
    return _PER_MESSAGE + utf8_bytes(message["role"]) + utf8_bytes(message["content"])


def utf8_bytes(text: str) -> int:
    """Returns how many bytes a text has in UTF-8."""
    # `isascii` is a flag of the string, so that most texts are counted without being read.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
