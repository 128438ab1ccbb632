"""The tools of the server: each finds the client's session, works within bounds, and is noted in the audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mcp.server.mcpserver import Context, MCPServer  # noqa: TC002 - the server reads the types of tools
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from rlm_jupyter.errors import RLMError
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.mcp_server.answer_passages import passages_of
from rlm_jupyter.mcp_server.asked_runs import AskedRun, Questions, error_of
from rlm_jupyter.mcp_server.audit_log import AuditLog
from rlm_jupyter.mcp_server.bounded_answers import bounded, part_of
from rlm_jupyter.mcp_server.client_sessions import ClientSession, ClientSessions, new_id
from rlm_jupyter.mcp_server.hidden_paths import without_any_path, without_paths
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.mcp_server.request_time import work_within
from rlm_jupyter.mcp_server.shared_roots import SharedRoots
from rlm_jupyter.mcp_server.source_description import COUNT_SECONDS, describe_source
from rlm_jupyter.mcp_server.text_reading import READ_SECONDS, SEARCH_SECONDS, read_span, search

CLIENT = "rlm_client"
"""Key of an HTTP request's scope: whose token it has."""
_STDIO = "stdio"

Work = Callable[[ClientSession], Awaitable[tuple[dict[str, Any], dict[str, Any]]]]
"""Does what a tool is for; returns the answer, and what the audit log notes of it."""


class ServedTools:
    """The tools.

    Args:
        roots: what is shared.
        questions: starts runs.
        audit: notes each operation.
    """

    def __init__(self, roots: SharedRoots, questions: Questions, audit: AuditLog) -> None:
        self._roots = roots
        self._questions = questions
        self._audit = audit
        self._sessions = ClientSessions()

    def register(self, server: MCPServer) -> None:
        """Offer the tools on a server."""
        reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        asks = ToolAnnotations(read_only_hint=True, open_world_hint=True)
        tools: list[Callable[..., Any]] = [self.open_source, self.describe, self.read_span, self.search]
        tools += [self.ask, self.value, self.status, self.close]
        for tool in tools:
            server.add_tool(tool, annotations=asks if tool == self.ask else reads)

    def end(self) -> None:
        """Close what all clients hold."""
        self._sessions.close()
        self._roots.close()

    # ---- the tools; their docstrings are what clients are told

    async def open_source(self, ctx: Context[Any, Any], source: str) -> dict[str, Any]:  # noqa: D417 - clients know no `ctx`
        """Open a file of the server, read-only. Returns its handle, which all other tools take.

        Args:
            source: a path relative to a root of the server, an absolute path below one, or a `file:` URL.
        """

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            file = await in_thread(self._roots.open, source)
            handle = session.add_source(file)
            return {"handle": handle, "kind": (await in_thread(file.form)).name, "bytes": file.size}, {
                "handle": handle,
                "path": str(file.path),
            }

        return await self._operate(ctx, "open_source", {"source": source}, work)

    async def describe(self, ctx: Context[Any, Any], handle: str) -> dict[str, Any]:
        """Describe a source: kind, size, number of lines, columns, and its beginning."""

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            file = session.source(handle)
            return await work_within(COUNT_SECONDS, partial(describe_source, handle, file)), {}

        return await self._operate(ctx, "describe", {"handle": handle}, work)

    async def read_span(  # noqa: D417 - as above
        self, ctx: Context[Any, Any], handle: str, start: int, lines: int = 50, offset: int = 0
    ) -> dict[str, Any]:
        """Read lines of a text: at most 200 lines or 8 KB. `next` in the answer says where to read on.

        Args:
            handle: of the source.
            start: number of the first line, from 1 on.
            lines: how many.
            offset: bytes of the first line to leave out, as `next` says it; for lines longer than 8 KB.
        """

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            file = session.source(handle)
            index = await in_thread(file.lines)
            found = await work_within(
                READ_SECONDS, lambda time: read_span(handle, index, start, lines, offset, time)
            )
            return found, {"span": found["span"], "bytes": len(found["text"].encode())}

        asked = {"handle": handle, "start": start, "lines": lines, "offset": offset}
        return await self._operate(ctx, "read_span", asked, work, verbatim=True)

    async def search(  # noqa: D417 - as above
        self, ctx: Context[Any, Any], handle: str, pattern: str, literal: bool = False, start: int = 1
    ) -> dict[str, Any]:
        """Find the lines of a text in which a pattern matches: at most 50 of them. `next_start` says where to go on.

        Args:
            handle: of the source.
            pattern: a regular expression without look-around and back-references, searched for in each line.
            literal: whether `pattern` is plain text instead.
            start: number of the first line, from 1 on.
        """

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            file = session.source(handle)
            index = await in_thread(file.lines)
            look = partial(search, handle, index, pattern, literal=literal, start=start)
            found = await work_within(SEARCH_SECONDS, lambda time: look(time=time))
            return found, {"span": f"{handle}:{found['searched']}", "matches": len(found["matches"])}

        asked = {"handle": handle, "pattern": pattern, "literal": literal, "start": start}
        return await self._operate(ctx, "search", asked, work, verbatim=True)

    async def ask(  # noqa: D417 - as above
        self,
        ctx: Context[Any, Any],
        handle: str,
        question: str,
        max_cost: float | None = None,
        schema: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Let agents answer a question about a source of any size; they work in a sandbox, by code and by models.

        Returns the answer (the beginning of a large one; `value` reads on), the passages of the text that it cites,
        each named as `handle:lines 120-164`, and what it cost. Cancel the request to stop the work.

        Args:
            handle: of the source.
            question: what is to be found out.
            max_cost: USD that it may cost, if that is less than the server allows.
            schema: JSON Schema of the answer.
        """
        run_id = new_id("run")

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            file = session.source(handle)
            self._audit.write(session.id, "ask", "started", handle=handle, run=run_id, question=question)
            asked = await self._questions.ask(
                run_id,
                handle,
                file,
                question,
                max_cost=max_cost,
                schema=schema,
                keep=session.add_run,
                progress=lambda at, words: ctx.report_progress(at, None, words),
            )
            answer = await in_thread(_answer_of, asked)
            noted = {
                "log": str(asked.run.log_path),
                "cost_usd": answer["cost_usd"],
                "status": answer["status"],
            }
            return answer, {**noted, "spans": [one["span"] for one in answer["passages"]]}

        details = {"handle": handle, "run": run_id, "max_cost": max_cost}
        return await self._operate(ctx, "ask", details, work)

    async def value(self, ctx: Context[Any, Any], run: str, path: str = "", start: int = 0) -> dict[str, Any]:  # noqa: D417 - clients know no `ctx`
        """Read the answer of a run, or a part of it, at most 8 KB at once. `next_start` says where to go on.

        Args:
            run: as `ask` returned it.
            path: of the part, such as `/rows/0/city` (a JSON Pointer); of a table `/3` is a row and `/city` a column.
            start: the first character, item or row.
        """

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            asked = session.run(run)
            if start < 0:
                raise RequestRefusedError("`start` is 0 or more.")
            return await in_thread(_part, asked, path, start), {}

        return await self._operate(ctx, "value", {"run": run, "path": path, "start": start}, work)

    async def status(self, ctx: Context[Any, Any]) -> dict[str, Any]:
        """List the sources and runs of this session, with what they cost so far."""

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            sources = [
                {"handle": handle, "bytes": file.size, "name": file.name}
                for handle, file in session.sources.items()
            ]
            return {"sources": sources, "runs": [run.spent() for run in session.runs.values()]}, {}

        return await self._operate(ctx, "status", {}, work)

    async def close(self, ctx: Context[Any, Any], handle: str) -> dict[str, Any]:  # noqa: D417 - clients know no `ctx`
        """Close a source, or stop and close a run.

        Args:
            handle: of the source, or the run.
        """

        async def work(session: ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
            if handle in session.runs:
                session.runs.pop(handle).close()
                return {"closed": handle}, {}
            session.source(handle)
            session.sources.pop(handle).close()
            return {"closed": handle}, {}

        return await self._operate(ctx, "close", {"handle": handle}, work)

    # ---- how they are done

    async def _operate(
        self,
        ctx: Context[Any, Any],
        tool: str,
        asked: dict[str, Any],
        work: Work,
        *,
        verbatim: bool = False,
    ) -> dict[str, Any]:
        """Do a tool's work for its client's session, note what came of it, and keep paths out of the answer.

        Args:
            ctx: of the request.
            tool: its name.
            asked: its arguments, as the audit log notes them.
            work: does it.
            verbatim: whether the answer quotes a source, whose words are not to be changed.

        Raises:
            ToolError: what the client is told instead of an answer.
        """
        session = self._sessions.of(*_client_of(ctx))
        begun = time.monotonic()

        def note(outcome: str, **more: Any) -> None:
            seconds = round(time.monotonic() - begun, 3)
            self._audit.write(session.id, tool, outcome, **{**asked, **more}, seconds=seconds)

        try:
            try:
                answer, noted = await work(session)
            except RequestRefusedError as refused:
                note("refused", reason=refused.reason or refused.message)
                raise
            except asyncio.CancelledError:
                note("cancelled")
                raise
            except Exception as error:
                note("failed", reason=f"{type(error).__name__}: {error}")
                raise
            note("ok", **noted)
        except RLMError as error:
            raise ToolError(without_any_path(self._without_paths(error.message, session))) from None
        return answer if verbatim else self._without_paths(answer, session)

    def _without_paths(self, told: Any, session: ClientSession) -> Any:
        """Returns an answer in which handles stand in the place of paths of this machine."""
        named = [(str(file.path), handle) for handle, file in session.sources.items()]
        return without_paths(told, [*named, *((root, "(root)") for root in self._roots.paths)])


def _client_of(ctx: Context[Any, Any]) -> tuple[str, str]:
    """Returns what tells a client and its connection apart.

    Over HTTP that is its token and, in those versions of the protocol that have sessions, the session. Newer ones have
    none: a request stands for itself, and the name of a session in it would be the client's own word.
    """
    request = ctx.request_context.request
    if request is None:
        return _STDIO, ""
    has_sessions = ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS
    return str(request.scope.get(CLIENT, "")), request.headers.get(
        "mcp-session-id", ""
    ) if has_sessions else ""


def _answer_of(asked: AskedRun) -> dict[str, Any]:
    """Returns what a run that has ended answers."""
    _check_source(asked)
    problem = error_of(asked)
    problem = None if problem is None else without_any_path(problem)
    answer: dict[str, Any] = {**asked.spent(), "error": problem, "answer": None, "passages": []}
    try:
        value = asked.run.value
    except RLMError as error:
        return {**answer, "error": problem or without_any_path(f"{type(error).__name__}: {error.message}")}
    made = bounded(value)
    answer |= {"answer": made["value"], "whole": made["whole"], "type": made["type"]}
    answer["passages"] = passages_of(value, asked)
    return answer


def _check_source(asked: AskedRun) -> None:
    """Refuse to hand out what agents may have read of another file than the one that was opened."""
    if asked.exchanged:
        raise RequestRefusedError(
            "The source was moved, or another file took its place, while agents read it: what they answered is not "
            "handed out. Open the file and ask again."
        )


def _part(asked: AskedRun, path: str, start: int) -> dict[str, Any]:
    if not asked.done:
        raise RequestRefusedError("The run goes on: `status` says how far it is.")
    _check_source(asked)
    return {"run": asked.id, "path": path, **bounded(part_of(asked.run.value, path), start=start)}
