"""Makes `%%rlm` an awaited cell, because only then do clicks arrive while it runs.

ipykernel (from 7.4 on) delivers a widget's messages to a busy shell only where its cell awaits
(https://github.com/ipython/ipykernel/pull/1565). IPython awaits no magic of its own accord
(https://github.com/ipython/ipython/issues/11314), so an input transformer puts the `await` there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from IPython.core.async_helpers import _asyncio_runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

    Transformer = Callable[[list[str]], list[str]]

_REGISTERED = "await get_ipython().magics_manager.registry['RLMMagics']."
_AWAITED = {
    "get_ipython().run_cell_magic('rlm', ": f"{_REGISTERED}ask_awaited(",
    "get_ipython().run_cell_magic('rlm_map', ": f"{_REGISTERED}map_awaited(",
    "get_ipython().run_cell_magic('rlm_table', ": f"{_REGISTERED}table_awaited(",
}


def transformer(shell: InteractiveShell) -> Transformer:
    """Returns the `input_transformers_post` hook of a shell.

    It rewrites a whole `%%rlm`, `%%rlm_map` or `%%rlm_table` cell to the awaited form where that works, and leaves all
    else as it is: the magic then blocks, and can be interrupted all the same.
    """

    def await_rlm(lines: list[str]) -> list[str]:
        call = next((call for call in _AWAITED if len(lines) == 1 and lines[0].startswith(call)), None)
        if call is not None and can_await(shell):
            return [_AWAITED[call] + lines[0].removeprefix(call)]
        return lines

    return await_rlm


def can_await(shell: InteractiveShell) -> bool:
    """Returns whether a cell that is transformed now will be awaited on the kernel's own loop.

    Not in terminal IPython: an interrupt there leaves the loop and the coroutine behind. Not with
    `%autoawait` off or on another loop. Not within another cell (`%%time`, `%%capture`, `%run`): their inner
    cell would need a second loop on the same thread.
    """
    return may_await(shell) and not is_nested(shell)


def may_await(shell: InteractiveShell) -> bool:
    """Returns whether this shell awaits its cells on the loop of a kernel."""
    in_kernel = getattr(shell, "kernel", None) is not None
    return in_kernel and shell.autoawait and shell.loop_runner is _asyncio_runner


def is_nested(shell: InteractiveShell) -> bool:
    """Returns whether the caller works on behalf of a cell that is running on this very stack.

    A cell that awaits is suspended and not on the stack, and a click's handler is not part of it. So this
    needs no count of `pre_execute` and `post_execute`, which clicks trigger too.
    """
    running = type(shell).run_code.__code__
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect.stack` reads source files
    while frame is not None:
        if frame.f_code is running:
            return True
        frame = frame.f_back
    return False
