"""Which columns of a table a question is about: with them the lines of Python for small models are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KINDS: Final = ("date", "flag", "number", "integer", "text")
_WORD: Final = re.compile(r"[^\W_]{2,}")
_MARKED: Final = re.compile(r"`([^`\n]{1,60})`")
_READ: Final = 2000
_MOST_FLAGS: Final = 2
_OF_ALL: Final = re.compile(
    r"\b(?:share|rate|percentage|proportion|fraction|per ?cent)\b|%|\bmore (?:often|likely)\b", re.IGNORECASE
)
"""Words of a question about a part of all rows: for it none are left out before."""
_EITHER: Final = re.compile(
    r"\bthan\b.{0,60}\b(?:those|ones|not|other)\b|\b(?:and|or|from|versus|vs\.?) (?:those|ones|which|that)\b"
    r"|\bcompar(?:e|es|ed|ing|ison)\b|\bdifference between\b|\b(?:and|or) (?:how many|which|that)\b.{0,40}\bnot\b",
    re.IGNORECASE | re.DOTALL,
)
"""Words of a question about rows of both values of a flag."""
_STEM: Final = 6
"""Characters of a word by which it is told from others: `refunded` is asked for as refunds."""


@dataclass(frozen=True)
class Column:
    """A column of the table that a first look shows.

    Attributes:
        name: of the column.
        kind: one of `KINDS`.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Named:
    """A term of the question that is a value in one column of a table.

    Attributes:
        column: its name.
        term: as it stands in the question and in the column.
        longer: whether other values of the column contain the term.
    """

    column: str
    term: str
    longer: bool = False


def chosen_columns(question: str, columns: Sequence[Column]) -> dict[str, str]:
    """Returns the columns that a question is about, by what they are for; what is not clear is left out.

    Args:
        question: verbatim.
        columns: of the table, in order.

    Returns:
        `date`, `flag`, `number` (of which something is computed), `group` (by which), `key` (that tells rows apart).
    """
    asked = question[:_READ]
    marked = set(_MARKED.findall(asked))
    stems = [_stem(word) for word in _WORD.findall(asked)]
    named = sorted(
        (column for column in columns if column.name in marked or _is_asked(column.name, stems)),
        key=lambda column: column.name not in marked,
    )
    plain = [column for column in named if not _is_key(column.name)]
    found: dict[str, str] = {}
    asked_for = re.search(r"\b(?:which|what|each|every|per)\s+([^\W\d_]{2,40})", asked, re.IGNORECASE)
    first = {_stem(asked_for[1])} if asked_for else set()
    groups = sorted(
        (column for column in plain if column.kind in ("text", "integer")),
        key=lambda column: (column.kind != "text", not _is_asked(column.name, first)),
    )
    texts = [column for column in columns if column.kind == "text"]
    if groups or len(texts) == 1:
        found["group"] = (groups or texts)[0].name
    for kind in ("date", "flag", "number"):
        of_kind = [column for column in columns if column.kind == kind and not _is_key(column.name)]
        choice = next(
            (column for column in plain if column in of_kind), of_kind[0] if len(of_kind) == 1 else None
        )
        if choice is None and kind == "number":
            choice = next(
                (column for column in groups if column.kind == "integer" and column.name != found["group"]),
                None,
            )
        if choice is not None:
            found[kind] = choice.name
    keys = [column.name for column in named if column.name in marked]
    keys += [column.name for column in columns if _is_key(column.name)]
    if keys:
        found["key"] = keys[0]
    return found


def asked_flags(question: str, columns: Sequence[Column]) -> list[tuple[str, bool]]:
    """Returns the columns of True and False by which a question selects rows, each with the value that it wants.

    Args:
        question: verbatim.
        columns: of the table.
    """
    asked = question[:_READ]
    if _OF_ALL.search(asked) or _EITHER.search(asked):
        return []
    found = []
    for column in columns:
        own = [re.escape(_stem(word)) for word in _WORD.findall(column.name)]
        if column.kind != "flag" or not own:
            continue
        # Not `no later than`, and not the first of two that are enough.
        name = r"\w{0,12}[\W_]+".join(own) + r"\w{0,12}\b(?! (?:than|or|and/or)\b)"
        if re.search(
            rf"\b(?:not|never|without|no)\s+(?:yet\s+|been\s+)?{name}|\b(?:un|non-?){name}",
            asked,
            re.IGNORECASE,
        ):
            found.append((column.name, False))
        elif re.search(
            rf"\b(?:that|which|who|they)\s+(?:was|were|are|is|have been|has been)\s+{name}",
            asked,
            re.IGNORECASE,
        ):
            found.append((column.name, True))
    return found[:_MOST_FLAGS]


def _is_asked(name: str, stems: Iterable[str]) -> bool:
    own = {_stem(word) for word in _WORD.findall(name)} - {"id"}
    return bool(own) and own <= set(stems)


def _is_key(name: str) -> bool:
    return re.search(r"(?:^|_)(?:id|key|no|number)$", name.lower()) is not None


def _stem(word: str) -> str:
    plain = word.lower()
    return (plain[:-1] if plain.endswith("s") and len(plain) > 3 else plain)[:_STEM]  # noqa: PLR2004
