"""The arguments of `%%rlm`: what a line may hold, and what is said of a wrong one."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping
from typing import Any, NoReturn

from IPython.core.error import UsageError

from rlm_jupyter.magics.lexer import lex
from rlm_jupyter.magics.spelling import written_as
from rlm_jupyter.options.argparse_options import add_options
from rlm_jupyter.options.table import CELL as CELL_LINE
from rlm_jupyter.options.table import options_on


class Parser(argparse.ArgumentParser):
    """Reads the arguments of a magic; a wrong one is a `UsageError`."""

    def __init__(self, name: str, *, usage: str, default: str | None = None) -> None:
        super().__init__(
            name,
            usage=f"{name} {usage}",
            add_help=False,
            allow_abbrev=False,
            argument_default=default,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=26, width=100),
        )

    def error(self, message: str) -> NoReturn:
        """Returns in one line what is wrong, and what would be right."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. Usage: `{self.usage}`")


def parse(parser: Parser, line: str, variables: Mapping[str, Any]) -> argparse.Namespace:
    """Read a line with a parser; options and names may stand in any order.

    Args:
        parser: of the magic or the command.
        line: what stands after its name.
        variables: of the notebook, for words such as ``$name`` and ``{name}``.

    Raises:
        UsageError: a line that cannot be read, an option that does not exist (the message lists those that do),
            or a wrong value.
    """
    words = written_as(parser, lex(line), variables)
    arguments, rest = parser.parse_known_intermixed_args(words)
    if not rest:
        return arguments
    wrong = next((word for word in rest if word.startswith("-")), rest[0])
    if not wrong.startswith("-"):
        raise UsageError(f"`{wrong}` is one name too many. Usage: `{parser.usage}`")
    if wrong in ("-h", "--help"):
        raise UsageError(f"There is no option `{wrong}`: `{(parser.prog or '').split()[0]}?` shows the help.")
    known = options(parser)
    close = difflib.get_close_matches(wrong.partition("=")[0].lower(), known, n=2)
    hint = f" Did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else ""
    listed = f" Options are: {', '.join(f'`{name}`' for name in known)}." if known else " It takes none."
    raise UsageError(f"There is no option `{wrong}`.{hint}{listed}")


def options(parser: argparse.ArgumentParser) -> list[str]:
    """Returns a parser's options, each by its longest form."""
    actions = parser._actions  # noqa: SLF001 - argparse has no public list of them
    return [max(action.option_strings, key=len) for action in actions if action.option_strings]


def cell_parser() -> Parser:
    """Returns the parser of a `%%rlm` line."""
    parser = Parser("%%rlm", usage="[NAME ...] [OPTIONS]", default=argparse.SUPPRESS)
    add = parser.add_argument
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help="Variables, and @PATHs of files, to hand over: one is `context`, more are a dict.",
    )
    add("-o", "--out", metavar="OUT", help="Store the answer under this name.")
    add("-s", "--schema", metavar="SCHEMA", help="What the answer must be: a type, a TypedDict, a dict.")
    add("-t", "--tool", metavar="TOOL", action="append", help="A function that agents may call. Repeatable.")
    add("--env", metavar="NAME", action="append", help="An environment variable to hand over. Repeatable.")
    add("--mcp", metavar="NAME", action="append", help="A dict of MCP servers that agents may use.")
    add_options(parser, options_on(CELL_LINE))
    add(
        "--samples",
        metavar="N",
        help="Let N agents answer that know nothing of each other, and compare their answers; or a variable with "
        "Samples(...).",
    )
    add(
        "--verify",
        action="store_true",
        help="Let one more agent compute a check where samples differ, and take the right answer.",
    )
    add(
        "--check",
        metavar="CHECK",
        action="append",
        help="A function of the answer that can send it back to the agent. Repeatable.",
    )
    add("--plain", action="store_true", help="Send the data whole in one prompt, without agents, if it fits.")
    add(
        "--plain-auto",
        dest="plain",
        action="store_const",
        const="auto",
        help="Do so if the data takes at most half of the model's window, and let agents read it else.",
    )
    add(
        "--plain-passages",
        dest="plain",
        action="store_const",
        const="passages",
        help="Send the passages of texts that share most words with the question in one prompt, without agents.",
    )
    add("--bg", action="store_true", help="Return the run at once and go on in the background.")
    add("--step", action="store_true", help="Wait for Next before each cell of an agent.")
    add(
        "--continue", dest="go_on", action="store_true", help="Ask on in the newest run: its kernel and chat."
    )
    add(
        "--estimate",
        action="store_true",
        help="Tell what it will cost and take, from earlier runs alike, and send nothing; `-m A,B` compares models.",
    )
    add(
        "--chat",
        action="store_true",
        help="Ask in the notebook's conversation, which has one kernel, one chat and one tree.",
    )
    add("--dry-run", action="store_true", help="Show what would be sent, and send nothing.")
    return parser


CELL = cell_parser()
"""Reads the line of a `%%rlm` cell."""


def cell_help() -> str:
    """Returns what `%%rlm?` shows."""
    return _CELL_HELP + CELL.format_help().partition("\n\n")[2]


_CELL_HELP = """Ask a question about variables of this notebook, or files; the answer is the cell's value.

    %%rlm [NAME ...] [OPTIONS]
    the question, verbatim: braces, dollars and quotes in it mean nothing

Agents, each with a kernel of its own, look at the data and compute the answer; a tree shows them
at work. Interrupt stops them. `%rlm?` tells how to look after runs, `%config RLMMagics` the settings.

On the line, `#` starts a comment, a backslash at its end goes on in the next line, `$NAME` or `{NAME}` after
an option is the value of a variable, and `;` at the end keeps the answer off the screen. A word that begins with `@`
is the path of a file or folder, or a pattern of files: agents may read those, and nothing else of your disk.

Examples::

    %%rlm orders -o findings
    Which supplier explains the rise in refunds, and since when?

    %%rlm orders returns -s Verdict --max-cost 0.50
    Do the returns explain the drop in margin?

    %%rlm @data/*.parquet @notes/
    Which notes explain the outliers?

    %%rlm --continue
    And which of them came back within a week?

    %%rlm --chat
    And how do they compare to last year's?

"""
