"""`Samples`: how many agents answer a question, and when their answers count as the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from rlm_jupyter.errors import ConfigError

DEFAULT_COUNT = 3
"""Samples of a verified question that names no number."""
MOST = 25
"""Samples of one question."""
_LONGEST_CRITERION = 2000
_MOST_KEYS = 20


class SampleNumbers:
    """Numbers the samples of equal questions in a batch, so that no two of them are the same request.

    Belongs to one batch; runs are started one after the other, so that the same batch has the same numbers again.
    """

    def __init__(self) -> None:
        self._taken: Counter[object] = Counter()

    def take(self, question: object, count: int) -> int:
        """Returns the first of so many numbers for a question; they count from 1.

        Args:
            question: what makes two questions equal: the text, and the description of the data.
            count: how many samples it has.
        """
        first = self._taken[question] + 1
        self._taken[question] += count
        return first


@dataclass(frozen=True)
class Samples:
    """Several agents for one question, none of which knows of the others.

    Usage:
        >>> rlm.run("Which suppliers explain the rise?", orders, samples=Samples(5, key="supplier", relative=0.01))

    Args:
        count: how many agents answer, from 1 to 25.
        key: the columns by which rows of two tables belong together; None: found.
        relative: by what part of the larger one two numbers may differ; None: whole numbers by nothing, others by one
            in a million.
        absolute: by how much two numbers may differ besides; None: by no more than `relative` says.
        judge: whether a model decides if two texts say the same, which are else compared character by character. A
            text tells it what counts as the same.

    Raises:
        ConfigError: a value that cannot be; the message says what can.
    """

    count: int = DEFAULT_COUNT
    key: str | tuple[str, ...] | None = None
    relative: float | None = None
    absolute: float | None = None
    judge: bool | str = False
    numbers: SampleNumbers | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or not 1 <= self.count <= MOST:
            raise ConfigError(
                f"`samples` cannot be `{self.count!r:.40}`: give a whole number from 1 to {MOST}."
            )
        key = self.key
        if key is not None and not isinstance(key, str):
            names = tuple(key) if isinstance(key, (list, tuple)) else ()
            if not 0 < len(names) <= _MOST_KEYS or not all(isinstance(name, str) for name in names):
                raise ConfigError("`key` takes the name of a column, or a list of names.")
            object.__setattr__(self, "key", names)
        for name in ("relative", "absolute"):
            amount = getattr(self, name)
            good = (
                isinstance(amount, (int, float)) and not isinstance(amount, bool) and 0 <= amount < math.inf
            )
            if amount is not None and not good:
                raise ConfigError(f"`{name}` cannot be `{amount!r:.40}`: give a number from 0 on, or None.")
        if not isinstance(self.judge, (bool, str)) or len(str(self.judge)) > _LONGEST_CRITERION:
            raise ConfigError(
                f"`judge` takes True, or a text of at most {_LONGEST_CRITERION:,} characters that says what counts as "
                "the same."
            )

    @classmethod
    def read(cls, given: object, *, verify: bool = False) -> Self:
        """Returns samples as a user asked for them: a number, `Samples(...)`, or None for one.

        Args:
            given: what was asked for.
            verify: whether the answers are to be verified, which takes more than one.

        Raises:
            ConfigError: it is none of these, or one sample is to be verified.
        """
        if isinstance(given, cls):
            made = given
        elif given is None:
            made = cls(DEFAULT_COUNT if verify else 1)
        elif isinstance(given, int) and not isinstance(given, bool):
            made = cls(given)
        else:
            raise ConfigError(
                f"`samples` takes a number or `Samples(...)`, not a `{type(given).__name__}`: `samples=3`."
            )
        if verify and made.count == 1:
            raise ConfigError(
                "`verify` compares samples, and one has nothing to be compared with: `samples=3`."
            )
        return made

    def numbered(self, numbers: SampleNumbers) -> Self:
        """Returns the same as a part of a batch."""
        made = replace(self)
        object.__setattr__(made, "numbers", numbers)
        return made

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns that were named."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key or ())

    @property
    def recorded(self) -> dict[str, Any]:
        """What a log has of it."""
        told = {name.name: getattr(self, name.name) for name in fields(self) if name.name != "numbers"}
        return {**told, "key": list(self.keys) or None}

    @classmethod
    def of_record(cls, told: Mapping[str, Any]) -> Self:
        """Returns samples as a log has them.

        Raises:
            ConfigError: it has something else there.
        """
        known = {name.name for name in fields(cls)} - {"numbers"}
        return cls(**{name: value for name, value in told.items() if name in known})


@dataclass(frozen=True)
class SamplePlan:
    """What the samples of one run are.

    Attributes:
        samples: as asked for.
        first: the number of the first one: more than 1 if the same question was asked earlier in its batch.
        verify: whether an agent reconciles them where they disagree.
    """

    samples: Samples
    first: int = 1
    verify: bool = False
