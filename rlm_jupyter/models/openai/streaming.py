"""Reading a response of the server into a `Reply`, and telling whether it is one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.openai.chat_replies import (
    MOST_BYTES,
    EventData,
    EventReader,
    Reply,
    WireError,
    clean_text,
)
from rlm_jupyter.models.openai.error_body import page_title
from rlm_jupyter.models.openai.failures import Failure, Kind, failure_of_error_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from rlm_jupyter.models.openai.wire import Response

_DRAIN_SECONDS: Final = 0.1
_EXCERPT: Final = 120


async def receive(
    response: Response, reply: Reply, on_delta: Callable[[str], None] | None, heard: Callable[[], None]
) -> None:
    """Read a response into `reply`; whether it is a stream, its first bytes tell, and not what a proxy calls it.

    Args:
        response: of the server, its body not yet read.
        reply: filled while the body arrives, so that what came is kept when the rest does not.
        on_delta: called with each piece of text.
        heard: called with each sign of life of the model.

    Raises:
        WireError: the body is not a chat completion.
    """
    kind = response.headers.get("content-type", "")
    # Closed here and now: left to the garbage collector, a cancelled body ends in a warning, much later.
    async with contextlib.aclosing(response.iter_bytes()) as chunks:
        begin = await _beginning(chunks)
        if _is_stream(begin, kind):
            await _read_events(begin, chunks, reply, on_delta, heard)
        else:
            await _read_whole(begin, chunks, reply, on_delta, kind.partition(";")[0])


def fault_of(reply: Reply) -> Failure | None:
    """Returns what is wrong with a reply that was read to its end; None if nothing is."""
    error = reply.error
    if error is None and not reply.choices:
        error = reply.complaint
    if error is not None:
        return failure_of_error_object(error)
    ended_well = reply.finish_reason in (None, "stop")
    failure = None
    if not reply.choices:
        failure = Failure(Kind.MALFORMED, "a reply without choices")
    elif reply.finish_reason == "error":
        failure = Failure(Kind.SERVER, "the reply ended with an error")
    elif reply.finish_reason is None and not reply.ended:
        failure = Failure(Kind.BROKEN, "the reply was cut off")
    elif reply.blank and not reply.tool_calls and ended_well:
        failure = Failure(Kind.THOUGHTS) if reply.thoughts else Failure(Kind.EMPTY, "a reply without text")
    return failure


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """Read until it can be told what comes; servers send blanks to keep a connection alive."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
        if len(chunk.strip()) and len(_stripped(data)) >= len(b"event:"):
            break
    return bytes(data)


def _stripped(data: bytes | bytearray) -> bytes:
    return bytes(data).lstrip().removeprefix(b"\xef\xbb\xbf").lstrip()


def _is_stream(begin: bytes, kind: str) -> bool:
    begin = _stripped(begin)
    if begin.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    return "event-stream" in kind and not begin.startswith((b"{", b"[", b"<"))


async def _read_whole(
    begin: bytes,
    chunks: AsyncIterator[bytes],
    reply: Reply,
    on_delta: Callable[[str], None] | None,
    kind: str,
) -> None:
    data = bytearray(begin)
    async for chunk in chunks:
        data += chunk
        if len(data) > MOST_BYTES:
            raise WireError(f"more than {MOST_BYTES:,} bytes")
    try:
        text = reply.add_whole(bytes(data))
    except WireError as error:
        said = _excerpt(data)
        raise WireError(f"{error} ({kind or 'no content type'}, {len(data):,} bytes){said}") from None
    reply.ended = True
    if text and on_delta is not None:
        on_delta(clean_text(text))


def _excerpt(data: bytearray) -> str:
    """Returns the words of a body that is not JSON: of a page its title, of a short text the text."""
    text = clean_text(data[:4096].decode("utf-8", "replace")).strip()
    if text.startswith("<"):
        text = page_title(text)
    return f": {text[:_EXCERPT]}" if text and not text.startswith(("{", "[", "<")) else ""


async def _read_events(
    begin: bytes,
    chunks: AsyncIterator[bytes],
    reply: Reply,
    on_delta: Callable[[str], None] | None,
    heard: Callable[[], None],
) -> None:
    def take(events: Iterable[EventData]) -> None:
        for data in events:
            text = reply.add_event(data)
            heard()  # comments, which only keep a connection alive, do not come this far
            if reply.ended:
                return
            if text and on_delta is not None:
                on_delta(clean_text(text))

    reader = EventReader()
    take(reader.feed(begin))
    async for chunk in _unless(reply, chunks):
        take(reader.feed(chunk))
    if reply.ended:
        await _drain(chunks)
    else:
        take(reader.end())


async def _unless(reply: Reply, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks up to the end mark."""
    while not reply.ended:
        try:
            yield await anext(chunks)
        except StopAsyncIteration:
            return


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the few bytes after the end mark, so that the connection can be used again."""
    with contextlib.suppress(Exception):  # the reply is complete; nothing that happens now matters
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
