"""JSON Schemas, read without believing them: what they say is checked before anything is done with it.

A schema may be an agent's, and so hostile. The validators that there are fetch what a `$ref` names, over the network
or from the disk, match patterns by backtracking, and write whole values into their messages. Here nothing but
`#...` within the schema itself is followed, and size, depth and work are bounded. What is read is checked against
values in `json_check`. The dialect is 2020-12; `format` is a remark, as that dialect has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from rlm_jupyter.engine.typed_answers.bounded_patterns import Pattern, PatternError

Schema = dict[str, Any] | bool
"""A schema or a part of one."""

TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")

_ONE: Final = frozenset(
    {
        "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
"""Keywords whose value is a schema."""
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_DICTS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_COUNTS: Final = frozenset(
    {
        "maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength",
        "minProperties",
    }
)  # fmt: skip
_NUMBERS: Final = frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"})
_TEXTS: Final = frozenset(
    {"$anchor", "$comment", "$dynamicAnchor", "$schema", "description", "pattern", "title"}
)
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST_BITS: Final = 20_000


class SchemaError(ValueError):
    """It is not a schema that can be used.

    Attributes:
        place: where, such as `$.properties.name`.
    """

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Bounds:
    """What a schema may be, and what a check by it may take.

    Attributes:
        trusted: whether the user wrote the schema.
        chars: of all its texts together.
        parts: of its JSON: values, keys not counted.
        depth: of its JSON.
        seconds: that reading it, or one check, may take.
    """

    trusted: bool
    chars: int
    parts: int
    depth: int
    seconds: float


OF_AGENTS: Final = Bounds(trusted=False, chars=200_000, parts=20_000, depth=64, seconds=5.0)
"""Of schemas that agents' code made."""
OF_USERS: Final = Bounds(trusted=True, chars=20_000_000, parts=2_000_000, depth=200, seconds=120.0)
"""Of the user's own: so much that nobody meets it but by mistake."""


class JsonSchema:
    """A schema that was read.

    Args:
        source: the schema.
        bounds: what it may be.

    Attributes:
        source: the schema itself.
        patterns: its regular expressions by their text.
        tracks: whether it asks which parts of a value other keywords have looked at (`unevaluated...`).

    Raises:
        SchemaError: it is none, refers to something outside of itself, or passes a bound.
    """

    def __init__(self, source: Schema, bounds: Bounds) -> None:
        self.source = source
        self.bounds = bounds
        self.patterns: dict[str, Pattern] = {}
        self.tracks = False
        self._targets: dict[str, Schema] = {}
        self._anchors: dict[str, Schema] = {}
        self._references: list[tuple[str, str]] = []
        self._seen: set[int] = set()
        self._deadline = time.monotonic() + bounds.seconds
        _measure(source, bounds)
        self._read(source, "$")
        while self._references:
            place, reference = self._references.pop()
            if reference not in self._targets:
                self._targets[reference] = target = self._find(place, reference)
                self._read(target, reference)

    def target(self, reference: str) -> Schema:
        """Return what a reference of the schema stands for."""
        return self._targets[reference]

    def _read(self, schema: object, place: str) -> None:
        """Check one schema and those in it."""
        if isinstance(schema, bool) or id(schema) in self._seen:
            return
        if not isinstance(schema, dict):
            raise SchemaError(place, f"a schema is due, not {short(schema)}")
        self._seen.add(id(schema))
        if time.monotonic() > self._deadline:
            raise SchemaError(place, f"to read the schema takes longer than {self.bounds.seconds:g} s")
        for keyword, value in schema.items():
            where = f"{place}.{keyword:.60}"
            self._read_keyword(schema, keyword, value, where)
            for inner, name in _parts(keyword, value, where):
                if keyword == "patternProperties":
                    self._pattern(name, where)
                self._read(inner, f"{where}.{name:.60}" if name else where)
        self.tracks |= "unevaluatedItems" in schema or "unevaluatedProperties" in schema

    def _read_keyword(self, schema: dict[str, Any], keyword: str, value: Any, where: str) -> None:
        if (check := _CHECKS.get(keyword)) is not None:
            check(value, where)
        if keyword in _REFERENCES:
            self._references.append((where, _own_reference(value, where)))
        elif keyword == "$id" and where != "$.$id":
            raise SchemaError(where, "an inner schema with an `$id` of its own is not supported")
        elif keyword in ("$anchor", "$dynamicAnchor"):
            self._anchors[value] = schema
        elif keyword == "pattern":
            self._pattern(value, where)

    def _pattern(self, source: str, place: str) -> None:
        if source in self.patterns:
            return
        try:
            self.patterns[source] = Pattern(source, trusted=self.bounds.trusted)
        except PatternError as error:
            raise SchemaError(place, f"the pattern {short(source)} cannot be used: {error}") from None

    def _find(self, place: str, reference: str) -> Schema:
        found: object = self.source
        name = unquote(reference[1:])
        if name and not name.startswith("/"):
            if name not in self._anchors:
                raise SchemaError(place, f"the schema has no anchor {short(reference)}")
            return self._anchors[name]
        for part in name.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and len(key) < 7 and int(key) < len(found):  # noqa: PLR2004 - lists are shorter
                found = found[int(key)]
            else:
                found = None
        if not isinstance(found, (dict, bool)):
            raise SchemaError(place, f"{short(reference)} leads to nothing in the schema")
        return found


def _own_reference(value: object, place: str) -> str:
    """Return a reference that stays within the schema."""
    if not isinstance(value, str):
        raise SchemaError(place, f"a reference must be a text, not {short(value)}")
    if not value.startswith("#"):
        raise SchemaError(
            place,
            f"{short(value)} refers to something outside of the schema, and nothing is fetched or opened for one: "
            "put it under `$defs` and refer to it as `#/$defs/name`",
        )
    return value


def _parts(keyword: str, value: Any, place: str) -> Iterator[tuple[object, str]]:
    """Return the schemas that stand under a keyword, with their names there."""
    if keyword in _ONE:
        yield value, ""
    elif keyword in _LISTS:
        if not isinstance(value, list) or not (value or keyword == "prefixItems"):
            raise SchemaError(place, f"a list of schemas is due, not {short(value)}")
        yield from ((inner, str(number)) for number, inner in enumerate(value))
    elif keyword in _DICTS:
        if not isinstance(value, dict):
            raise SchemaError(place, f"an object of schemas is due, not {short(value)}")
        yield from ((inner, name) for name, inner in value.items())


def _measure(source: object, bounds: Bounds) -> None:
    """Refuse a schema that is too large, too deep, or no JSON, without recursion."""
    todo: list[tuple[object, int]] = [(source, 1)]
    parts = chars = 0
    while todo:
        value, depth = todo.pop()
        parts += 1
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise SchemaError("$", "it has a key that is not text")
            chars += sum(map(len, value))
            todo += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            chars += len(value)
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise SchemaError("$", f"it holds {short(value)}, which is too large")
        elif value is not None and not isinstance(value, (int, float)):
            raise SchemaError("$", f"it holds a `{type(value).__name__}`, which JSON does not have")
        for what, amount, most in (
            ("characters", chars, bounds.chars),
            ("parts", parts + len(todo), bounds.parts),
            ("levels", depth, bounds.depth),
        ):
            if amount > most:
                raise SchemaError("$", f"it is too large: more than {most:,} {what}")


# ---- what the values of keywords must be


def _expect(kind: type | tuple[type, ...], what: str) -> Callable[[object, str], None]:
    def check(value: object, place: str) -> None:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SchemaError(place, f"{what} is due, not {short(value)}")

    return check


def _check_count(value: object, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value % 1:
        raise SchemaError(place, f"a whole number from 0 on is due, not {short(value)}")


def _check_multiple(value: object, place: str) -> None:
    _expect((int, float), "a number")(value, place)
    if not 0 < value < float("inf"):  # type: ignore[operator] # it is a number
        raise SchemaError(place, f"a number above 0 is due, not {short(value)}")


def _check_type(value: object, place: str) -> None:
    names = value if isinstance(value, list) and value else [value]
    for name in names:
        if name not in TYPES:
            raise SchemaError(place, f"{short(name)} is not a type; types are {', '.join(TYPES)}")


def _check_names(value: object, place: str) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SchemaError(place, f"a list of names is due, not {short(value)}")


def _check_dependent(value: object, place: str) -> None:
    if not isinstance(value, dict):
        raise SchemaError(place, f"an object of lists of names is due, not {short(value)}")
    for name, names in value.items():
        _check_names(names, f"{place}.{name:.60}")


_CHECKS: Mapping[str, Callable[[Any, str], None]] = {
    **dict.fromkeys(_COUNTS, _check_count),
    **dict.fromkeys(_NUMBERS, _expect((int, float), "a number")),
    **dict.fromkeys(_TEXTS, _expect(str, "a text")),
    "dependentRequired": _check_dependent,
    "enum": _expect(list, "a list of values"),
    "multipleOf": _check_multiple,
    "required": _check_names,
    "type": _check_type,
    "uniqueItems": _expect(bool, "true or false"),
}


def short(value: object) -> str:
    """Return a value in a few words, however large it is: no code of it runs, and no whole of it is built."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:60]!r}… ({len(value):,} characters)"  # noqa: PLR2004
    if isinstance(value, int) and value.bit_length() > 200:  # noqa: PLR2004 - the digits of a larger one tell nothing
        return f"an integer of {value.bit_length():,} bits"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, (list, dict)):
        what = "list" if isinstance(value, list) else "object"
        return f"{'a' if what == 'list' else 'an'} {what} of {len(value):,}" if value else f"an empty {what}"
    return f"a `{type(value).__name__}`"
