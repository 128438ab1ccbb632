"""`ScriptedModel`: a list of replies, or a function, in the place of a language model.

For tests and for teaching: it needs no key, no network and no money, and gives the same each time, while
everything else (kernels, sub-agents, values, limits, the tree) is real.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias, cast

from rlm_jupyter.errors import ConfigError, ModelError, RLMError
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, Usage

Reply: TypeAlias = str | Completion | BaseException | type[BaseException]
"""One scripted reply: its text, a whole `Completion`, or an exception to raise."""
ReplyFunction: TypeAlias = (
    Callable[[list[Message]], Reply | Awaitable[Reply]]
    | Callable[[list[Message], CompletionRequest], Reply | Awaitable[Reply]]
)
"""Gives the reply to some messages; may be `async`, and may take the request as a second parameter."""
UsageFunction: TypeAlias = Callable[[list[Message], str], Usage | None]
"""Gives the usage of a reply from the messages and its text."""

FREE: Final = Price(0.0, 0.0)
_PIECES: Final = 4


class ScriptedModel:
    r"""A stand-in that answers from a script; it is not a language model, and says so on its face.

    A list is handed out in order, over all agents of all runs together::

        from rlm_jupyter import RLM
        from rlm_jupyter.models import ScriptedModel

        model = ScriptedModel([
            "Let me look first.\n```repl\nprint(context.shape)\n```",
            "```repl\nFINAL(context.groupby('supplier')['refund'].sum().idxmax())\n```",
        ])
        run = RLM(model=model).run("Which supplier has the most refunds?", context=orders)
        print(run.value)
        print(model.requests[1].messages[-1]["content"])  # what the model was shown of its first cell

    Where agents work at the same time their order is not fixed, so a function that looks at the messages
    is the better script::

        def reply(messages):
            if len(messages) > 2:  # the root has seen its first cell
                return "```repl\nFINAL(parts)\n```"
            return "```repl\nparts = llm_query_batched([f'Summarise {x}' for x in context])\n```"

    A reply is a text, a `Completion` (for its usage, cost or finish reason), or an exception, which is
    raised: ``ScriptedModel(["…", ContextTooLongError("too long"), "…"])``.

    Args:
        replies: a list of replies, or a function of the messages (dicts of `role` and `content`). The
            function may be `async` (it must be, where it takes long: a plain one runs on the engine's loop),
            and may take the `CompletionRequest` as a second parameter without a default.
        name: the model's name in the tree and the log.
        price: USD per million tokens; a money limit can be tried out with it. None: not known.
        delay: seconds that each reply takes; its text streams in pieces meanwhile.
        usage: the tokens of each reply that is not a `Completion` with a usage of its own: a `Usage`, or a
            function of the messages and the reply's text. None: the engine estimates them.

    Attributes:
        requests: every request, in the order of arrival, its messages copied.
        scripted: True.

    Raises:
        ConfigError: `replies` is neither a list of replies nor a function, `price` is no pair of numbers, or `delay`
            is negative.
    """

    scripted = True

    def __init__(
        self,
        replies: Sequence[Reply] | ReplyFunction,
        *,
        name: str = "scripted",
        price: Price | None = FREE,
        delay: float = 0.0,
        usage: Usage | UsageFunction | None = None,
    ) -> None:
        if delay < 0:
            raise ConfigError(f"The `delay` of a scripted model cannot be {delay}: give 0 or more seconds.")
        self.name = name
        self.price = None if price is None else Price.read(price)
        self.delay = delay
        self.requests: list[CompletionRequest] = []
        self._usage = usage
        self._lock = threading.Lock()
        self._function: ReplyFunction | None = replies if callable(replies) else None
        self._replies: list[Reply] = [] if callable(replies) else _checked(replies)
        self._wants_request = callable(replies) and _takes_two(replies)

    def __repr__(self) -> str:
        script = "a function" if self._function else f"{len(self._replies)} replies"
        return f"ScriptedModel({script}, name={self.name!r})"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Returns the next reply of the script.

        Raises:
            ModelError: the list is exhausted, the function failed, or it gave what is no reply.
            BaseException: the exception that stands in the script in the place of a reply.
        """
        messages = [cast("Message", dict(message)) for message in request.messages]
        request = replace(request, messages=messages)
        with self._lock:
            turn = len(self.requests)
            self.requests.append(
                replace(request, on_delta=None, on_wait=None, on_begin=None)
            )  # they would hold the whole run
        reply = await self._call(request) if self._function else self._at(turn)
        if isinstance(reply, BaseException) or (isinstance(reply, type) and issubclass(reply, BaseException)):
            await asyncio.sleep(self.delay)
            raise reply
        if isinstance(reply, str):
            reply = Completion(reply)
        elif not isinstance(reply, Completion):
            raise ModelError(
                f"The function of the scripted model `{self.name}` gave a `{type(reply).__name__}`. "
                f"A reply is a `str`, a `Completion` or an exception."
            )
        await self._stream(reply.text, request.on_delta)
        usage = reply.usage or self._usage_of(messages, reply.text)
        return replace(reply, usage=usage, model=reply.model or self.name)

    def _at(self, turn: int) -> Reply:
        if turn < len(self._replies):
            return self._replies[turn]
        given = len(self._replies)
        raise ModelError(
            f"The scripted model `{self.name}` has no reply left: its list of {given} was given out. "
            f"Add replies for request {turn + 1} and on, or give a function of the messages."
        )

    async def _call(self, request: CompletionRequest) -> Reply:
        function = cast("Callable[..., Reply | Awaitable[Reply]]", self._function)
        # The script gets copies: what it does to them must not rewrite what `requests` tells.
        messages = [dict(message) for message in request.messages]
        try:
            reply = function(messages, request) if self._wants_request else function(messages)
            return await reply if inspect.isawaitable(reply) else reply
        except RLMError:
            raise
        except Exception as error:
            raise ModelError(
                f"The function of the scripted model `{self.name}` raised `{type(error).__name__}`: {error}"
            ) from error

    async def _stream(self, text: str, on_delta: Callable[[str], None] | None) -> None:
        if on_delta is None or not text:
            await asyncio.sleep(self.delay)
            return
        size = -(-len(text) // _PIECES)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        for piece in pieces:
            await asyncio.sleep(self.delay / len(pieces))
            on_delta(piece)

    def _usage_of(self, messages: list[Message], text: str) -> Usage | None:
        return self._usage(messages, text) if callable(self._usage) else self._usage


def _checked(replies: Sequence[Reply]) -> list[Reply]:
    if isinstance(replies, (str, bytes)) or not isinstance(replies, Sequence):
        raise ConfigError(
            f"The replies of a `ScriptedModel` cannot be a `{type(replies).__name__}`. "
            f"Give a list of replies, or a function of the messages."
        )
    for position, reply in enumerate(replies):
        exception = isinstance(reply, type) and issubclass(reply, BaseException)
        if not exception and not isinstance(reply, (str, Completion, BaseException)):
            raise ConfigError(
                f"Reply {position} of a `ScriptedModel` is a `{type(reply).__name__}`. "
                f"A reply is a `str`, a `Completion` or an exception."
            )
    return list(replies)


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    # A second parameter with a default is a closure's own (`lambda messages, n=n: …`), not for the request.
    wanted = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(wanted) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
