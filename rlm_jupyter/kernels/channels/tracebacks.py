"""IPython's tracebacks made fit for a model: no colours, and only the frames of the agent's own cells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlm_jupyter.kernels.channels.bounded_text import strip_ansi
from rlm_jupyter.text.shorten import CutText, cut_middle

LONGEST = 12_000
"""Characters of a whole traceback."""

_OWN = re.compile(r"\s*(Cell In|Input In|<ipython-input)")
_FOREIGN = re.compile(r"\s*File (?!<string>)")
_ARROW = re.compile(r"-{1,8}> \d{1,9} (.*)")
_RULE = re.compile(r"^-{20,}$")


def clean_traceback(entries: Sequence[str]) -> CutText:
    """Join the entries of an `error` message or an execute reply.

    Kernels of ours render their errors themselves (`guest.ipykernel_hooks.cell_tracebacks`). In what IPython rendered,
    frames of libraries are left out, with one line that tells how many they were: they cost a model's attention and
    show paths of the user's machine. A very long text keeps its two ends.
    """
    kept: list[str] = []
    foreign = 0
    for raw in entries:
        entry = strip_ansi(str(raw)).rstrip("\n")
        if _RULE.match(entry):
            continue
        if _FOREIGN.match(entry) and not _OWN.match(entry) and "Error:" not in entry.rsplit("\n", 1)[-1]:
            foreign += 1
            continue
        if foreign:
            kept.append(_left_out(foreign))
            foreign = 0
        kept.append(entry)
    if foreign:
        kept.append(_left_out(foreign))
    return cut_middle("\n".join(line for line in kept if line.strip()), LONGEST)


def failing_lines(traceback: str) -> list[str]:
    """Returns the lines of the agent's code that a traceback points at, the innermost first."""
    found = (_ARROW.fullmatch(line) for line in traceback.split("\n"))
    return [match[1].strip() for match in found if match][::-1]


def _left_out(count: int) -> str:
    return f"[{count} frame{'s' * (count > 1)} of libraries left out]"
