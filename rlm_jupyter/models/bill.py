"""What one completion cost in all: every request that was answered counts, the useless ones too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.wire import Reply

_BYTES_PER_TOKEN: Final = 3
_TOKENS_PER_MESSAGE: Final = 8


def estimate_usage(messages: Sequence[Message], text: str) -> Usage:
    """Estimate from above what a request and its reply cost in tokens, where the provider does not tell.

    Tokens of prose hold 4 bytes and more, those of code and figures about 3.
    """
    prompt = sum(_tokens(message["content"]) + _TOKENS_PER_MESSAGE for message in messages)
    return Usage(prompt, _tokens(text), estimated=True)


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


@dataclass
class Bill:
    """The requests of one completion.

    Attributes:
        messages: the prompt, for estimates.
        attempts: requests that were sent.
    """

    messages: Sequence[Message]
    attempts: int = 0
    _replies: list[Reply] = field(default_factory=list)

    def add(self, reply: Reply) -> None:
        """Count a reply that was begun, or may have been: an empty one stands for what nobody saw."""
        self._replies.append(reply)

    @property
    def usage(self) -> Usage | None:
        """The tokens of all replies together; None where there is but one and it does not tell."""
        told = [reply.usage for reply in self._replies]
        if told == [None]:
            return None
        parts = [reply.usage or estimate_usage(self.messages, reply.text) for reply in self._replies]
        return Usage(
            sum(part.prompt_tokens for part in parts),
            sum(part.completion_tokens for part in parts),
            sum(part.cached_tokens for part in parts),
            estimated=any(part.estimated for part in parts),
        )

    @property
    def cost(self) -> float | None:
        """The USD of all replies together; None unless the provider reported each."""
        costs = [reply.cost for reply in self._replies]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None
