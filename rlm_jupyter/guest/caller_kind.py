"""What kind of code calls a word: one that blocks, or one that awaits.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import contextlib
import inspect
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Iterator

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_TRANSPARENT = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>"}
_OURS = ("_rlm.", "rlm_jupyter.guest.")


class Cell:
    """An AST transformer of IPython that changes nothing: it notes whether the cell awaits.

    IPython compiles each statement by itself, so a statement's own flags do not tell.

    Args:
        namespace: that cells run in.

    Attributes:
        code: the cell that is about to run, compiled as a whole; None if it cannot be.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.awaits = False
        self.code: types.CodeType | None = None
        self._namespace = namespace

    def holds(self, frame: types.FrameType) -> bool:
        """Whether a frame of module level is of a cell, not of a file or of `exec`."""
        return frame.f_globals is self._namespace and not frame.f_code.co_filename.startswith("<")

    def visit(self, tree: Any) -> Any:
        """Look at the syntax tree of the cell that is about to run."""
        import ast

        try:
            code = compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except (SyntaxError, ValueError, TypeError, RecursionError):
            self.awaits, self.code = False, None
        else:
            self.code = code
            self.awaits = bool(code.co_flags & inspect.CO_COROUTINE)
        return tree


def caller_awaits(cell: Cell) -> bool:
    """Whether the code that called a word is of the kind that awaits.

    It is decided by the nearest function, method or cell; comprehensions, generator expressions, lambdas and
    class bodies belong to what they stand in, and asyncio's own functions to their caller.
    """
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame is not None:
        code, module = frame.f_code, frame.f_globals.get("__name__")
        if isinstance(module, str) and module.startswith(_OURS):
            pass
        elif code.co_flags & _ASYNC:
            return True
        elif code.co_name in _TRANSPARENT:
            pass
        elif not code.co_flags & inspect.CO_NEWLOCALS:
            if code.co_name == "<module>" or code.co_name.startswith("<cell line"):  # the latter: IPython 8
                return cell.awaits and cell.holds(frame)
        elif not (isinstance(module, str) and module.startswith("asyncio.")):
            return False
        frame = frame.f_back
    return False


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt while the main thread blocks.

    During a cell that awaits, ipykernel has a handler in place that only wakes the loop, which is blocked.
    """
    handler = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGINT)
        if handler in {signal.default_int_handler, signal.SIG_IGN, None}:
            handler = None
    if handler is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
