"""Hints at the functions on the data that each kernel knows, where code calls what does not exist for the same end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.engine.error_hints.failure import Failure

_GREP = "Write `grep({name}, r'pattern')`: a list of (start, end, line)."
_CHUNKS = "Write `chunks({name}, 50_000, by='lines')`: a list of (start, end, part)."
_PEEK = "Write `peek({name}, 0, 2000)`, which prints a part of a text."
_HINTS = {
    **dict.fromkeys(("grep", "grep_text", "grep_context", "search_text", "search_context"), _GREP),
    **dict.fromkeys(
        (
            "chunk",
            "chunks",
            "chunk_text",
            "chunk_context",
            "split_text",
            "text_chunks",
            "get_chunks",
            "iter_chunks",
        ),
        _CHUNKS,
    ),
    **dict.fromkeys(("peek", "peek_context", "peek_text"), _PEEK),
    **dict.fromkeys(
        ("find_lines", "search_lines"),
        "Write `find_lines({name}, 'words of the question')`, the best lines first.",
    ),
}
"""Names that other harnesses offer, and the function that does the same here."""
_UNBOUND = r"name '(\w{1,60})' is not defined"
_OF_TEXT = r"'(?:str|list|dict)' object has no attribute '(\w{1,60})'"


def context_function(failure: Failure, _sample: int) -> str | None:
    """Returns a hint at a function that is called by a name of another harness, or as a method of the data."""
    found = failure.search(_UNBOUND if failure.name == "NameError" else _OF_TEXT)
    hint = _HINTS.get(found[1]) if found is not None else None
    if found is None or hint is None:
        return None
    if failure.name == "NameError" and not re.search(rf"\b{found[1]}[ \t]*\(", failure.code):
        return None  # a variable that was forgotten
    return hint.format(name=next(iter(failure.data_names), "context"))
