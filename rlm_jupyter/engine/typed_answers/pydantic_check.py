"""Checks values by pydantic, in pieces: it holds the interpreter while it works, and finds all mistakes that there are.

A list of a million texts where numbers were asked for costs it a second and a gigabyte, and to write its million
mistakes down another ten, in which no other agent and no button of the notebook gets its turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

Mistake = tuple[tuple[int | str, ...], str]
"""Where in a value, and what is wrong there."""

PIECE: Final = 20_000
"""Parts of a value that are checked in one call."""
MOST_PARTS: Final = 1_000_000
"""Parts of a value that cannot be checked in pieces."""

_MOST_TOLD: Final = 1_000
_MOST_DEPTH = 1_000
_SHOWN_ENTRIES = 10
_SHOWN_DEPTH = 4


class TooLargeError(ValueError):
    """A value has more parts than can be checked."""


class MistakesError(ValueError):
    """A value is not of the type.

    Attributes:
        mistakes: the first of them.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes[0][1] if mistakes else "it does not match")
        self.mistakes = mistakes


def validated(adapter: TypeAdapter[Any], value: object) -> Any:
    """Return a value as an instance of a type.

    Args:
        adapter: of the type.
        value: anything.

    Raises:
        MistakesError: it is none.
        TooLargeError: it has too many parts to be looked at.
    """
    from pydantic import ValidationError

    if count_parts(value, PIECE) > PIECE:
        _check_pieces(adapter, value)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise MistakesError(_mistakes(adapter, value, error)) from None


def count_parts(value: object, most: int) -> int:
    """Return how many values a value holds, itself included.

    Where they are more than `most`, or lie deeper than any type asks for, it is more than `most`.
    """
    todo, count = [iter([value])], 0
    while todo and count <= most:
        if len(todo) > _MOST_DEPTH:
            return most + 1
        item = next(todo[-1], todo)
        if item is todo:
            todo.pop()
            continue
        count += 1
        if isinstance(item, dict):
            todo.append(iter(item.values()))
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo.append(iter(item))
    return count


def _check_pieces(adapter: TypeAdapter[Any], value: object) -> None:
    """Look for mistakes piece by piece where a type's parts do not depend on each other."""
    from pydantic import ValidationError

    if (isinstance(value, list) and _kind(adapter) == "list") or (
        isinstance(value, dict) and _kind(adapter) == "dict"
    ):
        for piece, start in _pieces(value):
            try:
                adapter.validate_python(piece)
            except ValidationError as error:
                # A piece may be too short for the type; that tells nothing of the whole.
                found = [(loc, said) for loc, said in _mistakes(adapter, piece, error) if loc]
                if found:
                    raise MistakesError([(_moved(loc, start), said) for loc, said in found]) from None
    elif count_parts(value, MOST_PARTS) > MOST_PARTS:
        raise TooLargeError(
            f"value: it has more than {MOST_PARTS:,} parts, too many for this type; ask for a table"
        )


def _kind(adapter: TypeAdapter[Any]) -> str:
    schema: Any = adapter.core_schema
    while schema.get("type") == "definitions":
        schema = schema["schema"]
    return str(schema.get("type"))


def _pieces(value: list[Any] | dict[Any, Any]) -> Iterator[tuple[Any, int]]:
    """Cut a list or a dict into pieces of a bounded number of parts; of a list's, tell where it begins."""
    entries = iter(value.items() if isinstance(value, dict) else enumerate(value))
    piece: list[tuple[Any, Any]] = []
    parts = 0
    for entry in entries:
        size = count_parts(entry[1], MOST_PARTS)
        if size > MOST_PARTS:
            raise TooLargeError(f"{entry[0]!s:.60}: it has more than {MOST_PARTS:,} parts; ask for a table")
        if piece and parts + size > PIECE:
            yield _rebuilt(value, piece)
            piece, parts = [], 0
        piece.append(entry)
        parts += size
    if piece:
        yield _rebuilt(value, piece)


def _rebuilt(value: object, piece: list[tuple[Any, Any]]) -> tuple[Any, int]:
    return (dict(piece), 0) if isinstance(value, dict) else ([item for _, item in piece], piece[0][0])


def _moved(loc: tuple[int | str, ...], start: int) -> tuple[int | str, ...]:
    return (loc[0] + start, *loc[1:]) if start and isinstance(loc[0], int) else loc


def _mistakes(adapter: TypeAdapter[Any], value: object, error: ValidationError) -> list[Mistake]:
    """Return mistakes; of very many only those that a cut of the value has too."""
    from pydantic import ValidationError

    count = error.error_count()
    if count <= _MOST_TOLD:
        return errors_of(error)
    shown: list[Mistake] = []
    try:
        adapter.validate_python(_cut(value, _SHOWN_DEPTH))
    except ValidationError as smaller:
        if smaller.error_count() <= _MOST_TOLD:
            shown = [(loc, said) for loc, said in errors_of(smaller) if loc]
    return [((), f"it has {count:,} mistakes"), *shown]


def errors_of(error: ValidationError) -> list[Mistake]:
    """Return all mistakes that an error of pydantic tells of."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [(one["loc"], one["msg"]) for one in found]


def _cut(value: object, depth: int) -> object:
    """Return a value with the first entries of its containers only."""
    if not depth:
        return value
    if isinstance(value, dict):
        return {key: _cut(item, depth - 1) for key, item in islice(value.items(), _SHOWN_ENTRIES)}
    if isinstance(value, (list, tuple)):
        return [_cut(item, depth - 1) for item in value[:_SHOWN_ENTRIES]]
    return value
