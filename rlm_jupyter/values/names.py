"""The names under which data is handed over: what they may be, and what data several of them need."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping

from rlm_jupyter.errors import ConfigError


def read_names(names: Iterable[str], context: object) -> tuple[str, ...]:
    """Give the names as a tuple.

    Args:
        names: one for the data itself, several for a dict of them.
        context: the data.

    Raises:
        ConfigError: one cannot be a variable, or there are several and the data is no dict of them.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError("`names` takes a tuple of variables' names, such as `names=('orders',)`.")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(f"`{name!s:.80}` in `names` cannot be the name of a variable: choose another.")
    if len(found) > 1:
        missing = [name for name in found if not isinstance(context, Mapping) or name not in context]
        if missing:
            raise ConfigError(
                f"Several `names` need a `context` that is a dict with these keys: `{missing[0]}` is not in it."
            )
    return found
