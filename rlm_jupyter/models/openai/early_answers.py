"""A response that is there before its request was sent is none to it.

A server or proxy that answers twice leaves the second answer in the connection's buffer, where an HTTP library
takes it for the answer to the next request, perhaps of another agent (RFC 9112, section 6.3; as seen in the wild:
https://github.com/projectdiscovery/nuclei/pull/7671). httpx sees bytes that still wait in the socket, but not
those that it has read together with the first answer.
"""

from __future__ import annotations

import asyncio
from typing import Any


async def refuse_early_answers(request: Any) -> None:
    """Watch a request of httpx (an event hook), so that an answer that did not come by the network is refused.

    The connection is then closed, and the request fails as one whose connection was lost: it is sent again.
    """
    request.extensions = {**request.extensions, "trace": _Watch()}


class _Watch:
    """Follows one request: reading from the network takes at least one step of the loop, reading a buffer none."""

    def __init__(self) -> None:
        self._stepped = False

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        if event.endswith("receive_response_headers.started"):
            self._stepped = False
            asyncio.get_running_loop().call_soon(self._step)
        elif event.endswith("receive_response_headers.complete") and not self._stepped:
            raise ConnectionError("an answer was there before the request was sent")

    def _step(self) -> None:
        self._stepped = True
