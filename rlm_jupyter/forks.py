"""What a forked child of this process leaves alone: kernels, runs and connections are the parent's.

`os.fork()` copies every object, and of all threads only the caller's. A child that then ends in the ordinary way, or
collects garbage, would run what was meant for the end of the parent: close runs, ask the supervisor to kill kernels,
take descriptors out of the parent's `epoll`, wait for threads that it does not have. So whatever acts outside of this
process registers here, and is put away in each child before the child runs a line.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol


class Inheritable(Protocol):
    """Something that acts outside of this process, and must not in a fork of it."""

    def forked(self) -> None:
        """Put this away. Called in the child, where no other thread is; it must neither wait nor be slow."""


_registered: weakref.WeakSet[Inheritable] = weakref.WeakSet()
_kept: list[object] = []


def register(thing: Inheritable) -> None:
    """Have `thing.forked()` called in each forked child, as long as the thing lives."""
    # Here and not in the child: an import may need a lock that another thread held at the fork.
    import ctypes  # noqa: F401

    _registered.add(thing)


def call_in_child(function: Callable[[], None]) -> None:
    """Have a function called in each forked child."""
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=function)


def never_finalize(thing: object) -> None:
    """Keep an object to the very end of this process, beyond that of the interpreter.

    A coroutine that is dropped runs its `finally` blocks, and the last garbage collection drops what modules hold.
    """
    _kept.append(thing)
    with suppress(ImportError, AttributeError):  # an interpreter other than CPython has no such function
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def release(lock: Any) -> None:
    """Free a lock that a thread of the parent may have held at the fork, as `logging` does with its own."""
    lock._at_fork_reinit()  # noqa: SLF001 - the standard library offers no other way


def _put_away() -> None:
    for thing in list(_registered):
        with suppress(Exception):  # the child is the user's: nothing of ours may fail in it
            thing.forked()
    _registered.clear()


call_in_child(_put_away)
