"""Answers of plain completions as a table in code: prompt → answers, in the order in which they were given."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rlm_jupyter.answer_code.history import Completion
from rlm_jupyter.answer_code.rewriting import Names
from rlm_jupyter.answer_code.slicing import NoCodeError

_MOST = 2_000_000
"""Characters of recorded prompts and answers that code may hold."""


def recorded_table(completions: Iterable[Completion], names: Names) -> str:
    """Returns the table as source.

    Raises:
        NoCodeError: it is too large for code.
    """
    table: dict[str, list[str]] = {}
    for one in completions:
        table.setdefault(one.prompt, []).append(answer_text(one, names))
    size = sum(len(prompt) + sum(map(len, answers)) for prompt, answers in table.items())
    if size > _MOST:
        raise NoCodeError(
            f"It rests on recorded answers to {len(table):,} prompts with {size:,} characters, which is too much for "
            f"code; the most is {_MOST:,}."
        )
    rows = []
    for prompt, answers in table.items():
        distinct = answers if len(set(answers)) > 1 else answers[:1]
        rows.append(f"    {prompt!r}: [{', '.join(distinct)}],")
    return "\n".join(["RECORDED = {", *rows, "}"])


def answer_text(one: Completion, names: Names) -> str:
    """Returns a recorded answer as a literal."""
    if one.error is not None:
        return f"{names('QueryFailed')}({one.error!r})"
    return repr(_json(one.text)) if one.typed else repr(one.text)


def _json(text: str) -> object:
    """Read the JSON in a reply; the text itself if there is none."""
    tries = [text.strip()]
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            tries.append(text[start : end + 1])
    for part in tries:
        try:
            return json.loads(part)
        except (ValueError, RecursionError):
            continue
    return text
