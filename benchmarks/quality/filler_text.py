"""Text without meaning, that data is hidden in."""

from __future__ import annotations

from random import Random

NOUNS = [
    "river",
    "stone",
    "lamp",
    "garden",
    "paper",
    "window",
    "silver",
    "bread",
    "cloud",
    "letter",
    "market",
    "engine",
    "forest",
    "winter",
    "bottle",
    "candle",
    "mirror",
    "ladder",
    "basket",
    "hammer",
]
_PER_LINE = 12


def filler(random: Random, lines: int) -> str:
    """Returns lines of a dozen random nouns each."""
    return "\n".join(" ".join(random.choice(NOUNS) for _ in range(_PER_LINE)) for _ in range(lines))


def filler_of_size(random: Random, size: int) -> list[str]:
    """Returns lines of random nouns of about `size` characters together."""
    found: list[str] = []
    length = 0
    while length < size:
        found.append(filler(random, 1))
        length += len(found[-1]) + 1
    return found
