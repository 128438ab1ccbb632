"""Faults that a model's replies show by themselves: no code, an answer that nothing was read for, an echo.

Of texts alone, so that they mean the same for this package's runs and for the exchanges of any other harness.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_CODE: Final = re.compile(
    r"```|^[ \t]*(?:FINAL|FINAL_VAR|SUBMIT|print|import|from|for|context)\b.*[(=]", re.MULTILINE
)
"""Not `^\\s*`: it would run over all lines that follow, from each of many empty ones."""
_WORDS_OF_A_NOTICE: Final = 6
_MOST_NOTICES: Final = 200
"""Sentences that are looked for in a reply: the last ones of what was told."""
_MOST: Final = 100_000
"""Characters that are searched; prompts may hold long outputs."""
_LONGEST_ANSWER: Final = 10_000


def lacks_code(replies: Iterable[str]) -> bool:
    """Returns whether at least half of the replies hold no code; False without any."""
    said = [reply for reply in replies if reply]
    return bool(said) and 2 * sum(not _CODE.search(reply[:_MOST]) for reply in said) >= len(said)


def is_invented(answer: str, exchanges: Sequence[tuple[str, str]]) -> bool:
    """Returns whether an answer was written by the model and had not been in anything that it was shown.

    Args:
        answer: as text.
        exchanges: of each request what it showed that was new, or all that it showed; and its reply.
    """
    said = answer.strip()
    if not said or len(said) > _LONGEST_ANSWER:
        return False
    for shown, reply in exchanges:
        if said in shown:
            return False
        if said in reply:
            return True
    return False


def echoes(told: str, reply: str) -> bool:
    """Returns whether a reply repeats a whole sentence of what the model was told."""
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.:!?])\s|\n", told[-_MOST:])]
    notices = [one for one in sentences if len(one.split()) >= _WORDS_OF_A_NOTICE and one[-1] in ".:!"]
    said = reply[:_MOST]
    return any(notice in said for notice in notices[-_MOST_NOTICES:])
