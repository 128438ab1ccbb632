"""The SDK's clients of one model: some for each loop, so that many requests at once stay cheap."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from rlm_jupyter.models.openai import network_environment
from rlm_jupyter.models.openai.bounded_body import bound_body
from rlm_jupyter.models.openai.early_answers import refuse_early_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai import AsyncOpenAI
    from pydantic import SecretStr

_CONNECT_SECONDS: Final = 15.0
_SHARE: Final = 25
_MOST: Final = 8


class Clients:
    """Clients for the loops on which a model is used.

    A connection pool looks at each of its connections for each of its requests, so that 200 requests at once
    cost 40,000 looks. Requests are spread over pools of about 25 instead; one at a time always use the same.

    Args:
        key: of the server.
        url: of the server.
        timeout: the most seconds of silence.
        given: a client of the user's own, used alone and never closed.
    """

    def __init__(self, key: SecretStr, url: SecretStr, timeout: float, given: AsyncOpenAI | None) -> None:
        self._key = key
        self._url = url
        self._timeout = timeout
        self._given = given
        self._lock = threading.Lock()
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shards] = WeakKeyDictionary()
        if given is None:
            # A loop holds the transports of open connections: without this they would outlive the last model.
            weakref.finalize(self, _close_soon, self._loops).atexit = False

    @property
    def own(self) -> bool:
        """Whether the clients are made here, and not the user's."""
        return self._given is None

    @contextmanager
    def borrow(self) -> Iterator[AsyncOpenAI]:
        """Yields a client for one request on the running loop.

        Raises:
            SetupError: none can be made with what the environment says of proxies and certificates.
        """
        shards = self._here()
        place = next((i for i, busy in enumerate(shards.busy) if busy < _SHARE), None)
        if place is None:
            if len(shards.clients) < (_MOST if self._given is None else 1):
                shards.clients.append(self._make(shards))
                shards.busy.append(0)
                place = len(shards.clients) - 1
            else:
                place = shards.busy.index(min(shards.busy))
        shards.busy[place] += 1
        try:
            yield shards.clients[place]
        finally:
            shards.busy[place] -= 1

    async def aclose(self) -> None:
        """Close the connections of all loops; those of the user's own client are left alone."""
        here = asyncio.get_running_loop()
        with self._lock:
            loops = dict(self._loops)
            self._loops.clear()  # and not another one: it is the one that is closed with this object
        for loop, shards in loops.items():
            for client in shards.clients if self._given is None else ():
                if loop is here:
                    await client.close()
                elif loop.is_running():
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))

    def _here(self) -> _Shards:
        loop = asyncio.get_running_loop()
        with self._lock:
            shards = self._loops.get(loop)
            if shards is None:
                for other in [other for other in self._loops if other.is_closed()]:
                    del self._loops[other]
                shards = self._loops[loop] = _Shards()
            return shards

    def _make(self, shards: _Shards) -> AsyncOpenAI:
        import openai

        timeout = time_out(self._timeout)
        if self._given is not None:
            return self._given.with_options(max_retries=0, timeout=timeout)
        if shards.certificates is None:
            shards.certificates = _certificates(openai.DefaultAsyncHttpxClient)
        made = openai.AsyncOpenAI(
            api_key=self._key.get_secret_value(),
            base_url=self._url.get_secret_value(),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                verify=shards.certificates,
                proxy=_proxy(self._url.get_secret_value()),
                # The HTTP library would set up every proxy of the environment, those too that do not apply here.
                trust_env=False,
                event_hooks={"request": [refuse_early_answers], "response": [bound_body]},
            ),
        )
        # What each request until the first answer of a client would look up on a thread of its own.
        platform = next((vars(c)["_platform"] for c in shards.clients if vars(c).get("_platform")), None)
        if platform is not None:
            vars(made)["_platform"] = platform
        return made


def time_out(seconds: float) -> Any:
    """Returns the SDK's time-out for that many seconds of silence; a connection comes about sooner or not at all."""
    import openai

    return openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def _close_soon(loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shards]) -> None:
    """Close the connections of clients that nobody uses any more, each on its loop; on any thread."""
    for loop, shards in list(loops.items()):
        if loop.is_running():
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(_close_all, shards)


def _close_all(shards: _Shards) -> None:
    for client in shards.clients:
        closing = asyncio.ensure_future(client.close())
        shards.closing.add(closing)
        closing.add_done_callback(shards.closing.discard)


class _Shards:
    """The clients of one loop, and how many requests each is busy with."""

    def __init__(self) -> None:
        self.clients: list[AsyncOpenAI] = []
        self.busy: list[int] = []
        self.closing: set[asyncio.Future[None]] = set()
        self.certificates: Any = None


def _proxy(url: str) -> str | None:
    """Returns the address of the proxy through which a server is reached.

    Raises:
        SetupError: it cannot be used.
    """
    proxy = network_environment.proxy_for(url)
    if proxy is not None and (problem := network_environment.proxy_problem(proxy, url)) is not None:
        raise network_environment.SetupError(problem)
    return None if proxy is None else proxy.url


def _certificates(client: type) -> Any:
    """Load the certificates that servers are checked with.

    Raises:
        SetupError: those that the environment names cannot be loaded.
    """
    if (problem := network_environment.certificate_problem()) is not None:
        raise network_environment.SetupError(problem)
    try:
        return http_library(client).create_ssl_context()
    except OSError as error:  # `ssl.SSLError` is one
        name = next((name for name in ("SSL_CERT_FILE", "SSLKEYLOGFILE") if os.environ.get(name)), None)
        if name is None:
            raise
        raise network_environment.SetupError(network_environment.unread_certificates(name, error)) from None


def http_library(client: type) -> Any:
    """Returns the library that the SDK stands on: httpx for openai 2, httpx2 for openai 3.

    Its certificates are read once and shared: reading them is what a new client takes its time for.
    """
    base = next(base for base in client.__mro__ if base.__name__ == "AsyncClient")
    return sys.modules[base.__module__.partition(".")[0]]
