"""The passages on which an answer rests, named by the source's handle and its lines."""

from __future__ import annotations

from itertools import islice
from typing import Any

from rlm_jupyter.mcp_server.asked_runs import AskedRun
from rlm_jupyter.mcp_server.text_reading import span_name
from rlm_jupyter.text.shorten import cut_middle
from rlm_jupyter.values.codec.spans import plain_text, spans_in

MOST_PASSAGES = 50
_LONGEST = 300
_WHOLE = ("context", "text")


def passages_of(value: Any, asked: AskedRun) -> list[dict[str, Any]]:
    """Returns the passages that an answer cites and that the engine has found in the source.

    Args:
        value: the answer.
        asked: the run.
    """
    found: dict[Any, dict[str, Any]] = {}
    for span in spans_in(value):
        if span.place is None or span.part is not None or span.variable not in _WHOLE:
            continue
        name = span_name(asked.handle, span.place.first_line, span.place.last_line)
        found[span.key] = {"span": name, "text": str(cut_middle(plain_text(span), _LONGEST))}
    return list(islice(found.values(), MOST_PASSAGES))
