"""Lines of text cut to the width of a terminal, in cells: a wide character takes two of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, get_character_cell_size

_TAB = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, in one style.

    Attributes:
        text: clean, of one line.
        style: the name of a style.
        margin: stands before the line, and before all rows of it.
        turn: the turn that begins here; 0 if none does.
    """

    text: str
    style: str = ""
    margin: str = ""
    turn: int = 0


def wrapped(line: Line, width: int) -> Iterator[str]:
    """Yields the rows of a line, each at most `width` cells wide, margin included; at least one."""
    text = line.text.expandtabs(_TAB)
    room = width - cell_len(line.margin)
    if room < 2:  # noqa: PLR2004 - a wide character takes two cells
        yield fitted(line.margin + text, width)
        return
    while True:
        end = _end(text, room)
        yield line.margin + text[:end].rstrip() if end < len(text) else line.margin + text
        text = text[end:]
        if not text:
            return


def _end(text: str, room: int) -> int:
    """Returns how many characters fit, up to the last space in the second half of the room if more follow."""
    if text.isascii():
        fits = room
    else:
        fits, left = 0, room
        while fits < len(text) and (left := left - get_character_cell_size(text[fits])) >= 0:
            fits += 1
    if fits >= len(text):
        return len(text)
    space = text.rfind(" ", fits // 2, fits + 1) + 1
    return space or max(1, fits)


def fitted(text: str, width: int) -> str:
    """Returns a text in at most `width` cells, an ellipsis included."""
    text = text.expandtabs(_TAB)
    if len(text) <= width and cell_len(text) <= width:
        return text
    end, left = 0, width - 1
    while end < len(text) and (left := left - get_character_cell_size(text[end])) >= 0:
        end += 1
    return text[:end] + "…" if width > 0 else ""
