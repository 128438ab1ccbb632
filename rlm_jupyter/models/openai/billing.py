"""What one completion cost in all: every request that was answered counts, the useless ones too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import Message, Usage
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens, utf8_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.token_ratio import TokenRatio

_PER_REPLY: Final = 16
"""Tokens of a reply that are not text, such as its end mark."""


def most_usage(messages: Sequence[Message], reply: Reply, max_tokens: int | None) -> Usage:
    """Returns the most that a request may have cost in tokens, where the provider does not tell.

    What was thought and not shown counts too, so that only the request's own bound on the reply is one.
    """
    text = utf8_bytes(reply.text) + _PER_REPLY
    return Usage(estimate_prompt_tokens(messages), text if max_tokens is None else max_tokens, estimated=True)


@dataclass
class Bill:
    """The requests of one completion.

    Attributes:
        messages: the prompt, for estimates.
        ratio: tokens of texts, for this model.
        attempts: requests that were sent.
    """

    messages: Sequence[Message]
    ratio: TokenRatio
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
        return None if [reply.usage for reply in self._replies] == [None] else self._sum()

    @property
    def failed_usage(self) -> Usage | None:
        """The same of requests that brought no reply: what came of a single one, before it broke off, is counted."""
        begun = any(reply.choices for reply in self._replies)
        return self._sum() if begun else self.usage

    def _sum(self) -> Usage:
        parts = [self._usage(reply, bound) for reply, bound in zip(self._replies, self._bounds, strict=True)]
        most = [part.at_most or (part.prompt_tokens, part.completion_tokens) for part in parts]
        estimated = any(part.estimated for part in parts)
        return Usage(
            sum(part.prompt_tokens for part in parts),
            sum(part.completion_tokens for part in parts),
            sum(part.cached_tokens for part in parts),
            estimated=estimated,
            at_most=(sum(prompt for prompt, _ in most), sum(reply for _, reply in most))
            if estimated
            else None,
            cache_write_tokens=sum(part.cache_write_tokens for part in parts),
        )

    def _usage(self, reply: Reply, bound: int | None) -> Usage:
        """Returns what one request took: as told, else about what came of it, else the most that it can be."""
        if reply.usage is not None and not reply.usage.estimated:
            return reply.usage
        if reply.usage is None and not reply.choices:
            return most_usage(self.messages, reply, bound)
        about = self.ratio.usage(
            self.messages,
            reply.text,
            thought_bytes=reply.thought_bytes,
            max_tokens=bound,
            finish_reason=reply.finish_reason or ("stop" if reply.ended else None),
        )
        if reply.usage is None:
            return about
        # The reply was counted by the server, and the prompt only as far as it was not in its cache.
        return replace(
            about,
            prompt_tokens=max(about.prompt_tokens, reply.usage.prompt_tokens),
            completion_tokens=reply.usage.completion_tokens,
        )

    @property
    def cost(self) -> float | None:
        """The USD of all replies together; None unless the provider reported each."""
        costs = [reply.cost for reply in self._replies]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None
