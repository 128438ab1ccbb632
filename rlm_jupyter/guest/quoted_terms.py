"""The terms that a question marks: words in quotes, and names in backticks.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

READ = 2000
"""Characters of a question that are looked through."""
_MOST = 8
_QUOTED = r"(?<!\w)'([^'\n]{2,40})'(?!\w)|\"([^\"\n]{2,40})\""
_IN_QUOTES = re.compile(_QUOTED)
_MARKED = re.compile(rf"{_QUOTED}|`([^`\n]{{2,80}})`")
_WORD = re.compile(r"[^\W\d]\w+")


def quoted_terms(question: str) -> list[str]:
    """Returns the first words that a question has in quotes, each once.

    Args:
        question: verbatim.
    """
    return _first(one or other for one, other in _IN_QUOTES.findall(question[:READ]))


def marked_terms(question: str) -> list[str]:
    """Returns the first terms in quotes or backticks, and the names within the latter, each once.

    Args:
        question: verbatim.
    """
    found = _MARKED.findall(question[:READ])
    return _first(term for one, other, code in found for term in (one or other or code, *_WORD.findall(code)))


def _first(terms: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(terms))[:_MOST]
