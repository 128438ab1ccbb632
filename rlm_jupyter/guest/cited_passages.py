"""`cite`: passages of an agent's data, and the same passages as seen from the data of another agent.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..values.codec.spans import MOST_CHARS, Span, plain_text, replace_spans, text_at, texts_of


def make_span(data: Mapping[str, Any], text: Any, start: Any, end: Any) -> Span:
    """Make a span of a text of the data.

    Args:
        data: the agent's data by the names of its variables, `context` first.
        text: one of its texts, or a part that was cut out of one.
        start: first character of the passage in `text`; or the quoted words themselves.
        end: the character behind its last one; None with quoted words.

    Raises:
        TypeError: these are not a text and two numbers.
        ValueError: the text is not in the data, or the passage is empty or not in the text.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"cite(text, start, end) takes a text of the data, not a `{type(text).__name__}`: of a dict or list of "
            "texts cite one of them, cite(context[key], start, end)."
        )
    if isinstance(start, str) and end is None:
        quoted, start = start, text.find(start)
        if start < 0:
            raise ValueError(
                f"These words are not in the text: {quoted[:80]!r}. cite(text, start, end) takes places."
            )
        end = start + len(quoted)
    if not all(hasattr(place, "__index__") for place in (start, end)):
        raise TypeError(
            "cite(text, start, end) takes two numbers of characters, as `match.start()` and `match.end()` are."
        )
    first, last, _ = slice(start, end).indices(len(text))
    if first >= last:
        raise ValueError(f"There is nothing between characters {start} and {end} of a text of {len(text):,}.")
    if last - first > MOST_CHARS:
        raise ValueError(f"A passage has at most {MOST_CHARS:,} characters: cite the sentences that say it.")
    found = _place_of(data, text)
    if found is None:
        found = _place_of(data, text[first:last])
        if found is None:
            raise ValueError(
                "That passage is not in the data, so it cannot be cited: cite(text, start, end) takes a text of "
                "`context`, or a part that was cut out of it unchanged."
            )
        variable, part, base = found
        return Span(text[first:last], variable, part, base)
    variable, part, base = found
    return Span(text[first:last], variable, part, base + first)


def _place_of(data: Mapping[str, Any], text: str) -> tuple[str, str | int | None, int] | None:
    """Returns where a text of the data is, or is a part of one: variable, part, first character."""
    for variable, part, one in _texts(data):
        if one is text:
            return variable, part, 0
    for variable, part, one in _texts(data):
        if len(one) >= len(text) and (at := one.find(text)) >= 0:
            return variable, part, at
    return None


def _texts(data: Mapping[str, Any]) -> Iterable[tuple[str, str | int | None, str]]:
    for variable, value in data.items():
        for part, text in texts_of(value):
            yield variable, part, text


def seen_from(data: Mapping[str, Any], value: Any, handed: Any) -> Any:
    """Returns what a sub-agent answered, with its spans of what it was handed as spans of this agent's data.

    Args:
        data: of this agent.
        value: the sub-agent's answer.
        handed: what it had as `context`.
    """

    def again(span: Span) -> Any:
        text = text_at(handed, span.part) if span.variable == "context" else None
        quoted = plain_text(span)
        if text is not None and text[span.start : span.end] == quoted:
            try:
                return make_span(data, text, span.start, span.end)
            except ValueError:
                return span
        return span

    return replace_spans(value, again)


def in_own_data(data: Mapping[str, Any], value: Any) -> Any:
    """Returns a value with those spans that do not stand in the data where they say found again by their words."""

    def again(span: Span) -> Any:
        quoted = plain_text(span)
        text = text_at(data.get(span.variable), span.part)
        if text is not None and text[span.start : span.end] == quoted:
            return span
        found = _place_of(data, quoted)
        return span if found is None else Span(quoted, *found)

    return replace_spans(value, again)
