"""The stream of one question: a run's events as chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from rlm_jupyter.conversation.chunks import Chunk, EventChunk, TextChunk, ValueChunk
from rlm_jupyter.conversation.exchanges import answer_text
from rlm_jupyter.conversation.reply_pieces import ReplyPieces
from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run

_ROOT = "0"


class EventQueue:
    """The events of a run for one consumer on the loop where this is made; `hear` is the run's `on_event`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[ev.AnyEvent] = asyncio.Queue()

    def hear(self, event: ev.AnyEvent) -> None:
        """Take in an event, on any thread."""
        with suppress(RuntimeError):  # the consumer's loop has ended
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def __aiter__(self) -> AsyncIterator[ev.AnyEvent]:
        """Yields the events, from the first to the run's end."""
        while True:
            event = await self._queue.get()
            yield event
            if isinstance(event, ev.RunFinished):
                return


async def run_chunks(run: Run, events: EventQueue) -> AsyncIterator[Chunk]:
    """Yields a run's events as they come, what its root's model writes as text, and its answer.

    Args:
        run: of the question.
        events: which hears the run from its first event on: pieces of replies are told once.

    Raises:
        UnsafeValueError: the answer could be decoded only by running code that an agent wrote.
    """
    replies = RootReplies()
    async for event in events:
        for chunk in replies.chunks(event):
            yield chunk
    await run
    if run.value_description is None:
        return
    value = None
    with suppress(RLMError) if run.error is not None else nullcontext():
        value = await asyncio.to_thread(lambda: run.value)
    with run.lock:
        text = answer_text(run.tree)
    yield ValueChunk(value, text, partial=run.error is not None)


class RootReplies:
    """Makes text of the replies of a run's root, whether they stream or come whole."""

    def __init__(self) -> None:
        self._turns: set[int] = set()
        self._pieces: dict[int, ReplyPieces] = {}
        self._heard: dict[int, str] = {}

    def chunks(self, event: ev.AnyEvent) -> Iterator[Chunk]:
        """Yields the chunks that an event becomes."""
        match event:
            case ev.PromptSent() if event.agent == _ROOT and event.purpose == "turn":
                self._turns.add(event.call)
            case ev.ReplyDelta() if event.call in self._turns:
                yield from self._delta(event)
                return
            case ev.ReplyFinished() if event.call in self._turns:
                yield from self._rest(event)
            case ev.ReplyFailed():
                self._turns.discard(event.call)
                self._pieces.pop(event.call, None)
                self._heard.pop(event.call, None)
            case _:
                pass
        yield EventChunk(event)

    def _delta(self, event: ev.ReplyDelta) -> Iterator[TextChunk]:
        known = self._pieces.get(event.call)
        restart = event.restart and known is not None
        if known is None or restart:
            known = self._pieces[event.call] = ReplyPieces()
            self._heard[event.call] = ""
        self._heard[event.call] += event.text
        yield from _told(known.feed(event.text), restart=restart)

    def _rest(self, event: ev.ReplyFinished) -> Iterator[TextChunk]:
        """Yields what was not told yet: not all that streams is, and a reply from the cache does not stream."""
        self._turns.discard(event.call)
        known, heard = self._pieces.pop(event.call, None), self._heard.pop(event.call, "")
        again = known is not None and not event.text.startswith(heard)
        if known is None or again:
            known, heard = ReplyPieces(), ""
        pieces = known.feed(event.text[len(heard) :])
        yield from _told([*pieces, *known.end()], restart=again)


def _told(pieces: list[tuple[str, bool]], *, restart: bool) -> Iterator[TextChunk]:
    if restart and not pieces:
        yield TextChunk("", restart=True)
    for number, (text, code) in enumerate(pieces):
        yield TextChunk(text, code, restart=restart and number == 0)
