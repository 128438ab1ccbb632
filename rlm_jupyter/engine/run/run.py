"""`Run`: one question, as the notebook sees it. Usable from any thread while the engine works on its own."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_jupyter.engine.agent.handle import AgentHandle, Agents
from rlm_jupyter.engine.run.answer_excerpt import excerpt_of
from rlm_jupyter.engine.run.answer_proof import AnswerFunction, code_of_run, function_of_run
from rlm_jupyter.engine.run.batch import started
from rlm_jupyter.engine.run.engine_thread import EngineThread
from rlm_jupyter.engine.run.run_answer import RunAnswer
from rlm_jupyter.engine.run.run_samples import SampledAnswer
from rlm_jupyter.errors import ConfigError, RLMError, RunStoppedError, UnknownPriceError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.models.base import ChatModel, Message, Usage
from rlm_jupyter.settings import Limits

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.answer_code.answer_code import AnswerCode
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.event_log import EventLog
    from rlm_jupyter.engine.run.run_arguments import RunArguments
    from rlm_jupyter.events.tree_state import TreeState

T = TypeVar("T")


_STOP_SECONDS = 12.0  # a map waits for the replies that it has paid for
_FIRST_SETTLE_SECONDS = 1.0
_SETTLE_SECONDS = 4.0
"""How long the end of a run waits for a slow disk, before and after it is told."""
_END_SECONDS = 15.0
_CLOSE_SECONDS = 40.0
"""How long closing waits for the run's end, and as long for its kernels; and for all together."""
_TICK = 0.1  # an awaited cell is interrupted only when its loop wakes (ipykernel issue 881)


class Run(SampledAnswer):
    """One question and what came of it: value, status, spend, agents, events.

    Made by `RLM.run`, `RLM.start` and `%%rlm`. It keeps its agents' kernels until `close`, so that every
    variable of every agent can be pulled.

    Attributes:
        id: the run's id; the log is named after it.
        question: verbatim.
        lock: hold it to read more than one field of `tree` while the run goes on.
        log_path: the JSONL log; None if none is written.
        error: why there is no whole answer; None while it runs and where there is one.
        arguments: how it was started, for follow-up questions.
        continued_by: the id of the run that went on with its root kernel.
    """

    def __init__(
        self,
        conductor: Conductor,
        root: AgentSpec,
        engine: EngineThread,
        *,
        log: EventLog | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
        arguments: RunArguments | None = None,
    ) -> None:
        self.id = conductor.run
        self.question = root.question
        self._conductor = conductor
        self._journal = conductor.journal
        self.lock = self._journal.lock
        self._ended = threading.Event()
        self._answer = RunAnswer(conductor, root.schema)
        self._log = log
        self.log_path = log.path if log is not None else None
        self.error: RLMError | None = None
        self._engine = engine
        self.arguments = arguments
        self.continued_by: str | None = None
        self._root: AgentSpec | None = root
        self._release = release
        self._closing: Future[None] | None = None
        self._closing_lock = threading.Lock()
        # What it knows only together with others, such as prompts, goes at once when it does, and not with the next
        # collection of cycles, which large texts do not hasten.
        weakref.finalize(self, conductor.dismantle).atexit = False

    # ---- what can be read of it: tree, status, spend, value

    @property
    def agents(self) -> Mapping[str, AgentHandle]:
        """The agents by id, in the order in which they started."""
        return Agents(self, self._conductor, self._engine)

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
        return self._answer.description

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
        try:
            return self._answer.load(trust=trust, final=self.done)
        except RLMError as error:
            error.run = self
            raise

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that its values and the kernels of its agents hold, as far as that is known."""
        return self._answer.held_bytes + self._conductor.held_bytes

    def messages(self, agent: str = "0") -> list[Message]:
        """Returns exactly what was sent to the model for an agent, and its replies.

        Raises:
            AgentNotFoundError: there is no such agent.
        """
        return self.agents[agent].messages

    def frame(self, table: str) -> pd.DataFrame:
        """Returns a table of the run so far as a DataFrame; `docs/frames.md` describes the columns.

        Args:
            table: `agents`, `turns`, `calls`, `variables`, or `runs` (one row).

        Raises:
            ConfigError: there is no such table, or pandas is not installed.
        """
        from rlm_jupyter.events.table_frames import frame_of

        with self.lock:
            return frame_of([self.tree], table)

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

    # ---- the code behind the answer

    def code(self, *, prove: bool = True) -> AnswerCode:
        """Returns the code on which the answer rests: a text that runs, with nothing of rlm_jupyter in it.

        Args:
            prove: run it again in a fresh kernel, on the same data, and compare its value with the run's.

        Raises:
            ConfigError: the run still goes on.
            NoAnswerCodeError: there is no such code, with the reason.
        """
        return code_of_run(self, self._conductor, self._engine, prove=prove)

    def function(self) -> AnswerFunction:
        """Returns that code as a function of the data, which runs in a fresh kernel and asks no model.

        Raises:
            ConfigError, NoAnswerCodeError: as `code`; or the code does not give the run's value.
        """
        return function_of_run(self, self._conductor, self._engine)

    # ---- asking on

    def ask(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask a follow-up question, and block until there is an answer.

        The root agent goes on with its chat, its kernel and all its variables; limits begin anew. It is a run
        of its own, which this one's root kernel moves to.

        Args:
            question: verbatim.
            context: more data; the earlier data stays.
            options: as of `RLM.start`: `names`, `schema`, `tools`, `mcp`, `limits`, `step`, `on_event`.

        Raises:
            ConfigError: this run still runs, or was continued already.
            KernelDiedError: its root kernel is gone.
            RLMError: there is no whole answer; the error's `.run` has what there is.
        """
        return self.follow_up(question, context, **options).wait_interruptibly().raise_for_error()

    async def aask(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask a follow-up question, and await the answer; see `ask`. Data is encoded on a thread meanwhile."""
        run = await started(partial(self.follow_up, question, context, **options))
        try:
            await run
        except BaseException:
            run.stop()
            raise
        return run.raise_for_error()

    def follow_up(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask a follow-up question, and return at once; see `ask`."""
        if self.arguments is None:
            raise ConfigError(
                "This run knows no way to ask on: ask by `RLM.start(..., continues=run)`.", run=self
            )
        made: Run = self.arguments.start(question, context, continues=self, **options)
        return made

    # ---- waiting

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run has ended; a failed run raises nothing here (see `error`).

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
            ConfigError: called on the engine's own thread, where it would wait for itself; or in a fork of the
                run's process, while the run goes on.
        """
        self._refuse_in_fork()
        if self._engine.inside:
            raise ConfigError("`run.wait()` cannot be called in a callback of the run: use `await run`.")
        if not self._ended.wait(timeout):
            raise TimeoutError(f"Run `{self.id}` still runs after {timeout:g} s.")
        return self

    def wait_interruptibly(self) -> Run:
        """Block until the run has ended; an interrupt stops it first.

        Raises:
            RunStoppedError: interrupted; what the agents had stays.
            ConfigError: called in a fork of the run's process, while the run goes on.
        """
        self._refuse_in_fork()
        try:
            while not self._ended.wait(_TICK):
                pass
        except KeyboardInterrupt:
            self.stop()
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait(_STOP_SECONDS)
            raise RunStoppedError(
                f"Run `{self.id}` was interrupted. What its agents had can still be pulled.", run=self
            ) from None
        return self

    def __await__(self) -> Generator[Any, None, Run]:
        return self._until_ended().__await__()

    async def _until_ended(self) -> Run:
        self._refuse_in_fork()
        while not self._ended.is_set():
            await asyncio.sleep(_TICK if self.elapsed > _TICK else 0.005)
        return self

    def _refuse_in_fork(self) -> None:
        if not self.done:
            self._engine.refuse_in_fork(f"Run `{self.id}`")

    def raise_for_error(self) -> Run:
        """Raise `error` where there is one; give the run otherwise."""
        if self.error is not None:
            self.error.run = self
            raise self.error
        return self

    def subscribe(self, listener: Callable[[ev.AnyEvent], None]) -> Callable[[], None]:
        """Call `listener` with each event from now on, on the engine's thread; give what ends it."""
        return self._journal.subscribe(listener)

    async def stream(self) -> AsyncIterator[ev.AnyEvent]:
        """Yields all events from the first on, as they come, until the run has ended."""
        self._refuse_in_fork()
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[ev.AnyEvent] = asyncio.Queue()

        def hand_over(event: ev.AnyEvent) -> None:
            with contextlib.suppress(RuntimeError):  # the listener's loop has ended
                loop.call_soon_threadsafe(queue.put_nowait, event)

        with self.lock:
            past = self.events
            unsubscribe = self.subscribe(hand_over)
        try:
            for event in past:
                yield event
            while not isinstance(past[-1] if past else None, ev.RunFinished):
                event = await queue.get()
                yield event
                past = [event]
        finally:
            unsubscribe()

    # ---- commands

    def stop(self, agent: str | None = None) -> None:
        """Stop the run, or one agent and all below it. What they had stays and can be pulled.

        Raises:
            AgentNotFoundError: there is no such agent.
            ConfigError: called in a fork of the run's process, while the run goes on.
        """
        if agent is not None:
            self.agents[agent]
        self._refuse_in_fork()
        if not self.done:
            self._engine.call_soon(lambda: self._conductor.stop(agent))

    def next(self, agent: str | None = None, code: str | None = None) -> None:
        """In step mode: let an agent's cell run (the longest waiting one), with `code` in its place.

        Raises:
            ConfigError: no agent waits.
            AgentNotFoundError: there is no such agent.
        """
        if agent is not None:
            self.agents[agent]

        async def let() -> bool:
            return self._conductor.gate.next(agent, code)

        if not self._engine.call(let(), self):
            who = f"agent `{agent}` is not" if agent else "no agent is"
            raise ConfigError(
                f"Nothing waits for Next: {who} at a step. `--step` starts a run whose cells wait."
            )

    def retry(self, agent: str) -> str:
        """Ask a sub-agent's question again, of a new sub-agent beside it; return the new one's id.

        Its parent has gone on without it: pull the new one's value, or its variables.

        Raises:
            AgentNotFoundError: there is no such agent.
            ConfigError: it is the root, it still runs, or the run was closed.
            LimitReachedError: the run's limits leave no room for another agent (`agents`, `seconds`, `depth`).
        """
        handle = self.agents[agent]
        if agent == "0" or handle.status == "running" or self.closed:
            why = "the root" if agent == "0" else "still running" if not self.closed else "of a closed run"
            raise ConfigError(
                f"Agent `{agent}` is {why}: only a sub-agent that has ended can be asked again."
            )

        async def again() -> str:
            return self._conductor.retry(agent)

        return self._engine.call(again(), self)

    @property
    def paused(self) -> bool:
        """Whether each cell waits for `next`."""
        return self._conductor.gate.step

    def pause(self) -> None:
        """Make each cell wait for `next` from now on."""
        self._engine.call_soon(self._conductor.gate.pause)

    def resume(self) -> None:
        """Let all cells run again."""
        self._engine.call_soon(self._conductor.gate.resume)

    def set_limit(self, name: str, value: float | None) -> None:
        """Change one limit while the run goes on, such as ``run.set_limit("cost", 2.0)``.

        Raises:
            ConfigError: there is no such limit, or it cannot have that value.
            UnknownPriceError: a limit in money that could not be kept.
        """
        limits = Limits.of(self._conductor.limits.model_dump(), **{name: value})
        if limits.cost is not None and (unknown := self._conductor.unknown_prices()):
            raise UnknownPriceError(
                f"The price of `{unknown[0]}` is not known, so a limit of ${limits.cost:g} could not be kept. Limit "
                "tokens instead: `run.set_limit('tokens', ...)`; or ask anew with `price=(prompt, completion)`.",
                run=self,
            )

        async def put() -> None:
            self._conductor.set_limits(limits)
            new = getattr(limits, name)
            text = "none" if new is None else f"{new:g}"
            self._journal.emit(ev.Command, name="limit", detail=f"{name}={text}")

        self._engine.call(put(), self)

    @property
    def log_is_whole(self) -> bool:
        """Whether all that happened is in the log."""
        return self._log is not None and self._log.whole

    @property
    def kernel_memory(self) -> int | None:
        """The setting: bytes that kernels of ended agents may hold; None if it was not set."""
        return self._conductor.settings.kernel_memory

    @property
    def closed(self) -> bool:
        """Whether its kernels have ended, or are just ending."""
        return self._closing is not None

    def close(self) -> None:
        """Stop what runs and drop the agents' kernels; value, tree and log stay. Twice is fine.

        In a fork of the run's process nothing happens: the run is closed where it belongs.
        """
        if self._engine.foreign:
            return
        closing = self.begin_close()
        if not self._engine.inside:
            with contextlib.suppress(TimeoutError):
                closing.result(_CLOSE_SECONDS)

    def begin_close(self) -> Future[None]:
        """Do as `close`, and return at once; the future is done when the run is closed."""
        with self._closing_lock:
            if self._closing is None:
                self._closing = self._engine.submit(self._close())
            return self._closing

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                if not self.done:
                    self._conductor.stop()
                await self._until_ended()
        await in_thread(self._answer.keep, final=self.done)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._conductor.close()
        if self._release is not None:
            await self._release()
        if self._log is not None:
            await asyncio.wait([asyncio.wrap_future(self._log.end())], timeout=_SETTLE_SECONDS)
        self._journal.close()
        if self.error is not None:
            self.error = _without_run(self.error)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Run {self.id} · {self.status} · {len(self.tree.agents)} agents>"

    # ---- on the engine's thread

    async def _conduct(self, failure: RLMError | None = None) -> None:
        """The run's life, on the engine's loop; with a `failure` it ends before it begins."""
        error: RLMError | None
        try:
            assert self._root is not None
            root, self._root = self._root, None  # which knows the run that this one goes on with
            error = failure or await self._conductor.conduct(root)
        except BaseException as unexpected:
            error = RLMError(
                f"The engine failed: {type(unexpected).__name__}: {unexpected}. This is a bug: "
                "please report it with the run's log."
            )
            error.__cause__ = unexpected
        status = _STATUS.get(type(error).__name__, "failed") if error is not None else "done"
        if error is not None:
            # Frames of the engine tell a user nothing, and hold the error: with it they would hold this run.
            error = error.with_traceback(None)
            error.run = self
        self.error = error
        await self._settle(
            _FIRST_SETTLE_SECONDS
        )  # so that a log that cannot be written is told before the end
        excerpt, pictures = await excerpt_of(self._answer)
        self._journal.emit(
            ev.RunFinished,
            status=status,
            value=self.value_description,
            excerpt=excerpt,
            pictures=pictures,
            error=error.message if error else None,
            error_type=type(error).__name__ if error else None,
        )
        if not await self._settle(_SETTLE_SECONDS) and self.log_path is not None:
            text = (
                f"The log `{self.log_path}` is not complete yet, because its disk is slow; it is written on."
            )
            self._journal.emit(ev.Notice, text=text)
        self._ended.set()

    async def _settle(self, seconds: float) -> bool:
        """Wait until all so far is in the log, and all replies in the cache; return whether that came in time."""
        handed = [self._log.flush() if self._log is not None else None, self._conductor.completions.drained()]
        waiting = [asyncio.wrap_future(one) for one in handed if one is not None]
        late = (await asyncio.wait(waiting, timeout=seconds))[1] if waiting else ()
        return not late


def _without_run(error: RLMError) -> RLMError:
    """Return a copy of an error that does not hold its run, nor what was at work when it was raised."""
    try:
        again = copy.copy(error)
    except Exception:  # of a class of the user's own, which takes other arguments
        return error
    vars(again).pop("run", None)
    again.__cause__ = error.__cause__
    return again


_STATUS: dict[str, ev.RunStatus] = {"RunStoppedError": "stopped", "LimitReachedError": "limit"}
