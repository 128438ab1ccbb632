"""Requests by a client of the `anthropic` SDK that the user made: for other clouds, whose requests are signed.

The SDK reads the streams of all these clouds; its events are written as server-sent events again, so that one reader
(`messages_reply`) reads them all.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.models.openai.chat_replies import WireError
from rlm_jupyter.models.openai.wire import CONNECT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from anthropic import AsyncAnthropic

    from rlm_jupyter.models.openai.wire import Response, Wire

_NAMED: Final = ("model", "max_tokens", "messages", "stream")
"""Arguments of the SDK's method; all else goes along as it is."""


class GivenClient:
    """Carries the requests of one model by the user's own client, which is never closed.

    Args:
        client: of the `anthropic` SDK.
    """

    def __init__(self, client: AsyncAnthropic) -> None:
        self._client = client

    @property
    def own(self) -> bool:
        """Whether the client is made here, and is not the user's."""
        return False

    def choose(self) -> Wire:
        """Returns what carries the next request."""
        return self

    @asynccontextmanager
    async def posted(
        self, fields: dict[str, object], seconds: float, path: str = ""
    ) -> AsyncIterator[Response]:
        """Send a request; its response is then open.

        Raises:
            anthropic.AnthropicError: it was refused, or there is no connection.
        """
        import anthropic

        assert not path or path == "/messages"  # the SDK knows the address
        body = dict(fields)
        headers: Any = body.pop("extra_headers", None)
        query: Any = body.pop("extra_query", None)
        named: Any = {name: body.pop(name) for name in _NAMED if name in body}
        timeout = anthropic.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        client = self._client.with_options(max_retries=0, timeout=timeout)
        answer: Any = await client.messages.create(
            **named, extra_headers=headers, extra_query=query, extra_body=body
        )
        try:
            yield _Response(answer, streams=bool(named.get("stream")))
        finally:
            if named.get("stream"):
                await answer.close()

    async def fetched(self, url: str) -> bytes:
        """Raise: what is beside the API is not asked for by a client of the user's own.

        Raises:
            WireError: always.
        """
        raise WireError(f"`{url}` is not asked for")

    async def aclose(self) -> None:
        """Leave the user's client alone."""


class _Response:
    """An answer of the SDK, as the bytes that it was made from."""

    def __init__(self, answer: Any, *, streams: bool) -> None:
        self._answer = answer
        self._streams = streams

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": "text/event-stream" if self._streams else "application/json"}

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        if not self._streams:
            yield self._answer.to_json().encode()
            return
        async for event in self._answer:
            yield f"event: {event.type}\ndata: {event.to_json(indent=None)}\n\n".encode()
