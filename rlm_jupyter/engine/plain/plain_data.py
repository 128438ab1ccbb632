"""Whether a plain call fits the model, and about what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.chat_size import BYTES_PER_TOKEN
from rlm_jupyter.engine.plain.data_text import NoTextError, about_chars, data_text
from rlm_jupyter.engine.plain.plain_prompt import PlainData
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.text.units import money

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.settings import Settings

MOST_CHARS = 200_000
"""Of a prompt to a model whose window is not known."""
_REPLY_TOKENS = 500
"""Of a usual answer, in an estimate."""
_CHARS_PER_TOKEN = 4
_MOST_BYTES_PER_TOKEN = 48
"""Of encoded data: a table of numbers takes up to eight bytes for what is a character or two as text."""
_FRAME_TOKENS = 300
"""Of the prompt besides the question and the data."""


def plain_data(context: Any, name: str, question: str, model: ChatModel, settings: Settings) -> PlainData:
    """Returns data as a plain call sends it.

    Args:
        context: the data; None for none.
        name: the variable that it came from.
        question: verbatim.
        model: of the root.
        settings: of the run.

    Raises:
        ConfigError: the data does not fit the model, or has no form as text; the message says why.
    """
    if model.scripted and model.name == "demo":
        raise ConfigError(
            "The demo model is a script that writes code for agents, and reads no data itself: a plain call needs a "
            "language model. Name one (`-m`, `model=`), or ask without `plain`."
        )
    window = window_of(model, settings)
    if window is None:
        most = MOST_CHARS
    else:
        room = window - settings.completion_tokens - _FRAME_TOKENS
        most = max(0, round(room * BYTES_PER_TOKEN) - 2 * len(question))
    if context is None:
        return PlainData(None, name)
    try:
        text = data_text(context, most)
        size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        if size > most:
            raise NoTextError(f"it has {size:,} bytes as text, and at most {most:,} fit")
    except NoTextError as error:
        holds = (
            f"`{model.name}` holds {window:,} tokens, {settings.completion_tokens:,} of them for the reply"
            if window is not None
            else f"the window of `{model.name}` is not known (`window=` says it)"
        )
        raise ConfigError(
            f"A plain call sends `{name}` whole, and that cannot be: {error}; {holds}. Ask without `plain` "
            "(`--plain`): agents read the data by code."
        ) from None
    return PlainData(text, name)


def plain_hint(
    context: Any, size: int, question: str, model: ChatModel, settings: Settings, price: Price | None
) -> str | None:
    """Returns that a plain call would do, and about what it costs; None if it would not, or nobody knows.

    Makes no text of what is large, so that no question waits for it.

    Args:
        context: the data.
        size: its bytes, encoded.
        question: verbatim.
        model: of the root.
        settings: of the run.
        price: of the model; None if it is not known.
    """
    window = window_of(model, settings)
    if window is None or model.scripted or context is None or size > _MOST_BYTES_PER_TOKEN * window:
        return None
    try:
        known = about_chars(context)
    except Exception:  # of a table that a library cannot write; nothing is said then
        return None
    if known is None:
        most = round(window * BYTES_PER_TOKEN)
        if size > most or not isinstance(context, (dict, list, tuple, set, frozenset)):
            return None
        try:
            known = len(data_text(context, most))
        except NoTextError:
            return None
    tokens = round((known + len(question)) / BYTES_PER_TOKEN) + _FRAME_TOKENS
    if tokens + settings.completion_tokens > window:
        return None
    usual = (known + len(question)) / _CHARS_PER_TOKEN + _FRAME_TOKENS
    cost = (
        ""
        if price is None
        else (f", which costs about {money((usual * price.prompt + _REPLY_TOKENS * price.completion) / 1e6)}")
    )
    return f"The data fits the model's window: a plain call (`--plain`, `plain=True`) would do{cost}."


def window_of(model: ChatModel, settings: Settings) -> int | None:
    """Returns how many tokens the root's model holds; None if that is not known."""
    known = settings.window if settings.window is not None else getattr(model, "window", None)
    return known if isinstance(known, int) and known > 0 else None
