"""Where the fenced blocks of a reply begin and end.

CommonMark's rule (a line of three or more backticks or tildes opens; a line of at least as many closes) is
the start. Models break it in known ways: the closer is glued to the code, doubled or missing, a fence
stands in a string or a comment of the code. Those are told apart by Python's own lexical rule (a fence
line can stand inside of code only in a triple-quoted string) and, where that leaves a choice, by the split
that parses. Text in `<think>…</think>` is never looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rlm_jupyter.engine.closers import End, EndFinder, Opener, is_sentence
from rlm_jupyter.engine.syntax import SyntaxChecker

CODE_TAGS = frozenset({"repl", "python", "py", "python3", "ipython", "ipython3", "tool_code"})
"""Info strings of blocks that are run; a block without one is run if it is Python that does something."""

_THINK_END = r"(?:(?<=</think>)|(?<=</thinking>))"
_OUTSIDE = re.compile(
    rf"""
      (?:^|{_THINK_END})
        (?P<prefix>[ \t]*(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]+)*)
        (?:(?P<fence>`{{3,}}(?=[^`\n]*$)|~{{3,}})(?P<info>[^\n]*)$ | (?P<tag><code>)[ \t]*\r?$)
    | (?:^|{_THINK_END})[ \t]*(?P<think><think(?:ing)?>)
    | ^(?P<lead>[^`\n]*[^`\s][ \t]?)(?P<glued>```)(?P<gluedtag>repl|python|py)[ \t]*\r?$
    | (?P<unthink>^[ \t]*</think(?:ing)?>|</think(?:ing)?>(?=[ \t]*\r?$))
    """,
    re.MULTILINE | re.VERBOSE,
)
_OUTPUT = re.compile(r"(?i)^[\W_]*(?:expected |sample |example |the )?(?:output|stdout|result)s?\W*$")
_ATTRIBUTE = re.compile(
    r"(?i)(?:caption|class|echo|eval|exec|file|filename|highlight|hl_lines|id|label|lines?|linenos|linenums|name|run"
    r"|start|startline|title)="
)
_THINK_CLOSE = re.compile(r"</think(?:ing)?>")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: `code` to run; `other` is of another language or no code; `blank` is empty; `cut` ended with
            the reply; `broken` has no closer and is no Python.
        code: what stands between the fences, the indentation of a list removed.
        tag: the first word of the info string, lower case.
        line: of the opening fence, counted from 1.
        note: what was mended, for a notice; or why it is broken.
    """

    kind: Literal["code", "other", "blank", "cut", "broken"]
    code: str
    tag: str
    line: int
    note: str = ""


@dataclass(frozen=True)
class Scan:
    """A reply, taken apart: its blocks in order, and the text outside of them."""

    blocks: tuple[Block, ...]
    prose: str
    thinking: str
    thinking_unclosed: bool


def scan(text: str, *, cut: bool, checker: SyntaxChecker | None = None) -> Scan:
    """Take a reply apart.

    Args:
        text: the reply.
        cut: whether it ended before the model did, so that an unclosed block is not to be trusted.
        checker: asks the parser; its budget bounds the time.
    """
    return _Scanner(text, cut, checker or SyntaxChecker()).scan()


class _Scanner:
    def __init__(self, text: str, cut: bool, checker: SyntaxChecker) -> None:
        self.text = text
        self.cut = cut
        self.checker = checker
        self.blocks: list[Block] = []
        self.prose: list[str] = []
        self.thinking: list[str] = []
        self.closed_at = -1
        self.ends = EndFinder(text, cut, checker)
        self.line_at = (0, 1)

    def scan(self) -> Scan:
        """Walk over the text outside of blocks, from one opening fence or tag to the next."""
        pos, unclosed = 0, False
        while match := _OUTSIDE.search(self.text, pos):
            self.prose.append(self.text[pos : match.start()])
            if match["think"]:
                close = _THINK_CLOSE.search(self.text, match.end())
                unclosed = close is None
                self.thinking.append(self.text[match.end() : close.start() if close else len(self.text)])
                pos = close.end() if close else len(self.text)
            elif match["unthink"]:
                pos = self._all_was_thinking(match.end(), upto=match.start())
            else:
                count = len(self.blocks)
                pos = self._block(match)
                if len(self.blocks) > count:
                    self.closed_at = pos
                if self.blocks and self.blocks[-1].kind in ("cut", "broken"):
                    break
        else:
            self.prose.append(self.text[pos:])
        return Scan(tuple(self.blocks), "\n".join(self.prose), "\n".join(self.thinking), unclosed)

    def _all_was_thinking(self, resume: int, upto: int) -> int:
        """Take what came before a lone `</think>` as thinking: its opening tag was in the prompt."""
        self.blocks.clear()
        self.prose.clear()
        self.thinking = [self.text[:upto]]
        return resume

    def _block(self, match: re.Match[str]) -> int:
        """Read the block that a fence opens; returns where to read on."""
        opener = _opener(match, self.text, self.checker)
        if opener is None:  # backticks at the start of a sentence
            self.prose.append(match[0])
            return match.end()
        if opener.tag and opener.tag not in CODE_TAGS:
            return self._other(opener)
        end = self.ends.find(opener)
        if end.how == "thinking":
            return self._all_was_thinking(end.resume, upto=end.code)
        code = self.ends.code(opener, end)
        if match["glued"] and not (end.how in ("closed", "glued") and self.checker.parses(code)):
            self.prose.append(match[0])
            return match.end()
        if match["glued"]:
            self.prose.append(match["lead"])
        if not opener.tag:
            return self._bare(opener, end, code)
        return self._tagged(opener, end, code)

    def _tagged(self, opener: Opener, end: End, code: str) -> int:
        if end.how in ("unclosed", "broken") and code.strip():
            cut = end.how == "unclosed"
            self._add("cut" if cut else "broken", opener, code, end.note)
        elif not code.strip():
            self._add("cut" if end.how == "unclosed" else "blank", opener, code)
        else:
            self._add("code", opener, code, end.note)
        return end.resume

    def _bare(self, opener: Opener, end: End, code: str) -> int:
        """Read a block without an info string: code if it is Python that does something.

        It may also be a closing fence too many, and then opens nothing.
        """
        if end.how == "unclosed" and self.cut:
            if code.strip():
                self._add("cut", opener, code)
            return end.resume
        imagined = self.closed_at >= 0 and self._follows_output(opener)
        if end.how not in ("unclosed", "broken") and not imagined and self.checker.does_something(code):
            self._add("code", opener, code, end.note)
            return end.resume
        closer = self.ends.closer(opener)
        doubled = self.closed_at >= 0 and not self.text[self.closed_at : opener.at].strip()
        if closer is None or doubled or not self.text[opener.start : end.code].strip():
            return opener.start
        inner = self.text[opener.start : closer[0]]
        self._add("other", opener, inner, self.checker.error or "")
        return closer[1]

    def _follows_output(self, opener: Opener) -> bool:
        """Tell whether the line before says that this is output, which a model made up for the code above it."""
        before = self.text[max(self.closed_at, opener.at - 200) : opener.at].rstrip()
        return _OUTPUT.match(before[before.rfind("\n") + 1 :]) is not None

    def _other(self, opener: Opener) -> int:
        closer = self.ends.closer(opener)
        end = closer[0] if closer else len(self.text)
        self._add("other", opener, self.text[opener.start : end])
        return closer[1] if closer else end

    def _add(
        self,
        kind: Literal["code", "other", "blank", "cut", "broken"],
        opener: Opener,
        code: str,
        note: str = "",
    ) -> None:
        at, line = self.line_at
        line += self.text.count("\n", at, opener.at)
        self.line_at = (opener.at, line)
        self.blocks.append(Block(kind, code, opener.tag, line, note))


def _opener(match: re.Match[str], text: str, checker: SyntaxChecker) -> Opener | None:
    start = min(match.end() + 1, len(text))
    if match["glued"]:
        return Opener(match.start("glued"), start, "", "```", match["gluedtag"])
    if match["tag"]:
        return Opener(match.start(), start, match["prefix"], "```", "python")
    info = match["info"].strip()
    tag, _, rest = info.partition(" ")
    if tag.lower() in CODE_TAGS and _is_first_line(rest.strip(), checker):
        start = match.start("info") + match["info"].index(rest.strip(), match["info"].index(tag) + len(tag))
        return Opener(match.start(), start, match["prefix"], match["fence"], tag)
    if is_sentence(info):
        return None
    return Opener(match.start(), start, match["prefix"], match["fence"], info)


def _is_first_line(text: str, checker: SyntaxChecker) -> bool:
    """Tell whether what follows the language in an info string is code, and no attribute such as `title="x"`."""
    if not text or _ATTRIBUTE.match(text):
        return False
    return checker.does_something(text) or (text.endswith(":") and checker.parses(f"{text}\n pass"))
