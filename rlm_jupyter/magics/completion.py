"""Completion on the lines of `%%rlm`, `%%rlm_map`, `%%rlm_table` and `%rlm`: options, variables, commands, agents."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from rlm_jupyter.magics import notebook_lookup
from rlm_jupyter.magics.arguments import CELL, Parser, options
from rlm_jupyter.magics.command_registry import COMMANDS
from rlm_jupyter.magics.map_cell import MAP
from rlm_jupyter.magics.table_cell import TABLE, VERBS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run

    Matcher = Callable[[CompletionContext], SimpleMatcherResult]

_CELL = re.compile(r"\s*%%(?P<name>rlm(?:_map|_table)?)\s")
_IN_COLUMNS = re.compile(r"\s--(?:columns|by)[\s=]\s*[^\s-]*$")
_PARSERS = {"rlm": CELL, "rlm_map": MAP, "rlm_table": TABLE}
_LINE = re.compile(r"(?:.*=)?\s*%rlm\s+(?P<rest>.*)", re.DOTALL)

_ENTRIES = 1000
_TAKES_VALUE = ("--run", "-o", "--out")


def matcher(shell: InteractiveShell) -> Matcher:
    """Returns the matcher of a shell, for `IPCompleter.custom_matchers`.

    Args:
        shell: whose variables are offered.
    """

    @context_matcher(identifier="rlm_jupyter")  # type: ignore[untyped-decorator]
    def complete_rlm(context: CompletionContext) -> SimpleMatcherResult:
        before = context.text_until_cursor
        fragment = re.split(r"[\s,]", before)[-1]
        found: Iterable[str] = ()
        if (line := _LINE.match(before)) is not None:
            found = _for_command(line["rest"])
        elif context.cursor_line == 0 and (cell := _CELL.match(before)) is not None:
            words = re.split(r"[\s,]+", before.strip())[1:]
            listing = cell["name"] != "rlm" and _IN_COLUMNS.search(before) is not None
            if cell["name"] == "rlm_table" and len(words) <= bool(fragment):
                found = VERBS
            elif listing:
                found = _columns(shell, words)
            else:
                found = _for_cell(shell, _PARSERS[cell["name"]], words, fragment)
        matches = [SimpleCompletion(name, type="rlm") for name in found if name.startswith(fragment)]
        return {"completions": matches, "suppress": bool(matches), "matched_fragment": fragment}

    return complete_rlm  # type: ignore[no-any-return]


def _for_cell(shell: InteractiveShell, parser: Parser, words: list[str], fragment: str) -> Iterable[str]:
    if fragment.startswith("-"):
        return options(parser)
    if fragment.startswith("@"):
        return _paths(fragment)
    done = words[:-1] if fragment else words
    last = done[-1] if done else ""
    action = parser._option_string_actions.get(last)  # noqa: SLF001 - argparse has no public look-up
    if action is None or action.nargs == 0:
        return [
            name
            for name, v in notebook_lookup.variables(shell).items()
            if notebook_lookup.is_data(v) and name not in done
        ]
    if action.choices:
        return list(action.choices)
    return _values(shell, action.dest)


def _columns(shell: InteractiveShell, words: list[str]) -> list[str]:
    """Returns the columns of the first table that a line names."""
    known = notebook_lookup.variables(shell)
    table = next((known[word] for word in words if hasattr(known.get(word), "columns")), None)
    return [] if table is None else [str(name) for name in itertools.islice(table.columns, _ENTRIES)]


def _paths(fragment: str) -> list[str]:
    """Returns the files and folders whose path begins as a word does; of folders, with the slash to go on at."""
    text = fragment.removeprefix("@")
    folder, begun = os.path.split(text)
    found = []
    try:
        with os.scandir(os.path.expanduser(folder or ".")) as entries:  # noqa: PTH111 - the text itself is kept
            for entry in itertools.islice(entries, _ENTRIES):
                if entry.name.startswith(begun) and not (entry.name.startswith(".") and not begun):
                    end = "/" if entry.is_dir() else ""
                    found.append(f"@{os.path.join(folder, entry.name)}{end}")  # noqa: PTH118 - the same
    except OSError:
        return []
    return sorted(found)


def _values(shell: InteractiveShell, argument: str) -> list[str]:
    known = notebook_lookup.variables(shell)
    values: dict[str, Callable[[], list[str]]] = {
        "schema": lambda: [*notebook_lookup.schemas(shell), *notebook_lookup.BUILTIN_TYPES],
        "tool": lambda: notebook_lookup.functions(shell),
        "check": lambda: notebook_lookup.functions(shell),
        "env": lambda: sorted(os.environ),
        "mcp": lambda: [name for name, value in known.items() if isinstance(value, Mapping)],
        "model": lambda: [
            "demo",
            *(name for name, value in known.items() if notebook_lookup.is_model(value)),
        ],
        "out": lambda: [name for name, value in known.items() if notebook_lookup.is_data(value)],
        "kernel": _kernelspecs,
    }
    values["sub_model"] = values["strong_model"] = values["model"]
    return values.get(argument, list)()


def _kernelspecs() -> list[str]:
    from jupyter_client.kernelspec import KernelSpecManager

    return sorted(KernelSpecManager().find_kernel_specs())


def _for_command(rest: str) -> Iterable[str]:
    words = re.split(r"\s+", rest)
    if len(words) == 1:
        return list(COMMANDS)
    command = COMMANDS.get(words[0])
    if command is None:
        return ()
    if words[-1].startswith("-"):
        return options(command.parser)
    if words[-2] == "--run":
        return _ids(_runs())
    # An option's value is not an argument: neither on the line, nor in the usage.
    given = [
        w for before, w in itertools.pairwise(words[:-1]) if not (w.startswith("-") or before in _TAKES_VALUE)
    ]
    wanted = re.findall(r"[A-Z]+", re.sub(r"-\S+ [A-Z]+", "", command.usage))
    return _for_argument(wanted[len(given)], given) if len(given) < len(wanted) else ()


def _for_argument(wanted: str, given: list[str]) -> Iterable[str]:
    runs = _runs()
    if not runs:
        return ()
    if wanted == "RUN":
        return _ids(runs)
    if wanted == "AGENT":
        return list(runs[-1].agents)
    if wanted == "NAME" and given[0] in runs[-1].agents:
        return list(runs[-1].agents[given[0]].variables)
    return ()


def _ids(runs: list[Run]) -> list[str]:
    return [run.id for run in reversed(runs)]


def _runs() -> list[Run]:
    # Only where there are some: a Tab must not import the engine.
    module: Any = sys.modules.get("rlm_jupyter.rlm")
    return module.runs() if module is not None else []
