"""Requests by aiohttp, straight to the server: one pool of connections for each server and loop.

On the engine's loop the pools live as long as the process, so that a run finds the connections of the one before
it open; those that nobody uses for half a minute at the most are closed.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from rlm_jupyter import forks
from rlm_jupyter.models.openai.certificates import certificates, check_named_certificates
from rlm_jupyter.models.openai.chat_replies import WireError
from rlm_jupyter.models.openai.loop_clients import LoopClients
from rlm_jupyter.models.openai.wire import (
    CHAT_PATH,
    CONNECT_SECONDS,
    MOST_FETCHED,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    import aiohttp
    from pydantic import SecretStr

    from rlm_jupyter.models.credentials.authorizer import Authorizer

_IDLE_SECONDS: Final = 15.0
_CONNECTIONS: Final = 1000
_MOST_REFUSAL: Final = 1 << 16
_ERRORS: Final = 400
_REDIRECTIONS: Final = 300
_LARGE: Final = 1 << 20
"""Bytes of a request from which on it is sent in pieces."""
_ACCOUNT: Final = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}

_Sessions = dict[str, "aiohttp.ClientSession"]
_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, _Sessions] = WeakKeyDictionary()
"""The pools of loops that live as long as the process, by server."""


def keep_connections(loop: asyncio.AbstractEventLoop) -> None:
    """Let all models share connections on a loop, until `close_connections`."""
    _kept[loop] = {}


async def close_connections() -> None:
    """Close the connections that are kept on the running loop; new ones can be made after it."""
    sessions = _kept.get(asyncio.get_running_loop(), {})
    closing = list(sessions.values())
    sessions.clear()
    for session in closing:
        await session.close()


class DirectWire:
    """Carries requests to one server.

    Args:
        headers: by which the server knows who asks.
        url: of the server, with neither a password nor a query.
        authorizer: of headers that each request has of its own. They hold for this server alone, so that no redirection
            is followed; nor with a key in another header than `Authorization`, which is the only one that aiohttp takes
            off on the way to another server.
    """

    def __init__(
        self, headers: Mapping[str, SecretStr], url: SecretStr, authorizer: Authorizer[Any] | None = None
    ) -> None:
        self._own_headers = headers
        self._authorizer = authorizer
        self._follows = authorizer is None and {name.lower() for name in headers} <= {"authorization"}
        self._url = url.get_secret_value().rstrip("/")
        parts = urlsplit(self._url)
        self._server = f"{parts.scheme}://{parts.netloc}"
        self._own: LoopClients[aiohttp.ClientSession] = LoopClients()

    @asynccontextmanager
    async def posted(
        self, fields: dict[str, object], seconds: float, path: str = CHAT_PATH
    ) -> AsyncIterator[_Response]:
        """Send a request; its response is then open.

        Raises:
            RefusedError: the status says so.
            SetupError: the certificates that the environment names cannot be loaded.
            ModelError: of the authorizer.
        """
        extra = cast("Mapping[str, str | None]", fields.pop("extra_headers", None) or {})
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        body = text.encode("utf-8", "replace")
        own = {**self._headers(), "Content-Type": "application/json"}
        headers = own | {name: str(value) for name, value in extra.items() if value is not None}
        headers |= await self._authorized("POST", self._url + path, body)
        async with self._session().post(
            self._address(path),
            # A stream is sent in pieces, so that other requests go on meanwhile: aiohttp sends bytes at one time.
            data=body if len(body) < _LARGE else io.BytesIO(body),
            headers=headers,
            allow_redirects=self._follows,
            timeout=_time_out(seconds),
        ) as response:
            if response.status >= (_ERRORS if self._follows else _REDIRECTIONS):
                raise RefusedError(
                    response.status, response.headers.copy(), await _beginning(response, _MOST_REFUSAL)
                )
            yield _Response(response)

    async def fetched(self, url: str) -> bytes:
        """Returns what is at an address of the same server.

        Raises:
            RefusedError: it is not there, or elsewhere: the key does not go along to where a redirection leads.
            WireError: it is too large.
        """
        headers = self._headers() | await self._authorized("GET", url, b"")
        async with self._session().get(
            url, headers=headers, allow_redirects=False, timeout=_time_out(CONNECT_SECONDS)
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise RefusedError(response.status, response.headers.copy(), b"")
            data = await _beginning(response, MOST_FETCHED + 1)
            if len(data) > MOST_FETCHED:
                raise WireError(f"more than {MOST_FETCHED:,} bytes")
            return data

    async def aclose(self) -> None:
        """Close the connections of all loops, but those that are kept."""
        await self._own.aclose()

    def _headers(self) -> dict[str, str]:
        own = {name: value.get_secret_value() for name, value in self._own_headers.items()}
        account = {header: os.environ[name] for name, header in _ACCOUNT.items() if os.environ.get(name)}
        # Accounts are OpenAI's; who is asked with a header of another name has none.
        return {"Accept": "application/json", **own, **(account if "Authorization" in own else {})}

    async def _authorized(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {} if self._authorizer is None else await self._authorizer.headers(method, url, body)

    def _address(self, path: str) -> Any:
        """Returns where a request goes; one that is signed goes to the very letters of which the signature was made."""
        if self._authorizer is None:
            return self._url + path
        from yarl import URL

        return URL(self._url + path, encoded=True)

    def _session(self) -> aiohttp.ClientSession:
        kept = _kept.get(asyncio.get_running_loop())
        if kept is None:
            return self._own.here(self._new_session)
        if self._server not in kept:
            kept[self._server] = self._new_session()
        return kept[self._server]

    def _new_session(self) -> aiohttp.ClientSession:
        return _new_session(secure=self._server.startswith("https:"))


class _Response:
    """A response of aiohttp, its body not yet read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        async for part in self._response.content.iter_any():
            yield part


def _new_session(*, secure: bool) -> aiohttp.ClientSession:
    """Make a pool of connections.

    Raises:
        SetupError: the certificates that the environment names cannot be loaded.
    """
    import aiohttp

    class Connector(aiohttp.TCPConnector):
        """Uses no connection on which something came that nobody asked for.

        A server or proxy that answers twice leaves the second answer there, where it would be taken for the answer to
        the next request, perhaps of another agent (RFC 9112, section 6.3; as seen in the wild:
        https://github.com/projectdiscovery/nuclei/pull/7671).
        """

        async def connect(self, *arguments: Any, **named: Any) -> Any:
            while True:
                connection = await super().connect(*arguments, **named)
                if connection.protocol is None or not connection.protocol.should_close:
                    return connection
                connection.close()

    if not secure:
        check_named_certificates()
    return aiohttp.ClientSession(
        connector=Connector(
            limit=_CONNECTIONS,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=certificates() if secure else True,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"rlm_jupyter/{version('rlm_jupyter')}"},
        trust_env=False,
    )


def _time_out(seconds: float) -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(total=None, sock_connect=min(seconds, CONNECT_SECONDS), sock_read=seconds)


async def _beginning(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Returns up to so many bytes of a body; what broke off is as good as its beginning."""
    import aiohttp

    data = bytearray()
    with suppress(aiohttp.ClientError):
        async for part in response.content.iter_any():
            data += part
            if len(data) >= most:
                break
    return bytes(data[:most])


def _forked() -> None:
    """Leave the connections to the parent: to close them would end its own."""
    forks.never_finalize([*_kept.values()])
    _kept.clear()


forks.call_in_child(_forked)
