"""A run as OpenTelemetry spans, with the names of the `gen_ai` conventions; made from its events alone.

    rlm run                       the run, a child of the span in which it was started
    └─ invoke_agent 0             an agent; its sub-agents are below it
       ├─ chat gpt-5              a completion
       └─ execute_tool repl       a cell
       └─ invoke_agent 0.1

No prompt, reply, code or output is in them: the log has those. Without the `opentelemetry` API nothing is
imported and nothing is made. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_NANO = 10**9
_LONGEST = 300
_PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai"}
"""Names of our profiles that are others in the conventions."""


def tracing(provider: str | None = None) -> Callable[[ev.AnyEvent], None] | None:
    """Returns a listener that makes spans of a run's events; None where OpenTelemetry is not installed.

    Call it where the run is started: the run's span is a child of the span that is current there.

    Args:
        provider: of the model, as in `PROVIDERS`; None if it is not known.
    """
    try:
        from opentelemetry import context, trace
    except ImportError:
        return None
    tracer = trace.get_tracer("rlm_jupyter")
    return _Spans(tracer, context.get_current(), _PROVIDERS.get(provider or "", provider))


class _Spans:
    """Opens and closes spans as the events come."""

    def __init__(self, tracer: Tracer, parent: Context, provider: str | None) -> None:
        self._tracer = tracer
        self._parent = parent
        self._common = {"gen_ai.provider.name": provider} if provider else {}
        self._run: Span | None = None
        self._agents: dict[str, Span] = {}
        self._calls: dict[int, Span] = {}
        self._cells: dict[tuple[str, int], Span] = {}

    def __call__(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.RunStarted():
                self._start_run(event)
            case ev.RunFinished():
                self._finish_run(event)
            case ev.AgentStarted():
                self._start_agent(event)
            case ev.AgentFinished():
                span = self._agents.get(event.agent)
                if span is not None:
                    span.set_attribute("rlm.agent.status", event.status)
                self._end(self._agents.pop(event.agent, None), event.time, event.error)
            case ev.PromptSent():
                self._start_call(event)
            case ev.ReplyFinished() | ev.ReplyFailed():
                self._finish_call(event)
            case ev.CodeStarted():
                attributes = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "repl",
                    "gen_ai.tool.type": "function",
                    "gen_ai.tool.call.id": f"{event.agent}/{event.cell}",
                }
                key = (event.agent, event.cell)
                self._cells[key] = self._start("execute_tool repl", event, attributes)
            case ev.CodeFinished():
                error = event.error or (event.status if event.status != "ok" else None)
                self._end(self._cells.pop((event.agent, event.cell), None), event.time, error)
            case _:
                pass

    def _start_run(self, event: ev.RunStarted) -> None:
        attributes: dict[str, Any] = {
            **self._common,
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "rlm",
            "gen_ai.conversation.id": event.run,
            "gen_ai.request.model": event.model,
            "rlm.scripted": event.scripted,
        }
        if event.continues is not None:
            attributes["rlm.run.continues"] = event.continues
        self._run = self._tracer.start_span(
            "rlm run", self._parent, attributes=attributes, start_time=_nano(event.time)
        )

    def _finish_run(self, event: ev.RunFinished) -> None:
        for left in (*self._cells.values(), *self._calls.values(), *reversed(self._agents.values())):
            self._end(left, event.time, "stopped")
        self._cells.clear()
        self._calls.clear()
        self._agents.clear()
        if self._run is not None:
            self._run.set_attribute("rlm.run.status", event.status)
            if event.error_type:
                self._run.set_attribute("error.type", event.error_type)
        self._end(self._run, event.time, event.error)

    def _start_agent(self, event: ev.AgentStarted) -> None:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": event.agent,
            "gen_ai.request.model": event.model,
            "rlm.agent.depth": event.depth,
        }
        if event.name is not None:
            attributes["gen_ai.agent.name"] = event.name
        parent = self._agents.get(event.parent or "", self._run)
        self._agents[event.agent] = self._start(f"invoke_agent {event.agent}", event, attributes, parent)

    def _start_call(self, event: ev.PromptSent) -> None:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": event.model,
            "rlm.call.purpose": event.purpose,
        }
        if event.max_tokens is not None:
            attributes["gen_ai.request.max_tokens"] = event.max_tokens
        self._calls[event.call] = self._start(f"chat {event.model}", event, attributes)

    def _finish_call(self, event: ev.ReplyFinished | ev.ReplyFailed) -> None:
        span = self._calls.pop(event.call, None)
        if span is None:
            return
        span.set_attribute("gen_ai.usage.input_tokens", event.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", event.output_tokens)
        if event.cost is not None:
            span.set_attribute("rlm.cost.usd", event.cost)
        if isinstance(event, ev.ReplyFailed):
            self._end(span, event.time, event.error)
            return
        span.set_attribute("gen_ai.response.model", event.model)
        span.set_attribute("gen_ai.response.finish_reasons", [event.finish_reason])
        span.set_attribute("gen_ai.usage.cache_read.input_tokens", event.cached_tokens)
        span.set_attribute("rlm.cached", event.cached)
        self._end(span, event.time)

    def _start(
        self, name: str, event: ev.AnyEvent, attributes: dict[str, Any], parent: Span | None = None
    ) -> Span:
        from opentelemetry import trace

        above = parent or self._agents.get(event.agent, self._run)
        context = self._parent if above is None else trace.set_span_in_context(above, self._parent)
        attributes = {**self._common, "gen_ai.conversation.id": event.run, **attributes}
        return self._tracer.start_span(name, context, attributes=attributes, start_time=_nano(event.time))

    def _end(self, span: Span | None, time: float, error: str | None = None) -> None:
        from opentelemetry.trace import Status, StatusCode

        if span is None:
            return
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error[:_LONGEST]))
        with contextlib.suppress(Exception):  # an exporter of the user's own must not end the run's view
            span.end(_nano(time))


def _nano(seconds: float) -> int:
    return int(seconds * _NANO)
