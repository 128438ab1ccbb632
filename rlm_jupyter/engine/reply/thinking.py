"""The marks that models put around their thoughts, and the tokens of chat templates that leak into replies.

What a model thinks holds drafts of code that must not run. Servers that know a model take its thoughts out of the
reply; others leave them in, between marks that differ from model to model: tags of many names, Magistral's
`[THINK]`, Kimi's `◁think▷`, the `<|…|>` tokens of Cohere and others, the channels of gpt-oss and of Gemma.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CORE = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ions?|ing)?|analysis|deliberation|scratch[_-]?pad|rationale"
    r"|monologue|musings?|introspection|brainstorm(?:ing)?|chain[_-]of[_-]thought|cot)"
)
_NAME = rf"(?!no[_-])(?:[\w.-]{{0,24}}[:_.-]|ant|inner|internal|self|my)?{_CORE}(?:[_-][\w-]{{1,24}}|process|steps?)?"
_BRACKET = r"(?:think(?:ing)?|thoughts?|reasoning|reflection)"
_OF = r"[_▁ ]?(?:of[_▁ ])?"
_PIPE, _END_PIPE = r"<[|\uff5c]", r"[|\uff5c]>"
_SUMMARY = r"<summary>[^<\n]{0,80}(?:think|thought|reason)[^<\n]{0,80}</summary>"

_OPENERS = {
    "xml": rf"<[ \t]*{_NAME}(?:[ \t][^<>\n]{{0,300}})?(?<!/)>",
    "bracket": rf"\[{_BRACKET}\]",
    "triangle": rf"◁[ \t]*{_CORE}[ \t]*▷",
    "pipe": rf"{_PIPE}(?:(?:start|begin){_OF})?{_CORE}(?:{_OF}(?:start|begin))?{_END_PIPE}",
    "turn": r"<\|im_start\|>[ \t]*(?:think(?:ing)?|thought|reasoning|analysis)",
    "unused": r"<unused94>(?:thought)?",
    "gemma": r"<\|channel>[ \t]*(?:think(?:ing)?|thought|reasoning|analysis)",
    "harmony": r"(?:<\|start\|>\w{0,20})?<\|channel\|>[ \t]*analysis\b[^<\n]{0,200}(?:<\|constrain\|>[^<\n]{0,80})?"
    r"(?:<\|message\|>)?",
    "comment": r"<!--",
    "details": rf"<details\b[^<>\n]{{0,300}}(?:\btype=[\"']?reasoning[^<>\n]{{0,300}}>|>\s{{0,20}}{_SUMMARY})",
}
"""Kind of a mark to what opens it."""

_CLOSERS = {
    "xml": rf"</[ \t]*{_NAME}[ \t]*>",
    "bracket": rf"\[/{_BRACKET}\]",
    "triangle": rf"◁[ \t]*/[ \t]*{_CORE}[ \t]*▷",
    "pipe": rf"{_PIPE}(?:(?:/|(?:end|stop){_OF}){_CORE}|{_CORE}{_OF}(?:end|stop)){_END_PIPE}",
    "turn": r"<\|im_start\|>[ \t]*(?:answer|assistant|response)\b|<\|im_end\|>",
    "unused": r"<unused95>",
    "gemma": r"<channel\|>",
    "harmony": r"(?=<\|(?:start|channel)\|>)|<\|(?:end|return|call)\|>",
    "comment": r"-->",
    "details": r"</details>",
}
_LONE = ("xml", "bracket", "triangle", "pipe", "unused", "gemma")
"""Kinds whose closing mark alone says that what stands before it was thought: the opening one was in the prompt."""

_HEADER = (
    r"(?:<\|start\|>\w{0,20})?<\|channel\|>[ \t]*(?P<channel>\w{1,20})[^<\n]{0,200}(?:<\|constrain\|>[^<\n]{0,80})?"
    r"<\|message\|>"
)
TEMPLATE_MARK = r"<\|(?:(?:im_)?start\|>[ \t]*(?:assistant\b)?|[A-Za-z_▁]{2,30}\|>)"
"""A token of a chat template: text in no language."""

CLOSER = "|".join(f"(?:{_CLOSERS[kind]})" for kind in _LONE)
"""A closing mark that needs no opening one."""

MARK = rf"""
    (?=[<\[◁])(?:
      (?P<opens>{"|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _OPENERS.items())})
    | (?P<closes>{CLOSER})
    | (?P<header>{_HEADER})
    | (?P<token>{TEMPLATE_MARK})
    )
"""
"""Any of them, for a pattern with `re.VERBOSE` and `re.IGNORECASE`."""

_MARK = re.compile(MARK, re.VERBOSE | re.IGNORECASE)
_ENDS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _CLOSERS.items()}
_TAG = re.compile(r"[\w.:-]+")
_QUOTES = "`'\""
_CERTAIN = re.compile(r"\[THINK\]", re.IGNORECASE)
_LAST_TOKENS = (
    *("<|return|>", "<|end|>", "<|call|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>"),
    *("<|end_of_text|>", "<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>", "<end_of_turn>", "<turn|>", "</s>"),
    *("<\uff5cend▁of▁sentence\uff5c>", "<|end_of_solution|>"),
)
_MOST_TOKENS = 20
_BARE_CHANNEL = re.compile(r"\s*analysis(?=\S)")
_BARE_FINAL = re.compile(r"assistant(?:final|commentary)(?![a-z])|assistantfinal")
_SENTENCE = re.compile(r"[A-Z][\w']*,? [A-Za-z][\w']*[ ,.]")
_HERE_IS = r"^[ \t*#]*Here(?: is|'s) my (?:{})(?: process)?:?[* \t]*\r?$"
_PROCESS, _RESPONSE = (
    re.compile(_HERE_IS.format(words), re.IGNORECASE | re.MULTILINE)
    for words in ("thought|thinking|reasoning", "(?:final )?(?:response|answer|code|solution)")
)


@dataclass(frozen=True)
class Thought:
    """A stretch of a reply that the model only thought.

    Attributes:
        start: of the text between the marks.
        end: of that text.
        resume: where the reply goes on.
        closed: whether a closing mark ends it; else it goes on to the end of the reply.
    """

    start: int
    end: int
    resume: int
    closed: bool = True


class ThoughtFinder:
    """Finds where thoughts of one reply end.

    Args:
        text: the reply.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._absent: set[tuple[str, str]] = set()

    def whole(self, match: re.Match[str]) -> Thought | None:
        """Find the thought that an opening mark begins; None where the mark means nothing without a closing one."""
        kind = kind_of(match)
        close = self._close(kind, match)
        if close is not None:
            return Thought(match.end(), close.start(), close.end())
        if kind in ("comment", "details") or (kind == "bracket" and not _CERTAIN.match(match["bracket"])):
            return None
        return Thought(match.end(), len(self.text), len(self.text), closed=False)

    def before(self) -> Thought | None:
        """Find the thought that a reply begins with in words, or in a channel whose tokens were left out."""
        text = self.text
        if match := _BARE_CHANNEL.match(text):
            if close := _BARE_FINAL.search(text, match.end()):
                return Thought(match.end(), close.start(), close.end())
            if _SENTENCE.match(text, match.end()):
                return Thought(match.end(), len(text), len(text), closed=False)
        process = _PROCESS.search(text, 0, 2000)
        if process is None or text[: process.start()].strip():
            return None
        close = _RESPONSE.search(text, process.end())
        return Thought(process.end(), close.start(), close.end()) if close else None

    def _close(self, kind: str, match: re.Match[str]) -> re.Match[str] | None:
        """Find the closing mark: of the same name if there is one, and none that is quoted if there is another."""
        if kind == "xml":
            name = _TAG.search(match[kind])
            assert name is not None
            pattern = re.compile(rf"</[ \t]*{re.escape(name[0])}[ \t]*>", re.IGNORECASE)
            if close := self._first(pattern, match.end()):
                return close
        if (kind, "") in self._absent:
            return None
        close = self._first(_ENDS[kind], match.end())
        if close is None:
            self._absent.add((kind, ""))
        return close

    def _first(self, pattern: re.Pattern[str], pos: int) -> re.Match[str] | None:
        quoted = None
        for close in pattern.finditer(self.text, pos):
            if not is_quoted(self.text, close):
                return close
            quoted = quoted or close
        return quoted


def kind_of(match: re.Match[str]) -> str:
    """Return the kind of an opening mark."""
    return next(kind for kind in _OPENERS if match[kind] is not None)


def closes(kind: str, mark: str) -> bool:
    """Return whether a closing mark is one of that kind."""
    return kind in _LONE and _ENDS[kind].fullmatch(mark) is not None


def is_closing(mark: str) -> bool:
    """Return whether a mark closes thoughts whose opening mark may be missing."""
    return any(_ENDS[kind].fullmatch(mark) for kind in _LONE)


def is_quoted(text: str, match: re.Match[str]) -> bool:
    """Return whether a mark stands in quotation marks or in inline code, so that it is spoken of and not used."""
    before, after = text[max(0, match.start() - 3) : match.start()], text[match.end() : match.end() + 3]
    if before == "```" or after == "```":
        return False
    return before[-1:] in tuple(_QUOTES) or after[:1] in tuple(_QUOTES)


def begins_with_mark(text: str) -> bool:
    """Return whether the first thing in a text is a mark."""
    return _MARK.match(text.lstrip()) is not None


def mark_in(text: str, start: int, end: int) -> re.Match[str] | None:
    """Find the first mark in a part of a text."""
    return _MARK.search(text, start, end)


def without_last_tokens(text: str) -> str:
    """Return a reply without the tokens that only say that it ended."""
    for _ in range(_MOST_TOKENS):
        bare = text.rstrip()
        token = next((token for token in _LAST_TOKENS if bare.endswith(token)), None)
        if token is None:
            break
        text = bare[: -len(token)]
    return text
