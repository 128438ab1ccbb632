"""Small JSON answers of servers that nobody vouches for: bounded in time and bytes, never redirected or unpacked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

SECONDS = 1.0
"""What one answer may take: a server on the same machine needs a few milliseconds."""
_MOST_BYTES: Final = 1 << 20
_OK: Final = 200


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of the HTTP response; 0 if none came in time.
        body: the decoded JSON of a good response; None if there is none that can be used.
    """

    status: int = 0
    body: Any = None


class JsonClient:
    """An HTTP client for such answers. Use it in `async with`, on one loop.

    It goes straight to the address: a proxy of the environment would take the question elsewhere.
    """

    def __init__(self) -> None:
        self._client: Any = None

    async def __aenter__(self) -> Self:
        import aiohttp  # not at the top: nothing that loads at the start of a notebook needs it

        self._client = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(SECONDS),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(self, url: str, key: str = "") -> Answer:
        """Returns what a server answers to a GET; never raises for what a server does."""
        return await self._ask("GET", url, None, key)

    async def post(self, url: str, body: object, key: str = "") -> Answer:
        """Returns what a server answers to a POST of JSON; never raises for what a server does."""
        return await self._ask("POST", url, body, key)

    async def _ask(self, method: str, url: str, body: object, key: str) -> Answer:
        # A password in the address is sent in the same header, in the place of the key.
        headers = {"Authorization": f"Bearer {key}"} if key and "@" not in urlsplit(url).netloc else {}
        status = 0
        data = bytearray()
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._client.request(
                    method, url, json=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                status = response.status
                if status != _OK or response.headers.get("content-encoding", "identity") != "identity":
                    return Answer(status)
                async for part in response.content.iter_any():
                    data += part
                    if len(data) > _MOST_BYTES:
                        return Answer(status)
            return Answer(status, json.loads(data))
        except asyncio.CancelledError:
            raise
        except Exception:  # no server, no HTTP, no JSON, JSON that is too deep: there is nothing to be read
            return Answer(status)
