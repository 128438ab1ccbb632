"""What is known of one agent: its turns, their cells, its completions, its variables; a row of the tree.

Plain records: `rlm_jupyter.events.tree_state` folds events into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rlm_jupyter.events import events as ev

Activity = Literal["", "model", "code", "children", "question"] | ev.WaitReason
"""What a running agent is doing or waiting for."""

TOOL_CALLS = 100
"""Calls of tools that are kept of one turn; code may call in a loop."""

_QUEUED = ("budget", "concurrency")


@dataclass
class CellState:
    """One cell: code that ran in an agent's kernel."""

    cell: int
    code: str
    started: float
    status: ev.CellStatus = "running"
    output: str = ""
    cut: int = 0
    error: str | None = None
    seconds: float | None = None
    pictures: tuple[ev.CellPicture, ...] = ()


@dataclass
class CallState:
    """One completion: a turn's reply, or a plain call of the agent's code."""

    call: int
    purpose: ev.Purpose
    turn: int
    model: str
    started: float
    start: int = 0
    messages: tuple[dict[str, str], ...] = ()
    data_tokens: int = 0
    """Tokens of data that left with it."""
    status: Literal["running", "done", "failed"] = "running"
    text: str = ""
    error: str | None = None
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = 0.0
    estimated: bool = False
    cached: bool = False
    attempts: int = 1
    seconds: float | None = None


@dataclass
class ToolCallState:
    """One call of a tool that runs in the notebook, or of an MCP server's; or one query of a database."""

    name: str
    """Under which the views show it: `server.name` for a server's."""
    seconds: float
    ok: bool
    error: str | None = None
    query: bool = False
    """Whether it is a query of a database, and `name` the table and the text."""
    rows: int | None = None
    """Of a query's result."""


@dataclass
class TurnState:
    """One reply of the model and its execution."""

    turn: int
    call: CallState
    cells: list[CellState] = field(default_factory=list)
    tool_calls: list[ToolCallState] = field(default_factory=list)
    """What its code called in the notebook, the newest `TOOL_CALLS`."""
    tools_called: int = 0
    """How many calls there were."""


@dataclass
class ToolState:
    """What an agent's code called of one tool that runs in the notebook, or of one MCP server's."""

    name: str
    server: str | None = None
    calls: int = 0
    failed: int = 0
    seconds: float = 0.0
    error: str | None = None
    """Of the newest call that failed."""


@dataclass
class MapState:
    """How far one question for each row of a table is: the newest `RowsMapped`, and what was written instead."""

    noun: str = "row"
    total: int = 0
    done: int = 0
    failed: int = 0
    rate: float | None = None
    seconds_left: float | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    function: str | None = None
    """The source of a function that does the same, if the model wrote one."""


@dataclass(frozen=True)
class EstimateState:
    """What a run was expected to cost and take: what half, and what nine of ten, of runs alike took at most."""

    runs: int
    cost: tuple[float, float] | None
    tokens: tuple[float, float] | None
    seconds: tuple[float, float] | None
    why: str


@dataclass(frozen=True)
class UserQuestionState:
    """What an agent's code asks the user, as long as it waits for the answer."""

    agent: str
    number: int
    question: str
    options: tuple[str, ...]
    default: str
    until: float
    """Seconds since the epoch: then the default is taken."""


@dataclass(frozen=True)
class UserAnswerState:
    """What an agent's code asked the user, with the answer or what was assumed instead."""

    agent: str
    question: str
    options: tuple[str, ...]
    answer: str
    option: int | None
    by: Literal["user", "default", "withdrawn"]
    reason: str


@dataclass(frozen=True)
class BranchState:
    """A run that leaves this one at a turn: what this run's log tells of it."""

    run: str
    agent: str
    turn: int
    change: Literal["code", "observation"]
    log: str | None
    """The name of its log."""
    started: float
    seq: int
    """Of the event that told of its start."""
    status: ev.RunStatus = "running"
    finished: float | None = None
    agents: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    value: dict[str, Any] | None = None
    error: str | None = None


@dataclass
class AgentState:
    """One agent: a row of the tree and all that its page shows."""

    id: str
    parent: str | None
    depth: int
    question: str
    model: str
    started: float
    name: str | None = None
    sample: int | None = None
    """Which of the samples of the run's question it is; None if it is none."""
    context: dict[str, Any] | None = None
    """Its data; with a `place` where that is known, as have `value` and `variables`."""
    status: ev.RunStatus = "running"
    waiting: Activity = ""
    waiting_text: str = ""
    """What is said of that, where it is more than its name."""
    finished: float | None = None
    look: CellState | None = None
    """The first look at its data that was run before its first turn, where its model is a small one."""
    turns: list[TurnState] = field(default_factory=list)
    calls: list[CallState] = field(default_factory=list)
    """Completions besides its turns: those its code asked for, and summaries of old turns."""
    handed: tuple[str, ...] = ()
    """Tools that it was handed, and MCP servers."""
    tools: dict[str, ToolState] = field(default_factory=dict)
    """What it called in the notebook: a host tool under its name, one of a server under `server.name`."""
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    value: dict[str, Any] | None = None
    error: str | None = None
    notices: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    pending_code: str | None = None
    asks_user: int | None = None
    """The number of the question to the user for whose answer its code waits."""
    kernel_ended: str | None = None
    """Why its kernel is gone, where that was ended to free memory."""
    in_flight: int = 0
    """Completions that have no reply yet."""
    held: dict[int, ev.WaitReason] = field(default_factory=dict)
    """Of these, the numbers of those that wait to be sent again, or to be read, and why."""
    held_text: dict[int, str] = field(default_factory=dict)
    """What is said of these waits: about how long it takes to read a prompt."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    """USD of its own completions; None as soon as one of them is not known."""
    mapping: MapState | None = None
    """How far it is, if it asks one question for each row of a table."""
    seq: int = 0
    """Of the last event that changed it: a view compares it with what it has shown."""
    branch: str = ""
    """The id of the branch that it belongs to, in a tree that is drawn with branches; else empty."""

    @property
    def waits_for(self) -> Activity:
        """What it waits for; nothing where a completion of its is being served meanwhile."""
        if self.asks_user is not None:
            return "question"
        if self.waiting and not (self.waiting in _QUEUED and self.in_flight):
            return self.waiting
        if self.held and len(self.held) >= self.in_flight:
            return next(reversed(self.held.values()))
        return ""

    @property
    def wait_text(self) -> str:
        """What is said of what it waits for; empty where that is only named."""
        if self.status != "running" or self.waits_for not in ("reading", "step"):
            return ""
        if self.waits_for == "step":
            return self.waiting_text
        return self.held_text.get(next(reversed(self.held), 0), "")

    def cell(self, number: int) -> CellState | None:
        """Find a cell by its number, the newest turn first."""
        for turn in reversed(self.turns):
            for cell in reversed(turn.cells):
                if cell.cell == number:
                    return cell
        return self.look if self.look is not None and self.look.cell == number else None

    @property
    def cells(self) -> int:
        """How many cells it ran."""
        return sum(len(turn.cells) for turn in self.turns)
