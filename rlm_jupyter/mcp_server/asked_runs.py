"""Questions about a source, each a run of its own: priced, in the agents' sandbox, stopped when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.run.batch import started
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.errors import RLMError
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.settings import Limits
from rlm_jupyter.text import units as fmt

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.mcp_server.opened_file import OpenedFile
    from rlm_jupyter.rlm import RLM

MOST_AT_ONCE = 4
_LONGEST_QUESTION = 16_000
_TICK = 0.1
_EVERY = 0.5
"""Seconds from one progress notification to the next, at least."""

Progress = Callable[[float, str], Awaitable[None]]
"""Tells a client how far a run is: a number that grows, and words."""


@dataclass
class AskedRun:
    """A run of a client.

    Attributes:
        id: what the client calls it.
        handle: of the source that it is about.
        run: of this package.
        file: the source, which the answer's passages stand in.
        place: of a file that agents read themselves, because it is large: see `OpenedFile.place`.
        exchanged: whether another file may have been in its place, so that nothing of the answer is handed out.
    """

    id: str
    handle: str
    run: Run
    file: OpenedFile
    place: int | None = None
    exchanged: bool = False

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.run.done

    def look_for_exchange(self) -> None:
        """Stop the run if the file that its agents read is not in its place any more."""
        if self.place is not None and not self.exchanged and self.file.place() != self.place:
            self.exchanged = True
            self.run.stop()

    def close(self) -> None:
        """Stop it, and end its kernels in the background."""
        self.run.stop()
        self.run.begin_close()

    def spent(self) -> dict[str, Any]:
        """Returns what it is and what it took so far."""
        with self.run.lock:
            tree = self.run.tree
            return {
                "run": self.id,
                "handle": self.handle,
                "status": tree.status,
                "cost_usd": tree.cost,
                "agents": len(tree.agents),
                "completions": tree.calls,
                "tokens": tree.input_tokens + tree.output_tokens,
            }


class Questions:
    """Starts runs, so many at once.

    Args:
        make_rlm: makes the `RLM` that asks, when the first question comes.
    """

    def __init__(self, make_rlm: Callable[[], RLM]) -> None:
        self._make_rlm = make_rlm
        self._rlm: RLM | None = None
        self._making = asyncio.Lock()
        self._at_work = 0

    async def rlm(self) -> RLM:
        """Returns the `RLM`; makes it the first time.

        Raises:
            ConfigError: a setting of the command line cannot work.
        """
        async with self._making:
            if self._rlm is None:
                self._rlm = await asyncio.to_thread(self._make_rlm)
            return self._rlm

    async def ask(
        self,
        run_id: str,
        handle: str,
        file: OpenedFile,
        question: str,
        *,
        max_cost: float | None,
        schema: dict[str, Any] | None,
        keep: Callable[[AskedRun], None],
        progress: Progress,
    ) -> AskedRun:
        """Ask a question about a source, and wait for the answer; a cancelled request stops the run.

        Args:
            run_id: what the client will call the run.
            handle: of the source.
            file: the source.
            question: verbatim.
            max_cost: USD, if less than the server allows.
            schema: of the answer: JSON Schema.
            keep: is handed the run as soon as there is one.
            progress: is told how far it is.

        Raises:
            RequestRefusedError: too many questions at once, or one that cannot be asked.
            RLMError: the run could not be started.
        """
        if self._at_work >= MOST_AT_ONCE:
            raise RequestRefusedError(
                f"{MOST_AT_ONCE} questions are being answered, and no more at once are allowed: ask again later."
            )
        if not question.strip() or len(question) > _LONGEST_QUESTION:
            raise RequestRefusedError(f"A question has 1 to {_LONGEST_QUESTION:,} characters.")
        self._at_work += 1
        try:
            rlm = await self.rlm()
            limits = _limits(rlm, max_cost)
            # As of an agent: bounded in size, in what a check takes, and nothing outside of it is fetched.
            checked = (
                None if schema is None else await asyncio.to_thread(AnswerSchema, schema, from_agent=True)
            )
            place = file.place()
            name, data = await asyncio.to_thread(file.data)
            names = () if name == "path" else (name,)
            run = await started(
                partial(rlm.start, question, data, names=names, schema=checked, limits=limits)
            )
            asked = AskedRun(run_id, handle, run, file, place if name == "path" else None)
            keep(asked)
            await _watch(asked, progress)
            return asked
        finally:
            self._at_work -= 1


def _limits(rlm: RLM, max_cost: float | None) -> Limits:
    if max_cost is None:
        return rlm.limits
    if not max_cost > 0:
        raise RequestRefusedError("`max_cost` is more than 0: USD that the answer may cost.")
    allowed = rlm.limits.cost
    return Limits.of(rlm.limits, cost=max_cost if allowed is None else min(max_cost, allowed))


async def _watch(asked: AskedRun, progress: Progress) -> None:
    """Wait for the end of a run and tell how far it is; stop it if the request is cancelled."""
    told, last = 0.0, ""
    waited = _EVERY
    try:
        while not asked.done:
            asked.look_for_exchange()
            spent = asked.spent()
            words = _words(spent)
            if waited >= _EVERY and words != last:
                told, last, waited = told + 1, words, 0.0
                await progress(told, words)
            await asyncio.sleep(_TICK)
            waited += _TICK
    except BaseException:
        asked.run.stop()
        raise
    asked.look_for_exchange()
    await progress(told + 1, _words(asked.spent()))


def _words(spent: dict[str, Any]) -> str:
    cost = "cost unknown" if spent["cost_usd"] is None else fmt.money(spent["cost_usd"])
    agents, calls = fmt.amount(spent["agents"], "agent"), fmt.amount(spent["completions"], "completion")
    return f"{spent['status']}: {agents}, {calls}, {cost}"


def error_of(asked: AskedRun) -> str | None:
    """Returns why there is no whole answer; None if there is one."""
    error: RLMError | None = asked.run.error
    return None if error is None else f"{type(error).__name__}: {error.message}"
