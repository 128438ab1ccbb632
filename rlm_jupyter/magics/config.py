"""The settings of `%config RLMMagics`: over the environment, under a cell's own arguments.

The defaults repeat those of `Settings` and `Limits` (a test holds them together): to import them here would
make `%load_ext` slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import Bool, Dict, Enum, Float, Integer, TraitError, Tuple, Unicode, validate

from rlm_jupyter.magics.hand_over import model_of
from rlm_jupyter.magics.more_config import LongRunConfig, RequestConfig

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SANDBOX_MODES = ("auto", "none", "bwrap")
BOX = {"sandbox": "mode", "net": "net", "read": "read", "memory": "memory"}
"""Arguments of the magics, and the fields of `Sandbox` that they set."""
PROMPTS = ("default", "frugal", "small_context")

SETTINGS = (
    "model",
    "sub_model",
    "base_url",
    "price",
    "sandbox",
    "kernel",
    "log_dir",
    "cache",
    "sample_rows",
    "output_chars",
    "completion_tokens",
    "require_look",
    "prompt",
    "inherit_tools",
    *sorted(RequestConfig.class_own_traits()),
    *sorted(LongRunConfig.class_own_traits()),
)
"""Traits that are arguments of `RLM` under the same name."""

LIMITS = {
    "max_cost": "cost",
    "max_calls": "calls",
    "max_tokens": "tokens",
    "depth": "depth",
    "timeout": "seconds",
}
"""Traits and arguments of the magics, and the fields of `Limits` that they set."""


class MagicsConfig(RequestConfig, LongRunConfig):
    """The traits of `RLMMagics`."""

    shell: InteractiveShell

    # Names alone: `%config` copies deeply what it is given, which a model with a lock or a client survives not.
    model = Unicode(
        None,
        allow_none=True,
        help="The agents' model, such as 'openai/gpt-5', or the name of a variable that holds a model object. "
        "None: RLM_MODEL, else the demo.",
    ).tag(config=True)
    sub_model = Unicode(
        None,
        allow_none=True,
        help="The model of sub-agents and plain completions. None: RLM_SUB_MODEL, else `model`.",
    ).tag(config=True)
    base_url = Unicode(
        None,
        allow_none=True,
        help="Of an OpenAI-compatible server. None: RLM_MODEL_BASE_URL, else the provider's.",
    ).tag(config=True)
    price = Tuple(
        Float(),
        Float(),
        default_value=None,
        allow_none=True,
        help="(prompt, completion) in USD per million tokens, for a model whose price is not known.",
    ).tag(config=True)
    max_cost = Float(1.0, allow_none=True, help="USD that one run may spend. None: no limit.").tag(
        config=True
    )
    max_calls = Integer(1000, allow_none=True, help="Completions of one run. None: no limit.").tag(
        config=True
    )
    max_tokens = Integer(2_000_000, allow_none=True, help="Tokens of one run. None: no limit.").tag(
        config=True
    )
    depth = Integer(2, allow_none=True, help="How deep sub-agents may go; 0 allows none.").tag(config=True)
    timeout = Float(1800.0, allow_none=True, help="Seconds that one run may take. None: no limit.").tag(
        config=True
    )
    limits = Dict(
        help="Other fields of `rlm_jupyter.Limits`, such as {'agents': 50, 'cell_seconds': 300}."
    ).tag(config=True)
    sandbox = AnyTrait(
        "auto",
        help="What agents' kernels may touch: 'auto', 'none', 'bwrap', or fields of `rlm_jupyter.Sandbox`, such as "
        "{'memory': '2 GB', 'net': ['api.example.org']}.",
    ).tag(config=True)
    kernel = Unicode(
        None,
        allow_none=True,
        help="The kernelspec of agents' kernels, or gateway:URL/KERNELSPEC. None: this Python.",
    ).tag(config=True)
    log_dir = Unicode("rlm_runs", allow_none=True, help="Where logs are written. None: nowhere.").tag(
        config=True
    )
    cache = Bool(True, help="Whether replies of the model are kept on disk and used again.").tag(config=True)
    sample_rows = Integer(3, help="Rows of a table that its description shows; 0 for sensitive data.").tag(
        config=True
    )
    output_chars = Integer(8000, help="Characters of a cell's output that the model sees.").tag(config=True)
    completion_tokens = Integer(8192, help="`max_tokens` of one request, before the limits clamp it.").tag(
        config=True
    )
    prompt = Enum(
        PROMPTS, "default", help="What agents are told: 'frugal' spends less, 'small_context' cuts smaller."
    ).tag(config=True)
    require_look = Bool(True, help="Whether a FINAL by code that never touched the data is sent back.").tag(
        config=True
    )

    inherit_tools = Bool(
        False, help="Whether sub-agents have all tools of their parents, not only those handed to them."
    ).tag(config=True)

    @validate("sandbox")
    def _check_sandbox(self, proposal: Any) -> Any:
        value = proposal["value"]
        if value not in SANDBOX_MODES:
            from rlm_jupyter.errors import ConfigError
            from rlm_jupyter.sandbox import Sandbox

            try:
                Sandbox.of(value)
            except ConfigError as error:
                raise TraitError(str(error)) from None
        return value

    def arguments_of_rlm(self, given: dict[str, Any]) -> dict[str, Any]:
        """Give the arguments of `RLM`: these settings, with what a cell's line gave on top.

        Args:
            given: arguments of the line by their names; one that was not given is not in it.

        Raises:
            ConfigError: a limit that does not exist or is out of range.
        """
        from rlm_jupyter.sandbox import Sandbox
        from rlm_jupyter.settings import Limits

        settings = {name: given.get(name, getattr(self, name)) for name in SETTINGS}
        settings |= {name: model_of(self.shell, settings[name]) for name in ("model", "sub_model")}
        settings["sandbox"] = Sandbox.of(
            self.sandbox, **{BOX[name]: given[name] for name in BOX if name in given}
        )
        # A default limit is not one that the user asked for: `RLM` may have to drop it (an unknown price).
        changed = {n: getattr(self, n) for n in LIMITS if getattr(self, n) != self.trait_defaults(n)}
        asked = {LIMITS[name]: value for name, value in changed.items()}
        asked |= self.limits
        asked |= {LIMITS[name]: given[name] for name in LIMITS if name in given}
        return {**settings, "limits": Limits.of(asked)}
