"""`%rlm`: finds the sub-command a line begins with, reads its arguments, and runs it."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

import rlm_jupyter.magics.commands
import rlm_jupyter.magics.conversation_command
import rlm_jupyter.magics.diagnose_command
import rlm_jupyter.magics.permitted_assistant
import rlm_jupyter.magics.recorded_runs
import rlm_jupyter.magics.sent_command
import rlm_jupyter.magics.tour  # noqa: F401 - all declare some
from rlm_jupyter.magics.arguments import parse
from rlm_jupyter.magics.command_registry import COMMANDS, Command
from rlm_jupyter.magics.lexer import lex
from rlm_jupyter.magics.notebook_lookup import missing

if TYPE_CHECKING:
    from rlm_jupyter.magics.magics_state import MagicsState


def run(magics: MagicsState, line: str) -> Any:
    """Run one `%rlm` line; give what the command gives.

    Raises:
        UsageError: no such command, option or name.
        RLMError: the command itself failed.
    """
    first = line.split(maxsplit=1)
    if first and first[0] in COMMANDS and (command := COMMANDS[first[0]]).verbatim:
        return command.function(magics, first[1] if len(first) > 1 else "")
    words = lex(line)
    command = find(words[0].text if words else "status", magics.shell.user_ns)
    rest = first[1] if len(first) > 1 and words and first[0] == words[0].text else ""
    return command.function(magics, parse(command.parser, rest, magics.shell.user_ns))


def find(name: str, variables: Container[str] = ()) -> Command:
    """Find a sub-command.

    Args:
        name: of the command.
        variables: of the notebook; a question about one of them is asked by `%%rlm`.

    Raises:
        UsageError: there is none of that name.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    if name in variables:
        raise UsageError(
            f"`{name}` is a variable and no command of `%rlm`. To ask about it, begin the cell with "
            f"`%%rlm {name}` (two `%`) and write the question below that line."
        )
    raise missing("command", name, COMMANDS, "Commands")


def help_text() -> str:
    """Returns what `%rlm?` shows: each command with its arguments."""
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
