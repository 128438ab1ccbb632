"""Adds the options of the table to a parser of `argparse`, for `%%rlm` and for `rlm-jupyter`."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from rlm_jupyter.options.table import Option

_GROUPS = re.compile(r"(?<=\d)[,_](?=\d{3}(?!\d))")
"""What may separate the groups of three digits of a number; `0,5` is not 5."""


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Adds options; one that is not given leaves no trace, so that `none` (no limit) and nothing differ.

    Args:
        parser: made with ``argument_default=argparse.SUPPRESS``.
        options: those of the command line.
    """
    for option in options:
        parser.add_argument(*option.flags, dest=option.argument, help=_help(option), **_behaviour(option))


def _help(option: Option) -> str:
    none = " `none` is no limit." if option.owner == "limits" else ""
    return ((option.usage or option.help) + none).replace("%", "%%")


def _behaviour(option: Option) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind
    """Returns what argparse does with an option, apart from its names and help."""
    match option.kind:
        case "flag":
            return {"action": "store_const", "const": not option.default}
        case "paths":
            return {"action": "append", "metavar": option.metavar}
        case "hosts":
            return {"action": "extend", "type": _hosts, "metavar": option.metavar}
        case "price":
            return {"nargs": 2, "type": float, "metavar": ("PROMPT", "COMPLETION")}
        case "integer" | "number":
            return {"type": _number_reader(option), "metavar": option.metavar}
        case "path":
            return {"type": _path, "metavar": option.metavar}
        case _ if option.choices:
            return {"choices": option.choices, "metavar": option.metavar or option.name.upper()}
        case _:
            return {"metavar": option.metavar}


def _hosts(text: str) -> list[str]:
    return [host for host in text.split(",") if host]


def _path(text: str) -> str | None:
    return None if text == "none" else text


def _number_reader(option: Option) -> Callable[[str], float | int | None]:
    """Returns a function that reads a number in the option's range; ``none`` and ``inf`` are None."""

    def read(text: str) -> float | int | None:
        if option.nullable and text.lower() in {"none", "inf"}:
            return None
        instead = ", or `none` for no limit" if option.owner == "limits" else ""
        try:
            value = float(_GROUPS.sub("", text))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"`{text}` is not a number; write one in digits{_corrected(text)}{instead}"
            ) from None
        if math.isnan(value) or not _in_range(option, value):
            raise argparse.ArgumentTypeError(f"`{text}` is out of range; write {_range(option)}{instead}")
        if option.kind == "integer" and value != int(value):
            raise argparse.ArgumentTypeError(f"`{text}` is not a whole number; write one{instead}")
        return int(value) if option.kind == "integer" else value

    return read


def _corrected(text: str) -> str:
    """Returns a suggestion for a number with a decimal comma."""
    return "" if set(text) - set("0123456789.,") else f", such as `{text.replace(',', '.')}`"


def _in_range(option: Option, value: float) -> bool:
    return (
        (option.least is None or value >= option.least)
        and (option.above is None or value > option.above)
        and (option.most is None or value <= option.most)
    )


def _range(option: Option) -> str:
    low = f"more than {option.above:g}" if option.above is not None else ""
    return low or f"{option.least:g} or more"
