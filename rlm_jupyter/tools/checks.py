"""Checks of the user's own: functions that look at an answer in the agent's kernel, and send it back with a message."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, ContextError
from rlm_jupyter.tools.functions import Form, travelling_forms
from rlm_jupyter.tools.host_tools import host_options

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer

MOST = 20
"""Checks of one question."""


@dataclass(frozen=True)
class Check:
    """One function that looks at an answer.

    Attributes:
        name: in messages.
        forms: how it travels; the kernel takes the first that it can use.
    """

    name: str
    forms: dict[Form, Buffer]


@dataclass(frozen=True)
class Checks:
    """The checks of a question.

    Attributes:
        functions: in the order in which they run.
        part: the key of the part of the answer that they look at; None for the whole of it.
    """

    functions: tuple[Check, ...]
    part: str | None = None


def read_checks(functions: object) -> Checks | None:
    """Make checks of functions; None if there are none.

    Args:
        functions: of the notebook; each takes the answer. What it returns or raises says what is wrong with it.

    Raises:
        ConfigError: these are no such functions.
        ContextError: one cannot leave the notebook's process, with the reason.
    """
    if callable(functions) or isinstance(functions, (str, bytes)) or not isinstance(functions, Iterable):
        raise ConfigError("`checks` takes a list of functions of the answer: `checks=[f]`.")
    given = list(functions)
    if len(given) > MOST:
        raise ConfigError(
            f"`checks` takes {MOST} functions at the most, not {len(given):,}: let one call others."
        )
    found = tuple(_check(number, function) for number, function in enumerate(given, 1))
    return Checks(found) if found else None


def _check(number: int, function: Any) -> Check:
    name = getattr(function, "__name__", "")
    name = name if isinstance(name, str) and name.isidentifier() else f"check_{number}"
    if not callable(function) or isinstance(function, type):
        raise ConfigError(
            f"The check {function!r:.80} is not a function: give a `def` that takes the answer."
        )
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(f"The check `{name}` is a coroutine or a generator: give a plain function (`def`).")
    if host_options(function) is not None:
        raise ConfigError(
            f"The check `{name}` is marked as a host tool, and checks run in the agent's kernel: leave out the mark."
        )
    if not _takes_one(function):
        raise ConfigError(
            f"The check `{name}` must take one argument, the answer: `def {name}(answer): ...`."
        )
    try:
        return Check(name, travelling_forms(name, function))
    except ContextError as error:
        raise ContextError(
            error.message.replace("The tool", "The check", 1).partition(" If it must stay")[0]
        ) from None


def _takes_one(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        return True
    return True
