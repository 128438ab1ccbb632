"""The levels at which a run is handed on, by name; `rlm_jupyter.events.tree_levels` applies them."""

from __future__ import annotations

from typing import Final, Literal

from rlm_jupyter.errors import ConfigError

Level = Literal["all", "redacted", "structure"]

LEVELS: Final[dict[Level, str]] = {
    "all": "all that the log has",
    "redacted": "questions, replies and code, but no prompts, outputs, pictures and samples of data",
    "structure": "states, times, tokens, money, types and sizes, but no texts",
}
"""Each level, and what it has."""


def level_of(name: str) -> Level:
    """Returns the level of that name.

    Raises:
        ConfigError: there is none.
    """
    for level in LEVELS:
        if level == name:
            return level
    known = ", ".join(f"`{level}`" for level in LEVELS)
    raise ConfigError(f"There is no level `{name:.60}`. There are {known}.")
