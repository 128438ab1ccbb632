"""Makes fields of pydantic models from the table of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from rlm_jupyter.options.table import Owner, options_of


def field_of(owner: Owner, name: str, default_factory: Callable[[], object] | None = None) -> Any:
    """Returns the pydantic field of an option.

    Args:
        owner: the model that the field belongs to.
        name: of the option.
        default_factory: makes the default if it is an object that the table cannot hold.
    """
    option = options_of(owner)[name]
    bounds = {"ge": option.least, "gt": option.above, "le": option.most}
    given: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
    if default_factory is not None:
        return Field(default_factory=default_factory, description=option.help, **given)
    return Field(option.default, description=option.help, **given)
