"""`Agreement`: how many samples of a question agree with its answer, and where the others differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd


class Agreement(float):
    """The share of the samples that agree with the value, from 0 to 1.

    Attributes:
        agreeing: samples that agree with the value.
        ran: samples that were begun: fewer than were asked for if no more could have changed the answer.
        asked: samples that were asked for.
        answered: samples that gave an answer.
        answering: the id of the agent whose answer is the run's.
        own: whether that is an answer of the reconciling agent's own, which no sample gave.
        verified: whether an agent reconciled answers that differed.
        why: what that agent says of its check.
        check: what its check gave, shortened.
        columns, rows: where the answers differ: the heads of a table, and a row for each place.
        more: rows that are left out.
    """

    def __new__(cls, told: Mapping[str, Any]) -> Self:
        """Make one of what an event tells."""
        ran = max(1, int(told["ran"]))
        made = super().__new__(cls, min(1.0, max(0.0, int(told["agreeing"]) / ran)))
        made._told = dict(told)
        return made

    _told: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        told = self.__dict__.get("_told", {})
        if name not in told:
            raise AttributeError(name)
        return told[name]

    @property
    def text(self) -> str:
        """In words: `2 of 3 agree`."""
        return agreement_text(self._told)

    def frame(self) -> pd.DataFrame:
        """Returns where the answers differ, as a table with a column for each; empty if they do not."""
        import pandas as pd

        names = list(self._told["columns"]) or ["where"]
        return pd.DataFrame([list(row) for row in self._told["rows"]], columns=names)

    def __repr__(self) -> str:
        return f"{float(self):.3g} ({self.text})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._told,)


def agreement_text(told: Mapping[str, Any]) -> str:
    """Returns in words how many samples agree with the value.

    Args:
        told: the fields of `SamplesCompared`.
    """
    agreeing, ran, asked = (int(told[name]) for name in ("agreeing", "ran", "asked"))
    silent = ran - int(told["answered"])
    if ran == 1:
        text = "1 sample, with nothing to compare it with" if not silent else "1 sample, without an answer"
    elif agreeing <= 1 and not told["own"]:
        text = f"No two of {ran} agree"
    else:
        text = f"{agreeing} of {ran} agree"
    if told["own"]:
        text += " with the answer that the verification found"
    if silent:
        text += f"; {silent} gave no answer"
    left = asked - ran
    if left > 0 and agreeing == ran:
        text += f" ({left} more could not change that)"
    return text
