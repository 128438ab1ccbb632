"""Regular expressions of JSON Schemas, matched in a time that grows with the text's length and no faster.

Python's `re` backtracks: `^(a+)+$` takes hours on forty letters, and holds the interpreter all that time. The
engine of pydantic (Rust's `regex`) does not backtrack, but its time grows with the pattern's size too, counted
repetitions multiplied out (`((a?){100}){100}`), and it holds the interpreter as well. So both are bounded here.
"""

from __future__ import annotations

import re
from typing import Any, Final

MOST_WEIGHT: Final = 2_000
"""Of an agent's pattern: its characters and classes, each as often as a counted repetition repeats it."""
MOST_WORK: Final = 1_000_000
"""Weight of an agent's pattern times characters of a text: some 30 milliseconds at the worst."""

_CLASS_WEIGHT: Final = 4
"""Of `\\w` and its like: for the bytes of UTF-8 these are large automata."""
_COUNT = re.compile(r"\{(\d{0,6})(,?)(\d{0,6})\}")
_GROUP = re.compile(r"\(\?(?::|P?<[A-Za-z_]\w{0,60}>|i\))")
_ESCAPED = re.compile(r"\\(?:[pPxuU]\{[^}]{0,60}\}|.)", re.DOTALL)


class PatternError(ValueError):
    """It is not a pattern that can be used; the message says why."""


class TooLongError(ValueError):
    """A text is too long for an agent's pattern."""


class Pattern:
    """One pattern, searched for anywhere in a text, as JSON Schema has it.

    Args:
        source: its text.
        trusted: whether the user wrote it; then what Rust's engine lacks (look-around, back-references) is left to
            Python's, and nothing is bounded.

    Raises:
        PatternError: it is none, or cannot be matched within bounds.
    """

    def __init__(self, source: str, *, trusted: bool) -> None:
        self.weight = 0 if trusted else weigh(source)
        if self.weight > MOST_WEIGHT:
            raise PatternError(
                f"it is too large, with its counted repetitions multiplied out: {self.weight:,} characters, and "
                f"{MOST_WEIGHT:,} are allowed"
            )
        self._linear: Any = None
        self._python: re.Pattern[str] | None = None
        try:
            self._linear = _linear(source)
        except ValueError as error:
            if not trusted:
                raise PatternError(
                    f"it cannot be matched in linear time; look-around and back-references are not allowed ({error})"
                ) from None
            self._python = _python(source)

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in a text.

        Raises:
            TooLongError: the text is too long for an agent's pattern of this size.
        """
        if self._python is not None:
            return self._python.search(text) is not None
        if self.weight * len(text) > MOST_WORK:
            raise TooLongError(
                f"a text of {len(text):,} characters is too long to be matched against this pattern "
                f"(at most {MOST_WORK // self.weight:,})"
            )
        return bool(self._linear.isinstance_python(text))


def weigh(source: str) -> int:
    """Return how large a pattern is when its counted repetitions are multiplied out; never too little.

    Raises:
        PatternError: it has groups of a kind that is not allowed, or parentheses that do not match.
    """
    groups: list[int] = []
    total = last = at = 0
    while at < len(source):
        char = source[at]
        if char == "(":
            at += _group_head(source, at)
            groups.append(total)
            total = last = 0
            continue
        if char == ")" and not groups:
            raise PatternError("a parenthesis is not opened")
        if char == ")":
            last, total, at = total, groups.pop() + total, at + 1
        elif char in "*+?":
            at += 1  # belongs to what `last` weighs, which a count may follow
        elif char == "{" and (count := _COUNT.match(source, at)):
            most = max(int(count[1] or 0), int(count[3] or 0), 1)
            total, last, at = total + last * (most - 1), last * most, count.end()
        else:
            last, at = _atom(source, at)
            total += last
    if groups:
        raise PatternError("a parenthesis is not closed")
    return max(total, 1)


def _group_head(source: str, at: int) -> int:
    if not source.startswith("(?", at):
        return 1
    head = _GROUP.match(source, at)
    if head is None:
        raise PatternError(
            "look-around and flags are not allowed in it: only `(...)`, `(?:...)`, `(?P<name>...)`"
        )
    # `(?i)` is not a group, but is closed like one.
    return len(head[0]) - head[0].endswith(")")


def _atom(source: str, at: int) -> tuple[int, int]:
    """Return the weight of one character or class, and where it ends."""
    char = source[at]
    if char == "\\":
        escaped = _ESCAPED.match(source, at)
        if escaped is None:
            raise PatternError("it ends with a backslash")
        return (_CLASS_WEIGHT if escaped[0][1] in "wWpPdDsSbB" else 1), escaped.end()
    if char == "[":
        end = _class_end(source, at)
        return (_CLASS_WEIGHT if "\\" in source[at:end] else 1), end
    return 1, at + 1


def _class_end(source: str, at: int) -> int:
    """Return where a class ends; classes may hold others."""
    depth = 0
    while at < len(source):
        char = source[at]
        at += 2 if char == "\\" else 1
        depth += (char == "[") - (char == "]")
        if not depth:
            return at
    raise PatternError("a bracket is not closed")


def _linear(source: str) -> Any:
    """Compile a pattern by pydantic's Rust engine.

    Raises:
        ValueError: it does not take it.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=source, regex_engine="rust-regex"))
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
        raise ValueError(lines[-1][:200] if lines else "it is not a regular expression") from None


def _python(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"it is not a regular expression: {error}") from None
