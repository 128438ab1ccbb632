"""One question for each row, on one line: `1,200 of 5,000 rows · 35 rows/s · 1 min 48 s left · delivery: true 61 %`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.agent_state import AgentState, MapState

_VALUES = 3
_FIELDS = 2
_NAME = 30


def progress(state: MapState, *, running: bool = True) -> str:
    """Returns how far it is: items done, errors, rate, remaining time, and a histogram of each choice."""
    noun = f"{one_line(state.noun, 20)}s"
    parts = [f"{state.done:,} of {state.total:,} {noun}"]
    if state.failed:
        parts.append(units.amount(state.failed, "error"))
    if running and state.rate is not None:
        rate = f"{state.rate:,.0f}" if state.rate >= 10 else f"{state.rate:.2g}"  # noqa: PLR2004 - two digits
        parts.append(f"{rate} {noun}/s")
    if running and state.seconds_left is not None and state.seconds_left >= 1:
        parts.append(f"{units.duration(state.seconds_left)} left")
    parts += [_histogram(name, counts) for name, counts in list(state.counts.items())[:_FIELDS]]
    return " · ".join(parts)


def _histogram(name: str, counts: dict[str, int]) -> str:
    """Returns the shares of the most frequent values: `delivery: true 61 %, false 39 %`."""
    total = sum(counts.values()) or 1
    shares = [
        f"{one_line(value, _NAME)} {100 * count / total:.0f} %"
        for value, count in list(counts.items())[:_VALUES]
    ]
    return f"{one_line(name, _NAME)}: {', '.join(shares)}"


def row_name(agent: AgentState) -> str | None:
    """Returns what stands in an agent's row in the place of its question; None for the question itself."""
    if agent.mapping is None or not agent.mapping.total:
        return agent.name
    return progress(agent.mapping, running=agent.status == "running")
