"""Questions with known answers, how they are split, and how an answer is scored."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlm_jupyter.engine.samples.compared_parts import Tolerance
from rlm_jupyter.engine.samples.differences import differences
from rlm_jupyter.errors import ConfigError

Score = Callable[[Any, Any], Any]
"""Returns how good an answer is, from 0 to 1, or whether it is right: `score(value, answer)`."""

_LEAST = 4
_FIELDS = frozenset({"question", "answer", "context", "options"})


@dataclass(frozen=True)
class Example:
    """A question with its known answer.

    Attributes:
        question: verbatim.
        answer: the right one, as an object.
        context: its data.
        options: of `RLM.start`, such as `schema`.
    """

    question: str
    answer: Any
    context: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_examples(given: Iterable[Any]) -> list[Example]:
    """Returns examples, given as `Example(...)`, dicts of its fields, or tuples `(question, answer[, context])`.

    Raises:
        ConfigError: one is something else, or there are too few to hold some out.
    """
    found: list[Example] = []
    for one in given:
        if isinstance(one, Example):
            found.append(one)
        elif isinstance(one, Mapping) and {"question", "answer"} <= set(one) <= _FIELDS:
            found.append(Example(**one))
        elif isinstance(one, tuple) and len(one) in (2, 3):
            found.append(Example(*one))
        else:
            raise ConfigError(
                f"An example is `(question, answer, context)`, a dict of these, or `Example(...)`, not {one!r:.80}."
            )
    if len(found) < _LEAST:
        raise ConfigError(
            f"`tune` takes at least {_LEAST} examples, of which some are held out; there are {len(found)}."
        )
    return found


def split(examples: Sequence[Example], held_out: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Returns the examples to learn from, and those that are held out.

    Args:
        examples: all of them.
        held_out: the part that is held out.
        seed: of the order.

    Raises:
        ConfigError: one of both would be empty.
    """
    if not 0 < held_out < 1:
        raise ConfigError(f"`held_out` is a part of the examples, between 0 and 1, not {held_out!r:.40}.")
    order = list(examples)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    count = min(len(order) - 2, max(1, round(held_out * len(order))))
    return order[count:], order[:count]


def score_of(value: Any, example: Example, score: Score | None) -> float:
    """Returns how good an answer is: by the user's function, or 1 if it is the right one as an object, else 0."""
    if score is None:
        return 0.0 if differences(value, example.answer, Tolerance()) else 1.0
    return min(1.0, max(0.0, float(score(value, example.answer))))
