"""Keeps paths of this machine out of what clients are told; handles stand in the place of those that they opened."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_ANY: Final = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?(?:[/\\][^\s/\\`'\"()<>|:,;]{1,255}){2,}[/\\]?")
_HIDDEN: Final = "(path)"


def without_paths(told: Any, known: Iterable[tuple[str, str]]) -> Any:
    """Returns an answer with names in the place of known paths.

    Args:
        told: texts, in lists and dicts.
        known: paths, and what stands in their place.
    """
    return _replaced(told, sorted(known, key=lambda one: -len(one[0])))


def without_any_path(message: str) -> str:
    """Returns a message of this machine's own, such as an error, without absolute paths."""
    return _ANY.sub(_HIDDEN, message)


def _replaced(told: Any, known: list[tuple[str, str]]) -> Any:
    if isinstance(told, str):
        for path, name in known:
            told = told.replace(path, name)
        return told
    if isinstance(told, dict):
        return {_replaced(key, known): _replaced(item, known) for key, item in told.items()}
    return [_replaced(item, known) for item in told] if isinstance(told, list) else told
