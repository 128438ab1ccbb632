"""`%%rlm_map`: one question for each row of a table. Its line, what is made of it, and its help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.magics import notebook_lookup
from rlm_jupyter.magics.arguments import Parser, parse
from rlm_jupyter.magics.lexer import join_continued_lines
from rlm_jupyter.magics.task import Task, question_of, settings_of
from rlm_jupyter.options.argparse_options import add_options
from rlm_jupyter.options.table import CELL, options_on

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.rlm import RLM

_FIELD = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*:\s*(?P<dtype>[\w\[\], ]*[\w\]])\s*")
_OPTIONS = ("per", "sample", "confirm", "write_function", "use_function")


@dataclass(frozen=True)
class MapCell(Task):
    """One question for each row.

    Attributes:
        options: arguments of `RLM.start_map`, besides data, question and schema.
    """

    options: dict[str, Any] = field(default_factory=dict)

    def begin(self, rlm: RLM) -> Run:
        """Start its run, and return at once; see `RLM.start_map` for what it raises."""
        return rlm.start_map(self.context, self.question, self.schema, **self.options)

    @property
    def waits(self) -> bool:
        """Whether the run will wait for the user after its sample; where that is not sure, it may."""
        from rlm_jupyter.engine.mapping.map_task import SAMPLE_ROWS

        if not self.options.get("confirm", True):
            return False
        more = isinstance(self.context, Sized) and len(self.context) > self.options.get("sample", SAMPLE_ROWS)
        return more or "by" in self.options

    @property
    def how_to_go_on(self) -> str:
        """What is said where the cell returns at once because the run will wait."""
        return (
            "After the sample the run waits: `%rlm tree` shows what the rest will cost, `%rlm next` goes on, `%rlm "
            "stop` ends it. `--no-confirm` does not ask."
        )

    def estimated(self, shell: InteractiveShell) -> str:
        """Returns what it will cost and take, without its sample; see `estimate_map` for what it raises."""
        from rlm_jupyter.engine.mapping.map_task import read_task
        from rlm_jupyter.run_setup.map_question_estimate import estimate_map

        model = notebook_lookup.model_of(shell, self.settings["model"])
        task = read_task(self.context, self.question, self.schema, **self.options)
        return estimate_map({**self.settings, "model": model}, task)

    def preview(self) -> str:
        """Returns the first request, and nothing is sent."""
        from rlm_jupyter.engine.mapping.item_requests import prompt, request
        from rlm_jupyter.engine.mapping.map_task import read_task
        from rlm_jupyter.text.sanitize import clean
        from rlm_jupyter.text.units import amount

        task = read_task(self.context, self.question, self.schema, **self.options)
        lines = [
            f"Dry run: nothing was sent. {amount(task.count, task.noun)}, {len(task.sample):,} in the sample."
        ]
        if not task.by_group:
            items = [task.texts[position] for position in task.sample[:3]]
            shown = request(prompt(task.question, task.schema), items)
            lines += [f"First request, with {amount(len(items), 'row')} of its rows:", ""]
            lines += [clean(message["content"]) for message in shown]
        return "\n".join(lines)


def _parser() -> Parser:
    parser = Parser("%%rlm_map", usage="NAME [OPTIONS]", default=argparse.SUPPRESS)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="The variable of the table: a DataFrame, a Series, a list.")
    add("-o", "--out", metavar="OUT", help="Store the table of answers under this name.")
    add(
        "-s",
        "--schema",
        metavar="SCHEMA",
        help="Of an answer: a type, a TypedDict, a dict, or columns as in 'delivery: bool, why: string'.",
    )
    add("--columns", metavar="A,B", help="Columns that the model is shown; without it, all.")
    add(
        "--by",
        metavar="A,B",
        help="Columns: each group of rows goes to a sub-agent with a kernel of its own.",
    )
    add("--per", metavar="N", type=int, help="Rows of one request at most.")
    add("--sample", metavar="N", type=int, help="Rows that are done and priced first: 20, or 3 groups.")
    add(
        "--no-confirm",
        dest="confirm",
        action="store_false",
        help="Do not wait for Next after the sample.",
    )
    add(
        "--no-function",
        dest="write_function",
        action="store_false",
        help="Do not let the model write a function that does the same.",
    )
    add(
        "--use-function",
        action="store_true",
        help="Let that function do the rest, if it agrees with the sample.",
    )
    add_options(parser, options_on(CELL))
    add("--bg", action="store_true", help="Return the run at once and go on in the background.")
    add("--dry-run", action="store_true", help="Show what would be sent, and send nothing.")
    add(
        "--estimate",
        action="store_true",
        help="Tell what it will cost and take, by the size of its requests, and send nothing.",
    )
    return parser


MAP = _parser()
"""Reads the line of a `%%rlm_map` cell."""


def read(magics: MagicsState, line: str, body: str) -> MapCell:
    """Read a cell's line and body.

    Raises:
        UsageError: a wrong option, an unknown name, an empty question; the message says what there is.
        ConfigError: a limit or setting that cannot be.
    """
    shell = magics.shell
    line, body = join_continued_lines(line, body)
    given = vars(parse(MAP, line, shell.user_ns))
    question = question_of(body)
    names = tuple(dict.fromkeys(given.get("names", ())))
    if len(names) != 1:
        found = "no name" if not names else f"{len(names)} names"
        raise UsageError(
            f"`%%rlm_map` takes the name of one table, and there is {found}. Usage: `{MAP.usage}`"
        )
    options = {name: given[name] for name in _OPTIONS if name in given}
    options |= {name: listed(given[name]) for name in ("columns", "by") if name in given}
    return MapCell(
        question=question,
        names=names,
        context=notebook_lookup.variable(shell, names[0]),
        settings=magics.arguments_of_rlm(settings_of(magics, given)),
        schema=_schema(shell, given["schema"]) if "schema" in given else None,
        out=notebook_lookup.out_name(given["out"]) if "out" in given else None,
        background=given.get("bg", False),
        dry_run=given.get("dry_run", False),
        estimate=given.get("estimate", False),
        options=options,
    )


def listed(text: str) -> list[str]:
    """Returns the names of a list that is separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _schema(shell: InteractiveShell, text: str) -> Any:
    """Returns the schema that `-s` names, or the columns that it writes out."""
    if ":" not in text:
        return notebook_lookup.schema_of(shell, text)
    columns: dict[str, str] = {}
    for part in text.split(","):
        found = _FIELD.fullmatch(part)
        if found is None:
            raise UsageError(
                f"`-s` takes columns as in `-s 'delivery: bool, why: string'`, and `{part.strip():.40}` is none."
            )
        columns[found["name"]] = found["dtype"]
    return columns


def cell_help() -> str:
    """Returns what `%%rlm_map?` shows."""
    return _HELP + MAP.format_help().partition("\n\n")[2]


_HELP = """Ask one question for each row of a table; the answers are the cell's value, a table with the same index.

    %%rlm_map NAME [OPTIONS]
    the question, verbatim

Many rows go into one request. 20 rows are done first; then the tree shows what all will cost, and the run waits for
Next. The result has a column for each field of the schema, and `error`.

Examples::

    %%rlm_map complaints -o labels -s 'delivery: bool, why: string' --columns text
    Is this complaint about delivery?

    %%rlm_map orders --by customer -s Verdict --no-confirm --max-cost 0.50
    Does this customer buy less since March, and why?

"""
