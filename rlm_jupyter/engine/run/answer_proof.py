"""The proof of the code behind an answer: run again in a fresh kernel, and its value compared with the run's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.answer_code.answer_code import AnswerCode, answer_code
from rlm_jupyter.answer_code.comparison import IncomparableError, difference
from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.agent_requests.database_queries import query_table
from rlm_jupyter.errors import (
    ConfigError,
    KernelError,
    NoAnswerCodeError,
    RLMError,
    UnsafeValueError,
)
from rlm_jupyter.events import events as ev
from rlm_jupyter.guest.importer import ROOT
from rlm_jupyter.guest.look_facts import NOTED
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.sandbox_settings import exposed_path
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.tools.skills.skill_source import skill_sources
from rlm_jupyter.tools.tool_source import tool_source
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.engine_thread import EngineThread
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.kernels.agent_kernel import AgentKernel

_SECONDS = 600.0
"""How long the code may work where cells have no limit."""
_EXPORT_SECONDS = 60.0
_LONGEST = 300
_MISSED = "prompts_not_recorded"
_LOOKS, _TOLD = "noted_looks_", "told_by_looks_"
_NOTING = f"from {ROOT}.guest import look_facts as {_LOOKS}"
_NOTED = f"{{name}} = {_LOOKS}.noted({{name!r}}, {{name}})"
_MOST_NOTES = 50_000
"""Characters of notes: columns and forms of a few tables."""
_LISTED = "{missed} = list(globals().get('NOT_RECORDED', ()))[:100]"


class _Requests:
    """Serves what code behind an answer asks of the engine: to take its value, and to ask the run's databases.

    Args:
        conductor: of the run.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self.imported: list[str] = []
        self.value: Buffer | None = None

    async def handle(self, op: str, body: dict[str, Any], fds: list[int]) -> tuple[Any, list[int]]:
        """Take the value, as of an agent; take note of what a cell did; ask a table; refuse the rest."""
        if op == "table":
            return await query_table(self._conductor, body, lambda *_: None)
        if op == "final" and len(fds) == 1 and self.value is None:
            self.value = Buffer.from_fd(os.dup(fds[0]))
        elif op == "cell_done":
            added = body.get("imported")
            self.imported += [str(one) for one in added[:20]] if isinstance(added, list) else []
        else:
            raise BridgeError("failed", "The code behind an answer asks no agent and no model.")
        return {}, []


@dataclass
class _Outcome:
    """What became of code that was run: a value, or why there is none.

    Attributes:
        value: encoded, without anything that runs when it is decoded.
        failure: in one line; None if there is a value.
        missed: prompts that it asked and that were not recorded.
        notes: what functions of a first look found out about the data, as its kernel told it.
    """

    value: Buffer | None = None
    failure: str | None = None
    missed: int = 0
    notes: dict[str, Any] | None = None


def _sources_of(spec: AgentSpec) -> dict[str, str]:
    """Returns the source of what the root was handed, and of what it may have loaded."""
    return {**skill_sources(spec.skills), **{name: tool_source(tool) for name, tool in spec.tools.items()}}


def code_of_run(run: Run, conductor: Conductor, engine: EngineThread, *, prove: bool) -> AnswerCode:
    """Returns the code behind a run's answer.

    Args:
        run: that has ended.
        conductor: of the run.
        engine: whose loop starts the kernel of the proof.
        prove: run it again, and compare.

    Raises:
        ConfigError: the run still goes on.
        NoAnswerCodeError: there is no code, with the reason.
    """
    if not run.done:
        raise ConfigError(f"Run `{run.id}` still runs: its code is there when it has ended (`run.wait()`).")
    root = conductor.agents.get("0")
    tools = _sources_of(root.spec) if root is not None else {}
    if not prove:
        return answer_code(_events(run, conductor), tools)
    code = answer_code(_events(run, conductor), tools, looks={})
    notes: dict[str, Any] = {}
    engine.call(_prove(conductor, code, notes), run, timeout=None)
    code, looks = _shortened(run, conductor, engine, code, tools, notes)
    if code.verdict in ("differs", "failed"):
        whole = _whole(_events(run, conductor), tools)
        if whole is not None:
            engine.call(_prove(conductor, whole), run, timeout=None)
            code = whole if whole.verdict == "reproduced" else code

    async def tell() -> None:
        conductor.journal.emit(
            ev.CodeProved,
            verdict=code.verdict,
            detail=code.detail,
            statements=code.statements,
            characters=code.characters,
            of_characters=code.of_characters,
            recorded=code.recorded,
            looks=looks,
        )

    engine.call(tell(), run)
    return code


def _shortened(
    run: Run,
    conductor: Conductor,
    engine: EngineThread,
    code: AnswerCode,
    tools: Mapping[str, str],
    notes: dict[str, Any],
) -> tuple[AnswerCode, dict[str, Any] | None]:
    """Returns code whose functions of a first look are a few lines for this data, if it is proved too; else the given.

    Returns:
        The code, and what the functions found out about the data; None if the code is the given one.
    """
    if code.verdict != "reproduced" or not notes:
        return code, None
    short = answer_code(_events(run, conductor), tools, looks=notes)
    if short.source == code.source:
        return code, None
    engine.call(_prove(conductor, short), run, timeout=None)
    return (short, notes) if short.verdict == "reproduced" else (code, None)


def _events(run: Run, conductor: Conductor) -> list[ev.AnyEvent]:
    """Returns a run's events, with prompts and replies as its code has them: values in the place of tokens."""
    hidden = conductor.hidden
    if hidden is None:
        return run.events

    def as_code_has_it(event: ev.AnyEvent) -> ev.AnyEvent:
        if isinstance(event, ev.PromptSent) and event.purpose != "turn":
            told = tuple({**one, "content": hidden.restored(one["content"])} for one in event.messages)
            return event.model_copy(update={"messages": told})
        if isinstance(event, ev.ReplyFinished):
            return event.model_copy(update={"text": hidden.restored(event.text)})
        return event

    return [as_code_has_it(event) for event in run.events]


def _whole(events: list[ev.AnyEvent], tools: Mapping[str, str]) -> AnswerCode | None:
    """Returns all code that ran, for where less of it does not give the value."""
    try:
        return answer_code(events, tools, whole=True, looks={})
    except NoAnswerCodeError:
        return None


async def _prove(conductor: Conductor, code: AnswerCode, notes: dict[str, Any] | None = None) -> None:
    """Run code on the run's data, compare, and set its verdict; `notes` takes what its functions of a look find out."""
    code.verdict, code.detail = await _judge(conductor, code, notes)


async def _judge(  # noqa: PLR0911 - one case each
    conductor: Conductor, code: AnswerCode, notes: dict[str, Any] | None
) -> tuple[ev.ProofVerdict, str]:
    root = conductor.agents.get("0")
    wanted = root.value if root is not None else None
    if root is None or wanted is None or wanted.closed:
        return "not tried", "the run was closed, and its data and value are no longer held"
    if code.written.unbound and code.detail:
        return "not tried", code.detail
    data = root.spec.context
    if data is not None and data.closed:
        return "not tried", "the run was closed, and its data is no longer held"
    if wanted.kind == "pickle":
        return "not tried", "the value has no form as plain data, so that it cannot be compared"
    try:
        note = notes is not None and bool(code.written.looks & set(NOTED))
        outcome = await run_code(conductor, code, data, note=note)
    except KernelError as error:
        return "not tried", one_line(error.message, _LONGEST)
    if outcome.value is None:
        return "failed", outcome.failure or "it gave no value"
    if notes is not None and outcome.notes:
        notes.update(outcome.notes)
    with outcome.value as found:
        if outcome.missed:
            return "failed", f"it asks a language model {outcome.missed} questions that were not recorded"
        try:
            differs = await in_thread(_compare, found, wanted)
        except (IncomparableError, RLMError) as error:
            return "not tried", one_line(str(error), _LONGEST)
    return ("reproduced", _note(code)) if differs is None else ("differs", one_line(differs, _LONGEST))


def _note(code: AnswerCode) -> str:
    notes = []
    if not code.written.reads_data:
        notes.append("the agent wrote the value itself: it is not computed from the data")
    if code.recorded:
        notes.append(f"with {code.recorded:,} recorded answers of a language model")
    if code.whole:
        notes.append("with all code that ran, since less of it does not give the value")
    return "; ".join(notes)


def _compare(found: Buffer, wanted: Buffer) -> str | None:
    return difference(found.load(), wanted.load())


async def run_code(
    conductor: Conductor,
    code: AnswerCode,
    data: Buffer | None,
    read: Sequence[str] = (),
    *,
    note: bool = False,
) -> _Outcome:
    """Run code in a fresh kernel, in the sandbox and within the limits of the run's agents.

    Args:
        conductor: of the run.
        code: to run.
        data: that it is given.
        read: paths in the data, if it is not the run's own: they may be read.
        note: take note of what functions of a first look find out about it.

    Raises:
        KernelStartError: there is no kernel for it.
    """
    settings = conductor.settings
    requests = _Requests(conductor)
    limits = conductor.box_limits
    if read:
        limits = {**limits, "read": (*limits.get("read", map(str, settings.sandbox.read)), *read)}
    request = KernelRequest(
        run=conductor.run,
        agent="code",
        kernelspec=settings.kernel,
        sandbox=settings.sandbox,
        env=conductor.env,
        limits=limits,
    )
    kernel = await conductor.pool.start(request, requests.handle)
    try:
        if conductor.links:
            await kernel.bridge.request("configure", {"links": dict(conductor.links)})
        outcome = await _run_in(kernel, conductor, code, data, requests, note=note)
        if note and outcome.value is not None:
            outcome.notes = await _notes(kernel)
        return outcome
    except BridgeError as error:
        return _Outcome(failure=one_line(f"its kernel did not take the data: {error.message}", _LONGEST))
    finally:
        await kernel.stop()


async def _run_in(
    kernel: AgentKernel,
    conductor: Conductor,
    code: AnswerCode,
    data: Buffer | None,
    requests: _Requests,
    *,
    note: bool,
) -> _Outcome:
    parameters = code.parameters
    if data is not None and parameters:
        several = len(parameters) > 1
        await kernel_setup.load(
            kernel, data, ("all_data",) if several else parameters, parameters if several else ()
        )
    # One cell: before each, the kernel binds the name `answer` anew. FINAL encodes the value as it did in the run.
    noting = [_NOTING, *(_NOTED.format(name=name) for name in NOTED if name in code.written.looks)]
    parts = [code.written.cell.defining, *(noting if note else []), code.written.cell.giving]
    cell = "\n".join(parts)
    result = await kernel.execute(cell, seconds=conductor.limits.cell_seconds or _SECONDS)
    failed = result.status != "ok"
    missed = await _missed(kernel) if code.recorded and result.status in ("ok", "error") else 0
    if failed or requests.value is None:
        error = f"{result.error_name}: {result.error_value}" if result.error_name else result.status
        return _Outcome(failure=one_line(error, _LONGEST), missed=missed)
    if requests.imported:
        requests.value.close()
        return _Outcome(failure=f"it lacks `{one_line(requests.imported[0], _LONGEST)}`")
    return _Outcome(requests.value, missed=missed)


async def _missed(kernel: AgentKernel) -> int:
    """Returns how many prompts the code asked that were not recorded."""
    result = await kernel.execute(_LISTED.format(missed=_MISSED), seconds=_EXPORT_SECONDS)
    if result.status != "ok":
        return 1
    with await kernel_setup.export(kernel, _MISSED, timeout=_EXPORT_SECONDS) as buffer:
        return len(await in_thread(buffer.load))


async def _notes(kernel: AgentKernel) -> dict[str, Any] | None:
    """Returns what functions of a first look found out about the data."""
    result = await kernel.execute(f"{_TOLD} = {_LOOKS}.NOTES", seconds=_EXPORT_SECONDS)
    if result.status != "ok":
        return None
    with await kernel_setup.export(kernel, _TOLD, timeout=_EXPORT_SECONDS) as buffer:
        told = await in_thread(buffer.load)
    return told if isinstance(told, dict) and len(str(told)) <= _MOST_NOTES else None


class AnswerFunction:
    """The code behind an answer as a function: runs it on other data, in a fresh kernel in the sandbox.

    Needs no model, and costs nothing. The code never runs in the notebook's process.

    Attributes:
        code: that it runs.
    """

    def __init__(self, run: Run, conductor: Conductor, engine: EngineThread, code: AnswerCode) -> None:
        self.code = code
        self.__name__ = "answer"
        self._run, self._conductor, self._engine = run, conductor, engine

    def __call__(self, *data: Any, **named: Any) -> Any:
        """Returns the answer for other data.

        Args:
            data: as many objects as the question had, in their order.
            named: the same by name.

        Raises:
            TypeError: these are not the arguments.
            NoAnswerCodeError: the code cannot be used for other data, or failed on it; the message says why.
            UnsafeValueError: the value could be decoded only by running code of an agent.
        """
        given = self._bind(data, named)
        code = self.code
        if code.parameters and not code.written.reads_data:
            raise NoAnswerCodeError(
                "The agent wrote the answer itself: no code computes it from the data. Ask anew."
            )
        if code.written.with_data:
            raise NoAnswerCodeError(
                f"{code.written.with_data:,} answers of a language model were given to prompts with the run's data in "
                "them: for other data they would be others. Ask anew."
            )
        context = given if len(code.parameters) != 1 else given[code.parameters[0]]
        buffer = Buffer.encode(context) if code.parameters else None
        try:
            work = run_code(self._conductor, code, buffer, _paths_in(given))
            outcome = self._engine.call(work, self._run, timeout=None)
        finally:
            if buffer is not None:
                buffer.close()
        return self._value(outcome)

    def _bind(self, data: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        names = self.code.parameters
        given = dict(zip(names, data, strict=False))
        if len(data) > len(names) or set(named) & set(given) or set(given) | set(named) != set(names):
            raise TypeError(f"It takes {', '.join(f'`{name}`' for name in names) or 'no data'}: {self!r}.")
        return {**given, **named}

    def _value(self, outcome: _Outcome) -> Any:
        if outcome.missed:
            if outcome.value is not None:
                outcome.value.close()
            raise NoAnswerCodeError(
                f"The code rests on {self.code.recorded:,} recorded answers of a language model, and for this data it "
                f"asks at least {outcome.missed:,} questions that are not among them. Ask anew."
            )
        if outcome.value is None:
            raise NoAnswerCodeError(f"The code failed on this data: {outcome.failure}.")
        with outcome.value as value:
            try:
                return value.load()
            except UnsafeValueError as error:
                raise UnsafeValueError(f"{error.message}") from None

    def __repr__(self) -> str:
        return f"<answer({', '.join(self.code.parameters)}) of run {self._run.id} · {self.code.verdict}>"


def _paths_in(given: Mapping[str, Any]) -> list[str]:
    """Returns the paths in data that is handed over: to name one is the consent to read it.

    Raises:
        NoAnswerCodeError: one leads nowhere, or to where keys are kept.
    """
    items = [item for value in given.values() for item in (value if isinstance(value, list) else [value])]
    try:
        return [str(exposed_path(item.resolve(strict=True))) for item in items if isinstance(item, Path)]
    except (OSError, ValueError) as error:
        raise NoAnswerCodeError(f"The code cannot be run on this data: {error}.") from None


def function_of_run(run: Run, conductor: Conductor, engine: EngineThread) -> AnswerFunction:
    """Returns the code behind a run's answer as a function.

    Raises:
        NoAnswerCodeError: there is no code, or it does not give the run's value.
    """
    code = code_of_run(run, conductor, engine, prove=True)
    if code.reproduced is False:
        raise NoAnswerCodeError(
            f"The code behind this answer does not give the run's value, so it is no function to use: "
            f"{code.verdict}: {code.detail}."
        )
    return AnswerFunction(run, conductor, engine, code)
