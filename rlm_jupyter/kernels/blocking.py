"""Blocking work beside the event loop, also while the interpreter ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work on a worker thread.

    When the interpreter ends, worker threads are closed before `atexit` callbacks run, and so before the last
    kernels are ended (https://github.com/python/cpython/issues/86813): the work is then done right here.
    """
    try:
        thread = asyncio.to_thread(work, *args, **kwargs)
        return await thread
    except RuntimeError as error:
        if "after shutdown" not in str(error) and "after interpreter shutdown" not in str(error):
            raise
        return work(*args, **kwargs)
