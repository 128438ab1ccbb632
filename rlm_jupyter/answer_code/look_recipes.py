"""Functions of a first look in a few lines of pandas, for the data of a run: from what its kernel found out about it.

What a kernel tells is data: it is checked, and stands in the code as literals alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rlm_jupyter.guest.look_facts import CONVERSIONS

_MOST = 4_000
"""Characters of a function; a longer one says no more than the general one."""
_ANOTHER = "The lines have another form."
_MOST_TABLES = 4


class _OtherError(Exception):
    """What a kernel told has not the form of a fact."""


def written_looks(notes: object) -> dict[str, str]:
    """Returns the source of functions by their names: of those that did the same in each call.

    Args:
        notes: as a kernel told them: name → what the function found out, for each call.
    """
    made: dict[str, str] = {}
    for name, write in _WRITERS.items():
        told = notes.get(name) if isinstance(notes, Mapping) else None
        facts = (
            list({json.dumps(one, default=str): one for one in told}.values())
            if isinstance(told, list)
            else []
        )
        if len(facts) != 1 or not isinstance(facts[0], Mapping):
            continue
        try:
            source = write(facts[0])
        except _OtherError:
            continue
        if len(source) <= _MOST:
            made[name] = source
    return made


def _lines(fact: Mapping[str, Any]) -> str:
    """Returns `parse_lines` for lines of one form."""
    lines = "[line for line in text.splitlines() if line.strip()]"
    lines = "[line for line in text if line.strip()]" if fact.get("listed") is True else lines
    body = [f"lines = {lines}"]
    kind = fact.get("kind")
    if kind == "json":
        return _function(
            "parse_lines(text)", [*body, "return pd.DataFrame([json.loads(line) for line in lines])"]
        )
    if kind == "csv":
        text = "io.StringIO('\\n'.join(lines))"
        options = "on_bad_lines='skip', skipinitialspace=True"
        body.append(f"rows = pd.read_csv({text}, sep={_text(fact.get('delimiter'))!r}, {options})")
    elif kind == "form":
        columns = [_text(one) for one in _items(fact.get("columns"))]
        body += [
            f"found = [re.fullmatch({_raw(_text(fact.get('pattern')))}, line) for line in lines]",
            f"rows = pd.DataFrame([one.groups() for one in found if one], columns={columns!r})",
            "if 5 * len(rows) < 4 * len(lines):",
            f"    raise ValueError({_ANOTHER!r})",
        ]
    else:
        raise _OtherError
    return _function("parse_lines(text)", [*body, *_conversions("rows", fact.get("convert")), "return rows"])


def _table(fact: Mapping[str, Any]) -> str:
    """Returns `clean_table` for a table with these columns."""
    convert = _conversions("table", fact.get("convert"))
    return _function("clean_table(table)", ["table = table.copy()", *convert, "return table"])


def _tables(fact: Mapping[str, Any]) -> str:
    """Returns `join_tables` for tables with these columns."""
    keys, named = _items(fact.get("keys")), fact.get("named") is True
    base, convert = _place(fact.get("base"), keys), fact.get("convert")
    joins = [(_place(one[0], keys), _text(one[1]), _text(one[2])) for one in _triples(fact.get("joins"))]
    if len(keys) > _MOST_TABLES or not isinstance(convert, Mapping):
        raise _OtherError
    body: list[str] = []
    variables = {place: f"table_{place + 1}" for place in (base, *(join[0] for join in joins))}
    for place, variable in variables.items():
        body.append(f"{variable} = tables[{_key(keys[place])!r}].copy()")
        body += _conversions(variable, convert.get(str(place)))
    for place, column, key in joins:
        on = f"left_on={column!r}, right_on={key!r}, suffixes=('', '_{place + 1}')"
        body.append(f"{variables[base]} = {variables[base]}.merge({variables[place]}, how='left', {on})")
    return _function(f"join_tables({'' if named else '*'}tables)", [*body, f"return {variables[base]}"])


_WRITERS = {"parse_lines": _lines, "clean_table": _table, "join_tables": _tables}


def _function(head: str, body: list[str]) -> str:
    return "\n".join([f"def {head}:", *(f"    {line}" for line in body)])


def _conversions(variable: str, told: object) -> list[str]:
    """Returns the lines that convert columns."""
    lines = []
    for pair in map(_items, _items(told)):
        if len(pair) != 2 or _text(pair[1]) not in CONVERSIONS:  # noqa: PLR2004 - column and conversion
            raise _OtherError
        name, conversion = _text(pair[0]), pair[1]
        column = f"{variable}[{name!r}]"
        lines.append(f"{column} = {CONVERSIONS[conversion].replace('{column}', column)}")
    return lines


def _items(told: object) -> Sequence[Any]:
    if not isinstance(told, list):
        raise _OtherError
    return told


def _triples(told: object) -> list[Sequence[Any]]:
    found = [_items(one) for one in _items(told)]
    if any(len(one) != 3 for one in found):  # noqa: PLR2004 - place, column, key
        raise _OtherError
    return found


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise _OtherError
    return told


def _key(told: object) -> str | int:
    if not isinstance(told, (str, int)):
        raise _OtherError
    return told


def _place(told: object, keys: Sequence[Any]) -> int:
    if not isinstance(told, int) or not 0 <= told < len(keys):
        raise _OtherError
    return told


def _raw(pattern: str) -> str:
    """Returns a pattern as a raw text, where it can be one."""
    plain = "'" not in pattern and pattern.isprintable() and not pattern.endswith("\\")
    return f"r'{pattern}'" if plain else repr(pattern)
