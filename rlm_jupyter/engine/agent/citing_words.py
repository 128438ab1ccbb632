"""What an agent is told of `cite`, where its question asks for passages: other runs pay nothing for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_ASKS: Final = re.compile(
    r"\b(?:cit(?:e|es|ed|ing|ations?)|quot(?:e|es|ed|ing|ations?)|passages?|verbatim|evidence)\b",
    re.IGNORECASE,
)
_TEXTS: Final = ("str", "dict", "list")
_LOOKED_AT: Final = 4000
_WORDS: Final = """\
`cite(text, start, end)`, or `cite(text, "its words")`, returns a passage of a text of `{data}` as a value for the \
answer; it is compared with the data, and shown with where it stands: \
`FINAL({{"answer": ..., "passages": [cite({data}, m.start(), m.end())]}})`."""


def citing_words(question: str, description: Mapping[str, Any] | None) -> str | None:
    """Returns what is said of `cite`; None if the question asks for no passages, or the data has no texts.

    Args:
        question: of the agent.
        description: of its data.
    """
    if description is None or not _ASKS.search(question[:_LOOKED_AT]):
        return None
    if description.get("type") in _TEXTS:
        return _WORDS.format(data="context")
    return _WORDS.format(data="text") if description.get("variable") == "text" else None


def with_citing(question: str, description: Mapping[str, Any] | None, allowed: str | None) -> str | None:
    """Returns what an agent may use: `cite`, where that is wanted, and what its sandbox allows; None for neither."""
    return "\n\n".join(filter(None, [citing_words(question, description), allowed])) or None
