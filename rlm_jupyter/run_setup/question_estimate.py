"""An estimate of a question before it is asked: nothing is sent, no kernel is started, and no key is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.estimates.log_index import LoggedRuns, logged_runs
from rlm_jupyter.estimates.run_estimate import Estimate, estimate
from rlm_jupyter.estimates.run_figures import figures_of_description, words_of
from rlm_jupyter.estimates.similar_runs import Asked
from rlm_jupyter.models.base import Price
from rlm_jupyter.models.cache import default_path
from rlm_jupyter.models.tier_prices import tier_price, tier_prices
from rlm_jupyter.run_setup.resolve_model import choose_model
from rlm_jupyter.run_setup.start import describe_data
from rlm_jupyter.run_setup.variable_names import read_names
from rlm_jupyter.settings import Limits, Settings

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel

_MOST_MODELS = 8
_MOST_SECONDS = 20.0
"""How long logs are read; the rest is read the next time."""
_SCRIPTED = "A script answers, and no language model: nothing is paid."
_NO_KEY = "none"
"""In the place of a key: nothing is sent."""


def model_for_estimate(given: str | ChatModel | None, settings: Settings) -> ChatModel:
    """Returns the model that a name means, whether or not its key is set.

    Raises:
        ConfigError: the name means nothing.
    """
    if isinstance(given, str) and given != "demo":
        return choose_model(given, base_url=settings.base_url, api_key=_NO_KEY)
    return choose_model(given, base_url=settings.base_url)


def model_names(given: Any) -> list[Any]:
    """Returns the models that `-m A,B,C` names; what is no text is one model.

    Raises:
        ConfigError: a name is empty or there are too many.
    """
    if not isinstance(given, str):
        return [given]
    names = [name.strip() for name in given.split(",")]
    if len(names) > _MOST_MODELS or "" in names:
        raise ConfigError(f"`-m {given}` takes up to {_MOST_MODELS} models, with commas between them.")
    return names


def runs_logged(settings: Settings, *, seconds: float | None = None) -> LoggedRuns:
    """Read the figures of earlier runs, where the settings write logs.

    Args:
        settings: of the run.
        seconds: how long logs are read.
    """
    directory = (settings.log_dir or Path("rlm_runs")).expanduser()
    return logged_runs(directory, cache=default_path().parent, seconds=seconds)


def estimate_question(
    settings: Settings,
    limits: Limits,
    models: Sequence[ChatModel],
    question: str,
    context: Any,
    *,
    names: Sequence[str] = (),
    sub_model: ChatModel | None = None,
    price: Price | None = None,
) -> Estimate:
    """Estimate a question for one model, or for several beside each other.

    Args:
        settings: of the run.
        limits: what it may spend.
        models: the first is the one that is estimated, the others stand beside it.
        question: verbatim.
        context: the data.
        names: the variables' names that the data has.
        sub_model: of sub-agents and plain completions; None: the same.
        price: that was given for the models.

    Raises:
        ContextError: the data cannot leave this process.
        ConfigError: the shared budget cannot be read.
    """
    description = describe_data(context, read_names(names, context))
    logged = runs_logged(settings, seconds=_MOST_SECONDS)
    budget = _budget(settings)
    kind, size = figures_of_description(description)
    made = []
    for model in models:
        sub = model if sub_model is None else sub_model
        asked = Asked(model.name, sub.name, kind, size, words_of(question))
        own = price if price is not None else expected_price(settings, model, sub)
        tiers = {} if price is not None or sub is not model else tier_prices(model)
        one = estimate(asked, logged, limits, own, tiers=tiers, budget=budget)
        made.append(replace(one, note=_SCRIPTED) if model.scripted else one)
    return replace(made[0], beside=tuple(made[1:]))


def expected_price(settings: Settings, model: ChatModel, sub_model: ChatModel) -> Price | None:
    """Returns the price at which a run is estimated: the dearer of its two models; None if one is not known.

    Args:
        settings: whose service tiers count where the table of prices has them.
        model: of the root.
        sub_model: of sub-agents and plain completions.
    """
    one = _at_tier(model, settings.service_tier)
    other = _at_tier(sub_model, settings.sub_service_tier or settings.service_tier)
    if one is None or other is None:
        return None
    return Price(max(one.prompt, other.prompt), max(one.completion, other.completion))


def _at_tier(model: ChatModel, tier: str | None) -> Price | None:
    found = tier_price(model, tier) if tier is not None else None
    return model.price if found is None else found


def _budget(settings: Settings) -> list[dict[str, Any]]:
    """Returns the limits of the shared budget; none where there is none."""
    if settings.budget is None:
        return []
    from rlm_jupyter.engine.budget.shared_budget import SharedBudget

    return SharedBudget(settings.budget).report()


def estimate_arguments(
    arguments: Mapping[str, Any], question: str, context: Any, names: Sequence[str] = ()
) -> Estimate:
    """Estimate a question with the arguments of an `RLM` that is not made, so that no key is needed.

    Args:
        arguments: of `RLM`; the model may be `A,B,C`, or a list.
        question: verbatim.
        context: the data.
        names: the variables' names that the data has.

    Raises:
        ConfigError: a setting that cannot work, or a model's name that means nothing.
        ContextError: the data cannot leave this process.
    """
    own = {
        name: value
        for name, value in arguments.items()
        if name not in ("model", "sub_model", "price", "limits", "api_key", "on_event") and value is not None
    }
    settings = Settings.from_environment(**own)
    given = arguments.get("model") if arguments.get("model") is not None else settings.model
    models = list(given) if isinstance(given, (list, tuple)) else model_names(given)
    sub = arguments.get("sub_model") if arguments.get("sub_model") is not None else settings.sub_model
    price = arguments.get("price")
    return estimate_question(
        settings,
        Limits.of(arguments.get("limits")),
        [model_for_estimate(one, settings) for one in models],
        question,
        context,
        names=names,
        sub_model=model_for_estimate(sub, settings) if sub is not None else None,
        price=Price.read(price) if price is not None else None,
    )
