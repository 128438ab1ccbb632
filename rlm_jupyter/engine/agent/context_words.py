"""What agents are told of the functions on the data, where the setting `context_functions` says so.

The default prompt has not a word of them: a strong model writes the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent.bash_words import BASH_WORDS
from rlm_jupyter.tools.skills.skill import skills_prompt

if TYPE_CHECKING:
    from rlm_jupyter.settings import Settings
    from rlm_jupyter.tools.skills.skill import Skill

CONTEXT_WORDS = """\
grep(text, pattern, most=50, ignore_case=False)
    Lines that match: a list of (start, end, line), text[start:end] == line. Of a list or dict: (key, start, end, line).
chunks(text, size=50_000, overlap=0, by="lines")
    Parts that cover it, by "lines", "paragraphs", "headings" or "characters": a list of (start, end, part).
find_lines(text, words, most=8)
    The lines in which the rarest words of a question stand, the best first.
peek(value, start=0, size=2000), describe(value)
    Print a part of a text with its place; print what a value is.
parse_lines(text), other_lines(text)
    A DataFrame of the lines that share one form (JSON, delimited, logs); the lines that do not."""
"""Signatures of the functions, with a line each."""


def offered_text(tools: str | None, settings: Settings, skills: Mapping[str, Skill]) -> str | None:
    """Returns what agents are told that they can call: tools, functions on the data, skills; None for nothing.

    Args:
        tools: of the agent, as it is shown them.
        settings: of the run.
        skills: of the run, by name.
    """
    functions = CONTEXT_WORDS if settings.context_functions else None
    scripts = BASH_WORDS if settings.bash else None
    return "\n".join(part for part in (tools, functions, scripts, skills_prompt(skills)) if part) or None
