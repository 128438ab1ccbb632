"""Typed answers: what the user asked for, as a JSON Schema for the model and as a check of what comes back.

A schema is a pydantic model, any type that pydantic's `TypeAdapter` takes, a JSON Schema (a dict), or the
columns of a table: ``{"supplier": "string", "rise": "float64"}``.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from rlm_jupyter.engine.typed_answers.json_check import MOST_DEPTH, problems_of
from rlm_jupyter.engine.typed_answers.json_in_text import NestedTooDeeplyError, find_json
from rlm_jupyter.engine.typed_answers.json_schema import OF_AGENTS, OF_USERS, JsonSchema, SchemaError
from rlm_jupyter.engine.typed_answers.pydantic_check import MistakesError, validated
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.guest.answer_types import is_columns, is_plain_dtype, newer_type

_MAX_PROBLEMS = 5
_MAX_MESSAGE = 300
_MOST_PARTS = 10_000_000
_LOOK = 1024
_MOST_REFERENCES = 8
_MOST_FIELDS = 1000


class AnswerSchema:
    """A check of `FINAL` values.

    Args:
        schema: see the module.
        from_agent: whether an agent's code made it. Then it is a JSON Schema or columns, is bounded in size and in
            what a check by it may take, and its dtypes are those whose names mean nothing but themselves.

    Raises:
        ConfigError: it is none of these.
    """

    def __init__(self, schema: object, *, from_agent: bool = False) -> None:
        self._adapter: Any = None
        self._columns: dict[str, str] | None = None
        self._schema: JsonSchema | None = None
        self._bounds = OF_AGENTS if from_agent else OF_USERS
        self.json: dict[str, Any] = {}
        if isinstance(schema, Mapping) and not _is_typed_dict(schema):
            self._read_mapping(dict(schema))
        else:
            self._read_type(schema)

    def _read_mapping(self, schema: dict[str, Any]) -> None:
        trusted = self._bounds.trusted
        if len(schema) <= self._bounds.parts and is_columns(schema, trusted=trusted):
            self._columns = {str(name): str(dtype) for name, dtype in schema.items()}
            _check_dtypes(self._columns, trusted=trusted)
            return
        try:
            self._schema = JsonSchema(schema, self._bounds)
        except SchemaError as error:
            raise ConfigError(
                f"The schema is not valid JSON Schema: at `{error.place:.200}`, {error}. Correct it there."
            ) from None
        self.json = schema

    def _read_type(self, schema: object) -> None:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            if isinstance(schema, str) or inspect.isroutine(schema):
                raise TypeError("it is a function or a text")
            self._adapter = TypeAdapter(newer_type(schema))
            self.json = self._adapter.json_schema()
        except (PydanticUserError, TypeError, NameError) as error:
            what = f"`{schema.__name__}`" if isinstance(schema, type) else f"a `{type(schema).__name__}`"
            why = f" ({error})" if isinstance(error, NameError) else ""
            raise ConfigError(
                f"The schema cannot be {what}: it is not a type that pydantic knows{why}, no JSON Schema and no "
                "columns of a table. Give a type such as `list[str]`, a pydantic model or a `TypedDict`, a JSON "
                "Schema as a dict, or columns such as `{'name': 'string'}`."
            ) from None

    @property
    def text(self) -> str:
        """The schema as the model is shown it."""
        if self._columns is not None:
            columns = ", ".join(f"{name}: {dtype}" for name, dtype in self._columns.items())
            return f"a pandas DataFrame with exactly these columns and dtypes: {columns}"
        return f"a value that matches this JSON Schema: {json.dumps(self.json, ensure_ascii=False)}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of the object that is asked for, in order; none where it is not an object."""
        schema = self.json
        for _ in range(_MOST_REFERENCES):
            reference = schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
                break
            definitions = self.json.get("$defs")
            found = (
                definitions.get(reference.removeprefix("#/$defs/")) if isinstance(definitions, dict) else None
            )
            schema = found if isinstance(found, dict) else {}
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not 0 < len(properties) <= _MOST_FIELDS:
            return ()
        return tuple(map(str, properties))

    @property
    def json_text(self) -> str:
        """The schema as a model is shown it that answers by a text: a table is then a list of its rows."""
        if self._columns is None:
            return self.text
        columns = ", ".join(f"{json.dumps(name)} ({dtype})" for name, dtype in self._columns.items())
        return f"a list of objects, one for each row of a table, each with exactly these keys: {columns}"

    def validate(self, value: object) -> Any:
        """Returns the value as an instance of the type asked for.

        Raises:
            ValueError: it does not match; the message has a line for each problem, with its path.
        """
        if self._columns is not None:
            return _check_frame(value, self._columns)
        if self._adapter is not None:
            return self._validate_type(value)
        assert self._schema is not None
        plain = to_plain(value, self._bounds.seconds)
        problems = sorted(problems_of(self._schema, plain), key=lambda problem: list(map(str, problem[0])))
        if problems:
            raise ValueError(_lines(f"{_path(path)}: {said}" for path, said in problems))
        return plain

    def read(self, text: str) -> Any:
        """Find the answer in a completion's text, check it and give it as JSON has it; of a table, its rows.

        Raises:
            ValueError: there is none, or it does not match.
        """
        try:
            found = find_json(text)
        except ValueError as problem:
            try:
                return self.validate(text.strip())  # a bare word, where a text or one of several is asked for
            except ValueError:
                deep = isinstance(problem, NestedTooDeeplyError)
                raise ValueError(str(problem) if deep else "it holds no JSON") from None
        return self.validate(found) if self._columns is None else _rows(found, self._columns)

    def from_json(self, found: Any) -> Any:
        """Returns what `read` gave as plain data, and a table as one.

        Args:
            found: an answer that matches.
        """
        if self._columns is not None:
            import pandas as pd

            return _check_frame(
                pd.DataFrame(found, columns=None if found else list(self._columns)), self._columns
            )
        return found if self._adapter is None else self._adapter.dump_python(found, mode="json")

    def _validate_type(self, value: object) -> Any:
        try:
            return validated(self._adapter, value)
        except MistakesError as first:
            plain = to_plain(
                value, self._bounds.seconds
            )  # numpy scalars and tuples are fine where numbers and lists are
            try:
                return validated(self._adapter, plain)
            except MistakesError:
                raise ValueError(_lines(f"{_path(loc)}: {said}" for loc, said in first.mistakes)) from None


def to_plain(value: object, seconds: float = OF_USERS.seconds) -> Any:
    """Turn numpy and pandas scalars, tuples and sets into what JSON has; leave the rest as it is.

    Args:
        value: anything.
        seconds: that it may take.

    Raises:
        ValueError: it is nested too deep, in a circle perhaps, has too many parts, or takes too long.
    """
    return _Plain(seconds).of(value, 1)


class _Plain:
    """Builds plain data. Values may share parts, so that a few bytes can stand for a tree without end."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._parts = 0

    def of(self, value: object, depth: int) -> Any:
        self._count(1)
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
        if isinstance(value, Mapping):
            return {str(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.of(item, depth + 1) for item in value]
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if isinstance(value, numpy.ndarray):
                self._count(value.size)
                return self.of(value.tolist(), depth + 1)
            if isinstance(value, numpy.generic):
                return value.item()
        return value

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > _MOST_PARTS:
            raise ValueError(f"it has more than {_MOST_PARTS:,} parts, too many to be checked one by one")
        if self._parts % _LOOK == 0 and time.monotonic() > self._deadline:
            raise ValueError(
                f"it has so many parts that to look at them takes longer than {self._seconds:g} s"
            )


def _is_typed_dict(schema: object) -> bool:
    return isinstance(schema, type)


def _rows(found: object, columns: dict[str, str]) -> list[dict[str, Any]]:
    """Check the rows of a table that came as JSON, and give them.

    Raises:
        ValueError: they are none, or do not fit the columns.
    """
    import pandas as pd

    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError("expected a list of objects, one for each row")
    _check_frame(pd.DataFrame(found, columns=None if found else list(columns)), columns)
    return found


def _check_dtypes(columns: Mapping[str, str], *, trusted: bool) -> None:
    """Refuse a dtype that pandas does not know, or that an agent may not name, before an agent works for it.

    Raises:
        ConfigError: there is one.
    """
    from pandas.api.types import pandas_dtype

    for name, dtype in columns.items():
        try:
            if not trusted and not is_plain_dtype(dtype):
                raise ValueError("not one of those that an agent may name")
            pandas_dtype(dtype)
        except Exception:  # pandas raises several kinds, `KeyError` for a zone among them
            raise ConfigError(
                f"The schema's column `{name:.60}` has no dtype that pandas knows: `{dtype:.60}`. Columns are given "
                "as `{'name': 'string', 'rise': 'float64'}`; of a JSON Schema, `type` and `properties` are keys."
            ) from None


def _check_frame(value: object, columns: dict[str, str]) -> Any:
    import pandas as pd

    if not isinstance(value, pd.DataFrame):
        raise ValueError(f"expected a pandas DataFrame, got {type(value).__name__}")  # noqa: TRY004
    names = Counter(value.columns.tolist())  # of a MultiIndex whole tuples, of which no part is a column
    problems = [f"column `{name}`: missing" for name in columns if name not in names]
    others = (name for name in names if name not in columns)
    problems += [f"column `{name!s:.60}`: not asked for" for name in islice(others, _MAX_PROBLEMS + 1)]
    problems += [
        f"column `{name}`: {number} columns have this name, keep one"
        for name, number in names.items()
        if number > 1 and name in columns
    ]
    if problems:
        raise ValueError(_lines(problems))
    frame = value[list(columns)]
    for name, dtype in columns.items():
        try:
            frame = frame.astype({name: dtype})
        except (TypeError, ValueError) as error:
            problems.append(
                f"column `{name}`: {frame[name].dtype} does not convert to {dtype}: {error!s:.120}"
            )
    if problems:
        raise ValueError(_lines(problems))
    return frame


def _path(path: Any) -> str:
    parts = [str(part) for part in path]
    return ".".join(parts) if parts else "value"


def _lines(problems: Iterable[str]) -> str:
    problems = list(problems)
    shown = [
        line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE // 2]} … {line[-_MAX_MESSAGE // 2 :]}"
        for line in problems[:_MAX_PROBLEMS]
    ]
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return "\n".join(shown)
