"""What the agents of a run did, as far as an answer may rest on it: cells, sub-agents, completions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rlm_jupyter.answer_code.failed_cells import ran_characters
from rlm_jupyter.answer_code.row_counts import Rows, rows_of, rows_of_data
from rlm_jupyter.answer_code.vocabulary import READ_INTO
from rlm_jupyter.events import events as ev

_SCHEMA_MARK = "\n\nAnswer with JSON only: "
_FALLBACK_MARK = "\n\nWhat the data is:\n"
_PURPOSES = ("llm_query", "repair", "fallback")


@dataclass
class Completion:
    """One plain completion that a cell asked for.

    Attributes:
        prompt: as the code gave it.
        text: the reply.
        typed: whether JSON was asked for, so that the code got a value and not the text.
        fallback: whether it stands for a sub-agent, at the depth limit.
        with_data: whether data stood in the prompt that the code gave as an object (the depth limit).
        error: why there is no reply.
        by_user: whether it is the user's answer to `ask_user`, or what was assumed instead.
    """

    prompt: str
    text: str = ""
    typed: bool = False
    fallback: bool = False
    with_data: bool = False
    error: str | None = None
    by_user: bool = False


@dataclass
class Cell:
    """One cell that ran.

    Attributes:
        number: counts the agent's cells from 1.
        turn: of the agent; 0 for a first look.
        code: that ran.
        status: how it ended.
        output: what the model was shown, in which a traceback tells the line.
        answers: how many values it gave that were accepted.
        children: ids of the sub-agents that it started, in their order.
        completions: that it asked for, in their order.
        called: what it called that runs in the notebook: host tools, MCP servers.
        rows_before, rows_after: name of a variable → its rows when the cell began and ended, None if not known.
    """

    number: int
    turn: int
    code: str
    status: ev.CellStatus = "running"
    output: str = ""
    answers: int = 0
    children: list[str] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    rows_before: Rows = field(default_factory=dict)
    rows_after: Rows = field(default_factory=dict)


@dataclass
class AgentHistory:
    """What one agent did.

    Attributes:
        cells: since its kernel was last replaced; what ran before left nothing.
        types: name of a variable → all types that it was seen to have.
        rows: name of a variable → its rows now.
        all_characters: of all cells that it ran, those of a look included; of one that failed up to where it did.
        question: what it was asked.
        has_data: whether it was given data; without, `context` is the question.
        tools: names of functions that it was handed.
        read_into: the variable that its small files were read into before its first cell; None if it has none.
        error: why it gave no answer; None if it did.
    """

    id: str
    question: str
    has_data: bool
    tools: tuple[str, ...] = ()
    cells: list[Cell] = field(default_factory=list)
    types: dict[str, set[str]] = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)
    all_characters: int = 0
    read_into: str | None = None
    error: str | None = "it gave no answer"

    def see(self, event: ev.VariablesChanged) -> None:
        """Take in the rows of its variables."""
        for name in event.removed:
            self.rows.pop(name, None)
        for variable in event.variables:
            self.rows[str(variable.get("name", ""))] = rows_of(variable)

    def finish(self, cell: Cell, event: ev.CodeFinished) -> None:
        """Take in how a cell ended."""
        cell.status, cell.output, cell.rows_after = event.status, event.output, dict(self.rows)
        if event.status == "error":
            self.all_characters += ran_characters(cell.code, event.output) - len(cell.code)

    @property
    def last(self) -> Cell | None:
        """The cell that gave the answer; None if there is none."""
        return next((cell for cell in reversed(self.cells) if cell.answers), None)


@dataclass
class RunHistory:
    """What a run did.

    Attributes:
        names: the variables under which the root had its data.
        continues: the run that it goes on with; None for none.
        root: the id of the agent whose answer is the run's: of a sampled question that of a sample.
        own: whether a reconciling agent gave an answer that no sample gave.
    """

    question: str = ""
    names: tuple[str, ...] = ()
    continues: str | None = None
    root: str = "0"
    own: bool = False
    agents: dict[str, AgentHistory] = field(default_factory=dict)
    _busy: dict[str, Cell] = field(default_factory=dict)
    _asked: dict[int, Completion] = field(default_factory=dict)
    _retried: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, events: Iterable[ev.AnyEvent]) -> RunHistory:
        """Fold a history from the events of a run, in their order."""
        history = cls()
        for event in events:
            history._apply(event)
        return history

    @property
    def all_characters(self) -> int:
        """Of the code of all agents that ran."""
        return sum(agent.all_characters for agent in self.agents.values())

    def _apply(self, event: ev.AnyEvent) -> None:
        agent = self.agents.get(event.agent)
        match event:
            case ev.RunStarted():
                self.question, self.names, self.continues = (
                    event.question,
                    event.context_names,
                    event.continues,
                )
            case ev.AgentStarted():
                self._start(event)
            case ev.SamplesCompared():
                self.root, self.own = event.answering, event.own
            case ev.Command(name="retry"):
                self._retried.add(event.detail)
                for cell in self._busy.values():
                    cell.children = [child for child in cell.children if child != event.detail]
            case _ if agent is not None:
                self._apply_to(agent, event)
            case _:
                pass

    def _start(self, event: ev.AgentStarted) -> None:
        if event.agent in self.agents:
            return
        tools = (*event.tools,)
        made = AgentHistory(event.agent, event.question, event.context is not None, tools)
        if made.has_data:
            asked = event.parent is None or event.sample is not None
            made.rows = rows_of_data(event.context, self.names if asked else ())
            variable = (event.context or {}).get("variable") if asked else None
            made.read_into = variable if variable in READ_INTO else None
        self.agents[event.agent] = made
        cell = self._busy.get(event.parent or "")
        if cell is not None and event.agent not in self._retried:
            cell.children.append(event.agent)

    def _apply_to(self, agent: AgentHistory, event: ev.AnyEvent) -> None:
        cell = self._busy.get(agent.id)
        match event:
            case ev.AgentFinished():
                agent.error = (
                    None if event.status == "done" else event.error or f"it ended as `{event.status}`"
                )
            case ev.CodeStarted():
                cell = Cell(event.cell, event.turn, event.code, rows_before=dict(agent.rows))
                agent.cells.append(cell)
                agent.all_characters += len(event.code)
                self._busy[agent.id] = cell
            case ev.CodeFinished() if cell is not None:
                agent.finish(cell, event)
                del self._busy[agent.id]
            case ev.Notice(text=ev.KERNEL_REPLACED):
                agent.cells.clear()
            case ev.VariablesChanged():
                agent.see(event)
                for variable in event.variables:
                    agent.types.setdefault(variable.get("name", ""), set()).add(str(variable.get("type")))
            case ev.ValueReturned() if cell is not None:
                cell.answers += 1
            case ev.ToolCalled() if cell is not None:
                cell.called.add(event.name if event.server is None else f"{event.server}.{event.name}")
            case ev.PromptSent() | ev.ReplyFinished() | ev.ReplyFailed() | ev.QuestionAnswered():
                self._completion(cell, event)
            case _:
                pass

    def _completion(
        self,
        cell: Cell | None,
        event: ev.PromptSent | ev.ReplyFinished | ev.ReplyFailed | ev.QuestionAnswered,
    ) -> None:
        if isinstance(event, ev.QuestionAnswered):  # a table of answers has it beside those of models
            if cell is not None:
                cell.completions.append(Completion(event.question, event.answer, by_user=True))
            return
        if isinstance(event, ev.PromptSent):
            if cell is not None and event.purpose in _PURPOSES and event.messages:
                known = _read_prompt(event.messages[0].get("content", ""), event.purpose)
                if event.purpose == "repair":  # the second try of one that is there
                    earlier = [one for one in cell.completions if one.prompt == known.prompt]
                    known = earlier[-1] if earlier else known
                if known not in cell.completions or event.purpose != "repair":
                    cell.completions.append(known)
                self._asked[event.call] = known
            return
        asked = self._asked.get(event.call)
        if asked is None:
            return
        if isinstance(event, ev.ReplyFinished):
            asked.text, asked.error = event.text, None
        else:
            asked.error = event.error


def _read_prompt(content: str, purpose: ev.Purpose) -> Completion:
    prompt, mark, _ = content.rpartition(_SCHEMA_MARK)
    typed = bool(mark)
    prompt = prompt if typed else content
    if purpose == "fallback":
        question, mark, _ = prompt.partition(_FALLBACK_MARK)
        return Completion(question, typed=typed, fallback=True, with_data=bool(mark))
    return Completion(prompt, typed=typed)
