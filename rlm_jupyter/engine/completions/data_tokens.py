"""How much data a request takes out of this machine: what the limit `exposure` is about.

A token of data is four bytes of the text of a request that is neither fixed nor the user's own: descriptions and
samples of data, outputs and errors of code, results of tools, prompts that code makes for plain completions and
sub-agents. The prompts of this package, the question, and what a model wrote itself do not count. What is sent again
with each turn of a chat counts when it is sent first. An image counts as the tokens
that it is billed as, and so does audio.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import media_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rlm_jupyter.events.events import Purpose
    from rlm_jupyter.models.base import Message

BYTES: Final = 4
"""Bytes of UTF-8 that count as one token: the same for all models, so that a limit means the same for each."""
_FIXED: Final = re.compile(
    r"^(?:Question:|Output:|Output of block \d+:|Begin by looking at the data\.|This is your last turn: .*"
    r"|You may spend: .*|Left to spend: .*|The data \(`context`.*\):|There is no data besides the question.*"
    r"|Reply with one ```repl block.*|```repl|```)$\n?",
    re.MULTILINE,
)


def data_tokens(messages: Sequence[Message], purpose: Purpose, own: Iterable[str] = ()) -> int:
    """Returns the tokens of data in messages that are sent for the first time.

    Args:
        messages: that were not sent before.
        purpose: of the request; prompts of plain completions are data as a whole.
        own: texts of the user's own, such as the question.
    """
    count = sum(one.tokens for one in media_of(messages))
    for message in messages:
        if message["role"] == "user":
            text = message["content"]
            if purpose == "turn":
                for part in own:
                    text = text.replace(part, "")
                text = _FIXED.sub("", text)
            count += -(-len(text.strip().encode("utf-8", "replace")) // BYTES)
    return count
