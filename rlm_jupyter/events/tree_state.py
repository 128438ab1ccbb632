"""The tree of a run, folded from its events. A pure function of them: no clock, no kernel, no view.

`TreeState.apply` takes the events in their order; a log that is read again gives the same tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import (
    TOOL_CALLS,
    Activity,
    AgentState,
    BranchState,
    CallState,
    CellState,
    EstimateState,
    MapState,
    ToolCallState,
    ToolState,
    TurnState,
    UserAnswerState,
    UserQuestionState,
)

__all__ = [
    "Activity",
    "AgentState",
    "BranchState",
    "CallState",
    "CellState",
    "EstimateState",
    "MapState",
    "ToolCallState",
    "ToolState",
    "TreeState",
    "TurnState",
    "UserAnswerState",
    "UserQuestionState",
]

_STREAM_TAIL = 4000
_PLACES = ("memory", "disk", "shared")
_MOST_BRANCHES = 200


@dataclass
class TreeState:
    """The whole tree: the run and its agents by id, in the order in which they started."""

    run: str = ""
    question: str = ""
    model: str = ""
    sub_model: str = ""
    scripted: bool = False
    provenance: str | None = None
    sandbox: str = ""
    """What holds of the agents' boxes, in words; the mode that was asked for until the first kernel is up."""
    step: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] | None = None
    context_names: tuple[str, ...] = ()
    continues: str | None = None
    """The run that it goes on with."""
    resumes: str | None = None
    """The run whose record it goes through again."""
    branch: str | None = None
    """Where and how it leaves that record."""
    status: ev.RunStatus = "running"
    started: float = 0.0
    finished: float | None = None
    last: float = 0.0
    """Time of the newest event."""
    value: dict[str, Any] | None = None
    excerpt: dict[str, Any] | None = None
    """A bounded part of the value, with the `pictures` of its charts."""
    pictures: tuple[ev.CellPicture, ...] = ()
    error: str | None = None
    error_type: str | None = None
    proof: dict[str, Any] | None = None
    """What came of the proof of the code behind the answer: `verdict`, `detail`, `statements`, `characters`, …; None
    before there is one."""
    agreement: dict[str, Any] | None = None
    """How many samples agree, and where others differ: the fields of `SamplesCompared`; None without samples."""
    samples: dict[str, Any] | None = None
    """How many agents answer the question, as it was asked; None for one."""
    verify: bool = False
    plain: bool | str = False
    """Whether it is one plain completion."""
    notices: list[str] = field(default_factory=list)
    estimate: EstimateState | None = None
    """What it was expected to cost and take when it began; None if there were too few runs alike."""
    user_question: UserQuestionState | None = None
    """What the user is asked now."""
    user_answers: list[UserAnswerState] = field(default_factory=list)
    """What the user was asked, with answers and with what was assumed."""
    agents: dict[str, AgentState] = field(default_factory=dict)
    calls: int = 0
    """Completions, those from the cache among them."""
    requests: int = 0
    """Requests that were sent, retries included: what the limit `calls` counts."""
    cached: int = 0
    """Completions from the cache."""
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of those sent, what providers read from their caches."""
    estimated: bool = False
    """Whether some of the tokens are our estimate, because a provider gave none."""
    seen_chars: int = 0
    """Characters of the data and of outputs that the model was shown, each counted once."""
    data_tokens: int = 0
    """Tokens of data that were sent: what the limit `exposure` counts."""
    hidden: tuple[str, ...] = ()
    """Columns of whose values models see tokens alone."""
    identity: str = ""
    """A hash over what determines the run; empty in older logs."""
    identity_parts: dict[str, str] = field(default_factory=dict)
    """The same for each part of that."""
    cost: float | None = 0.0
    """USD; None as soon as one completion's is not known."""
    held: dict[str, int] = field(default_factory=dict)
    """Bytes of the run's values: in `memory`, on `disk`, `shared` with the notebook, and the `limit` for memory."""
    seq: int = 0
    completions: dict[int, tuple[str, CallState]] = field(default_factory=dict, repr=False)
    """Of each by its number: whose it is, and its state."""
    branches: dict[str, BranchState] = field(default_factory=dict)
    """Runs that leave this one at a turn, by their ids; what they spent is in no other field."""
    branch_trees: dict[str, TreeState] = field(default_factory=dict, repr=False)
    """Of those of this process the trees, as they grow."""

    @classmethod
    def of(cls, events: Iterable[ev.AnyEvent]) -> TreeState:
        """Fold a tree from events."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the end, or to the newest event."""
        return max(0.0, (self.finished or self.last) - self.started)

    @property
    def depth(self) -> int:
        """Of the deepest agent; the root is 0."""
        return max((agent.depth for agent in self.agents.values() if not agent.branch), default=0)

    @property
    def own_agents(self) -> int:
        """How many agents it has, without those of branches."""
        return sum(not agent.branch for agent in self.agents.values())

    def activity(self, agent: AgentState) -> Activity:
        """Returns what an agent is doing now."""
        if agent.status != "running":
            return ""
        if waits_for := agent.waits_for:
            return waits_for
        busy = any(self.agents[child].status == "running" for child in agent.children)
        if not agent.turns:
            return "model" if agent.in_flight else "children" if busy else "kernel"
        last = agent.turns[-1]
        if last.call.status == "running":
            return "model"
        if last.cells and last.cells[-1].status == "running":
            return "children" if busy else "code"
        return ""

    def apply(self, event: ev.AnyEvent) -> None:
        """Fold one event into the tree. Unknown agents are ignored (a damaged log stays readable)."""
        self.seq, self.last = event.seq, event.time
        agent = self.agents.get(event.agent)
        match event:
            case ev.RunStarted():
                self._start(event, self.started)
            case ev.RunFinished():
                self.status, self.finished = event.status, event.time
                root = self.agents.get("0")
                place = root.value.get("place") if root is not None and root.value else None
                self.value = _placed(event.value, place)
                self.excerpt, self.pictures = event.excerpt, event.pictures
                self.error, self.error_type = event.error, event.error_type
                self.in_flight, self.user_question = 0, None
            case ev.AgentStarted():
                self._start_agent(event)
            case ev.Command() if event.name == "limit":
                name, _, value = event.detail.partition("=")
                self.limits[name] = float(value) if value != "none" else None
            case ev.RunEstimated() | ev.ValuesHeld() | ev.CodeProved() | ev.SamplesCompared():
                self._about_run(event)
            case ev.BranchStarted() | ev.BranchFinished() | ev.BranchEvent():
                self._about_branch(event)
            case ev.Notice():
                (agent.notices if agent else self.notices).append(event.text)
            case _ if agent is not None:
                self._apply_to_agent(agent, event)
            case _:
                pass
        if agent is not None:
            agent.seq = event.seq

    def _about_run(self, event: ev.RunEstimated | ev.ValuesHeld | ev.CodeProved | ev.SamplesCompared) -> None:
        match event:
            case ev.RunEstimated():
                self.estimate = EstimateState(event.runs, event.cost, event.tokens, event.seconds, event.why)
            case ev.ValuesHeld():
                self.held = {name: getattr(event, name) for name in (*_PLACES, "limit")}
            case ev.CodeProved():
                told = ("verdict", "detail", "statements", "characters", "of_characters", "recorded")
                self.proof = {name: getattr(event, name) for name in told}
            case ev.SamplesCompared():
                self.agreement = event.model_dump(exclude={"kind", "run", "agent", "seq", "time"})

    def _about_branch(self, event: ev.BranchStarted | ev.BranchFinished | ev.BranchEvent) -> None:
        known = self.branches.get(event.branch)
        if isinstance(event, ev.BranchStarted):
            if known is None and len(self.branches) < _MOST_BRANCHES:
                self.branches[event.branch] = BranchState(
                    run=event.branch,
                    agent=event.agent,
                    turn=event.turn,
                    change=event.change,
                    log=event.log,
                    started=event.time,
                    seq=event.seq,
                )
        elif known is None:
            return
        elif isinstance(event, ev.BranchEvent):
            if isinstance(event.event, ev.Event):  # of a log that somebody made, it is none
                tree = self.branch_trees.setdefault(event.branch, TreeState())
                tree.apply(event.event)  # type: ignore[arg-type]
        else:
            self.branches[event.branch] = replace(
                known,
                status=event.status,
                finished=event.time,
                agents=event.agents,
                input_tokens=event.input_tokens,
                output_tokens=event.output_tokens,
                cost=event.cost,
                value=event.value,
                error=event.error,
            )

    def _start(self, event: ev.RunStarted, earlier: float) -> None:
        """Begin; in the tree of a conversation, whose first question came `earlier`, begin the next question."""
        if earlier:
            self.status, self.finished, self.error, self.error_type = "running", None, None, None
            self.value = self.excerpt = self.proof = self.agreement = None
            self.pictures = ()
            if (root := self.agents.get("0")) is not None:
                root.status, root.finished, root.seq = "running", None, event.seq
                root.value = root.error = None
        self.run, self.question, self.started = event.run, event.question, earlier or event.time
        self.model, self.sub_model = event.model, event.sub_model
        self.scripted, self.provenance, self.sandbox = event.scripted, event.provenance, event.sandbox
        self.limits, self.step = dict(event.limits), event.step
        self.context, self.context_names = event.context, event.context_names
        self.continues = event.continues
        self.resumes, self.branch = event.resumes, event.branch
        self.samples, self.verify, self.plain = event.samples, event.verify, event.plain
        self.hidden = event.hidden
        self.identity, self.identity_parts = event.identity, dict(event.identity_parts)

    def _start_agent(self, event: ev.AgentStarted) -> None:
        if event.agent in self.agents:
            return  # in a log that somebody made: with a second parent, the tree might be a circle
        self.agents[event.agent] = AgentState(
            id=event.agent,
            parent=event.parent,
            depth=event.depth,
            question=event.question,
            model=event.model,
            started=event.time,
            name=event.name,
            sample=event.sample,
            context=_placed(event.context, event.place),
            handed=(*event.tools, *event.mcp),
            seq=event.seq,
        )
        if event.parent in self.agents and event.parent != event.agent:
            parent = self.agents[event.parent]
            parent.children.append(event.agent)
            parent.seq = event.seq

    def _apply_to_agent(self, agent: AgentState, event: ev.AnyEvent) -> None:  # noqa: C901, PLR0912 - one case an event
        match event:
            case ev.AgentFinished():
                agent.status, agent.finished, agent.waiting = event.status, event.time, ""
                place = agent.value.get("place") if agent.value else None
                agent.value = _placed(event.value, place)
                agent.error, agent.pending_code, agent.asks_user = event.error, None, None
                if agent.parent in self.agents:
                    self.agents[agent.parent].seq = event.seq
            case ev.KernelStarted():
                agent.kernel_ended = None
                self.sandbox = _confined(event.confinement) or self.sandbox
            case ev.KernelEnded():
                agent.kernel_ended = _why_ended(event)
                agent.notices.append(agent.kernel_ended)
                for name in event.saved:
                    agent.variables[name] = {**agent.variables.get(name, {"name": name}), "place": "memory"}
            case ev.PromptSent():
                self._prompt(agent, event)
            case ev.ReplyDelta() | ev.ReplyFinished() | ev.ReplyFailed():
                self._reply(agent, event)
            case ev.CodeStarted() | ev.CodeOutput() | ev.CodeFinished():
                _code(agent, event)
            case ev.VariablesChanged():
                for name in event.removed:
                    agent.variables.pop(name, None)
                for variable in event.variables:
                    known = _placed(variable, "shared" if variable.get("place") == "shared" else None)
                    agent.variables[variable["name"]] = {**(known or {}), "turn": event.turn}
            case ev.ValueReturned():
                agent.value = _placed(event.description, event.place)
            case ev.ValueRejected():
                agent.notices.append(f"FINAL was sent back: {event.reason}")
            case ev.RowsMapped() | ev.FunctionWritten():
                _mapped(agent, event)
            case ev.ToolCalled():
                _tool(agent, event)
            case ev.TableQueried():
                _query(agent, event)
            case ev.Waiting():
                _wait(agent, event)
            case ev.QuestionAsked() | ev.QuestionAnswered():
                self._question(agent, event)
            case ev.StepPending():
                agent.pending_code, agent.waiting, agent.waiting_text = event.code, "step", ""
            case _:
                pass

    def _question(self, agent: AgentState, event: ev.QuestionAsked | ev.QuestionAnswered) -> None:
        if isinstance(event, ev.QuestionAsked):
            agent.asks_user = event.number
            self.user_question = UserQuestionState(
                agent=agent.id,
                number=event.number,
                question=event.question,
                options=event.options,
                default=event.default,
                until=event.time + event.seconds,
            )
            return
        agent.asks_user = self.user_question = None
        answered = UserAnswerState(
            agent=agent.id,
            question=event.question,
            options=event.options,
            answer=event.answer,
            option=event.option,
            by=event.by,
            reason=event.reason,
        )
        self.user_answers.append(answered)
        agent.notices.append(_answer_told(answered))

    def _prompt(self, agent: AgentState, event: ev.PromptSent) -> None:
        call = CallState(
            call=event.call,
            purpose=event.purpose,
            turn=event.turn,
            model=event.model,
            started=event.time,
            start=event.start,
            messages=event.messages,
            data_tokens=event.data_tokens,
        )
        self.data_tokens += event.data_tokens
        self.completions[event.call] = (agent.id, call)
        self.calls += 1
        self.requests += 1
        self.in_flight += 1
        agent.in_flight += 1
        self.seen_chars += sum(len(m["content"]) for m in event.messages if m["role"] == "user")
        agent.waiting = ""
        if event.purpose == "turn":
            agent.model = event.model  # a stronger one may have taken over
            agent.turns.append(TurnState(turn=event.turn, call=call))
        else:
            agent.calls.append(call)

    def _reply(self, agent: AgentState, event: ev.ReplyDelta | ev.ReplyFinished | ev.ReplyFailed) -> None:
        known = self.completions.get(event.call)
        if known is None or known[0] != agent.id:  # another agent's, in a log that somebody made
            return
        call = known[1]
        agent.held.pop(event.call, None)
        agent.held_text.pop(event.call, None)
        if isinstance(event, ev.ReplyDelta):
            call.text = (("" if event.restart else call.text) + event.text)[-_STREAM_TAIL:]
            return
        self.in_flight -= 1
        agent.in_flight -= 1
        if agent.waiting == "rate_limit":  # told of the agent, in logs of before `Waiting.call`
            agent.waiting = ""
        self.requests += event.attempts - 1
        call.attempts = event.attempts
        call.seconds, call.cost = event.seconds, event.cost
        call.input_tokens, call.output_tokens = event.input_tokens, event.output_tokens
        for total in (agent, self):
            total.input_tokens += event.input_tokens
            total.output_tokens += event.output_tokens
            known_cost = total.cost is not None and event.cost is not None
            total.cost = total.cost + event.cost if known_cost else None  # type: ignore[operator]
        call.estimated = event.estimated
        self.estimated = self.estimated or event.estimated
        if isinstance(event, ev.ReplyFailed):
            call.status, call.error = "failed", event.error
            return
        call.status, call.text, call.model = "done", event.text, event.model
        call.finish_reason, call.cached = event.finish_reason, event.cached
        self.cached += event.cached
        call.cached_tokens = event.cached_tokens
        self.cached_tokens += event.cached_tokens


def _answer_told(answered: UserAnswerState) -> str:
    """Returns what the user was asked, and what came of it."""
    if answered.by == "withdrawn":
        return f"You were asked, and the agent was stopped meanwhile: {answered.question}"
    if answered.by == "user":
        return f"You were asked: {answered.question} → {answered.answer}"
    return f"Assumed, as {answered.reason or 'nobody answered'}: {answered.question} → {answered.answer}"


def _confined(confinement: dict[str, Any]) -> str:
    """Returns in a few words what is kept from agents, by what, and what is limited."""
    if not confinement:
        return ""
    limits = confinement.get("limits") or {}
    holds = [str(part) for part in confinement.get("holds") or () if part not in limits]
    if "network" in holds and confinement.get("net"):
        open_to = ", ".join(str(host) for host in confinement["net"])
        holds[holds.index("network")] = f"network (but {open_to})"
    kept = f"{confinement.get('mode', 'none')}: {', '.join(holds) or 'nothing'} kept from agents"
    return "; ".join([kept, *([f"at most {', '.join(_amounts(limits))}"] if limits else [])])


def _amounts(limits: dict[str, Any]) -> Iterator[str]:
    for name, amount in limits.items():
        yield f"{amount} {name}"


def _wait(agent: AgentState, event: ev.Waiting) -> None:
    if event.call is None:
        agent.waiting = "" if event.seconds == 0 else event.reason
        agent.waiting_text = "" if event.seconds == 0 else event.text
    elif event.seconds == 0:
        agent.held.pop(event.call, None)
        agent.held_text.pop(event.call, None)
    else:
        agent.held[event.call] = event.reason
        agent.held_text[event.call] = event.text


def _placed(description: dict[str, Any] | None, place: str | None) -> dict[str, Any] | None:
    """Adds to a description where the value is held; what the agent's kernel may have said of that is not believed."""
    if description is None:
        return None
    known = {name: part for name, part in description.items() if name != "place"}
    return {**known, "place": place} if place in _PLACES else known


def _why_ended(event: ev.KernelEnded) -> str:
    """Returns that a kernel is gone, why, and what is left of it."""
    lost = ", ".join(f"`{name:.60}`" for name in event.lost[:10])
    more = f" and {len(event.lost) - 10:,} more" if len(event.lost) > 10 else ""  # noqa: PLR2004 - as above
    gone = f" Gone with it: {lost}{more}." if lost else ""
    if event.kernels is not None:
        return (
            f"Kernel ended: those of the newest {event.kernels:,} sub-agents stay (`kept_kernels`).{gone} Its other "
            "variables are still there, and a cell that is run in it starts a new kernel with them."
        )
    return (
        f"Kernel ended to free memory: it held {event.bytes / 1e6:,.0f} MB, and `kernel_memory` allows "
        f"{event.limit / 1e6:,.0f} MB for the kernels of agents that have ended.{gone}"
    )


def _code(agent: AgentState, event: ev.CodeStarted | ev.CodeOutput | ev.CodeFinished) -> None:
    if isinstance(event, ev.CodeStarted):
        agent.pending_code, agent.waiting = None, ""
        cell = CellState(cell=event.cell, code=event.code, started=event.time)
        if agent.turns:
            agent.turns[-1].cells.append(cell)
        elif event.turn == 0:
            agent.look = cell
        return
    found = agent.cell(event.cell)
    if found is None:
        return
    if isinstance(event, ev.CodeOutput):
        found.output = (found.output + event.text)[-_STREAM_TAIL:]
        return
    found.status, found.output, found.cut = event.status, event.output, event.cut
    found.error, found.seconds, found.pictures = event.error, event.seconds, event.pictures


def _mapped(agent: AgentState, event: ev.RowsMapped | ev.FunctionWritten) -> None:
    agent.mapping = state = agent.mapping or MapState()
    if isinstance(event, ev.FunctionWritten):
        state.function = event.source
        return
    state.noun, state.total, state.done, state.failed = event.noun, event.total, event.done, event.failed
    state.rate, state.seconds_left, state.counts = event.rate, event.seconds_left, event.counts


def _tool(agent: AgentState, event: ev.ToolCalled) -> None:
    key = event.name if event.server is None else f"{event.server}.{event.name}"
    tool = agent.tools.setdefault(key, ToolState(event.name, event.server))
    tool.calls += 1
    tool.seconds += event.seconds
    if not event.ok:
        tool.failed += 1
        tool.error = event.error
    turn = next((turn for turn in reversed(agent.turns) if turn.turn == event.turn), None)
    if turn is not None:
        turn.tools_called += 1
        turn.tool_calls.append(ToolCallState(key, event.seconds, event.ok, event.error))
        del turn.tool_calls[:-TOOL_CALLS]


def _query(agent: AgentState, event: ev.TableQueried) -> None:
    turn = next((turn for turn in reversed(agent.turns) if turn.turn == event.turn), None)
    if turn is not None:
        turn.tools_called += 1
        asked = f"{event.table or 'database'}: {event.text}"
        turn.tool_calls.append(ToolCallState(asked, event.seconds, event.ok, event.error, True, event.rows))
        del turn.tool_calls[:-TOOL_CALLS]
