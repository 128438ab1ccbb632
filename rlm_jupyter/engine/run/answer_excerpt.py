"""What the events tell of a run's answer: a bounded part of the value, for the card that opens its tree."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.passage_check import settled
from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.values.codec.spans import has_spans
from rlm_jupyter.values.excerpt import Excerpt, excerpt

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run_answer import RunAnswer
    from rlm_jupyter.values.store import Buffer

MAX_BYTES = 8_000_000
"""Of an encoded answer that is decoded for its card: the end of a run waits for it. Of larger ones the description
tells."""
MAX_MAPPED_BYTES = 64_000_000
"""The same for texts, tables and arrays, which are not decoded item by item."""
_MAPPED = ("str", "bytes", "DataFrame", "Series", "ndarray", "Table")


async def excerpt_of(answer: RunAnswer) -> tuple[dict[str, Any] | None, tuple[ev.CellPicture, ...]]:
    """Returns a part of an answer as data, and its pictures.

    None if there is no answer, or none that is small and can be decoded without running an agent's code.
    """
    encoded = answer.encoded
    if encoded is None or encoded.closed:
        return None, ()
    if encoded.size > (MAX_MAPPED_BYTES if encoded.description.get("type") in _MAPPED else MAX_BYTES):
        return None, ()
    made = await in_thread(_read, encoded)
    if made is None:
        return None, ()
    return {**made.part, "whole": made.whole}, tuple(map(_picture, made.pictures))


def _read(encoded: Buffer) -> Excerpt | None:
    try:
        cites = has_spans(encoded.fd)
        value = encoded.load()
        return excerpt(settled(value, encoded.passages) if cites else value)
    except RLMError:
        return None
    except (
        Exception
    ):  # of a library, about a value that nobody foresaw: the card makes do with the description
        return None


def _picture(png: bytes) -> ev.CellPicture:
    width, height = struct.unpack(">II", png[16:24])
    return ev.CellPicture(summary="", width=width, height=height, png=base64.b64encode(png).decode())
