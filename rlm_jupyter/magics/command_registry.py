"""The table of `%rlm` sub-commands: how one is declared, read and run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.magics.arguments import Parser

if TYPE_CHECKING:
    import argparse

    from rlm_jupyter.magics.magics_state import MagicsState


@dataclass(frozen=True)
class Command:
    """One sub-command.

    Attributes:
        usage: its name and arguments, as the help shows them.
        function: takes the magics and the arguments, or the rest of the line where it is `verbatim`.
    """

    name: str
    usage: str
    summary: str
    function: Callable[[MagicsState, Any], Any]
    parser: Parser
    verbatim: bool = False


COMMANDS: dict[str, Command] = {}
"""By name, in the order of the help."""

_Function = Callable[["MagicsState", Any], Any]


def command(usage: str, summary: str, *, verbatim: bool = False) -> Callable[[_Function], _Function]:
    """Declare a sub-command by its usage line: ``pull AGENT NAME [-o/--out NEW] [--trust]``."""

    def declare(function: _Function) -> _Function:
        name, *arguments = re.findall(r"\[[^]]*\]|\S+", usage)
        parser = Parser(f"%rlm {name}", usage=usage.removeprefix(name).strip().replace("/--out", ""))
        for argument in arguments:
            if not verbatim:
                _add(parser, argument)
        shown = usage.replace("/--out", "")
        COMMANDS[name] = Command(name, shown, summary, function, parser, verbatim)
        return function

    return declare


def _add(parser: argparse.ArgumentParser, argument: str) -> None:
    optional = argument.startswith("[")
    words = argument.strip("[]").split()
    if words[0].startswith("-"):
        kind: dict[str, Any] = {"metavar": words[1]} if len(words) > 1 else {"action": "store_true"}
        parser.add_argument(*words[0].split("/"), **kind)
    else:
        parser.add_argument(words[0].lower(), metavar=words[0], nargs="?" if optional else None)
