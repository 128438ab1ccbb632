"""Answers for numbered items, found in a reply and matched with the items by their numbers.

Models write prose around them, leave some out, repeat some, change the order, break off: what is whole and right is
taken, of the rest it is said what is wrong. Depth and work are bounded; a reply is data of anybody's making.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from rlm_jupyter.engine.mapping.item_schema import NUMBER, ItemSchema
from rlm_jupyter.engine.reply.thinking import ThoughtFinder, begins_with_mark, mark_in
from rlm_jupyter.engine.typed_answers.json_in_text import MOST_CHARS
from rlm_jupyter.text.shorten import cut_end

_WORK: Final = 1_000_000
"""Characters that may be looked at besides eight times the text."""
_MOST_DEPTH: Final = 4
"""Of lists and objects around the numbered ones."""
_COUNTED: Final = 8
_MOST_THOUGHTS: Final = 20
_REASON: Final = 300
MISSING: Final = "There was no answer for this item."
MISNUMBERED: Final = "The answers had other numbers than the items."
DOUBLED: Final = "There was more than one answer for this number."


@dataclass(frozen=True)
class Unusable:
    """Why there is no answer for an item.

    Attributes:
        reason: in a sentence.
        kind: as of `RLMQueryError`.
        answered: whether the model did answer, so that it can be told what was wrong.
    """

    reason: str
    kind: str = "failed"
    answered: bool = True


Outcome = dict[str, Any] | Unusable
"""The fields of an answer, or why there is none."""


def read_answers(text: str, count: int, schema: ItemSchema) -> list[Outcome]:
    """Returns the outcome for each of `count` items, which are numbered from 1.

    A model that counts from 0, or skips an item and goes on, gives numbers that no item has, and lacks others: then
    none of its numbers is believed.
    """
    answers = [(number, answer) for number, answer in _answers(_spoken(text)) if schema.holds(answer)]
    if count == 1:  # whatever its number is, it can be meant for no other item
        numbered = [answer for number, answer in answers if number is not None]
        return [_outcome(numbered or [answer for _, answer in answers], schema)]
    found: dict[int, list[Mapping[str, Any]]] = {}
    for number, answer in answers:
        if number is not None:
            found.setdefault(number, []).append(answer)
    wanted = range(1, count + 1)
    if any(number not in wanted for number in found) and any(number not in found for number in wanted):
        return [Unusable(MISNUMBERED)] * count
    return [_outcome(found.get(number, []), schema) for number in wanted]


def _outcome(answers: list[Mapping[str, Any]], schema: ItemSchema) -> Outcome:
    if len(answers) != 1:
        return Unusable(DOUBLED if answers else MISSING)
    try:
        return schema.read(answers[0])
    except (ValueError, RecursionError, OverflowError) as error:
        return Unusable(cut_end(f"The answer has another form than was asked for: {error}", _REASON))


def _spoken(text: str) -> str:
    """Returns a reply without the thoughts that it begins with: they hold drafts of the answers."""
    for _ in range(_MOST_THOUGHTS):
        if not begins_with_mark(text):
            break
        text = text.lstrip()
        mark = mark_in(text, 0, len(text))
        if mark is None or mark["opens"] is None:
            break
        thought = ThoughtFinder(text).whole(mark)
        if thought is None:
            break
        text = text[thought.resume :]
    return text


Numbered = tuple[int | None, Mapping[str, Any]]


def _answers(text: str) -> Iterator[Numbered]:
    """Yields objects with their numbers, wherever they stand in a text, also of a list that breaks off."""
    if len(text) > MOST_CHARS:
        return
    decoder = json.JSONDecoder(parse_constant=_refuse)
    work = _WORK + 8 * len(text)
    start = text.find("{")
    while start >= 0 and work > 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except RecursionError:
            return
        except ValueError as error:
            at = getattr(error, "pos", start)
            unterminated = str(error).startswith("Unterminated")
            # The exception counts the lines from the very beginning, some ten times as fast.
            work -= (len(text) if unterminated else at) - start + 1 + at // _COUNTED
            end = start + 1
        else:
            work -= end - start
            yield from _within(value, 0)
        start = text.find("{", end)


def _within(value: object, depth: int) -> Iterator[Numbered]:
    if depth > _MOST_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _within(item, depth + 1)
    elif isinstance(value, dict):
        number = _number(value.get(NUMBER))
        if number is not None:
            yield number, value
            return
        yield None, value
        for key, item in value.items():
            numbered = _number(key)
            if numbered is not None and isinstance(item, dict) and NUMBER not in item:
                yield numbered, item
            else:
                yield from _within(item, depth + 1)


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:  # noqa: PLR2004
        return int(value)
    return None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is no number of JSON")
