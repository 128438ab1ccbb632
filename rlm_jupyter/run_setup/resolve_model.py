"""From a name to a model: `demo`, a provider's model, or the user's own object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.base import ChatModel
from rlm_jupyter.settings import PROVIDERS

REPLAY: Final = "replay:"
"""In the place of a model's name: what follows is the path of a log, whose replies are given."""
_NEEDED = ("name", "scripted", "price", "complete")


def choose_model(
    given: str | ChatModel | None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
) -> ChatModel:
    """Returns the model that a name means.

    Args:
        given: a name, ``"demo"``, ``"replay:LOG"`` (the replies of a log), an object with the `ChatModel` protocol, or
            None: the demo, unless there is a key.
        base_url: of an OpenAI-compatible server.
        api_key: None: from the environment.
        env: the environment; None: this process's.

    Raises:
        ConfigError: the name means nothing, there is a key but no name, or the object lacks the protocol.
        MissingKeyError: the provider's key is not set.
        RunNotFoundError, LogError: there is no such log, or it cannot be read.
    """
    env = os.environ if env is None else env
    if given is not None and not isinstance(given, str):
        missing = [name for name in _NEEDED if not hasattr(given, name)]
        if missing:
            raise ConfigError(
                f"`{type(given).__name__}` is not a model: it lacks `{missing[0]}`. Give a name such as "
                "`openai/gpt-5` or `demo`, or an object with the `ChatModel` protocol."
            )
        return given
    if given is None and (key := _key_that_is_set(env, api_key, base_url)):
        raise ConfigError(
            f'There is {key} but no model. Name one: `model="openai/gpt-5"`, `-m`, `%config RLMMagics.model` '
            "or `RLM_MODEL`; or `demo`, which asks nobody."
        )
    if given is None or given == "demo":
        from rlm_jupyter.demo_model.model import DemoModel

        return DemoModel()
    if not given.strip():
        raise ConfigError("The model's name is empty: give one such as `openai/gpt-5`, or `demo`.")
    if given.startswith(REPLAY):
        from rlm_jupyter.models.replay_model import ReplayModel

        return ReplayModel.from_log(Path(given.removeprefix(REPLAY)).expanduser())
    from rlm_jupyter.models.provider_models import named_model

    return named_model(given, base_url=base_url, api_key=api_key, env=env)


def _key_that_is_set(env: Mapping[str, str], api_key: str | None, base_url: str | None) -> str | None:
    if api_key:
        return "an `api_key`"
    if base_url or env.get("RLM_MODEL_BASE_URL"):
        return "a base URL"
    names = ["RLM_MODEL_API_KEY", *(p.key for p in PROVIDERS.values() if p.key)]
    return next((f"the key `{name}`" for name in names if env.get(name)), None)
