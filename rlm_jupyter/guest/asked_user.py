"""A question of an agent's code to the user: how it is sent, and for which object an answer stands.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_QUESTION = 1000
"""Characters of a question."""
MOST_OPTIONS = 8
MOST_LABEL = 120
"""Characters of an option, as it is shown."""
NO_DEFAULT = object()
"""In the place of a default that was not given."""


class AskedUser:
    """A question to the user, checked.

    Args:
        question: one short sentence.
        options: what the user may choose from, any objects; None: the answer is a text.
        default: what holds if nobody answers; without one, the first option.

    Raises:
        TypeError, ValueError: it cannot be asked like that; the message says what to write.
    """

    def __init__(self, question: Any, options: Any, default: Any) -> None:
        if not isinstance(question, str) or not question.strip():
            raise TypeError(
                "`question` must be a text that is not empty: ask_user(question, options=[...], default=...)."
            )
        if len(question) > MOST_QUESTION:
            raise ValueError(
                f"`question` has {len(question):,} characters; the most is {MOST_QUESTION:,}. Ask one short thing."
            )
        self.question = question
        self.options = _options(options)
        if default is NO_DEFAULT:
            if not self.options:
                raise TypeError(
                    "`default` is missing: say what holds if nobody answers, as in default='unknown'."
                )
            default = self.options[0]
        self.default = default

    @property
    def body(self) -> dict[str, Any]:
        """What is sent: texts and the number of the default among the options, no objects."""
        shown = [label(option) for option in self.options]
        default = label(self.default)
        return {
            "question": self.question,
            "options": shown,
            "default": default,
            "default_option": shown.index(default) if default in shown else None,
        }

    def answer(self, reply: Any) -> Any:
        """Returns the object that a reply stands for."""
        told = reply if isinstance(reply, dict) else {}
        option, text = told.get("option"), told.get("text")
        if type(option) is int and 0 <= option < len(self.options):
            return self.options[option]
        return text if isinstance(text, str) else self.default


def _options(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(
            "`options` must be a list of what the user may choose from, as in options=['cents', 'euros']."
        )
    options = list(given.keys() if isinstance(given, Mapping) else given)
    if not 1 < len(options) <= MOST_OPTIONS:
        raise ValueError(
            f"There are {len(options):,} options; give 2 to {MOST_OPTIONS}, or none for a text as the answer."
        )
    shown = [label(option) for option in options]
    if len(set(shown)) < len(shown):
        raise ValueError("Two of the options look the same: the user could not tell them apart.")
    return options


def label(value: Any) -> str:
    """Returns how an option is shown, on one line and cut."""
    try:
        text = value if type(value) is str else str(value)
    except Exception:  # of a class of the agent's own
        text = type(value).__name__
    line = " ".join(text.split())
    return line if len(line) <= MOST_LABEL else f"{line[: MOST_LABEL - 1]}…"
