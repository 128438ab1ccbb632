"""Typed answers: what the user asked for, as a JSON Schema for the model and as a check of what comes back.

A schema is a pydantic model, any type that pydantic's `TypeAdapter` takes, a JSON Schema (a dict), or the
columns of a table: ``{"supplier": "string", "rise": "float64"}``.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.kernels.schemas import is_columns, newer_type

_MAX_PROBLEMS = 5
_MAX_MESSAGE = 300
_FENCED = re.compile(r"^```\w*[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OPENER = re.compile(r"[{\[]")


class AnswerSchema:
    """A check of `FINAL` values.

    Args:
        schema: see the module.

    Raises:
        ConfigError: it is none of these.
    """

    def __init__(self, schema: object) -> None:
        self._adapter: Any = None
        self._columns: dict[str, str] | None = None
        self.json: dict[str, Any] = {}
        if isinstance(schema, Mapping) and not _is_typed_dict(schema):
            self._read_mapping(dict(schema))
        else:
            self._read_type(schema)

    def _read_mapping(self, schema: dict[str, Any]) -> None:
        if is_columns(schema):
            self._columns = {str(name): str(dtype) for name, dtype in schema.items()}
            _check_dtypes(self._columns)
            return
        import jsonschema

        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ConfigError(
                f"The schema is no valid JSON Schema: at `{error.json_path}`, {error.message:.300}. Correct it there."
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
                f"The schema cannot be {what}: it is no type that pydantic knows{why}, no JSON Schema and no "
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
    def json_text(self) -> str:
        """The schema as a model is shown it that answers by a text: a table is then a list of its rows."""
        if self._columns is None:
            return self.text
        columns = ", ".join(f"{json.dumps(name)} ({dtype})" for name, dtype in self._columns.items())
        return f"a list of objects, one for each row of a table, each with exactly these keys: {columns}"

    def validate(self, value: object) -> Any:
        """Give the value as an instance of the type asked for.

        Raises:
            ValueError: it does not match; the message has a line for each problem, with its path.
        """
        if self._columns is not None:
            return _check_frame(value, self._columns)
        if self._adapter is not None:
            return self._validate_type(value)
        import jsonschema

        validator = jsonschema.Draft202012Validator(self.json)
        plain = to_plain(value)
        problems = sorted(validator.iter_errors(plain), key=lambda error: list(map(str, error.path)))
        if problems:
            lines = [f"{_path(error.path)}: {error.message}" for error in problems]
            raise ValueError(_lines(lines))
        return plain

    def read(self, text: str) -> Any:
        """Find the answer in a completion's text, check it and give it as JSON has it; of a table, its rows.

        Raises:
            ValueError: there is none, or it does not match.
        """
        try:
            found = find_json(text)
        except ValueError:
            try:
                return self.validate(text.strip())  # a bare word, where a text or one of several is asked for
            except ValueError:
                raise ValueError("it holds no JSON") from None
        return self.validate(found) if self._columns is None else _rows(found, self._columns)

    def _validate_type(self, value: object) -> Any:
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as first:
            plain = to_plain(value)  # numpy scalars and tuples are fine where numbers and lists are
            try:
                return self._adapter.validate_python(plain)
            except ValidationError:
                lines = [f"{_path(error['loc'])}: {error['msg']}" for error in first.errors()]
                raise ValueError(_lines(lines)) from None


def find_json(text: str) -> Any:
    """Give the JSON value that a text is, that its fenced block holds, or that stands within its words.

    Raises:
        ValueError: there is none.
    """
    body = text.strip()
    if fenced := _FENCED.search(body):
        body = fenced[1].strip()
    try:
        return json.loads(body)
    except ValueError:
        for opener in _OPENER.finditer(body):
            try:
                return json.JSONDecoder().raw_decode(body, opener.start())[0]
            except ValueError:
                continue
        raise


def to_plain(value: object) -> Any:
    """Turn numpy and pandas scalars, tuples and sets into what JSON has; leave the rest as it is."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return to_plain(value.tolist())
        if isinstance(value, numpy.generic):
            return value.item()
    return value


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


def _check_dtypes(columns: Mapping[str, str]) -> None:
    """Refuse a dtype that pandas does not know, before an agent works for it.

    Raises:
        ConfigError: there is one.
    """
    from pandas.api.types import pandas_dtype

    for name, dtype in columns.items():
        try:
            pandas_dtype(dtype)
        except (TypeError, ValueError):
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
    problems += [f"column `{name}`: not asked for" for name in names if name not in columns]
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


def _lines(problems: list[str]) -> str:
    shown = [
        line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE // 2]} … {line[-_MAX_MESSAGE // 2 :]}"
        for line in problems[:_MAX_PROBLEMS]
    ]
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return "\n".join(shown)
