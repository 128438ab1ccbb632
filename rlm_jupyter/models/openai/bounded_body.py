"""A refusal is read up to a bound: the SDK reads the whole of it into memory, however much a server sends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST_REFUSAL: Final = 1 << 16
"""Bytes, as they come over the wire: compressed ones become a thousand times as many at the most."""
_MOST_OTHER: Final = 1 << 22
"""Bytes of what is neither a reply nor a refusal: the list of models."""
_ERRORS: Final = 400


async def bound_body(response: Any) -> None:
    """Cut the body of a response of httpx (an event hook) off at the bound; replies are bounded where they are read."""
    refused = response.status_code >= _ERRORS
    if not refused and response.request.method == "POST":
        return
    library = sys.modules[type(response).__module__.partition(".")[0]]  # httpx, or httpx2 of openai 3
    limit = _MOST_REFUSAL if refused else _MOST_OTHER
    stream = response.stream

    class Bounded(library.AsyncByteStream):  # type: ignore[misc, name-defined]
        """The beginning of a stream."""

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = limit
            async for part in stream:
                yield part[:left]
                left -= len(part)
                if left <= 0:
                    return

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()
