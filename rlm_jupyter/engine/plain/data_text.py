"""Data as one text, whole: tables as CSV, texts as they are, documents with headings, other plain data as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

_DEEPEST = 8
_SAMPLE_ROWS = 100
_TABLES = ("DataFrame", "Series")


class NoTextError(ValueError):
    """Data has no text that would be the whole of it, or a longer one than is wanted; the message says why."""


def data_text(value: Any, most: int) -> str:
    """Returns data as a text.

    Args:
        value: the data.
        most: characters.

    Raises:
        NoTextError: it has no such text, or a longer one.
    """
    try:
        text = _text(value, most, 0)
    except (RecursionError, TypeError, ValueError) as error:
        if isinstance(error, NoTextError):
            raise
        raise NoTextError(f"it holds what has no form as text ({type(error).__name__})") from None
    if len(text) > most:
        raise NoTextError(_too_long(len(text), most))
    return text


def about_chars(value: Any) -> int | None:
    """Returns about how many characters data has as a text, without making that; None if that is not known.

    Args:
        value: the data.
    """
    if isinstance(value, str):
        return len(value)
    if _library(value) == "pandas" and type(value).__name__ in _TABLES:
        rows = len(value)
        if rows == 0:
            return 0
        sample = len(value.head(_SAMPLE_ROWS).to_csv())
        return round(sample * rows / min(rows, _SAMPLE_ROWS))
    return None


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _too_long(length: int, most: int) -> str:
    return f"it has {length:,} characters as text, and at most {most:,} fit"


def _text(value: Any, most: int, depth: int) -> str:  # noqa: PLR0911 - one case each
    if depth > _DEEPEST:
        raise NoTextError("it is nested too deeply")
    if isinstance(value, str):
        return value
    name, library = type(value).__name__, _library(value)
    if library == "pandas" and name in _TABLES:
        _check_size(value.size, most)
        counts = type(value.index).__name__ == "RangeIndex" and value.index.name is None
        return str(value.to_csv(index=not counts))
    if library == "polars" and name == "DataFrame":
        _check_size(value.height * value.width, most)
        return str(value.write_csv())
    if library == "pyarrow" and name == "Table":
        _check_size(value.num_rows * value.num_columns, most)
        return _text(value.to_pandas(), most, depth)
    if isinstance(value, Mapping) and any(_has_own_text(item) for item in value.values()):
        _check_size(sum(len(item) for item in value.values() if isinstance(item, str)), most)
        return "\n\n".join(f"# {key}\n{_text(item, most, depth + 1)}" for key, item in value.items())
    if isinstance(value, (list, tuple)) and any(
        _has_own_text(item) and not isinstance(item, str) for item in value
    ):
        return "\n\n".join(f"# {at}\n{_text(item, most, depth + 1)}" for at, item in enumerate(value, 1))
    return json.dumps(_plain(value, most, depth), ensure_ascii=False, default=str)


def _check_size(least: int, most: int) -> None:
    """Refuse what is longer than fits, before a text is made of it: each cell takes a character at least."""
    if least > most:
        raise NoTextError(_too_long(int(least), most).replace("it has", "it has more than", 1))


def _has_own_text(value: Any) -> bool:
    return isinstance(value, str) or (
        _library(value) in ("pandas", "polars", "pyarrow") and type(value).__name__ in (*_TABLES, "Table")
    )


def _plain(value: Any, most: int, depth: int) -> Any:
    """Returns what JSON can hold of a value without losing anything.

    Raises:
        NoTextError: it is no plain data.
    """
    if depth > _DEEPEST * 4:
        raise NoTextError("it is nested too deeply")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        _check_size(len(value), most)
        return {str(key): _plain(item, most, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        _check_size(len(value), most)
        return [_plain(item, most, depth + 1) for item in value]
    if isinstance(value, (dt.date, dt.time, dt.timedelta)):
        return str(value)
    if _library(value) == "numpy" and hasattr(value, "tolist"):
        _check_size(int(getattr(value, "size", 1)), most)
        return _plain(value.tolist(), most, depth + 1)
    raise NoTextError(f"a `{type(value).__name__}` has no form as text that would be the whole of it")
