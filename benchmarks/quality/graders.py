"""Graders: whether an answer is right. Strict: one answer, in any usual form; a dump of the data or a hedge is wrong.

Every grader reads the answer as text (`answer_forms`), refuses what is much longer than a right answer, and wants
*all* that is of the asked kind in it to be right: "12 or 13" is not 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from benchmarks.quality.answer_forms import dates_in, is_single, leaves, numbers_in, text_of

_ROOM = 300
"""Characters that an answer may have beside the right one: a sentence or two."""
_REFUSES = re.compile(
    r"\b(?:can(?:no|')t|could(?: no|n')t|unable to|do(?:es)?(?: no|n')t (?:have|know|contain|exist|appear)|unknown|"
    r"not (?:found|provided|available|given|possible|present|sure|certain|known)|insufficient|impossible|"
    r"no (?:answer|such|information|mention))\b|(?:\bnot|n't) [$€£]?\d",
    re.IGNORECASE,
)

Verdict = Literal["right", "wrong", "wrong type"]


class Grader(Protocol):
    """Judges answers to one question."""

    def judge(self, answer: Any) -> Verdict:
        """Returns whether the answer is right, or not even of the kind that was asked for."""

    @property
    def wanted(self) -> str:
        """The right answer, as text."""


@dataclass(frozen=True)
class Number:
    """One number.

    Attributes:
        value: the right one.
        tolerance: by how much an answer may differ.
        beside: numbers that a sentence may contain besides, such as those of the question.
    """

    value: float
    tolerance: float = 1e-6
    beside: frozenset[float] = frozenset()

    @property
    def wanted(self) -> str:
        """The right answer, as text."""
        return f"{self.value:.12g}"

    def judge(self, answer: Any) -> Verdict:
        """Returns whether all numbers of the answer are the right one."""
        text = _short(answer, _ROOM)
        if text is None:
            return "wrong type"
        found = numbers_in(text)
        if not found:
            return "wrong type"
        if _REFUSES.search(text):
            return "wrong"
        rest = [number for number in found if not self._is(number)]
        right = len(rest) < len(found) and (is_single(answer) or len(found) - len(rest) == 1)
        return _verdict(right and all(number in self.beside for number in rest))

    def _is(self, number: float) -> bool:
        return abs(number - self.value) <= self.tolerance


@dataclass(frozen=True)
class Tokens:
    """One or several names, ids, codes, addresses: all of them and no other, in any order.

    Attributes:
        right: the right ones.
        pattern: what is taken for such a thing in a text.
        domain: those there are, where the pattern alone does not tell; None: whatever the pattern matches.
        but: those that may be named besides, such as those of the question.
    """

    right: frozenset[str]
    pattern: str
    domain: frozenset[str] | None = None
    but: frozenset[str] = frozenset()

    @property
    def wanted(self) -> str:
        """The right answer, as text."""
        return ", ".join(sorted(self.right))

    def judge(self, answer: Any) -> Verdict:
        """Returns whether the answer names what is right and nothing else of its kind."""
        text = _short(answer, _ROOM + 4 * sum(len(one) + 4 for one in self.right))
        if text is None:
            return "wrong type"
        right, but = _folded(self.right), _folded(self.but)
        found = _folded(re.findall(self.pattern, text))
        if self.domain is not None:
            found &= _folded(self.domain)
        if not found:
            return "wrong type"
        # In a sentence, other words are no names; in a list, each item has one (`Project Amber` for `Amber`).
        strangers = (
            set()
            if self.domain is None
            else {
                item
                for item in _listed(answer)
                if not _folded(re.findall(self.pattern, item)) & (right | but)
            }
        )
        return _verdict(right <= found <= right | but and not strangers and not _REFUSES.search(text))


@dataclass(frozen=True)
class Day:
    """A date, or a month if `day` is None."""

    year: int
    month: int
    day: int | None = None

    @property
    def wanted(self) -> str:
        """The right answer, as text."""
        month = f"{self.year}-{self.month:02d}"
        return month if self.day is None else f"{month}-{self.day:02d}"

    def judge(self, answer: Any) -> Verdict:
        """Returns whether all dates in the answer are the right one."""
        text = _short(answer, _ROOM)
        found = set() if text is None else dates_in(text)
        if text is None or not found:
            return "wrong type"
        if self.day is None:
            found = {(year, month, None) for year, month, _ in found}
        right = found == {(self.year, self.month, self.day)}
        return _verdict(right and not _REFUSES.search(text))


@dataclass(frozen=True)
class Pairs:
    """Pairs of numbers, such as ids: all of them and no other; the order in a pair does not matter."""

    right: frozenset[tuple[int, int]]

    @property
    def wanted(self) -> str:
        """The right answer, as text."""
        return ", ".join(map(str, sorted(self.right)))

    def judge(self, answer: Any) -> Verdict:
        """Returns whether the answer's numbers, taken two by two, are the right pairs."""
        text = _short(answer, _ROOM + 24 * len(self.right))
        found = [] if text is None else numbers_in(text)
        if not found or len(found) % 2:
            return "wrong type"
        pairs = {tuple(sorted(found[place : place + 2])) for place in range(0, len(found), 2)}
        return _verdict(pairs == {tuple(sorted(map(float, pair))) for pair in self.right})


def tokens(right: str | Iterable[str], pattern: str, **more: frozenset[str]) -> Tokens:
    """Returns a grader of one token, or of several."""
    return Tokens(frozenset([right] if isinstance(right, str) else right), pattern, **more)


def words(right: str | Iterable[str], domain: Iterable[str], **more: frozenset[str]) -> Tokens:
    """Returns a grader of names out of a known domain."""
    known = sorted(domain, key=len, reverse=True)
    pattern = r"(?i)(?<![\w])(?:" + "|".join(map(re.escape, known)) + r")(?![\w])"
    return tokens(right, pattern, domain=frozenset(known), **more)


def _verdict(right: bool) -> Verdict:
    return "right" if right else "wrong"


def _short(answer: Any, most: int) -> str | None:
    """Returns the answer as text; None if there is none, or more than a right one has."""
    text = answer if isinstance(answer, str) else text_of(answer)
    text = text.strip()
    return text if text and len(text) <= most else None


def _folded(items: Iterable[str]) -> set[str]:
    return {item.casefold() for item in items}


def _listed(answer: Any) -> set[str]:
    """Returns the items of an answer that is a list, or a text that is one: `a, b` or a line each."""
    if isinstance(answer, str):
        parts = re.split(r"[,;\n]|\band\b", answer.strip().strip("[](){}"))
        if len(parts) < 2 or any(" " in _bare(part) for part in parts):
            return set()
    else:
        parts = [leaf for leaf in leaves(answer) if isinstance(leaf, str)]
    return {_bare(part) for part in parts} - {""}


def _bare(part: str) -> str:
    return part.strip().lstrip("-*• ").strip("'\"`.: ").removesuffix("()").casefold()
