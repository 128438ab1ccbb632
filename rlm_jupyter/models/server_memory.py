"""What servers on this machine said of themselves: each is asked once in a process."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from rlm_jupyter import forks
from rlm_jupyter.models.local_servers import is_loopback, read_server

if TYPE_CHECKING:
    from rlm_jupyter.models.local_servers import LocalServer

_MOST: Final = 100
_lock = threading.Lock()
_known: dict[str, LocalServer | None] = {}
_asking: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[LocalServer | None]]] = (
    WeakKeyDictionary()
)


async def known_server(url: str, key: str = "") -> LocalServer | None:
    """Returns what a server on the loopback is; None if it does not say so in a second, or is elsewhere.

    Args:
        url: its base URL.
        key: sent along, as with each request to it.
    """
    if not is_loopback(url):
        return None
    with _lock:
        if url in _known:
            return _known[url]
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
        _known[url] = server
    return server


def forget_servers() -> None:
    """Ask all servers anew the next time."""
    with _lock:
        _known.clear()


forks.call_in_child(lambda: forks.release(_lock))
