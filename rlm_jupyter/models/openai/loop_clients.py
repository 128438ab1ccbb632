"""One client for each event loop on which a model is used, and their end: a connection belongs to its loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable


class _Closable(Protocol):
    async def close(self) -> None: ...


Client = TypeVar("Client", bound=_Closable)


class LoopClients(Generic[Client]):
    """The clients of one model, by loop. Safe from several threads.

    Args:
        owned: whether they are closed with this object; not those of the user's own.
    """

    def __init__(self, *, owned: bool = True) -> None:
        self._owned = owned
        self._lock = threading.Lock()
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()
        if owned:
            # A loop holds the transports of open connections: without this they would outlive the last model.
            weakref.finalize(self, _close_soon, self._clients).atexit = False

    def here(self, make: Callable[[], Client]) -> Client:
        """Returns the client of the running loop; `make` makes one if there is none."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                for other in [other for other in self._clients if other.is_closed()]:
                    del self._clients[other]
                self._clients[loop] = make()
            return self._clients[loop]

    async def aclose(self) -> None:
        """Close the connections of all loops, unless they are the user's."""
        here = asyncio.get_running_loop()
        with self._lock:
            clients = dict(self._clients)
            self._clients.clear()  # and not another one: it is the one that is closed with this object
        for loop, client in clients.items() if self._owned else ():
            if loop is here:
                await client.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))


def _close_soon(clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Client]) -> None:
    """Close the connections of clients that nobody uses any more, each on its loop; on any thread."""
    for loop, client in list(clients.items()):
        if loop.is_running():
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(_close, client)


_closing: set[asyncio.Future[None]] = set()


def _close(client: _Closable) -> None:
    closing = asyncio.ensure_future(client.close())
    _closing.add(closing)
    closing.add_done_callback(_closing.discard)
