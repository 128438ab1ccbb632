"""An estimate of `%%rlm_map` before anything is asked, not even the sample.

Of rows, the requests are packed as the run would pack them, and counted by their size; of groups, each is an agent, and
only earlier maps tell what one takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.mapping.item_requests import SYSTEM, prompt
from rlm_jupyter.engine.mapping.packing import PackLimits, item_tokens, pack
from rlm_jupyter.estimates.similar_runs import Spread, weighted_quantile
from rlm_jupyter.models.base import Price
from rlm_jupyter.run_setup.question_estimate import expected_price, model_for_estimate, runs_logged
from rlm_jupyter.settings import Limits, Settings
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rlm_jupyter.engine.mapping.map_task import MapTask
    from rlm_jupyter.estimates.run_figures import RunFigures
    from rlm_jupyter.models.base import ChatModel

_MOST_SECONDS: Final = 20.0
"""How long logs are read."""


def estimate_map(arguments: Mapping[str, Any], task: MapTask) -> str:
    """Returns in words what one question for each row or group will cost and take; nothing is sent.

    Args:
        arguments: of `RLM`; no key is needed.
        task: the question with its items.

    Raises:
        ConfigError: a setting that cannot work, or a model's name that means nothing.
    """
    left_out = ("model", "sub_model", "price", "limits", "api_key", "on_event")
    own = {name: value for name, value in arguments.items() if name not in left_out and value is not None}
    settings = Settings.from_environment(**own)
    model, sub = (arguments.get(name) for name in ("model", "sub_model"))
    root = model_for_estimate(model if model is not None else settings.model, settings)
    sub = sub if sub is not None else settings.sub_model
    asked = model_for_estimate(sub, settings) if sub is not None else root
    given = arguments.get("price")
    price = Price.read(given) if given is not None else expected_price(settings, asked, asked)
    maps = [
        run
        for run in runs_logged(settings, seconds=_MOST_SECONDS).runs
        if run.mapped and run.whole and not run.scripted and asked.name in (run.model, run.sub_model)
    ]
    lines = [
        f"Estimate for {one_line(asked.name, 80)}; nothing was sent, not even the sample.",
        *(_of_groups(task, maps, price) if task.by_group else _of_rows(task, asked, settings, maps, price)),
        _worst(Limits.of(arguments.get("limits"))),
    ]
    return "\n".join(lines)


def _of_rows(
    task: MapTask, model: ChatModel, settings: Settings, maps: Sequence[RunFigures], price: Price | None
) -> list[str]:
    """Returns lines on rows: tokens by the size of the requests, time by earlier maps."""
    window = settings.sub_window or settings.window or getattr(model, "window", None)
    limits = PackLimits.within(
        task.per,
        most_reply=settings.sub_completion_tokens or settings.completion_tokens,
        window=window if isinstance(window, int) else None,
    )
    rest = [list(task.sample), task.rest]  # the sample is asked first, in requests of its own
    packs = [one for part in rest for one in pack(part, task.texts, task.schema.tokens, limits)]
    head = item_tokens(SYSTEM) + item_tokens(prompt(task.question, task.schema))
    sent = head * len(packs) + sum(item_tokens(text) for text in task.texts)
    received = task.schema.tokens * task.count
    money = None if price is None else (sent * price.prompt + received * price.completion) / 1e6
    seconds = _spread(maps, lambda run: run.seconds / run.tokens, sent + received)
    time = (
        "not known: no map of this model is in the logs"
        if seconds is None
        else _pair(seconds, units.duration)
    )
    why = (
        "the size of the requests as they will be packed, 4 bytes to a token, and of answers such as the schema asks "
        "for; a reply with thoughts or reasons is longer"
    )
    return [
        f"Requests: {units.count(len(packs))} for {units.amount(task.count, task.noun)}",
        f"Tokens:   about {units.count(sent)} sent and {units.count(received)} received",
        f"Cost:     {'not known' if money is None else f'about {units.money(money)}'}",
        f"Time:     {time}",
        f"Why:      {why}. {_behind('Time', maps)}",
    ]


def _of_groups(task: MapTask, maps: Sequence[RunFigures], price: Price | None) -> list[str]:
    """Returns lines on groups: what an agent of earlier maps took, times the groups."""
    by_agents = [run for run in maps if run.agents > 1]
    tokens = _spread(by_agents, lambda run: run.tokens / (run.agents - 1), task.count)
    seconds = _spread(by_agents, lambda run: run.seconds / (run.agents - 1), task.count)
    cost = None
    if price is not None:
        prompt_price, reply_price = price.prompt, price.completion

        def of_agent(run: RunFigures) -> float:
            paid = run.input_tokens * prompt_price + run.output_tokens * reply_price
            return paid / 1e6 / (run.agents - 1)

        cost = _spread(by_agents, of_agent, task.count)
    return [
        f"Agents:   {units.count(task.count)}, one for each {task.noun}",
        f"Tokens:   {'not known' if tokens is None else _pair(tokens, lambda one: units.count(round(one)))}",
        f"Cost:     {'not known' if cost is None else _pair(cost, units.money)}",
        f"Time:     {'not known' if seconds is None else _pair(seconds, units.duration)}",
        f"Why:      {_behind('What an agent takes', by_agents)}; how much each will read is not known before",
    ]


def _spread(maps: Sequence[RunFigures], figure: Callable[[RunFigures], float], times: float) -> Spread | None:
    if not maps:
        return None
    values = [(figure(run) * times, 1.0) for run in maps]
    return Spread(weighted_quantile(values, 0.5), weighted_quantile(values, 0.9))


def _pair(spread: Spread, words: Callable[[float], str]) -> str:
    low, high = words(spread.p50), words(spread.p90)
    return f"about {low}" if low == high else f"about {low}, 9 of 10 up to {high}"


def _behind(what: str, maps: Sequence[RunFigures]) -> str:
    if not maps:
        return f"{what}: no earlier map of this model"
    return f"{what}: from {units.amount(len(maps), 'earlier map')} of this model"


def _worst(limits: Limits) -> str:
    parts = [
        "" if limits.cost is None else units.money(limits.cost),
        "" if limits.tokens is None else f"{units.count(limits.tokens)} tokens",
        "" if limits.seconds is None else units.duration(limits.seconds),
    ]
    return f"At most:  {', '.join(filter(None, parts)) or 'no limit is set'}"
