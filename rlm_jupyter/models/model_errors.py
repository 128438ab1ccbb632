"""The exception for a failure that is final: what happened, where, what the provider said, and what to do."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    EmptyReplyError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models.environment import certificate_hint
from rlm_jupyter.models.failures import Failure, Kind
from rlm_jupyter.models.redact import quoted, sentence

_ENDPOINT: Final = re.compile(r"/(?:chat/completions|completions|responses|messages|models)/*$")
_VERSION: Final = re.compile(r"/v\d+[a-z0-9]*(?:/|$)")


def error_of(failure: Failure, *, model: str, url: str, said: str, sent: int) -> ModelError:
    """Make the exception for a failure that is final.

    Args:
        failure: the last one.
        model: the model's name.
        url: where it was reached, without secrets.
        said: what the provider said, without secrets; may be empty.
        sent: how many requests were sent.
    """
    tries = "" if sent == 1 else f" after {sent} attempts"
    make = (
        _reply_error
        if failure.kind in _OF_REPLIES
        else _connection_error
        if failure.kind in _OF_CONNECTIONS
        else _refusal
    )
    error = make(failure, model=model, url=url, said=said, tries=tries)
    error.retryable = failure.kind.recoverable
    return error


_OF_REPLIES: Final = frozenset({Kind.MALFORMED, Kind.EMPTY, Kind.THOUGHTS})
_OF_CONNECTIONS: Final = frozenset(
    {Kind.UNREACHABLE, Kind.CERTIFICATE, Kind.SETUP, Kind.TIMEOUT, Kind.BROKEN, Kind.SERVER}
)


def _reply_error(failure: Failure, *, model: str, url: str, said: str, tries: str) -> ModelError:
    if failure.kind is Kind.THOUGHTS:
        return EmptyReplyError(
            f"The model `{model}` at `{url}` only thought{tries}: its reply has thoughts and no text. Switch its "
            "thinking off or make it shorter by a parameter of the model (often `reasoning_effort`), or raise "
            "`completion_tokens`.",
            only_thoughts=True,
        )
    if failure.kind is Kind.EMPTY:
        return EmptyReplyError(
            f"`{url}` gave no usable reply for the model `{model}`{tries}: {sentence(said)} Ask in another way, or try "
            "another model; if it never writes any, is `base_url` that of an OpenAI-compatible API?"
        )
    return MalformedReplyError(
        f"`{url}` gave no usable reply for the model `{model}`{tries}: {sentence(said)} {address_hint(url)}"
    )


def _connection_error(failure: Failure, *, model: str, url: str, said: str, tries: str) -> ModelError:
    begin = f"No connection to `{url}` for the model `{model}`{tries}"
    if failure.kind is Kind.SETUP:
        return ProviderUnreachableError(f"{begin}: {said}")
    if failure.kind is Kind.CERTIFICATE:
        return ProviderUnreachableError(f"{begin} ({failure.kind.value}: {said}). {certificate_hint()}")
    if failure.kind is Kind.UNREACHABLE:
        return ProviderUnreachableError(
            f"{begin} ({failure.kind.value}: {said}). "
            f"Is the server running, is `base_url` right, and is there a network?"
        )
    return ProviderUnreachableError(
        f"`{url}` gave no reply for the model `{model}`{tries}: {failure.reason}.{quoted(said)} Try again later."
    )


def _refusal(failure: Failure, *, model: str, url: str, said: str, tries: str) -> ModelError:
    quote = quoted(said)
    status = f" ({failure.status})" if failure.status else ""
    match failure.kind:
        case Kind.KEY:
            return AuthenticationError(
                f"`{url}` refused the key for the model `{model}`{status}.{quote} "
                f"Check the key's environment variable, and that the key may use this model."
            )
        case Kind.CONTEXT:
            return ContextTooLongError(
                f"The prompt is longer than the context window of `{model}`{status}.{quote} "
                f"Give the model less at once, or choose a model with a larger window."
            )
        case Kind.QUOTA:
            return ModelError(
                f"`{url}` has no credit left for this key{status}.{quote} Check the plan and its billing."
            )
        case Kind.RATE_LIMIT:
            return ModelError(
                f"`{url}` limits the rate of requests for the model `{model}`{tries}{status}.{quote} "
                f"Lower `Limits.concurrency`, or try again later."
            )
        case Kind.ADDRESS:
            return ModelError(
                f"`{url}` has nothing that answers chat completions for the model `{model}`{status}.{quote} "
                f"{address_hint(url)}"
            )
        case _:
            return ModelError(f"`{url}` refused the request for the model `{model}`{status}.{quote}")


def address_hint(url: str) -> str:
    """Returns what is probably wrong with a base URL at which nothing answers."""
    path = urlsplit(url).path
    if found := _ENDPOINT.search(path):
        right = url[: url.rindex(found[0])]
        return f"`base_url` must end before `{found[0].rstrip('/')}`: give `{right}`."
    if not _VERSION.search(path):
        return f"`base_url` is probably missing `/v1`: try `{url.rstrip('/')}/v1`."
    return "Is `base_url` that of an OpenAI-compatible API (it often ends in `/v1`)?"
