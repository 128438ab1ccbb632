"""Whether somebody is there who can click in a run's tree, or type in the terminal, while a cell runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.views.display import Cell


def who_answers(shell: InteractiveShell, cell: Cell) -> Literal["tree", "terminal"] | None:
    """Returns where a user of this shell can answer what a run asks; None where nobody can.

    Args:
        shell: of the notebook or terminal.
        cell: how the cell waits that shows the run.
    """
    from rlm_jupyter.user_questions.audience import can_ask_in_terminal
    from rlm_jupyter.views.display import clicks_arrive, display_mode

    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        # In the background IPython itself reads what is typed.
        return "terminal" if cell == "blocking" and can_ask_in_terminal() else None
    # What runs a notebook without a person, such as nbclient, says so by refusing requests for input.
    attended = getattr(kernel, "_allow_stdin", True) and display_mode(shell) == "widget"
    return "tree" if attended and clicks_arrive(cell) else None


def attended(shell: InteractiveShell, cell: Cell) -> AbstractContextManager[None]:
    """Returns what lets the agents of runs that are started meanwhile ask the user of this shell, if there is one.

    Args:
        shell: of the notebook or terminal.
        cell: how the cell waits that shows the run.
    """
    from rlm_jupyter.user_questions.audience import answering

    return answering(who_answers(shell, cell))
