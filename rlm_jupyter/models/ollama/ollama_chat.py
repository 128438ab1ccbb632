"""`OllamaChat`: a model of an Ollama server, by its own protocol.

Its OpenAI-compatible endpoint takes no size of the context (https://github.com/ollama/ollama/issues/2722): prompts
above the server's default would be cut without a word. `/api/chat` takes it.
"""

from __future__ import annotations

import contextlib
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, cast

from pydantic import SecretStr

from rlm_jupyter.errors import ContextTooLongError, ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest, Price
from rlm_jupyter.models.bounded_json import JsonClient
from rlm_jupyter.models.local.discovery import LocalModel, LocalServer, hears_shown, sees_shown
from rlm_jupyter.models.ollama.context_size import context_size
from rlm_jupyter.models.ollama.ollama_wire import native_request, receive_lines, with_media
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.failures import Failure, Kind
from rlm_jupyter.models.openai.mask_keys import public_url, quote, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rlm_jupyter.models.base import Message
    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.openai.wire import Response, Wire
    from rlm_jupyter.models.retry import RetryPolicy

_LISTED: Final = 8
_MISSING: Final = re.compile(r"exceed\w* (?:the )?(?:max(?:imum)? )?context length by (\d{1,9})")
_NO_MEMORY: Final = re.compile(
    r"more system memory|out of memory|not enough memory|insufficient memory|failed to allocate|allocation failed",
    re.IGNORECASE,
)
_NO_THINKING: Final = re.compile(r"does not support thinking|think value", re.IGNORECASE)


class OllamaChat(OpenAIChat):
    """A model of an Ollama server, which loads it with a context that the prompt fits into.

    The context grows with the chat, in powers of two up to what the model holds; `extra_body` with
    ``{"options": {"num_ctx": 32768}}`` sets it once and for all.

    Args:
        model: its name, such as ``qwen2.5-coder:7b``.
        base_url: of the server, with or without ``/v1``.
        api_key: none is needed by a server of one's own.
        parameters: further fields of each request, as of `OpenAIChat`; names of Ollama's options are options.
        price: USD per million tokens; None: nothing, as of a server of one's own.
        timeout: the most seconds of silence, before the reply and within it; None: as of `OpenAIChat`.
        retry: how often a request is tried.

    Raises:
        ConfigError: a parameter that is not yours to set, a time-out of nothing, or an address that is none.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "http://127.0.0.1:11434",
        api_key: str = "none",
        parameters: Mapping[str, object] | None = None,
        price: Price | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        root = base_url.rstrip("/").removesuffix("/v1")
        self._root = SecretStr(root)
        super().__init__(
            model,
            base_url=f"{root}/api",
            api_key=api_key,
            provider="ollama",
            parameters=parameters,
            price=price,
            timeout=timeout,
            retry=retry,
        )
        self._size = context_size(root, model)
        self._think = True
        self._given_size = _fixed(self.parameters)

    def __repr__(self) -> str:
        return f"OllamaChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the server is, without what may be secret in the address."""
        return f"{public_url(self._root.get_secret_value())}/v1"

    @property
    def window(self) -> int | None:
        """Tokens that the model holds, or the size that was set; None before the server was asked."""
        return self._given_size or self._size.window

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies."""
        return {**super().identity, "protocol": "ollama"}

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer the messages.

        Raises:
            ContextTooLongError: the prompt is larger than the model's window.
            ProviderUnreachableError: no connection, or nothing but time-outs and server errors.
            MalformedReplyError: nothing but replies that are no use.
            ModelError: any other refusal, such as a model that is not there.
        """
        self._given_size = _fixed({**self.parameters, **request.parameters})
        await self._ask_sizes()
        self._check_fits(request)
        completion = await super().complete(request)
        if completion.usage is not None and not completion.usage.estimated and completion.attempts == 1:
            self._size.learn(request.messages, completion.usage.prompt_tokens)
        return completion

    async def _ask_sizes(self) -> None:
        """Ask the server once what the model holds and how it is loaded."""
        if self._decoding.server is not None and self._size.asked:
            return
        root, key = self._root.get_secret_value(), self._key.get_secret_value()
        async with JsonClient() as client:
            shown = await client.post(f"{root}/api/show", {"model": self.name}, key)
            running = await client.get(f"{root}/api/ps", key)
        if running.status:  # else nobody is there, or not yet
            self._size.read(self.name, shown.body, running.body)
        told = shown.body.get("capabilities") if isinstance(shown.body, dict) else None
        thinks = "thinking" in told[:50] if isinstance(told, list) else None
        sees, hears = sees_shown(shown.body), hears_shown(shown.body)
        model = LocalModel(self.name, self._size.window, sees=sees, hears=hears)
        self._decoding.server = LocalServer("ollama", self.base_url, "ollama", (model,), thinks=thinks)

    def _check_fits(self, request: CompletionRequest) -> None:
        """Refuse a prompt that the model cannot hold: older servers would cut it without a word.

        Raises:
            ContextTooLongError: with the sizes.
        """
        most = self.window
        tokens = self._size.surely(request.messages)
        if most is not None and tokens > most:
            raise ContextTooLongError(
                f"The prompt for `{self.name}` has about {tokens:,} tokens; its context length: {most:,} tokens. "
                "It was not sent. Give the model less at once, or choose a model with a larger window."
            )

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, _request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        messages = cast("list[Message]", fields["messages"])
        body = native_request({**fields, "messages": with_media(messages)})
        if not self._think:
            body.pop("think", None)
        if not isinstance(body["options"].get("num_ctx"), int):
            body["options"]["num_ctx"] = self._size.choose(messages, body["options"].get("num_predict"))
        return wire.posted(body, seconds, "/chat")

    async def _receive(
        self,
        response: Response,
        reply: Reply,
        on_delta: Callable[[str], None] | None,
        heard: Callable[[], None],
    ) -> None:
        await receive_lines(response, reply, on_delta, heard)

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        messages = cast("list[Message]", sent["messages"])
        if failure.kind is Kind.CONTEXT and not _fixed(sent):
            missing = _MISSING.search(failure.text)
            return self._size.grow(int(missing[1]) if missing else None)
        if _NO_MEMORY.search(failure.text) and not _fixed(sent):
            bound = sent.get("max_tokens")
            return self._size.shrink(messages, bound if isinstance(bound, int) else None)
        if self._think and _NO_THINKING.search(failure.text):
            self._think = False
            return True
        return super()._learn(failure, sent)

    async def _model_error(self, failure: Failure, said: str) -> ModelError | None:
        """Returns which models there are, and how to get one that is not."""
        names = await self._models()
        status = failure.status or "error"
        if names is None and failure.kind is Kind.ADDRESS:
            return ModelError(
                f"`{self.base_url}` has no `/api/chat` ({status}).{quoted(said)} Is it an Ollama server? For another "
                "one, set `base_url` (`RLM_MODEL_BASE_URL`) and leave out `ollama/`."
            )
        near = get_close_matches(self.name, names or [], n=_LISTED, cutoff=0.4)
        shown = near + [name for name in names or [] if name not in near]
        listed = ", ".join(f"`{name}`" for name in shown[:_LISTED]) + (", …" if len(shown) > _LISTED else "")
        has = f"It has {listed}. " if shown else ""
        return ModelError(
            f"`{self.base_url}` has no model `{self.name}` ({status}).{quoted(said)} {has}"
            f"Get it in a shell by `ollama pull {self.name}`."
        )

    async def _models(self) -> list[str] | None:
        root, key = self._root.get_secret_value(), self._key.get_secret_value()
        async with JsonClient() as client:
            body = (await client.get(f"{root}/api/tags", key)).body
        models = body.get("models") if isinstance(body, dict) else None
        if not isinstance(models, list):
            return None
        named = [model.get("name") for model in models[:200] if isinstance(model, dict)]
        return [quote(name, key, limit=80) for name in named if isinstance(name, str)]


def _fixed(parameters: Mapping[str, object]) -> int | None:
    """Returns the size of the context that the user set; None if there is none."""
    extra = parameters.get("extra_body")
    for holder in (extra, parameters):
        options = holder.get("options") if isinstance(holder, dict) else None
        size = options.get("num_ctx") if isinstance(options, dict) else None
        if isinstance(size, int) and size > 0:
            return size
    return None
