"""What an agent is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.models.base import ChatModel

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.mapping.map_task import MapTask
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.values.store import Buffer


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
        mapping: what it asks about each item of a table; None: it is an agent that writes code.
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
    mapping: MapTask | None = field(default=None, repr=False, compare=False)
