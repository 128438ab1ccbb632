"""`%rlm`: finds the sub-command a line begins with, reads its arguments, and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rlm_jupyter.magics.commands  # noqa: F401 - declares them
from rlm_jupyter.magics.arguments import parse, split
from rlm_jupyter.magics.hand_over import missing
from rlm_jupyter.magics.registry import COMMANDS, Command

if TYPE_CHECKING:
    from rlm_jupyter.magics.extension import RLMMagics


def run(magics: RLMMagics, line: str) -> Any:
    """Run one `%rlm` line; give what the command gives.

    Raises:
        UsageError: no such command, option or name.
        RLMError: the command itself failed.
    """
    name, _, rest = line.strip().partition(" ")
    command = find(name or "status")
    if command.verbatim:
        return command.function(magics, rest)
    return command.function(magics, parse(command.parser, split(rest)))


def find(name: str) -> Command:
    """Find a sub-command.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in COMMANDS:
        raise missing("command", name, COMMANDS, "Commands")
    return COMMANDS[name]


def help_text() -> str:
    """Give what `%rlm?` shows: each command with its arguments."""
    width = max(len(command.usage) for command in COMMANDS.values())
    rows = [f"    {command.usage:<{width}}  {command.summary}" for command in COMMANDS.values()]
    return "\n".join(
        [
            "Look after runs that `%%rlm` started.",
            "",
            "::",
            "",
            *rows,
            "",
            "RUN is the beginning of a run's id; without it, the newest run is meant.",
            "AGENT is an id such as 0.2; 0 is the root.",
            "",
            "Examples::",
            "",
            "    %rlm tree",
            "    counts = %rlm pull 0.2 counts",
            "    %rlm exec 0.2 counts.head()",
        ]
    )
