"""`Chat`: a conversation with one root agent, from any number of questions; made by `RLM.chat`."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rlm_jupyter.conversation.conversation_budget import ConversationBudget, Spending
from rlm_jupyter.conversation.conversation_tree import ConversationTree, QuestionView
from rlm_jupyter.conversation.exchanges import Exchange, Exchanges, exchange_of
from rlm_jupyter.conversation.growing_view import GrowingView
from rlm_jupyter.conversation.run_chunks import EventQueue, run_chunks
from rlm_jupyter.engine.agent.spec import ChatMemory
from rlm_jupyter.engine.run.batch import started
from rlm_jupyter.errors import ConfigError, ContextError, KernelDiedError
from rlm_jupyter.events.events import Command
from rlm_jupyter.registry import allow_closing, keep_open
from rlm_jupyter.run_setup.question import Question
from rlm_jupyter.run_setup.variable_names import read_names
from rlm_jupyter.settings import Limits
from rlm_jupyter.tools.functions import read_tools

if TYPE_CHECKING:
    from rlm_jupyter.conversation.chunks import Chunk
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.events.events import AnyEvent

F = TypeVar("F", bound=Callable[..., Any])

LEAST_MEMORY = 2_000
_STOP_SECONDS = 30.0
"""How long a question waits for the end of the one before it, if that was stopped or its stream was left."""


@dataclass(frozen=True)
class Asker:
    """How the questions of a conversation are asked: the models and settings of one `RLM`.

    Attributes:
        begin: starts a run within limits.
        limits: of each question.
    """

    begin: Callable[[Question, Limits], Run]
    limits: Limits


@dataclass
class _Waiting:
    """What goes along with the next question."""

    data: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, Callable[..., Any]] = field(default_factory=dict)


class Chat:
    """A conversation: one root agent, whose kernel, variables and chat stay from question to question.

    Usage:
        >>> chat = rlm.chat(context=orders)
        >>> async for chunk in chat.send("Which supplier explains the rise in refunds?"):
        ...     print(chunk)
        >>> chat.run("And since when?").value

    What fails, or is stopped, leaves it usable: ask again. Old turns of a long chat become notes, and the variable
    `history` of the agent's code has the earlier questions and answers. Usable from any thread; one question at a time.

    Args:
        asker: how questions are asked.
        question: with the options of all questions: data, tools, servers, variables of the environment.
        budget: what all questions together may spend; None: each has its own limits alone.
        memory: about how many tokens of the chat are sent along with a new question.

    Attributes:
        id: names it.
        budget: the limits of the whole.
    """

    def __init__(
        self,
        asker: Asker,
        question: Question,
        *,
        budget: Limits | Mapping[str, object] | None = None,
        memory: int,
    ) -> None:
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < LEAST_MEMORY:
            raise ConfigError(
                f"`memory` takes a number of tokens from {LEAST_MEMORY:,} on, not `{memory!r:.40}`."
            )
        self.id = f"chat-{secrets.token_hex(3)}"
        self.budget = ConversationBudget(budget)
        self._asker = asker
        self._first = question
        self._memory = memory
        self._names = read_names(question.names, question.context)
        _refuse_history(self._names)
        self._waiting = _Waiting()
        self._tools: dict[str, Callable[..., Any]] = {}
        self._names_of_data = set(self._names)
        self._sent = _Waiting()
        self._tree = ConversationTree(self.id)
        self._growing = GrowingView(self._tree)
        self._exchanges = Exchanges()
        self._before = Spending()
        self._last: Run | None = None  # whose root goes on
        self._run: Run | None = None  # the newest, until it is settled
        self._lock = threading.RLock()
        self._stopping = self._closed = False
        for tool in question.tools:
            self.register(tool)

    # ---- what can be read of it

    @property
    def history(self) -> tuple[Exchange, ...]:
        """The questions so far with what came of them, the newest last."""
        with self._lock:
            self._settle()
            return tuple(self._exchanges)

    @property
    def newest(self) -> Run | None:
        """The run of the newest question; None before the first."""
        return self._run or self._last

    @property
    def busy(self) -> bool:
        """Whether a question is being answered."""
        return self._run is not None and not self._run.done

    @property
    def spent(self) -> Spending:
        """What all questions together have spent so far."""
        with self._lock:
            self._settle()
            return self._before if self._run is None else self._before + Spending.of(self._run.tree)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def view(self) -> QuestionView | None:
        """The tree up to the newest question, which stays as it is when another one begins; None before the first."""
        return self._tree.shown[-1] if self._tree.shown else None

    @property
    def growing_view(self) -> GrowingView:
        """The one tree that goes on with each question: what `rlm_jupyter.view(chat)` shows."""
        return self._growing

    def __repr__(self) -> str:
        state = "closed" if self._closed else "answering" if self.busy else "ready"
        return f"<Chat {self.id} · {state} · {len(self._tree.shown)} questions>"

    # ---- what it knows

    def add(self, **values: Any) -> Self:
        """Hand over more data, which the next question brings along; the earlier data stays.

        Args:
            values: by the names that the agent's code has them under. A name that was added before has its new value
                from then on. The data is encoded when the next question is asked.

        Raises:
            ConfigError: a name that data cannot have, or the conversation is closed.
        """
        names = read_names(tuple(values), values)
        _refuse_history(names)
        with self._lock:
            self._refuse_closed()
            if taken := [name for name in names if name in self._tools]:
                raise ConfigError(
                    f"Data cannot be named `{taken[0]}`, which is a tool here: choose another name."
                )
            self._waiting.data.update(values)
            self._names_of_data.update(names)
        return self

    def register(self, tool: F) -> F:
        """Let agents' code call a function from the next question on; returns it, so that it can be a decorator.

        Another function of the same name takes the place of the first.

        Raises:
            ConfigError: it is no function with a usable name, or the conversation is closed.
            ContextError: it cannot leave this process.
        """
        with self._lock:
            self._refuse_closed()
            (name,) = read_tools([tool], data=tuple(self._names_of_data))
            if self._tools.get(name) is not tool:
                self._tools[name] = self._waiting.tools[name] = tool
        return tool

    def set_limit(self, name: str, value: float | None) -> None:
        """Change a limit of the whole conversation, such as ``chat.set_limit("cost", 2.0)``; from the next question on.

        Raises:
            ConfigError: there is no such limit, or it cannot have that value.
        """
        self.budget.set_limit(name, value)

    # ---- asking

    async def send(self, question: str, **options: Any) -> AsyncIterator[Chunk]:
        """Ask, and yield what comes: `TextChunk`, `EventChunk`, and at the end a `ValueChunk` with the answer.

        Leaving the loop early stops the question, as cancelling the task does.

        Args:
            question: verbatim.
            options: as of `start`.

        Raises:
            RLMError: there is no whole answer; what there is came before as a `ValueChunk`. The conversation goes on.
        """
        await self._until_free()
        events = EventQueue()
        options["on_event"] = _both(events.hear, options.get("on_event"))
        run = await self._started(question, options)
        try:
            async for chunk in run_chunks(run, events):
                yield chunk
        finally:
            self._end(run)
        run.raise_for_error()

    def run(self, question: str, **options: Any) -> Run:
        """Ask, and block until there is an answer: that of the returned run. See `start` for the options.

        Raises:
            RLMError: there is no whole answer; the conversation goes on.
        """
        run = self.start(question, **options)
        try:
            run.wait_interruptibly()
        finally:
            self._end(run)
        return run.raise_for_error()

    async def arun(self, question: str, **options: Any) -> Run:
        """Ask, and await the answer; see `run`."""
        await self._until_free()
        run = await self._started(question, options)
        try:
            await run
        finally:
            self._end(run)
        return run.raise_for_error()

    def start(
        self,
        question: str,
        *,
        schema: object = None,
        limits: Limits | Mapping[str, object] | None = None,
        step: bool = False,
        on_event: Callable[[AnyEvent], None] | None = None,
        asker: Asker | None = None,
    ) -> Run:
        """Ask, and return the run at once.

        Args:
            question: verbatim.
            schema: what the answer must be, as of `RLM.start`.
            limits: what this question may spend, instead of those of the `RLM`; never more than is left of the budget.
            step: whether each cell waits for `run.next()`.
            on_event: called with each event of the run, on the engine's thread; it must not block.
            asker: asks this question in the place of the conversation's own (`RLM.asker`).

        Raises:
            ConfigError: the question is empty, the earlier one is still being answered, or the conversation is closed.
            ContextError: data that was added cannot be handed over; it is left out, and the conversation goes on.
            LimitReachedError: the budget of the conversation is spent; nothing was started.
            KernelDiedError: the newest run was closed, by `run.close()` or `%rlm free`.
        """
        asker = asker or self._asker
        with self._lock:
            self._refuse_closed()
            self._await_stopped()
            self._settle()
            if self._run is not None:
                raise ConfigError(
                    f"Conversation `{self.id}` still answers a question: wait for it, or stop it (`chat.stop()`)."
                )
            self._stopping = False
            own = asker.limits if limits is None else Limits.of(limits)
            allowed = self.budget.left(own, self._before)
            view = self._tree.begin(self.budget.limits)
            try:
                asked = self._question(question, schema, step=step, on_event=_both(view.hear, on_event))
                run = self._begin(asker, asked, allowed)
            except BaseException:
                self._tree.drop(view)
                raise
            self._run = run
            self._sent, self._waiting = self._waiting, _Waiting()
            keep_open(run, self)
            return run

    async def _started(self, question: str, options: dict[str, Any]) -> Run:
        try:
            return await started(partial(self.start, question, **options))
        except asyncio.CancelledError:
            self._stopping = True  # the run is stopped as soon as it is there
            raise

    def _question(
        self, question: str, schema: object, *, step: bool, on_event: Callable[[AnyEvent], None]
    ) -> Question:
        first, last = self._first, self._last
        context, names = _together(first.context if last is None else None, self._names, self._waiting.data)
        return Question(
            question,
            context,
            names=names,
            schema=schema,
            tools=tuple(self._waiting.tools.values()),
            inherit_tools=first.inherit_tools,
            env=first.env if last is None else None,
            mcp=first.mcp if last is None else None,
            step=step,
            on_event=on_event,
            continues=last,
            memory=ChatMemory(self._memory, self._exchanges.encoded(), len(self._exchanges)),
        )

    def _begin(self, asker: Asker, asked: Question, limits: Limits) -> Run:
        assert asked.memory is not None
        try:
            return asker.begin(asked, limits)
        except BaseException as error:
            asked.memory.history.close()
            if isinstance(error, ContextError) and self._waiting.data:
                left_out = ", ".join(f"`{name}`" for name in self._waiting.data)
                self._waiting.data = {}
                raise ContextError(f"{error.message} Left out of the conversation: {left_out}.") from None
            if isinstance(error, KernelDiedError):
                raise KernelDiedError(
                    f"The newest run of conversation `{self.id}` was closed, and its kernel ended: begin another "
                    "conversation (`rlm.chat(...)`), with the data.",
                    run=self._last,
                ) from None
            raise

    # ---- the end of a question, and of all

    def stop(self) -> None:
        """Stop the question that is being answered; what there is stays, and the conversation goes on."""
        run = self._run
        if run is not None and not run.done:
            self._stopping = True
            run.stop()

    def close(self) -> None:
        """End the conversation: stop what runs, and drop its kernels; history and tree stay. Twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            run = self._run
        if run is not None:
            run.stop()
            with suppress(TimeoutError):
                run.wait(_STOP_SECONDS)
        with self._lock:
            self._settle()
            for one in (self._run, self._last):
                if one is not None:
                    allow_closing(one)
                    one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.to_thread(self.close)

    def _end(self, run: Run) -> None:
        """Take note that nobody waits for a run any more."""
        if not run.done:
            self._stopping = True
            run.stop()
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        """Take in what came of the newest question, if it has ended."""
        run, earlier = self._run, self._last
        if run is None or not run.done:
            return
        self._run, self._stopping = None, False
        self._before = self._before + Spending.of(run.tree)
        self._exchanges.add(exchange_of(run))
        if run.root is None or not run.root.messages:
            # It ended before it took the kernel over: the one before it has that still, and the next question brings
            # along what this one would have brought.
            if earlier is not None:
                earlier.continued_by = None
            self._waiting = _Waiting(
                {**self._sent.data, **self._waiting.data}, {**self._sent.tools, **self._waiting.tools}
            )
            allow_closing(run)
            return
        self._last = run
        self._first.context = None  # the run has it now
        if earlier is not None:
            allow_closing(earlier)

    def _await_stopped(self) -> None:
        run = self._run
        if run is not None and self._is_stopping(run):
            with suppress(TimeoutError):
                run.wait(_STOP_SECONDS)

    def _is_stopping(self, run: Run) -> bool:
        """Returns whether a run is about to end because somebody stopped it, here or by the run itself."""
        if run.done:
            return False
        return self._stopping or any(
            isinstance(event, Command) and event.name == "stop" and event.agent == "0" for event in run.events
        )

    async def _until_free(self) -> None:
        """Let a stream that was just left end its question, before the next one is asked."""
        for _ in range(3):  # a loop closes an asynchronous generator that was left in a task of its own
            await asyncio.sleep(0)
        run = self._run
        if run is not None and self._is_stopping(run):
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await run

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ConfigError(f"Conversation `{self.id}` was closed: begin another one (`rlm.chat(...)`).")


def _refuse_history(names: Iterable[str]) -> None:
    if "history" in names:
        raise ConfigError(
            "Data of a conversation cannot be named `history`, which has its questions and answers: choose another "
            "name."
        )


def _together(context: Any, names: tuple[str, ...], added: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Returns the data of a question and its names: the conversation's own, with what was added."""
    if not added:
        return context, names if context is not None else ()
    if context is None:
        first = dict(added)
    elif len(names) > 1:
        first = {**{name: context[name] for name in names}, **added}
    else:
        first = {names[0] if names else "data": context, **added}
    found = tuple(first)
    return (first[found[0]], found) if len(found) == 1 else (first, found)


def _both(
    one: Callable[[AnyEvent], None], other: Callable[[AnyEvent], None] | None
) -> Callable[[AnyEvent], None]:
    if other is None:
        return one
    if not callable(other):
        raise ConfigError(f"`on_event` takes a function of an event, not a `{type(other).__name__}`.")

    def both(event: AnyEvent) -> None:
        one(event)
        other(event)

    return both
