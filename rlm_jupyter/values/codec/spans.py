"""`Span`: a passage of the data, as a text that knows where it stands.

Travels as source into kernels: standard library only.

Agents' code makes one by `cite(text, start, end)`. It is a claim until the engine has compared it with the data; what
the engine found is its `place`, which never travels: whoever receives a span checks it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .container import Malformed, read_head, read_kind

MOST_CHARS = 100_000
"""Of a passage."""
MOST_SPANS = 1000
"""Of one value."""
_LONGEST_NAME = 200
_DEEPEST = 100
_INLINE = 1024


@dataclass(frozen=True)
class SpanPlace:
    """Where a passage was found in the data.

    Attributes:
        first_line: number of the line in which it begins, from 1 on.
        last_line: number of the line in which it ends.
        before: the text before it, as much as a reader needs.
        after: the text behind it.
    """

    first_line: int
    last_line: int
    before: str
    after: str


class Span(str):
    """A passage of the data: the quoted text itself, with where it stands.

    Attributes:
        variable: that holds the text it is of: ``context``.
        part: the key or number of that text, where the variable is a dict or a list of texts; None for the whole.
        start: its first character.
        end: the character behind its last one.
        place: what the engine found there; None as long as nobody has compared it with the data.
    """

    __slots__ = ("end", "part", "place", "start", "variable")

    variable: str
    part: str | int | None
    start: int
    end: int
    place: SpanPlace | None

    def __new__(
        cls,
        text: str,
        variable: str = "context",
        part: str | int | None = None,
        start: int = 0,
        place: SpanPlace | None = None,
    ) -> Span:
        """Make a span of a text that begins at a character of a variable."""
        made = super().__new__(cls, text)
        made.variable, made.part, made.place = variable, part, place
        made.start, made.end = start, start + len(text)
        return made

    @property
    def source(self) -> str:
        """The text that it is of, as code names it: ``context`` or ``context['a.txt']``."""
        return self.variable if self.part is None else f"{self.variable}[{self.part!r}]"

    @property
    def key(self) -> tuple[str, str | int | None, int, str]:
        """What tells it from other spans."""
        return self.variable, self.part, self.start, str(self)

    def __reduce__(self) -> Any:
        return Span, (str(self), self.variable, self.part, self.start)


def plain_text(span: Span) -> str:
    """Returns the words of a span as an ordinary text."""
    return str.__str__(span)


def has_spans(fd: int) -> bool:
    """Returns whether an encoded value may hold spans, by its structure alone; the descriptor stays the caller's."""
    try:
        return read_kind(fd) == "safe" and b'"span"' in read_head(fd)
    except (Malformed, OSError):
        return False


def span_form(value: Span, buffer: Callable[[Any], int]) -> list[Any]:
    """Encode a span, without its place."""
    text = plain_text(value)
    words: Any = text if len(text) <= _INLINE else buffer(text)
    return ["span", words, value.variable, value.part, value.start]


def span_of(payload: list[Any], buffer: Callable[[Any], memoryview]) -> Span:
    """Decode what `span_form` gave.

    Raises:
        Malformed: it is not of a span.
    """
    text, variable, part, start = payload
    if type(text) is int:
        text = str(buffer(text), "utf-8", "surrogatepass")
    names = (variable, part) if type(part) is str else (variable,)
    if type(text) is not str or any(type(name) is not str or len(name) > _LONGEST_NAME for name in names):
        raise Malformed("A passage of an encoded value is not made of texts.")
    if (
        type(start) is not int
        or start < 0
        or len(text) > MOST_CHARS
        or type(part) not in (str, int, type(None))
    ):
        raise Malformed("A passage of an encoded value has no place.")
    return Span(text, variable, part, start)


def spans_in(value: object) -> Iterator[Span]:
    """Yields the spans in a value: in lists, tuples, sets, and dicts of such; each object once."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Span):
            yield one
        elif isinstance(one, (list, tuple, set, frozenset, dict)) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(reversed(list(one.values() if isinstance(one, dict) else one)))


def replace_spans(value: Any, replace: Callable[[Span], Any]) -> Any:
    """Returns a value with other objects in the place of its spans; lists and dicts are changed in place."""
    return _Replacing(replace).of(value, 0)


class _Replacing:
    def __init__(self, replace: Callable[[Span], Any]) -> None:
        self._replace = replace
        self._seen: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        if isinstance(value, Span):
            return self._replace(value)
        if depth > _DEEPEST or not isinstance(value, (list, tuple, set, frozenset, dict)):
            return value
        if isinstance(value, (list, dict)):
            if id(value) not in self._seen:
                self._seen.add(id(value))
                for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
                    made = self.of(item, depth + 1)
                    if made is not item:
                        value[key] = made
            return value
        items = list(value)
        made = [self.of(item, depth + 1) for item in items]
        if all(new is old for new, old in zip(made, items, strict=True)):
            return value
        return type(value)(made) if type(value) in (tuple, set, frozenset) else value


def text_at(value: Any, part: str | int | None) -> str | None:
    """Returns the text that spans of a variable's value are of; None if there is none.

    Args:
        value: of the variable.
        part: of it.
    """
    if part is not None:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and type(part) is int and 0 <= part < len(value):
            value = value[part]
        else:
            return None
    return value if isinstance(value, str) else None


def texts_of(value: Any) -> Iterator[tuple[str | int | None, str]]:
    """Yields the texts of a variable's value that spans can be of, each with its part."""
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and (
                type(key) is int or (type(key) is str and len(key) <= _LONGEST_NAME)
            ):
                yield key, item
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            if isinstance(item, str):
                yield number, item
