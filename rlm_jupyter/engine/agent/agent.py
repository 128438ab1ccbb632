"""What an agent is: its question, its kernel, its chat and its answer. What it does is in `loop`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rlm_jupyter.engine.agent.cell_history import CellHistory, Past
from rlm_jupyter.engine.agent.chat_size import Gauge
from rlm_jupyter.engine.agent.spec import Added, AgentSpec
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.agent_kernel import AgentKernel
from rlm_jupyter.kernels.host_work import HostWork
from rlm_jupyter.models.base import Message
from rlm_jupyter.models.images import Image

if TYPE_CHECKING:
    from rlm_jupyter.engine.budget.ledger import Left
    from rlm_jupyter.engine.run.services import RunServices
    from rlm_jupyter.values.store import Buffer


_MOST_CODES = 50


class Requests(Protocol):
    """Serves the requests that come from a kernel, on the account of one agent at a time."""

    @property
    def agent(self) -> Agent:
        """On whose account they go now."""

    def serve(self, agent: Agent) -> None:
        """Serve this agent from now on."""

    async def handle(self, op: str, body: dict[str, Any], fds: list[int]) -> tuple[Any, list[int]]:
        """Serve one request (the bridge's handler)."""

    work: HostWork

    def dismantle(self, agent: Agent) -> None:
        """Serve this agent no more."""


@dataclass
class Agent:
    """An agent of a run. Lives on the engine's loop.

    Attributes:
        spec: what it was started with.
        services: what it may use of its run.
        kernel: its REPL, once that is up.
        value: what it gave to FINAL, once accepted; of an agent that ended early, what there is of an answer.
        draft: what it last gave to FINAL and was sent back.
        messages: its chat, whole.
        asked: index of the message with the question.
        calls: serves what its code asks for.
        gauge: tells about how long the chat is.
        turn: the number of its newest turn.
        looked: whether its code has read its data.
        small: whether its model is a small one.
        furnished: whether its kernel has all that it was started with.
        codes: the newest cells that it ran.
        asked_to_look: whether it was sent back to look at its data.
        look_wanted: whether it answered without, so that a look is to be taken for it.
        told: sentences about its cells that its next observation takes along.
        sees: whether its model is shown the pictures of its cells.
        pictures: those of the cells since its last observation, if it sees.
        history: what its cells gave, if checkpoints of its kernel are kept.
        plan_text: its newest plan in words, as it stands in its chat; empty for none.
        past: what the cells gave up to the checkpoint that its kernel was made of; None for a new kernel.
    """

    spec: AgentSpec
    services: RunServices
    kernel: AgentKernel | None = None
    value: Buffer | None = None
    draft: Buffer | None = None
    messages: list[Message] = field(default_factory=list)
    asked: int = 1
    gauge: Gauge = field(default_factory=Gauge)
    turn: int = 0
    cells: int = 0
    looked: bool = False
    asked_to_look: bool = False
    look_wanted: bool = False
    small: bool = False
    furnished: bool = False
    codes: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_CODES))
    told: list[str] = field(default_factory=list)
    sees: bool = False
    pictures: list[Image] = field(default_factory=list, repr=False)
    history: CellHistory | None = field(default=None, repr=False)
    past: Past | None = field(default=None, repr=False)
    plan_text: str = ""
    _sent: int = 0
    calls: Requests = field(init=False, repr=False, compare=False)

    @property
    def id(self) -> str:
        """Its id."""
        return self.spec.id

    @property
    def leaf(self) -> bool:
        """Whether it is at the depth limit, and so has no sub-agents."""
        depth = self.services.limits.depth
        return depth is not None and self.spec.level >= depth

    @property
    def new_data(self) -> Added | None:
        """The data that came with this very question, where that is a follow-up."""
        return self.spec.added[-1] if self.spec.brings_data else None

    @property
    def data(self) -> Buffer | None:
        """The data that the question is about; None if that is the question itself."""
        return self.new_data.data if self.new_data is not None else self.spec.context

    @property
    def data_names(self) -> tuple[str, ...]:
        """The names that the data is bound to, among them what was read of its files."""
        if self.new_data is not None:
            return (*self.new_data.names, *self.new_data.item_names)
        read = self.spec.context.description.get("variable") if self.spec.context is not None else None
        own = [read] if isinstance(read, str) and self.spec.is_root else []
        return ("context", *self.spec.names, *self.spec.item_names, *own)

    @property
    def own_value(self) -> Any:
        """Its answer so far, of an agent that makes it in this process; None if that is made in a kernel."""
        return None

    def last_turn(self) -> bool:
        """Whether there is no turn after this one."""
        left = self.services.ledger.left(self.id)
        return (left.turns is not None and left.turns <= 0) or (left.calls is not None and left.calls <= 0)

    def left(self) -> Left:
        """What it may still spend."""
        return self.services.ledger.left(self.id)

    def tell(self, text: str) -> None:
        """Tells the agent something in its next observation; the tree and the log have it too."""
        self.services.journal.emit(ev.Notice, self.id, text=text)
        self.told.append(text)

    def replace_plan(self, plan: str, first: int) -> None:
        """Take note of the plan in the chat, whose messages are others from a place on."""
        self.plan_text, self._sent = plan, min(self._sent, first)

    def replace_chat(self, messages: list[Message], *, sent: int) -> None:
        """Put another chat in the place of the old one, of which the first `sent` messages are the same."""
        self.messages, self._sent = messages, sent
