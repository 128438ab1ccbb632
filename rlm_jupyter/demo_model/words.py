"""What the demo makes of a question: which words it names, and nothing like a meaning."""

from __future__ import annotations

import re
from typing import Literal

from rlm_jupyter.text.shorten import cut_end

Direction = Literal["rise", "fall", "change"]

_RISE = (
    r"ris\w*|rose|increas\w*|jump\w*|spik\w*|surg\w*|grow\w*|grew|climb\w*|soar\w*|(?:go|goes|going|went|gone)\s+up"
    r"|more|higher|worse\w*|uptick|explo\w*"
)
_FALL = (
    r"fall\w*|fell|drop\w*|declin\w*|decreas\w*|dip\w*|sank|sink\w*|shr[aiu]nk\w*|plung\w*|collaps\w*"
    r"|(?:go|goes|going|went|gone)\s+down|less|fewer|lower|loss\w*|lost|lose\w*"
)
_CHANGE = (
    r"chang\w*|break\w*|broke\w*|anomal\w*|outlier\w*|shift\w*|since\s+when|explain\w*|when\s+did|from\s+when"
    r"|happened"
)
_TALLY = r"how\s+many|how\s+often|count(?:s|ed|ing)?|number\s+of"
_AMOUNT = rf"{_TALLY}|how\s+much|total\w*|sum\w*"
_COUNT = rf"{_AMOUNT}|per|each|every|by|share\w*"
_MOST = r"most|top|highest|largest|biggest|max\w*"
_LEAST = r"least|fewest|lowest|smallest|min\w*"
_MEAN = r"average\w*|mean|rates?|ratio|typical\w*|percent\w*|proportion|on\s+average"
_COLLECTS = r"find|list|collect|show|search|where|give|extract"
_PROFILE = (
    r"profil\w*|describ\w*|descriptions?|overview|summar\w*|look\s+like|missing|columns?|how\s+many\s+rows|schema"
    r"|what\s+is\s+(?:in|this)|what's\s+(?:in|this)|dtypes?|statistics"
)
_GOES_ON = (
    r"\W*(?:and|but|only|just|or|now|then|also|what\s+about|how\s+about|(?:the\s+)?same|by|per|in|for|with|without|as\s+a"
    r"|not)\b"
)
_OVER_TIME = r"over\s+time|time\s+series|timeline|trends?"
_DRAW = rf"plot\w*|charts?|graph\w*|draw\w*|diagrams?|visuali[sz]\w*|{_OVER_TIME}"
_GENERIC = frozenset(
    {
        "id",
        "name",
        "no",
        "nr",
        "num",
        "number",
        "code",
        "key",
        "date",
        "day",
        "time",
        "at",
        "on",
        "amount",
        "total",
        "count",
        "value",
        "flag",
        "is",
        "has",
        "the",
        "of",
    }
)
_ROWS = r"rows?|records?|entries|lines|observations|anything|something|data|events?|cases"
_SAME_STEM = 6
_FEW_WORDS = 3


def _says(question: str, words: str) -> bool:
    return re.search(rf"\b(?:{words})\b", question, re.IGNORECASE) is not None


def direction(question: str) -> Direction | None:
    """Returns whether a question is about a rise, a fall, or some change; None for none of these."""
    rise, fall = _says(question, _RISE), _says(question, _FALL)
    if rise != fall:
        return "rise" if rise else "fall"
    return "change" if rise or _says(question, _CHANGE) else None


def draws(question: str) -> bool:
    """Returns whether a question asks for a chart."""
    return _says(question, _DRAW)


def over_time(question: str) -> bool:
    """Returns whether a question asks how something went over time."""
    return _says(question, _OVER_TIME)


def counts(question: str) -> bool:
    """Returns whether a question asks for a number or for the most or least of something."""
    return _says(question, f"{_COUNT}|{_MOST}|{_LEAST}|{_MEAN}")


def amount(question: str) -> bool:
    """Returns whether a question names the figure that it asks for: a count, a sum, a mean."""
    return _says(question, f"{_AMOUNT}|{_MEAN}")


def least(question: str) -> bool:
    """Returns whether the smallest is asked for."""
    return _says(question, _LEAST) and not _says(question, r"most|highest|largest|biggest")


def mean(question: str) -> bool:
    """Returns whether a mean or a rate is asked for, not a sum."""
    return _says(question, _MEAN)


def profile(question: str) -> bool:
    """Returns whether a question asks what the data looks like."""
    return _says(question, _PROFILE)


def extreme(question: str) -> bool:
    """Returns whether the largest or the smallest of something is asked for."""
    return _says(question, f"{_MOST}|{_LEAST}")


def adds_up(question: str) -> bool:
    """Returns whether a question asks for a sum or a count."""
    return _says(question, _AMOUNT)


def tallies(question: str) -> bool:
    """Returns whether a question asks for a count."""
    return _says(question, _TALLY)


def collects(question: str) -> bool:
    """Returns whether a question asks for what was found and not for a number."""
    return _says(question, _COLLECTS)


def continues(question: str) -> bool:
    """Returns whether a question begins as one does that goes on with the question before it."""
    return re.match(_GOES_ON, question, re.IGNORECASE) is not None


def of_that(question: str) -> bool:
    """Returns whether a question speaks of what was just found: `plot it`, `chart that`."""
    return (
        _says(question, r"it|this|that|these|those|them|result|results|the\s+same")
        or len(tokens(question)) <= _FEW_WORDS
    )


def rows(question: str) -> bool:
    """Returns whether a question speaks of rows, or of nothing in particular."""
    return _says(question, _ROWS)


def tokens(text: str) -> list[str]:
    """Split a text or a name such as `refundAmount` or `refund_amount` into its words."""
    apart = re.sub(r"([a-z\d])([A-Z])", r"\1 \2", text)
    return [word.casefold() for word in re.findall(r"[^\W_]+", apart)]


def _stem(word: str) -> str:
    for ending in ("ies", "ied", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)]
            return stem + "y" if ending in ("ies", "ied") else stem.removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word  # noqa: PLR2004 - short words are their own stem


def _alike(one: str, other: str) -> bool:
    """Returns whether two words are forms of one: `refunds` and `refunded`, `cancelled` and `cancellations`."""
    if _stem(one) == _stem(other):
        return True
    same = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return same >= _SAME_STEM and min(len(one), len(other)) - same <= 3  # noqa: PLR2004 - the rest is an ending


def position(question: str, name: str) -> int | None:
    """Find where a question names a column, a table or a value.

    Returns:
        The number of the first word that names it, counted from the question's beginning; None if it is
        not named.
    """
    words, parts = tokens(question), tokens(name)
    telling = [part for part in parts if part not in _GENERIC and not part.isdigit()] or parts
    found = [next((i for i, word in enumerate(words) if _alike(word, part)), None) for part in telling]
    if telling and None not in found:
        return min(i for i in found if i is not None)
    if not name.isascii() and len(name) > 1 and name.casefold() in question.casefold():
        return len(tokens(question[: question.casefold().index(name.casefold())]))
    return None


def group_position(question: str, name: str) -> float:
    """Returns how early a question names a column as what it asks for: `which ...`, `per ...`, `by ...`.

    Returns:
        Small for a name that follows such a word, larger for any other mention, infinite for none.
    """
    at = position(question, name)
    if at is None:
        return float("inf")
    before = tokens(question)[max(0, at - 2) : at]
    asking = {"which", "what", "per", "each", "every", "by", "among"}
    return at if asking & set(before) else 1000.0 + at


def after_change(question: str) -> int:
    """Returns the number of the first word that comes after `rise in`, `how many` and the like; 0 for none."""
    match = re.search(rf"\b(?:{_RISE}|{_FALL}|how\s+many|number\s+of|count)\b", question, re.IGNORECASE)
    return len(tokens(question[: match.end()])) if match else 0


def shown(text: object, width: int = 40) -> str:
    """Make a name of the data fit to stand in a sentence: one line that can start no code block."""
    return cut_end(" ".join(str(text).replace("`", "'").replace("~", "-").split()), width)
