"""`multiprocessing` and the rest of what starts processes: what can work does, the rest says why not.

Travels as source into kernels: standard library only. A process that was spawned knows no
function of a cell, and a pool of them waits for ever (https://github.com/jupyter/notebook/issues/5261), so processes
are forks. The box has no `/dev/shm`, no sockets but pairs, and no pseudo-terminals: all of these are shared with the
user's other programs.
"""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

NO_TERMINAL = (
    "The sandbox gives no pseudo-terminal, since it would be one of the user's: "
    "use `subprocess` with pipes, or `!cmd`."
)
NO_MANAGER = (
    "A Manager of `multiprocessing` needs sockets, which the sandbox has not: use Pool, Queue, Pipe, Value, Array or "
    "`shared_memory`, or threads."
)


def start_by_fork() -> None:
    """Take `fork` for all ways in which `multiprocessing` starts processes, whatever the default of this system is."""
    import multiprocessing
    from multiprocessing import context

    contexts: Any = context._concrete_contexts  # type: ignore[attr-defined]  # noqa: SLF001 - where it looks them up
    contexts.update(dict.fromkeys(contexts, contexts["fork"]))
    multiprocessing.set_start_method("fork", force=True)


def adapt(*, shared: bool) -> None:
    """Let programs and `multiprocessing` work in the box, with memory that is shared by files of the kernel's own.

    Args:
        shared: whether there is a `/dev/shm` of the box's own, and pseudo-terminals, as bubblewrap makes them.
    """
    # `!python` is this Python: others on the path may not be readable.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    _no_managers()
    if not shared:
        # joblib would start programs that find no semaphores of its own; without, it uses threads.
        os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")
        _own_shared_memory()
        _no_terminals()


def _no_managers() -> None:
    import multiprocessing
    from multiprocessing import context

    def manager(*_: Any) -> NoReturn:
        raise OSError(errno.EPERM, NO_MANAGER)

    for kind in (context.BaseContext, multiprocessing):
        setattr(kind, "Manager", manager)  # noqa: B010 - mypy takes it for a method


def _own_shared_memory() -> None:
    """Let `shared_memory` use files of the scratch directory in the place of `/dev/shm`."""
    from multiprocessing import heap

    heap.Arena._dir_candidates = []  # type: ignore[attr-defined]  # noqa: SLF001 - then it takes `TMPDIR`
    try:
        native: Any = importlib.import_module("_posixshmem")
    except ImportError:
        return
    directory = Path(os.environ.get("TMPDIR", ".")) / ".shm"

    def shm_open(path: str, flags: int, mode: int = 0o600) -> int:
        directory.mkdir(mode=0o700, exist_ok=True)
        return os.open(directory / path.lstrip("/").replace("/", "_"), flags | os.O_CLOEXEC, mode)

    def shm_unlink(path: str) -> None:
        os.unlink(directory / path.lstrip("/").replace("/", "_"))  # noqa: PTH108 - as the call it stands for

    native.shm_open, native.shm_unlink = shm_open, shm_unlink
    # It would start a program to clean up, which the end of the scratch directory does anyway.
    tracker: Any = importlib.import_module("multiprocessing.resource_tracker")
    tracker.register = tracker.unregister = lambda _name, _kind: None


def _no_terminals() -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EPERM, NO_TERMINAL)

    import pty

    for module, name in ((os, "openpty"), (os, "forkpty"), (pty, "openpty"), (pty, "fork")):
        setattr(module, name, refuse)
