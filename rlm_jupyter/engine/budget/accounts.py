"""The books of a run: what was spent, what is reserved, what is left. Arithmetic only; nothing waits here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.budget.amounts import Account, Left, Spend, affordable, cost_units, dollars, units
from rlm_jupyter.engine.budget.limit_errors import depth_reached, limit_reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlm_jupyter.errors import LimitReachedError
    from rlm_jupyter.models.base import Price
    from rlm_jupyter.settings import Limits

_SUMS = ("calls", "cost", "tokens", "prompt_tokens", "completion_tokens", "exposure")
"""Limits on what the whole run adds up."""


class Accounts:
    """What a run has spent and reserved, against its limits.

    Args:
        limits: what it may spend.
        clock: seconds that only grow; the run's time begins now.
        levels_above: levels of agents that do not count for the limit `depth`.

    Attributes:
        spent: of the whole run.
        held: by requests in flight.
        turns_held: turns in flight, by agent.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], levels_above: int = 0) -> None:
        self.limits = limits
        self._levels_above = levels_above
        self.spent = Account()
        self.held = Account()
        self.turns_held: dict[str, int] = {}
        self._own: dict[str, Account] = {}
        self._agents: set[str] = set()
        self._clock = clock
        self._began = clock()

    def reserve(self, agent: str, amount: Account, sign: int = 1) -> None:
        """Keep an amount free for a request of an agent, or give it back."""
        self.held.add(amount, sign)
        if amount.turns:
            self.turns_held[agent] = self.turns_held.get(agent, 0) + sign * amount.turns

    def charge(self, agent: str, amount: Account) -> None:
        """Count an amount as spent by an agent."""
        self.spent.add(amount)
        self._own.setdefault(agent, Account()).add(amount)

    def admit(self, agent: str) -> None:
        """Count an agent; the same one is counted once.

        Raises:
            LimitReachedError: too many agents, too deep, or too late.
        """
        if agent in self._agents:
            return
        depth, agents = self.limits.depth, self.limits.agents
        if depth is not None and self._depth(agent) > depth:
            raise depth_reached(agent, depth)
        if agents is not None and len(self._agents) >= agents:
            raise limit_reached("agents", agents, len(self._agents), 0, 1)
        if self.time_is_up():
            raise self.reached("seconds", Account())
        self._agents.add(agent)

    def spend(self, agent: str | None = None) -> Spend:
        """Returns what was spent: by the whole run, or by an agent and all its descendants."""
        if agent is None:
            return self.spent.spend()
        total = Account()
        for name, account in self._own.items():
            if name == agent or name.startswith(f"{agent}."):
                total.add(account)
        return total.spend()

    def left(self, agent: str) -> Left:
        """Returns what an agent may still spend."""
        rooms = {name: self.remaining(name) for name in _SUMS}
        tokens = [rooms[name] for name in ("tokens", "prompt_tokens", "completion_tokens")]
        cost = _positive(rooms["cost"])
        turns, seconds, depth = self.most_turns(agent)[1], self.limits.seconds, self.limits.depth
        return Left(
            cost=None if cost is None else dollars(cost),
            tokens=_positive(min((room for room in tokens if room is not None), default=None)),
            calls=_positive(rooms["calls"]),
            turns=None if turns is None else max(0, turns - self.turns(agent)),
            seconds=None if seconds is None else max(0.0, seconds - self.elapsed()),
            depth=None if depth is None else max(0, depth - self._depth(agent)),
            exposure=_positive(rooms["exposure"]),
        )

    def half_gone(self, agent: str | None = None) -> bool:
        """Returns whether half of any limit of the run (or of the agent's turns) is spent."""
        for name in _SUMS:
            limit = self._limit(name)
            if limit is not None and 2 * self.spent.amount(name) >= limit:
                return True
        seconds = self.limits.seconds
        turns = None if agent is None else self.most_turns(agent)[1]
        if seconds is not None and 2 * self.elapsed() >= seconds:
            return True
        return agent is not None and turns is not None and 2 * self.turns(agent) >= turns

    def first_exceeded(self, need: Account, *, held: bool = True) -> str | None:
        """Name the first limit that leaves no room for `need`; `held` False: were nothing in flight."""
        for name in _SUMS:
            room = self.remaining(name, held=held)
            if room is not None and need.amount(name) > room:
                return name
        return None

    def remaining(self, name: str, *, held: bool = True) -> int | None:
        """Returns what is left under a limit (money in units of 1e-18 USD); None for no limit."""
        limit = self._limit(name)
        if limit is None:
            return None
        return limit - self.spent.amount(name) - (self.held.amount(name) if held else 0)

    def reply_room(self, prompt_tokens: int, price: Price | None, most: int) -> int:
        """Returns the tokens of a reply, up to `most`, for which there is room beside its prompt."""
        rooms = [most, self.remaining("completion_tokens")]
        tokens, cost = self.remaining("tokens"), self.remaining("cost")
        if tokens is not None:
            rooms.append(tokens - prompt_tokens)
        if cost is not None and price is not None:
            rooms.append(affordable(price, cost - cost_units(price, prompt_tokens, 0)))
        return min(room for room in rooms if room is not None)

    def turns(self, agent: str) -> int:
        """Returns an agent's turns, the one in flight included."""
        own = self._own.get(agent)
        return self.turns_held.get(agent, 0) + (own.turns if own is not None else 0)

    def most_turns(self, agent: str) -> tuple[str, int | None]:
        """Returns how many turns an agent may have, and the name of the limit; None for any number."""
        limits = self.limits
        if limits.calls_per_sub_agent is not None and self._depth(agent) > 0:
            return "calls_per_sub_agent", limits.calls_per_sub_agent
        return "calls_per_agent", limits.calls_per_agent

    def check_turns(self, agent: str) -> None:
        """See that an agent has a turn left.

        Raises:
            LimitReachedError: it has none.
        """
        name, most = self.most_turns(agent)
        if most is not None and (used := self.turns(agent)) >= most:
            raise limit_reached(name, most, used, 0, 1, agent=agent)

    def elapsed(self) -> float:
        """Returns the seconds since the run began."""
        return self._clock() - self._began

    def time_is_up(self) -> bool:
        """Returns whether the run has used its seconds."""
        return self.limits.seconds is not None and self.elapsed() >= self.limits.seconds

    def reached(self, name: str, need: Account) -> LimitReachedError:
        """Build the error for a limit that leaves no room for `need`."""
        if name == "seconds":
            return limit_reached(name, self.limits.seconds, self.elapsed(), 0, 0)
        spent, held, wanted = (account.amount(name) for account in (self.spent, self.held, need))
        if name == "cost":
            return limit_reached(name, self.limits.cost, dollars(spent), dollars(held), dollars(wanted))
        return limit_reached(name, getattr(self.limits, name), spent, held, wanted)

    def _depth(self, agent: str) -> int:
        return max(0, agent.count(".") - self._levels_above)

    def _limit(self, name: str) -> int | None:
        limit = getattr(self.limits, name)
        if limit is None:
            return None
        return units(limit, down=True) if name == "cost" else int(limit)


def _positive(amount: int | None) -> int | None:
    return None if amount is None else max(0, amount)
