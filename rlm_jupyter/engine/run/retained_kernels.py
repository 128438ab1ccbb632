"""Kernels of agents that have ended: they stay for pulls and cells, and the oldest end when they are too many.

Too many by memory: then what is large in them is lost. Or by number: then only those end of which nothing is lost,
since each process costs memory and slows the start of others; a cell that is run there later gets a new kernel with
the same variables.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.confinement.process_usage import own_memory
from rlm_jupyter.system import machine_memory

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.values.buffer import Buffer

_SAVED_BYTES = 64 << 20
"""Of one kernel's variables, which are saved before it ends."""
_SAVED_VARIABLES = 50
_SAVE_SECONDS = 10.0
_REST_SECONDS = 1.0
"""After an agent's end, until kernels end because there are many: whoever goes on has the processor."""
_LOSSY = 4
"""How many times more kernels than are wanted may stay because something of them would be lost."""


class KeptKernels:
    """The kernels of ended agents of all runs of this process. Lives on the engine's loop.

    The order is that of their last use. The newest always stays, whatever it holds: it is what was just asked for.
    """

    def __init__(self) -> None:
        self._sizes: dict[AgentKernel, tuple[Agent, int]] = {}
        self._used: Counter[AgentKernel] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._making_room = asyncio.Lock()
        self._lossy: set[AgentKernel] = set()
        self._last_end = 0.0
        self._thinning: asyncio.Task[None] | None = None

    def agent_ended(self, agent: Agent) -> None:
        """Count in the kernel of an agent that has just ended, or that was just used after its end."""
        if agent.kernel is None or not agent.kernel.alive or agent.kernel.pid is None:
            return
        self._lossy.discard(agent.kernel)  # what it has may be other than it was
        _, size = self._sizes.pop(agent.kernel, (agent, 0))
        self._sizes[agent.kernel] = (agent, size)
        task = asyncio.create_task(self._count(agent, agent.kernel, agent.kernel.pid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, kernel: AgentKernel) -> None:
        """Leave a kernel alone from now on: it serves another agent, or ends."""
        self._sizes.pop(kernel, None)
        self._lossy.discard(kernel)

    def size_of(self, kernel: AgentKernel | None) -> int:
        """Return how many bytes a kernel holds alone, as far as that is known. Safe from any thread."""
        known = self._sizes.get(kernel) if kernel is not None else None
        return known[1] if known is not None else 0

    @contextlib.contextmanager
    def using(self, agent: Agent, kernel: AgentKernel) -> Iterator[None]:
        """Keep a kernel from being ended meanwhile; afterwards it is the newest."""
        self._used[kernel] += 1
        try:
            yield
        finally:
            self._used[kernel] -= 1
            if not self._used[kernel]:
                del self._used[kernel]
            if kernel in self._sizes:
                self.agent_ended(agent)

    async def _count(self, agent: Agent, kernel: AgentKernel, pid: int) -> None:
        size = await in_thread(own_memory, pid)
        if kernel not in self._sizes:
            return  # a follow-up goes on with it
        self._sizes[kernel] = (agent, size)
        limit = agent.services.settings.kernel_memory
        async with self._making_room:
            await self._make_room(machine_memory() // 4 if limit is None else limit)
        self._last_end = asyncio.get_running_loop().time()
        if self._thinning is None or self._thinning.done():
            self._thinning = asyncio.create_task(self._thin_out())

    async def _thin_out(self) -> None:
        """Once it is quiet, end kernels of sub-agents, the oldest first, until no more are left than may stay."""
        clock = asyncio.get_running_loop().time
        while (rest := self._last_end + _REST_SECONDS - clock()) > 0:
            if self._surplus(_LOSSY) > 0:
                break
            await asyncio.sleep(rest)
        async with self._making_room:
            for times in (1, _LOSSY):
                for kernel in self._of_sub_agents():
                    if self._surplus(times) <= 0:
                        break
                    if (
                        kernel in self._sizes
                        and not self._used[kernel]
                        and (times > 1 or kernel not in self._lossy)
                    ):
                        await self._end_surplus(kernel, whole=times == 1)

    def _drop_dead(self) -> None:
        self._sizes = {kernel: known for kernel, known in self._sizes.items() if kernel.alive}
        self._lossy &= self._sizes.keys()

    def _of_sub_agents(self) -> list[AgentKernel]:
        self._drop_dead()
        return [kernel for kernel, (agent, _) in self._sizes.items() if not agent.spec.is_root]

    def _surplus(self, times: int) -> int:
        """Return how many kernels of sub-agents are more than may stay, by the settings of the last agent."""
        kernels = self._of_sub_agents()
        if not kernels:
            return 0
        return len(kernels) - times * self._sizes[kernels[-1]][0].services.settings.kept_kernels

    async def _end_surplus(self, kernel: AgentKernel, *, whole: bool) -> None:
        """End a kernel because there are many.

        Args:
            kernel: of a sub-agent that has ended.
            whole: leave it alone if something of it would be lost.
        """
        agent, size = self._sizes[kernel]
        names = set(agent.services.journal.state.agents[agent.id].variables)
        saved = await self._save(agent, kernel)
        if whole and not names <= saved.keys():
            self._lossy.add(kernel)
            return
        if kernel not in self._sizes or self._used[kernel] or agent.calls.agent is not agent:
            return  # somebody was quicker
        del self._sizes[kernel]
        await self._dismiss(agent, kernel, saved, bytes=size, kernels=agent.services.settings.kept_kernels)

    async def _make_room(self, limit: int) -> None:
        """End kernels, the oldest first, until all together hold no more than `limit` bytes."""
        self._drop_dead()
        for kernel in list(self._sizes)[:-1]:
            total = sum(size for _, size in self._sizes.values())
            if total <= limit:
                return
            if kernel in self._sizes and not self._used[kernel]:
                await self._end(kernel, total, limit)

    async def _end(self, kernel: AgentKernel, total: int, limit: int) -> None:
        """Save what can be saved of a kernel, end it, and tell."""
        agent, size = self._sizes.pop(kernel)
        saved = await self._save(agent, kernel)
        if agent.calls.agent is not agent:
            return  # a follow-up was quicker
        await self._dismiss(agent, kernel, saved, bytes=size, held=total, limit=limit)

    async def _dismiss(self, agent: Agent, kernel: AgentKernel, saved: dict[str, Buffer], **why: int) -> None:
        agent.kernel = None
        kept = []
        for name, buffer in saved.items():
            with contextlib.suppress(BridgeError):  # no room for it, on the disk either
                agent.services.holdings.saved[agent.id, name] = await agent.services.holdings.keep(buffer)
                kept.append(name)
        variables = agent.services.journal.state.agents[agent.id].variables
        lost = tuple(name for name in variables if name not in kept)
        agent.services.journal.emit(ev.KernelEnded, agent.id, saved=tuple(kept), lost=lost, **why)
        agent.services.holdings.tell()
        await kernel.stop()

    async def _save(self, agent: Agent, kernel: AgentKernel) -> dict[str, Buffer]:
        """Take over the variables that have a safe form and are not large."""
        room = _SAVED_BYTES
        saved: dict[str, Buffer] = {}
        variables = agent.services.journal.state.agents[agent.id].variables
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_SAVE_SECONDS):
                for name, description in list(variables.items())[:_SAVED_VARIABLES]:
                    size = description.get("bytes")
                    if not isinstance(size, int) or size > room:
                        continue
                    try:  # with figures pickled beside their safe form: a kernel that goes on gets them as they were
                        buffer = await kernel_setup.export(kernel, name, trust=True)
                    except BridgeError:
                        continue
                    if buffer.size > room or buffer.kind != "safe":
                        buffer.close()
                        continue
                    room -= buffer.size
                    saved[name] = buffer
        return saved


@functools.cache
def kept_kernels() -> KeptKernels:
    """Returns this process's one list of them: all runs share its memory."""
    return KeptKernels()
