"""From a question about texts to a plan: count or collect what a known pattern or a quoted term matches."""

from __future__ import annotations

import re

from rlm_jupyter.demo_model import words
from rlm_jupyter.demo_model.plan import Plan

_PATTERNS = {
    r"to-?dos?": (r"\b(?:TODO|FIXME)\b", "TODO and FIXME notes"),
    r"class(?:es)?": (r"^\s*class\s+\w+", "class definitions"),
    r"functions?|methods?": (r"^\s*(?:async\s+)?def\s+\w+", "function definitions"),
    r"imports?": (r"^\s*(?:import|from)\s+\w+", "imports"),
    r"comments?": (r"^\s*#", "comment lines"),
    r"dates?": (r"\b\d{4}-\d{2}-\d{2}\b", "dates such as 2025-01-31"),
    r"e-?mails?": (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "e-mail addresses"),
    r"urls?|links?": (r"https?://\S+", "URLs"),
    r"questions?": (r"\?(?=\s|$)", "question marks"),
    r"errors?|exceptions?": (r"(?i)\b(?:\w*error|\w*exception)\b", "words that end with error or exception"),
}
_ASKS = (
    r"how\s+many|how\s+often|count\w*|number\s+of|most|least|find|list|collect|show|search|where|which|what|give"
    r"|extract|occur\w*"
)
_QUOTED = re.compile(r"\"([^\"\n]{1,60})\"|“([^”\n]{1,60})”|`([^`\n]{1,60})`|(?<!\w)'([^'\n]{1,60})'(?!\w)")
_NAMED = re.compile(
    r"\b(?:word|term|phrase|string|mentions?\s+of|occurrences?\s+of|how\s+often\s+(?:does|is|do|are))\s+(\w[\w.-]*)",
    re.IGNORECASE,
)
_ARTICLES = frozenset(
    {"the", "a", "an", "this", "that", "it", "they", "there", "word", "term", "phrase", "text", "of", "in"}
)
UNKNOWN = (
    "The question is outside of what the scripted demo can do with texts (count or collect a quoted term, or "
    "things such as classes, functions, URLs, dates); here is a profile of the texts instead. "
)


def text_plan(question: str) -> Plan:
    """Choose what to do for a question about texts."""
    found = text_pattern(question)
    if found is None or not re.search(rf"\b(?:{_ASKS})\b", question, re.IGNORECASE):
        asked = words.profile(question)
        thought = (
            "I measure the texts."
            if asked
            else "This is outside of what a script can do: I measure the texts."
        )
        return Plan("documents", thought, "" if asked else UNKNOWN)
    pattern, said = found
    if words.collects(question) and not re.search(
        r"\b(?:how\s+(?:many|often)|count\w*|number\s+of|most)\b", question, re.IGNORECASE
    ):
        return Plan("lines", f"I collect the lines with {said}.", pattern=pattern, words=said)
    least = words.least(question)
    return Plan(
        "matches", f"I count {said}.", pattern=pattern, words=said, least=least, draw=words.draws(question)
    )


def text_pattern(question: str) -> tuple[str, str] | None:
    """Find what is asked for: a quoted term, a named word, or a thing that the script knows."""
    quoted = _QUOTED.search(question)
    if quoted is not None:
        return _term(next(term for term in quoted.groups() if term).strip())
    named = _NAMED.search(question)
    if named is not None and named[1].casefold() not in _ARTICLES:
        return _term(named[1])
    found = {
        match.start(): known
        for nouns, known in _PATTERNS.items()
        if (match := re.search(rf"\b(?:{nouns})\b", question, re.IGNORECASE))
    }
    return found[min(found)] if found else None


def _term(term: str) -> tuple[str, str] | None:
    if not term:
        return None
    left, right = (r"\b" if re.match(r"\w", term[i]) else "" for i in (0, -1))
    return rf"(?i){left}{re.escape(term)}{right}", f"`{words.shown(term)}` in any case"
