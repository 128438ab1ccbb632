"""The run as the engine sees it, on its loop: agents and their tasks, sub-agents, stop, and the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.agent.agent import Agent
from rlm_jupyter.engine.agent.loop import AgentLoop
from rlm_jupyter.engine.agent.spec import AgentSpec
from rlm_jupyter.engine.budget.limit_errors import TURNS, retry_refused
from rlm_jupyter.engine.mapping.map_loop import MapLoop
from rlm_jupyter.engine.operators.operator_loop import OperatorLoop
from rlm_jupyter.engine.operators.table_operator import TableOperator
from rlm_jupyter.engine.plain.plain_loop import PlainLoop
from rlm_jupyter.engine.run.retained_kernels import KeptKernels, kept_kernels
from rlm_jupyter.engine.run.services import RunServices
from rlm_jupyter.engine.samples.sample_loop import SampleLoop
from rlm_jupyter.errors import AgentFailedError, LimitReachedError, RLMError, RunStoppedError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.settings import Limits
    from rlm_jupyter.tools.functions import Tool

_STOP_SECONDS = 5.0


@dataclass
class Conductor(RunServices):
    """A run's agents and their tasks: starts and ends them.

    Attributes:
        agents: all agents by id, ended ones included (their kernels stay for pulls).
        kept: kernels of agents that have ended, of all runs.
    """

    agents: dict[str, AgentLoop] = field(default_factory=dict)
    kept: KeptKernels = field(default_factory=kept_kernels)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._children: dict[str, int] = {}
        self._timer: asyncio.Timeout | None = None
        self.ended = False
        self._stopped: set[str] = set()
        self._retried: set[str] = set()
        self._again: set[asyncio.Task[None]] = set()
        self._asked_again = 0
        self._restoring = asyncio.Lock()
        self._closed = False

    # ---- the run

    async def conduct(self, root: AgentSpec) -> RLMError | None:
        """Run the root agent to its end; give the error that ended it, or None.

        The root's value, whole or partial, is in `agents["0"].value`.
        """
        error: RLMError | None
        try:
            async with asyncio.timeout(self.limits.seconds) as self._timer:
                error = await self._finish(root)
        except TimeoutError:
            error = LimitReachedError(
                f"The run reached its limit `seconds` of {self.limits.seconds:g} s. "
                "Raise it (`--timeout`, `Limits(seconds=...)`), or ask less.",
                limit="seconds",
            )
        finally:
            await self._end_all()
            self.ended = True
            await self._close_servers()
        return error

    async def _close_servers(self) -> None:
        """End the MCP servers, unless an agent that was asked again still works with them."""
        if not self._asked_again:
            await self.servers.close()

    async def _finish(self, root: AgentSpec) -> RLMError | None:
        try:
            await self._work(self._admit(root))
        except asyncio.CancelledError:
            if _cancelled_here():
                raise
            return RunStoppedError("The run was stopped. What its agents had can still be pulled.")
        except RLMError as error:
            return error
        # The root answered, but some of it may be missing: say so rather than pass it off as whole.
        return self.limit

    async def _end_all(self) -> None:
        """End the sub-agents that nobody waits for any more."""
        left = [task for task in self._tasks.values() if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_STOP_SECONDS)

    def _admit(self, spec: AgentSpec) -> AgentLoop:
        """Make an agent, and tell that it has begun.

        Raises:
            LimitReachedError: there is no room for another agent.
        """
        self.ledger.admit_agent(spec.id)
        agent = _loop_of(spec)(spec, self)
        self.agents[spec.id] = agent
        self.completions.admit(spec.id, root=spec.is_root, sample=spec.sample)
        self.journal.emit(
            ev.AgentStarted,
            spec.id,
            parent=spec.parent,
            depth=spec.depth,
            question=spec.question,
            name=spec.name,
            model=spec.model.name,
            context=spec.context.description if spec.context else None,
            tools=tuple(spec.tools),
            mcp=spec.mcp,
            place=spec.context.place if spec.context else None,
            sample=spec.sample if spec.is_root and spec.parent is not None else None,
        )
        return agent

    async def _work(self, agent: AgentLoop) -> AgentLoop:
        """Run one agent to its end, and tell how it ended."""
        spec = agent.spec
        task = asyncio.create_task(agent.work())
        self._tasks[spec.id] = task
        if spec.id in self._stopped:  # the user was quicker than the agent
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            await self._halt(agent, task)
            timed_out = self._timer is not None and self._timer.expired()
            self._end_row(spec.id, "limit" if timed_out else "stopped")
            raise
        except LimitReachedError as error:
            if error.limit not in TURNS:
                self.limit_seen(error)
            self._end_row(spec.id, "limit", error)
            raise
        except RLMError as error:
            self._end_row(spec.id, "failed", error)
            raise
        except Exception as error:
            wrapped = AgentFailedError(
                f"Agent `{spec.id}` failed inside the engine: {type(error).__name__}: {error}. This is a bug: "
                "please report it with the run's log."
            )
            self._end_row(spec.id, "failed", wrapped)
            raise wrapped from error
        self._end_row(spec.id, "done")
        if agent.kernel is not None:
            agent.kernel.bridge.fail_pending("stopped", f"Agent `{spec.id}` has given its answer.")
        return agent

    def _end_row(self, agent_id: str, status: ev.RunStatus, error: RLMError | None = None) -> None:
        """Reports once how an agent ended."""
        row = self.journal.state.agents.get(agent_id)
        if row is None or row.status != "running":
            return
        agent = self.agents[agent_id]
        self.journal.emit(
            ev.AgentFinished,
            agent_id,
            status=status,
            value=agent.value.description if agent.value else None,
            error=error.message if error else None,
        )
        self.completions.agent_ended(agent_id)
        self.kept.agent_ended(agent)

    async def _halt(self, agent: AgentLoop, task: asyncio.Task[None]) -> None:
        """End an agent's work: its requests, its children, its cell. What it has stays."""
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)
        kernel = agent.kernel
        if kernel is not None and kernel.alive:
            kernel.bridge.fail_pending("stopped", "The run was stopped.")
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_STOP_SECONDS):
                    await kernel.interrupt()

    # ---- sub-agents

    def next_child(self, parent: str) -> str:
        """Returns the id of the next agent below another one."""
        number = self._children[parent] = self._children.get(parent, 0) + 1
        return f"{parent}.{number}"

    async def run_agent(self, spec: AgentSpec) -> AgentLoop:
        """Run an agent that the engine itself wants, to its end.

        Raises:
            RLMError: why there is no answer.
        """
        try:
            return await self._work(self._admit(spec))
        except asyncio.CancelledError:
            if not _cancelled_here():
                raise RunStoppedError(f"Agent `{spec.id}` was stopped by the user.") from None
            raise

    def value_of(self, agent_id: str) -> Buffer | None:
        """Returns what an agent gave, or had of an answer when it ended early; None if it had none."""
        agent = self.agents.get(agent_id)
        return agent.value if agent is not None else None

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
        """Start a sub-agent and wait for its value.

        Raises:
            BridgeError: it did not give one; the error carries its partial value.
        """
        spec = AgentSpec(
            id=self.next_child(parent.id),
            parent=parent.id,
            depth=parent.spec.depth + 1,
            question=question,
            model=self.sub_model,
            context=await self.holdings.keep(context) if context is not None else None,
            schema=schema,
            name=name,
            tools={**self.sub_tools, **(tools or {})},
            mcp=mcp,
            sample=parent.spec.sample,
            levels_above=parent.spec.levels_above,
            skills=parent.spec.skills,
        )
        try:
            agent = await self._work(self._admit(spec))
        except asyncio.CancelledError:
            if not _cancelled_here():
                raise BridgeError("stopped", f"Sub-agent `{spec.id}` was stopped by the user.") from None
            raise
        except RLMError as error:
            kind = "limit" if isinstance(error, LimitReachedError) else "failed"
            partial = self.agents[spec.id].value if spec.id in self.agents else None
            fds = [partial.dup().detach()] if partial is not None else []
            raise BridgeError(
                kind, f"Sub-agent `{spec.id}` gave no answer: {error.message}", fds=fds
            ) from error
        assert agent.value is not None
        return agent.value

    def retry(self, agent_id: str) -> str:
        """Ask a sub-agent's question again, of a new one beside it; return the new one's id.

        Its parent has gone on without it: the new one's value is there to be pulled.

        Raises:
            LimitReachedError: the limits of the run leave no room for another agent; the tree says so too.
        """
        old = self.agents[agent_id].spec
        assert old.parent is not None
        number = self._children.get(old.parent, 0) + 1
        spec = replace(old, id=f"{old.parent}.{number}")
        try:
            agent = self._admit(spec)
        except LimitReachedError as error:
            refusal = retry_refused(agent_id, error)
            self.journal.emit(ev.Notice, agent_id, text=refusal.message)
            raise refusal from error
        self._children[old.parent] = number
        self.journal.emit(ev.Command, agent_id, name="retry", detail=spec.id)
        self._retried.add(spec.id)
        self._asked_again += 1
        task = asyncio.create_task(self._work_again(agent))
        self._again.add(task)
        task.add_done_callback(self._again.discard)
        return spec.id

    async def _work_again(self, agent: AgentLoop) -> None:
        """Run an agent whose failure is nobody's but its own; its row tells of it."""
        try:
            with contextlib.suppress(RLMError, asyncio.CancelledError):
                await self._work(agent)
        finally:
            self._asked_again -= 1
        if self.ended:
            await self._close_servers()

    def may_ask(self, agent_id: str) -> bool:
        """Whether an agent may still cause completions: while it works, and its run goes on or was retried."""
        row = self.journal.state.agents.get(agent_id)
        if row is not None and row.status != "running":
            return False  # threads that its code left behind go on
        again = any(agent_id == root or agent_id.startswith(f"{root}.") for root in self._retried)
        return not self.ended or again

    async def restore_kernel(self, agent: Agent) -> None:
        """Give an agent that has ended a kernel again, if its last one ended because there were many."""
        async with self._restoring:
            if not self._closed and await kernel_setup.restore_kernel(agent):
                self.kept.agent_ended(agent)

    # ---- commands

    def stop(self, agent_id: str | None = None) -> None:
        """Stop an agent and all below it; the whole run for None."""
        agent_id = agent_id or "0"
        self._stopped.add(agent_id)
        self.journal.emit(ev.Command, agent_id, name="stop")
        task = self._tasks.get(agent_id)
        if task is not None and not task.done():
            task.cancel()

    def set_limits(self, limits: Limits) -> None:
        """Put other limits in place while the run goes on."""
        if self.limit is not None and getattr(limits, self.limit.limit) != getattr(
            self.limits, self.limit.limit
        ):
            self.limit = None  # it was reached, and is another now
        self.limits = limits
        self.ledger.raise_limits(limits)
        if self._timer is not None and not self._timer.expired():
            left = self.ledger.left("0").seconds
            with contextlib.suppress(RuntimeError):  # the root has ended, and its agents are being cleared up
                self._timer.reschedule(None if left is None else asyncio.get_running_loop().time() + left)

    def unknown_prices(self) -> list[str]:
        """Name the models of which it is not known what they cost."""
        return [
            model.name
            for model in (self.model, self.sub_model, self.strong_model)
            if model is not None and self.completions.price_of(model) is None
        ]

    async def close(self) -> None:
        """Drop the kernels and the buffers; the tree and the log stay."""
        self._closed = True
        await self._end_all()
        await self.servers.close()
        await self.pool.close_run(self.run)
        for agent in self.agents.values():
            if agent.kernel is not None:
                self.kept.forget(agent.kernel)
            agent.kernel = None
        self._tasks.clear()
        self.holdings.close()

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the values and the kernels of agents that have ended hold."""
        kernels = sum(self.kept.size_of(agent.kernel) for agent in list(self.agents.values()))
        return self.store.in_memory + kernels

    def dismantle(self) -> None:
        """Let go of the agents and their chats: nobody can reach them any more. Safe from any thread."""
        for agent in list(self.agents.values()):
            agent.dismantle()
        self.agents.clear()


def _loop_of(spec: AgentSpec) -> type[AgentLoop]:
    if spec.mapping is not None:
        return OperatorLoop if isinstance(spec.mapping, TableOperator) else MapLoop
    if spec.samples is not None:
        return SampleLoop
    return AgentLoop if spec.plain is None else PlainLoop


def _cancelled_here() -> bool:
    """Whether it is the awaiting task that was cancelled, rather than the agent's task that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
