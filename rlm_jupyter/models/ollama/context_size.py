"""How large a context Ollama is to load a model with (`num_ctx`).

By default it is 4,096 tokens, or what the server's owner set, and a longer prompt is cut without a word
(https://github.com/ollama/ollama/issues/3839). Each change loads the model anew, so that it only grows, in powers of
two, and all requests of this process to one model share it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from rlm_jupyter import forks
from rlm_jupyter.models.base import Message, media_of
from rlm_jupyter.models.local.discovery import window_shown

_LEAST: Final = 8192
_MOST_UNKNOWN: Final = 131_072
"""The most for a model whose window is not known; Ollama lowers what is above it."""
_REPLY: Final = 2048
"""Tokens that are left for a reply without a bound."""
_PER_MESSAGE: Final = 16
_PER_PROMPT: Final = 128
_PER_BYTE: Final = 0.36
"""Of prose, code and tables; more than most tokenizers make."""
_MARGIN: Final = 1.1
_FACTORS: Final = (0.3, 3.0)
_LIKELY_LEAST: Final = 0.2
"""Tokens of a byte that a prompt has at least, as long as no reply has told."""
_DIGITS: Final = b"0123456789"
_SET: Final = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


class ContextSize:
    """The size of one model's context on one server.

    Attributes:
        num_ctx: the size that was last asked for, or with which the server has the model loaded; 0 for none yet.
        asked: whether the server was asked what it has.
    """

    def __init__(self) -> None:
        self._held: int | None = None
        self._room: int | None = None
        self.num_ctx = 0
        self.asked = False
        self._factor: float | None = None

    @property
    def window(self) -> int | None:
        """The most tokens that the model holds, or the server has memory for; None if neither is known."""
        return min((size for size in (self._held, self._room) if size), default=None)

    @property
    def most(self) -> int:
        """The largest size that may be asked for."""
        return self.window or _MOST_UNKNOWN

    def read(self, name: str, shown: object, running: object) -> None:
        """Take over what the server tells.

        Args:
            name: of the model.
            shown: the answer of `/api/show`: the model's window, and the size that its owner gave it.
            running: the answer of `/api/ps`: the size that it is loaded with, which costs nothing to go on with.
        """
        self.asked = True
        self._held = window_shown(shown) or self._held
        parameters = shown.get("parameters") if isinstance(shown, Mapping) else None
        given = _SET.search(parameters[:10_000]) if isinstance(parameters, str) else None
        sizes = [int(given[1])] if given else []
        models = running.get("models") if isinstance(running, Mapping) else None
        for entry in models[:50] if isinstance(models, list) else []:
            if isinstance(entry, Mapping) and entry.get("name") in (name, f"{name}:latest"):
                size = entry.get("context_length")
                sizes += [size] if isinstance(size, int) else []
        self.num_ctx = min(max([self.num_ctx, *sizes]), self.most)

    def choose(self, messages: Sequence[Message], reply: int | None) -> int:
        """Returns the size for a request: the one at hand if it is large enough, else a larger one.

        Args:
            messages: the prompt.
            reply: the most tokens of the reply; None for no bound.
        """
        needed = round(self.estimate(messages) * _MARGIN) + (reply or _REPLY)
        size = max(_LEAST, self.num_ctx)
        while size < needed:
            size = _next_power(size)
        self.num_ctx = min(size, self.most)
        return self.num_ctx

    def grow(self, missing: int | None) -> bool:
        """Choose a larger size after a refusal; tell whether there is one.

        Args:
            missing: tokens that were too many; None if not told.
        """
        before = self.num_ctx
        size = _next_power(before)
        while missing is not None and size < before + missing + _REPLY:
            size = _next_power(size)
        self.num_ctx = min(size, self.most)
        return self.num_ctx > before

    def shrink(self, messages: Sequence[Message], reply: int | None) -> bool:
        """Bound the size after the server had no memory for it; tell whether the prompt may still fit."""
        half = _next_power(self.num_ctx) // 4
        half = half * 2 if half * 2 < self.num_ctx else half
        if half < _LEAST // 4 or half < self.estimate(messages) + min(reply or _REPLY, 256):
            return False
        self._room = self.num_ctx = half
        return True

    def learn(self, messages: Sequence[Message], told: int) -> None:
        """Take over the server's own count of a prompt that it read whole."""
        if media_of(messages):  # of how many tokens these were, nobody tells
            return
        low, high = _FACTORS
        factor = min(high, max(low, told / max(1.0, _raw(messages))))
        # The largest one stays: a server that has the prompt in its cache may count the rest alone.
        self._factor = max(factor, self._factor or 0.0)

    def estimate(self, messages: Sequence[Message]) -> int:
        """Returns about how many tokens a prompt has, rather more than less."""
        media = sum(one.most_tokens() for one in media_of(messages))
        return round(_raw(messages) * (self._factor or 1.0)) + media

    def surely(self, messages: Sequence[Message]) -> int:
        """Returns how many tokens a prompt has at least, as far as one can tell."""
        if self._factor is not None:
            return round(_raw(messages) * self._factor / _MARGIN)
        return round(sum(len(message["content"]) for message in messages) * _LIKELY_LEAST)


_MOST_KEPT: Final = 200
_lock = threading.Lock()
_sizes: dict[tuple[str, str], ContextSize] = {}


def context_size(server: str, model: str) -> ContextSize:
    """Returns the size that all requests of this process to a model share."""
    with _lock:
        if (server, model) not in _sizes and len(_sizes) >= _MOST_KEPT:
            _sizes.clear()
        return _sizes.setdefault((server, model), ContextSize())


forks.call_in_child(lambda: forks.release(_lock))


def _raw(messages: Sequence[Message]) -> float:
    """Count tokens without knowing the tokenizer: many make one of each digit."""
    total = float(_PER_PROMPT)
    for message in messages:
        data = message["content"].encode("utf-8", "replace")
        digits = len(data) - len(data.translate(None, _DIGITS))
        total += _PER_MESSAGE + digits + _PER_BYTE * (len(data) - digits)
    return total


def _next_power(size: int) -> int:
    """Returns the smallest power of two above a size."""
    return 1 << max(1, size).bit_length()
