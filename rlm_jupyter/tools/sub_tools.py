"""Functions that are tools of sub-agents, and not of the root."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from rlm_jupyter.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__rlm_sub_tool__"


def sub_tool(function: F, /) -> F:
    """Mark a function as a tool that all sub-agents have, and the root does not.

    The root is told that they have it; it need not hand it over. It goes with `host_tool`, in any order.

    Usage:
        >>> @rlm_jupyter.sub_tool
        ... def page(number: int) -> str:
        ...     "Give the text of a page of the handbook."
        ...     return pages[number]
        >>> rlm.run("What changed?", context=orders, tools=[totals, page])

    Args:
        function: a function, or a method of an object.

    Returns:
        The function itself; a wrapper, where it is a method.

    Raises:
        ConfigError: it cannot be called.
    """
    marked: Any = function
    if not callable(function):
        raise ConfigError(f"`sub_tool` takes a function, not a `{type(function).__name__}`.")
    if not inspect.isfunction(function):  # a method, a built-in: they take no mark

        @functools.wraps(function)
        def marked(*args: Any, **named: Any) -> Any:
            return function(*args, **named)

    setattr(marked, _MARK, True)
    return marked  # type: ignore[no-any-return]


def is_sub_tool(function: object) -> bool:
    """Returns whether `sub_tool` has marked a function."""
    return getattr(function, _MARK, False) is True
