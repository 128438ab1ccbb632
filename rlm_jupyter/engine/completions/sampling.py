"""How a model is asked: the parameters of a request and the bound on its reply, for the root and for the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.events.events import Purpose
    from rlm_jupyter.settings import Settings

_BOUNDS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Sampling:
    """Of one request.

    Attributes:
        max_tokens: the most tokens of the reply, before the limits clamp it.
        parameters: further fields of the request, such as ``temperature``.
        optional: names of those that nobody chose, which may be left out if the server does not take them.
    """

    max_tokens: int
    parameters: dict[str, object] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def warmer(self, temperature: float) -> Sampling:
        """Returns the same at a temperature, if that is higher; models that reason take none."""
        own = self.parameters.get("temperature")
        if "reasoning_effort" in self.parameters or (isinstance(own, (int, float)) and own >= temperature):
            return self
        return replace(
            self,
            parameters={**self.parameters, "temperature": temperature},
            optional=frozenset({"temperature"}),
        )


@dataclass(frozen=True)
class Samplings:
    """Of a run: for the root agent's own requests, and for those of sub-agents and plain completions."""

    root: Sampling
    sub: Sampling

    @classmethod
    def of(cls, settings: Settings) -> Samplings:
        """Read them from the settings; what is not said of the rest is as for the root.

        Raises:
            ConfigError: a parameter that is not the user's to set, or that is not JSON.
        """
        root = {
            "temperature": settings.temperature,
            "reasoning_effort": settings.reasoning_effort,
            "service_tier": settings.service_tier,
            "extra_body": settings.extra_body,
        }
        sub = {
            "temperature": settings.sub_temperature,
            "reasoning_effort": settings.sub_reasoning_effort,
            "service_tier": settings.sub_service_tier,
            "extra_body": settings.sub_extra_body,
        }
        own = {**(settings.parameters or {}), **_given(root)}
        rest = own if settings.sub_parameters is None else settings.sub_parameters
        most = settings.completion_tokens
        return cls(
            _sampling(own, most),
            _sampling({**rest, **_given(sub)}, settings.sub_completion_tokens or most),
        )

    def of_request(self, purpose: Purpose, *, root: bool) -> Sampling:
        """Returns how a model is asked.

        Args:
            purpose: of the request.
            root: whether it is of the root, or of a sample in its place.
        """
        return self.root if root and purpose in ("turn", "summary", "plan", "plain") else self.sub


def _given(named: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in named.items() if value is not None}


def _sampling(parameters: dict[str, object], most: int) -> Sampling:
    """Take the bound on the reply out of the parameters: it is reserved before the request is sent."""
    from rlm_jupyter.models.openai.dialect import check_parameters

    check_parameters(parameters)
    bounds = [value for name in _BOUNDS if isinstance(value := parameters.get(name), int)]
    rest = {name: value for name, value in parameters.items() if name not in _BOUNDS}
    return Sampling(min([most, *bounds]), rest)
