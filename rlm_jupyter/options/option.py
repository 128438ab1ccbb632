"""What an option is: a setting, a limit or a field of the sandbox, declared once in `rlm_jupyter.options.table`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Owner = Literal["settings", "limits", "sandbox", "rlm", "notebook"]
"""What an option is a field of; `rlm`: an argument of `RLM` alone; `notebook`: of `%config RLMMagics` and `%%rlm`."""

Kind = Literal[
    "text", "flag", "integer", "number", "size", "choice", "mapping",
    "path", "paths", "hosts", "price", "limits", "sandbox",
]  # fmt: skip

CELL, RUN = "cell", "run"
"""The command lines that have options: `%%rlm` and `rlm-jupyter run`."""


@dataclass(frozen=True)
class Option:
    """One setting.

    Attributes:
        name: of the field.
        owner: what it is a field of.
        kind: of its values.
        default: the value if nothing is set.
        help: what it does, for all who show it.
        nullable: whether None is a value.
        least: the smallest number allowed.
        above: the number that values must exceed.
        most: the largest number allowed.
        choices: the values allowed.
        argument: its name on command lines and, unless it is a field of the sandbox, in `%config RLMMagics`;
            None: it has neither.
        flags: its options on a command line.
        metavar: what stands for the value in a usage line.
        commands: the command lines that have it.
        usage: its help on a command line, if that differs.
    """

    name: str
    owner: Owner
    kind: Kind
    default: object
    help: str
    nullable: bool = False
    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    argument: str | None = None
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    commands: tuple[str, ...] = (CELL, RUN)
    usage: str | None = None


def limit_option(
    name: str,
    kind: Literal["integer", "number"],
    default: float | None,
    text: str,
    *,
    least: float | None = 0,
    above: float | None = None,
    argument: str | None = None,
    metavar: str | None = None,
) -> Option:
    """Returns a field of `Limits`; None, which is no limit, is a value of each."""
    flags = () if argument is None else (f"--{argument.replace('_', '-')}",)
    least = None if above is not None else least
    return Option(
        name,
        "limits",
        kind,
        default,
        text,
        True,
        least,
        above,
        argument=argument,
        flags=flags,
        metavar=metavar,
    )


def setting_option(  # noqa: PLR0913 - as many as an option has
    name: str,
    kind: Kind,
    default: object,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    nullable: bool | None = None,
    choices: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    metavar: str | None = None,
    commands: tuple[str, ...] = (CELL, RUN),
    usage: str | None = None,
) -> Option:
    """Returns a field of `Settings`, whose argument has its name."""
    may_be_none = default is None if nullable is None else nullable
    return Option(
        name, "settings", kind, default, text, may_be_none, least, above, most,
        choices, name, flags, metavar, commands, usage,
    )  # fmt: skip
