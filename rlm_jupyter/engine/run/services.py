"""What the agents of a run may use: its settings, its budget, models, kernels, values, tools."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.chat_size import window
from rlm_jupyter.engine.agent.context_words import offered_text
from rlm_jupyter.engine.agent_requests.received_images import ImageRoom
from rlm_jupyter.engine.budget.limit_errors import TURNS
from rlm_jupyter.engine.run.run_questions import UserQuestions
from rlm_jupyter.engine.run.run_values import Holdings
from rlm_jupyter.engine.run.step_gate import Gate
from rlm_jupyter.errors import LimitReachedError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.tools.functions import sub_tools_prompt, tools_prompt
from rlm_jupyter.tools.mcp import Servers
from rlm_jupyter.values.store import Buffer, Store

if TYPE_CHECKING:
    from rlm_jupyter.databases.database import Database
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.budget.ledger import Ledger
    from rlm_jupyter.engine.completions.completions import Completions
    from rlm_jupyter.engine.run.recorded_run import RecordedRun
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.kernels.pool import KernelPool
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Limits, Settings
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.user_questions.audience import Audience


@dataclass
class RunServices(ABC):
    """The shared parts of a run, which its agents use.

    Attributes:
        run: the run's id.
        limit: the first limit of the whole run that was reached.
        image_room: bounds the images and audio of plain completions that are under way.
        inherit_tools: whether sub-agents have all tools of their parents.
        redact: takes secrets out of what a model is told.
        windows: tokens that models hold, by name, where a provider has refused a prompt as too long.
        picture_bytes: of the pictures that cells have shown.
        recorded: the record of an earlier run that this one goes through; None for none.
        links: names in the working directory of its kernels, to the granted files and folders that they stand for.
        databases: that its agents may ask by handles, by the number that the handles have.
        hidden: values that models are told tokens of; None for none.
        audience: who answers what agents' code asks by `ask_user`.
        questions: these questions.
        sub_tools: functions that all sub-agents have, by name.
        strong_model: which an agent asks after failed turns; None for none.
        box_limits: of its kernels' boxes, over those of the sandbox: what may be read because it was handed over.
    """

    run: str
    settings: Settings
    limits: Limits
    journal: Journal
    ledger: Ledger
    completions: Completions
    pool: KernelPool
    store: Store
    model: ChatModel
    sub_model: ChatModel
    env: dict[str, str] = field(default_factory=dict)
    servers: Servers = field(default_factory=lambda: Servers({}, str))
    inherit_tools: bool = False
    redact: Callable[[str], str] = str
    step: bool = False
    image_room: ImageRoom = field(default_factory=ImageRoom)
    limit: LimitReachedError | None = None
    windows: dict[str, int] = field(default_factory=dict)
    picture_bytes: int = 0
    recorded: RecordedRun | None = None
    box_limits: dict[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, Database] = field(default_factory=dict)
    hidden: HiddenValues | None = None
    audience: Audience = None
    sub_tools: Mapping[str, Tool] = field(default_factory=dict)
    strong_model: ChatModel | None = None

    def __post_init__(self) -> None:
        self.holdings = Holdings(self.store, self.journal, partial(self.pool.open_run, self.run))
        self.gate = Gate(self.journal, step=self.step)
        self.questions = UserQuestions(
            self.journal,
            self.audience,
            most=self.settings.ask_user,
            seconds=self.settings.ask_user_seconds,
            recorded=self.recorded.user_answers if self.recorded is not None else (),
        )
        self._told: set[str] = set()

    @abstractmethod
    def may_ask(self, agent_id: str) -> bool:
        """Whether an agent may still cause completions."""

    @abstractmethod
    async def sub_agent(
        self,
        parent: Agent,
        question: str,
        context: Buffer | None,
        *,
        schema: AnswerSchema | None = None,
        name: str | None = None,
        tools: Mapping[str, Tool] | None = None,
        mcp: tuple[str, ...] = (),
    ) -> Buffer:
        """Start a sub-agent and wait for its value."""

    @abstractmethod
    def next_child(self, parent: str) -> str:
        """Returns the id of the next agent below another one."""

    @abstractmethod
    async def run_agent(self, spec: AgentSpec) -> Agent:
        """Run an agent that the engine itself wants, to its end; its answer is in `value`.

        Raises:
            RLMError: why there is no answer.
        """

    @abstractmethod
    def value_of(self, agent_id: str) -> Buffer | None:
        """Returns what an agent gave, or had of an answer when it ended early; None if it had none."""

    def tell_once(self, sentences: Iterable[object]) -> None:
        """Notifies the user of each of these, once for each run."""
        for sentence in map(str, sentences):
            if sentence not in self._told:
                self._told.add(sentence)
                self.journal.emit(ev.Notice, text=sentence)

    def limit_seen(self, error: LimitReachedError) -> None:
        """Remember the first limit of the whole run that was reached."""
        if self.limit is None and error.limit not in ("depth", "agents", *TURNS):
            self.limit = error

    def words(self, agent: Agent) -> dict[str, Any]:
        """Settings of the words in an agent's kernel."""
        faithful = not agent.spec.is_root and agent.spec.schema is None
        size = window(self, self.sub_model, root=False)
        room = {"fallback_chars": min(60_000, 2 * size)} if size is not None else {}
        fields = list(agent.spec.schema.fields) if agent.spec.schema is not None else []
        checked = agent.spec.checks.part if agent.spec.checks is not None else None
        told = {"rows": self.settings.sample_rows, "faithful": faithful, "fields": fields}
        skills = {"skills": True} if agent.spec.skills else {}
        return {**room, **told, **skills, "checked_part": checked}

    def tools_text(self, agent: Agent) -> str | None:
        """Tools, functions on the data and skills as the model is shown them."""
        return offered_text(self._tools_of(agent), self.settings, agent.spec.skills)

    def _tools_of(self, agent: Agent) -> str | None:
        text = tools_prompt(agent.spec.tools)
        if agent.leaf or not self.settings.sub_agents or not self.settings.sub_calls:
            return text
        if text and not self.inherit_tools:
            text += "\nA sub-agent has those that you hand it: `rlm_query(question, part, tools=[f])`."
        theirs = sub_tools_prompt(self.sub_tools) if agent.spec.is_root else None
        return "\n".join(part for part in (text, theirs) if part) or None

    def question_buffer(self, question: str) -> Buffer:
        """The question as data, for an agent that was given none."""
        return self.store.share(Buffer.encode(question))

    def sub_model_named(self, name: object) -> ChatModel:
        """Returns the model for a plain call.

        Raises:
            BridgeError: no model of that name is set up.
        """
        if name is None:
            return self.sub_model
        known = {self.model.name: self.model, self.sub_model.name: self.sub_model}
        if name in known:
            return known[str(name)]
        raise BridgeError("failed", f"There is no model `{str(name)[:80]}` here. Models: {', '.join(known)}.")
