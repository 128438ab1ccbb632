"""What the answer for one item must be: told to the model, checked when it comes, and typed as a column.

A schema is the columns of a table (``{"delivery": "bool", "why": "string"}``; a list of values in the place of a
dtype allows those alone), or whatever `AnswerSchema` takes. The fields of an object are columns; any other answer is
the one column `answer`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.guest.answer_types import is_columns, is_plain_dtype

NUMBER = "n"
"""The key of an item's number, in prompts and in answers."""
ANSWER = "answer"
ERROR = "error"

_TYPES = {bool: "bool", int: "int64", float: "float64", str: "string"}
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string"}
_DTYPES = {"boolean": "bool", "integer": "int64", "number": "float64", "string": "string"}
_TOKENS = {"boolean": 2, "integer": 3, "number": 4, "string": 30}
"""Of a value in an answer, about."""
_ANY_TOKENS = 60
_MOST_COLUMNS = 200
_EXAMPLES: dict[str, object] = {"boolean": True, "integer": 0, "number": 0.5, "string": "..."}
_WORDS = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"}


class ItemSchema:
    """A check of the answers for single items.

    Args:
        schema: see the module; None: a text.
        from_agent: whether an agent's code made it; see `AnswerSchema`.

    Attributes:
        fields: names of the answer's fields, in order.
        dtypes: of the columns, by field.
        check: of the whole answer for one item.

    Raises:
        ConfigError: it is no schema, or has a field that the result needs for itself.
    """

    def __init__(self, schema: object = None, *, from_agent: bool = False) -> None:
        self._kinds: dict[str, dict[str, Any]] = {}
        self.dtypes: dict[str, str] = {}
        self._columns = False
        if schema is None:
            schema = {"type": "string"}
        elif isinstance(schema, type) and schema in _TYPES:
            schema = {"type": _PLAIN[schema]}
        if isinstance(schema, Mapping) and not isinstance(schema, type) and _is_columns(schema, from_agent):
            self._read_columns(schema)
            schema = {
                "type": "object",
                "properties": self._kinds,
                "required": list(self._kinds),
            }
        self.check = AnswerSchema(schema, from_agent=from_agent)
        self.is_object = bool(self.check.fields)
        self.fields = self.check.fields or (ANSWER,)
        if not self.dtypes:
            self._read_json()
        self._dates = [name for name, kind in self._kinds.items() if self._columns and "format" in kind]
        if ERROR in self.fields:
            raise ConfigError("The schema cannot have a field `error`: the result has a column of that name.")
        self._flat = self.is_object and NUMBER not in self.fields

    def _read_columns(self, schema: Mapping[Any, Any]) -> None:
        self._columns = True
        if len(schema) > _MOST_COLUMNS:
            raise ConfigError(f"The schema has {len(schema):,} columns; the most is {_MOST_COLUMNS:,}.")
        for name, given in schema.items():
            dtype = _TYPES.get(given, given) if isinstance(given, type) else given
            if isinstance(dtype, str):
                self._kinds[str(name)], self.dtypes[str(name)] = _json_kind(str(name), dtype), dtype
            else:
                values = list(cast("Sequence[object]", dtype))
                self._kinds[str(name)] = {"enum": values}
                texts = all(isinstance(value, str) for value in values)
                self.dtypes[str(name)] = "category" if texts else "object"

    def _read_json(self) -> None:
        properties = self.check.json.get("properties") if self.is_object else {ANSWER: self.check.json}
        for name in self.fields:
            kind = properties.get(name) if isinstance(properties, Mapping) else None
            self._kinds[name] = dict(kind) if isinstance(kind, Mapping) else {}
            self.dtypes[name] = _DTYPES.get(str(self._kinds[name].get("type")), "object")

    @property
    def counted(self) -> tuple[str, ...]:
        """The fields of which it is worth to count how often each value comes: flags and choices."""
        return tuple(
            name
            for name, kind in self._kinds.items()
            if kind.get("type") == "boolean" or "enum" in kind or self.dtypes[name] == "category"
        )

    @property
    def free_text(self) -> tuple[str, ...]:
        """The fields that may be any text: two answers that say the same need not be equal there."""
        return tuple(
            name
            for name, kind in self._kinds.items()
            if (kind.get("type") == "string" and "enum" not in kind and self.dtypes[name] != "category")
            or not kind
        )

    @property
    def tokens(self) -> int:
        """About how many tokens the answer for one item has."""
        known = [
            _TOKENS.get(str(kind.get("type")), 6 if "enum" in kind else _ANY_TOKENS)
            for kind in self._kinds.values()
        ]
        return 6 + sum(known) + 5 * len(known)

    @property
    def text(self) -> str:
        """The form of an answer as the model is told it."""
        plain = not self.is_object and self._kinds[ANSWER].get("type") in _WORDS
        if plain or (self._columns and self._flat):
            parts = [f"{json.dumps(name)} ({self._words(name)})" for name in self.fields]
            return f'its number "{NUMBER}" and {", ".join(parts)}'
        schema = json.dumps(self.check.json, ensure_ascii=False)
        if self._flat:
            return f'its number "{NUMBER}" and the fields of this JSON Schema: {schema}'
        return f'its number "{NUMBER}" and "{ANSWER}", a value that matches this JSON Schema: {schema}'

    @property
    def example(self) -> str:
        """One answer, with values that only show the form."""
        shown = {name: _example(self._kinds[name]) for name in self.fields}
        answer = shown if self._flat else {ANSWER: shown if self.is_object else shown[ANSWER]}
        return json.dumps({NUMBER: 1, **answer}, ensure_ascii=False)

    def _words(self, name: str) -> str:
        kind = self._kinds[name]
        if "enum" in kind:
            return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in kind["enum"])
        words = _WORDS.get(str(kind.get("type")), "any value")
        if isinstance(kind.get("type"), list):
            words = f"{_WORDS[kind['type'][0]]}, or null if it is not known"
        return "a date and time as in ISO 8601" if kind.get("format") == "date-time" else words

    def holds(self, answer: Mapping[str, Any]) -> bool:
        """Returns whether a numbered object is meant as an answer: one without any of the fields is not."""
        return any(name in answer for name in (self.fields if self._flat else (ANSWER,)))

    def read(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Check the answer for one item, and return its fields.

        Raises:
            ValueError: it does not match; the message says what is wrong.
        """
        if self._flat:
            own = {name: answer[name] for name in self.fields if name in answer}
            return self.row(self.check.validate(own))
        return self.row(self.check.validate(answer.get(ANSWER)))

    def row(self, value: Any) -> dict[str, Any]:
        """Returns a value that was checked as the fields of one row of the result.

        Raises:
            ValueError: a date is none.
        """
        plain = value
        if self.is_object and not isinstance(value, Mapping):
            from pydantic_core import to_jsonable_python

            plain = to_jsonable_python(value)
        row = {ANSWER: plain} if not self.is_object else {name: plain.get(name) for name in self.fields}
        for name in self._dates:
            _check_date(name, row[name])
        return row

    def checked(self, value: Any) -> dict[str, Any]:
        """Check a value that code made, and return it as the fields of one row.

        Raises:
            ValueError: it does not match.
        """
        return self.row(self.check.validate(value))


class WholeAnswers(ItemSchema):
    """A check of answers for items that are wanted as they are, and not as the row of a table."""

    def __init__(self, schema: object = None, *, from_agent: bool = False) -> None:
        super().__init__(schema, from_agent=from_agent)
        self._flat = False

    def row(self, value: Any) -> dict[str, Any]:
        """Returns a value that was checked, under `answer`."""
        return {ANSWER: value}


def _is_columns(schema: Mapping[Any, Any], from_agent: bool) -> bool:
    """Returns whether every value is a dtype, a plain type, or a list of the values that are allowed."""
    texts = {name: value for name, value in schema.items() if isinstance(value, str)}
    rest = [value for name, value in schema.items() if name not in texts]
    if not all(_is_choice(value) or (isinstance(value, type) and value in _TYPES) for value in rest):
        return False
    if not texts:
        return bool(rest)
    if not is_columns({str(name): value for name, value in texts.items()}, trusted=not from_agent):
        return False
    return not (rest and "type" in texts and texts["type"] in (*_DTYPES, "object", "array"))


def _is_choice(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(one, (str, int, float, bool)) for one in value)
    )


def _json_kind(name: str, dtype: str) -> dict[str, Any]:
    """Returns what JSON has in a column of a dtype.

    Raises:
        ConfigError: pandas does not know the dtype.
    """
    from pandas.api import types

    try:
        if not is_plain_dtype(dtype):
            raise TypeError("not a plain name")
        known = types.pandas_dtype(dtype)
    except Exception:  # pandas raises several kinds
        raise ConfigError(
            f"The schema's column `{name:.60}` has no dtype that pandas knows: `{dtype:.60}`. Columns are given as "
            "`{'delivery': 'bool', 'why': 'string'}`."
        ) from None
    tests = (
        (types.is_bool_dtype, "boolean"),
        (types.is_integer_dtype, "integer"),
        (types.is_float_dtype, "number"),
    )
    for is_kind, word in tests:
        if is_kind(known):
            nullable = types.is_extension_array_dtype(known)
            return {
                "type": [word, "null"] if nullable else word,
                **(_range(known) if word == "integer" else {}),
            }
    if types.is_datetime64_any_dtype(known):
        return {"type": "string", "format": "date-time"}
    return {} if dtype in ("object", "O") else {"type": "string"}


def _check_date(name: str, value: object) -> None:
    try:
        dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{name}: `{value!s:.60}` is not a date and time as in ISO 8601") from None


def _range(dtype: Any) -> dict[str, int]:
    """Returns the smallest and the largest number of an integer dtype."""
    bits, signed = 8 * dtype.itemsize, dtype.kind == "i"
    return {
        "minimum": -(2 ** (bits - 1)) if signed else 0,
        "maximum": 2 ** (bits - 1) - 1 if signed else 2**bits - 1,
    }


def _example(kind: Mapping[str, Any]) -> object:
    if kind.get("enum"):
        return kind["enum"][0]
    if isinstance(kind.get("examples"), list) and kind["examples"]:
        return kind["examples"][0]
    word = kind.get("type")
    return _EXAMPLES.get(str(word[0] if isinstance(word, list) else word), "...")
