"""Servers on loopback that speak Anthropic's Messages API and OpenAI's Responses API, and refuse what these refuse.

Scripts and faults are those of `openai_server`. Both check each request as the real ones do, so that a field that they do
not have, or a header that is missing, ends in a refusal and not in a reply.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from openai_server import OpenAIServer, Reply, _head, _send

MESSAGES_FIELDS = frozenset(
    (
        *(
            "model",
            "messages",
            "system",
            "max_tokens",
            "stream",
            "stop_sequences",
            "temperature",
            "top_p",
            "top_k",
        ),
        *("metadata", "thinking", "output_config", "tools", "tool_choice", "service_tier"),
    )
)
RESPONSES_FIELDS = frozenset(
    (
        *(
            "model",
            "input",
            "instructions",
            "max_output_tokens",
            "stream",
            "store",
            "include",
            "reasoning",
            "text",
        ),
        *(
            "temperature",
            "top_p",
            "metadata",
            "previous_response_id",
            "tools",
            "truncation",
            "prompt_cache_key",
        ),
        "safety_identifier",
    )
)
SAMPLING = frozenset(("temperature", "top_p", "top_k"))
NO_SAMPLING = "2026-10-21"
"""The version of the API since which it has no such parameters."""
LOOK_BACK = 20
"""Blocks before a mark in which the real cache looks for an earlier one."""


class _Events:
    """Writes server-sent events, each with its name."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        writer.write(_head(200, "text/event-stream; charset=utf-8", {"Transfer-Encoding": "chunked"}))

    async def send(self, data: dict[str, Any]) -> None:
        text = f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
        self.writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        await self.writer.drain()
        await asyncio.sleep(0)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


async def _broken(mode: str, events: _Events, error: dict[str, Any]) -> bool | None:
    """Go wrong in the middle of a stream as a mode says; None if it is not one for that."""
    if mode == "late_hang":
        await asyncio.sleep(3600)
    if mode == "reset_mid_body":
        await asyncio.sleep(0.01)
        events.writer.transport.abort()
        return False
    if mode == "error_event":
        await events.send(error)
    elif mode != "truncated":
        return None
    await events.end()
    return True


class MessagesServer(OpenAIServer):
    """Speaks the Messages API, with a prompt cache that works like the real one.

    Attributes:
        key: that it takes, in `x-api-key`.
        no_cache: whether it refuses marks for the cache, as merely compatible servers do.
        read, written: tokens of prompts that came from the cache and went into it.
    """

    path = "/messages"
    key = "sk-ant-test-0123456789"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.no_cache = False
        self.read = self.written = 0
        self._cached: set[str] = set()

    async def _answer(self, request, headers, writer) -> bool:
        problem = self._problem(request, headers)
        if problem is not None:
            status, kind, message = problem
            body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
            await _send(writer, status, body)
            return True
        return await super()._answer(request, headers, writer)

    def _problem(self, request, headers):  # noqa: PLR0911 - one for each rule of the API
        given = [headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer ")]
        if [key for key in given if key] != [self.key]:
            return 401, "authentication_error", f"invalid x-api-key: {given}"
        invalid = "invalid_request_error"
        if "anthropic-version" not in headers:
            return 400, invalid, "anthropic-version: header is required"
        if "max_tokens" not in request:
            return 400, invalid, "max_tokens: Field required"
        if unknown := sorted(set(request) - MESSAGES_FIELDS):
            return 400, invalid, f"{unknown[0]}: Extra inputs are not permitted"
        if headers["anthropic-version"] >= NO_SAMPLING and (named := sorted(SAMPLING & request.keys())):
            return 400, invalid, f"{named[0]}: Extra inputs are not permitted"
        if not 0 <= request.get("temperature", 1) <= 1:
            return 400, invalid, "temperature: Input should be less than or equal to 1"
        roles = [message["role"] for message in request["messages"]]
        if "system" in roles:
            return 400, invalid, 'messages: Unexpected role "system". Use the top-level parameter'
        if roles[:1] != ["user"]:
            return 400, invalid, "messages: first message must use the user role"
        blocks = self._blocks(request)
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            return 400, invalid, "messages: text content blocks must contain non-whitespace text"
        marks = sum("cache_control" in block for block in blocks)
        if marks > 4 or (marks and self.no_cache):
            return 400, invalid, "system.0.cache_control: Extra inputs are not permitted"
        return None

    @staticmethod
    def _blocks(request) -> list[dict[str, Any]]:
        system = request.get("system", [])
        blocks = list(system) if isinstance(system, list) else [{"type": "text", "text": system}]
        for message in request["messages"]:
            content = message["content"]
            blocks += content if isinstance(content, list) else [{"type": "text", "text": content}]
        return blocks

    def _billed(self, request: dict[str, Any], reply: Reply) -> Reply:
        blocks = self._blocks(request)
        texts = [block.get("text") or block["source"]["data"][:400] for block in blocks]
        prefixes = ["\x00".join(texts[: end + 1]) for end in range(len(texts))]
        marks = [place for place, block in enumerate(blocks) if "cache_control" in block]
        sizes = [sum(self.tokens(text) for text in texts[: end + 1]) for end in range(len(texts))]
        seen = [
            place
            for mark in marks
            for place in range(max(0, mark - LOOK_BACK), mark + 1)
            if prefixes[place] in self._cached
        ]
        read = sizes[max(seen)] if seen else 0
        written = max(0, sizes[marks[-1]] - read) if marks else 0
        self._cached.update(prefixes[mark] for mark in marks)
        completion = self.tokens(reply.text or "")
        self.prompt_tokens += sizes[-1]
        self.completion_tokens += completion
        self.read += read
        self.written += written
        usage = {
            "input_tokens": sizes[-1] - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": completion,
        }
        return Reply(**{**vars(reply), "usage": usage if reply.usage == "auto" else reply.usage})

    async def _reply(self, request, reply: Reply, writer) -> bool:
        thoughts = reply.message.get("thinking")
        stop = {"stop": "end_turn", "length": "max_tokens"}.get(reply.finish or "", reply.finish)
        if not request.get("stream"):
            content = [{"type": "thinking", "thinking": thoughts, "signature": "s"}] if thoughts else []
            content += [{"type": "text", "text": reply.text}] if reply.text is not None else []
            whole = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": request["model"],
                "content": content,
                "stop_reason": stop,
                "stop_sequence": None,
                "usage": reply.usage,
            }
            await _send(writer, 200, whole)
            return True
        events = _Events(writer)
        usage = reply.usage or {}
        first = {**usage, "output_tokens": 1} if usage else {}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [],
        }
        await events.send(
            {"type": "message_start", "message": {**message, "stop_reason": None, "usage": first}}
        )
        await events.send({"type": "ping"})
        number = 0
        for kind, text in (("thinking", thoughts), ("text", reply.text)):
            if text is None:
                continue
            block = {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {})}
            await events.send({"type": "content_block_start", "index": number, "content_block": block})
            size = max(1, -(-len(text) // reply.pieces))
            for start in range(0, len(text), size):
                delta = {"type": f"{kind}_delta", kind: text[start : start + size]}
                await events.send({"type": "content_block_delta", "index": number, "delta": delta})
            overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            if (broken := await _broken(reply.mode, events, overloaded)) is not None:
                return broken
            await events.send({"type": "content_block_stop", "index": number})
            number += 1
        last = {"output_tokens": usage.get("output_tokens", 1)} if usage else {}
        delta = {"stop_reason": stop, "stop_sequence": None}
        await events.send({"type": "message_delta", "delta": delta, "usage": last})
        await events.send({"type": "message_stop"})
        await events.end()
        return True


class VertexServer(MessagesServer):
    """Speaks the Messages API as Google's cloud has it: the model stands in the path, the key is a token."""

    key = "tokenofgooglescloud"
    path = (":streamRawPredict", ":rawPredict")  # type: ignore[assignment]  # `str.endswith` takes several

    async def _answer(self, request, headers, writer) -> bool:
        headers = {**headers, "anthropic-version": request.pop("anthropic_version")}
        assert "model" not in request
        return await super()._answer({**request, "model": "claude-test"}, headers, writer)


class ResponsesServer(OpenAIServer):
    """Speaks the Responses API; it stores nothing, and takes back only reasoning that it encrypted itself.

    A `Reply` whose `message` has `reasoning` thinks that before it writes.

    Attributes:
        no_reasoning: whether it refuses to encrypt reasoning, as for models that do not reason.
        returned: the reasoning that came back, of each request.
    """

    path = "/responses"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.no_reasoning = False
        self.returned: list[list[str]] = []

    def _next(self, request: dict[str, Any]) -> Reply:
        from openai_server import error

        def refused(message: str, param: str) -> Reply:
            return error(400, message, kind="invalid_request_error", param=param)

        if unknown := sorted(set(request) - RESPONSES_FIELDS):
            return refused(f"Unknown parameter: '{unknown[0]}'.", unknown[0])
        if request.get("max_output_tokens", 16) < 16:
            return refused(
                "Invalid 'max_output_tokens': integer below minimum value. Expected >= 16.",
                "max_output_tokens",
            )
        if request.get("include") and self.no_reasoning:
            return refused("Encrypted content is not supported with this model.", "include")
        returned = []
        for item in request["input"]:
            if "id" in item:
                return refused(
                    f"Item with id '{item['id']}' not found. Items are not persisted when `store` is false.",
                    "input",
                )
            if item.get("type") == "reasoning":
                if not item.get("encrypted_content", "").startswith("sealed:"):
                    return refused("The encrypted content could not be verified.", "input")
                returned.append(item["encrypted_content"].removeprefix("sealed:"))
        self.returned.append(returned)
        return super()._next(request)

    def _billed(self, request: dict[str, Any], reply: Reply) -> Reply:
        prompt = sum(
            self.tokens(str(item.get("content") or item.get("encrypted_content")))
            for item in request["input"]
        )
        thoughts = self.tokens(reply.message.get("reasoning", ""))
        completion = self.tokens(reply.text or "") + thoughts
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        usage = {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": prompt // 2},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": thoughts},
            "total_tokens": prompt + completion,
        }
        return Reply(**{**vars(reply), "usage": usage if reply.usage == "auto" else reply.usage})

    async def _reply(self, request, reply: Reply, writer) -> bool:
        thoughts, text = reply.message.get("reasoning"), reply.text
        output: list[dict[str, Any]] = []
        if thoughts is not None:
            sealed = {"encrypted_content": f"sealed:{thoughts}"} if request.get("include") else {}
            output.append({"type": "reasoning", "id": "rs_1", "summary": [], **sealed})
        if text is not None:
            content = [{"type": "output_text", "text": text, "annotations": []}]
            message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
            output.append({**message, "content": content})
        short = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.finish or "")
        response: dict[str, Any] = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_700_000_000,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "metadata": {},
            "model": request["model"],
            "status": "incomplete" if short else "completed",
            "incomplete_details": {"reason": short} if short else None,
            "error": None,
            "output": output,
            "usage": reply.usage,
        }
        if not request.get("stream"):
            await _send(writer, 200, response)
            return True
        events = _Events(writer)
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        await events.send({"type": "response.created", "response": begun})
        for number, item in enumerate(output):
            await events.send(
                {"type": "response.output_item.added", "output_index": number, "item": {**item}}
            )
            if item["type"] == "message":
                size = max(1, -(-len(text) // reply.pieces))
                for start in range(0, len(text), size):
                    delta = {"type": "response.output_text.delta", "delta": text[start : start + size]}
                    await events.send(delta)
                failed = {"code": "server_error", "message": "upstream failed"}
                fault = {
                    "type": "response.failed",
                    "response": {**begun, "status": "failed", "error": failed},
                }
                if (broken := await _broken(reply.mode, events, fault)) is not None:
                    return broken
                await events.send({"type": "response.output_text.done", "text": text})
            await events.send({"type": "response.output_item.done", "output_index": number, "item": item})
        await events.send({"type": f"response.{response['status']}", "response": response})
        await events.end()
        return True
