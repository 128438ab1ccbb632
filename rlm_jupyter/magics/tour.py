"""`%rlm tour`: a guided first minute. Each cell that was run puts the next one below it, with a sentence."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.magics.command_registry import command

if TYPE_CHECKING:
    import argparse

    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.magics.magics_state import MagicsState


@dataclass(frozen=True)
class Step:
    """A cell of the tour, and what is said before it."""

    text: str
    cell: str


STEPS: Final = (
    Step(
        "A tour in six cells: run each one as it comes. Here is some data.",
        """import pandas as pd

tour_sales = pd.DataFrame({
    "city": ["Bonn", "Kiel", "Trier", "Ulm"] * 2500,
    "price": [number % 97 + number % 4 * 10 for number in range(10_000)],
})
tour_sales.head(3)""",
    ),
    Step(
        "Ask about it: the first line names the data and where the answer goes, the rest is the question. The model "
        "`demo` is a script, no language model; its code, its kernels and the tree are real.",
        """%%rlm tour_sales -m demo -o tour_answer
What is the average of price by city?""",
    ),
    Step(
        "The card has the answer, and the tree below it a line for each agent: open one. The answer is a Python "
        "object, too.",
        "tour_answer",
    ),
    Step(
        "The model was shown a short description of the data, and wrote code. This is what it wrote, and what it saw.",
        "%rlm show 0",
    ),
    Step(
        "The agent's kernel is still there, with all of its variables; a line of code runs in it.",
        "%rlm exec 0 print(type(context), len(context))",
    ),
    Step(
        "And this is the code on which the answer rests, run again and compared with it.",
        "%rlm code",
    ),
)
END: Final = (
    "That was the tour. `%%rlm?` lists the options and `%rlm?` the commands; `%rlm models` lists the language models "
    "on this machine, and `-m provider/name` asks one of a provider whose key is set. The lessons in "
    "`notebooks/lessons` go on from here."
)


class Tour:
    """The tour in one shell: puts the first cell, and after each of its cells that went well the next."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = weakref.ref(shell)
        self._at = 0
        shell.events.register("post_run_cell", self._after)
        self._put(shell)

    def end(self) -> None:
        """Put no more cells."""
        shell = self._shell()
        if shell is not None and self._after in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", self._after)

    def _put(self, shell: InteractiveShell) -> None:
        print(STEPS[self._at].text)  # noqa: T201 - it is the cell's output
        shell.set_next_input(STEPS[self._at].cell)

    def _after(self, result: Any) -> None:
        """Go on if the cell was the tour's, even where it was edited; other cells do not disturb it."""
        shell = self._shell()
        ran = str(getattr(result.info, "raw_cell", None) or "").strip()
        if shell is None or not result.success or ran.partition("\n")[0] != _first_line(STEPS[self._at]):
            return
        self._at += 1
        if self._at < len(STEPS):
            self._put(shell)
        else:
            self.end()
            print(END)  # noqa: T201 - it is the cell's output


def _first_line(step: Step) -> str:
    return step.cell.partition("\n")[0]


_tours: weakref.WeakKeyDictionary[InteractiveShell, Tour] = weakref.WeakKeyDictionary()


@command("tour", "A guided first minute: puts cells one after the other, each with a sentence.")
def tour(magics: MagicsState, _arguments: argparse.Namespace) -> None:
    """Begin the tour; a tour that was begun before starts anew."""
    end_tour(magics.shell)
    _tours[magics.shell] = Tour(magics.shell)


def end_tour(shell: InteractiveShell) -> None:
    """End the tour of a shell, if there is one."""
    known = _tours.pop(shell, None)
    if known is not None:
        known.end()
