"""How a question is answered, besides by one agent: samples, checks of the user's own, one plain completion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.plain.passages import PASSAGES, choose_passages
from rlm_jupyter.engine.plain.plain_choice import AUTO, choose_plain
from rlm_jupyter.engine.plain.plain_data import plain_data, plain_hint
from rlm_jupyter.engine.samples.samples import SamplePlan, Samples
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.tools.checks import read_checks

if TYPE_CHECKING:
    from rlm_jupyter.engine.plain.plain_prompt import PlainData
    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.run_setup.question import Question
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.settings import Limits, Settings
    from rlm_jupyter.tools.checks import Checks


@dataclass(frozen=True)
class AnswerOptions:
    """What was asked for.

    Attributes:
        samples: the plan of several samples; None for one agent.
        sample: the number of that one agent among equal questions of a batch; None for the first.
        checks: of the user; None for none.
        plain: the data of a plain call; None for agents.
        told: what the user should know of it.
    """

    samples: SamplePlan | None = None
    sample: int | None = None
    checks: Checks | None = None
    plain: PlainData | None = None
    told: tuple[str, ...] = ()


def answer_options(
    asked: Question,
    data: Data,
    model: ChatModel,
    settings: Settings,
    price: Price | None,
    limits: Limits | None = None,
) -> AnswerOptions:
    """Read how a question is answered.

    Args:
        asked: the question.
        data: as it was encoded.
        model: of the root.
        settings: of the run.
        price: of the model; None if it is not known.
        limits: what the run may spend.

    Raises:
        ConfigError: options that cannot be, or not together; or data that a plain call cannot send.
        ContextError: a check cannot leave this process.
    """
    if not isinstance(asked.verify, bool):
        raise ConfigError(f"`verify` is True or False, not `{asked.verify!r:.40}`.")
    if not isinstance(asked.plain, bool) and asked.plain not in (AUTO, PASSAGES):
        raise ConfigError(
            f"`plain` is True or False, or `{AUTO!r}` or `{PASSAGES!r}`, not `{asked.plain!r:.40}`."
        )
    samples = Samples.read(asked.samples, verify=asked.verify)
    checks = read_checks(asked.checks)
    several = samples.count > 1
    _check_together(asked, several=several, checks=checks)
    first = 1
    if samples.numbers is not None:
        described = data.buffer.description if data.buffer is not None else None
        first = samples.numbers.take(
            (asked.text, json.dumps(described, sort_keys=True, default=str)), samples.count
        )
    plain, told = _plain(asked, data, model, settings, price, limits, checks) if asked.plain else (None, [])
    if several and _is_cold(settings):
        told.append(
            "The temperature is 0, at which a model gives the same reply each time: samples that agree then say little."
        )
    usual = not (
        asked.plain or several or asked.continues or asked.recorded or asked.tools or asked.mcp or checks
    )
    if usual and data.buffer is not None and not (data.databases or data.grants.read):
        hint = plain_hint(asked.context, data.buffer.size, asked.text, model, settings, price)
        told += [hint] if hint is not None else []
    return AnswerOptions(
        SamplePlan(samples, first, asked.verify) if several else None,
        first if first > 1 else None,
        checks,
        plain,
        tuple(told),
    )


def _plain(
    asked: Question,
    data: Data,
    model: ChatModel,
    settings: Settings,
    price: Price | None,
    limits: Limits | None,
    checks: Checks | None,
) -> tuple[PlainData | None, list[str]]:
    """Returns the data of a plain call, None for agents; and what the user should know of the choice."""
    context = asked.context
    if context is None and data.buffer is not None:  # that of a run which this one goes through again
        context = data.buffer.load()
    name = data.names[0] if data.names else "context"
    if asked.plain is True:
        return plain_data(context, name, asked.text, model, settings), []
    if asked.plain == PASSAGES:
        passages, why = choose_passages(context, name, asked.text, model, settings)
        return passages, [why]
    if reason := _needs_kernel(asked, data, checks):
        return None, [f"`plain={AUTO}`: agents answer, since {reason} needs a kernel."]
    size = data.buffer.size if data.buffer is not None else 0
    plain, why = choose_plain(context, size, name, asked.text, model, settings, price, limits)
    return plain, [why]


def _check_together(asked: Question, *, several: bool, checks: Checks | None) -> None:
    """Refuse options that cannot be together.

    Raises:
        ConfigError: two that cannot, and what to leave out.
    """
    if several and asked.continues is not None:
        raise ConfigError(
            "A follow-up goes on in one kernel, and samples need kernels of their own that know of nothing: leave out "
            "`samples` and `verify`, or ask anew with the data."
        )
    wrong = _kernel_options(asked, checks)
    if wrong and asked.plain in (True, PASSAGES):
        raise ConfigError(
            f"A plain call runs no code and has no kernel, so that it cannot have {', '.join(wrong)}: leave that "
            "out, or `plain`."
        )


def _kernel_options(asked: Question, checks: Checks | None) -> list[str]:
    """Returns the names of the options that a plain call cannot have."""
    given: dict[str, Any] = {
        "checks": checks is not None,
        "tools": tuple(asked.tools),
        "mcp": asked.mcp,
        "step": asked.step,
        "continues": asked.continues is not None,
    }
    return [f"`{name}`" for name, there in given.items() if there]


def _needs_kernel(asked: Question, data: Data, checks: Checks | None) -> str | None:
    """Returns what of a question needs a kernel; None for nothing."""
    options = _kernel_options(asked, checks)
    if options:
        return options[0]
    return "data in files or databases" if data.databases or data.grants.read else None


def _is_cold(settings: Settings) -> bool:
    given = settings.temperature
    if given is None:
        given = (settings.parameters or {}).get("temperature")  # type: ignore[assignment]
    return isinstance(given, (int, float)) and not isinstance(given, bool) and given == 0
