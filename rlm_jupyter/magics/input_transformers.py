"""Input transformers for what IPython itself does not read on the lines of `%%rlm` and `%rlm`.

A comment above `%%rlm` or spaces before it, a tab or a non-breaking space after the magic's name, and a semicolon
that says that the value is not to be shown. Lines of other magics stay as they are.
"""

from __future__ import annotations

import ast
import re

from rlm_jupyter.magics.lexer import is_silenced

_NAMES = ("rlm", "rlm_map", "rlm_table")
_CELL = re.compile(r"\s*%%\s*(?P<name>rlm(?:_map|_table)?)(?![\w?])\s*(?P<line>[^\n]*)\n?")
_CALL = re.compile(
    r"(?P<call>get_ipython\(\)\.run_(?:line|cell)_magic\()"
    r"(?P<name>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"), (?P<line>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
)


def at_the_beginning(lines: list[str]) -> list[str]:
    """Begin a cell with its `%%rlm`, without the comments and spaces before it: IPython finds a magic only there."""
    for place, line in enumerate(lines):
        if (found := _CELL.fullmatch(line)) is not None:
            return [f"%%{found['name']} {found['line']}".rstrip() + "\n", *lines[place + 1 :]]
        if line.strip() and not line.lstrip().startswith("#"):
            break
    return lines


def respaced(lines: list[str]) -> list[str]:
    """End the magic's name at whitespace of any kind: IPython ends it at a space alone."""
    return [_CALL.sub(_respaced, line) if "_magic('rlm" in line else line for line in lines]


def _respaced(found: re.Match[str]) -> str:
    name, *more = ast.literal_eval(found["name"]).split(maxsplit=1)
    if name not in _NAMES or not more:
        return found.group()
    rest = f"{more[0]} {ast.literal_eval(found['line'])}".strip()
    return f"{found['call']}{name!r}, {rest!r}"


def silenced(lines: list[str]) -> list[str]:
    """Put the semicolon that ends a magic's line behind the call, where the display hook looks for it."""
    last = next((place for place in reversed(range(len(lines))) if lines[place].strip()), None)
    if last is None or not any(f"_magic('{name}', " in lines[last] for name in _NAMES):
        return lines
    found = _CALL.search(lines[last])
    if found is None or not is_silenced(ast.literal_eval(found["line"])):
        return lines
    return [*lines[:last], lines[last].rstrip() + ";\n", *lines[last + 1 :]]


BEFORE = (at_the_beginning,)
"""For `input_transformers_cleanup`."""
AFTER = (respaced, silenced)
"""For `input_transformers_post`."""
