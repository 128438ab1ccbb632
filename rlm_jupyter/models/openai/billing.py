"""What one completion cost in all: every request that was answered counts, the useless ones too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import Message, Usage
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.openai.chat_replies import Reply

_PER_REPLY: Final = 16
"""Tokens of a reply that are not text, such as its end mark."""


def most_usage(messages: Sequence[Message], reply: Reply, max_tokens: int | None) -> Usage:
    """Returns the most that a request may have cost in tokens, where the provider does not tell.

    What was thought and not shown counts too, so that only the request's own bound on the reply is one.
    """
    text = len(reply.text.encode("utf-8", "replace")) + _PER_REPLY
    return Usage(estimate_prompt_tokens(messages), text if max_tokens is None else max_tokens, estimated=True)


@dataclass
class Bill:
    """The requests of one completion.

    Attributes:
        messages: the prompt, for upper bounds.
        attempts: requests that were sent.
    """

    messages: Sequence[Message]
    attempts: int = 0
    _replies: list[Reply] = field(default_factory=list)
    _bounds: list[int | None] = field(default_factory=list)

    def add(self, reply: Reply, max_tokens: int | None) -> None:
        """Count a reply that was begun, or may have been: an empty one stands for what nobody saw.

        Args:
            reply: as far as it came.
            max_tokens: the most tokens that the request allowed it.
        """
        self._replies.append(reply)
        self._bounds.append(max_tokens)

    @property
    def usage(self) -> Usage | None:
        """The tokens of all replies together; None if there is but one and it does not tell."""
        told = [reply.usage for reply in self._replies]
        if told == [None]:
            return None
        parts = [
            reply.usage or most_usage(self.messages, reply, bound)
            for reply, bound in zip(self._replies, self._bounds, strict=True)
        ]
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
