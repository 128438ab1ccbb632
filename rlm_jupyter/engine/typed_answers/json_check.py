"""Checks a value against a JSON Schema that was read: bounded in time, in depth, and in what it says.

Every step counts, so that no schema (an `anyOf` of references that doubles at each level, a reference to itself)
and no value keeps its thread for longer than it may; and the thread gives way to others between any two steps.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from rlm_jupyter.engine.typed_answers.bounded_patterns import TooLongError
from rlm_jupyter.engine.typed_answers.json_schema import JsonSchema, Schema, short

MOST_DEPTH: Final = 200
"""Of a value, and of schemas that lead to one another without going deeper into it."""

_MOST_PROBLEMS: Final = 50
_MOST_BITS: Final = 20_000
_LOOK: Final = 256
"""Steps between two looks at the clock."""

Path = tuple[str | int, ...]
Problem = tuple[Path, str]


class TooMuchWorkError(ValueError):
    """The check was given up."""


class _FullError(Exception):
    """As many problems were found as are asked for."""


@dataclass
class _Problems:
    most: int
    found: list[Problem] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        self.found.append((path, message))
        if len(self.found) >= self.most:
            raise _FullError


@dataclass
class _Seen:
    """Keys and places of a value that keywords have looked at, for `unevaluatedProperties` and its like."""

    keys: set[str] = field(default_factory=set)
    places: set[int] = field(default_factory=set)

    def merge(self, other: _Seen) -> None:
        self.keys |= other.keys
        self.places |= other.places


def problems_of(schema: JsonSchema, value: object) -> list[Problem]:
    """Return what is wrong with a value, the first problems only; of each, its path and a sentence.

    Args:
        schema: that it shall match.
        value: of JSON's types; what is of another type matches none.

    Raises:
        TooMuchWorkError: it takes too long, or goes too deep.
    """
    check = _Check(schema)
    problems = _Problems(_MOST_PROBLEMS)
    try:
        check.look_at(schema.source, value, (), problems)
    except _FullError:
        pass
    except RecursionError:
        raise TooMuchWorkError("it is nested too deep to be checked against the schema") from None
    return problems.found


class _Check:
    """One check."""

    def __init__(self, schema: JsonSchema) -> None:
        self.schema = schema
        self.seconds = schema.bounds.seconds
        self._deadline = time.monotonic() + self.seconds
        self._steps = self._depth = 0

    def step(self) -> None:
        """Count a step.

        Raises:
            TooMuchWorkError: the time is up.
        """
        self._steps += 1
        if self._steps % _LOOK == 0 and time.monotonic() > self._deadline:
            raise TooMuchWorkError(
                f"to check it against the schema takes longer than {self.seconds:g} s; ask for less, or by a simpler "
                "schema"
            )

    def look_at(self, schema: Schema, value: object, path: Path, problems: _Problems) -> _Seen:
        """Check a value against a schema or a part of it."""
        self.step()
        seen = _Seen()
        if schema is True or schema == {}:
            return seen
        if schema is False:
            problems.add(path, f"{short(value)} is not allowed here")
            return seen
        assert isinstance(schema, dict)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            problems.add(path, f"{short(value)} is too large to be checked")
            return seen
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TooMuchWorkError(
                f"it is nested deeper than {MOST_DEPTH} levels, or its schema refers to itself"
            )
        place = _Place(self, schema, value, path, problems, seen)
        for keyword in schema:
            if (rule := _RULES.get(keyword)) is not None:
                rule(place, schema[keyword])
        for keyword in ("unevaluatedItems", "unevaluatedProperties"):  # these need what all others have seen
            if keyword in schema:
                _LAST[keyword](place, schema[keyword])
        self._depth -= 1
        return seen

    def match(self, schema: Schema, value: object) -> _Seen | None:
        """Return what a schema that fits has seen of a value; None if it does not fit."""
        depth = self._depth
        try:
            return self.look_at(schema, value, (), _Problems(1))
        except _FullError:
            self._depth = depth
            return None

    def first_problem(self, schema: Schema, value: object) -> Problem:
        """Return the first thing that is wrong with a value that does not match."""
        problems, depth = _Problems(1), self._depth
        with contextlib.suppress(_FullError):
            self.look_at(schema, value, (), problems)
        self._depth = depth
        return problems.found[0]

    def same(self, one: object, other: object) -> bool:
        """Returns whether two values are the same in JSON: 1 is 1.0, and neither is true."""
        self.step()
        if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
            return one is other
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            return one == other
        if isinstance(one, str) or isinstance(other, str):
            return type(one) is type(other) and one == other
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(self.same(a, b) for a, b in zip(one, other, strict=True))
        if isinstance(one, dict) and isinstance(other, dict):
            return len(one) == len(other) and all(k in other and self.same(one[k], other[k]) for k in one)
        return False

    def key(self, value: object) -> Any:
        """Return what two values share only if they are the same in JSON."""
        self.step()
        if isinstance(value, bool):
            return (bool, value)
        if isinstance(value, list):
            return (list, tuple([self.key(item) for item in value]))
        if isinstance(value, dict):
            return (dict, frozenset([(name, self.key(item)) for name, item in value.items()]))
        return value if value is None or isinstance(value, (int, float, str)) else (object, id(value))


@dataclass
class _Place:
    """A schema at work on a value: what its keywords need."""

    check: _Check
    schema: dict[str, Any]
    value: Any
    path: Path
    problems: _Problems
    seen: _Seen

    def wrong(self, message: str) -> None:
        self.problems.add(self.path, message)

    def inside(self, schema: Schema, step: str | int) -> None:
        """Check what stands in the value under a key or an index."""
        self.check.look_at(schema, self.value[step], (*self.path, step), self.problems)
        (self.seen.keys if isinstance(step, str) else self.seen.places).add(step)  # type: ignore[arg-type]

    def same_place(self, schema: Schema) -> None:
        """Check the value itself against a further schema."""
        self.seen.merge(self.check.look_at(schema, self.value, self.path, self.problems))

    def tried(self, schemas: Iterable[Schema]) -> int:
        """Return how many of the schemas fit; what these have seen counts."""
        count = 0
        for schema in schemas:
            found = self.check.match(schema, self.value)
            if found is not None:
                count += 1
                self.seen.merge(found)
        return count


# ---- any value


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if isinstance(value, int):
        return kind in ("integer", "number")
    if isinstance(value, float):
        return kind == "number" or (kind == "integer" and value.is_integer())
    wanted = {"string": str, "array": list, "object": dict}.get(kind)
    return wanted is not None and isinstance(value, wanted)


def _type(at: _Place, wanted: str | list[str]) -> None:
    kinds = wanted if isinstance(wanted, list) else [wanted]
    if not any(_is(at.value, kind) for kind in kinds):
        at.wrong(f"{short(at.value)} is not of type {', '.join(map(repr, kinds))}")


def _enum(at: _Place, allowed: list[Any]) -> None:
    if not any(at.check.same(at.value, one) for one in allowed):
        more = ", …" if len(allowed) > 10 else ""  # noqa: PLR2004 - as many as one reads
        at.wrong(f"{short(at.value)} is not one of [{', '.join(map(short, allowed[:10]))}{more}]")


def _const(at: _Place, wanted: object) -> None:
    if not at.check.same(at.value, wanted):
        at.wrong(f"{short(wanted)} was expected, not {short(at.value)}")


def _reference(at: _Place, reference: str) -> None:
    at.same_place(at.check.schema.target(reference))


def _all_of(at: _Place, schemas: list[Schema]) -> None:
    for schema in schemas:
        at.same_place(schema)


def _any_of(at: _Place, schemas: list[Schema]) -> None:
    if at.check.schema.tracks:
        fits = at.tried(schemas) > 0
    else:
        fits = any(at.check.match(schema, at.value) is not None for schema in schemas)
    if not fits:
        nearest = _nearest(at, schemas) if at.problems.most > 1 else ""  # else nobody reads it
        at.wrong(f"{short(at.value)} is not valid under any of the given schemas{nearest}")


def _nearest(at: _Place, schemas: list[Schema]) -> str:
    """Return what a schema that fits the value's outside says of its inside, so that the model can mend it."""
    for schema in schemas:
        path, said = at.check.first_problem(schema, at.value)
        if path:
            return f" (for one of them: {'.'.join(map(str, path))}: {said})"
    return ""


def _one_of(at: _Place, schemas: list[Schema]) -> None:
    count = at.tried(schemas)
    if count != 1:
        what = (
            "any of the given schemas" if not count else f"one alone of the given schemas, but under {count}"
        )
        at.wrong(f"{short(at.value)} is not valid under {what}")


def _not(at: _Place, schema: Schema) -> None:
    if at.check.match(schema, at.value) is not None:
        at.wrong(f"{short(at.value)} is what it must not be")


def _if(at: _Place, schema: Schema) -> None:
    found = at.check.match(schema, at.value)
    if found is not None:
        at.seen.merge(found)
    branch = "then" if found is not None else "else"
    if branch in at.schema:
        at.same_place(at.schema[branch])


# ---- numbers and texts


def _number(fails: Callable[[Any, Any], bool], said: str) -> Callable[[_Place, Any], None]:
    def rule(at: _Place, bound: float) -> None:
        if isinstance(at.value, (int, float)) and not isinstance(at.value, bool) and fails(at.value, bound):
            at.wrong(f"{short(at.value)} {said} {short(bound)}")

    return rule


def _is_no_multiple(value: float, of: float) -> bool:
    if not math.isfinite(value):
        return True
    # As decimals, in which 0.3 is a multiple of 0.1.
    return _exact(value) % _exact(of) != 0


def _exact(number: float) -> Fraction:
    return Fraction(number if isinstance(number, int) else repr(number))


def _length(fails: Callable[[int, float], bool], said: str, kind: type) -> Callable[[_Place, Any], None]:
    def rule(at: _Place, bound: float) -> None:
        if isinstance(at.value, kind) and fails(len(at.value), bound):  # type: ignore[arg-type]
            at.wrong(f"{short(at.value)} is too {said}: {len(at.value):,}, and the bound is {short(bound)}")  # type: ignore[arg-type]

    return rule


def _pattern(at: _Place, source: str) -> None:
    if isinstance(at.value, str) and not _found(at, source, at.value):
        at.wrong(f"{short(at.value)} does not match {short(source)}")


def _found(at: _Place, source: str, text: str) -> bool:
    try:
        return at.check.schema.patterns[source].found_in(text)
    except TooLongError as error:
        raise TooMuchWorkError(str(error)) from None


# ---- lists


def _prefix_items(at: _Place, schemas: list[Schema]) -> None:
    if isinstance(at.value, list):
        for number, schema in enumerate(schemas[: len(at.value)]):
            at.inside(schema, number)


def _items(at: _Place, schema: Schema) -> None:
    if isinstance(at.value, list):
        for number in range(len(at.schema.get("prefixItems", ())), len(at.value)):
            at.inside(schema, number)


def _contains(at: _Place, schema: Schema) -> None:
    if not isinstance(at.value, list):
        return
    least, most = at.schema.get("minContains", 1), at.schema.get("maxContains", math.inf)
    count = 0
    for number, item in enumerate(at.value):
        if at.check.match(schema, item) is not None:
            count += 1
            at.seen.places.add(number)
    if not least <= count <= most:
        at.wrong(f"{short(at.value)} holds {count} that match `contains`")


def _unique(at: _Place, wanted: bool) -> None:
    if not wanted or not isinstance(at.value, list):
        return
    known: set[Any] = set()
    for item in at.value:
        key = at.check.key(item)
        if key in known:
            at.wrong(f"{short(at.value)} has non-unique elements, such as {short(item)}")
            return
        known.add(key)


def _unevaluated_items(at: _Place, schema: Schema) -> None:
    if isinstance(at.value, list):
        for number in range(len(at.value)):
            if number not in at.seen.places:
                at.inside(schema, number)


# ---- objects


def _properties(at: _Place, schemas: dict[str, Schema]) -> None:
    if isinstance(at.value, dict):
        for name, schema in schemas.items():
            if name in at.value:
                at.inside(schema, name)


def _pattern_properties(at: _Place, schemas: dict[str, Schema]) -> None:
    if isinstance(at.value, dict):
        for source, schema in schemas.items():
            for name in at.value:
                at.check.step()
                if _found(at, source, name):
                    at.inside(schema, name)


def _additional(at: _Place, schema: Schema) -> None:
    if not isinstance(at.value, dict):
        return
    known, sources = at.schema.get("properties", {}), at.schema.get("patternProperties", {})
    others = [n for n in at.value if n not in known and not any(_found(at, source, n) for source in sources)]
    if schema is False and others:
        more = ", …" if len(others) > 5 else ""  # noqa: PLR2004 - as many as one reads
        at.wrong(f"additional properties are not allowed ({', '.join(map(short, others[:5]))}{more})")
        return
    for name in others:
        at.inside(schema, name)


def _unevaluated_properties(at: _Place, schema: Schema) -> None:
    if isinstance(at.value, dict):
        for name in at.value:
            if name not in at.seen.keys:
                at.inside(schema, name)


def _property_names(at: _Place, schema: Schema) -> None:
    if isinstance(at.value, dict):
        for name in at.value:
            at.check.look_at(schema, name, at.path, at.problems)


def _required(at: _Place, names: list[str]) -> None:
    if isinstance(at.value, dict):
        for name in names:
            if name not in at.value:
                at.wrong(f"{short(name)} is a required property")


def _dependent_required(at: _Place, names: dict[str, list[str]]) -> None:
    if isinstance(at.value, dict):
        for name, others in names.items():
            for other in others if name in at.value else ():
                if other not in at.value:
                    at.wrong(f"{short(other)} is required beside {short(name)}")


def _dependent_schemas(at: _Place, schemas: dict[str, Schema]) -> None:
    if isinstance(at.value, dict):
        for name, schema in schemas.items():
            if name in at.value:
                at.same_place(schema)


_RULES: dict[str, Callable[[_Place, Any], None]] = {
    "$dynamicRef": _reference,
    "$recursiveRef": _reference,
    "$ref": _reference,
    "additionalProperties": _additional,
    "allOf": _all_of,
    "anyOf": _any_of,
    "const": _const,
    "contains": _contains,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "enum": _enum,
    "exclusiveMaximum": _number(lambda value, bound: not value < bound, "is not below"),
    "exclusiveMinimum": _number(lambda value, bound: not value > bound, "is not above"),
    "if": _if,
    "items": _items,
    "maxItems": _length(lambda size, bound: size > bound, "long", list),
    "maxLength": _length(lambda size, bound: size > bound, "long", str),
    "maxProperties": _length(lambda size, bound: size > bound, "large", dict),
    "maximum": _number(lambda value, bound: not value <= bound, "is more than the maximum of"),
    "minItems": _length(lambda size, bound: size < bound, "short", list),
    "minLength": _length(lambda size, bound: size < bound, "short", str),
    "minProperties": _length(lambda size, bound: size < bound, "small", dict),
    "minimum": _number(lambda value, bound: not value >= bound, "is less than the minimum of"),
    "multipleOf": _number(_is_no_multiple, "is not a multiple of"),
    "not": _not,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "prefixItems": _prefix_items,
    "properties": _properties,
    "propertyNames": _property_names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
_LAST: dict[str, Callable[[_Place, Any], None]] = {
    "unevaluatedItems": _unevaluated_items,
    "unevaluatedProperties": _unevaluated_properties,
}
