"""One task: a question, its data, and what the right answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.quality.graders import Grader

if TYPE_CHECKING:
    import pandas as pd

_ATTEMPTS = 500


@dataclass(frozen=True)
class Task:
    """A question about data, with its grader.

    Attributes:
        name: unique in its set.
        family: the shape of the task, such as `niah`.
        question: verbatim.
        data: a text, a dict from a document's name to its text, a DataFrame, or a dict of DataFrames.
        grader: whether an answer is right.
        seed: which of the tasks of this name it is; 0 is the standard one.
    """

    name: str
    family: str
    question: str
    data: Any
    grader: Grader
    seed: int = 0

    def text(self) -> str:
        """Returns the data as one text, for harnesses that take no objects: tables as CSV, documents with headings."""
        if isinstance(self.data, str):
            return self.data
        if isinstance(self.data, dict):
            return "\n\n".join(_section(name, part) for name, part in self.data.items())
        return csv_of(self.data)


Content = tuple[str, Any, Grader]
"""Question, data and grader of a task that was made."""


@dataclass(frozen=True)
class Recipe:
    """How a task of a name is made.

    `make` returns None if it drew data of which the answer would not be clear: a tie, or no match. Then it draws again.

    Attributes:
        name: of the task.
        family: of the task.
        size: characters of the data, about.
        make: makes it from a source of randomness and a size.
    """

    name: str
    family: str
    size: int
    make: Callable[[Random, int], Content | None]

    def task(self, seed: int = 0, size: int | None = None) -> Task:
        """Make the task; the same arguments give the same task."""
        wanted = self.size if size is None else size
        # A text as a seed is hashed by SHA-512: the same on every machine and in every process.
        random = Random(f"{self.name}:{seed}:{wanted}")
        for _ in range(_ATTEMPTS):
            content = self.make(random, wanted)
            if content is not None:
                question, data, grader = content
                return Task(self.name, self.family, question, data, grader, seed)
        raise ValueError(f"No task `{self.name}` with a clear answer was found at {wanted:,} characters.")


def csv_of(frame: pd.DataFrame) -> str:
    """Returns a table as CSV without its index."""
    return str(frame.to_csv(index=False))


def _section(name: str, part: Any) -> str:
    body = part if isinstance(part, str) else csv_of(part)
    return f"## {name}\n{body}"
