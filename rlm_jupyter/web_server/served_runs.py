"""The runs of the server: so many at once, the newest kept, each with what happened in it, to be told again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.run.batch import started
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.errors import RLMError
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.mcp_server.bounded_answers import bounded, part_of
from rlm_jupyter.mcp_server.client_sessions import new_id
from rlm_jupyter.mcp_server.hidden_paths import without_any_path, without_paths
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.settings import Limits
from rlm_jupyter.user_questions.audience import unattended
from rlm_jupyter.views import text_tree

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.rlm import RLM

MOST_AT_ONCE = 4
MOST_KEPT = 32
LONGEST_QUESTION = 16_000
_MOST_EVENTS = 1000
_TICK = 0.1
_EVERY = 0.4
"""Seconds from one event of a run's progress to the next, at least."""
_MOST_AGENTS = 60
_MOST_TREE = 20_000

Told = tuple[int, str, dict[str, Any]]
"""Number, kind and content of an event."""


class ServedRun:
    """A run, and what clients are told of it.

    Args:
        id: what clients call it.
        run: of this package.
        names: paths, and what is told in their place.

    Attributes:
        events: the newest; numbers go on where older ones were left out.
    """

    def __init__(self, id: str, run: Run, names: list[tuple[str, str]]) -> None:  # noqa: A002 - as it is called
        self.id = id
        self.run = run
        self._names = names
        self.events: deque[Told] = deque(maxlen=_MOST_EVENTS)
        self._number = 0
        self._news = asyncio.Condition()
        self.ended = False

    def plain(self, told: Any) -> Any:
        """Returns what is told without any path of this machine."""
        return without_paths(told, self._names)

    def spent(self) -> dict[str, Any]:
        """Returns what it is and what it took so far."""
        with self.run.lock:
            tree = self.run.tree
            return {
                "run": self.id,
                "question": tree.question,
                "status": tree.status,
                "cost_usd": tree.cost,
                "agents": len(tree.agents),
                "completions": tree.calls,
                "input_tokens": tree.input_tokens,
                "output_tokens": tree.output_tokens,
            }

    def tree(self) -> str:
        """Returns the tree as text, as far as it has grown."""
        with self.run.lock:
            drawn = text_tree.tree(self.run.tree, max_agents=_MOST_AGENTS, at=time.time(), with_card=False)
        return without_any_path(str(self.plain(drawn)))[:_MOST_TREE]

    def answer(self) -> dict[str, Any]:
        """Returns what it answers: the beginning of a large value; `value` has the rest."""
        error: RLMError | None = self.run.error
        told: dict[str, Any] = {**self.spent(), "answer": None, "error": None}
        if error is not None:
            told["error"] = without_any_path(str(self.plain(f"{type(error).__name__}: {error.message}")))
        if not self.run.done:
            return told
        try:
            made = bounded(self.run.value)
        except RLMError as missing:
            problem = without_any_path(str(self.plain(f"{type(missing).__name__}: {missing.message}")))
            return {**told, "error": told["error"] or problem}
        told |= {"answer": made["value"], "whole": made["whole"], "type": made["type"]}
        return dict(self.plain(told))

    def value(self, path: str, start: int) -> dict[str, Any]:
        """Returns a part of its value.

        Raises:
            RequestRefusedError: it has not ended, or there is no such part.
        """
        if not self.run.done:
            raise RequestRefusedError("The run goes on: `GET /runs/ID` says how far it is.")
        if start < 0:
            raise RequestRefusedError("`start` is 0 or more.")
        made = bounded(part_of(self.run.value, path), start=start)
        return dict(self.plain({"run": self.id, "path": path, **made}))

    # ---- what happens in it

    async def watch(self) -> None:
        """Note how far it is until it has ended, and then what it answers."""
        last, waited = "", _EVERY
        while not self.run.done:
            if waited >= _EVERY:
                waited = 0.0
                drawn = self.tree()
                if drawn != last:
                    last = drawn
                    await self._tell("progress", {**self.spent(), "tree": drawn})
            await asyncio.sleep(_TICK)
            waited += _TICK
        answer = await in_thread(self.answer)
        await self._tell("progress", {**self.spent(), "tree": self.tree()})
        self.ended = True
        await self._tell("answer" if answer["error"] is None else "error", answer)

    async def _tell(self, kind: str, told: dict[str, Any]) -> None:
        async with self._news:
            self._number += 1
            self.events.append((self._number, kind, told))
            self._news.notify_all()

    async def after(self, number: int) -> AsyncIterator[Told]:
        """Yields the events after a number, and those that come, until the last one.

        Args:
            number: of the last event that a client has; 0 for all.
        """
        while True:
            async with self._news:
                while not (fresh := [event for event in self.events if event[0] > number]) and not self.ended:
                    await self._news.wait()
            for event in fresh:
                number = event[0]
                yield event
            if self.ended and number >= self._number:
                return

    def close(self) -> None:
        """Stop it, and end its kernels in the background."""
        self.run.stop()
        self.run.begin_close()


class ServedRuns:
    """All runs.

    Args:
        make_rlm: makes the `RLM` that asks, when the first question comes.
    """

    def __init__(self, make_rlm: Callable[[], RLM]) -> None:
        self._make_rlm = make_rlm
        self._rlm: RLM | None = None
        self._making = asyncio.Lock()
        self._runs: dict[str, ServedRun] = {}
        self._starting = 0
        self._watching: set[asyncio.Task[None]] = set()

    async def rlm(self) -> RLM:
        """Returns the `RLM`; makes it the first time.

        Raises:
            ConfigError: a setting of the command line cannot work.
        """
        async with self._making:
            if self._rlm is None:
                self._rlm = await asyncio.to_thread(self._make_rlm)
            return self._rlm

    def get(self, run_id: str) -> ServedRun:
        """Returns a run.

        Raises:
            RequestRefusedError: there is none, or none any more.
        """
        found = self._runs.get(run_id)
        if found is None:
            raise RequestRefusedError(f"There is no such run; the newest {MOST_KEPT} are kept.")
        return found

    def all(self) -> list[ServedRun]:
        """Returns the runs that are kept, the oldest first."""
        return list(self._runs.values())

    async def start(
        self,
        question: object,
        data: Mapping[str, Path | object],
        *,
        names: list[tuple[str, str]],
        schema: object = None,
        max_cost: object = None,
        at_end: Callable[[], None] = lambda: None,
    ) -> ServedRun:
        """Ask a question.

        Args:
            question: verbatim.
            data: what agents are handed, by the names of their variables; empty for none.
            names: paths, and what is told in their place.
            schema: JSON Schema of the answer; None for any.
            max_cost: USD that it may cost, if less than the server allows; None for that.
            at_end: called when it has ended.

        Raises:
            RequestRefusedError: too many questions at once, or one that cannot be asked.
            RLMError: the run could not be started.
        """
        if not isinstance(question, str) or not question.strip() or len(question) > LONGEST_QUESTION:
            raise RequestRefusedError(f"`question` is a text of 1 to {LONGEST_QUESTION:,} characters.")
        if schema is not None and not isinstance(schema, dict):
            raise RequestRefusedError("`schema` is a JSON Schema: an object.")
        if self._starting + sum(not run.run.done for run in self._runs.values()) >= MOST_AT_ONCE:
            raise RequestRefusedError(
                f"{MOST_AT_ONCE} questions are being answered, and no more at once are allowed: ask again later.",
                reason="busy",
            )
        self._starting += 1
        try:
            rlm = await self.rlm()
            limits = _limits(rlm, max_cost)
            # As of an agent: bounded in size, in what a check takes, and nothing outside of it is fetched.
            checked = (
                None if schema is None else await asyncio.to_thread(AnswerSchema, schema, from_agent=True)
            )
            given: Any = None if not data else next(iter(data.values())) if len(data) == 1 else dict(data)
            ask = partial(rlm.start, question, given, names=list(data), schema=checked, limits=limits)
            with unattended():
                run = await started(ask)
        finally:
            self._starting -= 1
        served = ServedRun(new_id("run"), run, names)
        self._keep(served)
        task = asyncio.create_task(self._watch(served, at_end))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return served

    async def _watch(self, served: ServedRun, at_end: Callable[[], None]) -> None:
        try:
            await served.watch()
        finally:
            at_end()

    def _keep(self, served: ServedRun) -> None:
        self._runs[served.id] = served
        ended = [run for run in self._runs.values() if run.ended]
        for oldest in ended[: max(0, len(self._runs) - MOST_KEPT)]:
            del self._runs[oldest.id]
            oldest.close()

    def close(self) -> None:
        """Stop all, and end their kernels."""
        for task in self._watching:
            task.cancel()
        for run in self._runs.values():
            run.close()
        self._runs.clear()


def _limits(rlm: RLM, max_cost: object) -> Limits:
    if max_cost is None:
        return rlm.limits
    if isinstance(max_cost, bool) or not isinstance(max_cost, (int, float)) or not max_cost > 0:
        raise RequestRefusedError("`max_cost` is more than 0: USD that the answer may cost.")
    allowed = rlm.limits.cost
    return Limits.of(rlm.limits, cost=float(max_cost) if allowed is None else min(float(max_cost), allowed))
