"""An error of an agent's cell, and what is known of the variables that it is about."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rlm_jupyter.engine.error_hints.values_in_words import Kind, kind_of, type_of

_MOST_CODE = 20_000
_MOST_LINE = 2_000
_MOST_NAMES = 200
_LONGEST_NAME = 80
_STRING = re.compile(r"\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'")
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")


@dataclass(frozen=True)
class Failure:
    """An error, and what there is to tell of it.

    Args:
        name: of the exception's type.
        text: of the exception.
        code: of the cell.
        lines: the agent's own lines that the traceback points at, the innermost first.
        variables: descriptions of the agent's variables by name, the data among them.
        data_names: the names of the data, `context` first.
        functions: the functions that agents are given in this run.
    """

    name: str
    text: str
    code: str = ""
    lines: Sequence[str] = ()
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data_names: Sequence[str] = ("context",)
    functions: Sequence[str] = ("FINAL", "SHOW_VARS", "budget")

    @cached_property
    def short_code(self) -> str:
        """The code, as much of it as is looked at."""
        return self.code[:_MOST_CODE]

    @property
    def line(self) -> str:
        """The line that failed; the whole code if that is unknown."""
        return (self.lines[0] if self.lines else self.short_code)[:_MOST_LINE]

    @cached_property
    def names(self) -> list[str]:
        """The variables that the failing lines read, those of the innermost line first."""
        text = "\n".join(line[:_MOST_LINE] for line in self.lines[:6]) or self.short_code[:_MOST_LINE]
        found = dict.fromkeys(_NAME.findall(_STRING.sub('""', text)))
        return [name for name in found if name in self.variables][:_MOST_NAMES]

    @property
    def data(self) -> tuple[str, Mapping[str, Any]]:
        """The data's first name and description, which is empty if nothing is known of it."""
        name = self.data_names[0] if self.data_names else "context"
        return name, self.variables.get(name, {})

    def subject(self, *types: str, kinds: Iterable[Kind] = ()) -> tuple[str, Mapping[str, Any]] | None:
        """Returns a variable of the failing lines that is of one of these types or kinds, or the data if it is."""
        wanted = set(kinds)
        for name in (*self.names, self.data[0]):
            description = self.variables.get(name, {})
            if type_of(description) in types or (description and kind_of(description) in wanted):
                return name, description
        return None

    def search(self, pattern: str) -> re.Match[str] | None:
        """Search the error's text."""
        return re.search(pattern, self.text)


def nearest(name: str, names: Iterable[str], most: int = 3, cutoff: float = 0.6) -> list[str]:
    """Returns the names that are written most like another one, whatever their case."""
    plain: dict[str, str] = {}
    for each in names:
        if len(plain) < _MOST_NAMES and len(each) <= _LONGEST_NAME:
            plain.setdefault(_plain(each), each)
    found = difflib.get_close_matches(_plain(name[:_LONGEST_NAME]), plain, n=most, cutoff=cutoff)
    whole = [each for each in plain if _plain(name) in each.split()]
    return [plain[each] for each in dict.fromkeys([*found, *whole])][:most]


def is_name(text: str) -> bool:
    """Returns whether a text can be written into code as a name."""
    return text.isidentifier() and text.isascii() and not keyword.iskeyword(text) and len(text) <= 40  # noqa: PLR2004


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", name.lower()))
