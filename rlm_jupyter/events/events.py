"""The events of a run: what happened, in order. The log, the tree, the text, the cost are functions of them.

Every event has the run's id, the agent's id (``""`` for the run itself), a number that grows by one, and
the time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

# Under these names they are events like those below.
from rlm_jupyter.events.branch_events import BranchEvent as BranchEvent  # noqa: PLC0414
from rlm_jupyter.events.branch_events import BranchFinished as BranchFinished  # noqa: PLC0414
from rlm_jupyter.events.branch_events import BranchStarted as BranchStarted  # noqa: PLC0414
from rlm_jupyter.events.completion_events import PromptSent as PromptSent  # noqa: PLC0414
from rlm_jupyter.events.completion_events import Purpose as Purpose  # noqa: PLC0414
from rlm_jupyter.events.completion_events import ReplyDelta as ReplyDelta  # noqa: PLC0414
from rlm_jupyter.events.completion_events import ReplyFailed as ReplyFailed  # noqa: PLC0414
from rlm_jupyter.events.completion_events import ReplyFinished as ReplyFinished  # noqa: PLC0414
from rlm_jupyter.events.event_base import Description as Description  # noqa: PLC0414
from rlm_jupyter.events.event_base import Event as Event  # noqa: PLC0414

_MAX_PICTURE = 300_000
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

SCHEMA_VERSION = 1
"""Of the log; raised when an old reader would misread a new log."""

RunStatus = Literal["running", "done", "failed", "stopped", "limit"]
"""`limit`: ended by a limit, with what there was."""

CellStatus = Literal["running", "ok", "error", "interrupted", "timeout", "died"]

WaitReason = Literal[
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
]
"""What is waited for: that a provider which refused, failed, was silent or lost, answered with nothing of use, or
gave a reason of its own, is asked again; what other requests have reserved; a place among the requests in flight, or
at the model's server; that the server has read the prompt; a kernel; the user's Next; the reply that a person
writes in the place of a model."""

Place = Literal["memory", "disk", "shared"]
"""Of a value's bytes: a memory file, a file that is gone with the run, or the notebook's data that all agents see."""


class RunStarted(Event):
    """A question was asked."""

    kind: Literal["run_started"] = "run_started"
    version: int = SCHEMA_VERSION
    question: str
    model: str
    sub_model: str
    scripted: bool
    """Whether the model is a stand-in and no language model."""
    provenance: str | None = None
    """Where the answers come from, when that must be said on the run's face."""
    limits: dict[str, Any]
    context: Description | None
    context_names: tuple[str, ...] = ()
    sandbox: str = ""
    step: bool = False
    continues: str | None = None
    """The id of the run whose root kernel and chat it goes on with."""
    resumes: str | None = None
    """The id of the run whose record it goes through again, in kernels of its own."""
    branch: str | None = None
    """Where and how it leaves that record; None if it goes on where the record ends."""
    samples: dict[str, Any] | None = None
    """How many agents answer the question, and when their answers count as the same; None for one agent."""
    verify: bool = False
    """Whether answers that differ are reconciled."""
    plain: bool | Literal["passages"] = False
    """Whether it is one plain completion with the data in its prompt, or passages of it."""
    hidden: tuple[str, ...] = ()
    """Columns of whose values models see tokens alone."""
    strong_model: str | None = None
    """The model that agents ask after failed turns in a row."""
    identity: str = ""
    """A hash over what determines the run: `rlm_jupyter.run_setup.run_identity`; empty in older logs."""
    identity_parts: dict[str, str] = Field(default_factory=dict)
    """The same for each part: prompt, question, data, models, settings, limits, package, libraries."""


class CellPicture(BaseModel):
    """A figure or image that a cell has shown, or that is in the answer: a small PNG file that this process wrote."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    summary: str
    """The line that the model reads in its place."""
    width: int
    height: int
    png: str
    """Base64; empty if the run has shown too many, or if a log has something else here."""

    @field_validator("png")
    @classmethod
    def _is_base64(cls, png: str) -> str:
        return png if len(png) <= _MAX_PICTURE and _BASE64.fullmatch(png) else ""


class RunEstimated(Event):
    """What the run will cost and take, from the logs of runs alike.

    Half of them took at most the first figure of each pair, nine of ten the second one.
    """

    kind: Literal["run_estimated"] = "run_estimated"
    runs: int
    """How many runs alike there are."""
    cost: tuple[float, float] | None = None
    """USD; None if the price is not known."""
    tokens: tuple[float, float] | None = None
    seconds: tuple[float, float] | None = None
    why: str = ""
    """What it rests on, in a line."""


class RunFinished(Event):
    """The run ended; nothing follows but commands on what is left."""

    kind: Literal["run_finished"] = "run_finished"
    status: RunStatus
    value: Description | None = None
    excerpt: dict[str, Any] | None = None
    """A bounded part of the value, as `rlm_jupyter.values.excerpt` makes it; None if it was not decoded."""
    pictures: tuple[CellPicture, ...] = ()
    """Of the charts in the excerpt."""
    error: str | None = None
    error_type: str | None = None


class AgentStarted(Event):
    """An agent was admitted; its kernel may still be starting."""

    kind: Literal["agent_started"] = "agent_started"
    parent: str | None
    depth: int
    question: str
    name: str | None = None
    model: str
    context: Description | None = None
    place: Place | None = None
    """Where its data lies; None if it has none."""
    tools: tuple[str, ...] = ()
    """Functions that its code may call besides the words."""
    mcp: tuple[str, ...] = ()
    """MCP servers that its code may ask."""
    sample: int | None = None
    """Which of the samples of the run's question it is; None if it is none."""


class KernelStarted(Event):
    """An agent's kernel is up."""

    kind: Literal["kernel_started"] = "kernel_started"
    pid: int | None = None
    """Of its process; None if it runs elsewhere."""
    confinement: dict[str, Any] = Field(default_factory=dict)
    """What holds of its box: `mode`, `holds`, `limits`, `net`, `read` and `missing`."""
    seconds: float
    """From asking for it until its data was loaded."""
    way: str = ""
    """How the kernel of a branch came to its variables: `CHECKPOINT` or `CELLS_RUN_AGAIN`; empty for other kernels."""
    checkpoint: int | None = None
    """The turn of the other run after which the checkpoint was taken."""


class KernelEnded(Event):
    """The kernel of an agent that had ended was ended too: all of these held too much memory, or were too many."""

    kind: Literal["kernel_ended"] = "kernel_ended"
    bytes: int
    """What it held alone."""
    held: int = 0
    """What the kernels of all ended agents held together; 0 if memory was not the reason."""
    limit: int = 0
    """For these; the setting `kernel_memory`."""
    kernels: int | None = None
    """How many kernels of sub-agents stay, if there were more; the setting `kept_kernels`."""
    saved: tuple[str, ...] = ()
    """Variables that were saved and can still be pulled."""
    lost: tuple[str, ...] = ()
    """Variables that are gone: too large, or without a form that is data alone."""


class AgentFinished(Event):
    """An agent ended."""

    kind: Literal["agent_finished"] = "agent_finished"
    status: RunStatus
    value: Description | None = None
    error: str | None = None


class CodeStarted(Event):
    """A cell runs in the agent's kernel."""

    kind: Literal["code_started"] = "code_started"
    cell: int
    turn: int
    code: str


class CodeOutput(Event):
    """A piece of a cell's output as it comes; shown, not logged (what the model is shown follows)."""

    kind: Literal["code_output"] = "code_output"
    cell: int
    stream: str
    text: str


class CodeFinished(Event):
    """A cell ended."""

    kind: Literal["code_finished"] = "code_finished"
    cell: int
    status: CellStatus
    output: str
    """Head and tail of what it printed and showed, as the model sees it."""
    cut: int = 0
    """Characters that were left out of `output`."""
    error: str | None = None
    seconds: float
    pictures: tuple[CellPicture, ...] = ()
    """What it showed beside the text; no prompt has them."""


class VariablesChanged(Event):
    """What is defined in an agent's kernel changed."""

    kind: Literal["variables_changed"] = "variables_changed"
    turn: int
    variables: tuple[dict[str, Any], ...]
    """Descriptions, each with its `name`."""
    removed: tuple[str, ...] = ()


class ValueReturned(Event):
    """`FINAL` was called and its value accepted."""

    kind: Literal["value_returned"] = "value_returned"
    description: Description
    bytes: int
    place: Place = "memory"
    """Where its bytes lie."""


class ValuesHeld(Event):
    """What the run's values take has changed by more than a little; each is counted once however many have it."""

    kind: Literal["values_held"] = "values_held"
    memory: int
    """Bytes in memory files."""
    disk: int
    """Bytes that moved to disk, because there was no room below the limit."""
    shared: int
    """Bytes of the notebook's own data, which all agents see."""
    limit: int
    """For `memory`; the setting `value_memory`."""


class ValueRejected(Event):
    """`FINAL` was called and its value sent back."""

    kind: Literal["value_rejected"] = "value_rejected"
    reason: str


class RowsMapped(Event):
    """How far one question for each row of a table is."""

    kind: Literal["rows_mapped"] = "rows_mapped"
    noun: str
    """What one item is called: a row, or a group."""
    total: int
    done: int
    failed: int
    """Of those done, how many have an error in the place of an answer."""
    rate: float | None = None
    """Items in a second; None if that is not known yet."""
    seconds_left: float | None = None
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Of flags and choices: how often each value came, the most frequent first."""


class FunctionWritten(Event):
    """After the sample of a map, the model wrote a function, which was tried on rows that it had not seen."""

    kind: Literal["function_written"] = "function_written"
    source: str
    agreed: int
    compared: int
    offered: bool
    """Whether it agrees often enough to do the rest."""


class ToolCalled(Event):
    """An agent's code called what runs in the notebook: a host tool, or an MCP server."""

    kind: Literal["tool_called"] = "tool_called"
    name: str
    """Of the tool; of the request, where a server was asked for something else (`list_tools`)."""
    server: str | None = None
    """The MCP server; None for a host tool."""
    turn: int
    seconds: float
    ok: bool
    error: str | None = None


class TableQueried(Event):
    """An agent's code asked a database by a handle."""

    kind: Literal["table_queried"] = "table_queried"
    source: str
    """The database, as descriptions name it."""
    table: str | None = None
    """Of the handle; None for that of a whole database."""
    text: str
    """What was asked, as the agent wrote it."""
    turn: int
    rows: int | None = None
    """Of the result; None where it is not a table."""
    seconds: float
    ok: bool
    error: str | None = None


class ConnectionMade(Event):
    """An agent's code connected to a host, or was refused; what went over it is not known to us."""

    kind: Literal["connection"] = "connection"
    host: str
    port: int
    """0 where only the name was looked up."""
    ok: bool
    error: str | None = None


class Waiting(Event):
    """An agent waits for something outside of it; `seconds` 0 says that the wait is over."""

    kind: Literal["waiting"] = "waiting"
    reason: WaitReason
    seconds: float | None
    """How long it will be, at least; None if that is not known."""
    text: str = ""
    call: int | None = None
    """The completion that is sent again after it, or whose prompt is read; None if it is the agent that waits."""


class QuestionAsked(Event):
    """An agent's code asks the user, by `ask_user`, and waits for the answer."""

    kind: Literal["question_asked"] = "question_asked"
    number: int
    """Counts the run's questions from 1."""
    question: str
    options: tuple[str, ...] = ()
    """What may be chosen from; empty if the answer is a text."""
    default: str
    """What is taken if nobody answers."""
    seconds: float
    """How long an answer is waited for."""


class QuestionAnswered(Event):
    """What an agent's code asked the user has an answer: the user's, or its default, which is then an assumption."""

    kind: Literal["question_answered"] = "question_answered"
    number: int
    question: str
    options: tuple[str, ...] = ()
    answer: str
    """As it is shown."""
    option: int | None = None
    """The number of the option that it is, from 0."""
    by: Literal["user", "default", "withdrawn"]
    """`withdrawn`: the code that asked was stopped."""
    reason: str = ""
    """Why the default was taken."""


class StepPending(Event):
    """In step mode: this code waits for `Next`."""

    kind: Literal["step_pending"] = "step_pending"
    cell: int
    code: str


CHECKPOINT, CELLS_RUN_AGAIN = "checkpoint", "cells run again"
KERNEL_REPLACED = "The kernel was replaced; its variables are gone."
"""The text of the notice that an agent's kernel is another one from here on."""


class Notice(Event):
    """Something the user should know."""

    kind: Literal["notice"] = "notice"
    text: str


ProofVerdict = Literal["reproduced", "differs", "failed", "not tried"]
"""Whether the code behind an answer gives its value: it does, it gives another, it gives none, or nobody knows."""


class CodeProved(Event):
    """The code behind the answer was run again, and what it gives compared with the run's value."""

    kind: Literal["code_proved"] = "code_proved"
    verdict: ProofVerdict
    detail: str = ""
    """What differs, or why it gave nothing or was not tried, in a line."""
    statements: int
    """Of the agents' code that it keeps."""
    characters: int
    """Of its code, without recorded answers."""
    of_characters: int
    """Of all code that the agents ran."""
    recorded: int = 0
    """Answers of plain completions that it holds."""
    looks: dict[str, Any] | None = None
    """What functions of a first look found out about the data, so that the code has them in a few lines."""


class SamplesCompared(Event):
    """The samples of the question have answered, and their answers were compared."""

    kind: Literal["samples_compared"] = "samples_compared"
    asked: int
    """Samples that were asked for."""
    ran: int
    """Those that were begun."""
    answered: int
    """Those that gave an answer."""
    agreeing: int
    """Those whose answer is the run's."""
    answering: str
    """The id of the agent whose answer is the run's."""
    own: bool = False
    """Whether that is an answer of the reconciling agent's own, which no sample gave."""
    verified: bool = False
    """Whether an agent reconciled them."""
    why: str = ""
    """What that agent says of its check."""
    check: str = ""
    """What its check gave, shortened."""
    columns: tuple[str, ...] = ()
    """Heads of the table of differences: the place, and a name for each of the answers that differ."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Where the answers differ: the place, and what each has there."""
    more: int = 0
    """Rows that are left out."""


class Command(Event):
    """The user did something: stop, pull, exec, next, raise a limit."""

    kind: Literal["command"] = "command"
    name: str
    detail: str = ""


AnyEvent = Annotated[
    RunStarted
    | RunEstimated
    | RunFinished
    | AgentStarted
    | KernelStarted
    | KernelEnded
    | AgentFinished
    | PromptSent
    | ReplyDelta
    | ReplyFinished
    | ReplyFailed
    | CodeStarted
    | CodeOutput
    | CodeFinished
    | VariablesChanged
    | ValueReturned
    | ValuesHeld
    | ValueRejected
    | RowsMapped
    | FunctionWritten
    | ToolCalled
    | TableQueried
    | ConnectionMade
    | Waiting
    | QuestionAsked
    | QuestionAnswered
    | StepPending
    | Notice
    | CodeProved
    | SamplesCompared
    | BranchStarted
    | BranchFinished
    | BranchEvent
    | Command,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)

PASSING = (ReplyDelta, CodeOutput, BranchEvent)
"""Events that are shown as they come and not logged: a later event, or another log, holds the whole."""


def parse_event(line: str | bytes) -> AnyEvent:
    """Read one line of a log.

    Raises:
        pydantic.ValidationError: it is not an event.
    """
    return _ADAPTER.validate_json(line)
