"""What a completion took in tokens if its server does not tell: about what came, and at most what was reserved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_jupyter.models.base import Usage, media_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.budget.ledger import Reservation
    from rlm_jupyter.models.base import Completion, Message
    from rlm_jupyter.models.token_ratio import TokenRatio


def estimated_usage(
    ratio: TokenRatio, messages: Sequence[Message], completion: Completion, reservation: Reservation
) -> Usage:
    """Returns about what a completion took; of attempts before the last, nobody knows what came.

    Args:
        ratio: tokens of texts, for the model.
        messages: the prompt.
        completion: the reply.
        reservation: of the request.
    """
    about = ratio.usage(
        messages,
        completion.text,
        thought_bytes=completion.thought_bytes,
        max_tokens=reservation.max_tokens,
        finish_reason=completion.finish_reason,
    )
    billed = reservation.held.prompt_tokens // max(1, reservation.prompt_tokens)
    return _with_earlier(about, reservation, billed - 1 + max(0, completion.attempts - reservation.attempts))


def scripted_usage(messages: Sequence[Message], text: str) -> Usage:
    """Returns what a language model would count, roughly: four bytes a token. A script sends nothing to anybody.

    Args:
        messages: the prompt.
        text: the reply.
    """
    sent = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
    seen = sum(one.tokens for one in media_of(messages))
    return Usage(seen - (-sent // 4), -(-len(text.encode("utf-8", "replace")) // 4), estimated=True)


def broken_usage(ratio: TokenRatio, messages: Sequence[Message], reservation: Reservation) -> Usage:
    """Returns about what a request took whose reply began and broke off.

    Its prompt was read, and the rest of the reply may have been written without a reader.
    """
    about = ratio.usage(messages, "", max_tokens=reservation.max_tokens, finish_reason=None)
    billed = reservation.held.prompt_tokens // max(1, reservation.prompt_tokens)
    return _with_earlier(about, reservation, billed - 1)


def _with_earlier(usage: Usage, reservation: Reservation, earlier: int) -> Usage:
    """Add attempts that may have been billed: the same prompt, and replies of any length up to the bound."""
    if earlier <= 0:
        return usage
    assert usage.at_most is not None
    replies = earlier * reservation.max_tokens
    prompt, completion = usage.at_most
    return replace(
        usage,
        prompt_tokens=usage.prompt_tokens * (earlier + 1),
        completion_tokens=usage.completion_tokens + replies,
        at_most=(prompt * (earlier + 1), completion + replies),
    )
