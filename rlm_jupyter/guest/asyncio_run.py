"""`asyncio.run` in a cell, where a loop runs already.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from typing import Any

from .bridge.socket_link import resolve
from .caller_kind import interruptible
from .pending_calls import Call


def run_in_own_loop(main: Any, **options: Any) -> Any:
    """Run a coroutine to its end on a loop of its own in a new thread, while the calling thread waits."""
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
    running: list[Any] = []

    async def whole() -> Any:
        running.extend((asyncio.get_running_loop(), asyncio.current_task()))
        return await main

    def run() -> None:
        try:
            value = context.run(lambda: _plain_run(whole(), **options))
        except BaseException as error:
            resolve(outcome, error=error)
        else:
            resolve(outcome, value)

    context = contextvars.copy_context()
    thread = threading.Thread(target=run, name="rlm-asyncio.run", daemon=True)
    thread.start()
    try:
        with interruptible():
            return outcome.result()
    except KeyboardInterrupt:
        if running and thread.is_alive():
            running[0].call_soon_threadsafe(running[1].cancel)
            thread.join(2)
        raise


_plain_run = asyncio.run
_plain_run_until_complete = asyncio.BaseEventLoop.run_until_complete


def _is_running() -> bool:
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - asyncio's own way to ask without raising


def allow_nested_asyncio_run() -> None:
    """Let `asyncio.run(main())` and `loop.run_until_complete(main())` work in a cell: a loop runs there."""

    def run(main: Any, **options: Any) -> Any:
        if isinstance(main, Call):  # it runs already
            return main.wait()
        nested = _is_running() and asyncio.iscoroutine(main)
        return run_in_own_loop(main, **options) if nested else _plain_run(main, **options)

    def run_until_complete(loop: Any, future: Any) -> Any:
        if isinstance(future, Call):
            return future.wait()
        nested = _is_running() and asyncio.iscoroutine(future)
        return run_in_own_loop(future) if nested else _plain_run_until_complete(loop, future)

    run.__doc__, run_until_complete.__doc__ = _plain_run.__doc__, _plain_run_until_complete.__doc__
    asyncio.run = asyncio.runners.run = run
    asyncio.BaseEventLoop.run_until_complete = run_until_complete  # type: ignore[method-assign,assignment]
