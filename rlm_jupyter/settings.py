"""What can be set: the limits of a run, the settings of an `RLM`, and the profiles of providers.

A value is looked for in this order, the later one wins: defaults, environment (`RLM_MODEL`, …),
`%config RLMMagics`, arguments.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rlm_jupyter.errors import ConfigError, MissingKeyError
from rlm_jupyter.sandbox import Sandbox, read_bytes

PromptVariant = Literal["default", "frugal", "small_context"]


class Limits(BaseModel):
    """What one run may spend. None is no limit; the defaults are for a first try, not for a bill.

    A limit holds for the whole run, all sub-agents included, unless its name says otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost: float | None = Field(1.0, ge=0)
    """USD."""
    calls: int | None = Field(1000, ge=0)
    """Completions, of agents and of `llm_query` alike."""
    calls_per_agent: int | None = Field(20, ge=1)
    """Turns of one agent."""
    prompt_tokens: int | None = Field(None, ge=0)
    """Tokens sent."""
    completion_tokens: int | None = Field(None, ge=0)
    """Tokens received."""
    tokens: int | None = Field(2_000_000, ge=0)
    """Tokens sent and received."""
    depth: int | None = Field(2, ge=0)
    """How deep sub-agents may go: 0 allows none, 1 allows children of the root, and so on."""
    agents: int | None = Field(200, ge=1)
    """Agents in all, the root included."""
    concurrency: int | None = Field(200, ge=1)
    """Requests to the model in flight at once."""
    seconds: float | None = Field(1800, gt=0)
    """Wall-clock time."""
    cell_seconds: float | None = Field(120, gt=0)
    """Time that one cell may work; waiting for sub-agents and completions does not count."""

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
class Provider:
    """Where a provider is reached and which variable holds its key.

    Attributes:
        base_url: of its OpenAI-compatible endpoint; None for OpenAI's own.
        key: the environment variable of its key; None where it needs none.
    """

    base_url: str | None
    key: str | None


PROVIDERS: dict[str, Provider] = {
    "openai": Provider(None, "OPENAI_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "anthropic": Provider("https://api.anthropic.com/v1/", "ANTHROPIC_API_KEY"),
    "gemini": Provider("https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": Provider("http://127.0.0.1:11434/v1", None),
    "vllm": Provider("http://127.0.0.1:8000/v1", None),
}
"""Prefixes that a model's name may carry, as in ``openai/gpt-5``."""


@dataclass(frozen=True)
class Endpoint:
    """A model's name as the provider knows it, where it is reached, and the key.

    Attributes:
        model: the name to send.
        base_url: None for OpenAI's own.
        api_key: never shown: `repr` masks it.
        provider: the profile's name; None for a base URL of the user's own.
    """

    model: str
    base_url: str | None
    api_key: str
    provider: str | None = None

    def __repr__(self) -> str:
        return f"Endpoint(model={self.model!r}, base_url={self.base_url!r}, provider={self.provider!r})"


def endpoint_for(
    model: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Endpoint:
    """Tell where `model` is reached and with which key.

    With a base URL (argument or `RLM_MODEL_BASE_URL`) the name is sent as it is, and a key is optional
    (local servers need none). Without one, a prefix of `PROVIDERS` names the provider; without a prefix
    it is OpenAI, or OpenRouter when only its key is set.

    Raises:
        ConfigError: the prefix names no provider that is known.
        MissingKeyError: the provider needs a key that is not set; the message names the variable.
    """
    env = os.environ if env is None else env
    base_url = base_url or env.get("RLM_MODEL_BASE_URL") or None
    given = api_key or env.get("RLM_MODEL_API_KEY") or None
    if base_url:
        key = given or env.get("OPENAI_API_KEY") or env.get("OPENROUTER_API_KEY") or "none"
        return Endpoint(model, base_url, key)
    prefix, slash, rest = model.partition("/")
    if slash and prefix in PROVIDERS:
        name, sent = prefix, rest
    elif slash and env.get("OPENROUTER_API_KEY"):
        name, sent = "openrouter", model
    elif slash:
        known = ", ".join(f"`{p}/`" for p in PROVIDERS)
        raise ConfigError(
            f"`{prefix}/` is no provider that is known, in the model name `{model}`. "
            f"Use one of {known}, or give `base_url=` (or `RLM_MODEL_BASE_URL`)."
        )
    elif env.get("OPENROUTER_API_KEY") and not (env.get("OPENAI_API_KEY") or given):
        name, sent = "openrouter", model
    else:
        name, sent = "openai", model
    provider = PROVIDERS[name]
    key = given or (env.get(provider.key) if provider.key else "none") or ""
    if not key:
        raise MissingKeyError(
            f"The model `{model}` needs a key: set the environment variable `{provider.key}` "
            f'(or `RLM_MODEL_API_KEY`), or choose `model="demo"`, which needs none.'
        )
    return Endpoint(sent, provider.base_url, key, name)


_OFF_BY_NONE = frozenset({"compact_at", "stuck_after"})
"""Settings of which None is a choice; of the others it means that nothing was chosen."""


class Settings(BaseModel):
    """How an `RLM` works; every field has a default that is safe.

    Fields are also `%config RLMMagics` options and arguments of `RLM`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    """The root agents' model; None: `RLM_MODEL`, else the `demo` model."""
    sub_model: str | None = None
    """The sub-agents' and plain completions' model; None: the same as `model`."""
    base_url: str | None = None
    """Of an OpenAI-compatible server; None: `RLM_MODEL_BASE_URL`, else the provider's own."""
    sandbox: Sandbox = Field(default_factory=Sandbox.of)
    """What agents' kernels may touch and use up: a mode (`auto`: as confined as this machine allows; `none`: not
    confined; `bwrap`: bubblewrap), `Sandbox(...)` or a dict of its fields."""
    kernel: str | None = None
    """The kernelspec of agents' kernels, or `gateway:URL/KERNELSPEC`; None: this Python."""
    log_dir: Path | None = Path("rlm_runs")
    """Where logs are written, one JSONL file a run; None writes none."""
    cache: bool = True
    """Whether replies are kept on disk and used again."""
    limits: Limits = Field(default_factory=Limits.of)
    """What one run may spend."""
    sample_rows: int = Field(3, ge=0)
    """Rows of a table that its description shows; 0 for sensitive data."""
    output_chars: int = Field(8000, ge=200)
    """Characters of a cell's output that the model sees: head and tail."""
    completion_tokens: int = Field(8192, ge=16)
    """`max_tokens` of one request, before the limits clamp it."""
    prompt: PromptVariant = "default"
    """What agents are told: `frugal` for models that call too much or cost much, `small_context` for those
    with a small window."""
    instructions: str | None = None
    """Words of your own to every agent, after that text: what your data means, how you want answers to be."""
    require_look: bool = True
    """Whether a `FINAL` by code that never touched the given data is answered with a request to look."""
    inherit_tools: bool = False
    """Whether sub-agents have all tools of their parents; without, those that they are handed."""
    tool_seconds: float = Field(300, gt=0)
    """Time that one call of a host tool may take, where `@host_tool(seconds=...)` says nothing else."""
    value_memory: int | None = Field(None, ge=0)
    """Bytes of memory, or a text such as ``"2 GB"``, that one run's values may take, besides the data that you hand
    over; what comes above it lies on disk until the run is dropped. None: a quarter of the machine's memory."""
    kernel_memory: int | None = Field(None, ge=0)
    """Bytes of memory, or a text, that kernels of agents that have ended may hold, all runs together; above it the
    oldest end. What they gave to FINAL stays, and so do small variables. None: a quarter of the machine's memory; the
    two runs before the newest are then closed as soon as they hold more than 64 MB, values included."""
    sub_calls: bool = True
    """Whether agents' code may ask a model at all: `llm_query` and `rlm_query`. An ablation of the paper."""
    sub_agents: bool = True
    """Whether agents' code may start sub-agents by `rlm_query`; without, only plain completions. An ablation."""
    parameters: dict[str, object] | None = None
    """Further fields of the root's requests, such as ``{"top_p": 0.9}``."""
    sub_parameters: dict[str, object] | None = None
    """The same for sub-agents and plain completions; None: as the root's."""
    temperature: float | None = None
    """Of the root's requests; None: the provider's own."""
    sub_temperature: float | None = None
    """Of sub-agents and plain completions; None: as the root's."""
    reasoning_effort: str | None = None
    """Of the root's requests, such as ``"low"``; None: the provider's own."""
    sub_reasoning_effort: str | None = None
    """Of sub-agents and plain completions; None: as the root's."""
    extra_body: dict[str, object] | None = None
    """Fields of the root's requests that are not OpenAI's."""
    sub_extra_body: dict[str, object] | None = None
    """The same for sub-agents and plain completions; None: as the root's."""
    sub_completion_tokens: int | None = Field(None, ge=16)
    """`max_tokens` of one request of sub-agents and plain completions; None: as the root's."""
    window: int | None = Field(None, ge=1000)
    """Tokens that the root's model holds; None: looked up, or learnt when the provider refuses a prompt."""
    sub_window: int | None = Field(None, ge=1000)
    """The same for the model of sub-agents and plain completions; None: as `window`, or looked up."""
    compact_at: float | None = Field(0.85, gt=0, le=1)
    """The part of the window at which an agent's old turns are summarised; None: never."""
    stuck_after: int | None = Field(3, ge=2)
    """How often the same code may fail with the same error before the agent is told once, and then ended."""
    telemetry: bool = True
    """Whether OpenTelemetry spans are made where its API is installed. No prompt or reply is in them."""

    @field_validator("value_memory", "kernel_memory", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        return None if value is None else read_bytes(value)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None, **changes: object) -> Settings:
        """Read `RLM_MODEL`, `RLM_SUB_MODEL` and `RLM_MODEL_BASE_URL`, with `changes` on top.

        Raises:
            ConfigError: an unknown name or a value that cannot be.
        """
        env = os.environ if env is None else env
        names = {"model": "RLM_MODEL", "sub_model": "RLM_SUB_MODEL", "base_url": "RLM_MODEL_BASE_URL"}
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
