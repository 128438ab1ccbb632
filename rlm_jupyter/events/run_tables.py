"""The tables of a run: a row for the run, each agent, turn, completion and variable; each column declared once.

A column has its name, its kind, what it means, and how it is read from the tree. The frames of pandas
(`rlm_jupyter.events.table_frames`) and the page `docs/frames.md` are made from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events.agreement import Agreement
from rlm_jupyter.events.tree_state import AgentState, CallState, TreeState, TurnState

Kind = Literal["text", "integer", "number", "time", "flag"]

DTYPES: dict[Kind, str] = {
    "text": "string",
    "integer": "Int64",
    "number": "float64",
    "time": "datetime64[us, UTC]",
    "flag": "bool",
}
"""The dtype of each kind of column in pandas; the same whatever is in it, and without any rows."""

_PREVIEW = 2000
_COLUMNS = 40
_LONGEST = 2**63

R = TypeVar("R")


@dataclass(frozen=True)
class Column(Generic[R]):
    """A column of a table.

    Attributes:
        name: of the column.
        kind: what its values are; `DTYPES` has the dtype.
        about: what it means, with its unit.
        read: returns its value for one row; anything that is not of its kind counts as missing.
    """

    name: str
    kind: Kind
    about: str
    read: Callable[[R], object]


@dataclass(frozen=True)
class _Agent:
    tree: TreeState
    agent: AgentState
    cost_total: float | None


@dataclass(frozen=True)
class _Turn:
    tree: TreeState
    agent: AgentState
    turn: TurnState


@dataclass(frozen=True)
class _Call:
    tree: TreeState
    agent: AgentState
    call: CallState


@dataclass(frozen=True)
class _Variable:
    tree: TreeState
    agent: AgentState
    name: str
    described: Mapping[str, Any]


@dataclass(frozen=True)
class Table(Generic[R]):
    """A table: what a row is, its columns, and how its rows are found in a tree."""

    about: str
    columns: tuple[Column[R], ...]
    rows: Callable[[TreeState], Iterator[R]]

    def values(self, tree: TreeState) -> dict[str, list[object]]:
        """Returns the values of each column, a row after the other."""
        rows = list(self.rows(tree))
        return {column.name: [column.read(row) for row in rows] for column in self.columns}


def table_of(name: str) -> Table[Any]:
    """Returns the table of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TABLES:
        known = ", ".join(f"`{known}`" for known in TABLES)
        raise ConfigError(f"There is no table `{name:.60}` of a run. There are {known}.")
    return TABLES[name]


# ---- how rows are found


def _runs(tree: TreeState) -> Iterator[TreeState]:
    yield tree


def _agents(tree: TreeState) -> Iterator[_Agent]:
    totals = _cost_totals(tree)
    for agent in tree.agents.values():
        yield _Agent(tree, agent, totals[agent.id])


def _cost_totals(tree: TreeState) -> dict[str, float | None]:
    """Returns what each agent and all below it have spent; None if a part of it is not known.

    An agent is a child of its parent only if that began before it, so the newest are added first.
    """
    totals = {agent.id: agent.cost for agent in tree.agents.values()}
    for agent in reversed(tree.agents.values()):
        for child in agent.children:
            total, more = totals[agent.id], totals.get(child)
            totals[agent.id] = None if total is None or more is None else total + more
    return totals


def _turns(tree: TreeState) -> Iterator[_Turn]:
    for agent in tree.agents.values():
        for turn in agent.turns:
            yield _Turn(tree, agent, turn)


def _calls(tree: TreeState) -> Iterator[_Call]:
    found = [
        _Call(tree, agent, call)
        for agent in tree.agents.values()
        for call in (*(turn.call for turn in agent.turns), *agent.calls)
    ]
    yield from sorted(found, key=lambda row: row.call.call)


def _variables(tree: TreeState) -> Iterator[_Variable]:
    for agent in tree.agents.values():
        for name, described in agent.variables.items():
            yield _Variable(tree, agent, name, described)


# ---- how values are read


def _seconds(started: float, finished: float | None) -> float | None:
    return None if finished is None else max(0.0, finished - started)


def _summary(described: object) -> object:
    return described.get("summary") if isinstance(described, Mapping) else None


def _bytes(described: object) -> object:
    return described.get("bytes") if isinstance(described, Mapping) else None


def _prompt(call: CallState) -> str:
    """Returns the messages that were sent with this completion and with none before it."""
    parts = [(str(message.get("role", "")), str(message.get("content", ""))) for message in call.messages]
    if len(parts) == 1:
        return parts[0][1]
    return "\n\n".join(f"[{role}]\n{content}" for role, content in parts)


def _joined(texts: Iterator[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _cell_status(turn: TurnState) -> str | None:
    """Returns how its cells ended: the first that did not end well, or `ok`; None if it has none."""
    if not turn.cells:
        return None
    return next((cell.status for cell in turn.cells if cell.status != "ok"), "ok")


def _shape(described: Mapping[str, Any]) -> str | None:
    shape = described.get("shape")
    if not isinstance(shape, (list, tuple)):
        return None
    return " x ".join(str(n) for n in shape[:8] if type(n) is int and abs(n) < _LONGEST)


def _column_names(described: Mapping[str, Any]) -> str | None:
    columns = described.get("columns")
    if not isinstance(columns, (list, tuple)) or not columns:
        return None
    names = (item.get("name") if isinstance(item, Mapping) else item for item in columns[:_COLUMNS])
    return ", ".join(name for name in names if isinstance(name, str))


def _preview(described: Mapping[str, Any]) -> object:
    preview = described.get("preview")
    return preview[:_PREVIEW] if isinstance(preview, str) else None


def _text(value: object) -> str | None:
    return value or None if isinstance(value, str) else None


# ---- the tables

_RUNS: tuple[Column[TreeState], ...] = (
    Column("run", "text", "The run's id.", lambda r: r.run),
    Column("question", "text", "The question, verbatim.", lambda r: r.question),
    Column(
        "status",
        "text",
        "`running`, `done`, `failed`, `stopped` or `limit` (ended by one).",
        lambda r: r.status,
    ),
    Column("model", "text", "The model of the root agent.", lambda r: r.model),
    Column("sub_model", "text", "The model of sub-agents and plain completions.", lambda r: r.sub_model),
    Column("scripted", "flag", "Whether a script answered, and no language model.", lambda r: r.scripted),
    Column("continues", "text", "The id of the run that it is a follow-up to.", lambda r: r.continues),
    Column("started", "time", "When the question was asked, UTC.", lambda r: r.started or None),
    Column("finished", "time", "When it ended, UTC; missing while it runs.", lambda r: r.finished),
    Column("seconds", "number", "From the start to the end, s.", lambda r: _seconds(r.started, r.finished)),
    Column("agents", "integer", "Number of agents, the root included.", lambda r: len(r.agents)),
    Column("depth", "integer", "Depth of the deepest agent; the root is 0.", lambda r: r.depth),
    Column("calls", "integer", "Number of completions, those from the cache included.", lambda r: r.calls),
    Column(
        "requests", "integer", "Number of requests that were sent, retries included.", lambda r: r.requests
    ),
    Column("cached", "integer", "Number of completions that came from the cache.", lambda r: r.cached),
    Column("input_tokens", "integer", "Tokens of all prompts.", lambda r: r.input_tokens),
    Column("output_tokens", "integer", "Tokens of all replies.", lambda r: r.output_tokens),
    Column(
        "cached_tokens",
        "integer",
        "Tokens of prompts that providers read from their caches.",
        lambda r: r.cached_tokens,
    ),
    Column(
        "estimated",
        "flag",
        "Whether some of the tokens are estimates of this package.",
        lambda r: r.estimated,
    ),
    Column("cost", "number", "What all completions cost, USD; missing if not known.", lambda r: r.cost),
    Column("context", "text", "What the data is, on one line.", lambda r: _summary(r.context)),
    Column("value", "text", "What the answer is, on one line.", lambda r: _summary(r.value)),
    Column(
        "agreement",
        "number",
        "Share of the samples that agree with it, from 0 to 1; missing without samples.",
        lambda r: None if r.agreement is None else float(Agreement(r.agreement)),
    ),
    Column(
        "identity",
        "text",
        "A hash over what determines the run; missing in older logs.",
        lambda r: r.identity or None,
    ),
    Column("error", "text", "Why there is no whole answer.", lambda r: r.error),
    Column("error_type", "text", "The class of that error.", lambda r: r.error_type),
)

_AGENTS: tuple[Column[_Agent], ...] = (
    Column("run", "text", "The run's id.", lambda r: r.tree.run),
    Column("agent", "text", "The agent's id, such as `0.2`; the root is `0`.", lambda r: r.agent.id),
    Column(
        "parent", "text", "The id of the agent that asked it; missing for the root.", lambda r: r.agent.parent
    ),
    Column("depth", "integer", "Levels below the root.", lambda r: r.agent.depth),
    Column("name", "text", "The name that it was given.", lambda r: r.agent.name),
    Column(
        "sample", "integer", "Number of the sample that it is; missing if none.", lambda r: r.agent.sample
    ),
    Column("question", "text", "Its question, verbatim.", lambda r: r.agent.question),
    Column("status", "text", "`running`, `done`, `failed`, `stopped` or `limit`.", lambda r: r.agent.status),
    Column("model", "text", "Its model.", lambda r: r.agent.model),
    Column("started", "time", "When it was admitted, UTC.", lambda r: r.agent.started),
    Column("finished", "time", "When it ended, UTC; missing while it runs.", lambda r: r.agent.finished),
    Column(
        "seconds",
        "number",
        "From the start to the end, s.",
        lambda r: _seconds(r.agent.started, r.agent.finished),
    ),
    Column("turns", "integer", "Number of its turns.", lambda r: len(r.agent.turns)),
    Column("cells", "integer", "Number of cells that it ran.", lambda r: r.agent.cells),
    Column("calls", "integer", "Number of its completions besides the turns.", lambda r: len(r.agent.calls)),
    Column("sub_agents", "integer", "Number of agents that it asked.", lambda r: len(r.agent.children)),
    Column(
        "tool_calls",
        "integer",
        "Number of calls of tools in the notebook and of MCP servers.",
        lambda r: sum(tool.calls for tool in r.agent.tools.values()),
    ),
    Column("variables", "integer", "Number of variables in its kernel.", lambda r: len(r.agent.variables)),
    Column("input_tokens", "integer", "Tokens of its own prompts.", lambda r: r.agent.input_tokens),
    Column("output_tokens", "integer", "Tokens of its own replies.", lambda r: r.agent.output_tokens),
    Column("cost", "number", "Its own completions, USD; missing if not known.", lambda r: r.agent.cost),
    Column("cost_total", "number", "The same with all agents below it, USD.", lambda r: r.cost_total),
    Column("context", "text", "What its data is, on one line.", lambda r: _summary(r.agent.context)),
    Column("context_bytes", "integer", "Size of its data, bytes.", lambda r: _bytes(r.agent.context)),
    Column("value", "text", "What it passed to `FINAL`, on one line.", lambda r: _summary(r.agent.value)),
    Column("value_bytes", "integer", "Size of that, bytes.", lambda r: _bytes(r.agent.value)),
    Column("error", "text", "Why it failed.", lambda r: r.agent.error),
)

_TURNS: tuple[Column[_Turn], ...] = (
    Column("run", "text", "The run's id.", lambda r: r.tree.run),
    Column("agent", "text", "The agent's id.", lambda r: r.agent.id),
    Column("turn", "integer", "Number of the turn, from 1.", lambda r: r.turn.turn),
    Column("call", "integer", "Number of its completion in the run.", lambda r: r.turn.call.call),
    Column("model", "text", "The model that replied.", lambda r: r.turn.call.model),
    Column("started", "time", "When the prompt was sent, UTC.", lambda r: r.turn.call.started),
    Column("model_seconds", "number", "Until the reply was whole, s.", lambda r: r.turn.call.seconds),
    Column(
        "code_seconds",
        "number",
        "How long its cells ran, s; missing if none has ended.",
        lambda r: _sum(cell.seconds for cell in r.turn.cells),
    ),
    Column(
        "status", "text", "Of the completion: `running`, `done` or `failed`.", lambda r: r.turn.call.status
    ),
    Column("finish_reason", "text", "Why the reply ended.", lambda r: _text(r.turn.call.finish_reason)),
    Column(
        "prompt",
        "text",
        "The messages that were new in this turn; `run.messages(agent)` has all.",
        lambda r: _prompt(r.turn.call),
    ),
    Column("reply", "text", "The reply, verbatim.", lambda r: r.turn.call.text),
    Column(
        "code",
        "text",
        "The code that ran, its cells joined by an empty line.",
        lambda r: _joined(cell.code for cell in r.turn.cells),
    ),
    Column(
        "output",
        "text",
        "What the model saw of the output: its head and tail.",
        lambda r: _joined(cell.output for cell in r.turn.cells),
    ),
    Column(
        "output_cut",
        "integer",
        "Characters that were left out of the output.",
        lambda r: sum(cell.cut for cell in r.turn.cells),
    ),
    Column("cells", "integer", "Number of its cells.", lambda r: len(r.turn.cells)),
    Column(
        "cell_status",
        "text",
        "`ok`, or how the first cell ended that did not end well; missing without a cell.",
        lambda r: _cell_status(r.turn),
    ),
    Column(
        "error",
        "text",
        "Why there is no reply, else the error of its first cell that failed.",
        lambda r: r.turn.call.error or next((cell.error for cell in r.turn.cells if cell.error), None),
    ),
    Column("tool_calls", "integer", "Number of calls of tools.", lambda r: r.turn.tools_called),
    Column("input_tokens", "integer", "Tokens of the whole prompt.", lambda r: r.turn.call.input_tokens),
    Column("output_tokens", "integer", "Tokens of the reply.", lambda r: r.turn.call.output_tokens),
    Column(
        "cached_tokens",
        "integer",
        "Tokens of the prompt that the provider read from its cache.",
        lambda r: r.turn.call.cached_tokens,
    ),
    Column(
        "estimated",
        "flag",
        "Whether the tokens are an estimate of this package.",
        lambda r: r.turn.call.estimated,
    ),
    Column("cost", "number", "What it cost, USD; missing if not known.", lambda r: r.turn.call.cost),
    Column("cached", "flag", "Whether the reply came from the cache.", lambda r: r.turn.call.cached),
    Column(
        "requests", "integer", "Number of requests that were sent for it.", lambda r: r.turn.call.attempts
    ),
)

_CALLS: tuple[Column[_Call], ...] = (
    Column("run", "text", "The run's id.", lambda r: r.tree.run),
    Column("agent", "text", "The id of the agent for which it was sent.", lambda r: r.agent.id),
    Column("call", "integer", "Number of the completion in the run, from 1.", lambda r: r.call.call),
    Column(
        "purpose",
        "text",
        "`turn`, `llm_query`, `repair`, `fallback` or `summary`.",
        lambda r: r.call.purpose,
    ),
    Column("turn", "integer", "The agent's turn in which it was sent.", lambda r: r.call.turn),
    Column("model", "text", "The model that replied.", lambda r: r.call.model),
    Column("started", "time", "When it was sent, UTC.", lambda r: r.call.started),
    Column("seconds", "number", "Until the reply was whole, retries included, s.", lambda r: r.call.seconds),
    Column("status", "text", "`running`, `done` or `failed`.", lambda r: r.call.status),
    Column("finish_reason", "text", "Why the reply ended.", lambda r: _text(r.call.finish_reason)),
    Column(
        "prompt", "text", "The messages that no earlier completion of a turn had.", lambda r: _prompt(r.call)
    ),
    Column("reply", "text", "The reply, verbatim.", lambda r: r.call.text),
    Column("error", "text", "Why there is no reply.", lambda r: r.call.error),
    Column("input_tokens", "integer", "Tokens of the whole prompt.", lambda r: r.call.input_tokens),
    Column("output_tokens", "integer", "Tokens of the reply.", lambda r: r.call.output_tokens),
    Column(
        "cached_tokens",
        "integer",
        "Tokens of the prompt that the provider read from its cache.",
        lambda r: r.call.cached_tokens,
    ),
    Column(
        "estimated", "flag", "Whether the tokens are an estimate of this package.", lambda r: r.call.estimated
    ),
    Column("cost", "number", "What it cost, USD; missing if not known.", lambda r: r.call.cost),
    Column("cached", "flag", "Whether the reply came from the cache.", lambda r: r.call.cached),
    Column("requests", "integer", "Number of requests that were sent for it.", lambda r: r.call.attempts),
)

_VARIABLES: tuple[Column[_Variable], ...] = (
    Column("run", "text", "The run's id.", lambda r: r.tree.run),
    Column("agent", "text", "The id of the agent in whose kernel it is.", lambda r: r.agent.id),
    Column("name", "text", "The variable's name.", lambda r: r.name),
    Column(
        "turn",
        "integer",
        "The turn after which it was seen last to change.",
        lambda r: r.described.get("turn"),
    ),
    Column("type", "text", "The type of its value.", lambda r: _text(r.described.get("type"))),
    Column("summary", "text", "What it is, on one line.", lambda r: _summary(r.described)),
    Column(
        "bytes",
        "integer",
        "Size of the value, bytes; an estimate for containers.",
        lambda r: _bytes(r.described),
    ),
    Column("length", "integer", "Length of a text or container.", lambda r: r.described.get("length")),
    Column("shape", "text", "Shape of a table or array, such as `1000 x 6`.", lambda r: _shape(r.described)),
    Column(
        "columns", "text", "Names of a table's columns, the first 40.", lambda r: _column_names(r.described)
    ),
    Column(
        "preview",
        "text",
        "The beginning of the value, at most 2,000 characters.",
        lambda r: _preview(r.described),
    ),
    Column(
        "place",
        "text",
        "Where its bytes are: `memory`, `disk`, or `shared` with the notebook; missing for the kernel itself.",
        lambda r: _text(r.described.get("place")),
    ),
)


def _sum(seconds: Iterator[float | None]) -> float | None:
    known = [each for each in seconds if each is not None]
    return sum(known) if known else None


TABLES: dict[str, Table[Any]] = {
    "runs": Table("The run: one row.", _RUNS, _runs),
    "agents": Table("A row for each agent, in the order in which they started.", _AGENTS, _agents),
    "turns": Table(
        "A row for each turn of each agent, with its prompt, reply, code and output.", _TURNS, _turns
    ),
    "calls": Table(
        "A row for each completion, turns included, in the order in which they were sent.", _CALLS, _calls
    ),
    "variables": Table("A row for each variable that an agent's kernel had last.", _VARIABLES, _variables),
}
"""By name."""
