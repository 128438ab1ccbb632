"""The variables of an agent: what its code made, and what changed since the engine was last told.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import time
import types
from typing import Any

from ..values.describe import api as describe

MAX_VARIABLES = 200
"""Variables that are described; of those beyond it only the names are known."""
_UNCHANGED_SECONDS = (
    0.05  # for another look at objects that are the same as before, but may have changed inside
)
_MAX_CHARS = 2000
_FIXED = (int, float, complex, bool, type(None), str, bytes)
_MAX_FIXED = 2000  # length of a text that is kept to be compared
_CODE = (types.FunctionType, types.BuiltinFunctionType, type)


class Variables:
    """Watches a namespace of IPython.

    Args:
        shell: of IPython.

    Attributes:
        words: name to object, of what is bound by us and is not a variable.
        rows: rows of a table that a description quotes; 0 quotes no data.
        dropped: whether a name lost its object, as of the last `changes()`.
        shared: objects that all kernels of the run see without a copy.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.words: dict[str, Any] = {}
        self.rows = 3
        self.dropped = False
        self.shared: list[Any] = []
        self._sent: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, tuple[int, type]] = {}
        self._fixed: dict[str, Any] = {}

    def current(self) -> dict[str, Any]:
        """Returns the variables, without our words, IPython's own names, modules and what begins with `_`."""
        hidden, namespace = self._shell.user_ns_hidden, self._shell.user_ns
        return {
            name: value
            for name, value in dict(namespace).items()
            if type(name) is str
            and not (
                name.startswith("_")
                or (name in hidden and hidden[name] is value)
                or (name in self.words and self.words[name] is value)
                or issubclass(type(value), types.ModuleType)
                or _is_imported(value)
            )
        }

    def defined(self, names: list[str]) -> list[str]:
        """Returns which of these names code has defined: variables, imports; no builtins and none of our words."""
        hidden, namespace = self._shell.user_ns_hidden, self._shell.user_ns
        return [
            name
            for name in names
            if name in namespace
            and not (name in hidden and hidden[name] is namespace[name])
            and not (name in self.words and self.words[name] is namespace[name])
        ]

    def describe(self) -> list[dict[str, Any]]:
        """Describe all variables, at most `MAX_VARIABLES`."""
        return [self.one(name, value) for name, value in list(self.current().items())[:MAX_VARIABLES]]

    def one(self, name: str, value: Any) -> dict[str, Any]:
        """Describe one variable."""
        place = {"place": "shared"} if any(value is one for one in self.shared) else {}
        return {**describe.describe(value, rows=self.rows, max_chars=_MAX_CHARS), **place, "name": name}

    def note(self, names: list[str]) -> None:
        """Take the variables of these names as known to the engine."""
        current = self.current()
        for name in names:
            if name in current:
                self._seen[name] = _mark(current[name])
                self._sent[name] = self.one(name, current[name])

    def told(self, name: str) -> dict[str, Any]:
        """Returns the description of a variable that the engine knows."""
        return dict(self._sent.get(name) or {})

    def changes(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Returns the descriptions that differ from those given last, and the names that are gone.

        What is bound to another object is always looked at; the same objects are, too, as long as time allows,
        because they may have changed inside.
        """
        current = self.current()
        marks = {name: _mark(value) for name, value in current.items()}
        rebound = [name for name, mark in marks.items() if self._seen.get(name) != mark]
        fixed = {name: value for name, value in current.items() if is_fixed(value)}
        same = [
            name
            for name, mark in marks.items()
            if self._seen.get(name) == mark
            and name in self._sent
            and (name not in fixed or self._fixed.get(name) is not fixed[name])
        ]
        self._fixed = fixed
        changed = [one for name in rebound[:MAX_VARIABLES] if (one := self._differs(name, current[name]))]
        deadline = time.monotonic() + _UNCHANGED_SECONDS
        for name in reversed(same[-MAX_VARIABLES:]):
            if time.monotonic() > deadline:
                break
            if one := self._differs(name, current[name]):
                changed.append(one)
        removed = [name for name in self._sent if name not in current]
        for name in removed:
            del self._sent[name]
        self.dropped = any(marks.get(name) != mark for name, mark in self._seen.items())
        self._seen = marks
        return changed, removed

    def _differs(self, name: str, value: Any) -> dict[str, Any] | None:
        description = self.one(name, value)
        if self._sent.get(name) == description:
            return None
        self._sent[name] = description
        return description


def _mark(value: Any) -> tuple[int, type]:
    return id(value), type(value)


def is_fixed(value: Any) -> bool:
    """Whether it cannot change inside, and is so small that it may be kept."""
    kind = type(value)
    return kind in _FIXED and (kind not in (str, bytes) or len(value) <= _MAX_FIXED)


def _is_imported(value: Any) -> bool:
    """Whether it is a function or a class that comes from a module, not from a cell."""
    if not issubclass(type(value), _CODE):
        return False
    return getattr(value, "__module__", None) != "__main__"
