"""`OpenAIChat`: a language model behind any server that speaks OpenAI's chat completions.

The SDK sends and checks nothing more than the request itself: replies are read here, because servers that
are merely compatible send what its types do not expect, and retries are made here, because they must be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections import Counter
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from rlm_jupyter.errors import ConfigError, MissingKeyError, ModelError
from rlm_jupyter.models.audio_support import audio_refusal
from rlm_jupyter.models.base import CachingPrice, Completion, CompletionRequest, Message, Price, audio_of
from rlm_jupyter.models.local.known_servers import known_server
from rlm_jupyter.models.local.server_queue import KNOWN_SECONDS, server_queue, silent_seconds, work_seconds
from rlm_jupyter.models.model_statistics import statistics_of
from rlm_jupyter.models.openai.billing import Bill
from rlm_jupyter.models.openai.chat_messages import sendable, with_parts
from rlm_jupyter.models.openai.chat_replies import Reply, WireError, parse_any_json
from rlm_jupyter.models.openai.decoding_choice import DecodingChoice
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT, Dialect, check_parameters
from rlm_jupyter.models.openai.failures import KEY_WORDS, Failure, Kind, error_of, failure_of
from rlm_jupyter.models.openai.mask_keys import public_url, quote, quoted
from rlm_jupyter.models.openai.media_refusals import of_media
from rlm_jupyter.models.openai.network_environment import dead_proxy, proxy_for
from rlm_jupyter.models.openai.reply_usage import cost_in_headers
from rlm_jupyter.models.openai.silence import Silence
from rlm_jupyter.models.openai.streaming import fault_of, receive
from rlm_jupyter.models.openai.wires import Wires
from rlm_jupyter.models.prices import price_of, window_of
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.providers import WireFormat, key_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openai import AsyncOpenAI

    from rlm_jupyter.models.credentials.authorizer import Authorizer
    from rlm_jupyter.models.decoding import DecodingHelps, TurnDecoding
    from rlm_jupyter.models.local.discovery import LocalServer
    from rlm_jupyter.models.openai.wire import Response, Wire, WireChoice
    from rlm_jupyter.models.token_ratio import TokenRatio

OPENAI_URL: Final = "https://api.openai.com/v1"
_SILENCE_SECONDS: Final = 300.0
_LIST_SECONDS: Final = 3.0
_LISTED_MODELS: Final = 8
_MOST_ADAPTATIONS: Final = 4


class OpenAIChat:
    """A language model behind an OpenAI-compatible server.

    Requests stream when somebody listens (`CompletionRequest.on_delta`). A failure that may pass is waited
    for and tried again, each time after a call of `on_wait`; the text then starts from its beginning. An
    exception that `on_wait` or `on_delta` raises ends the request.

    Args:
        model: the name to send.
        base_url: of the server; None: `OPENAI_BASE_URL`, else OpenAI's own.
        api_key: never shown again. May be left out with a `client`, which has one.
        provider: the name of the profile in `PROVIDERS`, for the price and for what is known of that server.
        client: an `openai.AsyncOpenAI` of your own (Azure, a proxy, other headers); you close it.
        parameters: further fields of each request, such as ``{"temperature": 0}`` or ``extra_body``.
        price: USD per million tokens; None: looked up.
        timeout: the most seconds of silence, before the reply and within it; None: 300, and for a server on this
            machine, before the reply, as many more as a slow machine takes to read a prompt of that length.
        retry: how often a request is tried.
        authorizer: in the place of a key, what makes the headers by which the server knows who asks.

    Attributes:
        decoding: what the server is to do so that an agent's reply is one block of code; None: what a server on this
            machine is known to have, and for others nothing.
        hears: whether the model takes audio; None if that is not known.

    Raises:
        MissingKeyError: neither a key nor a client.
        ConfigError: a parameter that is not yours to set, or a time-out of nothing.
    """

    scripted = False
    wire: WireFormat = "chat"
    hears: bool | None = None

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        provider: str | None = None,
        client: AsyncOpenAI | None = None,
        parameters: Mapping[str, object] | None = None,
        price: Price | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        authorizer: Authorizer[Any] | None = None,
    ) -> None:
        if client is None and authorizer is None and not api_key:
            raise MissingKeyError(
                f"The model `{model}` needs `api_key=` (any text, where its server needs none)."
            )
        if timeout is not None and timeout <= 0:
            raise ConfigError(f"The `timeout` of a model cannot be {timeout}: give seconds above 0.")
        self.name = model
        self.provider = provider
        self.parameters: dict[str, object] = dict(parameters or {})
        check_parameters(self.parameters)
        self.timeout = _SILENCE_SECONDS if timeout is None else timeout
        self._patient = timeout is None
        self.retry = retry or RetryPolicy()
        self._key = SecretStr(_checked_key(api_key or (client.api_key if client is not None else "")))
        url = str(client.base_url) if client is not None else base_url or os.environ.get("OPENAI_BASE_URL")
        self._url = SecretStr(_checked_url(url or OPENAI_URL))
        plain = "extra_query" not in self.parameters
        self._public_url = public_url(self._url.get_secret_value())
        self._authorizer = authorizer
        self._headers = {} if authorizer else key_headers(provider, self._key, wire=self.wire)
        self._wires: WireChoice = Wires(
            self._headers, self._url, self.timeout, client, plain=plain, authorizer=authorizer
        )
        self._dialect = Dialect.of(self.base_url, provider, model, self.wire)
        self._server = server_queue(self._url.get_secret_value())
        self._price = price
        self.decoding: DecodingHelps | None = None
        self._decoding = DecodingChoice(model, self._url, self._key)

    def __repr__(self) -> str:
        return f"OpenAIChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the server is, without what may be secret in the address."""
        return self._public_url

    @property
    def price(self) -> Price | None:
        """USD per million tokens; None if it is not known."""
        if self._price is None:
            self._price = price_of(self.name, self.provider, base_url=self.base_url)
        return self._price

    @property
    def bills_cache(self) -> bool:
        """Whether its provider bills what it writes to its prompt cache dearer than the rest, as far as is known."""
        return isinstance(price_of(self.name, self.provider, base_url=self.base_url), CachingPrice)

    @property
    def window(self) -> int | None:
        """Tokens that the model holds; None if it is not known."""
        return self._decoding.window or window_of(self.name, self.provider, base_url=self.base_url)

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies: no secret is in it."""
        hidden = ("extra_headers", "extra_query")
        parameters = {name: value for name, value in self.parameters.items() if name not in hidden}
        identity: dict[str, object] = {
            "base_url": self.base_url,
            "model": self.name,
            "parameters": parameters,
        }
        # Only what was set: what is learnt of a server changes with its first answer.
        return identity if self.decoding is None else {**identity, "decoding": vars(self.decoding)}

    async def local_server(self) -> LocalServer | None:
        """Returns what its server says of itself; None if it is elsewhere, or does not say so in a second."""
        return await known_server(self._url.get_secret_value(), self._key.get_secret_value())

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer the messages.

        Raises:
            AuthenticationError: the key was refused.
            ContextTooLongError: the prompt is larger than the model's window.
            ImagesRefusedError: the model does not take images.
            AudioRefusedError: the model, or its protocol, does not take audio.
            ProviderUnreachableError: no connection, or nothing but time-outs and server errors.
            MalformedReplyError: nothing but replies that are no use.
            ModelError: any other refusal: a model that is not there, no credit, a parameter.
        """
        if self.hears is False and audio_of(request.messages):
            raise audio_refusal(self)
        messages = sendable(request.messages, system_role=self._dialect.system_role)
        bill = Bill(messages, statistics_of(self).ratio)
        most, adaptations = request.max_tokens, 0
        failures: Counter[Kind] = Counter()
        wanted = decoding = await self._decoding.of(request, self.decoding)
        while True:
            body = self._dialect.body(
                {**self.parameters, **self._dialect.taken(request)}, most, stream=request.on_delta is not None
            )
            fields, chat = decoding.request(body, messages)
            outcome = await self._attempt(chat, fields, request, decoding.listener(request.on_delta), bill)
            if isinstance(outcome, Reply):
                self._decoding.learn(outcome, wanted, decoding)
                return self._completion(outcome, bill, decoding, request)
            if adaptations < _MOST_ADAPTATIONS:
                room = Dialect.room(outcome, body)
                less = None if room is not None else self._decoding.without_named(decoding, outcome)
                learnt = (
                    room is not None
                    or less is not None
                    or self._dialect.learn_optional(outcome, body, request.optional)
                    or self._learn(outcome, {**body, "messages": messages})
                )
                less = less if learnt else self._decoding.without_all(decoding, outcome)
                if learnt or less is not None:
                    most = room if room is not None else most
                    decoding = less if less is not None else decoding
                    messages = sendable(request.messages, system_role=self._dialect.system_role)
                    adaptations += 1
                    await _announce(request, outcome, 0.0)  # it is one more request: whoever counts must know
                    continue
            failures[outcome.kind] += 1
            if (
                failures[outcome.kind] >= outcome.attempts(self.retry)
                or failures.total() >= self.retry.attempts
            ):
                # Outside of any `except`: the SDK's exception, which knows the key, must not be its context.
                raise await self._error(outcome, bill)
            seconds = self.retry.wait(failures.total(), outcome.retry_after)
            await _announce(request, outcome, seconds)
            await asyncio.sleep(seconds)

    @property
    def server_is_local(self) -> bool:
        """Whether its server is on this machine."""
        return self._server is not None

    @property
    def tells_beginning(self) -> bool:
        """Whether its server sends replies as they come, so that `on_begin` is called with their beginning."""
        return self._dialect.streams

    def take_place(self) -> bool:
        """Take a place at the server if there is one at once; return whether there was."""
        return self._server is None or self._server.enter_at_once()

    async def wait_for_place(self) -> None:
        """Wait until the server has room for one more request, if it is on this machine and tells its slots."""
        if self._server is not None:
            await self._server.enter(self._slots)

    def free_place(self) -> None:
        """Let the next request go on, after `wait_for_place`."""
        if self._server is not None:
            self._server.leave()

    async def aclose(self) -> None:
        """Close the connections of all loops; the model can be used again after it."""
        await self._wires.aclose()

    async def _attempt(
        self,
        messages: list[Message],
        body: dict[str, object],
        request: CompletionRequest,
        on_delta: Callable[[str], None] | None,
        bill: Bill,
    ) -> Reply | Failure:
        """Send one request; give its reply, or what went wrong."""
        bill.attempts += 1
        reply, fields = self._new_reply(), dict(body)
        fields |= {"model": self.name, "messages": messages, "stream": bool(fields.get("stream", False))}
        failure: Failure | None = None
        begun = False
        silence = Silence(self.timeout, reply, request.on_begin)
        try:
            wire = self._wires.choose()
            with self._work(messages, body, bill.ratio, silence):
                async with silence, self._posted(wire, fields, silence.longest, request) as response:
                    begun = True
                    self._note_accepted()
                    await self._receive(response, reply, on_delta, silence.heard)
                    reply.cost = cost_in_headers(response.headers) if reply.cost is None else reply.cost
        except WireError as error:
            failure = Failure(Kind.MALFORMED, str(error))
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
        if failure is not None and failure.kind is Kind.TIMEOUT and silence.patient:
            failure = Failure(Kind.SLOW, silence.told)
        if failure is not None and reply.finish_reason is not None:
            failure = None  # what broke after the reply's own end took nothing away from it
        failure = failure or fault_of(reply)
        if failure is not None:
            failure = of_media(failure, messages)
        if failure is not None and failure.kind is Kind.TOOL_CALL:
            # The provider refused the model's own reply, as one that calls a tool: as if it had passed it on.
            failure, begun = None, True
            reply = Reply(usage=reply.usage, cost=reply.cost, model=reply.model, tool_calls=True)
        if begun or (failure is not None and failure.kind in (Kind.TIMEOUT, Kind.SLOW, Kind.BROKEN)):
            bill.add(
                reply, _bound_of(body)
            )  # what was sent and not answered may have been billed all the same
        if failure is not None and failure.kind is Kind.UNREACHABLE:
            failure = self._blame_proxy(failure)
        return failure or reply

    def _note_accepted(self) -> None:
        if self._authorizer is not None:
            self._authorizer.accept()

    # What differs where a server speaks another protocol.

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        """Learn from a refusal; tell whether the request is worth being sent again, built anew."""
        return self._dialect.learn(failure, sent)

    def _new_reply(self) -> Reply:
        """Returns what a response is read into."""
        return Reply()

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, _request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        """Send a request; its response is then open."""
        messages = cast("list[Message]", fields["messages"])
        return wire.posted({**fields, "messages": with_parts(messages)}, seconds)

    async def _receive(
        self,
        response: Response,
        reply: Reply,
        on_delta: Callable[[str], None] | None,
        heard: Callable[[], None],
    ) -> None:
        """Read a response into `reply`."""
        await receive(response, reply, on_delta, heard)

    @contextmanager
    def _work(
        self, messages: list[Message], body: Mapping[str, object], ratio: TokenRatio, silence: Silence
    ) -> Iterator[None]:
        """Count a request as in flight, if its server is on this machine, which may be silent for longer.

        A time-out that was chosen holds as it is.
        """
        if self._server is None:
            yield
            return
        tokens, most = ratio.prompt_tokens(messages), _bound_of(body)
        with self._server.work(work_seconds(tokens, most)) as before:
            if self._patient:
                own = silent_seconds(tokens, most, streams="stream" in body)
                silence.allow(before + own, tokens)
            yield

    async def _slots(self) -> int | None:
        """Ask a server of this machine how many requests it serves at once, as llama.cpp tells.

        Raises:
            TimeoutError: it did not answer in time.
        """
        url, key = self._url.get_secret_value(), self._key.get_secret_value()
        server = await known_server(url, key, seconds=KNOWN_SECONDS)
        if server is None:
            raise TimeoutError
        return server.slots

    def _blame_proxy(self, failure: Failure) -> Failure:
        """Name the proxy through which there is no connection, if it is one of the environment."""
        url = self._url.get_secret_value()
        proxy = proxy_for(url) if self._wires.own else None
        return failure if proxy is None else Failure(Kind.SETUP, dead_proxy(proxy, url, failure.text))

    def _completion(
        self, reply: Reply, bill: Bill, decoding: TurnDecoding, _request: CompletionRequest
    ) -> Completion:
        return Completion(
            text=decoding.whole(reply.text, reply.finish_reason),
            usage=bill.usage,
            cost=bill.cost,
            model=reply.model or self.name,
            finish_reason="tool_calls" if reply.tool_calls and reply.blank else reply.finish_reason or "stop",
            attempts=bill.attempts,
            thought_bytes=reply.thought_bytes,
            service_tier=reply.service_tier,
        )

    async def _error(self, failure: Failure, bill: Bill) -> ModelError:
        said = quote(failure.text, *self._secrets())
        authorizer = self._authorizer
        key = (
            KEY_WORDS
            if authorizer is None
            else (authorizer.title, f"May they use this model? {authorizer.hint}")
        )
        error = error_of(failure, model=self.name, url=self.base_url, said=said, sent=bill.attempts, key=key)
        if failure.kind in (Kind.MODEL, Kind.ADDRESS):
            error = await self._model_error(failure, said) or error
        # What the failed requests cost, for the ledger: `errors.ModelError` is raised by others without it.
        vars(error).update(attempts=bill.attempts, usage=bill.failed_usage, cost=bill.cost)
        return error

    def _secrets(self) -> tuple[str, ...]:
        """Returns what must not be shown of what the provider says."""
        values = (value for name, value in self._headers.items() if name != "anthropic-version")
        fresh = () if self._authorizer is None else self._authorizer.secrets
        return (self._key.get_secret_value(), *(value.get_secret_value() for value in values), *fresh)

    async def _model_error(self, failure: Failure, said: str) -> ModelError | None:
        """Returns which models there are; None if the address is to blame, where no models are listed either."""
        names = await self._models()
        if names is None:
            if failure.kind is Kind.ADDRESS:
                return None
            hint = "Check the name, and that `base_url` is that of an OpenAI-compatible API."
        else:
            near = get_close_matches(self.name, names, n=_LISTED_MODELS, cutoff=0.4)
            shown = near + [name for name in names if name not in near]
            more = ", …" if len(shown) > _LISTED_MODELS else ""
            hint = f"It has {', '.join(f'`{name}`' for name in shown[:_LISTED_MODELS])}{more}."
        return ModelError(
            f"`{self.base_url}` has no model `{self.name}` ({failure.status or 'error'}).{quoted(said)} {hint}"
        )

    async def _models(self) -> list[str] | None:
        """The names of the server's models; None if it does not tell quickly."""
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                page = await self._wires.choose().fetched(
                    f"{self._url.get_secret_value().rstrip('/')}/models"
                )
            listed: Any = parse_any_json(page)
            names = [quote(str(model["id"]), *self._secrets(), limit=80) for model in listed["data"]]
        except Exception:
            return None  # the list is a courtesy; the error that is being told must not be lost over it
        return names or None


async def _announce(request: CompletionRequest, failure: Failure, seconds: float) -> None:
    """Reports that there will be one more attempt, and waits until it may be made."""
    if request.on_wait is None:
        return
    pending = request.on_wait(failure.reason, seconds)
    if inspect.isawaitable(pending):
        await pending


def _bound_of(body: Mapping[str, object]) -> int | None:
    """Returns the most tokens that a request allows its reply."""
    bound = body.get(NEW_LIMIT, body.get(OLD_LIMIT))
    return bound if isinstance(bound, int) else None


def _checked_key(key: str) -> str:
    key = key.strip()
    if key.isascii() and key.isprintable():
        return key
    # Such a key fails while its header is written, with an exception that quotes it.
    raise ConfigError("The API key holds characters that no key has, such as quotes or spaces: copy it anew.")


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if good:
        return url
    raise ConfigError(
        f"The base URL `{public_url(url)}` is none: give one such as `http://127.0.0.1:8000/v1`."
    )
