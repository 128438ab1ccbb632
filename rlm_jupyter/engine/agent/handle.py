"""`run.agents["0.2"]`: one agent as the notebook sees it: its state, its variables, its kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.errors import (
    AgentNotFoundError,
    ConfigError,
    KernelDiedError,
    UnsafeValueError,
    ValueTransferError,
    VariableNotFoundError,
)
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.models.base import text_of
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.cell_history import CellHistory
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.engine_thread import EngineThread
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.events.tree_state import AgentState
    from rlm_jupyter.kernels.agent_kernel import AgentKernel, CellResult
    from rlm_jupyter.models.base import Message

_PULL_SECONDS = 300.0
_LISTED = 30


class Description(dict[str, Any]):
    """What is known of a variable: `type`, `summary`, `shape`, `bytes`, `preview`, …; also as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class AgentHandle:
    """One agent of a run.

    Attributes:
        id: such as ``"0.2"``.
    """

    def __init__(self, agent_id: str, run: Run, conductor: Conductor, engine: EngineThread) -> None:
        self.id = agent_id
        self._run = run
        self._conductor = conductor
        self._engine = engine

    @property
    def state(self) -> AgentState:
        """Its row of the tree: turns, calls, spend, variables."""
        return self._run.tree.agents[self.id]

    @property
    def status(self) -> ev.RunStatus:
        """`running`, `done`, `failed`, `stopped` or `limit`."""
        return self.state.status

    @property
    def question(self) -> str:
        """What it was asked."""
        return self.state.question

    @property
    def variables(self) -> dict[str, Description]:
        """What is defined in its kernel: name → description; its data first, under `context` and its own name."""
        with self._run.lock:
            data, known = self.state.context, self.state.variables
            own = (
                ("context", *self._agent.spec.names)
                if data is not None and self.state.kernel_ended is None
                else ()
            )
            found = {**dict.fromkeys(own, data), **known}
            return {name: Description({**(item or {}), "name": name}) for name, item in found.items()}

    @property
    def value(self) -> Any:
        """What it gave to FINAL, decoded; None if it gave nothing.

        Raises:
            UnsafeValueError: it has no safe form.
        """
        agent = self._agent
        return agent.value.load() if agent.value is not None else None

    @property
    def encoded(self) -> Buffer | None:
        """What it gave to FINAL, encoded, as an owner of its own; None if it gave nothing, or its run was closed."""
        value = self._agent.value if self.id in self._conductor.agents else None
        return value.dup() if value is not None and not value.closed else None

    @property
    def history(self) -> CellHistory | None:
        """What its cells gave, if checkpoints of its kernel are kept, and its run was not closed."""
        return self._agent.history if self.id in self._conductor.agents else None

    @property
    def messages(self) -> list[Message]:
        """Exactly what was sent to the model for it, and the replies; of images a reference to each."""
        redact = self._conductor.redact
        return [{"role": one["role"], "content": redact(text_of(one))} for one in self._agent.messages]

    @property
    def _agent(self) -> Agent:
        return self._conductor.agents[self.id]

    def pull(self, name: str | None = None, *, trust: bool = False) -> Any:
        """Returns a variable of its kernel as an object of this process. Also while it runs.

        Args:
            name: the variable's; None for what it gave to FINAL, which is there also when its kernel is gone. So are
                small variables of a kernel that was ended to free memory.
            trust: decode it even where that runs code that an agent wrote (cloudpickle), in this process.

        Raises:
            VariableNotFoundError: it has no such variable; the message lists those it has.
            UnsafeValueError: the value has no form that can be decoded without running code.
            KernelDiedError: its kernel is gone.
        """
        if name is None:
            answer = self._agent.value
            if answer is None:
                raise VariableNotFoundError(
                    f"Agent `{self.id}` has given no value yet: name a variable to pull."
                )
            return answer.load(trust=trust)
        exported = self._engine.call(self._export(name, trust=trust), self._run, _PULL_SECONDS)
        with exported as buffer:
            return buffer.load(trust=trust)

    async def _export(self, name: str, *, trust: bool) -> Buffer:
        saved = self._conductor.holdings.saved.get((self.id, name))
        if saved is not None:
            buffer = saved.dup()
        else:
            kernel = self._kernel(f"`{name}`")
            try:
                with self._conductor.kept.using(self._agent, kernel):
                    buffer = await kernel_setup.export(kernel, name, trust=trust, timeout=_PULL_SECONDS)
            except BridgeError as error:
                raise self._pull_error(name, error, trust=trust) from None
        self._conductor.journal.emit(ev.Command, self.id, name="pull", detail=name)
        for text in buffer.losses:
            self._conductor.journal.emit(ev.Notice, self.id, text=text)
        return buffer

    def _pull_error(self, name: str, error: BridgeError, *, trust: bool) -> Exception:
        if error.kind == "missing":
            # Its kernel knows best: while a cell runs, the tree has not heard of the newest ones.
            told = error.data if isinstance(error.data, list) else list(self.variables)
            names = sorted(n for n in told if isinstance(n, str) and n.isidentifier())
            listed = ", ".join(f"`{n:.80}`" for n in names[:_LISTED]) or "none yet"
            more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
            return VariableNotFoundError(
                f"Agent `{self.id}` has no variable `{name}`. It has: {listed}{more}."
            )
        if error.kind == "unencodable" and trust:
            return ValueTransferError(
                f"`{name}` of agent `{self.id}` cannot leave its process: {error.message} Pull a plain part of it."
            )
        if error.kind == "unencodable":
            return UnsafeValueError(
                f"`{name}` of agent `{self.id}` has no form that can be taken over without running its code: "
                f"{error.message} Pull a plain part of it, or pass `trust=True` (`--trust`), which runs what "
                "the agent wrote in your notebook's process."
            )
        return ValueTransferError(f"`{name}` of agent `{self.id}` could not be pulled: {error.message}")

    def execute(self, code: str) -> CellResult:
        """Run a cell in its kernel; it waits for the cell that runs there.

        Raises:
            KernelDiedError: its kernel is gone.
            ConfigError: the code is not text.
        """
        if not isinstance(code, str):
            raise ConfigError(f"`execute` takes code as a text, not a `{type(code).__name__}`.")

        async def work() -> CellResult:
            await self._conductor.restore_kernel(self._agent)
            kernel = self._kernel("the cell")
            with self._conductor.kept.using(self._agent, kernel):
                result = await kernel.execute(
                    code, seconds=self._conductor.limits.cell_seconds, on_output=None
                )
            if result.restarted:
                await kernel_setup.furnish_again(self._agent)
            self._conductor.journal.emit(ev.Command, self.id, name="exec", detail=code)
            return result

        return self._engine.call(work(), self._run, timeout=None)

    def _kernel(self, wanted: str) -> AgentKernel:
        kernel = self._agent.kernel
        spec = self._agent.spec
        if spec.samples is not None or spec.plain is not None:
            below = ", ".join(f"`{child}`" for child in self.state.children)
            where = f"its samples have some: {below}" if below else "it asked one plain completion"
            raise KernelDiedError(f"Agent `{self.id}` has no kernel of its own for {wanted}; {where}.")
        if kernel is None and (ended := self.state.kernel_ended) is not None:
            saved = [name for agent, name in self._conductor.holdings.saved if agent == self.id]
            left = [f"`{name}`" for name in saved[:_LISTED]]
            if self._agent.value is not None:
                left.insert(0, f"what it gave to FINAL (`.pull()`, `%rlm pull {self.id}`)")
            raise KernelDiedError(
                f"Agent `{self.id}` has no kernel any more, which {wanted} would need. {ended} "
                f"Still there: {', '.join(left) or 'nothing'}. To keep more kernels, raise "
                "the setting `kernel_memory`, and ask again."
            )
        if kernel is None or not kernel.alive:
            raise KernelDiedError(
                f"The kernel of agent `{self.id}` is gone (the run was closed, or it never came up). "
                "Run the question again to have its variables."
            )
        return kernel

    def __repr__(self) -> str:
        return f"<Agent {self.id} · {self.status} · {len(self.state.variables)} variables>"


class Agents(Mapping[str, AgentHandle]):
    """A run's agents by id, in the order in which they started."""

    def __init__(self, run: Run, conductor: Conductor, engine: EngineThread) -> None:
        self._run = run
        self._conductor = conductor
        self._engine = engine

    def __getitem__(self, agent_id: str) -> AgentHandle:
        if agent_id not in self._run.tree.agents:
            known = ", ".join(f"`{known}`" for known in self)
            raise AgentNotFoundError(
                f"Run `{self._run.id}` has no agent `{agent_id}`. It has: {known}.", run=self._run
            )
        return AgentHandle(agent_id, self._run, self._conductor, self._engine)

    def __iter__(self) -> Iterator[str]:
        with self._run.lock:
            return iter(list(self._run.tree.agents))

    def __len__(self) -> int:
        return len(self._run.tree.agents)

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._run.tree.agents
