"""Texts made shorter: their ends with the count of what was between, or their beginning with an ellipsis.

For the notebook's process; what travels into kernels has the same in `values.describe.short_text`. A view's own cut
(`sanitize.head_tail`) has other words on purpose: what a page does not show, the model may well have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

CUT_END = " characters cut ...]"
CUT_NOTICE = r"\[\.\.\. [\d,]{1,20} characters cut \.\.\.\]"
"""A pattern of what `cut_notice` writes: only the redactor looks for it, to take more out beside it."""


def cut_notice(count: int) -> str:
    """Returns what a model reads where characters were cut: `[... 1,234 characters cut ...]`."""
    return f"[... {count:,} characters cut ...]"


@dataclass(frozen=True)
class CutText:
    """A text that may have been cut in its middle; where, is known by its parts and never read out of the text.

    Attributes:
        head: the beginning, or the whole if nothing was cut.
        cut: characters that are missing between head and tail.
        tail: the end; empty if nothing was cut.
    """

    head: str = ""
    cut: int = 0
    tail: str = ""

    def __str__(self) -> str:
        """Returns both ends with the notice on a line between them."""
        return f"{self.head}\n{cut_notice(self.cut)}\n{self.tail}" if self.cut else self.head + self.tail


def cut_middle(text: str, limit: int, *, already: int = 0) -> CutText:
    """Keep the two ends of a long text.

    Args:
        text: of any length.
        limit: characters that are kept.
        already: characters that were cut out of the text before; they are counted with what is cut here.
    """
    if len(text) <= limit:
        return CutText(text)
    tail = limit // 2
    return CutText(text[: limit - tail], len(text) - limit + already, text[len(text) - tail :])


def cut_end(text: str, width: int) -> str:
    """Returns a text of at most `width` characters, an ellipsis included."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
