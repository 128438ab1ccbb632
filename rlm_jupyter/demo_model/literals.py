"""Text of the data and of the user in the code that the demo writes: quoted, never code."""

from __future__ import annotations

from rlm_jupyter.demo_model.plan import Column


def in_text(text: str, *, braces: bool = True) -> str:
    """Returns a text as it stands between the quotes of an f-string; without `braces`, of a plain string."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    quoted = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
    return quoted.replace("{", "{{").replace("}", "}}") if braces else quoted


def title(text: str) -> str:
    """Returns a string for the title of a chart, in which matplotlib sees no formula."""
    return f'"{in_text(text[:60].replace("$", chr(92) + "$"), braces=False)}"'


def at(table: str, column: Column) -> str:
    """Returns the code for a column of a table."""
    return f"{table}[{literal(column.name)}]" if column.plain else f"{table}.iloc[:, {column.at}]"


def literal(text: str) -> str:
    """Returns a string literal in double quotes."""
    return f'"{in_text(text, braces=False)}"'


def listed(names: list[str]) -> str:
    """Returns a list of string literals."""
    return f"[{', '.join(map(literal, names))}]"
