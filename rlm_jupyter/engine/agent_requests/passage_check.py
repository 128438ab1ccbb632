"""Passages that an answer cites, compared with the data: what does not stand there is sent back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.errors import RLMError
from rlm_jupyter.values.codec.spans import (
    MOST_SPANS,
    Span,
    SpanPlace,
    plain_text,
    replace_spans,
    spans_in,
    text_at,
)
from rlm_jupyter.values.files.kinds import form_of
from rlm_jupyter.values.files.reading import planned_reading, read_small

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.values.store import Buffer

MOST_SOURCE_BYTES = 512 << 20
"""Of data that is decoded to compare passages with it."""
_AROUND = 300
"""Characters of the text around a passage that are kept for readers."""
_QUOTED = 80

Passages = Mapping[Any, SpanPlace]


class NotCitedError(ValueError):
    """A passage does not stand in the data; the message says which, and what to do."""


@dataclass(frozen=True)
class Sources:
    """The data that an agent's passages may stand in.

    Attributes:
        data: by the names of its variables.
        file: data that is the path of a file which the user named, and which agents read; None for all else. What an
            agent hands to a sub-agent is never opened, whatever it says of itself.
    """

    data: Mapping[str, Buffer]
    file: Buffer | None = None


def sources_of(agent: Agent) -> Sources:
    """Returns the data that an agent's passages may stand in."""
    context = agent.spec.context
    sources = {name: one.data for one in agent.spec.added for name in one.names}
    if context is not None:
        sources |= dict.fromkeys(("context", *agent.spec.names), context)
    users = context is not None and agent.spec.parent is None and context.description.get("type") == "Path"
    return Sources(sources, context if users else None)


def check_passages(buffer: Buffer, sources: Sources) -> dict[Any, SpanPlace]:
    """Compare all passages of an answer with the data.

    Args:
        buffer: the answer.
        sources: the agent's data.

    Returns:
        Where they stand, by `Span.key`.

    Raises:
        NotCitedError: one does not stand where it says, or there are too many.
        RLMError: the answer cannot be decoded.
    """
    found: dict[Any, SpanPlace] = {}
    loaded: dict[str, Any] = {}
    for number, span in enumerate(spans_in(load_received(buffer))):
        if number >= MOST_SPANS:
            raise NotCitedError(
                f"An answer cites at most {MOST_SPANS:,} passages: keep those that say it best."
            )
        if span.variable not in loaded:
            loaded[span.variable] = _load(sources, span.variable)
        found[span.key] = _place(span, loaded[span.variable])
    return found


def _load(sources: Sources, variable: str) -> Any:
    """Returns the data of a variable, or what of its files agents have in one."""
    source = sources.data.get(variable)
    if source is not None:
        if source.size > MOST_SOURCE_BYTES:
            raise NotCitedError(
                f"`{variable}` is too large for passages to be compared with it: give them as plain text, `str(span)`."
            )
        try:
            return source.load()
        except RLMError:
            return None
    return _text_of_file(sources.file.load()) if variable == "text" and sources.file is not None else None


def _text_of_file(path: Any) -> Any:
    """Returns the text of a small file that the user named; of other kinds no parser is run here."""
    try:
        if isinstance(path, Path) and planned_reading([path])[0] == "text" and form_of(path).kind == "text":
            found = read_small(path)
            return found[1] if found is not None else None
    except (OSError, ValueError):
        pass
    return None


def _place(span: Span, value: Any) -> SpanPlace:
    text = text_at(value, span.part)
    quoted = plain_text(span)
    if text is None or text[span.start : span.end] != quoted:
        raise NotCitedError(
            f"The passage {quoted[:_QUOTED]!r} does not stand at characters {span.start:,} to {span.end:,} of "
            f"`{span.source[:_QUOTED]}`. Make passages by `cite(text, start, end)` of a text of `context`, unchanged."
        )
    first = text.count("\n", 0, span.start) + 1
    last = first + quoted.removesuffix("\n").count("\n")
    before = text[max(0, span.start - _AROUND) : span.start]
    return SpanPlace(first, last, before, text[span.end : span.end + _AROUND])


def settled(value: Any, passages: Passages) -> Any:
    """Returns an answer with the places of passages that were found; all others become plain texts."""

    def settle(span: Span) -> str:
        place = passages.get(span.key)
        text = plain_text(span)
        return text if place is None else Span(text, span.variable, span.part, span.start, place)

    return replace_spans(value, settle)
