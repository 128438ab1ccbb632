"""What carries requests to a server (`direct_wire`, `sdk_wire`; chosen by `wires`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from contextlib import AbstractAsyncContextManager


CHAT_PATH: Final = "/chat/completions"
CONNECT_SECONDS: Final = 15.0
MOST_FETCHED: Final = 1 << 20
"""Bytes of an answer that is not a reply, such as the list of models."""


class Response(Protocol):
    """A response of the server, its body not yet read."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""

    def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yields the body as it comes, unpacked."""


class Wire(Protocol):
    """Carries requests to one server."""

    def posted(
        self, fields: dict[str, object], seconds: float, path: str = CHAT_PATH
    ) -> AbstractAsyncContextManager[Response]:
        """Send a request; its response is then open.

        Args:
            fields: of the body; `extra_headers` and `extra_query` among them are taken out.
            seconds: the most that the connection may be silent.
            path: below the base URL.
        """

    async def fetched(self, url: str) -> bytes:
        """Returns what is at an address of the same server, without following a redirection.

        Raises:
            WireError: it is too large.
        """

    async def aclose(self) -> None:
        """Close the connections; the wire can be used again after it."""


class WireChoice(Protocol):
    """Chooses what carries the requests of one model (`wires`, or a client of the user's own)."""

    @property
    def own(self) -> bool:
        """Whether the client is made here, and is not the user's."""

    def choose(self) -> Wire:
        """Returns what carries the next request."""

    async def aclose(self) -> None:
        """Close the connections; those of the user's own client are left alone."""


class RefusedError(Exception):
    """The server answered with a status of 400 or more.

    Attributes:
        status_code: of HTTP.
        headers: of the answer.
        body: its beginning.
    """

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status_code)
        self.status_code, self.headers, self.body = status_code, headers, body
