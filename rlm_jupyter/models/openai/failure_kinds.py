"""The kinds of failure, and how one is told from another by status, code and words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from re import IGNORECASE
from re import compile as pattern
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.retry import seconds_in_words

if TYPE_CHECKING:
    from rlm_jupyter.models.openai.error_body import ErrorBody
    from rlm_jupyter.models.retry import RetryPolicy


class Kind(Enum):
    """What kind of failure it is; the value is the reason that is shown while waiting."""

    RATE_LIMIT = "rate limit"
    SERVER = "server error"
    TIMEOUT = "time-out"
    SLOW = "time-out of a server of this machine"
    BROKEN = "connection lost"
    UNREACHABLE = "no connection"
    MALFORMED = "unusable reply"
    EMPTY = "unusable reply (no text)"
    THOUGHTS = "unusable reply (only thoughts)"
    TOOL_CALL = "tool call refused"
    CERTIFICATE = "certificate refused"
    SETUP = "proxy or certificates of the environment"
    KEY = "key refused"
    CONTEXT = "context too long"
    MODEL = "model not found"
    ADDRESS = "address not found"
    QUOTA = "no credit left"
    IMAGES = "images refused"
    AUDIO = "audio refused"
    REFUSED = "request refused"

    @property
    def recoverable(self) -> bool:
        """Whether the same request may succeed when it is sent again."""
        return self in _RECOVERABLE


_RECOVERABLE: Final = frozenset(
    (
        *(Kind.RATE_LIMIT, Kind.SERVER, Kind.TIMEOUT, Kind.BROKEN, Kind.UNREACHABLE, Kind.MALFORMED),
        *(Kind.EMPTY, Kind.THOUGHTS),
    )
)
_THOUGHTS_ATTEMPTS: Final = 2
"""Requests for a reply that was all thoughts: the same request seldom brings another one, and each is billed."""
_TOO_LONG: Final = pattern(
    r"context[ _](?:length|window|size)|maximum context|(?:prompt|input) is too long|too many tokens"
    r"|(?:prompt|input|request)[ _](?:is )?(?:too|exceeds)[^.]{0,40}(?:long|large|tokens)|reduce the length"
    r"|input token count[^.]{0,40}exceeds"
    # Moonshot, Z.ai, xAI and Together, in this order.
    r"|exceeded model token limit|prompt exceeds max(?:imum)? length|maximum prompt length"
    r"|inputs?['\"`]? tokens \+ ['\"`]?max_new_tokens",
    IGNORECASE,
)
_NAME: Final = r"(?:[^.\n]|\.(?=\S)){0,120}?"
"""What may stand between two words of a sentence: a model's name, which may hold full stops."""
_NO_MODEL: Final = pattern(
    rf"model{_NAME}(?:not[ _]found|not exist|doesn't exist|not available|is not (?:a )?valid|unknown)"
    rf"|model{_NAME}(?:no longer|decommissioned)|no endpoints found"
    r"|(?:unknown|invalid|unsupported|no such|not a valid|not find|not found|unable to access)[ _](?:the )?model"
    r"|model identifier is invalid|deploymentnotfound|deployment for this resource does not exist",
    IGNORECASE,
)
_NO_CREDIT: Final = pattern(
    r"insufficient[_ ](?:quota|balance|credits?|funds|user[_ ]quota)|credit balance is too low"
    r"|out of (?:funds|credits?)|exceeded[_ ](?:your[_ ])?current[_ ]quota"
    r"|billing[_ ](?:hard[_ ]limit|error|not[_ ]active)"
    r"|payment[_ ]required|requires more credits|balance (?:is )?not enough"
    r"|(?:doesn't|does not) have any credits|used all (?:available )?credits|spending limit"
    r"|account[^.]{0,80}(?:is|was|has been) suspended",
    IGNORECASE,
)
_NO_KEY: Final = pattern(
    r"(?:invalid|incorrect|expired|missing|wrong|no)[ _](?:x-)?(?:api[ _-]?key|access[ _]token|credential)"
    r"|api[ _-]?key[^.]{0,40}(?:invalid|not[ _]valid|expired|incorrect|missing|not[ _]found|is required)"
    r"|(?:invalid |no )?authentication(?:_error|[ _]failed| is required)|invalid authentication"
    # The last is what a LiteLLM proxy without a database says of a key that is not its own.
    r"|unauthori[sz]ed|unauthenticated|login fail|no connected db",
    IGNORECASE,
)
_TOO_MANY: Final = pattern(
    r"rate[ _-]?limit|too[ _]many[ _]requests|resource[ _]exhausted|throttl"
    r"|(?:tokens|requests) per (?:min|day|sec|hour)",
    IGNORECASE,
)
_BUSY: Final = pattern(
    r"overloaded|unavailable|internal|timed?[ _-]?out|try again|api_error|server_error|bad gateway",
    IGNORECASE,
)
_NO_PLACE: Final = pattern(
    r"unexpected endpoint|(?:invalid|unknown)(?: request)? url|cannot (?:post|get) /|method[ _]not[ _]allowed|404 page"
    r"|no route|(?:route|path|endpoint|url|page|resource)[^.;]{0,60}(?:not[ _](?:be )?found|not exist|unknown)"
    r"|unsupported (?:route|path|endpoint)|\bnot[ _]found (?:the )?(?:route|path|endpoint|url)",
    IGNORECASE,
)
_INVALID: Final = pattern(
    r"invalid[_ ]?(?:request|param|argument|input)|bad[_ ]?request|validation|unprocessable|not supported|unsupported",
    IGNORECASE,
)
_TOOL_USE: Final = pattern(
    r"tool_use_failed|output_parse_failed|model called a tool|failed to (?:call a function|parse tool call)"
    r"|error parsing tool call|tool call validation failed|attempted to call tool"
    r"|unexpected tokens remaining in message",
    IGNORECASE,
)
_LARGER_THAN_RATE: Final = pattern(r"request[ _]too[ _]large", IGNORECASE)
_WITHHELD: Final = pattern(
    r"moderation|flagged|content[ _](?:policy|filter|management)|responsibleai", IGNORECASE
)
_REFUSALS: Final = (
    (_TOOL_USE, Kind.TOOL_CALL),
    (_TOO_LONG, Kind.CONTEXT),
    (_NO_CREDIT, Kind.QUOTA),
    (_NO_KEY, Kind.KEY),
    (_NO_MODEL, Kind.MODEL),
    (_NO_PLACE, Kind.ADDRESS),
)
"""Words of refusals and what they mean; the first that is found counts."""
_STATUSES: Final = {404: Kind.ADDRESS, 405: Kind.ADDRESS, 413: Kind.CONTEXT}
"""What a status means if no words tell."""


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        kind: what kind of failure it is.
        text: what the provider said, raw; it may hold a key and must go through `redact.quote`.
        status: of the HTTP response, or as an error names it that came after a 200; None if there was none.
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

    @property
    def refuses_content(self) -> bool:
        """Whether it may be what was sent that the server does not take, and not the key, the account or the rate.

        Templates of models fail with a server error, and some servers tell of them after a 200.
        """
        return self.kind in (Kind.REFUSED, Kind.SERVER, Kind.MODEL, Kind.ADDRESS)

    def attempts(self, policy: RetryPolicy) -> int:
        """Returns how many requests may be sent in all before this failure is final."""
        if not self.kind.recoverable:
            return 1
        if self.kind is Kind.THOUGHTS:
            return min(_THOUGHTS_ATTEMPTS, policy.malformed_attempts)
        if self.kind in (Kind.MALFORMED, Kind.EMPTY):
            return policy.malformed_attempts
        return policy.unreachable_attempts if self.kind is Kind.UNREACHABLE else policy.attempts


def kind_of(told: ErrorBody, status: int | None) -> Kind:
    """Returns the kind of an error.

    Args:
        told: what the provider said.
        status: of the HTTP response, or as the error itself names it; None if there is none.
    """
    return _kind_of_words(told) if status is None else _kind_of_status(status, told)


def _kind_of_status(status: int, told: ErrorBody) -> Kind:
    said = f"{told.code} {told.text}"
    match status:
        case 403 if _NO_CREDIT.search(said):
            kind = Kind.QUOTA
        case 403 if _WITHHELD.search(said):
            kind = Kind.REFUSED
        case 401 | 403:
            kind = Kind.KEY
        case 402:
            kind = Kind.QUOTA
        case 429:
            kind = _kind_of_too_many(told)
        case 500 if _TOO_LONG.search(said):  # as llama.cpp tells of it
            kind = Kind.CONTEXT
        case 500 if _TOOL_USE.search(said):  # as Ollama tells of it
            kind = Kind.TOOL_CALL
        case 408 | 409 | 424 | 425:  # 424: the model behind Bedrock failed
            kind = Kind.SERVER
        case _:  # 529 is "overloaded"
            kind = Kind.SERVER if status >= 500 else _kind_of_refusal(status, told)  # noqa: PLR2004  # server errors
    return kind


def _kind_of_too_many(told: ErrorBody) -> Kind:
    """Returns a full minute from an empty account, and from a request that no minute has room for."""
    said = f"{told.code} {told.text}"
    if _LARGER_THAN_RATE.search(said):
        return Kind.CONTEXT
    # Google speaks of the quota of a minute like OpenAI of the account, but tells when it will be there again.
    passes = told.retry_after is not None or seconds_in_words(told.text) is not None
    return Kind.QUOTA if _NO_CREDIT.search(said) and not passes else Kind.RATE_LIMIT


def _kind_of_refusal(status: int, told: ErrorBody) -> Kind:
    if told.failed_generation:
        return Kind.TOOL_CALL
    if _TOO_MANY.search(told.code):  # AWS says so with a 400
        return Kind.RATE_LIMIT
    said = f"{told.code} {told.text}"
    found = next((kind for words, kind in _REFUSALS if words.search(said)), None)
    return found or _STATUSES.get(status, Kind.REFUSED)


def _kind_of_words(told: ErrorBody) -> Kind:
    """Returns an error apart that has no status: what cannot pass is told at once, all else may pass."""
    said = f"{told.code} {told.text}"
    kind = _kind_of_refusal(0, told)
    if kind is not Kind.REFUSED:
        return kind
    if _TOO_MANY.search(said):
        return Kind.RATE_LIMIT
    return Kind.REFUSED if _INVALID.search(said) and not _BUSY.search(said) else Kind.SERVER
