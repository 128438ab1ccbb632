"""The answers of the samples of one question: which of them are the same, and where they differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.samples.compared_parts import Difference, Opaque, Tolerance
from rlm_jupyter.engine.samples.differences import differences
from rlm_jupyter.errors import RLMError

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer

MOST_BYTES = 256_000_000
"""Of an answer that is decoded to be compared."""
MOST_ROWS = 20
"""Differences that are shown."""

Same = Callable[[Any, Any], Awaitable[bool]]
"""Whether two decoded answers are the same."""


@dataclass
class Votes:
    """Answers by the number of their sample, in groups of equal ones.

    Attributes:
        values: the decoded answers.
        groups: numbers of samples whose answers are the same; each group in order, the groups in that of their first.
    """

    values: dict[int, Any] = field(default_factory=dict)
    groups: list[list[int]] = field(default_factory=list)

    async def add(self, number: int, value: Any, same: Same) -> None:
        """Count an answer: it joins the first group whose first answer is the same.

        Args:
            number: of the sample.
            value: decoded.
            same: compares it with the first answers of the groups.
        """
        self.values[number] = value
        for group in self.groups:
            if await same(self.values[group[0]], value):
                group.append(number)
                return
        self.groups.append([number])

    @property
    def largest(self) -> list[int]:
        """The largest group; of several as large the one with the earliest sample. Empty if there is no answer."""
        return max(self.groups, key=lambda group: (len(group), -group[0]), default=[])

    def table(self, tolerance: Tolerance, chosen: int) -> tuple[list[str], list[list[str]]]:
        """Returns where the groups differ: the heads of the columns, and a row for each place.

        Args:
            tolerance: as the answers were compared.
            chosen: a sample of the group that stands first.
        """
        groups = sorted(self.groups, key=lambda group: (chosen not in group, group[0]))
        named = {group_name(group): self.values[group[0]] for group in groups}
        return ["where", *named], difference_rows(named, tolerance)


def decoded(buffer: Buffer) -> Any:
    """Decode an answer in order to compare it; what cannot be decoded without running code is not the same as any."""
    summary = str(buffer.description.get("summary") or "a value")
    if buffer.size > MOST_BYTES:
        return Opaque(summary)
    try:
        return load_received(buffer)
    except RLMError:
        return Opaque(summary)


def group_name(group: Sequence[int]) -> str:
    """Returns what a group of samples is called."""
    return f"sample {group[0]}" if len(group) == 1 else f"samples {', '.join(map(str, group))}"


def difference_rows(named: Mapping[str, Any], tolerance: Tolerance) -> list[list[str]]:
    """Returns a row for each place in which values differ from the first one: the place, and what each has there.

    Args:
        named: name → value.
        tolerance: when parts of values count as the same.
    """
    names = list(named)
    cells: dict[str, dict[str, str]] = {}
    for name in names[1:]:
        for one in differences(named[names[0]], named[name], tolerance):
            row = cells.setdefault(one.place, {})
            row.setdefault(names[0], one.one)
            row[name] = one.other
    return [[place, *(row.get(name, row[names[0]]) for name in names)] for place, row in cells.items()]


def texts_alone(found: Sequence[Difference]) -> list[tuple[str, str]] | None:
    """Returns the pairs of texts in which two values differ; None if they differ in anything else."""
    pairs = [one.texts for one in found if one.texts is not None]
    return pairs if pairs and len(pairs) == len(found) else None
