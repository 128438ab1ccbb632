"""What an agent's cells gave, kept beside the checkpoints of its kernel: a branch runs none of them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.kernels.checkpoints.kept_checkpoints import KeptCheckpoints

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.first_look import Look
    from rlm_jupyter.kernels.cell_result import CellResult
    from rlm_jupyter.kernels.checkpoints.checkpoint import KernelCheckpoint


@dataclass(frozen=True)
class PastCell:
    """A cell that ran.

    Attributes:
        result: as the kernel gave it.
        told: what the agent was to be told beside its output.
        look_wanted: whether it gave an answer without a look at the data.
    """

    result: CellResult
    told: tuple[str, ...]
    look_wanted: bool


@dataclass
class Past:
    """An agent's record up to a checkpoint, as a branch goes through it.

    Attributes:
        turn: after which the checkpoint was taken.
        checkpoint: of the kernel.
        cells: by number.
        looks: that were planned for the agent, in order; taken one by one.
        tools: that the agent had.
    """

    turn: int
    checkpoint: KernelCheckpoint
    cells: Mapping[int, PastCell]
    looks: list[Look | None]
    tools: object = None


@dataclass
class CellHistory:
    """The cells of an agent in memory, and how many there were when each checkpoint was taken.

    Attributes:
        checkpoints: of the kernel.
        tools: of the agent.
        refused: why the newest checkpoint was refused; empty if it was taken.
    """

    owner: str
    tools: object = None
    checkpoints: KeptCheckpoints | None = None
    refused: str = ""
    _cells: dict[int, PastCell] = field(default_factory=dict)
    _looks: list[Look | None] = field(default_factory=list)
    _ends: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, number: int, result: CellResult, told: Sequence[str], *, look_wanted: bool) -> None:
        """Keep what a cell gave."""
        self._cells[number] = PastCell(result, tuple(told), look_wanted)

    def add_look(self, look: Look | None) -> None:
        """Keep a look that was planned, or that none was."""
        self._looks.append(look)

    def end_turn(self, turn: int) -> None:
        """Note what belongs to the checkpoint that is taken after a turn."""
        self._ends[turn] = (max(self._cells, default=0), len(self._looks))

    def past(self, turn: int) -> Past | None:
        """Returns the record up to the newest checkpoint that was taken after no later turn than that."""
        found = self.checkpoints.newest(self.owner, turn) if self.checkpoints is not None else None
        if found is None:
            return None
        number, checkpoint = found
        last, looks = self._ends[number]
        cells = {cell: known for cell, known in self._cells.items() if cell <= last}
        return Past(number, checkpoint, cells, self._looks[:looks], self.tools)
