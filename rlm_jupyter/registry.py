"""What a process has one of: its kernels, its runs, its view of the replies on disk; and their end."""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_jupyter import forks
from rlm_jupyter.engine.run.engine_thread import EngineThread, engine
from rlm_jupyter.engine.run.run import Run
from rlm_jupyter.errors import ConfigError, RunNotFoundError
from rlm_jupyter.kernels.launch.early_start import early_start
from rlm_jupyter.kernels.pool import KernelPool
from rlm_jupyter.models.openai.direct_wire import close_connections

if TYPE_CHECKING:
    from rlm_jupyter.models.cache import ReplyCache
    from rlm_jupyter.records.past_run import PastRun

T = TypeVar("T")

_KEPT_RUNS = 3
_KEPT_BYTES = 64 << 20
"""What runs before the newest may hold to be kept, where the setting `kernel_memory` does not say more."""
_LISTED = 20
_CLOSE_SECONDS = 40.0
_pool: KernelPool | None = None
_runs: list[_Entry] = []
_open: weakref.WeakKeyDictionary[Run, weakref.ref[object]] = weakref.WeakKeyDictionary()
"""Runs that are not closed because there are newer ones, as long as what goes on with their kernels exists."""
_runs_lock = threading.Lock()
_replies: dict[Path, ReplyCache] = {}


def reply_cache() -> ReplyCache:
    """Returns this process's one view of the replies on disk; a forked child has its own."""
    from rlm_jupyter.models.cache import ReplyCache, default_path

    path = default_path()
    with _runs_lock:
        if path not in _replies:
            _replies[path] = ReplyCache(path)
        return _replies[path]


async def kernel_pool() -> KernelPool:
    """Returns this process's one pool of kernels."""
    global _pool  # noqa: PLW0603 - one pool a process is the point
    if _pool is None:
        _pool = KernelPool(early=early_start)
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


class _Entry:
    """A run of this process: held while it may still be needed; then it is only known of, and read from its log."""

    def __init__(self, run: Run) -> None:
        self.held: Run | None = run
        self.closing = False
        self._known = weakref.ref(run)
        self._past: PastRun | None = None

    @property
    def run(self) -> Run | PastRun:
        """The run itself as long as anybody holds it."""
        run = self.held or self._known() or self._past
        assert run is not None
        return run

    def let_go(self) -> None:
        """Hold the run no longer; remember what of it is not in the log."""
        from rlm_jupyter.records.past_run import PastRun
        from rlm_jupyter.views import text_tree

        if (run := self.held) is None:
            return
        with run.lock:
            self._past = PastRun(
                run.tree, text_tree.summary_line(run.tree), run.log_path if run.log_is_whole else None
            )
        self.held = None


def register_run(run: Run) -> None:
    """Remember a run, and let go of older ones; returns at once, kernels end in the background."""
    with _runs_lock:
        _runs.append(_Entry(run))
    let_older_go()


def keep_open(run: Run, owner: object) -> None:
    """Do not close a run because there are newer ones, until `allow_closing`, or the end of its owner.

    Args:
        run: whose kernels stay.
        owner: what will go on with them.
    """
    with _runs_lock:
        _open[run] = weakref.ref(owner)


def allow_closing(run: Run) -> None:
    """Let a run be closed again when there are newer ones."""
    with _runs_lock:
        _open.pop(run, None)
    let_older_go()


def let_older_go() -> None:
    """Close runs that have ended but the last few; of these, only small ones stay besides the newest.

    What a run holds, in its kernels and as the bytes of its values, is memory that no other figure shows.
    """
    with _runs_lock:
        ended = [
            (entry, run)
            for entry in _runs
            if (run := entry.held) is not None and run.done and not _is_kept_open(run)
        ]
        over = [entry for entry, _ in ended[:-_KEPT_RUNS]]
        room = max(_KEPT_BYTES, ended[-1][1].kernel_memory or 0) if ended else 0
        for entry, run in reversed(ended[-_KEPT_RUNS:-1]):
            room -= run.held_bytes
            if room < 0:
                over.append(entry)
        over = [entry for entry in over if not entry.closing]
        for entry in over:
            entry.closing = True
    for entry in over:
        if (held := entry.held) is not None:
            held.begin_close().add_done_callback(partial(_closed, entry))


def _is_kept_open(run: Run) -> bool:
    owner = _open.get(run)
    return owner is not None and owner() is not None


def _closed(entry: _Entry, _closing: Future[None]) -> None:
    entry.let_go()


def runs() -> list[Run | PastRun]:
    """Return all runs of this process, the newest last; of older ones that nobody holds, what their logs tell."""
    with _runs_lock:
        return [entry.run for entry in _runs]


def last_run() -> Run | None:
    """Return the newest run; None if there is none."""
    with _runs_lock:
        return _runs[-1].held if _runs else None


def find_run(run_id: str) -> Run | PastRun:
    """Find a run by its id, or by the beginning or end of it.

    Raises:
        RunNotFoundError: there is none, or more than one.
    """
    known = runs()
    found = [run for run in known if run.id == run_id]
    found = found or [run for run in known if run.id.startswith(run_id) or run.id.endswith(run_id)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"`{run.id}`" for run in known[-_LISTED:]) or "none yet"
    more = f", and {len(known) - _LISTED:,} before them (`%rlm runs`)" if len(known) > _LISTED else ""
    what = "no run" if not found else "more than one run"
    raise RunNotFoundError(f"There is {what} `{run_id}`. Runs: {listed}{more}.")


def refuse_running(run_id: str) -> None:
    """Refuse to go through the record of a run that still goes on in this process.

    Raises:
        ConfigError: it does.
    """
    if any(run.id == run_id and not run.done for run in runs()):
        raise ConfigError(f"Run `{run_id}` still runs: wait for it (`run.wait()`), or stop it (`%rlm stop`).")


def stop_all() -> None:
    """Stop and close all runs of this process, and its kernels."""
    global _pool
    closing = []
    for run in runs():
        if isinstance(run, Run):
            with contextlib.suppress(Exception):
                closing.append(run.begin_close())
    for one in closing:
        with contextlib.suppress(Exception):
            one.result(_CLOSE_SECONDS)
    pool, _pool = _pool, None
    if pool is not None:
        with contextlib.suppress(Exception):
            engine().submit(pool.close()).result(10)
        with contextlib.suppress(Exception):
            engine().submit(close_connections()).result(10)
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
    _open.clear()
    _replies.clear()


atexit.register(stop_all)
forks.call_in_child(_forked)
