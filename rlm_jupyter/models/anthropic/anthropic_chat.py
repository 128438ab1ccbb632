"""`AnthropicChat`: a model behind Anthropic's Messages API, with marks for its prompt cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from rlm_jupyter.errors import MissingKeyError
from rlm_jupyter.models.anthropic.messages_reply import MessagesReply
from rlm_jupyter.models.anthropic.messages_request import messages_request
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.providers import PROVIDERS, WireFormat

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping

    from anthropic import AsyncAnthropic

    from rlm_jupyter.models.base import CompletionRequest, Price
    from rlm_jupyter.models.openai.failures import Failure
    from rlm_jupyter.models.openai.wire import Response, Wire
    from rlm_jupyter.models.retry import RetryPolicy

_PATH: Final = "/messages"
_CLIENT_SECRETS: Final = (
    "auth_token",
    "access_token",
    "aws_access_key",
    "aws_secret_key",
    "aws_session_token",
)


class AnthropicChat(OpenAIChat):
    """A language model behind Anthropic's Messages API, or a server that speaks it.

    The end of the fixed text and the newest turn of an agent are marked for the prompt cache. What is written to the
    cache and read from it has prices of its own, at which the ledger settles; it reserves at the dearest.

    Args:
        model: the name to send.
        base_url: of the server, with its version; None: Anthropic's own.
        api_key: never shown again. May be left out with a `client`, which has one.
        provider: the name of the profile in `PROVIDERS`.
        client: an `anthropic.AsyncAnthropic` of your own, or one of its kind for another cloud
            (`AsyncAnthropicBedrock`, `AsyncAnthropicVertex`); needs ``pip install 'rlm_jupyter[anthropic]'``, and
            you close it.
        parameters: further fields of each request, such as ``{"temperature": 0}`` or ``extra_body``.
        price: USD per million tokens; None: looked up.
        timeout: the most seconds of silence, before the reply and within it; None: as of `OpenAIChat`.
        retry: how often a request is tried.

    Raises:
        MissingKeyError: neither a key nor a client.
        ConfigError: a parameter that is not yours to set, or a time-out of nothing.
    """

    wire: WireFormat = "messages"
    hears = False

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        provider: str | None = "anthropic",
        client: AsyncAnthropic | None = None,
        parameters: Mapping[str, object] | None = None,
        price: Price | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        if client is None and not api_key:
            raise MissingKeyError(f"The model `{model}` needs `api_key=` or `client=`.")
        url = base_url or PROVIDERS["anthropic"].base_url
        super().__init__(
            model,
            base_url=url if client is None else str(client.base_url),
            api_key=api_key or getattr(client, "api_key", None) or "none",
            provider=provider,
            parameters=parameters,
            price=price,
            timeout=timeout,
            retry=retry,
        )
        self._dialect.stream_usage = False
        self._marks = True
        # Clients of other clouds have other secrets; what a server quotes of them is not shown either.
        told = [getattr(client, name, None) for name in _CLIENT_SECRETS]
        self._given_secrets = [SecretStr(secret) for secret in told if isinstance(secret, str)]
        if client is not None:
            from rlm_jupyter.models.anthropic.given_client import GivenClient

            self._wires = GivenClient(client)

    def __repr__(self) -> str:
        return f"AnthropicChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def bills_cache(self) -> bool:
        """Whether what is written to the prompt cache costs more than the rest."""
        return True

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies."""
        return {**super().identity, "protocol": "messages"}

    def _secrets(self) -> tuple[str, ...]:
        return (*super()._secrets(), *(secret.get_secret_value() for secret in self._given_secrets))

    def _new_reply(self) -> MessagesReply:
        return MessagesReply()

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        body = messages_request(fields, marks_turn=request.code_block, marks=self._marks)
        return wire.posted(body, seconds, _PATH)

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        if self._marks and failure.refuses_content and "cache_control" in f"{failure.text} {failure.param}":
            self._marks = False
            return True
        return super()._learn(failure, sent)
