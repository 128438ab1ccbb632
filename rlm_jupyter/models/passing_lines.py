"""Lines of a prompt that differ between runs of the same question: what was left to spend, who could be asked."""

from __future__ import annotations

import re

_PASSING = re.compile(
    r"^(?:(?:You may spend|Left to spend): |The user can be asked, a few times: `ask_user\()[^\n]*\n*",
    re.MULTILINE,
)
"""They are written by `rlm_jupyter.engine.agent.prompt`."""


def without_passing_lines(content: str) -> str:
    """Returns the text of a user's message without these lines."""
    return _PASSING.sub("", content).rstrip("\n")
