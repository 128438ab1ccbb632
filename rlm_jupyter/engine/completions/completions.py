"""One completion: reserve its worst case, send it, settle what it cost, and say so in the journal."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rlm_jupyter.engine.budget.ledger import Ledger, Reservation, estimate_prompt_tokens
from rlm_jupyter.engine.completions.asked_completion import AskedCompletion
from rlm_jupyter.engine.completions.cache_key import cache_request
from rlm_jupyter.engine.completions.completion_progress import CompletionProgress
from rlm_jupyter.engine.completions.data_tokens import data_tokens
from rlm_jupyter.engine.completions.person_wait import person_wait
from rlm_jupyter.engine.completions.redact_chats import ChatRedactor
from rlm_jupyter.engine.completions.sampling import Samplings
from rlm_jupyter.engine.completions.sent_request import SentRequest
from rlm_jupyter.engine.completions.server_room import place_at_server
from rlm_jupyter.engine.completions.unreported_usage import broken_usage, estimated_usage, scripted_usage
from rlm_jupyter.errors import MalformedReplyError, RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.base import (
    AddsToPrompt,
    BillsCache,
    CachingPrice,
    ChatModel,
    Completion,
    CompletionRequest,
    Message,
    Price,
    Usage,
    audio_of,
    text_of,
)
from rlm_jupyter.models.model_statistics import statistics_of
from rlm_jupyter.models.openai.chat_replies import clean_text
from rlm_jupyter.models.prices import price_with_audio
from rlm_jupyter.models.tier_prices import asked_tier, cost_at_tier, price_to_reserve

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues

_LONG = 100_000
"""Characters of a prompt from which on hidden values are looked for on a thread: half a second for a million."""


class Cache(Protocol):
    """Replies that were paid for once (`rlm_jupyter.models.cache`)."""

    problem: str | None
    """Why the run does without them, in a sentence."""

    async def get(self, model: ChatModel, request: CompletionRequest) -> Completion | None:
        """Return the reply to the same request, or None."""

    def put(self, model: ChatModel, request: CompletionRequest, completion: Completion) -> None:
        """Keep a reply, soon."""

    def drop(self, model: ChatModel, request: CompletionRequest) -> None:
        """Forget a request that brought no reply."""

    def drained(self) -> Future[None]:
        """Return a future that is done when all that was put so far is kept."""


class RecordedReplies(Protocol):
    """Replies of an earlier run, which this one goes through again (`rlm_jupyter.engine.run.recorded_run`)."""

    def reply(self, agent: str, purpose: ev.Purpose, messages: Sequence[Message]) -> Completion | None:
        """Return the recorded reply to an agent's next request, or None."""


class Completions:
    """All completions of one run go through here: turns and plain calls, in the root and everywhere.

    Args:
        journal: where they are told.
        ledger: what may be spent.
        samplings: how the models are asked.
        price: overrides what the models say of themselves.
        cache: replies on disk; None for no cache.
        redact: takes secrets out of what a model is told.
        recorded: replies that are taken before any model or cache is asked; None for none.
        question: of the run, which is the user's own text and no data.
        hidden: values that a model is told tokens of, which become the values again in its replies; None for none.
    """

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        *,
        samplings: Samplings,
        price: Price | None = None,
        cache: Cache | None = None,
        redact: Callable[[str], str] = str,
        recorded: RecordedReplies | None = None,
        question: str = "",
        hidden: HiddenValues | None = None,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._samplings = samplings
        self._price = price
        self._cache = cache
        self._redact = ChatRedactor(lambda text: clean_text(redact(text)))
        self._cache_told = False
        self._recorded = recorded
        self._own = self._redact.of_text(question) if question.strip() else ""
        self._hidden = hidden
        self._numbers = itertools.count(1)
        self._roots = {"0"}
        self._sample_of: dict[str, int | None] = {}

    def price_of(self, model: ChatModel, tier: str | None = None) -> Price | None:
        """Returns the most that a model costs here, at the service tier that is asked for; None if it is not known."""
        price = self._price if self._price is not None else price_to_reserve(model, tier)
        if price is None or isinstance(price, CachingPrice):
            return price
        # A price that somebody gave says nothing of the cache, which may be dearer.
        return CachingPrice(*price) if isinstance(model, BillsCache) and model.bills_cache else price

    async def ask(
        self,
        agent: str,
        model: ChatModel,
        messages: Sequence[Message],
        *,
        purpose: ev.Purpose,
        turn: int,
        start: int = 0,
        max_tokens: int | None = None,
        temperature: float | None = None,
        is_code: bool = False,
        sent: SentRequest | None = None,
    ) -> Completion:
        """Get one completion. The text of one that is no code has values in the place of their tokens.

        Args:
            agent: on whose account.
            model: which model.
            messages: the whole chat.
            purpose: a turn or a plain call.
            turn: the agent's turn in which it is asked.
            start: how many of the messages were sent with an earlier call already.
            max_tokens: the most tokens of the reply, where that is fewer than the settings say.
            temperature: for this request, where it is higher than the settings say.
            is_code: whether a plain completion is code, whose tokens stay: they become literals when it is run.
            sent: is told when the request is sent.

        Raises:
            LimitReachedError: its worst case does not fit under the limits.
            ModelError: the provider failed for good.
        """
        sampling = self._samplings.of_request(purpose, root=agent in self._roots)
        if max_tokens is not None:
            sampling = replace(sampling, max_tokens=min(max_tokens, sampling.max_tokens))
        if temperature is not None:
            sampling = sampling.warmer(temperature)
        told = await self._redacted(agent, messages, purpose)
        asked = AskedCompletion(agent, model, told, sampling, purpose, turn, start, sent or SentRequest())
        completion = await self._ask(asked)
        if self._hidden is None or is_code or purpose in ("turn", "summary", "plan"):
            return completion
        return replace(completion, text=self._hidden.restored(completion.text))

    async def _redacted(
        self, agent: str, messages: Sequence[Message], purpose: ev.Purpose
    ) -> Sequence[Message]:
        if purpose == "turn":
            return self._redact.of_chat(agent, messages)
        if self._hidden is not None and sum(len(one["content"]) for one in messages) > _LONG:
            return await asyncio.to_thread(self._redact.of_request, messages)
        return self._redact.of_request(messages)

    async def _ask(self, asked: AskedCompletion) -> Completion:
        """Take a completion from the record or the cache, or else buy it."""
        agent, model, messages = asked.agent, asked.model, asked.messages
        recorded = (
            self._recorded.reply(agent, asked.purpose, messages) if self._recorded is not None else None
        )
        if recorded is not None:
            return self._from_cache(asked, recorded)
        if self._cache is None:
            return await self._buy(asked)
        key = cache_request(messages, asked.sampling, self._sample_of.get(agent))
        known = await self._cache.get(model, key)
        self._tell_of_cache(self._cache)
        if known is not None:
            return self._from_cache(asked, known)
        try:
            completion = await self._buy(asked)
        except BaseException:
            self._cache.drop(model, key)
            raise
        self._cache.put(model, key, completion)
        return completion

    async def _buy(self, asked: AskedCompletion) -> Completion:
        await self._check_hidden()
        own = (self._own,) if self._own and asked.agent == "0" else ()
        exposure = data_tokens(asked.messages[asked.start :], asked.purpose, own)
        async with place_at_server(self._journal, self._ledger, asked.agent, asked.model):
            reservation = await self._reserve(asked, exposure)
            return await self._send(asked, reservation)

    async def _check_hidden(self) -> None:
        """Refuse to send anything if a file with hidden columns changed: what it holds now is not looked for.

        Raises:
            HiddenDataChangedError: which.
        """
        if self._hidden is not None and self._hidden.can_change:
            await asyncio.to_thread(self._hidden.check)

    def _tell_of_cache(self, cache: Cache) -> None:
        if cache.problem is not None and not self._cache_told:
            self._cache_told = True
            self._journal.emit(ev.Notice, text=cache.problem)

    def admit(self, agent: str, *, root: bool, sample: int | None) -> None:
        """Take note of an agent that begins.

        Args:
            agent: its id.
            root: whether it works on the question of the run itself, so that it is asked as the root is.
            sample: the number of the sample that it works for; None for none.
        """
        if root:
            self._roots.add(agent)
        self._sample_of[agent] = sample

    def agent_ended(self, agent: str) -> None:
        """Let go of what was kept for an agent's next turn."""
        self._redact.forget(agent)

    def drained(self) -> Future[None] | None:
        """Return a future that is done when all replies so far are in the cache; None if nothing waits for it."""
        return None if self._cache is None or self._cache.problem else self._cache.drained()

    async def _reserve(self, asked: AskedCompletion, exposure: int) -> Reservation:
        """Reserve; where that has to wait for others' settlements, show it."""
        agent, model, messages, turn = asked.agent, asked.model, asked.messages, asked.purpose == "turn"
        prompt = estimate_prompt_tokens(messages, model.name) + self._added_tokens(model, agent, messages)
        most = asked.sampling.max_tokens
        price = self.price_of(model, asked_tier(asked.sampling.parameters))
        if self._price is None and audio_of(messages):
            price = price_with_audio(price, model)
        at_once = self._ledger.reserve_at_once(agent, prompt, most, price, turn=turn, exposure=exposure)
        if at_once is not None:
            return at_once
        wanted = asyncio.ensure_future(
            self._ledger.reserve(agent, prompt, most, price, turn=turn, exposure=exposure)
        )
        try:
            done, _ = await asyncio.wait({wanted}, timeout=0.05)
            if done:
                return wanted.result()
            reason = self._ledger.held_back_by
            self._journal.emit(ev.Waiting, agent, reason=reason, seconds=None, text="waiting for its turn")
            try:
                return await wanted
            finally:
                self._journal.emit(ev.Waiting, agent, reason=reason, seconds=0)
        except asyncio.CancelledError:
            if wanted.done() and not wanted.cancelled() and wanted.exception() is None:
                self._ledger.release(wanted.result())
            else:
                wanted.cancel()
            raise

    def _added_tokens(self, model: ChatModel, agent: str, messages: Sequence[Message]) -> int:
        """Returns the most tokens that a model adds to a prompt."""
        if not isinstance(model, AddsToPrompt):
            return 0
        return model.added_tokens(self._journal.run, agent, messages)

    async def _send(self, asked: AskedCompletion, reservation: Reservation) -> Completion:
        agent, model = asked.agent, asked.model
        call = next(self._numbers)
        self._emit_prompt(asked, call, reservation.max_tokens, reservation.held.exposure)
        began = time.monotonic()
        progress = CompletionProgress(self._journal, self._ledger, asked, call, reservation)
        request = CompletionRequest(
            messages=list(asked.messages),
            max_tokens=reservation.max_tokens,
            on_delta=progress.deltas,
            on_wait=progress.wait,
            parameters=asked.sampling.parameters,
            optional=asked.sampling.optional,
            code_block=asked.purpose == "turn",
            on_begin=progress.reading,
            run=self._journal.run,
            agent=agent,
        )
        progress.sent()
        try:
            with person_wait(self._journal, agent, call, model):
                completion = await model.complete(request)
        except BaseException as error:
            progress.reading.end()
            ratio = statistics_of(model).ratio
            usage = broken_usage(ratio, asked.messages, reservation) if progress.begun else None
            self._settle_failed(agent, call, reservation, error, began, usage)
            if isinstance(error, RLMError) or not isinstance(error, Exception):
                raise
            raise MalformedReplyError(
                f"The model `{model.name}` failed: {type(error).__name__}: {error}. "
                "If it is a model of your own, see its `complete`; otherwise try again."
            ) from error
        finally:
            progress.end()
        usage = self._usage_of(asked, completion, reservation)
        if completion.attempts == 1:
            progress.reading.learn(usage)
        self._settle(asked, call, reservation, completion, usage, began)
        return completion

    def _usage_of(
        self, asked: AskedCompletion, completion: Completion, reservation: Reservation
    ) -> Usage | None:
        """Returns what a completion took in tokens, estimated where nobody said; learns from what was said."""
        usage, model, ratio = completion.usage, asked.model, statistics_of(asked.model).ratio
        if usage is None and model.scripted:
            return scripted_usage(asked.messages, completion.text)
        if usage is None:
            return estimated_usage(ratio, asked.messages, completion, reservation)
        if (
            completion.attempts == 1
            and not usage.estimated
            and not model.scripted
            and not self._added_tokens(model, asked.agent, asked.messages)
        ):
            ratio.learn(asked.messages, usage.prompt_tokens)
        return usage

    def _settle(
        self,
        asked: AskedCompletion,
        call: int,
        reservation: Reservation,
        completion: Completion,
        usage: Usage | None,
        began: float,
    ) -> None:
        """Account a reply, and tell it."""
        cost = completion.cost if completion.cost is not None else self._tier_cost(asked, completion)
        spend = self._ledger.settle(reservation, usage, cost, attempts=completion.attempts)
        self._journal.emit(
            ev.ReplyFinished,
            asked.agent,
            call=call,
            text=completion.text,
            model=completion.model or asked.model.name,
            finish_reason=completion.finish_reason,
            input_tokens=spend.prompt_tokens,
            output_tokens=spend.completion_tokens,
            cached_tokens=completion.usage.cached_tokens if completion.usage else 0,
            estimated=spend.estimated,
            cost=spend.cost,
            attempts=spend.calls,
            seconds=time.monotonic() - began,
        )

    def _tier_cost(self, asked: AskedCompletion, completion: Completion) -> float | None:
        """Returns what a reply cost at the service tier that was asked for, or that it got; None if nobody asked."""
        tier, usage = completion.service_tier, completion.usage
        if self._price is not None or asked_tier(asked.sampling.parameters) is None:
            return None
        if usage is None or tier is None or completion.attempts != 1 or audio_of(asked.messages):
            return None
        return cost_at_tier(asked.model, tier, usage)

    def _settle_failed(
        self,
        agent: str,
        call: int,
        reservation: Reservation,
        error: BaseException,
        began: float,
        broken: Usage | None,
    ) -> None:
        """Account a request that was sent, is perhaps billed, and brought no reply: its worst case is counted.

        Of a reply that broke off (`broken`), the prompt was read, and the rest may have been written all the same.
        """
        usage, cost, attempts = (getattr(error, name, None) for name in ("usage", "cost", "attempts"))
        usage = broken if usage is None else usage
        spend = self._ledger.settle(reservation, usage, cost, attempts=attempts or 1, failed=True)
        self._journal.emit(
            ev.ReplyFailed,
            agent,
            call=call,
            error=_reason(error),
            input_tokens=spend.prompt_tokens,
            output_tokens=spend.completion_tokens,
            estimated=spend.estimated,
            cost=spend.cost,
            attempts=spend.calls,
            seconds=time.monotonic() - began,
        )

    def _from_cache(self, asked: AskedCompletion, known: Completion) -> Completion:
        self._ledger.count_cached(asked.agent, turn=asked.purpose == "turn")
        call = next(self._numbers)
        self._emit_prompt(asked, call, None)
        self._journal.emit(
            ev.ReplyFinished,
            asked.agent,
            call=call,
            text=known.text,
            model=known.model or asked.model.name,
            finish_reason=known.finish_reason,
            input_tokens=0,
            output_tokens=0,
            cost=0.0,
            cached=True,
            attempts=0,
            seconds=0.0,
        )
        return known

    def _emit_prompt(
        self, asked: AskedCompletion, call: int, max_tokens: int | None, exposure: int = 0
    ) -> None:
        new = tuple({"role": str(m["role"]), "content": text_of(m)} for m in asked.messages[asked.start :])
        self._journal.emit(
            ev.PromptSent,
            asked.agent,
            call=call,
            purpose=asked.purpose,
            turn=asked.turn,
            model=asked.model.name,
            max_tokens=max_tokens,
            start=asked.start,
            messages=new,
            data_tokens=exposure,
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "stopped"
    return str(error) or type(error).__name__
