"""Where the code of a fenced block ends, whatever became of its closing fence."""

from __future__ import annotations

import keyword
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rlm_jupyter.engine.reply.ipython_lines import is_cell_magic
from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker, lexemes
from rlm_jupyter.engine.reply.thinking import is_closing

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKED = r"(?:</|<\||<unused9|◁|\[/)"
_CLOSER = re.compile(rf"^[ \t]*(`{{3,}}|~{{3,}})(?:[ \t]*\r?$|(?=[ \t]*{_MARKED}))", re.MULTILINE)
_MARK = re.compile(_MARKED)
_TAG = re.compile(r"\{?\.?([\w+#.-]*)")
_CUT_CLOSER = re.compile(r"[ \t]*(?:`{1,2}|~{1,2})[ \t]*\r?\n?\Z")
_MAX_TRIES = 6
_MAX_READ = 4
_GLUED = "Its closing fence was glued to the code."


@dataclass(frozen=True)
class Opener:
    """An opening fence: where its line begins, where its code begins, what must be removed and close it."""

    at: int
    start: int
    prefix: str
    fence: str
    info: str

    @property
    def tag(self) -> str:
        """The first word of the info string, lower case; "" where there is none."""
        match = _TAG.match(self.info)
        return match[1].lower() if match else ""


@dataclass(frozen=True)
class End:
    """The end of a block: of its code, and where to read on."""

    code: int
    resume: int
    how: Literal["closed", "glued", "missing", "unclosed", "broken", "thinking"]
    note: str = ""
    weak: bool = False


class EndFinder:
    """Finds the ends of blocks in one reply.

    Args:
        text: the reply.
        cut: whether it ended before the model did.
        checker: asks the parser; its budget bounds the time.
    """

    def __init__(self, text: str, cut: bool, checker: SyntaxChecker) -> None:
        self.text = text
        self.cut = cut
        self.checker = checker
        self._lexed = 0
        self._closers = [(match.start(), match.end(), match[1]) for match in _CLOSER.finditer(text)]
        self._by_fence: dict[str, list[tuple[int, int]]] = {}

    def code(self, opener: Opener, end: End) -> str:
        """Cut the code out, byte for byte but for what belongs to the fence: list indentation and CRLF."""
        code = self.text[opener.start : end.code]
        if end.how != "glued" and code.endswith("\n"):  # the line end before the closing fence is the fence's
            code = code[:-2] if code.endswith("\r\n") else code[:-1]
        if self.text.startswith("\r\n", opener.start - 2):
            code = code.replace("\r\n", "\n")  # to Python the same; to a magic's arguments it is not
        return _undent(code, opener.prefix)

    def closer(self, opener: Opener) -> tuple[int, int] | None:
        """Find CommonMark's closing fence: the first line of enough of the same character."""
        found = self._by_fence.get(opener.fence)
        if found is None:
            found = [(at, end) for at, end, fence in self._closers if fence.startswith(opener.fence)]
            self._by_fence[opener.fence] = found
        index = bisect_left(found, (opener.start, 0))
        return found[index] if index < len(found) else None

    def find(self, opener: Opener) -> End:
        """Find where code ends: at the first fence outside of strings, if the code up to it parses."""
        plain = self.closer(opener)
        magic = is_cell_magic(self.text[opener.start : opener.start + 200])
        if (magic and plain) or self._lexed > _MAX_READ * len(self.text):
            return End(*plain, "closed") if plain else self._unread()
        weak: list[End] = []
        tries = 0
        for end in self._candidates(opener):
            if end.weak:
                weak.append(end)
            elif end.how == "missing":
                return self._at_opener(opener, end, weak, plain)
            else:
                if end.how == "thinking" or self._is_end(opener, end, plain, bool(weak)):
                    return end
                if end.how == "closed" and (better := self._first_that_parses(opener, weak)):
                    return better
                if plain and end.code == plain[0]:
                    return end
                tries += 1
                if tries == _MAX_TRIES:
                    break
        return self._first_that_parses(opener, weak) or self._at_end(opener, plain)

    def _unread(self) -> End:
        """End code in a text that was read often enough, and in which no fence closes it."""
        size = len(self.text)
        return End(size, size, "unclosed" if self.cut else "broken", "it is too long to be checked")

    def _is_end(self, opener: Opener, end: End, plain: tuple[int, int] | None, doubted: bool) -> bool:
        """Returns whether a closing fence is the one: the parser is asked only where there is a choice."""
        undisputed = plain is not None and end.how == "closed" and end.code == plain[0] and not doubted
        return undisputed or self._parses(opener, end)

    def _candidates(self, opener: Opener) -> Iterator[End]:
        """Yields the places where the code may end, none of them inside of a string."""
        read = opener.start
        for match in lexemes(self.text, opener.start):
            self._lexed += match.end() - read
            read = match.end()
            at, end, what = match.start(), match.end(), match[0].strip()
            if match.lastgroup == "tag":
                yield End(at, end, "thinking" if is_closing(what) else "closed")
            elif match.lastgroup == "glued":
                yield End(at, end, "glued", _GLUED)
            elif match.lastgroup == "comment" and what.endswith("```"):
                yield End(at + match[0].rstrip().rfind("```"), end, "glued", _GLUED, weak=True)
            elif match.lastgroup == "fence":
                yield from _fence_candidate(opener, match)
        self._lexed += len(self.text) - read

    def _parses(self, opener: Opener, end: End) -> bool:
        return self.checker.parses(self.code(opener, end))

    def _first_that_parses(self, opener: Opener, ends: list[End]) -> End | None:
        return next((end for end in ends[:_MAX_TRIES] if self._parses(opener, end)), None)

    def _at_opener(self, opener: Opener, end: End, weak: list[End], plain: tuple[int, int] | None) -> End:
        """End code whose closing fence is missing, and which another opening fence follows."""
        better = self._first_that_parses(opener, weak)
        if better or not self.text[opener.start : end.code].strip():
            return better or end
        missing = self._without_closer(opener, end.code)
        if missing:
            return missing
        if plain and plain[0] < end.code:
            return End(*plain, "closed")
        return End(end.code, end.resume, "broken", self.checker.error or "")

    def _at_end(self, opener: Opener, plain: tuple[int, int] | None) -> End:
        """End code that no fence outside of a string closes."""
        size = len(self.text)
        self._lexed += size - opener.start
        if self.cut:
            return End(size, size, "unclosed")
        missing = self._without_closer(opener, size, trim=plain is None)
        if missing:
            return missing
        if plain:
            return End(*plain, "closed")
        if not self.text[opener.start :].strip():
            return End(size, size, "missing")
        return End(size, size, "broken", self.checker.error or "")

    def _without_closer(self, opener: Opener, stop: int, *, trim: bool = True) -> End | None:
        """Take the code up to `stop`, without sentences at its end, if it parses."""
        note = "Its closing fence was missing."
        last = max(opener.start, self.text.rfind("\n", opener.start, stop - 1) + 1)
        cut_closer = _CUT_CLOSER.match(self.text[last:stop])
        whole = End(last if cut_closer else stop, stop, "missing", note)
        if self._parses(opener, whole):
            return whole
        reason = self.checker.error
        body = self.text[opener.start : whole.code]
        for _ in range(_MAX_TRIES if trim else 0):
            body = body.rstrip()
            gap = max(body.rfind("\n\n"), body.rfind("\n\r\n"))
            if gap < 0 or not all(is_sentence(line) for line in body[gap:].split("\n") if line.strip()):
                break
            body = body[: gap + 1]
            end = End(opener.start + len(body), stop, "missing", note)
            if self._parses(opener, end):
                return end
        self.checker.error = reason
        return None


def _fence_candidate(opener: Opener, match: re.Match[str]) -> Iterator[End]:
    """Read a fence line in the midst of code: a closer, one of another length, or the next opener."""
    line = match[0].strip()
    fence = line[: len(line) - len(line.lstrip(line[0]))]
    info = line[len(fence) :].strip()
    if line[0] == "~" != opener.fence[0]:
        return  # in Python `~~~x` is an expression
    if fence.startswith(opener.fence) and (not info or is_sentence(info) or is_marked(info)):
        resume = match.start() + match[0].index(fence) + len(fence) if info else match.end()
        yield End(match.start(), resume, "closed")
    elif not info:
        yield End(match.start(), match.end(), "closed", weak=True)
    elif "`" not in info:
        yield End(match.start(), match.start(), "missing")


def is_marked(text: str) -> bool:
    """Return whether a mark of thoughts, a closing tag or a token of a template stands at the start of a text."""
    return _MARK.match(text) is not None


def is_sentence(text: str) -> bool:
    """Returns whether a line is English rather than Python: three bare words, the first no keyword."""
    words = re.match(
        r"\W{0,4}(?:\d+[.)]\s+)?([A-Za-z][A-Za-z']*),?\s+[A-Za-z][A-Za-z']*,?\s+[A-Za-z][A-Za-z']*\b", text
    )
    return words is not None and not keyword.iskeyword(words[1]) and words[1] != "match"


def _undent(code: str, prefix: str) -> str:
    """Remove a list's indentation from each line, as far as the line has it.

    Where the first line of code has none, the opening fence alone was indented, and nothing is removed.
    """
    if not prefix:
        return code
    lines = code.split("\n")
    blank = " " * len(prefix)
    leading = prefix if not prefix.strip() else blank
    first = next((line for line in lines if line.strip()), "")
    if not first.startswith(leading):
        leading = blank = first[: len(first) - len(first.lstrip(" "))][: len(prefix)]
    return "\n".join(_strip_prefix(line, leading) for line in lines)


def _strip_prefix(line: str, leading: str) -> str:
    if line.startswith(leading):
        return line[len(leading) :]
    spaces = len(line) - len(line.lstrip(" "))
    return line[min(spaces, len(leading)) :]
