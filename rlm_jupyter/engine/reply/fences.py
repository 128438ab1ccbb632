"""Where the fenced blocks of a reply begin and end.

CommonMark's rule (a line of three or more backticks or tildes opens; a line of at least as many closes) is
the start. Models break it in known ways: the closer is glued to the code, doubled or missing, a fence
stands in a string or a comment of the code. Those are told apart by Python's own lexical rule (a fence
line can stand inside of code only in a triple-quoted string) and, where that leaves a choice, by the split
that parses. What a model only thought (see `thinking`) is never looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from rlm_jupyter.engine.reply.block_ends import End, EndFinder, Opener, is_marked, is_sentence
from rlm_jupyter.engine.reply.code_mends import LANGUAGE_LINE, mend_code
from rlm_jupyter.engine.reply.imitation import (
    Imitation,
    find_imitation,
    imitation_at,
    is_output_block,
    is_output_title,
)
from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker
from rlm_jupyter.engine.reply.thinking import (
    MARK,
    Thought,
    ThoughtFinder,
    closes,
    is_quoted,
    kind_of,
    mark_in,
)

CODE_TAGS = frozenset({"repl", "python", "py", "python3", "ipython", "ipython3", "tool_code"})
"""Info strings of blocks that are run; a block without one is run if it is Python that does something."""

_FENCE = r"""
      (?P<prefix>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)
        (?:(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})(?P<info>[^\n]*)$ | (?P<tag><code>)[ \t]*\r?$)
    | (?P<lead>[^`\n]*[^`\s][ \t]?)(?P<glued>```)(?P<gluedtag>repl|python|py)[ \t]*\r?$
"""
_OUTSIDE = re.compile(f"^(?:{_FENCE}) | (?P<mark>{MARK})", re.MULTILINE | re.VERBOSE | re.IGNORECASE)
_HERE = re.compile(
    _FENCE.replace(r"[^`\n]*[^`\s]", r"[^`\n]{0,300}[^`\s]"), re.MULTILINE | re.VERBOSE | re.IGNORECASE
)
"""What opens a block where a line begins, and the same where a mark has just ended."""
_BEFORE_MARK = re.compile(r"[ \t>*_#+.)\d-]*")
_REST_BLANK = re.compile(r"[ \t*]*\r?$", re.MULTILINE)
_LONGEST_LINE = 200
_ATTRIBUTE = re.compile(
    r"(?i)(?:caption|class|echo|eval|exec|file|filename|highlight|hl_lines|id|label|lines?|linenos|linenums|name|run"
    r"|start|startline|title)="
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        kind: `code` to run; `other` is of another language or no code; `blank` is empty; `cut` ended with
            the reply; `broken` has no closer and is not Python.
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
    """A reply, taken apart.

    Attributes:
        blocks: in order.
        prose: the text outside of them.
        thinking: what the model only thought.
        thinking_unclosed: whether the reply ended in it.
        imitation: where the reply begins to imitate the next message; blocks and prose from there on are left out.
        thought_end: where the last thought ends, 0 if there is none.
    """

    blocks: tuple[Block, ...]
    prose: str
    thinking: str
    thinking_unclosed: bool
    imitation: Imitation | None = None
    thought_end: int = 0


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
        self.block_starts: list[int] = []
        self.prose: list[tuple[int, str]] = []
        self.thinking: list[tuple[int, int]] = []
        self.thinking_unclosed = False
        self.closed_at = -1
        self.resumed = 0
        self.headed = False
        self.marked = 0
        self.thought_end = 0
        self.pending: tuple[int, str] | None = None  # an opening mark within a line: where, and its kind
        self.thoughts = ThoughtFinder(text)
        self.ends = EndFinder(text, cut, checker)
        self.line_at = (0, 1)

    def scan(self) -> Scan:
        """Walk over the text outside of blocks, from one opening fence or mark to the next."""
        pos = 0
        if thought := self.thoughts.before():
            pos = self._think(0, thought)
        while match := self._next(pos):
            if match.re is not _HERE and (match.re is not _OUTSIDE or match["mark"]):
                self.marked = match.end()
                pos = self._mark(match, pos)
                continue
            self._say(pos, match.start())
            count = len(self.blocks)
            pos = self._block(match)
            if len(self.blocks) > count:
                self.closed_at = pos
            if self.blocks and self.blocks[-1].kind in ("cut", "broken"):
                break
        else:
            self._say(pos, len(self.text))
        imitation = self._cut_imitation()
        prose = "\n".join(text for _, text in self.prose)
        thinking = "\n".join(self.text[start:end] for start, end in self.thinking)
        return Scan(tuple(self.blocks), prose, thinking, self.thinking_unclosed, imitation, self.thought_end)

    def _cut_imitation(self) -> Imitation | None:
        """Leave out what was written as if the code had been run; found at the end, as a thought may take code back."""
        at = self._imitation()
        if at is None:
            return None
        count = sum(start < at for start in self.block_starts)
        del self.blocks[count:], self.block_starts[count:]
        self.prose = [(start, text[: max(0, at - start)]) for start, text in self.prose if start < at]
        return imitation_at(self.text, at)

    def _imitation(self) -> int | None:
        """Find where the reply begins to imitate the next message, after a block that is run."""
        first = next(
            (
                start
                for start, block in zip(self.block_starts, self.blocks, strict=True)
                if block.kind == "code"
            ),
            None,
        )
        if first is None:
            return None
        code = {
            start for start, block in zip(self.block_starts, self.blocks, strict=True) if block.kind == "code"
        }
        found = []
        for start, text in self.prose:
            end = start + len(text)
            if start > first:
                at = find_imitation(self.text, start, end, before_code=end in code)
                if at is not None:
                    found.append(at)
                    break
        for start, block in zip(self.block_starts, self.blocks, strict=True):
            before = self.text[max(first, start - 400) : start]
            if start > first and block.kind == "other" and is_output_block(block.tag, before):
                found.append(start)
                break
        return min(found, default=None)

    def _next(self, pos: int) -> re.Match[str] | None:
        """Find the next opening fence or mark; of a fence glued to a line with a mark in it, the mark."""
        match = (_HERE.match(self.text, pos) if pos == self.resumed else None) or _OUTSIDE.search(
            self.text, pos
        )
        if match and match["glued"]:
            start = max(match.start(), self.marked)
            return mark_in(self.text, start, match.start("glued")) or match
        return match

    def _say(self, start: int, end: int) -> None:
        if start < end:
            self.prose.append((start, self.text[start:end]))

    # -- marks of thoughts

    def _mark(self, match: re.Match[str], pos: int) -> int:
        """Do what a mark says; returns where to read on. What is only spoken of stays prose."""
        thought = None
        if match["opens"]:
            thought = self._opened(match)
        elif match["closes"]:
            thought = self._closed(match)
        elif not is_quoted(self.text, match):
            self._say(pos, match.start())
            if (match["channel"] or "").lower() == "final" and not self.headed:
                self._forget(0)  # the header of the thoughts was in the prompt
            self.headed = self.headed or match["header"] is not None
            self.resumed = match.end()
            return match.end()
        if thought is None:
            if match.re is not _OUTSIDE:
                return pos
            self._say(pos, match.end())
            return match.end()
        self._say(pos, min(match.start(), thought.start))
        return self._think(min(match.start(), thought.start), thought)

    def _opened(self, match: re.Match[str]) -> Thought | None:
        """Read an opening mark: of a thought where a line begins or ends with it, else perhaps of one."""
        kind = kind_of(match)
        if is_quoted(self.text, match):
            return None
        edge = self._begins_line(match.start()) or _REST_BLANK.match(self.text, match.end())
        if edge or kind not in ("xml", "bracket", "comment"):
            self.headed = self.headed or kind == "harmony"
            return self.thoughts.whole(match)
        if self.pending is None and kind != "comment":
            self.pending = match.start(), kind
        return None

    def _closed(self, match: re.Match[str]) -> Thought | None:
        """Read a closing mark: of what began within a line, else of all there is before it."""
        if is_quoted(self.text, match):
            return None
        if self.pending is not None and closes(self.pending[1], match[0]):
            return Thought(self.pending[0], match.start(), match.end())
        edge = self._begins_line(match.start()) or _REST_BLANK.match(self.text, match.end())
        if edge or not (closes("xml", match[0]) or closes("bracket", match[0])):
            return Thought(0, match.start(), match.end())
        return None

    def _begins_line(self, at: int) -> bool:
        """Return whether nothing but marks of Markdown stands before a place in its line."""
        first = max(0, at - _LONGEST_LINE)
        start = max(self.text.rfind("\n", first, at) + 1, self.resumed)
        return (start > first or first == 0) and _BEFORE_MARK.fullmatch(self.text, start, at) is not None

    def _think(self, since: int, thought: Thought) -> int:
        """Take a stretch of the reply as thinking; returns where to read on."""
        self._forget(since)
        self.thinking.append((thought.start, thought.end))
        self.thinking_unclosed = not thought.closed
        self.resumed = self.thought_end = thought.resume
        return thought.resume

    def _forget(self, since: int) -> None:
        """Take back what was read since a place: it was only thought."""
        if since == 0:
            self.thinking.clear()
        while self.block_starts and self.block_starts[-1] >= since:
            self.block_starts.pop()
            self.blocks.pop()
        while self.prose and self.prose[-1][0] >= since:
            self.prose.pop()
        if self.prose:
            start, text = self.prose[-1]
            self.prose[-1] = start, text[: since - start]
        self.closed_at = -1
        self.pending = None
        self.line_at = (0, 1)

    # -- blocks

    def _block(self, match: re.Match[str]) -> int:
        """Read the block that a fence opens; returns where to read on."""
        opener = _opener(match, self.text, self.checker)
        if opener is None:  # backticks at the start of a sentence
            return self._no_block(match)
        return (
            self._other(opener) if opener.tag and opener.tag not in CODE_TAGS else self._python(match, opener)
        )

    def _python(self, match: re.Match[str], opener: Opener) -> int:
        opener, end = self._find_end(opener)
        if end.how == "thinking":
            since = 0 if self.pending is None else self.pending[0]
            return self._think(since, Thought(since, end.code, end.resume))
        is_plain = not match["glued"] or end.how in ("closed", "glued")
        code = self.ends.code(opener, end) if is_plain else ""
        if match["glued"]:
            if not self.checker.parses(code):
                return self._no_block(match)
            self._say(match.start("lead"), match.end("lead"))
        if not opener.tag:
            return self._bare(opener, end, code)
        return self._tagged(opener, end, code)

    def _find_end(self, opener: Opener) -> tuple[Opener, End]:
        """Find the end of code, of which a first line that only names the language is no part."""
        if named := LANGUAGE_LINE.match(self.text, opener.start):
            inner = replace(opener, start=named.end(), info=named[1])
            end = self.ends.find(inner)
            if opener.tag or end.how not in ("unclosed", "broken"):
                return inner, end
        return opener, self.ends.find(opener)

    def _no_block(self, match: re.Match[str]) -> int:
        mark = match["info"] and mark_in(self.text, match.start("info"), match.end("info"))
        stop = match.start("info") if mark else match.end()
        self._say(match.start(), stop)
        self.resumed = stop if mark else self.resumed
        return stop

    def _tagged(self, opener: Opener, end: End, code: str) -> int:
        if self._is_closer(opener, end, code):
            return opener.start
        if end.how in ("unclosed", "broken") and code.strip():
            cut = end.how == "unclosed"
            self._add("cut" if cut else "broken", opener, code, end.note)
        elif not code.strip():
            self._add("cut" if end.how == "unclosed" else "blank", opener, code)
        else:
            self._add_code(opener, code, end.note)
        return end.resume

    def _is_closer(self, opener: Opener, end: End, code: str) -> bool:
        """Returns whether a fence with a language closes the block before it: prose follows, or nothing."""
        if self.closed_at != opener.at or end.how in ("closed", "glued") or (self.cut and code.strip()):
            return False
        first = code.strip().partition("\n")[0]
        return not first or is_sentence(first) or (first[0].isupper() and first.endswith((".", ":", "!")))

    def _bare(self, opener: Opener, end: End, code: str) -> int:
        """Read a block without an info string: code if it is Python that does something.

        It may also be a closing fence too many, and then opens nothing.
        """
        if end.how == "unclosed" and self.cut:
            if code.strip():
                self._add("cut", opener, code)
            return end.resume
        imagined = self.closed_at >= 0 and self._follows_output(opener)
        if end.how not in ("unclosed", "broken") and not imagined and self._is_code(code):
            self._add_code(opener, code, end.note)
            return end.resume
        closer = self.ends.closer(opener)
        doubled = self.closed_at >= 0 and not self.text[self.closed_at : opener.at].strip()
        if closer is None or doubled or not self.text[opener.start : end.code].strip():
            return opener.start
        inner = self.text[opener.start : closer[0]]
        self._add("other", opener, inner, self.checker.error or "")
        return closer[1]

    def _is_code(self, code: str) -> bool:
        """Returns whether a block without a language is code."""
        return self.checker.does_something(mend_code(code, self.checker)[0], certain=True)

    def _follows_output(self, opener: Opener) -> bool:
        """Returns whether the line before says that this is output, which a model made up for the code above it."""
        before = self.text[max(self.closed_at, opener.at - 200) : opener.at].rstrip()
        return is_output_title(before[before.rfind("\n") + 1 :])

    def _other(self, opener: Opener) -> int:
        closer = self.ends.closer(opener)
        end = closer[0] if closer else len(self.text)
        self._add("other", opener, self.text[opener.start : end])
        return closer[1] if closer else end

    def _add_code(self, opener: Opener, code: str, note: str) -> None:
        code, mended = mend_code(code, self.checker)
        self._add("code", opener, code, " ".join(filter(None, (note, mended))))

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
        self.block_starts.append(opener.at)
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
    if is_sentence(info) or is_marked(info):
        return None
    return Opener(match.start(), start, match["prefix"], match["fence"], info)


def _is_first_line(text: str, checker: SyntaxChecker) -> bool:
    """Returns whether what follows the language in an info string is code, and no attribute such as `title="x"`."""
    if not text or _ATTRIBUTE.match(text):
        return False
    return checker.does_something(text) or (text.endswith(":") and checker.parses(f"{text}\n pass"))
