"""How many tokens a chat has, about, and how many its model holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlm_jupyter.models.base import media_of

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.services import RunServices
    from rlm_jupyter.models.base import ChatModel, Message, Usage

BYTES_PER_TOKEN = 3.0
"""Of code and figures; prose has 4 and more."""


class Gauge:
    """Tells about how many tokens a chat has, from the provider's own count of an earlier prompt."""

    def __init__(self) -> None:
        self._per_byte = 1 / BYTES_PER_TOKEN

    def learn(self, messages: Sequence[Message], usage: Usage | None, attempts: int = 1) -> None:
        """Take over the count of a prompt that was answered; of several attempts, or not of text alone, it is none."""
        if media_of(messages):
            return
        if usage is not None and not usage.estimated and usage.prompt_tokens > 0 and attempts == 1:
            self._per_byte = min(1.0, max(0.05, usage.prompt_tokens / max(1, _bytes(messages))))

    def tokens(self, messages: Sequence[Message]) -> int:
        """Returns about how many tokens a chat has."""
        return round(_bytes(messages) * self._per_byte) + sum(one.tokens for one in media_of(messages))


def _bytes(messages: Sequence[Message]) -> int:
    return sum(len(message["content"].encode("utf-8", "replace")) for message in messages)


def window(services: RunServices, model: ChatModel, *, root: bool) -> int | None:
    """Returns how many tokens a model holds: as set, as the provider said, as looked up; None for not known."""
    settings = services.settings
    given = settings.window if root else settings.sub_window or settings.window
    known = given if given is not None else getattr(model, "window", None)
    told = services.windows.get(model.name)
    return min((size for size in (known, told) if size), default=None)
