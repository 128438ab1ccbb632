"""What can be set: the limits of a run, the settings of an `RLM`, and where a model is reached.

A value is looked for in this order, the later one wins: defaults, environment (`RLM_MODEL`, …),
`%config RLMMagics`, arguments.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from rlm_jupyter.errors import ConfigError, MissingKeyError
from rlm_jupyter.options.pydantic_fields import field_of
from rlm_jupyter.providers import (
    LOCAL_PROVIDERS,
    PROVIDERS,
    WIRE_FORMATS,
    Provider,
    WireFormat,
    address_of,
    ollama_url,
)
from rlm_jupyter.sandbox_settings import Sandbox, read_bytes
from rlm_jupyter.security.hidden.hidden_columns import read_hide
from rlm_jupyter.system import is_installed

__all__ = [
    "LOCAL_PROVIDERS",
    "PROVIDERS",
    "Endpoint",
    "Limits",
    "PromptVariant",
    "Provider",
    "Settings",
    "endpoint_for",
    "ollama_url",
]

PromptVariant = Literal["auto", "default", "small", "frugal", "small_context"]

_limit = partial(field_of, "limits")


class Limits(BaseModel):
    """What one run may spend. None is no limit; the defaults are for a first try, not for a bill.

    A limit holds for the whole run, all sub-agents included, unless its name says otherwise. Defaults, ranges and
    descriptions are those of `rlm_jupyter.options.table`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost: float | None = _limit("cost")
    calls: int | None = _limit("calls")
    calls_per_agent: int | None = _limit("calls_per_agent")
    calls_per_sub_agent: int | None = _limit("calls_per_sub_agent")
    prompt_tokens: int | None = _limit("prompt_tokens")
    completion_tokens: int | None = _limit("completion_tokens")
    tokens: int | None = _limit("tokens")
    depth: int | None = _limit("depth")
    agents: int | None = _limit("agents")
    exposure: int | None = _limit("exposure")
    concurrency: int | None = _limit("concurrency")
    seconds: float | None = _limit("seconds")
    cell_seconds: float | None = _limit("cell_seconds")

    @field_validator("*", mode="before")
    @classmethod
    def _endless(cls, value: object) -> object:
        """An infinite limit is none."""
        return None if isinstance(value, float) and value == math.inf else value

    @classmethod
    def of(cls, value: Limits | Mapping[str, object] | None = None, **changes: object) -> Limits:
        """Build limits from limits, a mapping or nothing, with `changes` on top.

        Raises:
            ConfigError: an unknown name or a value out of range.
        """
        if not isinstance(value, (Limits, Mapping, NoneType)):
            raise ConfigError(f"`limits` takes `Limits(...)` or a dict, not a `{type(value).__name__}`.")
        base = value.model_dump(exclude_unset=True) if isinstance(value, Limits) else dict(value or {})
        try:
            return cls.model_validate({**base, **changes})
        except ValidationError as error:
            raise ConfigError(_explain(error, sorted(cls.model_fields))) from None


def _explain(error: ValidationError, names: list[str]) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no limit `{name}`. Limits are: {', '.join(f'`{n}`' for n in names)}."
    return f"The limit `{name}` cannot be {first.get('input')!r}: {first['msg']}."


@dataclass(frozen=True)
class Endpoint:
    """A model's name as the provider knows it, where it is reached, and the key.

    Attributes:
        model: the name to send.
        base_url: None for OpenAI's own.
        api_key: never shown: `repr` masks it; empty if the provider's library finds credentials.
        provider: the profile's name; None for a base URL of the user's own.
        wire: the wire format in which it is asked.
    """

    model: str
    base_url: str | None
    api_key: str
    provider: str | None = None
    wire: WireFormat = "chat"

    def __repr__(self) -> str:
        return f"Endpoint(model={self.model!r}, base_url={self.base_url!r}, provider={self.provider!r})"


def endpoint_for(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    wire: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Endpoint:
    """Returns where `model` is reached and with which key.

    With a base URL (argument or `RLM_MODEL_BASE_URL`) the name is sent as it is, and a key is optional
    (local servers need none). Without one, a prefix of `PROVIDERS` names the provider; without a prefix
    it is OpenAI, or OpenRouter when only its key is set.

    Args:
        model: its name, which may carry a prefix, and in it a wire format: ``openai+responses/gpt-5``.
        base_url: of a server of one's own.
        api_key: None: of the environment.
        wire: one of `WIRE_FORMATS`; None: what the name or the profile says, and with a base URL `RLM_MODEL_WIRE`.
        env: the environment; None: this process's.

    Raises:
        ConfigError: the prefix names no provider that is known, the provider's address is not set, or there is no
            such wire format.
        MissingKeyError: the provider needs a key that is not set; the message names the variable.
    """
    env = os.environ if env is None else env
    base_url = base_url or env.get("RLM_MODEL_BASE_URL") or None
    given = api_key or env.get("RLM_MODEL_API_KEY") or None
    if base_url:
        key = given or env.get("OPENAI_API_KEY") or env.get("OPENROUTER_API_KEY") or "none"
        return Endpoint(
            model, base_url, key, wire=_wire_format(wire or env.get("RLM_MODEL_WIRE") or "chat", model)
        )
    name, sent, named = _provider_of(model, env, given)
    provider = PROVIDERS[name]
    wire_format = _wire_format(named or wire or provider.wire, model)
    url = address_of(name, env, wire_format)
    if url is None and name == "bedrock":
        raise ConfigError(f"The model `{model}` needs a region: set the environment variable `AWS_REGION`.")
    if url is None and name == "vertex":
        raise ConfigError(
            f"The model `{model}` has no address: `GOOGLE_CLOUD_PROJECT` must be the id of a project, and "
            "`GOOGLE_CLOUD_LOCATION` the name of a location such as `global` or `europe-west4`."
        )
    if url is None and provider.url_variable:
        raise ConfigError(
            f"The model `{model}` needs an address: set the environment variable `{provider.url_variable}` "
            f"to that of your own resource ({provider.page})."
        )
    key = given or (env.get(provider.key) if provider.key else "none") or ""
    if not key and not provider.key_needed:
        key = "none"
    if name == "vertex" and env.get("GOOGLE_CLOUD_PROJECT") and not given:
        key = ""  # keys are for the express mode; Google's own library has the project win, too
    if not key and not (provider.library and is_installed(provider.library)):
        extra = f" Credentials need `pip install 'rlm_jupyter[{provider.extra}]'`." if provider.extra else ""
        raise MissingKeyError(
            f"The model `{model}` needs a key: set the environment variable `{provider.key}` "
            f'(or `RLM_MODEL_API_KEY`), or choose `model="demo"`, which needs none.{extra}'
        )
    if name == "vertex" and not key and not env.get("GOOGLE_CLOUD_PROJECT"):
        raise MissingKeyError(
            f"The model `{model}` needs a project or a key: set `GOOGLE_CLOUD_PROJECT` (and `GOOGLE_CLOUD_LOCATION`, "
            "unless it is `global`), or `GOOGLE_API_KEY` to a key of the express mode."
        )
    sent = sent if "/" in sent else provider.model_prefix + sent
    return Endpoint(sent, url, key, name, wire_format)


def _provider_of(model: str, env: Mapping[str, str], given: str | None) -> tuple[str, str, str]:
    """Returns the profile that a name means, the name to send, and the wire format that it asks for, if any.

    Raises:
        ConfigError: the prefix names no provider that is known.
    """
    prefix, slash, rest = model.partition("/")
    profile, _, named = prefix.partition("+")
    if slash and profile in PROVIDERS:
        return profile, rest, named
    if slash and env.get("OPENROUTER_API_KEY"):
        return "openrouter", model, ""
    if slash:
        known = ", ".join(f"`{p}/`" for p in PROVIDERS)
        raise ConfigError(
            f"`{prefix}/` is not a provider that is known, in the model name `{model}`. "
            f"Use one of {known}, or give `base_url=` (or `RLM_MODEL_BASE_URL`)."
        )
    if env.get("OPENROUTER_API_KEY") and not (env.get("OPENAI_API_KEY") or given):
        return "openrouter", model, ""
    return "openai", model, ""


def _wire_format(name: str, model: str) -> WireFormat:
    """Returns a wire format by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    found = next((known for known in WIRE_FORMATS if known == name), None)
    if found is None:
        known = ", ".join(f"`{one}`" for one in WIRE_FORMATS)
        raise ConfigError(f"`{name}` is not a wire format, for the model `{model}`. There are {known}.")
    return found


_OFF_BY_NONE = frozenset({"compact_at", "stuck_after"})
"""Settings of which None is a choice; of the others it means that nothing was chosen."""

_setting = partial(field_of, "settings")


class Settings(BaseModel):
    """How an `RLM` works; every field has a default that is safe.

    Fields are also `%config RLMMagics` options and arguments of `RLM`. Their defaults, ranges and descriptions are
    those of `rlm_jupyter.options.table`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = _setting("model")
    sub_model: str | None = _setting("sub_model")
    base_url: str | None = _setting("base_url")
    sandbox: Sandbox = _setting("sandbox", default_factory=Sandbox.of)
    kernel: str | None = _setting("kernel")
    log_dir: Path | None = _setting("log_dir", default_factory=lambda: Path("rlm_runs"))
    cache: bool = _setting("cache")
    keep_values: bool = _setting("keep_values")
    limits: Limits = _setting("limits", default_factory=Limits.of)
    sample_rows: int = _setting("sample_rows")
    output_chars: int = _setting("output_chars")
    completion_tokens: int = _setting("completion_tokens")
    prompt: PromptVariant = _setting("prompt")
    instructions: str | None = _setting("instructions")
    sub_instructions: str | None = _setting("sub_instructions")
    sub_prompt: PromptVariant | None = _setting("sub_prompt")
    skills: tuple[Any, ...] = _setting("skills")
    planning: int | None = _setting("planning")
    context_functions: bool = _setting("context_functions")
    bash: bool = _setting("bash")
    recursion_guard: bool = _setting("recursion_guard")
    strong_model: Any = _setting("strong_model")
    strong_after: int = _setting("strong_after")
    see: bool | None = _setting("see")
    hide: tuple[Any, ...] = _setting("hide")
    hide_most: int = _setting("hide_most")
    require_look: bool = _setting("require_look")
    inherit_tools: bool = _setting("inherit_tools")
    tool_seconds: float = _setting("tool_seconds")
    value_memory: int | None = _setting("value_memory")
    kernel_memory: int | None = _setting("kernel_memory")
    kept_kernels: int = _setting("kept_kernels")
    checkpoints: int | None = _setting("checkpoints")
    sub_calls: bool = _setting("sub_calls")
    sub_agents: bool = _setting("sub_agents")
    ask_user: int = _setting("ask_user")
    ask_user_seconds: float = _setting("ask_user_seconds")
    parameters: dict[str, object] | None = _setting("parameters")
    sub_parameters: dict[str, object] | None = _setting("sub_parameters")
    temperature: float | None = _setting("temperature")
    sub_temperature: float | None = _setting("sub_temperature")
    reasoning_effort: str | None = _setting("reasoning_effort")
    sub_reasoning_effort: str | None = _setting("sub_reasoning_effort")
    service_tier: str | None = _setting("service_tier")
    sub_service_tier: str | None = _setting("sub_service_tier")
    extra_body: dict[str, object] | None = _setting("extra_body")
    sub_extra_body: dict[str, object] | None = _setting("sub_extra_body")
    sub_completion_tokens: int | None = _setting("sub_completion_tokens")
    window: int | None = _setting("window")
    sub_window: int | None = _setting("sub_window")
    compact_at: float | None = _setting("compact_at")
    stuck_after: int | None = _setting("stuck_after")
    budget: Path | None = _setting("budget")
    early_start: bool = _setting("early_start")
    telemetry: bool = _setting("telemetry")

    @field_validator("hide", mode="before")
    @classmethod
    def _read_hide(cls, value: object) -> object:
        return read_hide(value)

    @field_validator("skills", mode="before")
    @classmethod
    def _read_skills(cls, value: object) -> object:
        """Several are a list; what they are is read when a question is asked."""
        if value is None:
            return ()
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)

    @field_validator("value_memory", "kernel_memory", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        return None if value is None else read_bytes(value)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None, **changes: object) -> Settings:
        """Read `RLM_MODEL`, `RLM_SUB_MODEL`, `RLM_MODEL_BASE_URL` and `RLM_BUDGET`, with `changes` on top.

        Raises:
            ConfigError: an unknown name or a value that cannot be.
        """
        env = os.environ if env is None else env
        names = {"model": "RLM_MODEL", "sub_model": "RLM_SUB_MODEL", "base_url": "RLM_MODEL_BASE_URL"}
        names["budget"] = "RLM_BUDGET"
        found: dict[str, object] = {field: env[name] for field, name in names.items() if env.get(name)}
        given = {name: value for name, value in changes.items() if value is not None or name in _OFF_BY_NONE}
        found.update(given)
        if "sandbox" in found:
            found["sandbox"] = Sandbox.of(found["sandbox"])  # type: ignore[arg-type]  # it says what it takes
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            known = ", ".join(f"`{field}`" for field in cls.model_fields)
            if first["type"] == "extra_forbidden":
                raise ConfigError(f"There is no setting `{name}`. Settings are: {known}.") from None
            raise ConfigError(
                f"The setting `{name}` cannot be {first.get('input')!r}: {first['msg'].removeprefix('Value error, ')}."
            ) from None
