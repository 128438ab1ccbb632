"""An agent's attempts: what was run and what came of it, so that the same failure is not made again."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from rlm_jupyter.engine.reply.python_syntax import parsed

_ASKS = frozenset(
    (
        "llm_query",
        "rlm_query",
        "llm_query_batched",
        "rlm_query_batched",
        "llm_batch",
        "llm_query_batch",
        "budget",
    )
)
"""Calls whose result may be another one the next time."""


@dataclass(frozen=True)
class Attempt:
    """One turn whose code ran.

    Attributes:
        code: what tells it from other code: its syntax tree, or its text.
        start: the place of its reply in the chat; None if it left that.
        failure: the error that ended it, such as ``ValueError: ...``; empty if it ran to its end.
        line: the line that failed.
        hint: what was said of the error; may be empty.
        shown: the expression whose value it showed at its end; None for none.
        repeatable: whether it may give something else the next time.
    """

    code: str
    start: int | None
    failure: str = ""
    line: str = ""
    hint: str = ""
    shown: str | None = None
    repeatable: bool = False


class Attempts:
    """What an agent ran since its variables last changed, and what failed the same way."""

    def __init__(self) -> None:
        self._done: list[Attempt] = []

    def add(self, attempt: Attempt) -> None:
        """Remember a turn whose code ran."""
        self._done.append(attempt)

    def any(self) -> bool:
        """Returns whether any code of a reply has run."""
        return bool(self._done)

    def clear(self) -> None:
        """Forget all: the chat is another one, or the kernel is."""
        self._done.clear()

    def same_code(self, code: str) -> Attempt | None:
        """Returns the attempt that this code would only repeat; None if something may come of it.

        It failed, and nothing has run to its end since; or it ran to its end in the turn before.
        """
        key = key_of(code)
        for place, attempt in enumerate(reversed(self._done)):
            if not attempt.failure:
                return attempt if place == 0 and attempt.code == key and not attempt.repeatable else None
            if attempt.code == key:
                return attempt
        return None

    def same_failure(self, failure: str) -> Attempt | None:
        """Returns the attempt of the newest ones, all of which failed, that failed the same way."""
        for attempt in reversed(self._done):
            if not attempt.failure:
                return None
            if attempt.failure == failure:
                return attempt
        return None

    def drop_newest(self, failure: str) -> int | None:
        """Take the newest attempt out of the chat, as one that failed after all; returns where it stood."""
        if not self._done:
            return None
        newest = self._done[-1]
        self._done[-1] = replace(newest, start=None, failure=failure)
        return newest.start

    def drop_failed(self) -> int | None:
        """Take the newest attempts that failed out of the chat; returns where the first of them stood, None for none.

        What failed is still known.
        """
        start = None
        for place in range(len(self._done) - 1, -1, -1):
            attempt = self._done[place]
            if not attempt.failure:
                break
            start = attempt.start if attempt.start is not None else start
            self._done[place] = replace(attempt, start=None)
        return start


def key_of(code: str) -> str:
    """Returns what two texts of the same code have in common."""
    tree = parsed(code)
    return code.strip() if tree is None else ast.dump(tree)


def may_differ(code: str) -> bool:
    """Returns whether the same code may give something else when it runs again, because it asks somebody."""
    tree = parsed(code)
    return tree is None or any(
        isinstance(node, ast.Await) or (isinstance(node, ast.Name) and node.id in _ASKS)
        for node in ast.walk(tree)
    )
