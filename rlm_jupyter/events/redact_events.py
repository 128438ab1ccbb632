"""Takes secrets out of events, whatever they are called and wherever they stand, before anybody is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, get_origin

from rlm_jupyter.events import events as ev
from rlm_jupyter.settings import Limits

Redact = Callable[[str], str]

_ROLES = ("system", "user", "assistant")
_OTHER_WORDS = frozenset({"parent", "stream"})
_KEYS = frozenset(
    (
        *(
            "bytes",
            "columns",
            "content",
            "distinct",
            "dtype",
            "estimated",
            "examples",
            "fields",
            "first",
            "holds",
        ),
        *("index", "interval", "item_types", "items", "key", "key_types", "keys", "last", "length", "lines"),
        *(
            "missing",
            "mode",
            "name",
            "names",
            "nulls",
            "place",
            "preview",
            "range",
            "role",
            "rows",
            "sampled",
            "shape",
        ),
        *("kind", "label", "number", "parts", "picture", "text", "whole"),
        *("summary", "top", "truncated", "type", "types", *Limits.model_fields),
    )
)
"""Keys of descriptions, messages and limits: a secret that is such a word must not make them unreadable."""


@cache
def _fixed(kind: type[ev.Event]) -> frozenset[str]:
    """Returns the fields of an event that have one of a few fixed words, or an agent's id."""
    literal = {name for name, field in kind.model_fields.items() if get_origin(field.annotation) is Literal}
    return frozenset(literal | _OTHER_WORDS)


class Cleaner:
    """Takes secrets out of the fields of events.

    A secret that comes in two pieces of a stream is not shown either: the end of a piece that may be the beginning
    of a secret is held back until the next one comes. What is still held when the stream ends is in the whole,
    which follows.

    Args:
        redact: takes secrets out of one text; its `open_end(text)`, where it has one, says how much of the end
            of a text may be the beginning of a secret.
    """

    def __init__(self, redact: Redact) -> None:
        self.redact = redact
        self._open_end: Callable[[str], int] = getattr(redact, "open_end", lambda _text: 0)
        self._held: dict[tuple[str, str, Any, Any], str] = {}

    def fields(self, kind: type[ev.Event], agent: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Returns the fields of an event without secrets."""
        if kind is ev.ReplyDelta or kind is ev.CodeOutput:
            return self._piece(kind, agent, fields)
        fixed = _fixed(kind)
        if kind is ev.CodeFinished:
            self._forget(agent, ev.CodeOutput, fields.get("cell"))
        elif kind in (ev.ReplyFinished, ev.ReplyFailed):
            self._forget(agent, ev.ReplyDelta, fields.get("call"))
        return {name: value if name in fixed else self._clean(value) for name, value in fields.items()}

    def _piece(self, kind: type[ev.Event], agent: str, fields: dict[str, Any]) -> dict[str, Any]:
        number = fields.get("call") if kind is ev.ReplyDelta else fields.get("cell")
        key = (agent, kind.__name__, number, fields.get("stream"))
        text = self.redact(self._held.pop(key, "") + fields["text"])
        if count := self._open_end(text):
            self._held[key] = text[-count:]
            text = text[:-count]
        return {**fields, "text": text}

    def _forget(self, agent: str, kind: type[ev.Event], number: object) -> None:
        for key in [key for key in self._held if key[:3] == (agent, kind.__name__, number)]:
            del self._held[key]

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self._key(key): self._item(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._clean(item) for item in value)
        return value

    def _key(self, key: Any) -> Any:
        return key if key in _KEYS else self._clean(key)

    def _item(self, key: Any, item: Any) -> Any:
        return item if key == "role" and item in _ROLES else self._clean(item)


_AS_THEY_ARE = frozenset({"run", "agent", "kind", "png", "resumes", "continues"})
"""Fields of events that name something, or hold a picture: no values stand in them."""


def event_with_tokens(event: ev.AnyEvent, hide: Redact) -> ev.AnyEvent:
    """Returns an event with tokens in the place of hidden values."""
    fields = with_tokens(type(event), event.model_dump(by_alias=True), hide)
    return type(event).model_validate(fields)


def with_tokens(kind: type[ev.Event], fields: dict[str, Any], hide: Redact) -> dict[str, Any]:
    """Returns the fields of an event, by their aliases, with tokens in the place of hidden values.

    Args:
        kind: of the event.
        fields: as they go to a log.
        hide: puts tokens into one text.
    """
    kept = _AS_THEY_ARE | _fixed(kind)

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key if key in _KEYS or key in kept else hide(key) if isinstance(key, str) else key: (
                    item if key in kept or (key == "role" and item in _ROLES) else cleaned(item)
                )
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [cleaned(item) for item in value]
        return hide(value) if isinstance(value, str) else value

    return {name: value if name in kept else cleaned(value) for name, value in fields.items()}
