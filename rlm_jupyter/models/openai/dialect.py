"""What one server takes: OpenAI-compatible servers differ, and say so only when asked.

A refusal that names a field is learnt from once; the next request is built without it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from re import IGNORECASE
from re import compile as pattern
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.base import Usage
from rlm_jupyter.providers import PROVIDERS, Provider, WireFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.models.base import CompletionRequest
    from rlm_jupyter.models.openai.failures import Failure

OLD_LIMIT: Final = "max_tokens"
NEW_LIMIT: Final = "max_completion_tokens"
RESERVED: Final = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""Fields that are ours to set: with them, a reply could no longer be read or accounted for."""
_REFUSED: Final = (400, 404, 413, 422)
_LEAST_TOKENS: Final = 16
_LEAST_ROOM: Final = 256
_LEAST_WINDOW: Final = 1000
_UNSUPPORTED: Final = pattern(
    r"support|unrecogni[sz]ed|unknown|unexpected|extra|not (?:permitted|allowed)|use '?max_|verified",
    IGNORECASE,
)
_STREAM: Final = pattern(r"\bstream(?:ing)?\b", IGNORECASE)
_NUMBER: Final = pattern(r"\d[\d,]*")
_SYSTEM: Final = r"['\"`]?\b(?:system|developer)\b['\"`]?"
_WHAT: Final = r"[ _-](?:role|prompt|message|instruction)s?"
_OTHERS: Final = r"(?:(?!system|developer)[^.]){0,20}"
_NO_SYSTEM: Final = pattern(
    # A system role, prompt or message that is not taken, in either order of the words.
    rf"{_SYSTEM}{_WHAT}[^.]{{0,60}}(?:support|allow|enabled|accept|permitted|invalid|unexpected)"
    rf"|(?:support|allow|accept|permit|unexpected|invalid|unknown|unrecogni[sz]ed)\w*[^.]{{0,60}}{_SYSTEM}{_WHAT}"
    rf"|role\b[^.]{{0,60}}(?:support|allow|accept|invalid|unexpected|unknown|unsupported)\w*[^.]{{0,30}}{_SYSTEM}"
    rf"|(?:unexpected|invalid|unknown|unsupported)[^.]{{0,20}}\brole\b[^.]{{0,20}}{_SYSTEM}"
    rf"|{_SYSTEM} is not (?:one of|a (?:valid|supported)|supported|allowed)"
    # What templates of models without a system role say of it, and checks of the field.
    rf"|roles must alternate|\bonly\b{_OTHERS}\buser\b['\"`]?(?: and|,| or) ['\"`]?(?:assistant|model)\b"
    rf"|(?:should|must) be{_OTHERS}\buser\b{_OTHERS}\b(?:assistant|model)\b",
    IGNORECASE,
)
_WINDOW: Final = pattern(
    # Not "exceeded max context length by 4021 tokens", as Ollama says it.
    r"(?:maximum context|context (?:length|window|size)|maximum prompt length|model token limit)(?! by\b)"
    r"[^.\d]{0,40}(\d[\d,]*)",
    IGNORECASE,
)
_USED: Final = pattern(
    r"(\d[\d,]*) (?:input tokens|(?:tokens )?(?:in|from) the (?:input )?(?:messages|prompt|input))",
    IGNORECASE,
)


@dataclass
class Dialect:
    """What is known of a server; shared by all requests to it.

    Attributes:
        limit: the field that bounds a reply's tokens.
        streams: whether it streams.
        stream_usage: whether it takes `stream_options`.
        most_tokens: the most tokens that it lets a reply have; None if it named no bound.
        reports_cost: whether it is to be asked for the cost of each reply.
        system_role: whether the model takes system messages.
        profile: what the provider's documentation says.
        not_taken: names of optional parameters that the model does not take.
    """

    limit: str = OLD_LIMIT
    streams: bool = True
    stream_usage: bool = True
    most_tokens: int | None = None
    reports_cost: bool = False
    system_role: bool = True
    profile: Provider = field(default_factory=lambda: Provider(None, None))
    not_taken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, base_url: str, provider: str | None, model: str = "", wire: WireFormat = "chat") -> Dialect:
        """Returns what is known of a server before the first request.

        Only those that document it are asked with the new name of the limit: a server that does not know a
        field may ignore it, and a limit must not be ignored.
        """
        profile = PROVIDERS.get(provider or "") or Provider(None, None)
        fixed = profile.fixed_sampling
        if wire != "chat":  # the rest is documented of chat completions alone
            profile = Provider(None, None, page=profile.page, temperature=profile.temperature)
        host = urlsplit(base_url).hostname or ""
        own = host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))
        return cls(
            limit=NEW_LIMIT if own else profile.limit,
            stream_usage=profile.stream_usage,
            reports_cost=provider == "openrouter" and wire == "chat",
            profile=profile,
            not_taken={"temperature"} if fixed is not None and fixed.match(model) else set(),
        )

    def taken(self, request: CompletionRequest) -> dict[str, object]:
        """Returns the parameters of a request, without those optional ones that the model does not take."""
        left_out = request.optional & self.not_taken
        return {name: value for name, value in request.parameters.items() if name not in left_out}

    def body(
        self, parameters: Mapping[str, object], max_tokens: int | None, *, stream: bool
    ) -> dict[str, object]:
        """Build a request's fields besides its model and messages.

        The smallest of all bounds on tokens counts, whichever name it came by.

        Raises:
            ConfigError: a parameter is one of `RESERVED`, not JSON, or one that the provider refuses.
        """
        check_parameters(parameters)
        extra = parameters.get("extra_body")
        body = {**parameters, **(extra if isinstance(extra, dict) else {})}
        body.pop("extra_body", None)
        body = self._as_documented(body)
        bounds = [max_tokens, body.pop(OLD_LIMIT, None), body.pop(NEW_LIMIT, None), self.most_tokens]
        given = [bound for bound in bounds if isinstance(bound, int)]
        if given:
            body[self.limit] = min(given)
        most = self.profile.whole_tokens
        long = most is not None and isinstance(bound := body.get(self.limit), int) and bound > most
        if (stream or long) and self.streams:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        if self.reports_cost:
            body.setdefault("usage", {"include": True})
        return body

    def _as_documented(self, body: dict[str, object]) -> dict[str, object]:
        """Returns the fields of a request as the provider documents that it takes them.

        Raises:
            ConfigError: it refuses one of them.
        """
        if refused := sorted(self.profile.refused & body.keys()):
            error = ConfigError(
                f"The provider does not take the parameter `{refused[0]}` ({self.profile.page}). Leave it out."
            )
            vars(error).update(usage=Usage(0, 0), cost=0.0)  # nothing was sent
            raise error
        body = {**self.profile.fields, **body}
        temperature, taken = body.get("temperature"), self.profile.temperature
        if isinstance(temperature, (int, float)) and taken is not None:
            body["temperature"] = min(max(temperature, taken[0]), taken[1])
        return body

    def learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        """Learn from a refusal; tell whether the request is worth being sent again, built anew.

        Args:
            failure: the refusal.
            sent: the fields of the request, its messages among them.
        """
        said = f"{failure.text} {failure.param}"
        if failure.refuses_content and _has_system(sent.get("messages")) and _NO_SYSTEM.search(said):
            self.system_role = False
            return True
        return failure.status in _REFUSED and (
            self._learn_stream(failure, said, sent) or self._learn_limit(said, sent)
        )

    def learn_optional(self, failure: Failure, sent: Mapping[str, object], optional: frozenset[str]) -> bool:
        """Learn which optional parameter a refusal names; tell whether there is one.

        Models that reason often have no temperature to be set, and say so only when asked with one.
        """
        said = f"{failure.text} {failure.param}".lower()
        named = {name for name in optional & sent.keys() if name in said}
        if failure.status not in _REFUSED or not named:
            return False
        self.not_taken |= named
        return True

    def _learn_stream(self, failure: Failure, said: str, sent: Mapping[str, object]) -> bool:
        if "stream_options" in sent and "stream_options" in said:
            self.stream_usage = False
            return True
        unsupported = _UNSUPPORTED.search(said) is not None
        if "stream" in sent and (failure.param == "stream" or (unsupported and _STREAM.search(said))):
            self.streams = False
            return True
        return False

    def _learn_limit(self, said: str, sent: Mapping[str, object]) -> bool:
        limit = NEW_LIMIT if NEW_LIMIT in sent else OLD_LIMIT
        if limit not in sent or "max_" not in said or _WINDOW.search(said):
            return False
        bound = _bound(said, sent[limit])
        if bound is not None:
            self.most_tokens = bound
        elif _UNSUPPORTED.search(said) and limit in said:
            self.limit = NEW_LIMIT if limit == OLD_LIMIT else OLD_LIMIT
        else:
            return False
        return True

    @staticmethod
    def room(failure: Failure, sent: Mapping[str, object]) -> int | None:
        """Returns the tokens that the window leaves for the reply, where the refusal tells; None if none.

        Servers with small windows count the reply's bound in, so that a prompt which fits is refused.
        """
        asked = sent.get(NEW_LIMIT, sent.get(OLD_LIMIT))
        window, used = _WINDOW.search(failure.text), _USED.search(failure.text)
        if failure.status not in _REFUSED or not isinstance(asked, int) or not window or not used:
            return None
        room = _integer(window[1]) - _integer(used[1])
        return room if _LEAST_ROOM <= room < asked else None


def _has_system(messages: object) -> bool:
    return isinstance(messages, list) and any(message["role"] == "system" for message in messages)


def window_told(text: str) -> int | None:
    """Read from a refusal how many tokens the model holds; None if it does not tell."""
    sizes = (_integer(found[1]) for found in _WINDOW.finditer(text))
    return next((size for size in sizes if size >= _LEAST_WINDOW), None)  # a smaller one is an HTTP status


def check_parameters(parameters: Mapping[str, object]) -> None:
    """Refuse parameters that are ours to set, or that cannot be sent.

    Raises:
        ConfigError: one of `RESERVED` is among them, or one is not JSON.
    """
    extra = parameters.get("extra_body")
    names = set(parameters) | (set(extra) if isinstance(extra, dict) else set())
    if taken := sorted(names & RESERVED):
        raise ConfigError(f"The parameter `{taken[0]}` of a model cannot be set: each request sets it.")
    try:
        json.dumps(dict(parameters))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The parameters of a model must be JSON: {error}.") from None


def _bound(said: str, asked: object) -> int | None:
    if not isinstance(asked, int):
        return None
    numbers = [_integer(number) for number in _NUMBER.findall(said)]
    smaller = [number for number in numbers if _LEAST_TOKENS <= number < asked]
    # Such a refusal names what was asked and what is allowed; without the first it is about something else.
    return max(smaller) if smaller and (asked in numbers or "less than or equal" in said) else None


def _integer(number: str) -> int:
    return int(number.replace(",", "")[:12] or 0)
