"""What a question wants to be told apart, or selected by: labels, and words in quotes."""

from __future__ import annotations

import re
from typing import Final

from rlm_jupyter.guest.quoted_terms import READ, quoted_terms

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
_TERM: Final = r"(?:'[^'\n]{2,40}'|\"[^\"\n]{2,40}\")(?!\w)"
_ANSWERED: Final = re.compile(
    r"\b(?:(?:answer|reply|respond|return|output|say|write|give|print)(?:\s+(?:me|with|by|just|only|either|exactly|an?|the"
    r"|your|final|answer|words?|single|simple|as|in|using|is|it|result)){0,6}"
    r"|such as|for (?:example|instance)|e\.g\.|in the (?:form|format)(?: of)?|formatted as|spelled)[\s,:]{1,3}"
    rf"{_TERM}(?:[\s,/]{{1,3}}(?:(?:or|and)\s)?{_TERM}){{0,8}}",
    re.IGNORECASE,
)
"""Words in quotes that tell how to answer, or that are examples: nothing is selected by them."""
_LITERALLY: Final = re.compile(
    r"\b(?:contain(?:s|ed|ing)?|includ(?:es?|ed|ing)|mention(?:s|ed|ing)?|(?:begin|start|end)(?:s|ning|ing)?"
    r"(?: with| in)?|says?|(?:the|a) (?:words?|phrases?|strings?|substrings?|terms?|texts?|keywords?|letters?)"
    r"|in (?:its|their) names?)"
    rf"(?: (?:the|a|an|word|words|phrase|string|term|text|exact|literal|both|either)){{0,3}} {_TERM}"
    rf"|{_TERM} in (?:its|their) (?:names?|titles?|texts?|subjects?|body|descriptions?)\b",
    re.IGNORECASE,
)
"""A question for a word as it is written, and not for what a text is about."""
_WORDS: Final = 3
_SENTIMENT: Final = re.compile(r"\b(?:positive|negative)\b", re.IGNORECASE)
_JUDGED: Final = re.compile(
    r"\b(?:reviews?|comments?|feedback|opinions?|tweets?|posts?|sentiments?|ratings?)\b", re.IGNORECASE
)


def selecting(question: str) -> list[str]:
    """Returns the words in quotes by which a question may select: no forms of its answer, and no examples.

    Args:
        question: verbatim.
    """
    return quoted_terms(_ANSWERED.sub(" ", question[:READ]))


def asks_for_words(question: str) -> bool:
    """Returns whether a question asks in which texts a word stands as it is written.

    Args:
        question: verbatim.
    """
    return _LITERALLY.search(question[:READ]) is not None


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
