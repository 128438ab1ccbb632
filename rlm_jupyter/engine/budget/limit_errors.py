"""How it is said that a limit was reached: which, what was spent, and what to do."""

from __future__ import annotations

from rlm_jupyter.errors import LimitReachedError

TURNS = ("calls_per_agent", "calls_per_sub_agent")
"""Limits on the turns of single agents: that one of them meets it says nothing of the others."""

_LONG = 1.0
"""Seconds of which one decimal is enough."""

_OPTIONS = {
    "cost": "--max-cost",
    "calls": "--max-calls",
    "tokens": "--max-tokens",
    "seconds": "--timeout",
    "depth": "--depth",
    "exposure": "--exposure",
    "calls_per_sub_agent": "--sub-turns",
}


def limit_reached(
    name: str, limit: float | None, spent: float, held: float, need: float, *, agent: str | None = None
) -> LimitReachedError:
    """Build the error for a limit.

    Args:
        name: the field of `Limits`.
        limit: its value.
        spent: what was spent of it.
        held: what requests in flight have reserved of it.
        need: what the next request may need of it; 0 if that does not matter.
        agent: whose limit it is; None for the whole run's.
    """
    who = "The run" if agent is None else f"Agent `{agent}`"
    parts = [f"{_shown(name, spent)} spent"]
    if held:
        parts.append(f"{_shown(name, held)} reserved by requests in flight")
    if need:
        parts.append(f"up to {_shown(name, need)} needed for the next step")
    return LimitReachedError(
        f"{who} reached its limit `{name}` of {_shown(name, limit or 0)}: {', '.join(parts)}. {_way_out(name)}",
        limit=name,
    )


def budget_reached(path: str, words: str, name: str, spent: int, need: int) -> LimitReachedError:
    """Build the error for a shared budget.

    Args:
        path: of its file.
        words: the limit in words.
        name: what it limits.
        spent: what was spent or is reserved by all who share it; money in units of 1e-18 USD.
        need: what the next request may need.
    """
    told, wanted = (amount / 1e18 if name == "cost" else amount for amount in (spent, need))
    return LimitReachedError(
        f"The shared budget `{path}` is used up: {words}, {_shown(name, told)} spent or reserved, up to "
        f"{_shown(name, wanted)} needed for the next step. Ask who keeps the budget, or ask less.",
        limit="budget",
    )


def depth_reached(agent: str, depth: int) -> LimitReachedError:
    """Build the error for an agent that would be too deep."""
    return LimitReachedError(
        f"Agent `{agent}` would be deeper than the limit `depth` of {depth}. {_way_out('depth')}",
        limit="depth",
    )


def retry_refused(agent: str, error: LimitReachedError) -> LimitReachedError:
    """Build the error for an agent that cannot be asked again, because a limit leaves no room for another one."""
    reason = error.message.removesuffix(_way_out(error.limit)).strip()
    return LimitReachedError(
        f"Agent `{agent}` cannot be asked again. {reason} Raise the limit of this run first "
        f"(`run.set_limit({error.limit!r}, ...)`), then retry.",
        limit=error.limit,
    )


def _way_out(name: str) -> str:
    option = f"`{_OPTIONS[name]}`, " if name in _OPTIONS else ""
    return f"Raise it ({option}`Limits({name}=...)`), or ask less."


def _shown(name: str, amount: float) -> str:
    if name == "cost":
        return f"${amount:,.6f}".rstrip("0").rstrip(".") if amount < 1 else f"${amount:,.2f}"
    if name == "seconds":
        return f"{amount:,.1f} s" if amount >= _LONG else f"{amount:.2g} s"
    return f"{int(amount):,}"
