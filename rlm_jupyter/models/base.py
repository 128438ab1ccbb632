"""The protocol of a language model, and the types that cross it.

A model is anything with a `name` and an async `complete`. It knows nothing of agents, budgets or kernels;
it gets messages and gives one `Completion`, or raises a `ModelError`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NotRequired, Protocol, TypedDict, runtime_checkable

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.audio import Audio
from rlm_jupyter.models.images import Image

_READ: Final = 0.1
_WRITE: Final = 1.25


class Message(TypedDict):
    """One message of a chat, as in OpenAI's chat completions API.

    Images and audio that go with it stand apart from its text, so that whoever handles texts need not know of them;
    each protocol puts them where it has them. A message without any has no such key.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    images: NotRequired[tuple[Image, ...]]
    audio: NotRequired[tuple[Audio, ...]]


def text_of(message: Message) -> str:
    """Returns what a message says; of its images and audio, which are large, a reference to each."""
    return "\n\n".join([message["content"], *(one.reference for one in media_of([message]))])


def images_of(messages: Sequence[Message]) -> list[Image]:
    """Returns the images of a chat, in order."""
    return [image for message in messages for image in message.get("images", ())]


def audio_of(messages: Sequence[Message]) -> list[Audio]:
    """Returns the audio of a chat, in order."""
    return [audio for message in messages for audio in message.get("audio", ())]


def media_of(messages: Sequence[Message]) -> list[Image | Audio]:
    """Returns all of a chat that is no text."""
    return [*images_of(messages), *audio_of(messages)]


class Price(NamedTuple):
    """What a model costs, in USD per million tokens."""

    prompt: float
    completion: float

    @classmethod
    def read(cls, price: object) -> Price:
        """Read what a user gave as a price.

        Raises:
            ConfigError: it is not two numbers, 0 or more.
        """
        numbers = list(price) if isinstance(price, (tuple, list)) else []
        good = [n for n in numbers if isinstance(n, (int, float)) and 0 <= n < math.inf]
        if len(numbers) != 2 or len(good) != 2:  # noqa: PLR2004 - a pair
            raise ConfigError(
                f"`price` cannot be `{price!r:.80}`: give USD per million tokens as `(prompt, completion)`, "
                "such as `(1.25, 10)`."
            )
        return cls(*map(float, good))


class CachingPrice(Price):
    """What a model costs whose provider bills its prompt cache apart, in USD per million tokens.

    Attributes:
        cache_read: of prompt tokens that are read from the cache; if not given, a tenth of the others.
        cache_write: of prompt tokens that are written to it; if not given, a quarter more than the others. Both are
            Anthropic's multipliers: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """

    cache_read: float
    cache_write: float

    def __new__(
        cls,
        prompt: float,
        completion: float,
        cache_read: float | None = None,
        cache_write: float | None = None,
    ) -> CachingPrice:
        """Make one; it compares as the `Price` of the same prompt and completion."""
        price = super().__new__(cls, prompt, completion)
        price.cache_read = prompt * _READ if cache_read is None else cache_read
        price.cache_write = prompt * _WRITE if cache_write is None else cache_write
        return price

    def __getnewargs__(self) -> tuple[float, float, float, float]:
        return (self.prompt, self.completion, self.cache_read, self.cache_write)


@dataclass(frozen=True)
class Usage:
    """Tokens of one completion, all attempts included.

    Attributes:
        prompt_tokens: tokens of the messages, cached ones included.
        completion_tokens: tokens of the reply, reasoning included.
        cached_tokens: prompt tokens that the provider read from its cache.
        estimated: whether the figures are our estimate, because the provider gave none that can be used.
        at_most: of an estimate, the most tokens of the prompt and of the reply that may be billed; None if the
            figures themselves are that.
        cache_write_tokens: prompt tokens that the provider wrote to its cache, and bills as such.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False
    at_most: tuple[int, int] | None = None
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class Completion:
    """One reply of a model.

    Attributes:
        text: the reply, byte for byte.
        usage: its tokens; None where the model gave none (the engine then estimates them from what came).
        cost: USD as reported by the provider itself; None if it reports none.
        model: the name of the model that answered.
        finish_reason: ``"stop"``, ``"length"``, ``"content_filter"`` or what else the provider says.
        attempts: requests that were sent for it, retries included.
        thought_bytes: bytes of the model's thoughts that came beside the text.
        service_tier: at which the provider served it, as it says; None if it does not say.
    """

    text: str
    usage: Usage | None = None
    cost: float | None = None
    model: str = ""
    finish_reason: str = "stop"
    attempts: int = 1
    thought_bytes: int = 0
    service_tier: str | None = None


@dataclass(frozen=True)
class CompletionRequest:
    """What a model is asked.

    Attributes:
        messages: the chat so far; the last one is the user's.
        max_tokens: the most tokens the reply may have; None for the provider's own bound.
        on_delta: called with each piece of text as it arrives; on the engine's loop.
        on_wait: called before each further attempt with a reason and the seconds that the model waits for
            it (a rate limit, a server error; 0 if it sends again at once), so that the wait can be shown
            and the attempt be counted. What it gives is awaited first, where it can be; an exception ends
            the request.
        parameters: further parameters of the request, such as ``temperature``.
        optional: names of parameters that nobody chose, which may be left out if the server does not take them.
        code_block: whether the reply is to be one block of code, as in a turn of an agent; a model may then make use
            of what its server can do for it.
        on_begin: called once in each attempt with the first sign of its reply, be it a thought; a model that
            does not stream need not call it.
        run: the id of the run that asks.
        agent: the id of the agent that asks, or whose code asks for a plain completion.
        sample: which of several samples of one question it belongs to; no two of them share a cached reply.
    """

    messages: Sequence[Message]
    max_tokens: int | None = None
    on_delta: Callable[[str], None] | None = None
    on_wait: Callable[[str, float], Awaitable[None] | None] | None = None
    parameters: dict[str, object] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    code_block: bool = False
    on_begin: Callable[[], None] | None = None
    run: str = ""
    agent: str = ""
    sample: int = 1


@runtime_checkable
class BillsCache(Protocol):
    """A model that knows whether its provider bills what it writes to its prompt cache."""

    @property
    def bills_cache(self) -> bool:
        """Whether what is written to the prompt cache costs more than the rest."""


@runtime_checkable
class AddsToPrompt(Protocol):
    """A model whose requests have more in them than their messages."""

    def added_tokens(self, run: str, agent: str, messages: Sequence[Message]) -> int:
        """Returns the most tokens that it adds to a prompt of an agent."""


@runtime_checkable
class ChatModel(Protocol):
    """A language model: a name, whether it is scripted, and one coroutine.

    Attributes:
        name: shown in the tree and the log.
        scripted: True for a stand-in that is not a language model; shown on its face.
        price: USD per million tokens; None if it is not known (scripted models cost `Price(0, 0)`).
    """

    @property
    def name(self) -> str:
        """The model's name, shown in the tree and the log."""

    @property
    def scripted(self) -> bool:
        """Whether this is a stand-in and no language model."""

    @property
    def price(self) -> Price | None:
        """USD per million tokens; None if it is not known."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer the messages once; raise a `ModelError` where that fails for good."""
