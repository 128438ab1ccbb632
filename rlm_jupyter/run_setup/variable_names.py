"""The names under which data is handed over: what they may be, and what data several of them need."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.guest.reserved_names import RESERVED

_GIVE_WAY = frozenset({"answer", "budget"})
"""Words that data may take the name of: an agent can do without them."""
_SPARE = frozenset({"copyright", "credits", "dir", "hash", "help", "id", "input", "license", "vars"})
"""Builtins that data may take the name of: an agent's code can do without them."""
_OF_THE_SHELL = re.compile(r"get_ipython|In|Out|exit|quit|_+|__\w*|_i+|_[oid]h|_i?\d+")
"""Names that IPython binds anew, or needs itself."""


def _check_name(name: object, *, only: bool) -> None:
    """Refuse a name that cannot be that of a variable, or that would take something from an agent's code.

    Args:
        name: to be checked.
        only: whether there is no other.

    Raises:
        ConfigError: what it is already.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(f"`{name!s:.80}` in `names` cannot be the name of a variable: choose another.")
    taken = ""
    if name in RESERVED - _GIVE_WAY and not (only and name == "context"):
        taken = "a word of agents' code"
    elif hasattr(builtins, name) and name not in _SPARE:
        taken = "Python's own, which an agent's code needs"
    elif _OF_THE_SHELL.fullmatch(name):
        taken = "IPython's own"
    if taken:
        raise ConfigError(
            f"Data cannot be named `{name:.80}`, which is {taken}: give the variable another name."
        )


def read_names(names: Iterable[str], context: object) -> tuple[str, ...]:
    """Returns the names as a tuple.

    Args:
        names: one for the data itself, several for a dict of them.
        context: the data.

    Raises:
        ConfigError: one cannot be a variable or is taken, or there are several and the data is not a dict of them.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError("`names` takes a tuple of variables' names, such as `names=('orders',)`.")
    found = tuple(names)
    for name in found:
        _check_name(name, only=len(found) == 1)
    if len(found) > 1:
        missing = [name for name in found if not isinstance(context, Mapping) or name not in context]
        if missing:
            raise ConfigError(
                f"Several `names` need a `context` that is a dict with these keys: `{missing[0]}` is not in it."
            )
    return found
