"""`BedrockChat`: a model behind Amazon Bedrock's Converse API, asked with a Bedrock API key or with AWS credentials."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from rlm_jupyter.errors import ConfigError, MissingKeyError, ModelError
from rlm_jupyter.models.bedrock.converse_reply import ConverseReply
from rlm_jupyter.models.bedrock.converse_request import converse_path, converse_request
from rlm_jupyter.models.bedrock.event_frames import CONTENT_TYPE, FrameReader
from rlm_jupyter.models.credentials.aws_signature import AwsSignature
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.chat_replies import clean_text
from rlm_jupyter.models.openai.dialect import NEW_LIMIT, OLD_LIMIT
from rlm_jupyter.models.openai.failure_kinds import Kind
from rlm_jupyter.models.openai.mask_keys import public_url, quoted
from rlm_jupyter.providers import PROVIDERS, WireFormat, bedrock_region, bedrock_url
from rlm_jupyter.system import is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rlm_jupyter.models.base import CompletionRequest, Price
    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.openai.failures import Failure
    from rlm_jupyter.models.openai.wire import Response, Wire
    from rlm_jupyter.models.retry import RetryPolicy

_ANTHROPIC: Final = re.compile(r"(?:^|[./:])anthropic\.")
_CACHES: Final = re.compile(r"(?:^|[./:])(?:anthropic\.|amazon\.nova)")
"""Models with a prompt cache: others refuse its marks."""
_NO_MARKS: Final = re.compile(r"cache_?point|prompt cach|cache_?control", re.IGNORECASE)
_MOST_OUTPUT: Final = re.compile(r"maximum tokens[^.]{0,80}?limit of (\d{2,9})", re.IGNORECASE)
_STALE: Final = re.compile(r"expired|security token|signature", re.IGNORECASE)
"""Words of refusals after which credentials that are found anew may do."""
_LEAST_BOUND: Final = 16


class BedrockChat(OpenAIChat):
    """A language model behind Amazon Bedrock, asked by the Converse API.

    For Claude and Nova, the end of the fixed text and the newest turn of an agent are marked for the prompt cache.
    Without a Bedrock API key, requests are signed with the AWS credentials that `botocore` finds when the first one is
    made (environment, profiles, roles, SSO), which needs ``pip install 'rlm_jupyter[bedrock]'``.

    Args:
        model: the id of a model or of an inference profile, or an ARN.
        base_url: of the endpoint; None: that of the region that `AWS_REGION` or `AWS_DEFAULT_REGION` names.
        api_key: a Bedrock API key; never shown again. None: requests are signed.
        provider: the name of the profile in `PROVIDERS`.
        parameters: further fields of each request: with OpenAI's names, those of the API, and all others as
            `additionalModelRequestFields`.
        price: USD per million tokens; None: looked up.
        timeout: the most seconds of silence, before the reply and within it; None: as of `OpenAIChat`.
        retry: how often a request is tried.

    Raises:
        MissingKeyError: neither a key nor `botocore`.
        ConfigError: no region, a parameter that is not yours to set, or a time-out of nothing.
    """

    wire: WireFormat = "converse"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        provider: str | None = "bedrock",
        parameters: Mapping[str, object] | None = None,
        price: Price | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        url = base_url or bedrock_url()
        if url is None:
            raise ConfigError(f"The model `{model}` needs a region: set `AWS_REGION`, or give `base_url=`.")
        self._marks = _CACHES.search(model) is not None
        signature = None if api_key else _signature(model, url)
        super().__init__(
            model,
            base_url=url,
            api_key=api_key,
            provider=provider,
            parameters=parameters,
            price=price,
            timeout=timeout,
            retry=retry,
            authorizer=signature,
        )
        self._dialect.stream_usage = False

    def __repr__(self) -> str:
        return f"BedrockChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def bills_cache(self) -> bool:
        """Whether what is written to the prompt cache costs more than the rest."""
        return super().bills_cache or (self._marks and _ANTHROPIC.search(self.name) is not None)

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies."""
        return {**super().identity, "protocol": "converse"}

    def _new_reply(self) -> ConverseReply:
        return ConverseReply()

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        path = converse_path(self.name, streamed=bool(fields["stream"]))
        body = converse_request(fields, marks_turn=request.code_block, marks=self._marks)
        return wire.posted(body, seconds, path)

    async def _receive(
        self,
        response: Response,
        reply: Reply,
        on_delta: Callable[[str], None] | None,
        heard: Callable[[], None],
    ) -> None:
        framed = response.headers.get("content-type", "").partition(";")[0].strip().lower() == CONTENT_TYPE
        if not framed or not isinstance(reply, ConverseReply):
            await super()._receive(response, reply, on_delta, heard)
            return
        reader = FrameReader()
        async with contextlib.aclosing(response.iter_bytes()) as chunks:
            async for chunk in chunks:
                for frame in reader.feed(chunk):
                    text = reply.add_frame(frame)
                    heard()
                    if text and on_delta is not None:
                        on_delta(clean_text(text))

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        said = f"{failure.text} {failure.param}"
        signed = self._authorizer
        if signed is not None and failure.kind is Kind.KEY and _STALE.search(said):
            return signed.reload()
        refused = failure.refuses_content or failure.kind is Kind.KEY  # a cache that is not allowed is a 403
        if self._marks and refused and _NO_MARKS.search(said):
            self._marks = False
            return True
        bound = _bound_told(said, sent) if failure.refuses_content else None
        if bound is not None:
            self._dialect.most_tokens = bound
            return True
        return super()._learn(failure, sent)

    async def _model_error(self, failure: Failure, said: str) -> ModelError | None:
        """Returns what to check: the endpoint lists no models."""
        return ModelError(
            f"`{self.base_url}` has no model `{self.name}` ({failure.status or 'error'}).{quoted(said)} Check its id, "
            "that its region is this one, and that the account may use it; some models are reached by an inference "
            "profile only, such as `us.…` or `global.…`."
        )


def _signature(model: str, url: str) -> AwsSignature:
    """Returns what signs the requests to an address.

    Raises:
        MissingKeyError: `botocore` is not installed.
        ConfigError: nothing names the region.
    """
    provider = PROVIDERS["bedrock"]
    if not is_installed(provider.library):
        raise MissingKeyError(
            f"The model `{model}` needs `api_key=` (a Bedrock API key), or "
            f"`pip install 'rlm_jupyter[{provider.extra}]'` for AWS credentials."
        )
    region = bedrock_region(url)
    if region is None:
        raise ConfigError(
            f"Requests to `{public_url(url)}` for the model `{model}` need a region: set `AWS_REGION`."
        )
    return AwsSignature(region)


def _bound_told(said: str, sent: Mapping[str, object]) -> int | None:
    """Returns the most tokens of a reply, if a refusal tells of fewer than were asked for."""
    found = _MOST_OUTPUT.search(said)
    asked = sent.get(OLD_LIMIT, sent.get(NEW_LIMIT))
    if found is None or not isinstance(asked, int):
        return None
    most = int(found[1]) - 1  # "lower than", it says
    return most if _LEAST_BOUND <= most < asked else None
