"""One agent: describe → ask the model → read the reply → run the code → observe, until FINAL or a limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlm_jupyter.engine.agent import (
    compaction,
    follow_up,
    kept_answers,
    kernel_checkpoints,
    kernel_setup,
    planning,
    prompt,
    small_prompt,
    vision,
)
from rlm_jupyter.engine.agent.agent import Agent
from rlm_jupyter.engine.agent.agent_cell import run_cell
from rlm_jupyter.engine.agent.chat_tail import ChatTails, Tail
from rlm_jupyter.engine.agent.citing_words import with_citing
from rlm_jupyter.engine.agent.error_hints import tell_hint
from rlm_jupyter.engine.agent.escalation import escalate
from rlm_jupyter.engine.agent.first_look import DERIVED, Look, plan_look
from rlm_jupyter.engine.agent.guidance import Guidance, Retraction, failure_of
from rlm_jupyter.engine.agent.media_support import taken_media
from rlm_jupyter.engine.agent.prompt_choice import choose_prompt
from rlm_jupyter.engine.agent.prose_answer import decide
from rlm_jupyter.engine.agent.repeat_guard import StuckGuard
from rlm_jupyter.engine.agent.sandbox_notes import allowed_and_hidden
from rlm_jupyter.engine.agent.sub_settings import instructions_of, prompt_of
from rlm_jupyter.engine.agent_requests.dispatch import AgentCalls
from rlm_jupyter.engine.reply.blank_reply import ONLY_THOUGHTS, shown_reply
from rlm_jupyter.engine.reply.parse import parse_completion
from rlm_jupyter.errors import (
    AgentFailedError,
    ContextTooLongError,
    EmptyReplyError,
    ImagesRefusedError,
    KernelDiedError,
    LimitReachedError,
    ModelError,
    RLMError,
)
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.agent_kernel import AgentKernel, CellResult
from rlm_jupyter.models.base import Completion, Message
from rlm_jupyter.models.model_size import ServedModel
from rlm_jupyter.models.openai.chat_replies import is_blank

_MAX_EMPTY_REPLIES = 3
_MAX_KERNEL_DEATHS = 3
_MOST_RETRACTED = 8
"""Replies without code in a row of a small model, whose next request is warmer each time."""
_PROSE_REPLIES = 2
_SMALL = (
    "The first replies had no code, as those of small models do: the chat begins anew with a prompt for one."
)
_CONFIRMED = (
    "The agent sent the same code again after it was told: what that had printed was taken as its answer."
)
_WARMER = (0.7, 0.9, 1.0)
"""Temperatures of the requests after a reply that left the chat: at 0 it would come again."""
_PARTIAL_SECONDS = 3.0
_TAKE_ANSWER = """\
if type(answer) is dict and dict.get(answer, "content"):
    FINAL(dict.get(answer, "content"))
"""


@dataclass
class AgentLoop(Agent):
    """An agent at work: what it does until it has its answer."""

    _empty: int = 0
    _no_text: EmptyReplyError | None = None
    _deaths: int = 0
    _warmth: int = 0
    _hint: str = ""
    _looked_for: bool = False
    _derived: tuple[str, ...] = ()
    _opening: asyncio.Task[AgentKernel] | None = None

    def __post_init__(self) -> None:
        self._stuck = StuckGuard(self.id, self.services.settings.stuck_after)
        self._tails = ChatTails()
        self.calls = AgentCalls(self)
        earlier = self.spec.earlier
        self.guidance = Guidance(self.spec.question, self.data_names, self.services.redact)
        self.looked = earlier is not None and self.new_data is None

    async def work(self) -> None:
        """Answer the question; the value is then in `value`.

        Raises:
            LimitReachedError, ModelError, KernelError, AgentFailedError: why there is no answer.
        """
        earlier = self.spec.earlier
        if await kept_answers.begin(self):
            return
        opening = (
            kernel_setup.open_kernel(self) if earlier is None else await follow_up.kernel_of(self, earlier)
        )
        self._opening = asyncio.create_task(opening)
        self._opening.add_done_callback(self._opened)
        # A chain of follow-ups would hold all runs before it.
        self.spec = replace(self.spec, earlier=None)
        try:
            await self._begin(earlier)
            del earlier
            while self.value is None:
                await kept_answers.end(self)
                if self.value is None:
                    await self._take_turn()
                    await kernel_checkpoints.take_checkpoint(self)
            await kept_answers.end(self)
        except RLMError:
            await self._keep_partial()
            raise
        finally:
            if self.value is None:
                self.value = self.draft
            if not self._opening.done():
                self._opening.cancel()
            with contextlib.suppress(BaseException):
                await self._opening

    def _opened(self, opening: asyncio.Task[AgentKernel]) -> None:
        self.furnished = not opening.cancelled() and opening.exception() is None

    async def _keep_partial(self) -> None:
        """Take what code has put into `answer["content"]`, so that an agent that ends early gives what it has."""
        if self.value is None and self.cells and self.kernel is not None and self.kernel.alive:
            with contextlib.suppress(Exception):
                await self.kernel.execute(_TAKE_ANSWER, seconds=_PARTIAL_SECONDS, on_output=None)

    # ---- the chat

    async def _begin(self, earlier: Agent | None) -> None:
        settings = self.services.settings
        variant = await choose_prompt(prompt_of(settings, self.spec), self.spec.model)
        self.small = self.guidance.small = variant == "small"
        self.sees = await vision.sees(settings.see, self.spec.model)
        if earlier is not None:
            self.messages = await follow_up.chat(self, earlier, last_turn=self._last_turn())
            self.asked = len(self.messages) - 1
            await compaction.between_questions(self)
            self._sent = 0  # the log of each run is whole by itself
            return
        if self.guidance.small:
            await self._begin_small()
            return
        first = prompt.first_message(
            self.spec.question,
            self.spec.context.description if self.spec.context is not None else None,
            names=(*self.spec.names, *self.spec.item_names),
            asks=self.spec.parent is None and self.services.questions.open,
            left=self.services.ledger.left(self.id),
            last_turn=self._last_turn(),
            **await self._offers(),
        )
        system = prompt.system_prompt(
            variant,
            leaf=self.leaf,
            sub_calls=settings.sub_calls,
            sub_agents=settings.sub_agents,
            instructions=instructions_of(settings, self.spec),
            kind=prompt.kind_of_data(
                self.spec.context.description if self.spec.context is not None else None
            ),
            **await taken_media(settings.see, self.services.sub_model),
        )
        self.messages = prompt.chat(system, first)

    async def _offers(self) -> dict[str, str | None]:
        """Returns what the first message tells of what may be called and reached, and of the answer's form."""
        settings, data = self.services.settings, self.spec.context
        return {
            "schema": self.spec.schema.text if self.spec.schema else None,
            "tools": self.services.tools_text(self),
            "servers": await self.services.servers.shown(self.spec.mcp),
            "allowed": with_citing(
                self.spec.question,
                data.description if data is not None else None,
                allowed_and_hidden(settings, self.services.hidden),
            ),
        }

    async def _begin_small(self) -> None:
        """Begin a small model's chat: what is asked, then a first look at the data as code and output."""
        settings, spec = self.services.settings, self.spec
        system = small_prompt.system_prompt(
            sub_calls=settings.sub_calls,
            instructions=instructions_of(settings, self.spec),
            **await taken_media(settings.see, self.services.sub_model),
        )
        first = small_prompt.first_message(
            spec.question,
            spec.context.description if spec.context is not None else None,
            names=(*spec.names, *spec.item_names),
            **await self._offers(),
        )
        self.messages = prompt.chat(system, first)
        self._tails.clear()
        self._sent = 0
        look = await self._plan_look()
        if look is not None:
            texts = spec.context.description.get("item_types") if spec.context is not None else None
            mapping = spec.context is not None and spec.context.description.get("type") == "dict"
            self.guidance.begin(
                look,
                mapping=mapping and isinstance(texts, dict) and set(texts) == {"str"},
                sub_calls=settings.sub_calls,
            )
            output = await self._take_look(look)
            self.messages.append({"role": "assistant", "content": f"```repl\n{look.code}```"})
            self._tails.add(
                self.messages, Tail(f"Output:\n{output}", self.guidance.first_end()), self._last_words()
            )
            return
        if spec.context is None:
            self.guidance.data = ""
        self.messages.pop()
        self._tails.add(self.messages, Tail(first, self.guidance.first_end()), self._last_words())

    async def _begin_as_small(self) -> bool:
        """Begin anew as with a small model, if the first replies were one's: prose, of a model that nobody knows."""
        settings, model = self.services.settings, self.spec.model
        first = self.turn == _PROSE_REPLIES and not self.cells and self.asked == 1
        if not first or prompt_of(settings, self.spec) != "auto" or model.scripted or self.guidance.small:
            return False
        if not isinstance(model, ServedModel) or await model.local_server() is None:
            return False
        self._check_turns()
        self.small = self.guidance.small = True
        await self._begin_small()
        self.services.journal.emit(ev.Notice, self.id, text=_SMALL)
        return True

    async def _plan_look(self) -> Look | None:
        if self.spec.context is None:
            return None
        kernel = await self._kernel()
        if self.past is not None and self.past.looks:
            look = self.past.looks.pop(0)
        else:
            about = self.spec.context.description
            look = await plan_look(kernel, self.spec.question, about, self.data_names)
        kernel_checkpoints.note_look(self, look)
        return look

    async def _take_look(self, look: Look) -> str:
        """Run a first look; the agent itself has not read its data by it, unless the answer may stand in it."""
        looked, self._derived = self.looked, DERIVED
        _, output = await self.run_cell(look.code)
        self.looked, self.told = looked or (look.found and self.small), []
        return output

    async def _look_after(self, result: CellResult | None) -> str | None:
        """Returns a look at the data for a model that answered without one, and was sent back."""
        wanted, self.look_wanted = self.look_wanted, False
        if not wanted or self._looked_for or result is None or (look := await self._plan_look()) is None:
            return None
        self._looked_for = True
        output = await self._take_look(look)
        return f"A look at the data was run for you:\n\n```repl\n{look.code}```\n\nOutput:\n{output}"

    def _last_turn(self) -> bool:
        """Whether the next turn is the last that the limits allow."""
        left = self.services.ledger.left(self.id)
        return (left.turns is not None and left.turns <= 1) or (left.calls is not None and left.calls <= 1)

    async def _take_turn(self) -> None:
        self.turn += 1
        escalate(self)
        await planning.plan(self, self._tails, self._last_words())
        completion = await self._ask_for_turn()
        reply = parse_completion(completion, shell=self.services.settings.bash)
        if reply.text is not None:
            reply = await decide(reply, await self._kernel())
        reply = self.guidance.read(reply)
        if not reply.blocks:
            self._count_empty(completion)
            prose = completion.finish_reason == "stop" and not is_blank(completion.text)
            if prose and await self._begin_as_small():
                return
        else:
            self._empty = 0
        if (answer := self.guidance.confirmed(reply)) is not None:
            self.services.journal.emit(ev.Notice, self.id, text=_CONFIRMED)
            reply = replace(reply, blocks=(answer,))
        variables = self.services.journal.state.agents[self.id].variables
        newest = str(self.messages[-1]["content"])
        reply = self.guidance.quoted(reply, variables, newest)
        refused = self.guidance.refuse(reply, variables, newest)
        if refused is not None:
            self._check_turns()
            self._retract(refused, reply.blocks[0] if reply.blocks else "")
            return
        reply, added = self.guidance.with_lines(reply, variables)
        if added:
            self.services.journal.emit(ev.Notice, self.id, text=added)
        start = len(self.messages)
        whole = shown_reply(completion)
        kept = self.guidance.kept(reply, whole)
        self._sent = start + 1 if kept == whole else start
        self.messages.append(kept)
        shown, notices, result = await self._run_blocks(reply.blocks)
        if self.value is not None:
            return
        self._check_turns()
        ran = reply.blocks[: len(shown)]
        retraction = self.guidance.after(ran, result, start, self._hint)
        if retraction is not None:
            self._retract(retraction, ran[-1], back_to=start)
            return
        notices = [*reply.notices, *notices]
        if not reply.blocks:
            problem = reply.problem or "There was no code to run in your reply."
            code = prompt.first_code(self.data.description if self.data is not None else None)
            notices = [f"{problem} Such as:\n\n```repl\n{code}\n```", *notices]
        await self._observe(shown, notices, result, reply.blocks)

    def _check_turns(self) -> None:
        left = self.services.ledger.left(self.id)
        if left.turns is not None and left.turns <= 0:
            name, limit = self.services.ledger.most_turns(self.id)
            raise LimitReachedError(
                f"Agent `{self.id}` used its {limit} turns without calling FINAL. Raise `{name}`, "
                "or ask a smaller question.",
                limit=name,
            )

    async def _observe(
        self, shown: list[str], notices: list[str], result: CellResult | None, blocks: Sequence[str]
    ) -> None:
        """Tells the model what came of its reply."""
        if (look := await self._look_after(result)) is not None:
            notices.append(look)
        doubts = self.guidance.doubted(result, blocks[: len(shown)])
        for text in doubts:
            self.services.journal.emit(ev.Notice, self.id, text=text)
        end = self.guidance.end(result, blocks[: len(shown)], notices=bool(notices), doubted=bool(doubts))
        notices += [f"Note: {text}" for text in doubts]
        body = prompt.observation(
            shown,
            total=len(blocks),
            notices=notices,
            left=self.services.ledger.left(self.id) if self.services.ledger.half_gone(self.id) else None,
        )
        if self.services.recorded is not None:
            body = self.services.recorded.observation(self.id, body)
        self._warmth = 0
        if (first := vision.detach(self.messages)) is not None:
            self._sent = min(self._sent, first)
        self._tails.add(self.messages, Tail(body, end), self._last_words())
        vision.attach(self)

    def replace_chat(self, messages: list[Message], *, sent: int) -> None:
        """Put another chat in the place of the old one, whose messages now stand elsewhere."""
        super().replace_chat(messages, sent=sent)
        self._tails.clear()
        self.guidance.attempts.clear()

    def _last_words(self) -> str:
        return prompt.LAST_TURN if self._last_turn() else ""

    def _retract(self, why: Retraction, code: str, *, back_to: int | None = None) -> None:
        """Take a reply out of the chat: a line on it comes into the message that it answered, and one asks warmer.

        Raises:
            AgentFailedError: it was told, and would do the same again.
        """
        note = why.note
        if (
            why.failure
            and not self.guidance.small
            and (told := self._stuck.note(code, why.failure)) is not None
        ):
            note = f"{note}\n{told}"
        first = min(
            (place for place in (why.back_to, back_to) if place is not None), default=len(self.messages)
        )
        del self.messages[first:]
        self._sent = self._tails.note(self.messages, note, self._last_words())
        self._warmth += 1
        self.services.journal.emit(ev.Notice, self.id, text=note)

    async def _ask_for_turn(self) -> Completion:
        """Ask the model; that it wrote no text is told to it in a turn, as every reply without code is."""
        try:
            return await self._ask_model()
        except EmptyReplyError as error:
            self._no_text = error
            return Completion("", finish_reason=ONLY_THOUGHTS if error.only_thoughts else "stop")

    async def _ask_model(self) -> Completion:
        """Send the chat; one that is too long is made shorter once and sent again."""
        await compaction.keep_within(self)
        try:
            return await self._complete()
        except ContextTooLongError as error:
            if not await compaction.after_refusal(self, error):
                raise self._too_long("cannot be made shorter", error) from error
        try:
            return await self._complete()
        except ContextTooLongError as error:
            raise self._too_long("is so still with notes in the place of its old turns", error) from error

    def _too_long(self, how: str, error: ContextTooLongError) -> ContextTooLongError:
        return ContextTooLongError(
            f"The chat of agent `{self.id}` is too long for its model and {how}. Ask a shorter question, hand the "
            f"text over as data, or choose a model with a larger window. {error.message}"
        )

    async def _complete(self) -> Completion:
        """Send the chat as it is; if it is refused with pictures, without them."""
        try:
            return await self._send_chat()
        except ModelError as error:
            if error.retryable or type(error) not in (ModelError, ImagesRefusedError):
                raise
            if (first := vision.detach(self.messages)) is None:
                raise
            self._sent = min(self._sent, first)
        completion = await self._send_chat()
        vision.refused(self)
        return completion

    async def _send_chat(self) -> Completion:
        warmer = _WARMER[min(self._warmth, len(_WARMER)) - 1] if self._warmth else None
        completion = await self.services.completions.ask(
            self.id,
            self.spec.model,
            self.messages,
            purpose="turn",
            turn=self.turn,
            start=self._sent,
            temperature=warmer,
        )
        self.gauge.learn(self.messages, completion.usage, completion.attempts)
        return completion

    def _count_empty(self, completion: Completion) -> None:
        self._empty += 1
        if self._empty >= (_MOST_RETRACTED if self.guidance.small else _MAX_EMPTY_REPLIES):
            tail = completion.text.strip()[-300:]
            said = f"ended: {tail!r}" if tail else "was empty"
            why = "" if completion.finish_reason == "stop" else f", by `{completion.finish_reason}`"
            cause = self._no_text if is_blank(completion.text) else None
            raise AgentFailedError(
                f"Agent `{self.id}` gave {self._empty} replies in a row without code to run. "
                f"The last one {said}{why}. "
                f"{cause.message if cause else 'Try another model, or put the question more precisely.'}"
            ) from cause

    # ---- the kernel

    async def _run_blocks(self, blocks: Sequence[str]) -> tuple[list[str], list[str], CellResult | None]:
        """Run a reply's blocks in order, up to the first that fails: what is shown, notices, the last result."""
        shown: list[str] = []
        notices: list[str] = []
        result = None
        for block in blocks:
            result, text = await self.run_cell(block)
            self._hint = tell_hint(self, block, result, self.guidance.hint) or ""
            shown.append(f"{text}\n{self._hint}" if self._hint else text)
            notices, self.told = notices + self.told, []
            if result.restarted:
                notices.append(
                    "Your kernel had to be replaced: all variables but the data are gone. "
                    "Define again what you need."
                )
                self.guidance.attempts.clear()
            if self.value is None and not self.guidance.small and (failure := failure_of(result)) is not None:
                told = self._stuck.note(block, failure)
                notices += [told] if told is not None else []
            if result.status != "ok":
                break
        return shown, notices, result

    async def run_cell(self, code: str) -> tuple[CellResult, str]:
        """Run code of a turn in the kernel, and tell it; give the result, and what the model is shown of it."""
        kernel = await self._kernel()
        most = self.guidance.output_chars(self.services.settings.output_chars)
        result, shown = await run_cell(self, kernel, code, derived=self._derived, output_chars=most)
        if result.restarted:
            await self._restore()
        return result, shown

    async def _kernel(self) -> AgentKernel:
        assert self._opening is not None
        if self._opening.done():
            return self._opening.result()
        # It is up, perhaps, but has no data yet.
        self.services.journal.emit(ev.Waiting, self.id, reason="kernel", seconds=None)
        kernel = await asyncio.shield(self._opening)
        self.services.journal.emit(ev.Waiting, self.id, reason="kernel", seconds=0)
        return kernel

    async def _restore(self) -> None:
        """After the agent's code lost its kernel: furnish the new one, a few times."""
        self._deaths += 1
        if self._deaths > _MAX_KERNEL_DEATHS:
            raise KernelDiedError(
                f"The kernel of agent `{self.id}` was lost {self._deaths} times. Give it more memory or time, "
                "or less data at once."
            )
        await kernel_setup.furnish_again(self)

    def dismantle(self) -> None:
        """Let go of all that is large, or holds others: the run that it belongs to is gone."""
        self.calls.dismantle(self)
        self.messages, self.value, self.draft = [], None, None
        self.kernel = self._opening = self.history = self.past = None
