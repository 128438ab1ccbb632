"""Text of models, code and data, made fit to be looked at: nothing hidden, nothing obeyed, nothing endless.

All views pass all text through here. What a terminal or a browser would obey (escape sequences, bidirectional
controls) is removed or shown as a visible sign, so that what is read is what was written.
"""

from __future__ import annotations

import re

from rlm_jupyter.text.shorten import cut_end

# CSI, OSC and string sequences only when they are terminated: else they would swallow the rest of the text.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90-\x9f\n]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_SUSPICIOUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINES = {"\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"}
_BITS = 4000
"""Of a whole number that is written out: Python refuses at some 4,300 digits, for the time that it takes."""
_FIRST_VISIBLE = 0x20
_DELETE = 0x7F
_SURROGATES = range(0xD800, 0xE000)


def _visible(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _LINES:
        return "\n"
    if code < _FIRST_VISIBLE:
        return chr(0x2400 + code)  # the Unicode block of control pictures: ␀, ␇, ␛
    if code == _DELETE:
        return "\u2421"
    if code in _SURROGATES:  # half a character: no message could carry it
        return "\ufffd"
    return f"\u27e8U+{code:04X}\u27e9"  # a bidirectional or invisible control, by its number


def clean(text: object, limit: int | None = None) -> str:
    r"""Make text fit to be shown.

    Terminal escape sequences are removed; other control characters, bidirectional controls, invisible
    characters and lone surrogates become visible signs; all line ends become ``\n``.

    Args:
        text: anything; what is not a string is shown by its type's name, as its own `str` could run code.
        limit: the most characters that are kept, an ellipsis included.
    """
    if not isinstance(text, str):
        text = _number(text) if isinstance(text, (int, float, type(None))) else f"<{type(text).__name__}>"
    if limit is not None and len(text) > 4 * limit:
        text = text[: 4 * limit]  # bounds the work below; sequences shrink, so there is enough left
    if not text.isascii() or _SUSPICIOUS.search(text):
        text = _SUSPICIOUS.sub(_visible, _SEQUENCES.sub("", text).replace("\r\n", "\n"))
    return text if limit is None else cut_end(text, limit)


def _number(value: object) -> str:
    """Returns a number with all of its digits, if Python writes as many."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"<int of about {value.bit_length() * 30103 // 100000:,} digits>"
    return str(value)


def one_line(text: object, limit: int = 200) -> str:
    """Clean text and put it on one line of at most `limit` characters."""
    return cut_end(" ".join(clean(text, 4 * limit).split()), limit)


def omitted(text: str, limit: int) -> int:
    """Returns how many characters `head_tail` leaves out of a text."""
    return max(0, len(text) - max(limit, limit * 2 // 3 + 1))


def head_tail(text: str, limit: int) -> str:
    """Cleans text and keeps about `limit` characters: its beginning, its end, and how many were left out."""
    if len(text) <= limit:
        return clean(text)
    head = limit * 2 // 3
    tail = max(1, limit - head)
    cut = len(text) - head - tail
    return f"{clean(text[:head])}\n… {cut:,} characters left out …\n{clean(text[-tail:])}"
