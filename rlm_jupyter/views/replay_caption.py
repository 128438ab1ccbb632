"""What happens at a moment of a run, in one sentence; and where the data of an agent is at that moment.

Texts are taken from the state, never from the event: a state that was reduced to a level has no more than that allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agreement import agreement_text
from rlm_jupyter.events.tree_state import AgentState, TreeState
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.text.units import amount, duration, money, size
from rlm_jupyter.views.branch_rows import CHANGED
from rlm_jupyter.views.expected_spend import expected
from rlm_jupyter.views.json_numbers import count, whole
from rlm_jupyter.views.replay_protocol import Flow

_ASKS = ("rlm_query", "rlm_map")
_NAMES = 3
_LONGEST = 160
_TOKEN = 4
_FEW = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PURPOSES = {
    "llm_query": "asks the model a plain question",
    "repair": "asks for an answer that matches its schema",
    "fallback": "asks the model instead of a sub-agent: the limit of depth is reached",
    "summary": "has the old turns of its chat summed up",
    "plan": "makes a plan in words",
}
_ENDS = {
    "done": "has ended",
    "failed": "has failed",
    "stopped": "was stopped",
    "limit": "ended at a limit",
    "running": "goes on",
}


def caption(state: TreeState, event: ev.AnyEvent | None, *, batch: int = 1) -> str:
    """Returns the sentence on an event.

    Args:
        state: the tree after it.
        event: the event; None at the beginning.
        batch: of the start of a sub-agent, how many its parent asked at once.
    """
    if event is None:
        return "Nothing has happened yet."
    agent = state.agents.get(event.agent)
    told = _of_run(state, event) if agent is None else _of_agent(state, agent, event, batch)
    return told or "Something happened that has no words here."


def _of_run(state: TreeState, event: ev.AnyEvent) -> str:  # noqa: PLR0911 - one case an event
    match event:
        case ev.RunStarted():
            held = _line(state.context)
            return (
                f"The question is asked. The data stays outside of the prompt: {held}."
                if held
                else ("The question is asked.")
            )
        case ev.RunFinished():
            spent = f"{amount(state.own_agents, 'agent')}, {money(state.cost)}"
            value = _line(state.value)
            return (
                f"The run {_ENDS[event.status]}: {value} ({spent})."
                if value
                else (f"The run {_ENDS[event.status]} ({spent}).")
            )
        case ev.RunEstimated():
            return (
                f"It is expected to cost {expected(event, 'cost')}, as {amount(event.runs, 'run')} alike did."
            )
        case ev.ValuesHeld():
            return f"The values of the run take {size(event.memory)} of memory."
        case ev.CodeProved():
            return f"The code behind the answer was run again: {event.verdict}."
        case ev.Command():
            return "The user gave a command."
        case ev.Notice():
            return f"Note: {_short(state.notices[-1])}" if state.notices else "A note was made."
        case _:
            return ""


def _of_agent(state: TreeState, agent: AgentState, event: ev.AnyEvent, batch: int) -> str:  # noqa: C901, PLR0911, PLR0912 - one case an event
    name = one_line(agent.id, 40)
    match event:
        case ev.AgentStarted():
            return _started(state, agent, name, batch)
        case ev.BranchStarted():
            return f"A branch leaves the run at turn {event.turn} of {name}, {CHANGED[event.change]}."
        case ev.BranchFinished():
            spent = f"{amount(event.agents, 'agent')}, {money(event.cost)} of its own"
            return f"The branch of {name} {_ENDS[event.status]} ({spent})."
        case ev.KernelStarted():
            return f"The kernel of {name} is ready{', with its data as a variable' if agent.context else ''}."
        case ev.KernelEnded():
            return f"The kernel of {name} was ended, because kernels of ended agents held too much."
        case ev.AgentFinished():
            return f"{name} {_ENDS[event.status]}."
        case ev.PromptSent() | ev.ReplyFinished() | ev.ReplyFailed() | ev.ReplyDelta():
            return _completion(name, event)
        case ev.CodeStarted() | ev.CodeFinished() | ev.CodeOutput():
            return _cell(name, event)
        case ev.VariablesChanged():
            return _holds(agent, name)
        case ev.ValueReturned():
            to = f"up to {one_line(agent.parent, 40)}" if agent.parent else "as the answer"
            return f"{name} gives a value {to}: {_line(agent.value) or 'a value'}."
        case ev.SamplesCompared():
            return f"The samples are compared: {agreement_text(dict(event))}."
        case ev.ValueRejected():
            return f"The value that {name} gave was sent back to it."
        case ev.ToolCalled():
            return f"{name} calls a tool in the notebook{'' if event.ok else ', which fails'}."
        case ev.ConnectionMade():
            return f"{name} {'connects to a host' if event.ok else 'was refused a connection to a host'}."
        case ev.Waiting():
            over = event.seconds == 0
            return f"{name} {'goes on after a wait' if over else 'waits'}: {event.reason.replace('_', ' ')}."
        case ev.QuestionAsked():
            asked = state.user_question
            return f"{name} asks the user{f': {_short(asked.question)}' if asked else ' a question'}."
        case ev.QuestionAnswered():
            return (
                f"{_short(agent.notices[-1])}." if agent.notices else f"{name} has an answer to its question."
            )
        case ev.StepPending():
            return f"The code of {name} waits for Next."
        case ev.Notice():
            return f"Note on {name}: {_short(agent.notices[-1])}" if agent.notices else f"A note on {name}."
        case _:
            return ""


def _started(state: TreeState, agent: AgentState, name: str, batch: int) -> str:
    held = _line(agent.context)
    parent = state.agents.get(agent.parent or "")
    if parent is None:
        return f"{name} starts with {held} in its kernel." if held else f"{name} starts."
    asker = one_line(parent.id, 40)
    given = f", with {held}" if held else ""
    if batch == 1:
        return f"{asker} asks a sub-agent: {name} starts{given}."
    number = _FEW[batch] if batch < len(_FEW) else f"{batch:,}"
    parts = f"splits its {_amount(parent.context)} and " if _is_part(agent, parent) else ""
    return f"{asker} {parts}asks {number} sub-agents; {name} starts{given}."


def _is_part(agent: AgentState, parent: AgentState) -> bool:
    """Returns whether what an agent was given is smaller than what its parent has, and of the same type."""
    mine, its = agent.context or {}, parent.context or {}
    part, total = whole(mine.get("bytes")), whole(its.get("bytes"))
    return part is not None and total is not None and part < total and mine.get("type") == its.get("type")


def _amount(context: Mapping[str, Any] | None) -> str:
    """Returns how much data it is: `250,000 rows`, `12 parts`, or `data`."""
    known = context or {}
    shape, length = known.get("shape"), known.get("length")
    if isinstance(shape, (list, tuple)) and shape and whole(shape[0]) is not None:
        return amount(whole(shape[0]), "row")
    if whole(length) is not None and known.get("type") in ("list", "tuple", "dict", "set"):
        return amount(whole(length), "part")
    return "data"


def _completion(name: str, event: ev.PromptSent | ev.ReplyFinished | ev.ReplyFailed | ev.ReplyDelta) -> str:
    match event:
        case ev.PromptSent(purpose="turn"):
            sent = sum(len(message.get("content", "")) for message in event.messages)
            return f"{name} asks the model, turn {event.turn}: {sent:,} characters more are in its prompt."
        case ev.PromptSent():
            return f"{name} {_PURPOSES[event.purpose]}."
        case ev.ReplyFinished():
            cached = " from the cache" if event.cached else ""
            return f"The model replies to {name}{cached}: {amount(event.output_tokens, 'token')}."
        case ev.ReplyFailed():
            return f"The model gave {name} no reply."
        case _:
            return f"The model writes to {name}."


def _cell(name: str, event: ev.CodeStarted | ev.CodeFinished | ev.CodeOutput) -> str:
    match event:
        case ev.CodeStarted(turn=0):
            return f"A first look at the data runs in the kernel of {name}."
        case ev.CodeStarted():
            asks = ", which asks sub-agents" if any(word in event.code for word in _ASKS) else ""
            return f"{name} runs the code of turn {event.turn} in its kernel{asks}."
        case ev.CodeFinished(status="ok"):
            return (
                f"The code of {name} ran {duration(event.seconds)}; "
                f"the model is shown {amount(len(event.output), 'character')} of output."
            )
        case ev.CodeFinished():
            return f"The code of {name} did not end well ({event.status}); the model is told."
        case _:
            return f"The code of {name} prints."


def _holds(agent: AgentState, name: str) -> str:
    names = [one_line(each, 40) for each in list(agent.variables)[-_NAMES:]]
    more = "…, " if len(agent.variables) > _NAMES else ""
    listed = f": {more}{', '.join(names)}" if names else ""
    return f"The kernel of {name} holds {amount(len(agent.variables), 'variable')}{listed}."


def _line(description: Mapping[str, Any] | None) -> str:
    """Returns what a value is, in a few words; empty if there is none."""
    if not isinstance(description, Mapping):
        return ""
    return _short(description.get("summary") or description.get("type") or "a value")


def _short(text: object) -> str:
    return one_line(text, _LONGEST)


def flow(state: TreeState, agent: AgentState) -> Flow:
    """Returns where an agent's data is: in its kernel, in its prompts, and what went up."""
    context = agent.context or {}
    running = [turn.call for turn in agent.turns[-1:] if turn.call.status == "running"]
    waiting = sum(len(message.get("content", "")) for call in running for message in call.messages)
    children = (state.agents.get(child) for child in agent.children)
    return {
        "agent": one_line(agent.id, 40),
        "parent": None if agent.parent is None else one_line(agent.parent, 40),
        "context": _line(agent.context) or None,
        "kernel_bytes": whole(context.get("bytes")),
        "variables": len(agent.variables),
        "prompt_tokens": count(agent.input_tokens) + waiting // _TOKEN,
        "output_tokens": count(agent.output_tokens),
        "received": sum(child is not None and child.value is not None for child in children),
        "value": _line(agent.value) or None,
    }
