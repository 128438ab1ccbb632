"""Requests of an agent's code, while its cell runs: completions, sub-agents, FINAL, budget.

The code is the model's: whatever it sends is data. On whose account a request goes, how deep it is and
what it may do is taken from the connection that it came by, never from the message.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from rlm_jupyter.engine.agent.compaction import check_fits
from rlm_jupyter.engine.agent.media_support import check_hears
from rlm_jupyter.engine.agent_requests.added_imports import told_imports
from rlm_jupyter.engine.agent_requests.answer_refusals import refusal_of
from rlm_jupyter.engine.agent_requests.asked_questions import ask_user
from rlm_jupyter.engine.agent_requests.database_queries import ask_table
from rlm_jupyter.engine.agent_requests.descriptions import Variables, description_of
from rlm_jupyter.engine.agent_requests.loaded_skills import load_skill
from rlm_jupyter.engine.agent_requests.packed_items import answer_items, read_item_schema
from rlm_jupyter.engine.agent_requests.passage_check import NotCitedError, check_passages, sources_of
from rlm_jupyter.engine.agent_requests.received_audio import load_audio
from rlm_jupyter.engine.agent_requests.received_images import load_images
from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.agent_requests.recursion_guard import refuse_useless_recursion
from rlm_jupyter.engine.agent_requests.tool_calls import (
    ask_server,
    call_tool,
    count_functions,
    resolve_servers_for_child,
    resolve_tools_for_child,
)
from rlm_jupyter.engine.agent_requests.typed_value import (
    MOST_BYTES,
    answers_with_text,
    may_be_typed,
    typed_value,
)
from rlm_jupyter.engine.reply.blank_reply import shown_reply, why_blank
from rlm_jupyter.errors import ConfigError, ContextTooLongError, LimitReachedError, ModelError, RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.host_work import CHECKS, HostWork
from rlm_jupyter.models.base import ChatModel, Completion, Message
from rlm_jupyter.models.openai.chat_replies import is_blank
from rlm_jupyter.values.codec.spans import has_spans
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema

Answer = tuple[Any, list[int]]

_WHILE_RUNNING = ("llm_query", "llm_pack", "rlm_query", "final", "tool", "mcp", "table", "ask_user", "skill")
_MAX_TEXT = 64_000_000
_FORM = {False: ", with JSON only", True: " by text"}


class AgentCalls:
    """Serves the requests that come from one agent's kernel."""

    def __init__(self, agent: Agent) -> None:
        self.work = HostWork(CHECKS, 1)
        self._variables = Variables()
        self._in_order = asyncio.Lock()
        self.serve(agent)

    @property
    def agent(self) -> Agent:
        """On whose account the kernel's requests go now."""
        return self._agent

    def serve(self, agent: Agent) -> None:
        """Serve this agent from now on: the kernel's requests go on its account."""
        self._agent = agent
        self._words: dict[str, Callable[[dict[str, Any], list[int]], Awaitable[Answer]]] = {
            "llm_query": self._llm_query,
            "llm_pack": self._llm_pack,
            "rlm_query": self._rlm_query,
            "final": self._final,
            "budget": self._budget,
            "cell_done": self._cell_done,
            "tool": partial(call_tool, agent),
            "mcp": partial(ask_server, agent),
            "table": partial(ask_table, agent),
            "ask_user": partial(ask_user, agent),
            "skill": partial(load_skill, agent),
        }

    def dismantle(self, agent: Agent) -> None:
        """Let go of the agent, unless another one is served by now."""
        if vars(self).get("_agent") is agent:
            self._words = {}
            del self._agent

    async def handle(self, op: str, body: dict[str, Any], fds: list[int]) -> Answer:
        """Serve one request (the bridge's handler).

        Raises:
            BridgeError: what the agent's code shall see raised.
        """
        word = self._words.get(op)
        if word is None:
            raise BridgeError("internal", f"There is no request `{op[:40]}`.")
        if not self._agent.services.may_ask(self._agent.id) and op in _WHILE_RUNNING:
            raise BridgeError(
                "stopped", f"Agent `{self._agent.id}` has ended: its code asks nothing any more."
            )
        self._check_allowed(op, body)
        try:
            return await word(body, fds)
        except LimitReachedError as error:
            self._agent.services.limit_seen(error)
            raise BridgeError("limit", error.message) from error
        except ContextTooLongError as error:
            raise BridgeError("too_long", error.message) from error
        except ModelError as error:
            raise BridgeError("failed", error.message) from error

    def _check_allowed(self, op: str, body: Mapping[str, Any]) -> None:
        """Refuse what the run's settings have switched off.

        Raises:
            BridgeError: the word and the setting.
        """
        settings = self._agent.services.settings
        if op in ("llm_query", "llm_pack", "rlm_query") and not settings.sub_calls:
            raise BridgeError("failed", f"`{op}` is switched off in this run (`sub_calls=False`): use code.")
        if not settings.sub_agents and (op == "rlm_query" or (op == "llm_query" and body.get("fallback"))):
            raise BridgeError(
                "failed", "`rlm_query` is switched off in this run (`sub_agents=False`): use `llm_query`."
            )

    async def _llm_query(self, body: dict[str, Any], fds: list[int]) -> Answer:
        services = self._agent.services
        question = _text(body, "prompt")
        schema, model = await self._schema(body.get("schema")), services.sub_model_named(body.get("model"))
        purpose: ev.Purpose = "fallback" if body.get("fallback") else "llm_query"
        content = question if schema is None else f"{question}\n\nAnswer with JSON only: {schema.json_text}"
        check_fits(services, model, content)
        message: Message = {"role": "user", "content": content}
        if not fds:
            return await self._plain_answer(model, message, schema, purpose), []
        if hears := body.get("hears") is True:
            await check_hears(model)
        async with self._media(message, fds, hears=hears) as whole:
            return await self._plain_answer(model, whole, schema, purpose), []

    async def _plain_answer(
        self, model: ChatModel, message: Message, schema: AnswerSchema | None, purpose: ev.Purpose
    ) -> Any:
        """Ask one question, and once more if its answer cannot be used."""
        agent, messages = self._agent, [message]
        for last in (False, True):
            completion = await agent.services.completions.ask(
                agent.id, model, messages, purpose="repair" if last else purpose, turn=agent.turn
            )
            try:
                return await self.work.run(_answer, completion, schema)
            except ValueError as error:
                if last:
                    raise BridgeError("failed", f"{error} It was: {completion.text[:500]!r}") from None
                messages.append(shown_reply(completion))
                messages.append({"role": "user", "content": f"{error}\nAnswer again{_FORM[schema is None]}."})
        raise AssertionError("unreachable: the last answer is given or raised")

    @asynccontextmanager
    async def _media(self, message: Message, fds: list[int], *, hears: bool) -> AsyncIterator[Message]:
        """Read the images and the audio that came with a prompt, and hold them while it is asked.

        Args:
            message: the prompt.
            fds: the images, if there are any, and then the audio.
            hears: whether there is audio.

        Raises:
            BridgeError: they are none, or too large, or the run sends none.
        """
        services = self._agent.services
        if services.settings.see is False:
            what = "audio is" if hears else "images are"
            raise BridgeError("failed", f"No {what} sent to models in this run (`see=False`): use code.")
        if len(fds) > 1 + hears:
            raise BridgeError("internal", "A call came with more data than it says.")
        whole: Message = {**message}
        async with services.image_room.hold(sum(os.fstat(fd).st_size for fd in fds)):
            try:
                if hears:
                    with self._received(fds[-1], {}) as buffer:
                        whole["audio"] = await self.work.run(load_audio, buffer)
                if len(fds) > hears:
                    with self._received(fds[0], {}) as buffer:
                        whole["images"] = await self.work.run(load_images, buffer)
            except RLMError as error:
                raise BridgeError("failed", error.message) from None
            yield whole

    async def _llm_pack(self, body: dict[str, Any], _fds: list[int]) -> Answer:
        async with self._in_order:
            schema = await self.work.run(read_item_schema, body.get("schema"))
        return await answer_items(self._agent, body, schema, self.work), []

    async def _rlm_query(self, body: dict[str, Any], fds: list[int]) -> Answer:
        agent = self._agent
        question = _text(body, "prompt")
        schema = await self._schema(body.get("schema"))
        if agent.leaf:
            raise BridgeError("limit", f"Agent `{agent.id}` is at the depth limit and has no sub-agents.")
        functions = len(fds) - count_functions(
            body.get("tools")
        )  # they come after the context, if there is one
        if functions not in (0, 1):
            raise BridgeError("internal", "A call came with more or less data than it says.")
        tools = resolve_tools_for_child(agent, body.get("tools"), fds[functions:])
        servers = resolve_servers_for_child(agent, body.get("mcp"))
        context = self._received(fds[0], body) if functions else None
        await refuse_useless_recursion(agent, question, context, schema, tools)
        name = body.get("name")
        value = await agent.services.sub_agent(
            agent,
            question,
            context,
            schema=schema,
            name=name[:60] if isinstance(name, str) else None,
            tools=tools,
            mcp=servers,
        )
        return {"kind": value.kind, "description": value.description}, [value.dup().detach()]

    async def _final(self, body: dict[str, Any], fds: list[int]) -> Answer:
        agent = self._agent
        if len(fds) != 1:
            raise BridgeError("internal", "FINAL came without its value.")
        if (reason := self._not_looked()) is not None:
            agent.services.journal.emit(ev.ValueRejected, agent.id, reason=reason)
            raise BridgeError("rejected", reason)
        buffer = self._received(fds[0], body)
        if (reason := await self._not_found(buffer)) is not None:
            await self._send_back(buffer, reason)
        if has_spans(buffer.fd):
            await self._check_passages(buffer)
        if agent.spec.schema is not None:
            await self._check(agent.spec.schema, buffer)
        if (reason := await refusal_of(agent, body, buffer)) is not None:
            await self._send_back(buffer, reason)
        await agent.services.holdings.keep(buffer)
        for older in (agent.value, agent.draft):
            if older is not None:
                older.close()
        agent.draft, agent.value = None, buffer
        agent.services.journal.emit(
            ev.ValueReturned,
            agent.id,
            description=buffer.description,
            bytes=buffer.size,
            place=buffer.place,
        )
        for text in buffer.losses:
            agent.services.journal.emit(ev.Notice, agent.id, text=text)
        return {}, []

    def _received(self, fd: int, body: Mapping[str, Any]) -> Buffer:
        """Own what came with a request, whose descriptor stays the bridge's."""
        description = description_of(body.get("description"))
        if (hidden := self._agent.services.hidden) is not None:
            description = hidden.described(description)
        return self._agent.services.store.adopt(os.dup(fd), description)

    def _not_looked(self) -> str | None:
        """Ask to look first, where the code answers without having read data that was not shown whole.

        Once; a value that is only written out is sent back as long as turns last.
        """
        agent = self._agent
        context = agent.data
        if not agent.services.settings.require_look or agent.looked or context is None or agent.last_turn():
            return None
        if context.description.get("truncated") is False:
            return None
        if agent.asked_to_look and not answers_with_text(agent.codes):
            return None
        agent.asked_to_look = agent.look_wanted = True
        name = agent.data_names[0]
        return f"Your code has not read `{name}` yet. Look at the data first, then call FINAL again."

    async def _not_found(self, buffer: Buffer) -> str | None:
        """Send back, as long as turns last, a value that the agent has typed and that stands nowhere it has seen."""
        agent = self._agent
        if not agent.services.settings.require_look or agent.last_turn() or buffer.size > MOST_BYTES:
            return None
        if agent.data is None and not agent.small:
            return None
        if not (agent.small or may_be_typed(agent.codes)):
            return None
        # In a conversation, what was said with earlier questions is known, and may stand in notes alone.
        known = agent.asked if agent.spec.memory is not None else 0
        seen = [
            message["content"]
            for place, message in enumerate(agent.messages)
            if message["role"] == "user" or place < known
        ]
        if (hidden := agent.services.hidden) is not None:
            seen = [
                hidden.restored(text) for text in seen
            ]  # a token that the model read is the value in its code
        return await self.work.run(partial(typed_value, buffer, list(agent.codes), seen, small=agent.small))

    async def _check_passages(self, buffer: Buffer) -> None:
        """Compare the passages that a value cites with the data; send it back if one does not stand there."""
        sources = sources_of(self._agent)
        try:
            buffer.passages = await self.work.run(partial(check_passages, buffer, sources))
        except (NotCitedError, RLMError) as error:
            await self._send_back(buffer, str(error))

    async def _check(self, schema: AnswerSchema, buffer: Buffer) -> None:
        try:
            await self.work.run(_load_and_check, buffer, schema)
        except (ValueError, RLMError) as error:
            reason = f"The value does not match what was asked for ({schema.text:.300}).\n{error}"
            await self._send_back(buffer, reason)

    async def _send_back(self, buffer: Buffer, reason: str) -> NoReturn:
        """Keep a value as a draft, which is the answer if the agent ends without another one, and send it back.

        Raises:
            BridgeError: the reason.
        """
        agent = self._agent
        if agent.draft is not None:
            agent.draft.close()
        agent.draft = await agent.services.holdings.keep(buffer)
        agent.services.journal.emit(ev.ValueRejected, agent.id, reason=reason)
        raise BridgeError("rejected", reason) from None

    async def _schema(self, schema: object) -> AnswerSchema | None:
        """Read a schema that the agent's code made, before anything is asked or started for it.

        Raises:
            BridgeError: it is none, refers to something outside of itself, or is too large.
        """
        async with self._in_order:  # calls without one wait too: sub-agents are numbered as they were called
            if schema is None:
                return None
            if not isinstance(schema, dict):
                raise BridgeError("failed", "`schema` must be a type or a JSON Schema.")
            try:
                from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema

                return await self.work.run(partial(AnswerSchema, schema, from_agent=True))
            except ConfigError as error:
                raise BridgeError("failed", error.message) from None

    async def _budget(self, _body: dict[str, Any], _fds: list[int]) -> Answer:
        return asdict(self._agent.left()), []

    async def _cell_done(self, body: dict[str, Any], _fds: list[int]) -> Answer:
        agent = self._agent
        variables, removed = self._variables.changed(body.get("variables"), body.get("removed"))
        if variables or removed:
            agent.services.journal.emit(
                ev.VariablesChanged, agent.id, turn=agent.turn, variables=variables, removed=removed
            )
        if (text := told_imports(body.get("imported"))) is not None:
            agent.tell(text)
        return {}, []


def _answer(completion: Completion, schema: AnswerSchema | None) -> Any:
    """Returns what a plain completion answers.

    Raises:
        ValueError: it does not match the schema, or has no text; asked again, the model may do better.
    """
    finish = completion.finish_reason
    if is_blank(completion.text) and finish != "stop":
        raise ValueError(f"{why_blank(finish)} (`{finish[:60]}`).")
    if schema is None:
        return completion.text
    try:
        return schema.read(completion.text)
    except (ValueError, RecursionError, OverflowError) as error:
        # Nested deeper, or with a larger number, than anything can be that was asked for.
        why = (
            str(error)
            if isinstance(error, ValueError)
            else "it is nested too deeply or a number is too large"
        )
        raise ValueError(f"The completion does not match the schema: {why}.") from None


def _text(body: Mapping[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise BridgeError("failed", f"`{name}` must be a text that is not empty.")
    if len(text) > _MAX_TEXT:
        raise BridgeError("too_long", f"`{name}` has {len(text):,} characters; the most is {_MAX_TEXT:,}.")
    return text


def _load_and_check(buffer: Buffer, schema: AnswerSchema) -> None:
    schema.validate(load_received(buffer))
