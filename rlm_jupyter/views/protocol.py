"""The messages between the widget's Python and its JavaScript side, declared once.

`js/src/state/protocol.ts` is generated from this file, `replay_protocol.py` and `command_protocol.py` by
`make protocol`; a test compares them. Both directions are JSON in custom messages of the widget. Times are seconds
since the epoch, durations are seconds, money is USD; None is "not known" (money) or "still running" (durations).
The docstring below a field becomes its comment in TypeScript.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from rlm_jupyter.views.card_protocol import Card, CardPicture
from rlm_jupyter.views.code_protocol import CodeMessage
from rlm_jupyter.views.replay_protocol import OutlineMessage, Replay

Status = Literal["running", "done", "failed", "stopped", "limit"]

Waiting = Literal[
    "rate_limit",
    "server_error",
    "connection",
    "bad_reply",
    "provider",
    "budget",
    "concurrency",
    "reading",
    "kernel",
    "step",
    "reply",
    "question",
]
"""What an agent waits for, besides the model and its own code."""

Activity = Literal["model", "code", "children", Waiting, ""]

Level = Literal["all", "redacted", "structure"]
"""How much of a run a file of it has: all, no data, or no text at all."""

SpanKind = Literal["model", "code", "wait"]

Span = tuple[SpanKind, float, float | None]
"""One stretch of an agent's life: kind, start and end; the end is None while it lasts."""


class Places(TypedDict):
    """Bytes of a run's values by where they are held."""

    memory: NotRequired[int | None]
    disk: NotRequired[int | None]
    shared: NotRequired[int | None]
    limit: NotRequired[int | None]
    """Bytes held in memory at most; values above it are written to disk."""


class Proof(TypedDict):
    """What came of the proof of the code behind an answer."""

    verdict: Literal["reproduced", "differs", "failed", "not tried"]
    detail: str
    """What differs, or why it failed or was not tried, in one line; may be empty."""
    recorded: int
    """Answers of plain completions that the code holds."""


class UserQuestion(TypedDict):
    """What an agent's code asks the user."""

    agent: str
    number: int
    question: str
    options: list[str]
    """What may be chosen from; empty if the answer is a text."""
    default: str
    """What is taken if nobody answers."""
    until: float | None
    """When it is taken."""


class Run(TypedDict):
    """The header of a run."""

    id: str
    question: str
    status: Status
    model: str | None
    sub_model: str | None
    scripted: bool
    started: float | None
    elapsed: float | None
    cost: float | None
    cost_limit: float | None
    input_tokens: int
    output_tokens: int
    token_limit: int | None
    calls: int
    call_limit: int | None
    agents: int
    depth: int
    in_flight: int
    context_bytes: int | None
    context_summary: str | None
    seen_tokens: int | None
    data_tokens: int
    """Tokens of data that were sent."""
    exposure_limit: int | None
    hidden: list[str]
    """Columns of whose values models see tokens alone."""
    sandbox: str | None
    values: Places | None
    value: str | None
    proof: Proof | None
    """Of the code behind the answer; null before somebody asked for it."""
    card: Card | None
    error: str | None
    notices: list[str]
    expected: str | None
    """What it will cost and take, from runs alike, in a line; null if that is not known, and when it has ended."""
    asked: UserQuestion | None
    """Of the user, as long as an answer is waited for."""
    provenance: str | None
    clicks: bool
    """False: clicks arrive only after the cell has ended."""
    step: bool
    paused: bool
    branches: bool
    """Whether a branch can be started from a turn of it."""
    saved: Level | None
    """Of a page that was saved as a file: no kernel answers there, and times stand still."""
    replay: Replay | None
    """Where an earlier moment is shown: times stand still, and nothing can be asked of the kernels."""


RUN_DEFAULTS: Run = {
    "id": "",
    "question": "",
    "status": "running",
    "model": None,
    "sub_model": None,
    "scripted": False,
    "started": None,
    "elapsed": None,
    "cost": None,
    "cost_limit": None,
    "input_tokens": 0,
    "output_tokens": 0,
    "token_limit": None,
    "calls": 0,
    "call_limit": None,
    "agents": 0,
    "depth": 0,
    "in_flight": 0,
    "context_bytes": None,
    "context_summary": None,
    "seen_tokens": None,
    "data_tokens": 0,
    "exposure_limit": None,
    "hidden": [],
    "sandbox": None,
    "values": None,
    "value": None,
    "proof": None,
    "card": None,
    "error": None,
    "notices": [],
    "expected": None,
    "asked": None,
    "provenance": None,
    "clicks": True,
    "step": False,
    "paused": False,
    "branches": False,
    "saved": None,
    "replay": None,
}
"""The header before the first snapshot."""


class Agent(TypedDict):
    """One agent's row."""

    id: str
    parent: str | None
    depth: int
    question: str
    name: str | None
    status: Status
    activity: Activity
    wait: str | None
    """What is said of what it waits for, where that is more than its name: how long a prompt is read."""
    model: str | None
    turns: int
    cells: int
    sub_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    cost_total: float | None
    """Its cost and that of all agents below it."""
    started: float | None
    elapsed: float | None
    value: str | None
    error: str | None
    variables: int
    rev: int
    pending_code: str | None
    """The cell that waits for `next` in step mode."""
    spans: list[Span] | None
    """What the timeline draws; without it a lane is one bar."""
    branch: str | None
    """The run that it belongs to, where that is a branch of the one that is shown."""


AGENT_DEFAULTS: Agent = {
    "id": "",
    "parent": None,
    "depth": 0,
    "question": "",
    "name": None,
    "status": "running",
    "activity": "",
    "wait": None,
    "model": None,
    "turns": 0,
    "cells": 0,
    "sub_calls": 0,
    "tool_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cost": None,
    "cost_total": None,
    "started": None,
    "elapsed": None,
    "value": None,
    "error": None,
    "variables": 0,
    "rev": 0,
    "pending_code": None,
    "spans": None,
    "branch": None,
}
"""The value of each field that a row leaves out."""

ALWAYS_SENT = frozenset({"id", "parent", "depth", "question", "model", "started", "rev"})
"""The fields of a new agent's row that are sent even if they have their default."""


class Item(TypedDict):
    """A part of a container."""

    key: NotRequired[str | None]
    """The key of a dict's item; None for a list's."""
    type: NotRequired[str]
    bytes: NotRequired[int | None]
    summary: NotRequired[str]


class Column(TypedDict):
    """A column of a table."""

    name: str
    dtype: NotRequired[str]
    nulls: NotRequired[int | None]


Place = Literal["memory", "disk", "shared"]


class Description(TypedDict):
    """What is shown of a value: made and bounded by the kernel that holds it, checked here."""

    type: NotRequired[str]
    summary: NotRequired[str]
    bytes: NotRequired[int | None]
    shape: NotRequired[list[int | None] | None]
    length: NotRequired[int | None]
    columns: NotRequired[list[Column]]
    rows: NotRequired[list[list[Any]]]
    preview: NotRequired[str]
    items: NotRequired[list[Item]]
    truncated: NotRequired[bool]
    thumbnail: NotRequired[CardPicture]
    """Of a chart that a cell has shown, or that is the answer."""
    turn: NotRequired[int | None]
    """The turn that made it."""
    place: NotRequired[Place | None]
    free_name: NotRequired[str | None]
    """A name under which the notebook can be given it without overwriting another."""


class Variable(Description):
    """A variable of an agent's kernel."""

    name: str


CellStatus = Literal["running", "ok", "error", "interrupted", "timeout", "died"]


class Picture(TypedDict):
    """A figure or image that a cell has shown."""

    summary: str
    width: int
    height: int
    png: str
    """Base64; empty if there is no room for it."""


class Cell(TypedDict):
    """A cell that an agent ran."""

    cell: int
    code: str
    output: str
    cut: int
    """Characters of the output that the kernel did not send."""
    status: CellStatus
    error: str | None
    seconds: float | None
    pictures: NotRequired[list[Picture]]


class ToolCall(TypedDict):
    """A call of a tool or an MCP server."""

    name: str
    seconds: float | None
    ok: bool
    error: NotRequired[str | None]


class TurnBranch(TypedDict):
    """A branch that leaves a run at a turn."""

    agent: str
    """Its row in the tree."""
    title: str


class Turn(TypedDict):
    """One reply of the model and the cells in it."""

    turn: int
    sent_chars: int
    reply: str
    cells: list[Cell]
    shortened: int
    """Characters of this turn that this message leaves out; `open` with its number sends it whole."""
    tool_calls: list[ToolCall]
    """The newest ones."""
    tools_called: int
    """How many there were in all."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    model: str | None
    finish_reason: str | None
    cached: bool
    estimated: bool
    """The provider reported no tokens."""
    started: float | None
    seconds: float | None
    streaming: bool
    error: str | None
    """Why there is no reply."""
    branches: NotRequired[list[TurnBranch]]
    """Runs that leave this one at this turn."""


class SubCall(TypedDict):
    """A plain completion that an agent's code asked for."""

    call: str | int
    prompt: str
    reply: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None
    status: str
    purpose: str | None
    """`llm_query`, `repair`, `fallback` (a sub-agent at the depth limit), `summary` (of old turns)."""
    cached: bool
    estimated: bool


class Omitted(TypedDict):
    """How many entries were left out, the oldest first, because a page is bounded."""

    turns: NotRequired[int]
    sub_calls: NotRequired[int]
    variables: NotRequired[int]


class Detail(TypedDict):
    """An agent's page."""

    question: str
    context: Description | None
    tools: list[str]
    """The tools and servers that its code may call."""
    look: Cell | None
    """The first look at its data that was run before its first turn, for a small model."""
    turns: list[Turn]
    sub_calls: list[SubCall]
    variables: list[Variable]
    notices: list[str]
    value: Description | None
    error: str | None
    cut: Omitted


class PromptMessage(TypedDict):
    """One message of a prompt."""

    role: str
    content: str


# ---- from Python to the page


class SnapshotMessage(TypedDict):
    """All that was sent so far; one that is too large comes in `parts` messages of the same `seq`."""

    kind: Literal["snapshot"]
    seq: int
    part: NotRequired[int]
    parts: NotRequired[int]
    run: dict[str, Any]
    """Partial<Run>"""
    agents: dict[str, dict[str, Any]]
    """Record<string, Partial<Agent>>"""


class PatchMessage(TypedDict):
    """What changed since the patch before it."""

    kind: Literal["patch"]
    seq: int
    run: NotRequired[dict[str, Any]]
    """Partial<Run>"""
    agents: NotRequired[dict[str, dict[str, Any]]]
    """Record<string, Partial<Agent>>"""
    gone: NotRequired[list[str]]
    """Agents that have not begun at the moment that is shown now."""
    back: NotRequired[list[str]]
    """Of those, agents that have begun again: as they were told last, but for what `agents` says."""


class DetailMessage(TypedDict):
    """The answer to `open`."""

    kind: Literal["detail"]
    request: str
    agent: str
    detail: Detail


class PromptAnswer(TypedDict):
    """The answer to `prompt`."""

    kind: Literal["prompt"]
    request: str
    agent: str
    messages: list[PromptMessage]


class OkMessage(TypedDict):
    """A command was carried out."""

    kind: Literal["ok"]
    request: str
    message: NotRequired[str | None]
    output: NotRequired[str | None]
    """What a cell printed."""
    status: NotRequired[str]
    """How a cell ended."""


class ErrorMessage(TypedDict):
    """A command was not carried out."""

    kind: Literal["error"]
    request: str
    message: str
    reason: NotRequired[str | None]
    """`exists`: a pull would overwrite a name."""


Answer = DetailMessage | PromptAnswer | CodeMessage | OutlineMessage | OkMessage | ErrorMessage

Incoming = SnapshotMessage | PatchMessage | Answer
