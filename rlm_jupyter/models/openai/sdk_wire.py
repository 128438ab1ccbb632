"""Requests by the `openai` SDK: through a proxy, to an address with a password, or by a client of the user's own."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlm_jupyter.errors import ModelError
from rlm_jupyter.models.openai import network_environment
from rlm_jupyter.models.openai.bounded_body import bound_body
from rlm_jupyter.models.openai.certificates import certificates
from rlm_jupyter.models.openai.chat_replies import WireError
from rlm_jupyter.models.openai.early_answers import refuse_early_answers
from rlm_jupyter.models.openai.loop_clients import LoopClients
from rlm_jupyter.models.openai.wire import CHAT_PATH, CONNECT_SECONDS, MOST_FETCHED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from openai import AsyncOpenAI
    from pydantic import SecretStr

    from rlm_jupyter.models.credentials.authorizer import Authorizer
    from rlm_jupyter.models.openai.wire import Response


class SdkWire:
    """Carries requests to one server, with a client for each loop on which a model is used.

    Args:
        headers: by which the server knows who asks; a client of the user's own has its own.
        url: of the server.
        timeout: the most seconds of silence.
        given: a client of the user's own, used alone and never closed.
        authorizer: of headers that each request has of its own; it is not asked for those of a client of the user's.
    """

    def __init__(
        self,
        headers: Mapping[str, SecretStr],
        url: SecretStr,
        timeout: float,
        given: AsyncOpenAI | None,
        authorizer: Authorizer[Any] | None = None,
    ) -> None:
        self._own_headers = headers
        self._authorizer = authorizer
        self._url = url
        self._timeout = timeout
        self._given = given
        self._clients: LoopClients[AsyncOpenAI] = LoopClients(owned=given is None)

    @asynccontextmanager
    async def posted(
        self, fields: dict[str, object], seconds: float, path: str = CHAT_PATH
    ) -> AsyncIterator[Response]:
        """Send a request; its response is then open.

        By the SDK's own way to endpoints that it does not know: its method for this one would walk through all
        messages and compare each with its types, which is a quarter of what a request costs.

        Raises:
            SetupError: no client can be made with what the environment says of proxies and certificates.
            openai.OpenAIError: it was refused, or there is no connection.
        """
        headers: Any = fields.pop("extra_headers", None) or {}
        options: Any = {
            "headers": {**self._headers(), **headers},
            "params": fields.pop("extra_query", None) or {},
            "timeout": _time_out(seconds),
        }
        stream: Any = bool(fields.get("stream"))  # some APIs say so in the path, and not in the body
        client = self._clients.here(self._make)
        response: Any = await _unwrapped(
            client.post(path, cast_to=object, body=fields, options=options, stream=stream)
        )
        try:
            yield response
        finally:
            await response.close()

    async def fetched(self, url: str) -> bytes:
        """Returns what is at an address of the same server.

        Raises:
            WireError: it is too large.
            openai.OpenAIError: it was refused, or there is no connection.
        """
        # Not to where a redirection leads: the key goes along.
        options: Any = {"headers": self._headers(), "follow_redirects": False}
        request: Any = self._clients.here(self._make).get
        response: Any = await request(url, cast_to=object, options=options, stream=False)
        try:
            data = bytearray()
            async with aclosing(response.iter_bytes()) as chunks:
                async for chunk in chunks:
                    data += chunk
                    if len(data) > MOST_FETCHED:
                        raise WireError(f"more than {MOST_FETCHED:,} bytes")
            return bytes(data)
        finally:
            await response.close()

    async def aclose(self) -> None:
        """Close the connections of all loops; those of the user's own client are left alone."""
        await self._clients.aclose()

    def _headers(self) -> dict[str, Any]:
        """Returns the headers of a request; without the SDK's own for the key, if another one carries it."""
        import openai

        own: dict[str, Any] = {}
        if self._given is None:
            own = {name: value.get_secret_value() for name, value in self._own_headers.items()}
            own.setdefault("Authorization", openai.Omit())
        return {"X-Stainless-Raw-Response": "stream", **own}

    async def _authorize(self, request: Any) -> None:
        """Add the headers that one request has of its own, as it is about to be sent.

        Raises:
            WireError: a redirection leads to another server, for which they do not hold.
        """
        if self._authorizer is None:
            return
        here = urlsplit(self._url.get_secret_value())
        there = urlsplit(str(request.url))
        if (here.scheme, here.hostname, here.port) != (there.scheme, there.hostname, there.port):
            raise WireError("a redirection to another server")
        made = await self._authorizer.headers(request.method, str(request.url), request.content)
        request.headers.update(made)

    def _make(self) -> AsyncOpenAI:
        import openai

        timeout = _time_out(self._timeout)
        if self._given is not None:
            return self._given.with_options(max_retries=0, timeout=timeout)
        return openai.AsyncOpenAI(
            api_key="none",  # the headers have it
            base_url=self._url.get_secret_value(),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                verify=certificates(),
                proxy=_proxy(self._url.get_secret_value()),
                # The HTTP library would set up every proxy of the environment, those too that do not apply here.
                trust_env=False,
                event_hooks={"request": [refuse_early_answers, self._authorize], "response": [bound_body]},
            ),
        )


async def _unwrapped(response: Any) -> Any:
    """Await a response; what `_authorize` raised is raised as it was, and not as a lost connection."""
    import openai

    try:
        return await response
    except openai.APIConnectionError as error:
        if not isinstance(error.__cause__, (ModelError, WireError)):
            raise
        cause = error.__cause__
    raise cause


def _time_out(seconds: float) -> Any:
    """Returns the SDK's time-out for that many seconds of silence; a connection comes about sooner or not at all."""
    import openai

    return openai.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def _proxy(url: str) -> str | None:
    """Returns the address of the proxy through which a server is reached.

    Raises:
        SetupError: it cannot be used.
    """
    proxy = network_environment.proxy_for(url)
    if proxy is not None and (problem := network_environment.proxy_problem(proxy, url)) is not None:
        raise network_environment.SetupError(problem)
    return None if proxy is None else proxy.url
