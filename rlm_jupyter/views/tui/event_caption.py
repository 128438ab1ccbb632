"""One event in a sentence, for the line that says what happens at a moment of a replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agreement import agreement_text
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.branch_rows import CHANGED
from rlm_jupyter.views.expected_spend import expected
from rlm_jupyter.views.widget_messages import summary

_TEXT = 120


def caption(event: ev.AnyEvent | None) -> str:
    """Returns what happened, on one line: `0.2 runs cell 3 of turn 2`. All text in it is clean."""
    if event is None:
        return "Before the first event."
    told = _TOLD.get(type(event))
    who = one_line(event.agent, 40) or "The run"
    return one_line(f"{who} {told(event) if told else event.kind.replace('_', ' ')}", 300)


def _returned(event: Any) -> str:
    return f"gives {summary(event.value) or 'no value'}"


def _ended(event: Any) -> str:
    if event.error:
        return f"ends ({event.status}): {one_line(event.error, _TEXT)}"
    return f"ends ({event.status}) and {_returned(event)}"


def _asked(event: ev.PromptSent) -> str:
    what = f"turn {event.turn}" if event.purpose == "turn" else event.purpose.replace("_", " ")
    return f"asks the model {one_line(event.model, 40)} ({what})"


def _replied(event: ev.ReplyFinished) -> str:
    source = " from the cache" if event.cached else ""
    tokens = f"{fmt.count(event.input_tokens)} tokens in, {fmt.count(event.output_tokens)} out"
    return f"has a reply{source} ({tokens}, {fmt.money(event.cost)})"


def _cell_ended(event: ev.CodeFinished) -> str:
    error = f": {one_line(event.error, _TEXT)}" if event.error else ""
    return f"cell {event.cell} ends ({event.status}, {fmt.duration(event.seconds)}){error}"


def _variables(event: ev.VariablesChanged) -> str:
    names = [one_line(item.get("name"), 40) for item in event.variables]
    gone = [f"{one_line(name, 40)} removed" for name in event.removed]
    return f"has variables: {', '.join([*names, *gone][:8]) or 'none'}"


def _tool(event: ev.ToolCalled) -> str:
    name = f"{event.server}.{event.name}" if event.server else event.name
    return f"calls the tool {one_line(name, 60)}{'' if event.ok else ', which fails'}"


_TOLD: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.RunStarted: lambda event: f"starts: {one_line(event.question, _TEXT)}",
    ev.RunEstimated: lambda event: f"is expected to cost {expected(event, 'cost')}",
    ev.RunFinished: _ended,
    ev.AgentStarted: lambda event: f"starts: {one_line(event.name or event.question, _TEXT)}",
    ev.AgentFinished: _ended,
    ev.KernelStarted: lambda event: f"has a kernel after {fmt.duration(event.seconds)}",
    ev.KernelEnded: lambda event: f"loses its kernel ({fmt.size(event.bytes)})",
    ev.PromptSent: _asked,
    ev.ReplyFinished: _replied,
    ev.ReplyFailed: lambda event: f"has no reply: {one_line(event.error, _TEXT)}",
    ev.CodeStarted: lambda event: f"runs cell {event.cell} of turn {event.turn}",
    ev.CodeFinished: _cell_ended,
    ev.VariablesChanged: _variables,
    ev.ValueReturned: lambda event: f"calls FINAL with {summary(event.description)}",
    ev.ValueRejected: lambda event: f"calls FINAL in vain: {one_line(event.reason, _TEXT)}",
    ev.ValuesHeld: lambda event: f"holds {fmt.size(event.memory)} of values in memory",
    ev.ToolCalled: _tool,
    ev.TableQueried: lambda event: (
        f"asks {one_line(event.source, 60)}{'' if event.ok else ', which refuses'}"
    ),
    ev.RowsMapped: lambda _: "has answers for more rows",
    ev.FunctionWritten: lambda event: f"tries a function: {event.agreed} of {event.compared} rows agree",
    ev.ConnectionMade: lambda event: (
        f"{'connects' if event.ok else 'may not connect'} to {one_line(event.host, 60)}"
    ),
    ev.Waiting: lambda event: (
        "goes on" if event.seconds == 0 else f"waits ({event.reason.replace('_', ' ')})"
    ),
    ev.QuestionAsked: lambda event: f"asks the user: {one_line(event.question, _TEXT)}",
    ev.QuestionAnswered: lambda event: (
        f"{'is answered by the user' if event.by == 'user' else 'assumes'}: {one_line(event.answer, _TEXT)}"
    ),
    ev.StepPending: lambda event: f"waits for Next before cell {event.cell}",
    ev.Notice: lambda event: f"notes: {one_line(event.text, _TEXT)}",
    ev.CodeProved: lambda event: f"has run the code behind its answer again: {event.verdict}",
    ev.BranchStarted: lambda event: f"is left at turn {event.turn} by a branch, {CHANGED[event.change]}",
    ev.BranchFinished: lambda event: f"has a branch that ended: {event.status}",
    ev.SamplesCompared: lambda event: f"compares its samples: {agreement_text(dict(event))}",
    ev.Command: lambda event: f"is told by the user: {one_line(event.name, 40)} {one_line(event.detail, 60)}",
}
