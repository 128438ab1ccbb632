"""`GeminiChat`: a model behind Google's Gemini API, there or on Vertex AI, or a server that speaks it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, cast

from rlm_jupyter.errors import ConfigError, MissingKeyError
from rlm_jupyter.models.credentials.google_token import GoogleToken
from rlm_jupyter.models.gemini.gemini_reply import GeminiReply
from rlm_jupyter.models.gemini.gemini_request import check_gemini_parameters, gemini_path, gemini_request
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.chat_replies import parse_any_json
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT
from rlm_jupyter.models.openai.failure_kinds import Kind
from rlm_jupyter.models.openai.mask_keys import quote
from rlm_jupyter.models.prices import price_with_cheap_reads
from rlm_jupyter.models.responses.reasoning_items import ReasoningItems
from rlm_jupyter.providers import PROVIDERS, WireFormat, vertex_url
from rlm_jupyter.system import is_installed

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price
    from rlm_jupyter.models.decoding import TurnDecoding
    from rlm_jupyter.models.openai.billing import Bill
    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.openai.failures import Failure
    from rlm_jupyter.models.openai.wire import Response, Wire
    from rlm_jupyter.models.retry import RetryPolicy

_NO_SIGNATURE: Final = re.compile(r"thought[_ ]?signature", re.IGNORECASE)
_MOST_OUTPUT: Final = re.compile(
    # As in: the supported range is from 1 (inclusive) to 65536 (exclusive); must be in range [1, 65537).
    r"max_?output_?tokens[^.]{0,120}?\brange\b[^.]{0,60}?(?:\bto |, ?)(\d{2,9})(\]| \(inclusive)?",
    re.IGNORECASE,
)
_LEAST_BOUND: Final = 16
_LIST_SECONDS: Final = 3.0
_UNAUTHENTICATED: Final = 401
_METHOD: Final = "generateContent"


class GeminiChat(OpenAIChat):
    """A language model behind Google's Gemini API, there or on Vertex AI (``provider="vertex"``).

    Parameters may have OpenAI's names or the API's own (``{"generationConfig": {"thinkingConfig": ...}}``,
    ``safetySettings``, ``cachedContent``). What the provider reads from its cache of prompts, which it keeps unasked,
    is settled at its lower price.

    On Vertex AI without a key, requests carry access tokens from the credentials that `google-auth` finds when the
    first one is made, which needs ``pip install 'rlm_jupyter[vertex]'``.

    Args:
        model: the name to send, with or without ``models/``.
        base_url: of the server, with its version; None: Google's own, and for `vertex` that of the project and location
            in `GOOGLE_CLOUD_PROJECT` and `GOOGLE_CLOUD_LOCATION`, or of the express mode.
        api_key: sent in a header, and never shown again; on Vertex AI, one of the express mode, or None.
        provider: the name of the profile in `PROVIDERS`.
        parameters: further fields of each request, such as ``{"temperature": 0}``.
        price: USD per million tokens; None: looked up.
        timeout: the most seconds of silence, before the reply and within it; None: as of `OpenAIChat`.
        retry: how often a request is tried.

    Attributes:
        keep_reasoning: whether an agent's requests carry the signatures of what the model thought in earlier turns, as
            Google asks for. Their tokens are part of the prompt, and are reserved. A server that does not take them is
            sent none from then on.

    Raises:
        MissingKeyError: no key, and for `vertex` no `google-auth` either.
        ConfigError: `vertex` without a project, a parameter that is not yours to set, or a time-out of nothing.
    """

    wire: WireFormat = "gemini"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        provider: str | None = "gemini",
        parameters: Mapping[str, object] | None = None,
        price: Price | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.keep_reasoning = True
        self._kept = ReasoningItems()
        super().__init__(
            model,
            base_url=base_url or _own_url(provider),
            api_key=api_key,
            provider=provider,
            parameters=parameters,
            price=price,
            timeout=timeout,
            retry=retry,
            authorizer=_token(model) if provider == "vertex" and not api_key else None,
        )
        check_gemini_parameters(self.parameters)
        self._dialect.stream_usage = False

    def __repr__(self) -> str:
        return f"GeminiChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def price(self) -> Price | None:
        """USD per million tokens, with what is read from the provider's cache apart; None if it is not known."""
        if self._price is None:
            self._price = price_with_cheap_reads(self.name, self.provider, base_url=self.base_url)
        return self._price

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies."""
        return {**super().identity, "protocol": "gemini", "keep_reasoning": self.keep_reasoning}

    def added_tokens(self, run: str, agent: str, messages: Sequence[Message]) -> int:
        """Returns the most tokens that a request has besides those of its messages.

        Args:
            run: the id of the run that asks.
            agent: the id of the agent that asks.
            messages: the chat.
        """
        return self._kept.tokens((run, agent), messages) if self.keep_reasoning else 0

    def _new_reply(self) -> GeminiReply:
        return GeminiReply()

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        kept = None
        if self.keep_reasoning and request.code_block:
            messages = cast("list[Message]", fields["messages"])
            kept = self._kept.of((request.run, request.agent), messages)
        path = gemini_path(self.name, streamed=bool(fields["stream"]))
        return wire.posted(gemini_request(fields, kept), seconds, path)

    def _completion(
        self, reply: Reply, bill: Bill, decoding: TurnDecoding, request: CompletionRequest
    ) -> Completion:
        completion = super()._completion(reply, bill, decoding, request)
        keeps = self.keep_reasoning and request.code_block
        if keeps and isinstance(reply, GeminiReply) and reply.signed and completion.text == reply.text:
            agent = (request.run, request.agent)
            self._kept.keep_unchanged(agent, completion.text, reply.parts, reply.kept_tokens)
        return completion

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        if self._authorizer is not None and failure.kind is Kind.KEY and failure.status == _UNAUTHENTICATED:
            return self._authorizer.reload()
        said = f"{failure.text} {failure.param}"
        if self.keep_reasoning and failure.refuses_content and _NO_SIGNATURE.search(said):
            self.keep_reasoning = False
            return True
        bound = _bound_told(said, sent) if failure.refuses_content else None
        if bound is not None:
            self._dialect.most_tokens = bound
            return True
        return super()._learn(failure, sent)

    async def _models(self) -> list[str] | None:
        """The names of the models that write texts; None if the server does not tell quickly."""
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                url = f"{self._url.get_secret_value().rstrip('/')}/models?pageSize=1000"
                listed: Any = parse_any_json(await self._wires.choose().fetched(url))
            entries = [
                one for one in listed["models"] if _METHOD in one.get("supportedGenerationMethods", [_METHOD])
            ]
            names = [str(one["name"]).removeprefix("models/") for one in entries]
        except Exception:
            return None  # the list is a courtesy; the error that is being told must not be lost over it
        return [quote(name, *self._secrets(), limit=80) for name in names] or None


def _own_url(provider: str | None) -> str | None:
    """Returns where Google itself is asked.

    Raises:
        ConfigError: the project or the location is none.
    """
    if provider != "vertex":
        return PROVIDERS["gemini"].base_url
    url = vertex_url()
    if url is None:
        raise ConfigError(
            "`GOOGLE_CLOUD_PROJECT` or `GOOGLE_CLOUD_LOCATION` is no name of a project or location: correct it."
        )
    return url


def _token(model: str) -> GoogleToken:
    """Returns what gets access tokens.

    Raises:
        MissingKeyError: `google-auth` is not installed.
    """
    provider = PROVIDERS["vertex"]
    if not is_installed(provider.library):
        raise MissingKeyError(
            f"The model `{model}` needs `api_key=` (of Vertex AI's express mode), or "
            f"`pip install 'rlm_jupyter[{provider.extra}]'` for Google Cloud credentials."
        )
    return GoogleToken()


def _bound_told(said: str, sent: Mapping[str, object]) -> int | None:
    """Returns the most tokens of a reply, if a refusal tells of fewer than were asked for."""
    found = _MOST_OUTPUT.search(said)
    asked = sent.get(OLD_LIMIT, sent.get(NEW_LIMIT))
    if found is None or not isinstance(asked, int):
        return None
    most = int(found[1]) - (0 if found[2] else 1)
    return most if _LEAST_BOUND <= most < asked else None
