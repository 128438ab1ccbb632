"""While a server reads a long prompt and nothing of the reply has come: told in the tree, with about how long it takes.

A model on a few cores reads 25 tokens a second: without this, a minute of reading looks like a server that is dead.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.models.base import ChatModel, Message, Usage
    from rlm_jupyter.models.model_statistics import ModelStatistics

_LOCAL_SECONDS: Final = 2.0
_OTHER_SECONDS: Final = 5.0


class StreamingModel(Protocol):
    """A model that calls `CompletionRequest.on_begin` when its reply begins.

    Attributes:
        server_is_local: whether its server is on this machine.
        tells_beginning: whether its replies come in pieces; of others, the beginning is the end.
        timeout: seconds of silence after which a request has failed.
    """

    server_is_local: bool
    tells_beginning: bool
    scripted: bool
    timeout: float


def _streams(model: ChatModel) -> TypeGuard[StreamingModel]:
    # Each completion asks: what `isinstance` does for a protocol takes twenty times as long.
    return (
        hasattr(model, "tells_beginning") and hasattr(model, "server_is_local") and hasattr(model, "timeout")
    )


class ReadingNotifier:
    """Tells that a prompt is being read, once an attempt: a `CompletionRequest.on_begin`.

    Args:
        journal: where it is told.
        statistics: of the model: tokens of texts, and how fast it reads.
        agent: on whose account.
        call: the completion's number.
        model: that is asked.
        messages: the prompt.
    """

    def __init__(
        self,
        journal: Journal,
        statistics: ModelStatistics,
        agent: str,
        call: int,
        model: ChatModel,
        messages: Sequence[Message],
    ) -> None:
        self._journal, self._statistics, self._agent, self._call = journal, statistics, agent, call
        self._messages = messages
        self._after: float | None = None
        if _streams(model) and model.tells_beginning and not model.scripted:
            after = _LOCAL_SECONDS if model.server_is_local else _OTHER_SECONDS
            # A silence that a short time-out is about to end is told as that.
            self._after = after if 2 * after < model.timeout else None
        self._timer: asyncio.TimerHandle | None = None
        self._shown = False
        self._sent = 0.0
        self._took: float | None = None

    @property
    def begun(self) -> bool:
        """Whether anything of the newest attempt's reply has come."""
        return self._took is not None

    def __call__(self) -> None:
        """The reply has begun."""
        if self._took is None:
            self._took = time.monotonic() - self._sent
        self.end()

    def sent(self, seconds: float = 0.0) -> None:
        """The prompt is sent, or will be in so many seconds."""
        self.end()
        self._sent, self._took = time.monotonic() + seconds, None
        if self._after is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds + self._after, self._tell)

    def end(self) -> None:
        """Nothing is read any more: say so if it was told, and tell nothing later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._shown:
            self._shown = False
            self._emit(0.0)

    def learn(self, usage: Usage | None) -> None:
        """Take over how fast the prompt was read, what the server had in its cache left out."""
        if self._took is not None and self._after is not None and usage is not None:
            self._statistics.reading.learn(usage.prompt_tokens - usage.cached_tokens, self._took)

    def _tell(self) -> None:
        self._timer = None
        self._shown = True
        tokens = self._statistics.ratio.prompt_tokens(self._messages)
        rate = self._statistics.reading.per_second
        if rate is None:
            self._emit(None, f"reading about {tokens:,} tokens")
            return
        seconds = max(1.0, tokens / rate)
        said = f"reading about {tokens:,} tokens: about {seconds:,.0f} s at {rate:,.0f} a second"
        self._emit(seconds, said)

    def _emit(self, seconds: float | None, text: str = "") -> None:
        self._journal.emit(
            ev.Waiting, self._agent, reason="reading", seconds=seconds, text=text, call=self._call
        )
