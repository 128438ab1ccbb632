"""`schema=` of a query: a JSON Schema or a Python type, and the way back from JSON to that type.

It travels into an agent's kernel as source: the standard library only; pydantic where
it is installed.
"""

from __future__ import annotations

import functools
import operator
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from .bridge.socket_link import RLMQueryError

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON_SCHEMA_WORDS = {
    "$anchor", "$comment", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef", "$ref", "$schema",
    "additionalProperties", "allOf", "anyOf", "const", "enum", "items", "oneOf", "pattern", "prefixItems",
    "properties", "required", "type",
}  # fmt: skip
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}

_LONGEST_DTYPE = 100
_DTYPE = re.compile(
    r"bool|boolean|u?int|float|complex|str|string|object|category|O"
    r"|u?int(?:8|16|32|64)|U?Int(?:8|16|32|64)|float(?:16|32|64)|Float(?:32|64)|complex(?:64|128)"
    r"|[<>=|]?(?:[iu][1248]|f[248]|c8|c16|b1|\?)"
    r"|string\[(?:python|pyarrow)\]"
    r"|(?:u?int(?:8|16|32|64)|float|double|bool|string|large_string|date32|date64)\[pyarrow\]"
    r"|(?:datetime64|timedelta64|<?[mM]8)\[(?:s|ms|us|ns)\]"
    r"|datetime64\[(?:s|ms|us|ns), ?(?!dateutil)[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}\]"
    r"|period\[[A-Za-z]{1,4}(?:-[A-Z]{3})?\]"
)
_LOOK_AROUND = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]|\(\?P=")


def read_schema(schema: Any) -> tuple[dict[str, Any] | None, Callable[[Any], Any]]:
    """Returns the JSON Schema of `schema`, and what turns an answer into a value of it.

    Args:
        schema: None, a JSON Schema, the columns of a table, or a type: a plain one, or any that pydantic knows.

    Raises:
        TypeError: it is none of these.
    """
    if schema is None:
        return None, lambda value: value
    if isinstance(schema, dict):
        if is_columns(schema):
            return schema, lambda value: _as_frame(value, schema)
        return schema, lambda value: value
    if isinstance(schema, type) and schema in _PLAIN:
        return {"type": _PLAIN[schema]}, lambda value: _as_plain(value, schema)
    try:
        from pydantic import TypeAdapter
    except ImportError:
        known = ", ".join(kind.__name__ for kind in _PLAIN)
        raise TypeError(
            f"`schema` must be a JSON Schema or one of {known}: pydantic, which knows others, is not installed here."
        ) from None
    try:
        adapter = TypeAdapter(newer_type(schema))
        found = adapter.json_schema()
    except Exception as error:  # pydantic raises several kinds
        raise TypeError(
            f"`schema` must be a JSON Schema or a type that has one, and `{schema!r:.80}` has none: "
            f"{str(error).splitlines()[0]:.200} To hand data to a sub-agent, use `rlm_query(question, data)`."
        ) from None
    return without_look_around(found), lambda value: _as_typed(value, adapter)


def without_look_around(schema: Any) -> Any:
    """Leave out patterns that the notebook does not match, as pydantic has one for `Decimal`.

    The notebook refuses them, since only an engine that backtracks knows look-around; the type itself is checked
    here, where the answer arrives.
    """
    if isinstance(schema, list):
        return [without_look_around(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: without_look_around(item)
        for name, item in schema.items()
        if not (name == "pattern" and isinstance(item, str) and _LOOK_AROUND.search(item))
    }


def _as_plain(value: Any, kind: type) -> Any:
    """Check an answer that is due to be of a plain type."""
    if kind is float and type(value) is int:
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RLMQueryError(
            f"The answer is of type `{type(value).__name__}`, not `{kind.__name__}`; it is in `.value` of this error.",
            value=value,
        )
    return value


def _as_typed(value: Any, adapter: Any) -> Any:
    """Build a value of the type from the answer's JSON form, or take it as it is."""
    try:
        return adapter.validate_python(value)
    except ValueError as error:  # pydantic's ValidationError
        raise RLMQueryError(
            f"The answer does not match the schema; it is in `.value` of this error. {error}", value=value
        ) from None


def _as_frame(value: Any, columns: dict[str, str]) -> Any:
    """Returns a table with these columns and dtypes: of a completion's rows, or of what a sub-agent gave."""
    import pandas as pd

    frame = value if isinstance(value, pd.DataFrame) else pd.DataFrame(value, columns=list(columns))
    return frame[list(columns)].astype(columns)


def newer_type(schema: Any) -> Any:
    """Returns a type with `typing_extensions.TypedDict` in the place of `typing.TypedDict`.

    Before Python 3.12 pydantic takes only the former: https://docs.pydantic.dev/dev/errors/usage_errors/#typed-dict-version
    """
    if sys.version_info >= (3, 12) or sys.version_info < (3, 10):
        return schema
    if typing.is_typeddict(schema):
        import typing_extensions

        wanted = (typing_extensions.Required, typing_extensions.NotRequired)
        fields = {
            name: wanted[name not in schema.__required_keys__][newer_type(kind)]
            for name, kind in typing.get_type_hints(schema).items()
        }
        return typing_extensions.TypedDict(schema.__name__, fields)  # type: ignore[operator]
    arguments = typing.get_args(schema)
    newer = tuple(newer_type(argument) for argument in arguments)
    if newer == arguments:
        return schema
    origin = typing.get_origin(schema)
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, newer)
    return origin[newer]


def is_plain_dtype(name: str) -> bool:
    """Returns whether a dtype's name means nothing but itself.

    Other names make pandas and numpy open files (`datetime64[ns, dateutil//etc/x]`), ask for gigabytes
    (`S1000000000`), or match them by backtracking (a comma and ten thousand spaces).
    """
    return len(name) <= _LONGEST_DTYPE and _DTYPE.fullmatch(name) is not None


def is_columns(schema: dict[str, Any], *, trusted: bool = True) -> bool:
    """Returns columns and dtypes from a JSON Schema: every value is a dtype's name, and no keyword is a key.

    Args:
        schema: one of both.
        trusted: whether pandas may be asked what a name means: to some it opens a file for that.
    """
    if not schema or not all(isinstance(dtype, str) for dtype in schema.values()):
        return False
    if not (set(schema) & _JSON_SCHEMA_WORDS):
        return True
    json_types = {"array", "boolean", "integer", "null", "number", "object", "string"}
    if set(schema) == {"type"} and schema["type"] in json_types:
        return False
    if not trusted:
        return all(map(is_plain_dtype, schema.values()))
    from pandas.api.types import pandas_dtype

    try:
        return all(pandas_dtype(dtype) is not None for dtype in schema.values())
    except TypeError:
        return False
