"""Texts ranked by the words that they share with a query: Okapi BM25, as in Robertson and Zaragoza (2009)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Kana and Han: written without spaces, so that each character counts as a word."""
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_K1 = 1.2
_B = 0.75
_LEAST_STEM = 4


def words_of(text: str) -> list[str]:
    """Returns the words of a text in lower case, those of English without the endings of plurals and verbs."""
    return [_stem(word) for word in _WORD.findall(text.casefold())]


def _stem(word: str) -> str:
    for end in ("ies", "ing", "ed", "es", "s", "y", "e"):
        if word.endswith(end) and len(word) - len(end) >= _LEAST_STEM:
            return word[: -len(end)]
    return word


def rank(texts: Sequence[str], query: Iterable[str]) -> list[tuple[int, float]]:
    """Returns the texts that share a word with a query, by position, the best one first, with their scores.

    Args:
        texts: that are searched.
        query: words, as `words_of` returns them.
    """
    wanted = dict.fromkeys(query)
    counts: list[dict[str, int]] = []
    lengths: list[int] = []
    for text in texts:
        words = words_of(text)
        lengths.append(len(words))
        counts.append({word: count for word, count in Counter(words).items() if word in wanted})
    mean = sum(lengths) / max(1, len(lengths)) or 1.0
    having = Counter(word for one in counts for word in one)
    weight = {word: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for word, n in having.items()}
    scores = [
        sum(
            weight[word] * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / mean))
            for word, count in one.items()
        )
        for one, length in zip(counts, lengths, strict=True)
    ]
    found = [(place, score) for place, score in enumerate(scores) if score > 0]
    return sorted(found, key=lambda one: (-one[1], one[0]))
