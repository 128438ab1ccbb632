"""What the agents of tables have in common: requests at once that are measured, consent, and a table that is kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.chat_size import window
from rlm_jupyter.engine.agent.loop import AgentLoop
from rlm_jupyter.engine.mapping.last_replies import LastReplies, end_tasks
from rlm_jupyter.engine.mapping.map_estimate import Measured, Progress
from rlm_jupyter.engine.mapping.packing import PackLimits
from rlm_jupyter.engine.mapping.refused_calls import RefusedCalls
from rlm_jupyter.errors import ContextError, LimitReachedError
from rlm_jupyter.events import events as ev
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.completions.sent_request import SentRequest
    from rlm_jupyter.models.base import Completion, Message

REQUESTS_AT_ONCE = 16
"""Of a table, where the limit `concurrency` allows more."""

Job = Callable[[], Awaitable[None]]


@dataclass
class TableLoop(AgentLoop):
    """An agent that makes a table by many requests, without code of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls = RefusedCalls(self)
        self._measured = Measured()
        self._progress = Progress()
        self._last_replies = LastReplies()
        self._began = time.time()

    def frame(self) -> pd.DataFrame:
        """Returns the table so far."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """How much is done, in words."""
        raise NotImplementedError

    @property
    def own_value(self) -> Any:
        """The table so far, as an object of this process."""
        return self.frame()

    def _say_origin(self, frame: pd.DataFrame, question: str, prompt: str) -> None:
        """Let a table's `attrs` say where it comes from."""
        with self.services.journal.lock:
            tree = self.services.journal.state
            spent = {"cost": tree.cost, "tokens": tree.input_tokens + tree.output_tokens}
        frame.attrs.update(
            model=self.spec.model.name,
            question=question,
            prompt=prompt,
            run=self.services.run,
            when=time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self._began)),
            **spent,
        )

    def _pack_limits(self, per: int | None) -> PackLimits:
        settings = self.services.settings
        return PackLimits.within(
            per,
            most_reply=settings.sub_completion_tokens or settings.completion_tokens,
            window=window(self.services, self.spec.model, root=False),
        )

    def _at_once(self, most: int = REQUESTS_AT_ONCE) -> int:
        return max(1, min(most, self.services.limits.concurrency or most))

    async def _do(self, jobs: Iterable[Job], at_once: int) -> None:
        """Do jobs, some at once. After a failure none is begun, and those under way end: they are paid for."""
        left = iter(jobs)
        failures: list[Exception] = []

        async def take_turns() -> None:
            for job in left:
                try:
                    await job()
                except Exception as error:
                    failures.append(error)
                if failures:
                    return

        turns = {asyncio.create_task(take_turns()) for _ in range(at_once)}
        try:
            await asyncio.wait(turns)
        except asyncio.CancelledError:
            await end_tasks(turns)
            raise
        if failures:
            limits = [error for error in failures if isinstance(error, LimitReachedError)]
            raise (limits or failures)[0]

    async def _ask(self, messages: Sequence[Message], *, again: bool) -> Completion:
        """Send one request on this agent's account."""
        began, requests = time.monotonic(), self.services.journal.state.cached

        def ask(sent: SentRequest) -> Coroutine[Any, Any, Completion]:
            purpose: ev.Purpose = "repair" if again else "llm_query"
            completions = self.services.completions
            return completions.ask(self.id, self.spec.model, messages, purpose=purpose, turn=0, sent=sent)

        completion = await self._last_replies.reply(ask)
        cached = self.services.journal.state.cached > requests
        self._measured.add(messages, completion, None if cached else time.monotonic() - began)
        return completion

    async def _consent(self, text: str) -> None:
        """Wait until the user wants to go on, who is told what the rest will cost."""
        self.services.journal.emit(ev.Notice, text=text)
        self._progress.pause()
        try:
            await self.services.gate.confirm(self.id, text)
        finally:
            self._progress.resume()

    def _keep(self) -> None:
        """Keep the table as the agent's value, for the tree and for pulls."""
        with contextlib.suppress(ContextError):  # of an index whose values cannot leave this process
            self.value = Buffer.encode(self.frame(), rows=self.services.settings.sample_rows)
            self.services.store.share(self.value)
            self.services.journal.emit(
                ev.ValueReturned,
                self.id,
                description=self.value.description,
                bytes=self.value.size,
                place=self.value.place,
            )
