"""Reading a response of the server into a `Reply`, and telling whether it is one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.models.failures import Failure, Kind, failure_of_error_object
from rlm_jupyter.models.wire import MOST_BYTES, EventReader, Reply, WireError, clean_text, parse_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from openai import AsyncOpenAI

_DRAIN_SECONDS: Final = 0.1


@contextlib.asynccontextmanager
async def posted(client: AsyncOpenAI, fields: dict[str, object]) -> AsyncIterator[Any]:
    """Send a request; give the SDK's response, its body not yet read.

    By the SDK's own way to endpoints that it does not know: its method for this one would walk through all messages
    and compare each with its types, which is a quarter of what a request costs.

    Args:
        client: of the SDK.
        fields: of the body, `extra_headers` and `extra_query` among them, which are none.
    """
    headers: Any = fields.pop("extra_headers", None) or {}
    options: Any = {
        "headers": {"X-Stainless-Raw-Response": "stream", **headers},
        "params": fields.pop("extra_query", None) or {},
    }
    stream: Any = fields["stream"]
    response: Any = await client.post(
        "/chat/completions", cast_to=object, body=fields, options=options, stream=stream
    )
    try:
        yield response
    finally:
        await response.close()


async def receive(
    response: Any, reply: Reply, on_delta: Callable[[str], None] | None, heard: Callable[[], None]
) -> None:
    """Read a response into `reply`; whether it is a stream, its content type tells.

    Args:
        response: the SDK's response, its body not yet read.
        reply: filled while the body arrives, so that what came is kept when the rest does not.
        on_delta: called with each piece of text.
        heard: called with each sign of life of the model.

    Raises:
        WireError: the body is no chat completion.
    """
    kind = response.headers.get("content-type", "")
    # Closed here and now: left to the garbage collector, a cancelled body ends in a warning, much later.
    async with contextlib.aclosing(response.iter_bytes()) as chunks:
        if "event-stream" in kind:
            await _read_events(chunks, reply, on_delta, heard)
        else:
            await _read_whole(chunks, reply, on_delta, kind.partition(";")[0])


def fault_of(reply: Reply) -> Failure | None:
    """Tell what is wrong with a reply that was read to its end; None where nothing is."""
    if reply.error is not None:
        return failure_of_error_object(reply.error)
    if not reply.choices:
        return Failure(Kind.MALFORMED, "a reply without choices")
    if reply.finish_reason == "error":
        return Failure(Kind.SERVER, "the reply ended with an error")
    if reply.finish_reason is None and not reply.ended:
        return Failure(Kind.BROKEN, "the reply was cut off")
    if not reply.text and not reply.tool_calls and reply.finish_reason in (None, "stop"):
        return Failure(Kind.MALFORMED, "a reply without text")
    return None


async def _read_whole(
    chunks: AsyncIterator[bytes], reply: Reply, on_delta: Callable[[str], None] | None, kind: str
) -> None:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
    try:
        text = reply.add(parse_json(bytes(data)))
    except WireError as error:
        raise WireError(f"{error} ({kind or 'no content type'}, {len(data):,} bytes)") from None
    reply.ended = True
    if text and on_delta is not None:
        on_delta(clean_text(text))


async def _read_events(
    chunks: AsyncIterator[bytes],
    reply: Reply,
    on_delta: Callable[[str], None] | None,
    heard: Callable[[], None],
) -> None:
    def take(events: Iterable[bytes]) -> None:
        for data in events:
            heard()  # comments, which only keep a connection alive, do not come this far
            if data.strip() == b"[DONE]":
                reply.ended = True
                return
            text = reply.add(parse_json(data))
            if text and on_delta is not None:
                on_delta(clean_text(text))

    reader = EventReader()
    async for chunk in chunks:
        take(reader.feed(chunk))
        if reply.ended:
            await _drain(chunks)
            return
    take(reader.end())


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the few bytes after the end mark, so that the connection can be used again."""
    with contextlib.suppress(Exception):  # the reply is complete; nothing that happens now matters
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
