"""The events of completions: a prompt that was sent, and the reply that came, or did not.

Field names follow OpenTelemetry's `gen_ai.*` in the log (https://opentelemetry.io/docs/specs/semconv/gen-ai/). A
prompt is logged once: `PromptSent` carries only the messages that the agent's last prompt did not have.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rlm_jupyter.events.event_base import Event

Purpose = Literal["turn", "llm_query", "repair", "fallback", "summary", "plan", "plain"]
"""Of a completion: an agent's turn, a plain call, the second try of one whose answer did not match its schema, a
sub-agent that the depth limit made a plain call, the summary of an agent's old turns, when its chat nears the model's
window, an agent's plan in words, or a whole question that is answered without an agent's code."""


class PromptSent(Event):
    """A request went to the model."""

    kind: Literal["prompt_sent"] = "prompt_sent"
    call: int
    """Counts the run's completions from 1."""
    purpose: Purpose
    turn: int
    """The agent's turn in which it was sent."""
    model: str = Field(alias="gen_ai.request.model")
    max_tokens: int | None = Field(None, alias="gen_ai.request.max_tokens")
    start: int = 0
    """Index of the first message below in the whole prompt; those before it were sent with an earlier call."""
    messages: tuple[dict[str, str], ...] = Field((), alias="gen_ai.input.messages")
    data_tokens: int = 0
    """Tokens of data that left with it: see the limit `exposure`; 0 for a reply from the cache."""


class ReplyDelta(Event):
    """A piece of a reply as it streams; shown, not logged (the whole follows)."""

    kind: Literal["reply_delta"] = "reply_delta"
    call: int
    text: str
    restart: bool = False
    """Whether the reply begins anew with this piece: the attempt that gave the earlier ones has failed."""


class ReplyFinished(Event):
    """The model's reply is whole."""

    kind: Literal["reply_finished"] = "reply_finished"
    call: int
    text: str = Field(alias="gen_ai.output.text")
    model: str = Field(alias="gen_ai.response.model")
    finish_reason: str = Field(alias="gen_ai.response.finish_reason")
    input_tokens: int = Field(alias="gen_ai.usage.input_tokens")
    output_tokens: int = Field(alias="gen_ai.usage.output_tokens")
    cached_tokens: int = Field(0, alias="gen_ai.usage.cache_read.input_tokens")
    estimated: bool = False
    """Whether the tokens are our estimate, because the provider gave none."""
    cost: float | None
    """USD; None if it is not known."""
    attempts: int = 1
    cached: bool = False
    """Whether it was read from the cache and nothing was sent."""
    seconds: float


class ReplyFailed(Event):
    """No reply: the provider failed for good, or the call was cancelled."""

    kind: Literal["reply_failed"] = "reply_failed"
    call: int
    error: str
    input_tokens: int = Field(0, alias="gen_ai.usage.input_tokens")
    output_tokens: int = Field(0, alias="gen_ai.usage.output_tokens")
    estimated: bool = False
    """Whether the tokens are our estimate: it may have been billed all the same."""
    cost: float | None = 0.0
    attempts: int = 1
    """Requests that were sent, retries included."""
    seconds: float
