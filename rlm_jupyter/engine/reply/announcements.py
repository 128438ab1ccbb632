"""Whether a `FINAL(...)` in prose is what the model answers, or what it says that it will do."""

from __future__ import annotations

import re

_VERB = (
    r"(?:answer|call|deliver|emit|end|enter|execute|finali[sz]e|finish|give|invoke|issue|make|output|pass|place|print"
    r"|produce|provide|put|report|respond|return|run|say|send|submit|supply|try|type|use|wrap|write)"
)
_LATER = re.compile(
    r"\b(?:after|afterwards|before|can|could|don't|eventually|if|later|might|must|need|never|not|once|"
    r"should|then|unless|until|when|whether|would)\b",
    re.IGNORECASE,
)
"""Words that make a sentence one of later, of a condition or of a denial, wherever they stand in it."""
_INTENDED = re.compile(
    rf"""
      \b(?:(?-i:will|may)|won't|shall|cannot|can't|gonna|ought|plan|planned|planning|intend(?:ing)?|want|remember
        |for\ example|such\ as|in\ order|instead\ of|supposed\ to)\b
    | \be\.g\. | ['\u2019]ll\b | ^\W*next\b
    | \blet(?:['\u2019]s|\ me|\ us)\b
    | \b(?:next|following|later)\ (?:action|cell|message|reply|step|turn)\b
    | \b(?:going|about|ready|prepared|able|have|has|time|way|how|everything|proceed|continue|used|steps?)\ to\b
    | \bto\ (?:\w+ly\ )?{_VERB}\b
    | \b(?:and|or|we|you|they|it)\ (?:\w+ly\ |now\ |just\ |also\ )?{_VERB}(?:ing|s)?\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Before a call: a future, a wish, an infinitive, a plan."""
_ORDERED = re.compile(
    rf"(?:^|[,;\u2013\u2014])\W*(?:(?:\w+ly|now|just|first|last|please),? )*(?:{_VERB}|by|via|using)\b[^,;.]{{0,60}}\Z",
    re.IGNORECASE,
)
"""Before a call: an instruction, `Call FINAL(x)`."""
_ASSERTED = re.compile(
    r"\b(?:answer|amount|conclusion|count|date|it|number|output|result|solution|sum|that|this|total|value|which)\b"
    r"[^,;]{0,80}(?:\b(?:is|are|was|were|equals?)|=|->|=>|\u2192)[\s*_`\"'\u201c(]*\Z",
    re.IGNORECASE,
)
_RETURNED = re.compile(r"\W*(?:return|answer|output|submit|result)\W*", re.IGNORECASE)
_SAID_NOW = re.compile(r"[`*\"'\u201d\s]*(?:right )?now\W*", re.IGNORECASE)
_SAID_AFTER = re.compile(
    r"[`*\"'\u201d\s]*(?:will|shall|may|comes|follows|is (?:to be|used|how|what)|are used|function|calls?|statement"
    r"|syntax)\b",
    re.IGNORECASE,
)
_COLON = re.compile(r"[:\uff1a][\s*_`\"'-]*\Z")
_FORM = re.compile(
    r"(?:\b(?:e\.g\.?|example|instance|form|format|like this|like so|pattern|syntax|template)"
    r"|(?:^|[.;,:]\s)\W*step\s+(?:[2-9]|\d\d))\W*\Z|\b(?:next|following|later) (?:action|cell|reply|step|turn)\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[ \t]*(?:\*\*)?(?:(?:step[ \t]+)?(?:[2-9]|\d\d)[.):]|\[[ x]\])", re.IGNORECASE)
_BULLET = re.compile(r"[ \t]*[-*+][ \t]")
_PLAN = re.compile(r"\b(?:approach|plan|steps?|strategy|to-?do|will|next)\b|['\u2019]ll\b", re.IGNORECASE)
_BREAK = re.compile(r"[.!?\u3002](?=[\s*_`)\"'])|\n[ \t]*\r?\n|\n(?=[ \t]*(?:[-*+#>]|\d+[.)])[ \t])")
_SENTENCE_END = re.compile(r"[.!?:][ ]|[\r\n]")
_WRAPPED = re.compile(r"[^\n]{40,}[\w,;]\r?\Z")
_LONGEST = 600


def is_announced(prose: str, start: int, end: int) -> bool:
    """Returns whether the sentence around a call says that it is meant for later, or shows how it is made.

    Args:
        prose: the text outside of blocks.
        start: of the call.
        end: of the call.
    """
    line = prose[max(prose.rfind("\n", 0, start) + 1, start - _LONGEST) : start]
    after = _SENTENCE_END.split(prose[end : end + 200])[0]
    if _LATER.search(f"{_SENTENCE_END.split(line)[-1]} {after}"):
        return True
    before = _sentence_before(prose, start)
    if _COLON.search(before):
        lead = before.rstrip("*_`\"'- \t\r\n:\uff1a")
        return _FORM.search(lead) is not None or bool(_LATER.search(lead) and _INTENDED.search(lead))
    if _SAID_NOW.fullmatch(after) or _ASSERTED.search(before):
        return False
    if (
        is_plan_item(prose, start)
        or _FORM.search(before)
        or _SAID_AFTER.match(after)
        or _INTENDED.search(before)
    ):
        return True
    return _ORDERED.search(before) is not None and _RETURNED.fullmatch(before) is None


def is_plan_item(prose: str, start: int) -> bool:
    """Returns whether a call is a step of a plan: an item that is not the first one of a list."""
    line_start = prose.rfind("\n", 0, start) + 1
    if _NUMBERED.match(prose, line_start, start):
        return True
    if not _BULLET.match(prose, line_start, start):
        return False
    lines = prose[max(0, line_start - _LONGEST) : line_start].splitlines()
    items = 0
    while lines and (_BULLET.match(lines[-1]) or not lines[-1].strip()):
        items += bool(lines.pop().strip())
    return items > 0 and bool(lines) and _PLAN.search(lines[-1]) is not None


def _sentence_before(prose: str, start: int) -> str:
    """Returns the sentence before a place, over the end of a line only where that wraps a long one."""
    text = _BREAK.split(prose[max(0, start - _LONGEST) : start])[-1]
    lines = text.split("\n")
    first = len(lines) - 1
    while first > 0 and _WRAPPED.match(lines[first - 1]):
        first -= 1
    return " ".join(lines[first:])
