"""The ledger: no request is sent before its worst case is reserved, and none that could pass a limit is.

One per run, on one asyncio loop, shared by all agents. A request takes these steps:

    reservation = await ledger.reserve(agent, prompt_tokens, max_tokens, price)    may wait, or raise
    … the request, with `reservation.max_tokens`; before each retry `ledger.retry(reservation)` …
    ledger.settle(reservation, usage, cost, attempts=…)      what it truly cost; the rest is free again
    ledger.release(reservation)                              instead, for a request that was never sent

A request that was sent and brought no reply (cancelled, broken off, nothing heard) settles as its worst case, and is
marked as estimated: it may have been billed in full. A reply whose server does not count it settles as about what
came, and in money as its worst case (`Usage.at_most`). A reply from our own cache costs
neither a call nor tokens nor money, but an agent's turn (`count_cached`), so that a run takes the same
course with and without the cache.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING

from rlm_jupyter.engine.budget.accounts import Accounts
from rlm_jupyter.engine.budget.amounts import (
    Account,
    Left,
    Request,
    Reservation,
    Spend,
    known_price,
    true_spend,
    worst_case,
)
from rlm_jupyter.errors import LimitReachedError, UnknownPriceError
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlm_jupyter.engine.budget.shared_budget import SharedBudget
    from rlm_jupyter.events.events import WaitReason
    from rlm_jupyter.models.base import Price, Usage
    from rlm_jupyter.settings import Limits

__all__ = ["Ledger", "Left", "Reservation", "Spend", "estimate_prompt_tokens"]

_SECONDS_BETWEEN_CUTS = 1.0
"""Between two refusals of which it is not known when the requests were sent, for both to count."""


class Ledger:
    """What one run may spend, has reserved and has spent.

    Args:
        limits: what it may spend; None anywhere is no limit.
        clock: seconds that only grow; the run's time begins now.
        shared: a budget that others spend of, too; None for none.
        levels_above: levels of agents that only start others, and do not count for the limit `depth`.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        shared: SharedBudget | None = None,
        levels_above: int = 0,
    ) -> None:
        self._shared = shared
        self._accounts = Accounts(limits, clock, levels_above)
        self._clock = clock
        self._open: set[Reservation] = set()
        self._queue: deque[tuple[Request, asyncio.Future[Reservation]]] = deque()
        self._ceiling = math.inf
        self._cut_at = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._retrying: set[Reservation] = set()
        self._freed: asyncio.Future[None] | None = None

    # ---- one request

    async def reserve(
        self,
        agent: str,
        prompt_tokens: int,
        max_tokens: int,
        price: Price | None,
        *,
        turn: bool = False,
        exposure: int = 0,
    ) -> Reservation:
        """Reserve the worst case of a request, waiting while requests in flight may free enough.

        First come, first served: none overtakes, so that neither large nor small ones starve. While others
        are in flight a request waits for its full `max_tokens`; alone, it is given what is left.

        Args:
            agent: on whose account, such as ``"0.2"``.
            prompt_tokens: upper bound of the prompt's tokens (`estimate_prompt_tokens`).
            max_tokens: most tokens of the reply.
            price: USD per million tokens; None if it is not known.
            turn: whether it is a turn of the agent, rather than a plain call.
            exposure: tokens of data in it that were not sent before.

        Returns:
            The reservation, with `max_tokens` clamped to what is left.

        Raises:
            LimitReachedError: a limit leaves no room for it.
            UnknownPriceError: there is a limit in money, and no price.
        """
        request = Request(agent, max(0, prompt_tokens), max(1, max_tokens), price, turn, exposure)
        if (reservation := self._try(request)) is not None:
            return reservation
        self._check_hope(request)
        waiting: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._queue.append((request, waiting))
        self._pump()
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.release(waiting.result())  # granted and cancelled in the same step of the loop
            else:
                self._queue = deque(entry for entry in self._queue if entry[1] is not waiting)
                self._pump()
            raise

    def reserve_at_once(
        self,
        agent: str,
        prompt_tokens: int,
        max_tokens: int,
        price: Price | None,
        *,
        turn: bool = False,
        exposure: int = 0,
    ) -> Reservation | None:
        """As `reserve`, but return None if it would have to wait."""
        return self._try(Request(agent, max(0, prompt_tokens), max(1, max_tokens), price, turn, exposure))

    def _try(self, request: Request) -> Reservation | None:
        """Check a request, and reserve if nothing has to be waited for."""
        unknown = not known_price(request.price) or self._accounts.spent.unknown
        limits_money = self._accounts.limits.cost is not None or (self._shared and self._shared.limits_money)
        if limits_money and unknown:
            raise UnknownPriceError(
                "There is a limit in money (`cost`), and the price of the model is not known. Give it as "
                "`price=(prompt, completion)` in USD per million tokens, or set `cost=None` and `tokens=`."
            )
        if request.turn:
            self._accounts.check_turns(request.agent)
        return None if self._queue else self._grant(request)

    def retry(self, reservation: Reservation, *, billed: bool = True) -> None:
        """Reserve one more attempt of a request; to be called before each retry is sent.

        Args:
            reservation: of the request.
            billed: whether the attempt before it may have been billed; a refusal (429, 503) is not.

        Raises:
            LimitReachedError: there is no room for another attempt; the reservation stays open.
        """
        more = self._attempt(reservation, billed=billed)
        name = self._accounts.first_exceeded(more)
        if name is not None:
            raise self._accounts.reached(name, more)
        if self._accounts.time_is_up():
            raise self._accounts.reached("seconds", more)
        if self._shared is not None:
            self._shared.reserve(more)
        self._accounts.reserve(reservation.agent, more)
        reservation.held.add(more)

    async def wait_to_retry(self, reservation: Reservation, *, billed: bool = True) -> None:
        """As `retry`, but wait for its turn, and while other requests in flight may free enough.

        Raises:
            LimitReachedError: there is no room, and none to hope for; the reservation stays open.
        """
        more = self._attempt(reservation, billed=billed)
        try:
            while True:
                most = self.concurrency
                if most is None or len(self._open - self._retrying - {reservation}) < most:
                    try:
                        self.retry(reservation, billed=billed)
                    except LimitReachedError:
                        others = len(self._open) > len(self._retrying | {reservation})
                        if (
                            self._accounts.time_is_up()
                            or not others
                            or self._accounts.first_exceeded(more, held=False)
                        ):
                            raise
                    else:
                        reservation.sent = self._clock()
                        return
                self._retrying.add(reservation)
                self._freed = self._freed or asyncio.get_running_loop().create_future()
                await asyncio.shield(self._freed)
        finally:
            self._retrying.discard(reservation)
            self._pump()

    @staticmethod
    def _attempt(reservation: Reservation, *, billed: bool) -> Account:
        """Returns what one more attempt of a request may spend."""
        if not billed:
            return Account(calls=1)
        return worst_case(reservation.prompt_tokens, reservation.max_tokens, reservation.price)

    def settle(
        self,
        reservation: Reservation,
        usage: Usage | None,
        cost: float | None,
        *,
        attempts: int = 1,
        failed: bool = False,
    ) -> Spend:
        """Account what a request that was sent has cost, and free the rest.

        Args:
            reservation: of the request.
            usage: its tokens, all attempts together; what is missing or cannot be true is taken from the
                reservation and marked as estimated.
            cost: USD as the provider reports it; None if it does not.
            attempts: requests that were sent, retries included.
            failed: whether there is no reply (an error, cancelled); it may have been billed all the same.

        Returns:
            What this request has spent.
        """
        self._close(reservation)
        spent = true_spend(reservation, usage, cost, max(attempts, reservation.attempts))
        if self._shared is not None:
            self._shared.correct(reservation.held, spent, reservation.day)
        self._accounts.charge(reservation.agent, spent)
        if not failed and self._ceiling < math.inf:
            self._ceiling += 1 / self._ceiling
        self._pump()
        return spent.spend()

    def release(self, reservation: Reservation) -> None:
        """Free a reservation whose request was never sent; nothing happens if it is closed already."""
        if reservation.open:
            self._close(reservation)
            if self._shared is not None:
                self._shared.correct(reservation.held, Account(), reservation.day)
            self._pump()

    def count_cached(self, agent: str, *, turn: bool = False) -> Spend:
        """Account a reply from our own cache: an agent's turn, but no call, no tokens, no money.

        Raises:
            LimitReachedError: the agent has no turn left.
        """
        if turn:
            self._accounts.check_turns(agent)
        spent = Account(turns=int(turn), cached=1)
        self._accounts.charge(agent, spent)
        return spent.spend()

    def check_seconds(self) -> None:
        """See that the run has time left.

        Raises:
            LimitReachedError: it has none.
        """
        if self._accounts.time_is_up():
            raise self._accounts.reached("seconds", Account())

    # ---- agents, and what was spent and is left

    def admit_agent(self, agent: str) -> None:
        """Count an agent; the same one is counted once.

        Raises:
            LimitReachedError: too many agents, too deep, or too late.
        """
        self._accounts.admit(agent)

    def spend(self, agent: str | None = None) -> Spend:
        """Returns what was spent: by the whole run, or by an agent and all its descendants."""
        return self._accounts.spend(agent)

    def left(self, agent: str) -> Left:
        """Returns what an agent may still spend; what requests in flight have reserved is not left."""
        return self._accounts.left(agent)

    def most_turns(self, agent: str) -> tuple[str, int | None]:
        """Returns how many turns an agent may have, and the name of the limit; None for any number."""
        return self._accounts.most_turns(agent)

    def half_gone(self, agent: str | None = None) -> bool:
        """Returns whether half of any limit of the run (or of the agent's turns) is spent."""
        return self._accounts.half_gone(agent)

    # ---- while it runs

    @property
    def limits(self) -> Limits:
        """The limits that hold now."""
        return self._accounts.limits

    @property
    def in_flight(self) -> int:
        """Requests that are reserved and neither settled nor released."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Requests that wait for a reservation."""
        return len(self._queue)

    @property
    def held_back_by(self) -> WaitReason:
        """What a request that waits for its reservation waits for, most likely."""
        most = self.concurrency
        if not self._retrying and (most is None or len(self._open) < most):
            return "budget"
        return "rate_limit" if most != self._accounts.limits.concurrency else "concurrency"

    @property
    def concurrency(self) -> int | None:
        """Requests that may be in flight at once: the limit, or fewer after refusals; None for any number."""
        most = min(self._accounts.limits.concurrency or math.inf, max(1.0, self._ceiling))
        return None if math.isinf(most) else int(most)

    def raise_limits(self, limits: Limits) -> None:
        """Put other limits in place, and let those go on who waited for them."""
        self._accounts.limits = limits
        self._tell_freed()
        self._pump()

    def rate_limited(self, reservation: Reservation | None = None) -> None:
        """Lower the requests in flight to half; each success raises them slowly.

        A burst of refusals is one: those of requests that were in flight together lower them once.

        Args:
            reservation: of the request that was refused; None: unknown, then once a second at most.
        """
        now = self._clock()
        since = now - _SECONDS_BETWEEN_CUTS if reservation is None else reservation.sent
        if since < self._cut_at:
            return
        self._cut_at = now
        active = len(self._open - self._retrying)
        self._ceiling = max(1.0, min(self._ceiling, active) / 2)

    # ---- inside

    def _grant(self, request: Request) -> Reservation | None:
        """Reserve now, or give None where it must wait.

        Raises:
            LimitReachedError: nothing is in flight that could free enough.
        """
        if self._accounts.time_is_up():
            raise self._accounts.reached("seconds", Account())
        if self._retrying:  # what was begun goes first
            return None
        most = self.concurrency
        if most is not None and len(self._open) >= most:
            return None
        max_tokens = request.max_tokens
        if self._accounts.first_exceeded(request.worst(max_tokens)) is not None:
            if self._open:
                return None
            max_tokens = self._accounts.reply_room(request.prompt_tokens, request.price, max_tokens)
            need = request.worst(max(max_tokens, request.least))
            if (name := self._accounts.first_exceeded(need)) is not None:
                raise self._accounts.reached(name, need)
        if self._shared is not None:
            shared = self._share(request, max_tokens)
            if shared is None:
                return None
            max_tokens = shared
        reservation = Reservation(
            request.agent,
            request.prompt_tokens,
            max_tokens,
            request.price,
            request.turn,
            request.worst(max_tokens),
            sent=self._clock(),
            day=self._shared.day if self._shared is not None else "",
        )
        self._accounts.reserve(reservation.agent, reservation.held)
        self._open.add(reservation)
        return reservation

    def _share(self, request: Request, max_tokens: int) -> int | None:
        """Reserve in the shared budget; return the tokens of the reply, or None where own requests may free enough.

        Raises:
            LimitReachedError: there is no room, and nothing of this run is in flight.
        """
        assert self._shared is not None
        try:
            self._shared.reserve(request.worst(max_tokens))
        except LimitReachedError:
            if self._open:
                return None
            room = self._shared.reply_room(request.prompt_tokens, request.price, max_tokens)
            max_tokens = max(room, request.least)
            self._shared.reserve(request.worst(max_tokens))
        return max_tokens

    def _close(self, reservation: Reservation) -> None:
        if not reservation.open:
            raise ValueError(f"A reservation of agent `{reservation.agent}` was settled or released before.")
        reservation.open = False
        self._open.discard(reservation)
        self._accounts.reserve(reservation.agent, reservation.held, -1)
        self._tell_freed()

    def _tell_freed(self) -> None:
        """Let those look again who wait to retry."""
        freed, self._freed = self._freed, None
        if freed is not None:
            freed.set_result(None)

    def _pump(self) -> None:
        """Let those go on, in their order, for whom there is room or no hope."""
        while self._queue:
            request, waiting = self._queue[0]
            if not waiting.done():
                try:
                    reservation = self._grant(request)
                    if reservation is None:
                        self._check_hope(request)
                        break
                except LimitReachedError as error:
                    waiting.set_exception(error)
                else:
                    waiting.set_result(reservation)
            self._queue.popleft()
        self._arm()

    def _arm(self) -> None:
        """See to it that those who wait are told when the time is up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and self._accounts.limits.seconds is not None:
            left = max(0.001, self._accounts.limits.seconds - self._accounts.elapsed())
            self._timer = asyncio.get_running_loop().call_later(left, self._pump)

    def _check_hope(self, request: Request) -> None:
        """Raise where no settlement of those in flight could make enough room.

        Raises:
            LimitReachedError: naming the limit.
        """
        least = request.worst(request.least)
        name = self._accounts.first_exceeded(least, held=False)
        if name is not None:
            raise self._accounts.reached(name, least)
