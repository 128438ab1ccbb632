"""`InteractiveModel`: a person in the place of a language model.

For teaching: who writes the replies sees what a model sees (a description of the data, the output of its own code) and
nothing more. Everything else (kernels, sub-agents, values, limits, the tree) is real.
"""

from __future__ import annotations

import ast
import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from rlm_jupyter.errors import ConfigError, ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price

FREE: Final = Price(0.0, 0.0)
MAX_CHARS: Final = 100_000
"""Of one reply."""
_TICK = 0.05

_pending: list[PendingReply] = []
_changed = threading.Condition()


class PendingReply:
    """A request for which nobody has written the reply yet.

    Attributes:
        run: the id of the run that asks.
        agent: the id of the agent that asks.
        messages: the chat so far, as a language model would get it.
        plain: whether it is a plain completion (`llm_query`), whose reply is text, and not a turn of an agent.
        model: who is asked.
    """

    def __init__(self, model: InteractiveModel, request: CompletionRequest) -> None:
        self.run, self.agent = request.run, request.agent
        self.messages: list[Message] = list(request.messages)
        self.plain = not request.code_block
        self.model = model
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[str] = self._loop.create_future()

    def __repr__(self) -> str:
        kind = "a plain completion" if self.plain else "a turn"
        return f"PendingReply({kind} of agent {self.agent!r}, {len(self.messages)} messages)"

    @property
    def waits(self) -> bool:
        """Whether a reply is still wanted."""
        return not self._reply.done()

    def answer(self, text: str) -> None:
        """Hand the reply over; may be called on any thread.

        Args:
            text: of a turn, a text with a block of code, or the code alone; else any text.

        Raises:
            ConfigError: it is not a text, empty or too long, or no reply is wanted any more.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigError("The reply is empty: write what the model is to say.")
        if len(text) > MAX_CHARS:
            raise ConfigError(f"The reply has {len(text):,} characters: `{MAX_CHARS:,}` are the most.")
        with _changed:
            if self not in _pending:
                raise ConfigError(f"Agent `{self.agent}` waits for no reply: it has one, or has ended.")
            _pending.remove(self)
        self._loop.call_soon_threadsafe(self._settle, text if self.plain else as_turn(text))

    def fail(self, error: Exception) -> None:
        """Let the request fail; may be called on any thread."""
        self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, reply: str | Exception) -> None:
        if self._reply.done():
            return
        if isinstance(reply, str):
            self._reply.set_result(reply)
        else:
            self._reply.set_exception(reply)

    async def text(self) -> str:
        """Wait for the reply, and return it."""
        return await self._reply


class InteractiveModel:
    r"""A person who writes each reply; no language model.

    In a notebook the reply is written into a box of the tree, on the page of the agent that waits for it; in a
    terminal it is typed line by line. Code can write it too::

        from rlm_jupyter import RLM
        from rlm_jupyter.models import InteractiveModel

        you = InteractiveModel()
        run = RLM(model=you).start("How many lines are there?", context="a\nb\nc")
        print(you.wait(60).messages[-1]["content"])   # what a model would be shown
        you.answer("FINAL(len(context.splitlines()))")
        print(run.wait(60).value)

    In a turn, a reply that is Python and has no block of code is sent as one block of code.

    Args:
        name: the model's name in the tree and the log.
        ask: a function of a `PendingReply` that returns the reply's text; it is called on a thread of its own, one
            request at a time. None: the terminal if standard input is one, and otherwise nobody, so that the reply
            comes from the tree or from `answer`.
    """

    scripted: Final = True
    price: Final = FREE
    provenance: Final = "a person writes the replies, no language model"
    asks_person: Final = True
    """Whether a reply takes as long as somebody takes to write it; the tree then offers a box for it."""

    def __init__(self, name: str = "you", *, ask: Callable[[PendingReply], str] | None = None) -> None:
        self.name = name
        self._ask = ask
        self._one = threading.Lock()

    def __repr__(self) -> str:
        return f"InteractiveModel({self.name!r}, {len(self.pending)} waiting)"

    @property
    def pending(self) -> Sequence[PendingReply]:
        """The requests that wait for a reply, the longest first."""
        with _changed:
            return [waiting for waiting in _pending if waiting.model is self]

    @property
    def in_terminal(self) -> bool:
        """Whether replies are asked for by a function or in the terminal, and not in the tree."""
        from rlm_jupyter.models.terminal_reply import is_terminal

        return self._ask is not None or is_terminal()

    def wait(self, timeout: float | None = None, *, agent: str | None = None) -> PendingReply:
        """Wait until a reply is wanted, and return the request that has waited the longest.

        Args:
            timeout: seconds; None waits without an end.
            agent: only requests of this agent.

        Raises:
            TimeoutError: none came in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with _changed:
            while True:
                found = next((p for p in _pending if p.model is self and agent in (None, p.agent)), None)
                if found is not None:
                    return found
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"`{self.name}` was asked for no reply within {timeout:g} s.")
                _changed.wait(left)

    def answer(self, text: str, *, agent: str | None = None) -> None:
        """Write the reply to the request that has waited the longest.

        Args:
            text: the reply.
            agent: only a request of this agent.

        Raises:
            ConfigError: no request waits, or the text cannot be a reply.
        """
        waiting = next((p for p in self.pending if agent in (None, p.agent)), None)
        if waiting is None:
            who = f"agent `{agent}`" if agent else "no agent"
            raise ConfigError(f"Nothing to answer: {who} waits for a reply of `{self.name}`; see `pending`.")
        waiting.answer(text)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait for the reply.

        Raises:
            ModelError: the function `ask` failed, or gave what is no text; or the terminal was closed.
        """
        waiting = PendingReply(self, request)
        with _changed:
            _pending.append(waiting)
            _changed.notify_all()
        try:
            if self.in_terminal:
                threading.Thread(
                    target=self._fetch, args=(waiting,), name="rlm-interactive", daemon=True
                ).start()
            text = await waiting.text()
        finally:
            with _changed:
                if waiting in _pending:
                    _pending.remove(waiting)
        if request.on_delta is not None:
            request.on_delta(text)
        return Completion(text, model=self.name)

    def _fetch(self, waiting: PendingReply) -> None:
        """Ask for one reply; the others wait for their turn, unless they are answered or dropped meanwhile."""
        while not self._one.acquire(timeout=_TICK):
            if not waiting.waits:
                return
        try:
            if not waiting.waits:
                return
            from rlm_jupyter.models.terminal_reply import read_reply

            text = (self._ask or read_reply)(waiting)
            if waiting.waits:
                waiting.answer(text)
        except Exception as error:
            if waiting.waits:
                waiting.fail(ModelError(f"No reply came from `{self.name}`: {type(error).__name__}: {error}"))
        finally:
            self._one.release()


def answer_pending(run: str, agent: str, text: str) -> None:
    """Write the reply for which an agent of a run has waited the longest.

    Raises:
        ConfigError: it waits for none, or the text cannot be a reply.
    """
    with _changed:
        waiting = next((p for p in _pending if (p.run, p.agent) == (run, agent)), None)
    if waiting is None:
        raise ConfigError(f"Agent `{agent}` waits for no reply: it has one, or has ended.")
    waiting.answer(text)


def as_turn(text: str) -> str:
    """Returns what was typed as the reply of a turn: Python without a block of code becomes one."""
    if "```" in text or "~~~" in text:
        return text
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
    return f"```repl\n{text.strip()}\n```"
