"""A text as a reader expects it from a language model: paragraphs, lists, bold, code; a small part of Markdown.

What is no mark of these stays text as it is written: links, images and HTML are never more than characters. Each
character is looked at a bounded number of times, whatever the text is.
"""

from __future__ import annotations

import re

from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.views.card_protocol import StyledText, TextBlock

MAX_BLOCKS = 300
_STYLED = 400
_DEEPEST = 4
_INDENT = 2
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^`]{0,60}$")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_ITEM = re.compile(r"([ \t]{0,20})(?:[-*+•]|(\d{1,6})[.)])[ \t]+(.*)")
_QUOTE = re.compile(r" {0,3}> ?(.*)")
_TABLE = re.compile(r" {0,3}\|.*\|[ \t]*$")
_INLINE = re.compile(
    r"(?P<ticks>`{1,3})(?P<code>[^`\n]{1,400})(?P=ticks)"
    r"|\*\*(?P<strong>[^\s*](?:[^*\n]{0,400}[^\s*])?)\*\*"
    r"|(?<![\w*])\*(?P<emphasis>[^\s*](?:[^*\n]{0,400}[^\s*])?)\*(?![\w*])"
)


def blocks(text: str, *, limit: int) -> list[TextBlock]:
    """Cut a text into its blocks.

    Args:
        text: of a model or from data.
        limit: characters that are looked at; the caller tells of the rest.
    """
    reading = _Blocks()
    for line in clean(text[:limit]).split("\n"):
        if len(reading.found) >= MAX_BLOCKS:
            break
        reading.line(line)
    reading.end()
    return reading.found


def styled(text: str) -> list[StyledText]:
    """Cut a text into stretches of one style."""
    made: list[StyledText] = []
    at = 0
    for match in _INLINE.finditer(text):
        if len(made) >= _STYLED:
            break
        if match.start() > at:
            made.append(("", text[at : match.start()]))
        if match["code"] is not None:
            made.append(("code", match["code"]))
        elif match["strong"] is not None:
            made.append(("strong", match["strong"]))
        else:
            made.append(("emphasis", match["emphasis"]))
        at = match.end()
    if at < len(text):
        made.append(("", text[at:]))
    return made


class _Blocks:
    """Takes a text line by line."""

    def __init__(self) -> None:
        self.found: list[TextBlock] = []
        self._open: list[str] = []
        self._kind: tuple[str, int, int | None] = ("paragraph", 0, None)
        self._fence = ""

    def line(self, line: str) -> None:
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence[1].startswith(self._fence) and line.strip() == fence[1]:
                self.end()
            else:
                self._open.append(line)
        elif fence:
            self._start("code")
            self._fence = fence[1]
        elif not line.strip():
            self.end()
        elif heading := _HEADING.match(line):
            self._start("heading", len(heading[1]))
            self._open.append(heading[2].rstrip("# "))
            self.end()
        elif item := _ITEM.match(line):
            deep = min(len(item[1].expandtabs(4)) // _INDENT, _DEEPEST)
            self._start("item", deep, int(item[2]) if item[2] else None)
            self._open.append(item[3])
        elif _TABLE.match(line):
            self._go_on("code", line)
        elif quote := _QUOTE.match(line):
            self._go_on("quote", quote[1])
        elif self._kind[0] in ("code", "quote"):
            self._start("paragraph")
            self._open.append(line)
        else:
            self._open.append(line.strip() if self._kind[0] == "item" else line)

    def _go_on(self, kind: str, text: str) -> None:
        if self._kind[0] != kind:
            self._start(kind)
        self._open.append(text)

    def _start(self, kind: str, level: int = 0, number: int | None = None) -> None:
        self.end()
        self._kind = (kind, level, number)

    def end(self) -> None:
        """End the block that is open."""
        kind, level, number = self._kind
        text = "\n".join(self._open)
        if text.strip() or (kind == "code" and self._fence):
            stretches: list[StyledText] = [("", text)] if kind == "code" else styled(text)
            self.found.append({"kind": kind, "text": stretches, "level": level, "number": number})  # type: ignore[typeddict-item]  # one of the fixed words
        self._open, self._kind, self._fence = [], ("paragraph", 0, None), ""
