"""`exit()`, `quit()` and `sys.exit()` end a cell and not the kernel: scripts end with them.

Travels as source into any Python kernel: standard library only.
ipykernel would shut down a moment after `exit()`, with all variables
(https://github.com/microsoft/vscode-jupyter/issues/12405).
"""

import asyncio
import contextlib
import sys
import warnings
from typing import Any, NoReturn

NOTE = "SystemExit: the cell ended here; the kernel and its variables stay."


def _exit_of(shell: Any) -> Any:
    """Make what stands in the place of `exit` and `quit`; of the kind that the shell puts back after `%reset`."""

    class Exit(type(shell.exiter)):  # type: ignore[misc]
        rewrite = False

        def __call__(self, code: Any = None) -> NoReturn:
            raise SystemExit(code)

        def __repr__(self) -> str:
            return "exit() ends a cell; the kernel and its variables stay"

    return Exit(shell)


def install(shell: Any) -> None:
    """Let what ends a program end a cell of this shell: without an error where the status is 0."""
    warnings.filterwarnings("ignore", message="To exit: use 'exit'")  # IPython's advice after a `SystemExit`
    shell.exiter = shell.ask_exit = _exit_of(shell)
    for name in ("exit", "quit"):
        shell.user_ns[name] = shell.user_ns_hidden[name] = shell.exiter
    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        kind, value, _ = exc_tuple if isinstance(exc_tuple, tuple) else sys.exc_info()
        if not (isinstance(kind, type) and issubclass(kind, SystemExit)):
            show(exc_tuple, *args, **options)
        elif _is_success(value):
            print(NOTE, file=sys.stderr)  # noqa: T201 - it is the cell's output
        else:
            shell._showtraceback(kind, value, [f"{kind.__name__}: {value}"])  # noqa: SLF001 - IPython's hook

    shell.showtraceback = showtraceback
    shell.events.register("post_run_cell", _forgive)
    _keep_loop()


def _keep_loop() -> None:
    """Let the event loop outlive a task or a callback that raises what ends a program: asyncio passes it on.

    Whoever awaits the task gets the exception all the same.
    """
    handle_class: Any = asyncio.Handle  # its `_run` is private, and where asyncio lets them through
    run = handle_class._run  # noqa: SLF001

    def run_on(handle: asyncio.Handle) -> None:
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            run(handle)

    handle_class._run = run_on  # noqa: SLF001


def _forgive(result: Any = None) -> None:
    """Take the error from the result of a cell that ended with a status of success."""
    if _is_success(getattr(result, "error_in_exec", None)):
        result.error_in_exec = None


def _is_success(error: Any) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)
