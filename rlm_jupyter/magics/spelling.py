"""The ways in which people write options and names, brought into the one that the parser reads."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from IPython.core.error import UsageError

from rlm_jupyter.magics.lexer import Word

_REFERENCE = re.compile(r"\$(?P<plain>[^\W\d]\w*)|\{(?P<braced>[^\W\d]\w*)\}")


def written_as(
    parser: argparse.ArgumentParser, words: Sequence[Word], variables: Mapping[str, Any]
) -> list[str]:
    """Return the words as the parser of a magic reads them.

    `--max_cost`, `-max-cost` and `--Max-Cost` are `--max-cost`; an equals sign may have spaces around it; commas
    may stand between names and after values; ``$name`` and ``{name}`` are replaced by the value of a variable.
    What stands in quotes stays as it is.

    Raises:
        UsageError: a variable that does not exist, or has no value that can be a word.
    """
    known = parser._option_string_actions  # noqa: SLF001 - argparse has no public look-up
    found: list[str] = []
    taking = ""  # the option that waits for its value
    for word, sticks in _joined(words):
        option, equals, value = word.text.partition("=")
        if not word.quoted and (option := _option(option, known)) in known:
            found.append(option + equals + _referred(Word(value), variables))
            taking = "" if equals or known[option].nargs == 0 else option
        elif taking and not sticks and word.text.startswith("-") and not word.quoted:
            found.append(word.text)  # argparse says that the option before it has no value
            taking = ""
        elif taking:
            found.append(_referred(word, variables))
            taking = ""
        elif word.text.startswith("-") and not word.quoted:
            found.append(word.text)
        else:
            found += _names(word)
    return found


def _joined(words: Sequence[Word]) -> Iterator[tuple[Word, bool]]:
    """Return words, and whether each is a value that an equals sign tied to the option before it."""
    tied = False
    for word in words:
        text = word.text
        if word.quoted or not (tied or text.startswith("=") or text.endswith("=")):
            yield word, tied
            tied = False
        elif text == "=":
            tied = True
        elif text.startswith("-") and text.endswith("="):
            yield Word(text.removesuffix("=")), False
            tied = True
        else:
            yield Word(text.removeprefix("=")), True
            tied = False


def _option(text: str, known: Mapping[str, object]) -> str:
    """Return the option that a word means; the word itself, where it means none."""
    if text in known or not text.startswith("-"):
        return text
    plain = "--" + text.lstrip("-").lower().replace("_", "-")
    return plain if plain in known and len(text.lstrip("-")) > 1 else text


def _names(word: Word) -> list[str]:
    """Return the names that a word without an option holds: commas separate them, brackets may hold them all."""
    if word.quoted:
        return [word.text]
    text = word.text
    if text[:1] + text[-1:] in ("()", "[]"):
        text = text[1:-1]
    found = []
    for name in filter(None, _split_at_commas(text)):
        reference = _REFERENCE.fullmatch(name)
        found.append(reference["plain"] or reference["braced"] if reference else name)
    return found


def _split_at_commas(text: str) -> Iterator[str]:
    """Split at commas that stand in no bracket."""
    depth, start = 0, 0
    for place, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth <= 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def _referred(word: Word, variables: Mapping[str, Any]) -> str:
    """Return an option's value with the variables that it refers to."""
    if word.quoted:
        return word.text
    text = word.text.rstrip(",") or word.text
    whole = _REFERENCE.fullmatch(text)
    return _REFERENCE.sub(lambda found: _value_of(found, variables, alone=whole is not None), text)


def _value_of(found: re.Match[str], variables: Mapping[str, Any], *, alone: bool) -> str:
    name = found["plain"] or found["braced"]
    if name not in variables:
        raise UsageError(
            f"There is no variable `{name}` for `{found.group()}`. In quotes, `{found.group()}` stays as it is."
        )
    value = variables[name]
    if value is None and alone:
        return "none"
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    if alone:
        return name  # a model, a type, a function: what options name by their variable
    raise UsageError(
        f"`{found.group()}` is a `{type(value).__name__}` and cannot be a part of a word; a text or a number can."
    )
