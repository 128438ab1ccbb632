"""What an agent is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rlm_jupyter.models.base import ChatModel

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.mapping.map_task import MapTask
    from rlm_jupyter.engine.operators.table_operator import TableOperator
    from rlm_jupyter.engine.plain.plain_prompt import PlainData
    from rlm_jupyter.engine.samples.samples import SamplePlan
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.tools.checks import Checks
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.tools.skills.skill import Skill
    from rlm_jupyter.values.store import Buffer


class Acceptance(Protocol):
    """Looks at what an agent gives to FINAL, besides its schema."""

    def refuse(self, agent: Agent, value: Buffer) -> str | None:
        """Returns why a value is sent back; None to take it. Not called on the engine's loop."""


@dataclass(frozen=True)
class Added:
    """Data that came with a follow-up.

    Attributes:
        data: the object.
        names: the variables that it is bound to.
        item_names: where it is a dict of several variables: their names.
    """

    data: Buffer
    names: tuple[str, ...]
    item_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatMemory:
    """What the root of a conversation remembers of it, besides its kernel and its chat.

    Attributes:
        tokens: about how many the chat may have when a question begins; beyond it, old turns become notes.
        history: the earlier questions and answers, encoded: the variable `history`.
        count: how many these are.
    """

    tokens: int
    history: Buffer
    count: int


@dataclass
class AgentSpec:
    """What an agent is started with.

    Attributes:
        id: ``"0"`` for the root, ``"0.2.1"`` for a grandchild.
        parent: the parent's id; None for the root.
        depth: 0 for the root.
        question: what it shall answer.
        model: which it asks.
        context: its data; None where the question itself is the context.
        names: the variables that the data is bound to, besides `context`.
        item_names: where the data is a dict of several variables: their names.
        schema: what its answer must be.
        name: a short name that the parent gave it.
        tools: functions that its code may call, by name.
        mcp: names of the MCP servers that its code may ask.
        added: data that came with follow-up questions, the newest last.
        brings_data: whether the last of these came with this very question.
        memory: of the root of a conversation: what it remembers; None for a question on its own.
        earlier: of a follow-up: the root whose kernel and chat it goes on with.
        mapping: what it asks about each item of a table, or about a table as a whole; None: it is an agent that writes
            code.
        samples: of a question that several agents answer: how many, and whether they are verified; it then starts
            these. None: it answers itself.
        sample: the number of the sample that it is, or works for, which makes its requests others than those of the
            other samples; None for none.
        levels_above: how many agents above it only start others, and do not count for the limit `depth`.
        plain: its data as text, if it is to be one plain completion; None: it has a kernel.
        checks: functions of the user that look at what it gives to FINAL.
        acceptance: looks at that in this process.
        skills: that its code may load, by name.
    """

    id: str
    parent: str | None
    depth: int
    question: str
    model: ChatModel
    context: Buffer | None = None
    names: tuple[str, ...] = ()
    item_names: tuple[str, ...] = ()
    schema: AnswerSchema | None = None
    name: str | None = None
    tools: Mapping[str, Tool] = field(default_factory=dict)
    mcp: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    brings_data: bool = False
    memory: ChatMemory | None = field(default=None, repr=False, compare=False)
    earlier: Agent | None = field(default=None, repr=False, compare=False)
    mapping: MapTask | TableOperator | None = field(default=None, repr=False, compare=False)
    samples: SamplePlan | None = None
    sample: int | None = None
    levels_above: int = 0
    plain: PlainData | None = field(default=None, repr=False)
    checks: Checks | None = field(default=None, repr=False)
    acceptance: Acceptance | None = field(default=None, repr=False)
    skills: Mapping[str, Skill] = field(default_factory=dict, repr=False)

    @property
    def level(self) -> int:
        """How many agents above it count for the limit `depth`."""
        return self.depth - self.levels_above

    @property
    def is_root(self) -> bool:
        """Whether it works on the question of the run itself: the root, or a sample."""
        return self.level == 0
