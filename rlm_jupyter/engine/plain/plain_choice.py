"""The choice between a plain call and agents, for `plain="auto"`: by the size of the data, and told to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.chat_size import BYTES_PER_TOKEN
from rlm_jupyter.engine.plain.plain_data import plain_data, window_of
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens, utf8_bytes
from rlm_jupyter.text.units import money

if TYPE_CHECKING:
    from rlm_jupyter.engine.plain.plain_prompt import PlainData
    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.settings import Limits, Settings

AUTO = "auto"
_SHARE = 0.5
"""Of a model's window: models overlook more, the fuller it is."""
_MOST_BYTES_PER_TOKEN = 48
"""Of encoded data, as text has a token; what is larger is not even made a text."""


def choose_plain(
    context: Any,
    size: int,
    name: str,
    question: str,
    model: ChatModel,
    settings: Settings,
    price: Price | None = None,
    limits: Limits | None = None,
) -> tuple[PlainData | None, str]:
    """Returns the data for a plain call, or None for agents; and why, in a sentence.

    Args:
        context: the data; None for none.
        size: its bytes, encoded.
        name: the variable that it came from.
        question: verbatim.
        model: of the root.
        settings: of the run.
        price: of the model; None if it is not known.
        limits: what the run may spend.
    """
    window = window_of(model, settings)
    if window is None:
        return None, _agents(f"the window of `{model.name}` is not known (`window=` says it)")
    if size > _MOST_BYTES_PER_TOKEN * window:
        return None, _agents(f"the data is larger than the window of `{model.name}` ({window:,} tokens)")
    try:
        plain = plain_data(context, name, question, model, settings)
    except ConfigError as error:
        return None, _agents(f"a plain call cannot be: {error.message}")
    tokens = round((utf8_bytes(plain.text or "") + utf8_bytes(question)) / BYTES_PER_TOKEN)
    most = round(_SHARE * window)
    if tokens > most:
        return None, _agents(
            f"the data has about {tokens:,} tokens, more than half of the {window:,} that `{model.name}` holds"
        )
    # As the ledger reserves: a call that it would refuse is not chosen.
    prompt = estimate_prompt_tokens(plain.messages(question, None, settings.instructions), model.name)
    reply = settings.completion_tokens
    cost = None
    if price is not None:
        cost = (prompt * price.prompt + reply * price.completion) / 1e6
    over = _over_limit(prompt + reply, cost, limits) if limits is not None else None
    if over is not None:
        return None, _agents(over)
    bound = "" if cost is None else f"; it costs {money(cost)} at most"
    return plain, (
        f"`plain={AUTO}`: one plain call, since the data has about {tokens:,} tokens, at most half of the {window:,} "
        f"that `{model.name}` holds{bound}."
    )


def _over_limit(tokens: int, cost: float | None, limits: Limits) -> str | None:
    """Returns which limit a plain call may exceed; None for none."""
    if limits.tokens is not None and tokens > limits.tokens:
        return f"a plain call may take {tokens:,} tokens, more than the limit `tokens`"
    if limits.cost is not None and cost is not None and cost > limits.cost:
        return f"a plain call may cost {money(cost)}, more than the limit `cost`"
    return None


def _agents(reason: str) -> str:
    return f"`plain={AUTO}`: agents read the data by code, since {reason.rstrip('.')}."
