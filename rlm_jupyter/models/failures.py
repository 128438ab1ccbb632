"""What went wrong with one request: told apart, named, and turned into this package's exceptions.

Only text passes from here on: an exception of the SDK holds the request, and with it the key.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from re import IGNORECASE
from re import compile as pattern
from typing import TYPE_CHECKING, Final

from rlm_jupyter.errors import (
    AuthenticationError,
    ContextTooLongError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models.redact import quoted, sentence
from rlm_jupyter.models.retry import retry_after_seconds

if TYPE_CHECKING:
    from rlm_jupyter.models.retry import RetryPolicy


class Kind(Enum):
    """What kind of failure it is; the value is the reason that is shown while waiting."""

    RATE_LIMIT = "rate limit"
    SERVER = "server error"
    TIMEOUT = "time-out"
    BROKEN = "connection lost"
    UNREACHABLE = "no connection"
    MALFORMED = "unusable reply"
    CERTIFICATE = "certificate refused"
    KEY = "key refused"
    CONTEXT = "context too long"
    MODEL = "model not found"
    QUOTA = "no credit left"
    REFUSED = "request refused"

    @property
    def recoverable(self) -> bool:
        """Whether the same request may succeed when it is sent again."""
        return self in _RECOVERABLE


_RECOVERABLE: Final = frozenset(
    {Kind.RATE_LIMIT, Kind.SERVER, Kind.TIMEOUT, Kind.BROKEN, Kind.UNREACHABLE, Kind.MALFORMED}
)
_TOO_LONG: Final = pattern(
    r"context[ _](?:length|window|size)|maximum context|(?:prompt|input) is too long|too many tokens"
    r"|(?:prompt|input|request) (?:too|exceeds)[^.]{0,40}(?:long|large|tokens)|reduce the length",
    IGNORECASE,
)
_NO_MODEL: Final = pattern(
    r"model[^.]{0,120}?(?:not found|not exist|not available|is not (?:a )?valid|unknown)"
    r"|(?:unknown|invalid|no such|not a valid) model",
    IGNORECASE,
)
_NO_CREDIT: Final = pattern(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|credit balance is too low|exceeded your current quota",
    IGNORECASE,
)
_TOO_BIG: Final = 413
_NOT_CONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"})


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        kind: what kind of failure it is.
        text: what the provider said, raw; it may hold a key and must go through `redact.quote`.
        status: of the HTTP response; None where there was none, or where a reply failed after its 200.
        retry_after: seconds that the server asks to wait.
        param: the request field that the server blames.
    """

    kind: Kind
    text: str = ""
    status: int | None = None
    retry_after: float | None = None
    param: str = ""

    @property
    def reason(self) -> str:
        """Why there is a wait, in short, for `CompletionRequest.on_wait`."""
        return f"{self.kind.value} ({self.status})" if self.status else self.kind.value

    def attempts(self, policy: RetryPolicy) -> int:
        """Give how many requests may be sent in all before this failure is final."""
        if not self.kind.recoverable:
            return 1
        if self.kind is Kind.MALFORMED:
            return policy.malformed_attempts
        return policy.unreachable_attempts if self.kind is Kind.UNREACHABLE else policy.attempts


def failure_of(error: Exception) -> Failure | None:
    """Tell what an exception of the SDK or of the connection means; None where it is none of theirs."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return _failure_of_status(error.status_code, error.response.headers, error.body)
    if isinstance(error, TimeoutError):
        return Failure(Kind.TIMEOUT)
    if isinstance(error, (openai.OpenAIError, OSError, *_http_errors())):
        return _failure_of_connection(error)
    return None


def failure_of_error_object(error: object) -> Failure:
    """Tell what an ``error`` object means that came after a 200, in the place of a reply or in its middle."""
    text, code, param = _details({"error": error})
    if isinstance(error, Mapping) and isinstance(status := error.get("code"), int) and 400 <= status < 600:  # noqa: PLR2004  # the range of HTTP errors
        return _failure_of_status(status, {}, {"error": error})
    kind = _kind_of_refusal(0, f"{code} {text}")
    return Failure(kind if kind is not Kind.REFUSED else Kind.SERVER, text, param=param)


def _failure_of_status(status: int, headers: Mapping[str, str], body: object) -> Failure:
    text, code, param = _details(body)
    return Failure(
        _kind_of_status(status, f"{code} {text}"), text, status, retry_after_seconds(headers), param
    )


def _kind_of_status(status: int, said: str) -> Kind:
    if status in (401, 403):
        return Kind.KEY
    if status == 402 or (status == 429 and _NO_CREDIT.search(said)):  # noqa: PLR2004  # payment required, too many requests
        return Kind.QUOTA
    if status == 429:  # noqa: PLR2004  # too many requests
        return Kind.RATE_LIMIT
    if status in (408, 409, 425) or status >= 500:  # noqa: PLR2004  # server errors, 529 (overloaded) among them
        return Kind.SERVER
    return _kind_of_refusal(status, said)


def _kind_of_refusal(status: int, said: str) -> Kind:
    if status == _TOO_BIG or _TOO_LONG.search(said):
        return Kind.CONTEXT
    if _NO_CREDIT.search(said):
        return Kind.QUOTA
    if status == 404 or _NO_MODEL.search(said):  # noqa: PLR2004  # not found
        return Kind.MODEL
    return Kind.REFUSED


def _details(body: object) -> tuple[str, str, str]:
    """Give an error body's message, its code and type, and the parameter it blames."""
    if isinstance(body, list) and body:  # Gemini's endpoint wraps the object in a list
        body = body[0]
    if isinstance(body, Mapping) and "error" in body:
        body = body["error"]
    if not isinstance(body, Mapping):
        return ("" if body is None else str(body)), "", ""
    message = body.get("message") or body.get("detail") or body.get("msg") or dict(body)
    code = " ".join(str(body[name]) for name in ("code", "type") if body.get(name))
    return str(message), code, str(body.get("param") or "")


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
    # openai 2 stands on httpx, openai 3 on httpx2: whichever is loaded names the exceptions of a broken body.
    loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return tuple(module.HTTPError for module in loaded if module is not None)


def error_of(failure: Failure, *, model: str, url: str, said: str, sent: int) -> ModelError:
    """Make the exception for a failure that is final.

    Args:
        failure: the last one.
        model: the model's name.
        url: where it was reached, without secrets.
        said: what the provider said, without secrets; may be empty.
        sent: how many requests were sent.
    """
    quote = quoted(said)
    tries = "" if sent == 1 else f" after {sent} attempts"
    status = f" ({failure.status})" if failure.status else ""
    error: ModelError
    match failure.kind:
        case Kind.KEY:
            error = AuthenticationError(
                f"`{url}` refused the key for the model `{model}`{status}.{quote} "
                f"Check the key's environment variable, and that the key may use this model."
            )
        case Kind.CONTEXT:
            error = ContextTooLongError(
                f"The prompt is longer than the context window of `{model}`{status}.{quote} "
                f"Give the model less at once, or choose a model with a larger window."
            )
        case Kind.QUOTA:
            error = ModelError(
                f"`{url}` has no credit left for this key{status}.{quote} Check the plan and its billing."
            )
        case Kind.UNREACHABLE | Kind.CERTIFICATE:
            error = ProviderUnreachableError(
                f"No connection to `{url}` for the model `{model}`{tries} ({failure.kind.value}: {said}). "
                f"Is the server running, is `base_url` right, and is there a network?"
            )
        case Kind.TIMEOUT | Kind.BROKEN | Kind.SERVER:
            error = ProviderUnreachableError(
                f"`{url}` gave no reply for the model `{model}`{tries}: {failure.reason}.{quote} "
                f"Try again later."
            )
        case Kind.RATE_LIMIT:
            error = ModelError(
                f"`{url}` limits the rate of requests for the model `{model}`{tries}{status}.{quote} "
                f"Lower `Limits.concurrency`, or try again later."
            )
        case Kind.MALFORMED:
            error = MalformedReplyError(
                f"`{url}` gave no usable reply for the model `{model}`{tries}: {sentence(said)} "
                f"Is `base_url` that of an OpenAI-compatible API (it often ends in `/v1`)?"
            )
        case _:
            error = ModelError(f"`{url}` refused the request for the model `{model}`{status}.{quote}")
    error.retryable = failure.kind.recoverable
    return error
