"""What can be read of a run: its tree, its status, its spend, its value. `Run` adds what can be done with it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from rlm_jupyter.engine.agent.handle import AgentHandle, Agents
from rlm_jupyter.errors import RLMError, UnsafeValueError
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.base import ChatModel, Message, Usage

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.values.store import Buffer


_SMALL_BYTES = 1 << 20


class RunFacts:
    """The reading half of `Run`: pure of clocks and threads but for its own end.

    Args:
        conductor: the run on the engine's loop.
        root: what its root agent was started with.
    """

    def __init__(self, conductor: Conductor, root: AgentSpec) -> None:
        self.id = conductor.run
        self.question = root.question
        self._conductor = conductor
        self._journal = conductor.journal
        self.lock = self._journal.lock
        self._schema = root.schema
        self._ended = threading.Event()
        self._value: Any = None
        self._value_known = False
        self._answer: Buffer | None = None

    @property
    def _run(self) -> Run:
        return cast("Run", self)  # nothing else is made of this half

    @property
    def agents(self) -> Mapping[str, AgentHandle]:
        """The agents by id, in the order in which they started."""
        return Agents(self._run, self._conductor)

    @property
    def tree(self) -> TreeState:
        """The tree so far: agents, turns, spend, variables."""
        return self._journal.state

    @property
    def events(self) -> list[ev.AnyEvent]:
        """All events so far, but the pieces of replies and outputs."""
        with self.lock:
            return list(self._journal.events)

    @property
    def status(self) -> ev.RunStatus:
        """`running`, `done`, `failed`, `stopped`, or `limit`: ended by a limit, with what there was."""
        return self.tree.status

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._ended.is_set()

    @property
    def cost(self) -> float | None:
        """USD spent so far, sub-agents included; None where a price is not known."""
        return self.tree.cost

    @property
    def usage(self) -> Usage:
        """Tokens so far, sub-agents included; marked as estimated where a provider did not tell some of them."""
        with self.lock:
            tree = self.tree
            return Usage(tree.input_tokens, tree.output_tokens, tree.cached_tokens, estimated=tree.estimated)

    @property
    def elapsed(self) -> float:
        """Seconds from the start until the end, or until now."""
        with self.lock:
            end = self.tree.finished or time.time()
            return max(0.0, end - self.tree.started) if self.tree.started else 0.0

    @property
    def value_description(self) -> dict[str, Any] | None:
        """What the value is: type, shape, preview; None if there is none."""
        root = self._conductor.agents.get("0")
        return root.value.description if root is not None and root.value is not None else None

    @property
    def value(self) -> Any:
        """The root's answer as an object of this process; None if there is none.

        Raises:
            UnsafeValueError: it could be decoded only by running code that an agent wrote; see `pull_value`.
        """
        return self.pull_value()

    def pull_value(self, *, trust: bool = False) -> Any:
        """Returns the root's answer, decoded.

        Args:
            trust: decode it even where that runs code that an agent wrote (cloudpickle), in this process.

        Raises:
            UnsafeValueError: it has no safe form, and `trust` is false.
        """
        if not self._value_known:
            root = self._conductor.agents.get("0")
            answer = self._answer or (root.value if root is not None else None)
            if answer is None:
                return None
            try:
                value = answer.load(trust=trust)
            except UnsafeValueError as error:
                how = "`run.pull_value(trust=True)` does; `%rlm last` gives the newest run."
                raise UnsafeValueError(f"{error.message} For the answer {how}", run=self._run) from None
            except RLMError as error:
                error.run = self._run
                raise
            self._value = self._typed(self._schema, value)
            self._value_known = self.done
            if not self._value_known:
                return self._value
        return self._value

    def _keep_answer(self) -> None:
        """Own the answer, before the run's values are closed: a small one as an object, others as their bytes.

        A large one is decoded again where somebody asks for it: it is not to be held twice, as an object that nobody
        uses any more. A small one is not worth a descriptor.
        """
        root = self._conductor.agents.get("0")
        if root is None or root.value is None or root.value.closed:
            return
        if root.value.size <= _SMALL_BYTES:
            with contextlib.suppress(RLMError):
                self.pull_value()
                return
        self._answer = root.value.dup()
        self._value, self._value_known = None, False

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that its values and the kernels of its agents hold, as far as that is known."""
        answer = self._answer.size if self._answer is not None and not self._answer.spilled else 0
        return answer + self._conductor.held_bytes

    def _typed(self, schema: AnswerSchema | None, value: Any) -> Any:
        if schema is None:
            return value
        with contextlib.suppress(ValueError):  # it was checked when FINAL was called
            return schema.validate(value)
        return value

    def messages(self, agent: str = "0") -> list[Message]:
        """Returns exactly what was sent to the model for an agent, and its replies.

        Raises:
            AgentNotFoundError: there is no such agent.
        """
        return self.agents[agent].messages

    @property
    def root(self) -> Agent | None:
        """The root agent as the engine knows it; None if it never began."""
        return self._conductor.agents.get("0")

    @property
    def model(self) -> ChatModel:
        """The root's model."""
        return self._conductor.model

    @property
    def sub_model(self) -> ChatModel:
        """The model of sub-agents and plain completions."""
        return self._conductor.sub_model

    @property
    def continues(self) -> str | None:
        """The id of the run whose root kernel and chat this one goes on with."""
        return self.tree.continues
