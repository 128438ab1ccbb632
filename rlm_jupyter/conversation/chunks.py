"""What a conversation streams: pieces of the reply, events of the run, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rlm_jupyter.events.events import AnyEvent


@dataclass(frozen=True)
class TextChunk:
    """A piece of what the root's model writes, as it comes.

    Attributes:
        text: the piece; the lines that begin and end a block of code are in none.
        code: whether it is code, and not prose.
        restart: whether the reply begins anew with this piece, since the request was sent again: what came of that
            reply before is void.
    """

    text: str
    code: bool = False
    restart: bool = False


@dataclass(frozen=True)
class EventChunk:
    """Something that happened, such as an agent that started or a cell that ended.

    Attributes:
        event: as in the run's log.
    """

    event: AnyEvent


@dataclass(frozen=True)
class ValueChunk:
    """The answer, or what there is of one when the question ended early; the last piece of a stream.

    Attributes:
        value: as an object of this process.
        text: the same as a person reads it.
        partial: whether the question ended before the answer was whole; then the stream raises why.
    """

    value: Any
    text: str
    partial: bool = False


Chunk: TypeAlias = TextChunk | EventChunk | ValueChunk
"""What `Chat.send` yields."""
