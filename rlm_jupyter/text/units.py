"""Numbers as people read them: money, counts, durations, sizes. What is not known is `?`, never 0."""

from __future__ import annotations

import math

UNKNOWN = "?"
_MINUTE = 60.0
_HOUR = 3600.0
_MOST = 10**24
"""No run has spent, counted or waited for as much; NaN and infinity are not below it either."""


def money(usd: float | None) -> str:
    """Format dollars: `$1.20`, `$0.042`, `$0.00031`, `$0`; `?` where the price is not known."""
    if usd is None or not abs(usd) < _MOST:
        return UNKNOWN
    if usd == 0:
        return "$0"
    if abs(usd) >= 0.0995:  # noqa: PLR2004  two decimals are two digits from here on
        return f"${usd:,.2f}"
    digits = f"{usd:.2g}"
    if "e" in digits:
        digits = f"{usd:.9f}".rstrip("0").rstrip(".")
    return f"${digits}" if float(digits) else "<$0.000000001"


def count(number: int | None) -> str:
    """Format a count with thousands separators: `12,345`."""
    return UNKNOWN if number is None or not abs(number) < _MOST else f"{number:,}"


def amount(number: int | None, noun: str) -> str:
    """Format a count with its noun in the right number: `1 agent`, `3 agents`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def duration(seconds: float | None) -> str:
    """Format seconds: `0.4 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds is None or not abs(seconds) < _MOST:
        return UNKNOWN
    if seconds < _MINUTE - 0.05:
        return f"{seconds:.1f} s"
    if seconds < _HOUR - 0.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def places(held: dict[str, int]) -> str:
    """Returns where the bytes of a run's values are: `values 1.2 GB in memory, 300.0 MB on disk`; empty without any."""
    where = {"memory": "in memory", "disk": "on disk", "shared": "shared with the notebook"}
    parts = [f"{size(held[name])} {words}" for name, words in where.items() if held.get(name)]
    return f"values {', '.join(parts)}" if parts else ""


PLACES = {"disk": "on disk", "shared": "shared with the notebook"}
"""Where a value lies, if not in memory as all do."""


def size(number: int | None) -> str:
    """Format bytes: `512 B`, `48.0 MB`, `1.2 GB` (powers of 1000)."""
    if number is None or not abs(number) < _MOST:
        return UNKNOWN
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:  # noqa: PLR2004  rounds to 1000.0 from here on
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def short_size(number: int) -> str:
    """Format bytes by their first three digits: `512 bytes`, `2 GB`, `1.5 GB`, as one writes a limit."""
    power = 0 if number <= 0 else min(3, int(math.log10(number)) // 3)
    value = number / 1000**power
    unit = ("bytes", "kB", "MB", "GB")[power]
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004  three digits already
