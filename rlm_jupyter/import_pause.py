"""Imports of many modules without the garbage collector, which would look through what they make again and again.

What a module makes stays: the search for garbage among it took a fifth of the time of a first question.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rlm_jupyter import forks

_MANY = 5_000
"""New objects: so many were made by imports, and fewer by modules that had been imported before."""
_lock = threading.Lock()
_paused = 0
_was_enabled = False


@contextmanager
def no_collections() -> Iterator[None]:
    """Pause the collector of this process, and let it go on afterwards if it was enabled; for imports only.

    May be nested, and used by several threads at once.
    """
    global _paused, _was_enabled  # noqa: PLW0603 - a process has one collector
    with _lock:
        if not _paused:
            _was_enabled = gc.isenabled()
            gc.disable()
        _paused += 1
    try:
        yield
    finally:
        with _lock:
            _paused -= 1
            if not _paused and _was_enabled:
                _take_for_old()
                gc.enable()


def _take_for_old() -> None:
    """Count what there is as long-lived, or all of it would be looked through as soon as the collector goes on."""
    # What somebody has frozen is meant to stay so.
    if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def _forked() -> None:
    """Let it go on in a forked child, where the thread that paused it is not."""
    global _paused  # noqa: PLW0603 - as above
    forks.release(_lock)
    if _paused:
        _paused = 0
        if _was_enabled:
            gc.enable()


forks.call_in_child(_forked)
