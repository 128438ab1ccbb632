"""Settings of `%config RLMMagics` on how models are asked, on long runs and on ablations."""

from __future__ import annotations

from traitlets import Bool, Dict, Float, HasTraits, Integer, Unicode, Union


def _of_sub(name: str) -> str:
    return f"`{name}` of sub-agents and plain completions. None: as the root's."


def _memory(what: str) -> Union:
    """Make a trait for an amount of memory."""
    kinds = [Integer(), Unicode()]
    return Union(kinds, default_value=None, allow_none=True, help=f"Bytes, or '2 GB', of memory {what}").tag(
        config=True
    )


class RequestConfig(HasTraits):
    """The traits that become fields of a request: those of the root, and those of all the rest."""

    temperature = Float(None, allow_none=True, help="Of the root's requests. None: the provider's own.").tag(
        config=True
    )
    sub_temperature = Float(None, allow_none=True, help=_of_sub("temperature")).tag(config=True)
    reasoning_effort = Unicode(
        None, allow_none=True, help="Of the root's requests, such as 'low'. None: the provider's own."
    ).tag(config=True)
    sub_reasoning_effort = Unicode(None, allow_none=True, help=_of_sub("reasoning_effort")).tag(config=True)
    extra_body = Dict(
        default_value=None, allow_none=True, help="Fields of the root's requests that are not OpenAI's."
    ).tag(config=True)
    sub_extra_body = Dict(default_value=None, allow_none=True, help=_of_sub("extra_body")).tag(config=True)
    parameters = Dict(
        default_value=None, allow_none=True, help="Further fields of the root's requests: {'top_p': 0.9}."
    ).tag(config=True)
    sub_parameters = Dict(default_value=None, allow_none=True, help=_of_sub("parameters")).tag(config=True)
    sub_completion_tokens = Integer(None, allow_none=True, help=_of_sub("completion_tokens")).tag(config=True)


class LongRunConfig(HasTraits):
    """The traits that keep long runs going, and those that take words away from agents."""

    window = Integer(
        None, allow_none=True, help="Tokens that the root's model holds. None: looked up by its name."
    ).tag(config=True)
    sub_window = Integer(None, allow_none=True, help=_of_sub("window")).tag(config=True)
    compact_at = Float(
        0.85, allow_none=True, help="Part of the window at which old turns are summarised. None: never."
    ).tag(config=True)
    stuck_after = Integer(
        3,
        allow_none=True,
        help="How often the same code may fail in the same way. None: as often as it likes.",
    ).tag(config=True)
    tool_seconds = Float(
        300.0, help="Time that one call of a host tool may take, where the tool itself says nothing else."
    ).tag(config=True)
    value_memory = _memory("for one run's values; more go to disk. None: a quarter of the machine's.")
    kernel_memory = _memory("for kernels of ended agents; above it the oldest end. None: a quarter.")
    instructions = Unicode(
        None,
        allow_none=True,
        help="Words of your own to every agent: what your data means, how you want answers to be.",
    ).tag(config=True)
    sub_calls = Bool(True, help="Whether agents' code may ask a model at all (an ablation).").tag(config=True)
    sub_agents = Bool(True, help="Whether agents' code may start sub-agents (an ablation).").tag(config=True)
    telemetry = Bool(True, help="Whether OpenTelemetry spans are made where its API is installed.").tag(
        config=True
    )
