"""What a contender's process offers to be measured."""

from __future__ import annotations

from typing import Protocol


class Adapter(Protocol):
    """A contender in its process, made once; what it is asked again is warm.

    Each method returns when the value is there, and raises if it is not the right one.
    """

    def batch(self, width: int) -> float | None:
        """Ask `width` plain sub-calls at once; returns the seconds that the calling code saw, where code called."""

    def agents(self, width: int) -> float | None:
        """Run `width` sub-agents of two turns at once; returns the same."""

    def one(self, name: str) -> None:
        """Run the agent of that name (`one`, `turns`) to its value."""

    def close(self) -> None:
        """End what the last call left running, in the way a user would."""


def check_parts(told: str, width: int, kinds: int) -> float:
    """Read what a root's code told of its batch: number, different values, seconds.

    Raises:
        AssertionError: it got other parts than it should.
    """
    number, different, seconds = told.split()
    if (int(number), int(different)) != (width, kinds):
        raise AssertionError(f"The batch returned {number} values, {different} of them different.")
    return float(seconds)


def check(got: object, wanted: object) -> None:
    """Compare a result.

    Raises:
        AssertionError: it is another one.
    """
    if got != wanted:
        raise AssertionError(f"The result was {got!r:.500}, and not {wanted!r:.100}.")
