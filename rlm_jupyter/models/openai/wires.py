"""Chooses what carries the requests of one model: an HTTP client of ours, or the SDK's where ours cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlm_jupyter.models.openai import network_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI
    from pydantic import SecretStr

    from rlm_jupyter.models.credentials.authorizer import Authorizer
    from rlm_jupyter.models.openai.wire import Wire


class Wires:
    """Chooses what carries the requests of one model.

    The HTTP client of ours takes a fifth of the processor's time that the SDK's takes for a request, and a third of
    its time to be imported. It goes straight to the server; what needs a proxy, puts a password into the address or
    has a client of its own (`given`) is left to the SDK.

    Args:
        headers: by which the server knows who asks.
        url: of the server.
        timeout: the most seconds of silence.
        given: a client of the user's own, never closed.
        plain: whether requests have nothing but a body and headers.
        authorizer: of headers that each request has of its own.
    """

    def __init__(
        self,
        headers: Mapping[str, SecretStr],
        url: SecretStr,
        timeout: float,
        given: AsyncOpenAI | None,
        *,
        plain: bool,
        authorizer: Authorizer[Any] | None = None,
    ) -> None:
        self._headers, self._url, self._timeout, self._given = headers, url, timeout, given
        self._authorizer = authorizer
        parts = urlsplit(url.get_secret_value())
        self._direct = plain and given is None and "@" not in parts.netloc and not parts.query
        self._wire: Wire | None = None

    @property
    def own(self) -> bool:
        """Whether the client is made here, and is not the user's."""
        return self._given is None

    def choose(self) -> Wire:
        """Returns what carries the next request; chosen once, by what the environment then says of proxies."""
        if self._wire is None:
            url = self._url.get_secret_value()
            if self._direct and network_environment.proxy_for(url) is None:
                from rlm_jupyter.models.openai.direct_wire import DirectWire

                self._wire = DirectWire(self._headers, self._url, self._authorizer)
            else:
                from rlm_jupyter.models.openai.sdk_wire import SdkWire

                self._wire = SdkWire(self._headers, self._url, self._timeout, self._given, self._authorizer)
        return self._wire

    async def aclose(self) -> None:
        """Close the connections; those of the user's own client are left alone."""
        if self._wire is not None:
            await self._wire.aclose()
