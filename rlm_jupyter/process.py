"""What a process has one of: its kernels, its runs, its view of the replies on disk; and their end."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_jupyter import forks
from rlm_jupyter.engine.run import Run
from rlm_jupyter.engine.thread import EngineThread, engine
from rlm_jupyter.errors import ConfigError, RunNotFoundError
from rlm_jupyter.kernels.pool import KernelPool

if TYPE_CHECKING:
    from rlm_jupyter.models.cache import ReplyCache

T = TypeVar("T")

_KEPT_RUNS = 3
_pool: KernelPool | None = None
_runs: list[Run] = []
_runs_lock = threading.Lock()
_replies: dict[Path, ReplyCache] = {}


def reply_cache() -> ReplyCache:
    """Give this process's one view of the replies on disk; a forked child has its own."""
    from rlm_jupyter.models.cache import ReplyCache, default_path

    path = default_path()
    with _runs_lock:
        if path not in _replies:
            _replies[path] = ReplyCache(path)
        return _replies[path]


async def kernel_pool() -> KernelPool:
    """Give this process's one pool of kernels."""
    global _pool  # noqa: PLW0603 - one pool a process is the point
    if _pool is None:
        _pool = KernelPool()
    return _pool


def submit(work: EngineThread, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the engine's loop and wait for it.

    Raises:
        ConfigError: called on the engine's own thread, where it would wait for itself.
    """
    if work.inside:
        coroutine.close()
        raise ConfigError("A run cannot be started in a callback of a run: start it from another thread.")
    return work.submit(coroutine).result(60)


def keep(run: Run) -> None:
    """Remember a run; of older ones that have ended only the last few keep their kernels."""
    with _runs_lock:
        _runs.append(run)
        ended = [old for old in _runs if old.done]
    for old in ended[:-_KEPT_RUNS]:
        old.close()


def runs() -> list[Run]:
    """Give all runs of this process, the newest last."""
    with _runs_lock:
        return list(_runs)


def last_run() -> Run | None:
    """Give the newest run; None where there is none."""
    with _runs_lock:
        return _runs[-1] if _runs else None


def find_run(run_id: str) -> Run:
    """Find a run by its id, or by the beginning or end of it.

    Raises:
        RunNotFoundError: there is none, or more than one.
    """
    found = [run for run in runs() if run.id == run_id]
    found = found or [run for run in runs() if run.id.startswith(run_id) or run.id.endswith(run_id)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"`{run.id}`" for run in runs()) or "none yet"
    what = "no run" if not found else "more than one run"
    raise RunNotFoundError(f"There is {what} `{run_id}`. Runs: {known}.")


def stop_all() -> None:
    """Stop and close all runs of this process, and its kernels."""
    global _pool
    for run in runs():
        with contextlib.suppress(Exception):
            run.close()
    pool, _pool = _pool, None
    if pool is not None:
        with contextlib.suppress(Exception):
            engine().submit(pool.close()).result(10)
    for cache in _replies.values():
        cache.close()


def _forked() -> None:
    """Begin without pool, runs and replies in a forked child: what there is belongs to the parent.

    An open database may not be used in a fork, nor closed (https://www.sqlite.org/howtocorrupt.html, section 2.6).
    """
    global _pool  # noqa: PLW0603 - as above
    forks.release(_runs_lock)
    forks.never_finalize([_pool, *_runs, *_replies.values()])
    _pool = None
    _runs.clear()
    _replies.clear()


atexit.register(stop_all)
forks.call_in_child(_forked)
