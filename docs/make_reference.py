"""Write `reference.md` from the code itself, so that no setting, option or error is ever missing: `make docs`."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rlm_jupyter import (
    RLM,
    Chart,
    Chat,
    EventChunk,
    Limits,
    Run,
    Samples,
    Sandbox,
    Span,
    TextChunk,
    ValueChunk,
    errors,
    view,
)
from rlm_jupyter.engine.agent.handle import AgentHandle
from rlm_jupyter.engine.mapping.map_run import MapRun
from rlm_jupyter.engine.mapping.table_run import TableRun
from rlm_jupyter.events.agreement import Agreement
from rlm_jupyter.magics import line_magic  # noqa: F401 - registers the commands
from rlm_jupyter.magics.arguments import CELL, Parser
from rlm_jupyter.magics.command_registry import COMMANDS
from rlm_jupyter.magics.config import MagicsConfig
from rlm_jupyter.magics.map_cell import MAP
from rlm_jupyter.magics.table_cell import TABLE
from rlm_jupyter.options.table import Owner, options_of
from rlm_jupyter.settings import PROVIDERS

PAGE = Path(__file__).with_name("reference.md")

HEAD = """# Reference

Made from the code by `make docs`; a test keeps it fresh. In a notebook the same is told by `%%rlm?`, `%rlm?` and
`%config RLMMagics`.
"""


def page() -> str:
    """Returns the whole page."""
    parts = [HEAD, *magics(), *settings(), *classes(), *samples(), *conversation_parts(), *exceptions()]
    return "\n".join(parts).rstrip() + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def magics() -> Iterator[str]:
    """Yields the options of the cell magics, and the commands of `%rlm`."""
    yield "## `%%rlm [NAME ...] [OPTIONS]`\n\n| option | |\n|---|---|"
    yield from _options(CELL)
    yield "\n## `%%rlm_map NAME [OPTIONS]`\n\nBesides the settings that `%%rlm` takes:\n\n| option | |\n|---|---|"
    yield from _options(MAP, CELL)
    yield "\n## `%%rlm_table VERB NAME [NAME] [OPTIONS]`\n\nBesides the settings of `%%rlm`:\n\n| option | |\n|---|---|"
    yield from _options(TABLE, CELL)
    yield "\n## `%rlm COMMAND`\n\n| command | |\n|---|---|"
    for command in COMMANDS.values():
        yield f"| `%rlm {_cell(command.usage)}` | {_cell(command.summary)} |"


def _options(parser: Parser, known: Parser | None = None) -> Iterator[str]:
    """Yields the options of a magic, but those that are the same in another one."""
    same = {(*one.option_strings, one.help) for one in known._actions} if known is not None else set()  # noqa: SLF001
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if (*action.option_strings, action.help) in same:
            continue
        if action.option_strings:
            value = f" {action.metavar}" if action.metavar else ""
            names = " ".join(
                f"`{name}{value}`" for name in sorted(action.option_strings, key=len, reverse=True)
            )
            choices = ", ".join(map(str, action.choices or ()))
            yield f"| {names} | {_cell((action.help or '').replace('%(choices)s', choices))} |"


def settings() -> Iterator[str]:
    """Yields the fields of `Limits` and `Settings` with their defaults."""
    yield "\n## `Limits`\n\n" + _first(Limits) + "\n\n| limit | default | |\n|---|---|---|"
    yield from _fields("limits")
    yield "\n## `Sandbox`\n\n" + _first(Sandbox) + "\n\n| field | default | |\n|---|---|---|"
    yield from _fields("sandbox")
    yield "\n## Settings\n\nArguments of `RLM(...)`."
    yield "\n| setting | default | |\n|---|---|---|"
    yield from _fields("settings")
    yield "\n## `%config RLMMagics`\n\n| trait | default | |\n|---|---|---|"
    traits = sorted(MagicsConfig.class_traits(config=True).items())
    yield from (f"| `{name}` | `{trait.default()}` | {_cell(trait.help)} |" for name, trait in traits)
    yield "\n## Providers\n\nA prefix of a model's name, and the environment variable of its key."
    yield "\n| prefix | key | endpoint |\n|---|---|---|"
    for name, provider in PROVIDERS.items():
        key = f"`{provider.key}`" if provider.key else "none"
        named = "its own" if provider.base_url is None else f"`{provider.base_url}`"
        if provider.url_variable:
            named = f"`{provider.url_variable}`" + (f", else {named}" if provider.base_url else "")
        yield f"| `{name}/` | {key} | {named} |"


def _fields(owner: Owner) -> Iterator[str]:
    for name, option in options_of(owner).items():
        default = {"sandbox": "Sandbox()", "limits": "Limits()"}.get(option.kind, option.default)
        yield f"| `{name}` | `{default}` | {_cell(option.help)} |"


def classes() -> Iterator[str]:
    """Yields what `RLM`, `Run`, `AgentHandle` and `Chart` offer."""
    kinds = [
        (RLM, "`RLM`"),
        (Run, "`Run`"),
        (MapRun, "`MapRun`"),
        (AgentHandle, "`run.agents[ID]`"),
        (Chat, "`Chat`"),
        (Chart, "`Chart`"),
        (Agreement, "`run.agreement`"),
        (Span, "`Span`"),
    ]
    for kind, title in kinds:
        yield f"\n## {title}\n\n{_first(kind)}\n\n| | |\n|---|---|"
        if kind is RLM:
            yield f"| `RLM{_signature(RLM.__init__)}` | |"
        own = [one for one in kind.__mro__ if one.__module__.startswith("rlm_jupyter")]
        members = {name: member for one in reversed(own) for name, member in vars(one).items()}
        if kind is MapRun:  # what it has besides
            members = {**vars(TableRun), **vars(MapRun)}
        for name, member in members.items():
            if name.startswith("_") or not (callable(member) or isinstance(member, property)):
                continue
            call = "" if isinstance(member, property) else _signature(member)
            yield f"| `{name}{call}` | {_cell(_first(member))} |"


def samples() -> Iterator[str]:
    """Yields the arguments of `Samples`."""
    yield f"\n## `Samples`\n\n{_first(Samples)}\n\n| argument | |\n|---|---|"
    told = (inspect.getdoc(Samples) or "").partition("Args:\n")[2].partition("\n\n")[0]
    for line in re.split(r"\n {4}(?! )", f"\n{told}")[1:]:
        name, _, text = line.partition(":")
        yield f"| `{name}` | {_cell(text)} |"


def conversation_parts() -> Iterator[str]:
    """Yields what `Chat.send` gives, and the function that shows a run or a conversation."""
    yield "\n## What `Chat.send` yields\n\n| | |\n|---|---|"
    for kind in (TextChunk, EventChunk, ValueChunk):
        yield f"| `{kind.__name__}{_signature(kind)}` | {_cell(_first(kind))} |"
    yield f"\n## `rlm_jupyter.view{_signature(view)}`\n\n{_first(view)}"


def _signature(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [p.replace(annotation=p.empty) for name, p in signature.parameters.items() if name != "self"]
    text = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return _cell(re.sub(r"<[^>]*>", "...", text))


def _first(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")


def exceptions() -> Iterator[str]:
    """Yields the tree of exceptions, as its module tells it."""
    tree = (errors.__doc__ or "").split("\n\n")
    yield "\n## Exceptions\n\nAll are in `rlm_jupyter`; the error of a run carries it as `.run`.\n"
    yield "```text\n" + textwrap.dedent(tree[1]).rstrip() + "\n```"
    names = [name for name, kind in vars(errors).items() if inspect.isclass(kind) and name.endswith("Error")]
    yield "\n| exception | |\n|---|---|"
    yield from (f"| `{name}` | {_cell(_first(getattr(errors, name)))} |" for name in names)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
