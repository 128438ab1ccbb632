"""About how many tokens a text has for a model: learnt from what its server tells, else guessed from its script."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import Usage, media_of
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens, utf8_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.base import Message

_ASCII: Final = 4.0
"""Bytes a token of English prose and of code."""
_OTHER: Final = 2.5
"""Bytes of UTF-8 a token of other scripts: an ideograph of three bytes is about one token, two Cyrillic letters are."""
_PER_MESSAGE: Final = 4
"""Tokens that a chat template puts around one message."""
_PER_REPLY: Final = 1
"""Tokens of a reply that are not text: its end mark."""
_LEAST: Final = 0.25
"""Of the guess; ASCII text then has 16 bytes a token, more than any tokenizer makes of prose."""
_MOST: Final = 4.0
"""Of the guess; ASCII text then has one byte a token, and no tokenizer makes more than one token of a byte."""
_PRIOR: Final = 100.0
"""Tokens by which the guess itself is known, so that one short prompt does not settle the ratio."""
_REMEMBERED: Final = 500_000.0
"""Tokens above which what was learnt is halved: another model may answer under the same name."""


def guess_tokens(text: str) -> float:
    """Returns about how many tokens a text has if nothing is known of the model: four bytes of ASCII make one."""
    if text.isascii():
        return len(text) / _ASCII
    data = text.encode("utf-8", "surrogatepass")
    plain = len(data.translate(None, _HIGH))
    return plain / _ASCII + (len(data) - plain) / _OTHER


_HIGH: Final = bytes(range(128, 256))


class TokenRatio:
    """How many tokens a model makes of what the guess counts as one; safe to use on any thread.

    Only prompts are learnt from: a reply may have had thoughts that nobody saw, and that are counted all the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = self._guessed = 0.0

    @property
    def factor(self) -> float:
        """Tokens that the server counts for each one of the guess, between 1/4 and 4."""
        with self._lock:
            return min(_MOST, max(_LEAST, (self._told + _PRIOR) / (self._guessed + _PRIOR)))

    @property
    def learnt(self) -> bool:
        """Whether a server has told of a prompt."""
        return self._guessed > 0

    def learn(self, messages: Sequence[Message], prompt_tokens: int) -> None:
        """Take over a server's count of one prompt; one that cannot be true, or is not of text alone, is left out."""
        if media_of(messages):
            return
        guess = _guess_prompt(messages)
        if not _LEAST / 2 * guess <= prompt_tokens <= estimate_prompt_tokens(messages):
            return
        with self._lock:
            self._told += prompt_tokens
            self._guessed += guess
            if self._guessed > _REMEMBERED:
                self._told, self._guessed = self._told / 2, self._guessed / 2

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        """Returns about how many tokens a prompt has; at most `estimate_prompt_tokens`."""
        media = sum(one.tokens for one in media_of(messages))
        return _rounded_up(_guess_prompt(messages) * self.factor) + media

    def text_tokens(self, text: str) -> int:
        """Returns about how many tokens a text has, without what a chat template puts around it."""
        return _rounded_up(min(guess_tokens(text) * self.factor, utf8_bytes(text)))

    def usage(
        self,
        messages: Sequence[Message],
        text: str,
        *,
        thought_bytes: int = 0,
        max_tokens: int | None = None,
        finish_reason: str | None = "stop",
    ) -> Usage:
        """Returns about what a request and its reply took, where the server does not tell.

        Args:
            messages: the prompt.
            text: the reply, as far as it came.
            thought_bytes: of the thoughts that came beside it.
            max_tokens: the most tokens that the request allowed the reply; None if it named no bound.
            finish_reason: why the reply ended; None: it broke off, and the server may have gone on without a reader,
                up to `max_tokens`.
        """
        completion = self.text_tokens(text) + _rounded_up(thought_bytes / _ASCII * self.factor) + _PER_REPLY
        bound = utf8_bytes(text) + thought_bytes + _BOUND_PER_REPLY if max_tokens is None else max_tokens
        if finish_reason is None:
            completion = max(completion, bound)
        elif finish_reason == "length":
            completion = min(completion, bound)
        return Usage(
            self.prompt_tokens(messages),
            completion,
            estimated=True,
            at_most=(estimate_prompt_tokens(messages), max(bound, completion)),
        )


_BOUND_PER_REPLY: Final = 16
"""The same as `_PER_REPLY` at the most."""


def _guess_prompt(messages: Sequence[Message]) -> float:
    return sum(guess_tokens(message["content"]) + _PER_MESSAGE for message in messages)


def _rounded_up(tokens: float) -> int:
    return -int(-tokens // 1)
