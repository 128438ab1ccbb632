"""Which items go into one request: as many as its prompt and its reply have room for.

The packs depend on the items and settings alone, and on nothing that another run might find otherwise: a run that is
asked again makes the same requests, which the cache of replies knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlm_jupyter.models.token_estimate import utf8_bytes

MOST_ITEMS = 25
"""Of one request: in longer lists, models lose their place; and what a kill interrupts is paid for twice."""
_PROMPT_TOKENS = 6000
_REPLY_TOKENS = 4000
_BYTES_PER_TOKEN = 4
_NUMBER_TOKENS = 8


@dataclass(frozen=True)
class PackLimits:
    """How much may go into one request.

    Attributes:
        items: how many items.
        prompt_tokens: of all items together, about.
        reply_tokens: of all answers together, about.
    """

    items: int = MOST_ITEMS
    prompt_tokens: int = _PROMPT_TOKENS
    reply_tokens: int = _REPLY_TOKENS

    @classmethod
    def within(cls, per: int | None, *, most_reply: int, window: int | None) -> PackLimits:
        """Returns limits for a model.

        Args:
            per: items that the user wants in one request at most; None: as many as fit.
            most_reply: tokens that a reply may have.
            window: tokens that the model holds; None if that is not known.
        """
        return cls(
            MOST_ITEMS if per is None else per,
            min(_PROMPT_TOKENS, window // 3) if window else _PROMPT_TOKENS,
            # Half: a model may think before it writes, and what is cut off is asked again.
            min(_REPLY_TOKENS, most_reply // 2, window // 4 if window else _REPLY_TOKENS),
        )


def item_tokens(text: str) -> int:
    """Returns about how many tokens an item has in a prompt."""
    return _NUMBER_TOKENS + -(-utf8_bytes(text) // _BYTES_PER_TOKEN)


def pack(
    positions: Sequence[int], texts: Sequence[str], answer_tokens: int, limits: PackLimits
) -> list[list[int]]:
    """Divide items into packs, in their order; one that is too large for a pack goes alone.

    Args:
        positions: of the items that are packed.
        texts: of all items.
        answer_tokens: about how many tokens the answer for one item has.
        limits: of one pack.
    """
    most = max(1, min(limits.items, limits.reply_tokens // max(1, answer_tokens)))
    packs: list[list[int]] = []
    room = 0
    for position in positions:
        size = item_tokens(texts[position])
        if not packs or len(packs[-1]) >= most or size > room:
            packs.append([])
            room = limits.prompt_tokens
        packs[-1].append(position)
        room -= size
    return packs
