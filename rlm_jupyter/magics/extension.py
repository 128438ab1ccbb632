"""`RLMMagics`: what IPython sees of us, how it is put there, and how it is taken back."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from rlm_jupyter.kernels.launch.early_start import early_start
from rlm_jupyter.magics import (
    await_transform,
    completion,
    input_transformers,
    map_cell,
    run_display,
    table_cell,
)
from rlm_jupyter.magics import cell_magic as cell
from rlm_jupyter.magics import line_magic as line
from rlm_jupyter.magics.arguments import cell_help
from rlm_jupyter.magics.magics_state import MagicsState
from rlm_jupyter.magics.tour import end_tour

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.conversation.conversation import Chat
    from rlm_jupyter.engine.run.run import Run


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _cell(method: _Method) -> _Method:
    return cell_magic("rlm")(method)  # type: ignore[arg-type]  # IPython declares only the form without a name


def _map_cell(method: _Method) -> _Method:
    return cell_magic("rlm_map")(method)  # type: ignore[arg-type]  # as above


def _table_cell(method: _Method) -> _Method:
    return cell_magic("rlm_table")(method)  # type: ignore[arg-type]  # as above


def _line(method: _Method) -> _Method:
    return line_magic("rlm")(method)  # type: ignore[arg-type]  # as above


@magics_class
class RLMMagics(Magics, MagicsState):
    """`%%rlm` asks a question, `%%rlm_map` one for each row, `%%rlm_table` one about all rows; `%rlm` looks after runs.

    `%config RLMMagics` shows the settings.
    """

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.runs: weakref.WeakSet[Run] = weakref.WeakSet()
        """Runs that were started here; ended when the extension is unloaded."""
        self.following: set[Any] = set()
        """What follows a background run; held so that it is not collected."""
        self.chat: Chat | None = None
        self.faces: weakref.WeakKeyDictionary[Run, Any] = weakref.WeakKeyDictionary()
        self.shown: tuple[str, int] | None = None
        """The run that a cell shows of its own accord, and the cell's number: its value need not show it again."""
        self.await_rlm = await_transform.transformer(shell)
        self.complete_rlm = completion.matcher(shell)

    @no_var_expand
    @_cell
    def ask(self, line: str, body: str) -> Any:  # noqa: D102 - the help is made of the parser
        return cell.ask(self, line, body)

    ask.__doc__ = cell_help()

    async def ask_awaited(self, line: str, body: str) -> Any:
        """Ask as `%%rlm` does, awaiting: the form that the input transformer writes."""
        return await cell.ask_awaited(self, line, body)

    @no_var_expand
    @_map_cell
    def map_rows(self, line: str, body: str) -> Any:  # noqa: D102 - the help is made of the parser
        return cell.ask(self, line, body, map_cell.read)

    map_rows.__doc__ = map_cell.cell_help()

    async def map_awaited(self, line: str, body: str) -> Any:
        """Ask as `%%rlm_map` does, awaiting: the form that the input transformer writes."""
        return await cell.ask_awaited(self, line, body, map_cell.read)

    @no_var_expand
    @_table_cell
    def ask_of_table(self, line: str, body: str) -> Any:  # noqa: D102 - the help is made of the parser
        return cell.ask(self, line, body, table_cell.read)

    ask_of_table.__doc__ = table_cell.cell_help()

    async def table_awaited(self, line: str, body: str) -> Any:
        """Ask as `%%rlm_table` does, awaiting: the form that the input transformer writes."""
        return await cell.ask_awaited(self, line, body, table_cell.read)

    @no_var_expand
    @_line
    def command(self, text: str) -> Any:  # noqa: D102 - the help is made of the table
        return line.run(self, text)

    command.__doc__ = line.help_text()


def load(shell: InteractiveShell) -> None:
    """Register the magics, the input transformer and the completer; silent, and nothing happens twice."""
    if "RLMMagics" in shell.magics_manager.registry:
        return
    magics = RLMMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.extend(input_transformers.BEFORE)
    shell.input_transformers_post.extend((*input_transformers.AFTER, magics.await_rlm))
    shell.Completer.custom_matchers.append(magics.complete_rlm)
    run_display.install(shell, magics)
    if magics.early_start and magics.kernel is None:
        early_start.begin(idle=True)


def unload(shell: InteractiveShell) -> None:
    """Take back all that `load` put there and started, and end the runs that the magics started."""
    magics = shell.magics_manager.registry.pop("RLMMagics", None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        for name in ("rlm", "rlm_map", "rlm_table"):
            shell.magics_manager.magics[kind].pop(name, None)
    for transformer in input_transformers.BEFORE:
        shell.input_transformers_cleanup.remove(transformer)
    for transformer in (*input_transformers.AFTER, magics.await_rlm):
        shell.input_transformers_post.remove(transformer)
    shell.Completer.custom_matchers.remove(magics.complete_rlm)
    run_display.remove(shell)
    end_tour(shell)
    shell.configurables.remove(magics)
    if magics.chat is not None:
        magics.chat.close()
    for run in list(magics.runs):
        run.stop()
        run.close()
    early_start.drop()
