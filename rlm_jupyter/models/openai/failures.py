"""What went wrong with one request: read from a refusal, a reply or the connection, and made into an exception.

Only text passes from here on: an exception of the SDK holds the request, and with it the key.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from rlm_jupyter.errors import (
    AudioRefusedError,
    AuthenticationError,
    ContextTooLongError,
    EmptyReplyError,
    ImagesRefusedError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models.openai.error_body import ErrorBody, read_error
from rlm_jupyter.models.openai.failure_kinds import Failure, Kind, kind_of
from rlm_jupyter.models.openai.mask_keys import quoted, sentence
from rlm_jupyter.models.openai.network_environment import SetupError, certificate_hint
from rlm_jupyter.models.openai.wire import RefusedError
from rlm_jupyter.models.retry import reset_seconds, retry_after_seconds, seconds_in_words

__all__ = ["Failure", "Kind", "address_hint", "error_of", "failure_of", "failure_of_error_object"]

_MOST_BODY: Final = 1 << 20
_ERRORS: Final = 400
_NOT_CONNECTED: Final = frozenset(
    {
        *("ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorSSLError"),
        *("ClientConnectorCertificateError", "ConnectionTimeoutError", "InvalidUrlClientError"),
        *("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"),
    }
)
"""Names of aiohttp's and httpx's exceptions."""


_ENDPOINT: Final = re.compile(r"/(?:chat/completions|completions|responses|messages|models)/*$")
KEY_WORDS: Final = ("key", "Check the key's environment variable, and that the key may use this model.")
"""What a provider refuses with a 401 or 403, and what to do about it."""
_VERSION: Final = re.compile(r"/v\d+[a-z0-9]*(?:/|$)")
_OF_REPLIES: Final = frozenset({Kind.MALFORMED, Kind.EMPTY, Kind.THOUGHTS})
_OF_CONNECTIONS: Final = frozenset(
    {Kind.UNREACHABLE, Kind.CERTIFICATE, Kind.SETUP, Kind.TIMEOUT, Kind.SLOW, Kind.BROKEN, Kind.SERVER}
)


def failure_of(error: Exception) -> Failure | None:
    """Returns what an exception of the wire or of the connection means; None if it is none of theirs."""
    if isinstance(error, RefusedError):
        return _failure(read_error(_parsed(error.body)), error.status_code, error.headers)
    if (refusal := _refusal_of_sdk(error)) is not None:
        return refusal
    if isinstance(error, SetupError):
        return Failure(Kind.SETUP, str(error))
    if isinstance(error, TimeoutError) and type(error).__name__ not in _NOT_CONNECTED:
        return Failure(Kind.TIMEOUT)
    if isinstance(error, (OSError, *_http_errors())):
        return _failure_of_connection(error)
    return None


def _refusal_of_sdk(error: Any) -> Failure | None:
    """Returns what an exception of an SDK means that has a status; an SDK that was not needed is not imported."""
    openai, anthropic = sys.modules.get("openai"), sys.modules.get("anthropic")
    if openai is not None and isinstance(error, openai.APIStatusError):
        return _failure(read_error(_body(error)), error.status_code, error.response.headers)
    if anthropic is not None and isinstance(error, anthropic.APIStatusError):
        told = read_error(_body(error) or error.body)
        # An error in the middle of a stream carries the status of the stream, which had begun well.
        status = error.status_code if error.status_code >= _ERRORS else told.status
        return _failure(told, status, error.response.headers)
    return None


def failure_of_error_object(error: object) -> Failure:
    """Returns what an error means that came after a 200, in the place of a reply or in its middle."""
    told = read_error(error)
    return _failure(told, told.status, {})


def _body(error: Any) -> object:
    """Returns the body of a refusal: the whole, of which the SDK's exception may hold a part."""
    try:
        data = error.response.content
    except Exception:  # it was never read, or cannot be decoded
        return error.body if isinstance(error.body, str) else ""
    return _parsed(data)


def _parsed(data: bytes) -> object:
    if len(data) > _MOST_BODY:
        return data[:_MOST_BODY].decode("utf-8", "replace")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")


def _failure(told: ErrorBody, status: int | None, headers: Mapping[str, str]) -> Failure:
    text, code = told.text, told.code
    kind = kind_of(told, status)
    wait = _wait_asked(told, headers, rate=kind is Kind.RATE_LIMIT) if kind.recoverable else None
    return Failure(kind, text or code, status, wait, told.param)


def _wait_asked(told: ErrorBody, headers: Mapping[str, str], *, rate: bool) -> float | None:
    """Returns the seconds that a server asks to wait, by its headers, its body or its words."""
    asked = retry_after_seconds(headers)
    if asked is None:
        asked = told.retry_after
    if asked is None:
        asked = seconds_in_words(told.text)
    # Every reply has these, so that they are a reason to wait only where the rate is what was refused.
    return reset_seconds(headers) if asked is None and rate else asked


def _failure_of_connection(error: Exception) -> Failure:
    chain = _chain(error)
    names = {type(link).__name__ for link in chain}
    # Only the system's own words: those of the HTTP library may quote a header, and with it the key.
    text = next(
        (str(link) for link in reversed(chain) if isinstance(link, OSError)), type(chain[-1]).__name__
    )
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain) or "CERTIFICATE_VERIFY" in text:
        return Failure(Kind.CERTIFICATE, text)
    if names & _NOT_CONNECTED:
        return Failure(Kind.UNREACHABLE, text)
    timed_out = any(name.endswith(("Timeout", "TimeoutError", "TimeoutException")) for name in names)
    return Failure(Kind.TIMEOUT if timed_out else Kind.BROKEN, text)


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _http_errors() -> tuple[type[Exception], ...]:
    # Whichever is loaded names its exceptions; openai 2 stands on httpx, openai 3 on httpx2.
    names = {"aiohttp": "ClientError", "openai": "OpenAIError", "httpx": "HTTPError", "httpx2": "HTTPError"}
    names["anthropic"] = "AnthropicError"
    return tuple(getattr(sys.modules[name], error) for name, error in names.items() if name in sys.modules)


def error_of(
    failure: Failure, *, model: str, url: str, said: str, sent: int, key: tuple[str, str] = KEY_WORDS
) -> ModelError:
    """Make the exception for a failure that is final.

    Args:
        failure: the last one.
        model: the model's name.
        url: where it was reached, without secrets.
        said: what the provider said, without secrets; may be empty.
        sent: how many requests were sent.
        key: what the provider knows who asks by, and what to do if that is refused.
    """
    if failure.kind is Kind.KEY:
        status = f" ({failure.status})" if failure.status else ""
        return AuthenticationError(
            f"`{url}` refused the {key[0]} for the model `{model}`{status}.{quoted(said)} {key[1]}"
        )
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
        return ProviderUnreachableError(f"{begin}: {sentence(said)}")
    if failure.kind is Kind.CERTIFICATE:
        return ProviderUnreachableError(f"{begin} ({failure.kind.value}: {said}). {certificate_hint()}")
    if failure.kind is Kind.UNREACHABLE:
        return ProviderUnreachableError(
            f"{begin} ({failure.kind.value}: {said}). "
            f"Is the server running, is `base_url` right, and is there a network?"
        )
    if failure.kind is Kind.SLOW:
        return ProviderUnreachableError(
            f"`{url}` on this machine gave no reply for the model `{model}`{tries}: {sentence(said)} It was not asked "
            "again, as it may still be at work. See the server's own log; ask for less at once, or use a smaller "
            "model or a faster machine."
        )
    return ProviderUnreachableError(
        f"`{url}` gave no reply for the model `{model}`{tries}: {failure.reason}.{quoted(said)} Try again later."
    )


def _refusal(  # noqa: PLR0911 - one for each kind
    failure: Failure, *, model: str, url: str, said: str, tries: str
) -> ModelError:
    quote = quoted(said)
    status = f" ({failure.status})" if failure.status else ""
    match failure.kind:
        case Kind.CONTEXT:
            return ContextTooLongError(
                f"The prompt is longer than the context window of `{model}`{status}.{quote} "
                f"Give the model less at once, or choose a model with a larger window."
            )
        case Kind.QUOTA:
            return ModelError(
                f"`{url}` has no credit left for this key{status}.{quote} Check the plan and its billing."
            )
        case Kind.IMAGES:
            return ImagesRefusedError(
                f"The model `{model}` at `{url}` does not take images{status}.{quote} Ask it without any, or choose a "
                "model that sees."
            )
        case Kind.AUDIO:
            return AudioRefusedError(
                f"The model `{model}` at `{url}` does not take audio{status}.{quote} Ask it without any, or choose a "
                "model that hears."
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
