"""How things look in the viewer: the sixteen colours that each terminal has, as its user chose them.

No colour alone says anything: a mark or a word stands beside it.
"""

from __future__ import annotations

from typing import Final

from rich.style import Style

MARKS: Final = {"running": "●", "done": "✓", "failed": "✗", "stopped": "■", "limit": "!"}
"""Of the states of a run and an agent."""

STYLES: Final = {
    "": Style(),
    "title": Style(bold=True),
    "heading": Style(color="cyan", bold=True),
    "small": Style(dim=True),
    "code": Style(color="blue"),
    "output": Style(),
    "value": Style(color="green"),
    "error": Style(color="red"),
    "note": Style(color="yellow"),
    "found": Style(reverse=True, bold=True),
    "cursor": Style(reverse=True),
    "selected": Style(bold=True, underline=True),
    "running": Style(color="cyan", bold=True),
    "done": Style(color="green"),
    "failed": Style(color="red", bold=True),
    "stopped": Style(color="yellow"),
    "limit": Style(color="yellow"),
    "model": Style(color="magenta"),
    "wait": Style(dim=True),
}


def style(name: str) -> Style:
    """Returns a style by its name; of a state that this version does not know, a plain one."""
    return STYLES.get(name, STYLES[""])
