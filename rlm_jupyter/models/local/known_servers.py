"""What servers on this machine said of themselves: each is asked once in a process, and again for what may change."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from rlm_jupyter import forks
from rlm_jupyter.models.local.addresses import is_loopback
from rlm_jupyter.models.local.discovery import read_server

if TYPE_CHECKING:
    from rlm_jupyter.models.local.discovery import LocalServer

_MOST: Final = 100
_lock = threading.Lock()
_known: dict[str, tuple[float, LocalServer | None]] = {}
"""By URL: when it was asked, and what it said."""
_asking: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[LocalServer | None]]] = (
    WeakKeyDictionary()
)


async def known_server(url: str, key: str = "", *, seconds: float | None = None) -> LocalServer | None:
    """Returns what a server on the loopback is; None if it does not say so in a second, or is elsewhere.

    Args:
        url: its base URL.
        key: sent along, as with each request to it.
        seconds: for how long an answer holds, as the server may be started again with other settings; None for as long
            as the process lives.
    """
    if not is_loopback(url):
        return None
    with _lock:
        asked, server = _known.get(url, (None, None))
        if asked is not None and (seconds is None or time.monotonic() - asked < seconds):
            return server
        here = _asking.setdefault(asyncio.get_running_loop(), {})
        task = here.get(url)
        if task is None:
            task = here[url] = asyncio.ensure_future(read_server(url, key))
    try:
        # Others wait for the same answer: one that is cancelled does not take it from them.
        server = await asyncio.shield(task)
    finally:
        if task.done():
            here.pop(url, None)
    with _lock:
        if len(_known) >= _MOST:
            _known.clear()
        server = _merged(_known.get(url, (0.0, None))[1], server)
        _known[url] = time.monotonic(), server
    return server


def _merged(before: LocalServer | None, now: LocalServer | None) -> LocalServer | None:
    """Returns what is known after a further answer: a server that is too busy to answer is as it was."""
    if before is None or now is None:
        return before if now is None else now
    return replace(now, slots=before.slots) if now.silent else now


def forget_servers() -> None:
    """Ask all servers anew the next time."""
    with _lock:
        _known.clear()


forks.call_in_child(lambda: forks.release(_lock))
