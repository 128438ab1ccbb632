"""Whether a question asks for one thing, or for one for each of several groups, or for two at once."""

from __future__ import annotations

import re
from typing import Final

_READ: Final = 2000
_SENTENCE: Final = re.compile(r"(?<=[.?!])\s+|\n+")
_ASKS: Final = re.compile(
    r"\?\s*$|^\s*(?:(?:please|then|finally|for each)\s+)?(?:give|list|tell|compute|calculate|find|name|show|return"
    r"|determine|count|report|rank|what|which|who|when|how)\b",
    re.IGNORECASE,
)
_GROUP: Final = (
    r"(?:day|date|week|weekday|month|quarter|year|hour|region|country|city|state|category|type|kind|group|segment|class"
    r"|department|product|customer|user|store|shop|status|gender|age|team|name|label|topic|channel|supplier|author|file)"
)
_EACH: Final = re.compile(
    rf"\b(?:each|every|per)\b|(?<!\bled )(?<!\bsold )(?<!\bdone )\bby {_GROUP}\b(?! [\d'\"A-Z])"
    r"|\b(?:monthly|daily|weekly|yearly|annual|quarterly|hourly)\b|\brespectively\b",
)
_KINDS: Final = (
    r"(?:mean|average|median|modes?|min(?:imum)?|max(?:imum)?|highest|lowest|largest|smallest|first|last|earliest|latest"
    r"|sum|total|counts?|number|start(?:ed)?|begin|beg[au]n|end(?:ed)?|variance|deviation|range|oldest|newest|best|worst)"
)
_TWO: Final = re.compile(
    r"\band (?:(?:by|of|with|in|for) )?(?:what|which|who|whom|when|where|how)\b"
    r"|\bhow (?:many|much)\b.*\bhow (?:many|much)\b"
    rf"|\b{_KINDS}\b.{{0,30}}\band (?:the )?{_KINDS}\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|\d{1,3}) (?:\w+ )?\w+s\b(?<! times)(?<! days)"
    r"|\btop (?:\d{1,3}|two|three|four|five|ten)\b|\bpairs?\b"
    r"|\b(?:distribution|breakdown|list|range|ranking|order|matrix|table|series|trend|schedule|statistics|histogram"
    r"|summary|combination) of\b"
    r"|\b(?:which|what|who) (?:people|children|staff|men|women|series|criteria|alumni)\b|\bwhen (?:were|are)\b",
    re.IGNORECASE | re.DOTALL,
)
_OPEN: Final = re.compile(
    r"\bwhich \w+ (?:ha[sd]|is|was|sold|made|wrote|bought|ordered|got) (?:\w+ )?"
    r"(?:at least|at most|more than|less than|fewer than|exactly|no)\b",
    re.IGNORECASE,
)
"""What any number of things may fulfil."""
_LIMIT: Final = re.compile(
    r"\b(?:at least|at most|more than|less than|fewer than|exactly|of the)\s+(?:\w+ )?\w+ \w+s\b"
)


def asks_in_parts(question: str) -> bool:
    """Returns whether an answer of several values may be right though the question is for a number or for one thing.

    Args:
        question: verbatim.
    """
    return any(
        _EACH.search(sentence) is not None
        or _OPEN.search(sentence) is not None
        or _TWO.search(_LIMIT.sub(" ", sentence)) is not None
        for sentence in _SENTENCE.split(question[:_READ])
        if _ASKS.search(sentence)
    )
