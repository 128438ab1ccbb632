"""The labels among which a question wants something to be told apart."""

from __future__ import annotations

import re
from typing import Final

from rlm_jupyter.guest.quoted_terms import READ

_MOST_LABELS: Final = 20
_OFFERED: Final = re.compile(
    r"\b(?:one of(?: (?:these|the following))?(?: \w{1,20}){0,2}"
    r"|(?:labels?|topics?|subjects?|categor(?:y|ies)|class(?:es)?|kinds?)(?: are| is)?)"
    r"\s*[:(]\s*([^:.?!\n]{3,400})",
    re.IGNORECASE,
)
_EITHER: Final = re.compile(
    r"\b(?:is|are|as|either|whether(?: \w{1,20}){1,4})\s+((?:'[^'\n]{2,40}'|\"[^\"\n]{2,40}\")"
    r"(?:(?:,\s*|\s+)(?:or\s+|and\s+)?(?:'[^'\n]{2,40}'|\"[^\"\n]{2,40}\"))+)",
    re.IGNORECASE,
)
_ASIDE: Final = re.compile(r"\([^()\n]{0,200}\)")
_BETWEEN: Final = re.compile(r"\s*(?:,\s*(?:(?:or|and)\s+)?|;\s*|\s+(?:or|and)\s+)")
_WORDS: Final = 3
_SENTIMENT: Final = re.compile(r"\b(?:positive|negative)\b", re.IGNORECASE)
_JUDGED: Final = re.compile(
    r"\b(?:reviews?|comments?|feedback|opinions?|tweets?|posts?|sentiments?|ratings?)\b", re.IGNORECASE
)


def labels(question: str) -> list[str]:
    """Returns the labels that a question offers, as in "one of these: billing, delivery, or praise"; empty for none.

    Args:
        question: verbatim.
    """
    found = _OFFERED.search(_ASIDE.sub("", question[:READ])) or _EITHER.search(question[:READ])
    if found is None:
        return _sentiments(question[:READ])
    names = [part.strip().strip("'\"`").strip() for part in _BETWEEN.split(found[1].strip())]
    names = list(dict.fromkeys(name for name in names if name))
    plain = all(len(name.split()) <= _WORDS and '"' not in name and name.isprintable() for name in names)
    return names if plain and 1 < len(names) <= _MOST_LABELS else []


def _sentiments(question: str) -> list[str]:
    """Returns the sentiments to tell apart, where a question about opinions names one of them."""
    if not (_SENTIMENT.search(question) and _JUDGED.search(question)):
        return []
    return ["positive", "negative", *(["neutral"] if "neutral" in question.lower() else [])]
