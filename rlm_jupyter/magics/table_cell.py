"""`%%rlm_table`: a question about the rows of a table as a whole. Its line, what is made of it, and its help."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.magics import notebook_lookup
from rlm_jupyter.magics.arguments import Parser, parse
from rlm_jupyter.magics.lexer import join_continued_lines
from rlm_jupyter.magics.map_cell import MapCell, listed
from rlm_jupyter.magics.task import question_of, settings_of
from rlm_jupyter.options.argparse_options import add_options
from rlm_jupyter.options.table import CELL, options_on

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.table_verbs import TableVerbs

_LISTS = ("columns", "right_columns", "on", "by", "labels")
_TAKES = {
    "filter": ("columns", "per", "sample", "confirm"),
    "top": ("k", "columns", "confirm"),
    "join": ("on", "columns", "right_columns", "confirm"),
    "search": ("k", "columns", "candidates", "confirm"),
    "group": ("k", "labels", "columns", "confirm"),
    "reduce": ("by", "columns", "confirm"),
}
"""What each verb takes of the options that only tables have."""
VERBS = tuple(_TAKES)
_OPTIONS = tuple(dict.fromkeys(name for names in _TAKES.values() for name in names))


@dataclass(frozen=True)
class TableCell(MapCell):
    """A verb for a table, or for two.

    Attributes:
        verb: a method of `TableVerbs`.
        tables: its data, one or two.
    """

    verb: str = "filter"
    tables: tuple[Any, ...] = ()

    def begin(self, rlm: RLM) -> Run:
        """Start its run, and return at once; see `TableVerbs` for what it raises."""
        run: Run = self._call(rlm.in_background)
        return run

    def _call(self, verbs: TableVerbs[Any]) -> Any:
        return getattr(verbs, self.verb)(*self.tables, self.question, **self.options)

    @property
    def waits(self) -> bool:
        """Whether the run may wait for the user after its first requests."""
        return bool(self.options.get("confirm", True))

    @property
    def how_to_go_on(self) -> str:
        """What is said where the cell returns at once because the run may wait."""
        return (
            "If many requests follow after the first, the run waits: `%rlm tree` shows what the rest will cost, `%rlm "
            "next` goes on, `%rlm stop` ends it. `--no-confirm` does not ask."
        )

    def preview(self) -> str:
        """Returns what is asked and in how many requests, and nothing is sent."""
        from rlm_jupyter.engine.mapping.item_requests import prompt
        from rlm_jupyter.engine.mapping.map_task import MapTask
        from rlm_jupyter.engine.mapping.packing import PackLimits, pack
        from rlm_jupyter.table_verbs import StartedVerbs
        from rlm_jupyter.text.sanitize import clean
        from rlm_jupyter.text.units import amount

        task = self._call(StartedVerbs(lambda task, *_: task))
        if isinstance(task, MapTask):
            items = range(task.count)
            requests = len(pack(items, task.texts, task.schema.tokens, PackLimits()))
            count, noun, asked = task.count, task.noun, prompt(task.question, task.schema)
        else:
            plan = task.plan(PackLimits())
            count, noun, requests, asked = plan.items, plan.noun, plan.requests, task.prompt
        return (
            f"Dry run: nothing was sent. {amount(count, noun)} in about {amount(requests, 'request')}, besides what is "
            f"asked again. About each {noun}:\n\n{clean(asked)}"
        )


def _parser() -> Parser:
    parser = Parser("%%rlm_table", usage="VERB NAME [NAME] [OPTIONS]", default=argparse.SUPPRESS)
    add = parser.add_argument
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"What is done ({', '.join(VERBS)}), then the variable of the table; for `join` those of two.",
    )
    add("-o", "--out", metavar="OUT", help="Store the resulting table under this name.")
    add("-k", metavar="K", type=int, help="`top`, `search`: how many rows; `group`: how many groups at most.")
    add("--columns", metavar="A,B", help="Columns that the model is shown; without it, all.")
    add("--right-columns", metavar="A,B", help="`join`: the same for the second table.")
    add("--on", metavar="A,B", help="`join`: columns of both tables that are equal in each pair.")
    add("--by", metavar="A,B", help="`reduce`: columns; one text for each group of rows.")
    add("--labels", metavar="A,B", help="`group`: the groups, if the model shall not name them.")
    add("--candidates", metavar="N", type=int, help="`search`: rows that are found by words and ranked.")
    add("--per", metavar="N", type=int, help="`filter`: rows of one request at most.")
    add("--sample", metavar="N", type=int, help="`filter`: rows that are done and priced first.")
    add(
        "--no-confirm",
        dest="confirm",
        action="store_false",
        help="Do not wait for Next after the first requests.",
    )
    add_options(parser, options_on(CELL))
    add("--bg", action="store_true", help="Return the run at once and go on in the background.")
    add("--dry-run", action="store_true", help="Show what would be asked, and send nothing.")
    return parser


TABLE = _parser()
"""Reads the line of a `%%rlm_table` cell."""


def read(magics: MagicsState, line: str, body: str) -> TableCell:
    """Read a cell's line and body.

    Raises:
        UsageError: a wrong verb or option, an unknown name, an empty question; the message says what there is.
        ConfigError: a limit or setting that cannot be.
    """
    shell = magics.shell
    line, body = join_continued_lines(line, body)
    given = vars(parse(TABLE, line, shell.user_ns))
    question = question_of(body)
    verb, *names = given.get("names") or [""]
    wanted = 2 if verb == "join" else 1
    if verb not in _TAKES or len(names) != wanted:
        found = f"`{verb:.40}` is no verb" if verb not in _TAKES else f"`{verb}` takes {wanted} of them"
        raise UsageError(
            f"`%%rlm_table` takes a verb ({', '.join(VERBS)}) and the names of tables; {found}. Usage: `{TABLE.usage}`"
        )
    options = {name: given[name] for name in _OPTIONS if name in given}
    wrong = next((name for name in options if name not in _TAKES[verb]), None)
    if wrong is not None:
        option = f"-{wrong}" if len(wrong) == 1 else f"--{wrong.replace('_', '-')}"
        raise UsageError(f"`{verb}` has no option `{option}`.")
    options |= {name: listed(given[name]) for name in _LISTS if name in options}
    return TableCell(
        question=question,
        names=tuple(dict.fromkeys(names)),
        context=None,
        settings=magics.arguments_of_rlm(settings_of(magics, given)),
        out=notebook_lookup.out_name(given["out"]) if "out" in given else None,
        background=given.get("bg", False),
        dry_run=given.get("dry_run", False),
        options=options,
        verb=verb,
        tables=tuple(notebook_lookup.variable(shell, name) for name in names),
    )


def cell_help() -> str:
    """Returns what `%%rlm_table?` shows."""
    return _HELP + TABLE.format_help().partition("\n\n")[2]


_HELP = """Ask about the rows of a table as a whole; the resulting table is the cell's value.

    %%rlm_table VERB NAME [NAME] [OPTIONS]
    the question, verbatim

`filter` keeps rows, `top` ranks them, `join` finds pairs of rows of two tables, `search` finds rows by words and
ranks them, `group` sorts them into groups that the model names, `reduce` makes one text of them. Many rows go into one
request, and each answer is checked. If many requests follow after the first, the tree shows what they will cost, and
the run waits for Next.

Examples::

    %%rlm_table top tickets -k 10 -o urgent --columns text
    Which is most urgent?

    %%rlm_table join tickets products --on country --no-confirm
    The ticket is about this product.

"""
