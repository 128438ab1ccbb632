"""The settings of `%config RLMMagics`: over the environment, under a cell's own arguments.

The traits are made from `rlm_jupyter.options.table`, which needs no pydantic: to import `Settings` here would make
`%load_ext` slow.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import (
    Bool,
    Dict,
    Enum,
    Float,
    HasTraits,
    Integer,
    TraitError,
    TraitType,
    Tuple,
    Unicode,
    Union,
    validate,
)

from rlm_jupyter.magics.notebook_lookup import model_of
from rlm_jupyter.options.table import OPTIONS, SANDBOX_MODES, Option, arguments_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def _trait(option: Option) -> TraitType[Any, Any]:
    """Returns the trait of an option."""
    common: dict[str, Any] = {
        "default_value": option.default,
        "allow_none": option.nullable,
        "help": option.help,
    }
    made: TraitType[Any, Any]
    match option.kind:
        # A model is named, not given: `%config` deep-copies its values, and models cannot be deep-copied.
        case "text" | "path":
            made = Unicode(**common)
        case "flag":
            made = Bool(**common)
        case "integer":
            made = Integer(**common)
        case "number":
            made = Float(**common)
        case "size":
            made = Union([Integer(), Unicode()], **common)
        case "choice":
            made = Enum(option.choices, **common)
        case "mapping":
            made = Dict(**common)
        case "price":
            made = Tuple(Float(), Float(), **common)
        case "limits":
            made = Dict(help="Other fields of `Limits`, such as {'agents': 50, 'cell_seconds': 300}.")
        case _:
            made = AnyTrait(**common)
    return made.tag(config=True)


def _traits() -> dict[str, Any]:
    configurable = [option for option in OPTIONS if option.argument and option.owner != "sandbox"]
    return {str(option.argument): _trait(option) for option in configurable}


_OptionTraits: Any = types.new_class(
    "_OptionTraits", (HasTraits,), exec_body=lambda body: body.update(_traits())
)


class MagicsConfig(_OptionTraits):  # type: ignore[misc]  # made from the table
    """The traits of `RLMMagics`."""

    shell: InteractiveShell

    @validate("sandbox")
    def _check_sandbox(self, proposal: Any) -> Any:
        value = proposal["value"]
        if value not in SANDBOX_MODES:
            from rlm_jupyter.errors import ConfigError
            from rlm_jupyter.sandbox_settings import Sandbox

            try:
                Sandbox.of(value)
            except ConfigError as error:
                raise TraitError(str(error)) from None
        return value

    def arguments_of_rlm(self, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `RLM`: these settings, with what a cell's line gave on top.

        Args:
            given: arguments of the line by their names; one that was not given is not in it.

        Raises:
            ConfigError: a limit that does not exist or is out of range.
        """
        from rlm_jupyter.sandbox_settings import Sandbox
        from rlm_jupyter.settings import Limits

        names = [name for name in (*arguments_of("settings"), *arguments_of("rlm")) if name != "limits"]
        settings = {name: given.get(name, getattr(self, name)) for name in names}
        settings |= {
            name: model_of(self.shell, settings[name]) for name in ("model", "sub_model", "strong_model")
        }
        of_sandbox = {"sandbox": "mode", **arguments_of("sandbox")}
        settings["sandbox"] = Sandbox.of(
            self.sandbox, **{field: given[name] for name, field in of_sandbox.items() if name in given}
        )
        return {**settings, "limits": Limits.of(self._limits(given))}

    def _limits(self, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the limits that were asked for: `RLM` may have to drop a default one (an unknown price)."""
        of_limits = arguments_of("limits")
        changed = {name for name in of_limits if getattr(self, name) != self.trait_defaults(name)}
        asked = {of_limits[name]: getattr(self, name) for name in changed}
        asked |= self.limits
        return asked | {field: given[name] for name, field in of_limits.items() if name in given}
