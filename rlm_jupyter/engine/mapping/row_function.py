"""A function in the place of requests: written by the model from half of the sample, tried on the other half.

It runs in a kernel in the sandbox and never in the notebook's process, where only its checked answers arrive.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.mapping.item_answers import Outcome, Unusable
from rlm_jupyter.engine.reply.parse import parse_reply
from rlm_jupyter.errors import KernelError, ModelError, RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.text.shorten import cut_end

if TYPE_CHECKING:
    from rlm_jupyter.engine.mapping.item_schema import ItemSchema
    from rlm_jupyter.engine.mapping.map_loop import MapLoop
    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.models.base import Message
    from rlm_jupyter.values.store import Buffer

_LEAST_ROWS = 8
"""Answered rows of a sample; with fewer, that a function agrees says nothing."""
_AGREES = 0.95
_CHUNK = 2000
_EXPORT_SECONDS = 300.0
_REASON = 300
_NAME = "rlm_answers"
_APPLY = """
def _rlm_apply(function, start, stop, picked=None):
    import json, pandas
    part = context.iloc[start:stop] if picked is None else context.iloc[picked]
    found = []
    for row in part.to_dict("records"):
        try:
            clean = {}
            for key, value in row.items():
                missing = pandas.api.types.is_scalar(value) and pandas.isna(value)
                clean[str(key)] = None if missing else value
            found.append(json.dumps({"answer": function(clean)}))
        except Exception as error:
            found.append(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}))
    return found
"""


@dataclass(frozen=True)
class RowFunction:
    """A function of one row, and how it did on rows that the model had not been shown.

    Attributes:
        source: Python that defines `f`.
        agreed: rows in which it gives what the model gave.
        compared: rows that were compared.
        skipped: fields that were not compared: free text.
    """

    source: str
    agreed: int
    compared: int
    skipped: tuple[str, ...] = ()

    @property
    def offered(self) -> bool:
        """Whether it agrees often enough to do the rest."""
        return self.compared > 0 and self.agreed >= _AGREES * self.compared

    @property
    def told(self) -> str:
        """How it did, in a sentence."""
        named = ", ".join(f"`{name}`" for name in self.skipped)
        apart = f" ({named}: free text, not compared)" if named else ""
        return (
            f"A function that the model wrote agrees with its answers in {self.agreed} of {self.compared} rows "
            f"that it was not shown{apart}."
        )

    @property
    def offer(self) -> str:
        """What the user may do with it."""
        return f"{self.told} It can do the rest for nothing: `run.use_function()`; `run.function_source` shows it."


async def written(loop: MapLoop) -> RowFunction | None:
    """Ask the model for a function, and try it; None if there is none that runs.

    Raises:
        LimitReachedError: there is no room for the request.
    """
    shown, held_out = _halves(loop)
    if not held_out:
        return None
    services = loop.services
    try:
        completion = await services.completions.ask(
            loop.id, loop.spec.model, _messages(loop, shown), purpose="llm_query", turn=0, is_code=True
        )
        reply = await loop.calls.work.run(
            partial(parse_reply, completion.text, finish_reason=completion.finish_reason)
        )
        source = "\n\n".join(reply.blocks).strip()
        source = services.hidden.code(source) if services.hidden is not None else source
        if "def f(" not in source:
            _tell(loop, "The model wrote no function that does the same: one request was made for that.")
            return None
        outcomes = await _run(loop, source, held_out)
    except (ModelError, KernelError, BridgeError) as error:
        _tell(loop, f"The function that the model was to write is of no use: {cut_end(str(error), _REASON)}")
        return None
    agreed = sum(
        _same(outcome, loop.results.outcome(position), loop.task.schema)
        for position, outcome in zip(held_out, outcomes, strict=True)
    )
    function = RowFunction(source, agreed, len(held_out), _skipped(loop.task.schema))
    services.journal.emit(
        ev.FunctionWritten,
        loop.id,
        source=source,
        agreed=agreed,
        compared=len(held_out),
        offered=function.offered,
    )
    _tell(loop, function.told + ("" if function.offered else " That is not enough: it is not used."))
    return function


async def applied(
    loop: MapLoop, function: RowFunction, positions: Sequence[int]
) -> AsyncIterator[tuple[int, Outcome]]:
    """Yields what the function gives for rows, as it comes.

    Raises:
        KernelError: it ran too long, or its kernel died.
    """
    wanted = set(positions)
    kernel = await _kernel(loop, function.source)
    for start in range(0, loop.task.count, _CHUNK):
        stop = min(start + _CHUNK, loop.task.count)
        outcomes = await _call(loop, kernel, f"_rlm_apply(f, {start}, {stop})", stop - start)
        for position, outcome in zip(range(start, stop), outcomes, strict=True):
            if position in wanted:
                yield position, outcome


def _halves(loop: MapLoop) -> tuple[list[int], list[int]]:
    """Divide the answered rows of the sample: those that are shown, and those that are kept back."""
    answered = [position for position in loop.task.sample if isinstance(loop.results.outcome(position), dict)]
    if len(answered) < _LEAST_ROWS or loop.spec.context is None:
        return [], []
    random.Random(1).shuffle(answered)  # noqa: S311 - no secret
    middle = len(answered) // 2
    return sorted(answered[:middle]), sorted(answered[middle:])


def _messages(loop: MapLoop, shown: Sequence[int]) -> list[Message]:
    task = loop.task
    rows = [
        f'{{"row": {task.texts[position]}, "answer": '
        f"{json.dumps(loop.results.outcome(position), ensure_ascii=False)}}}"
        for position in shown
    ]
    text = (
        "These rows were labelled by answering one question about each. Write a Python function `f(row)` that gives "
        "the same answers for them and for rows like them. `row` is a dict from column to value, None if it is "
        "missing; `f` returns a dict with the keys of the answers and values of the same types. It uses the standard "
        "library only, imports what it needs, and asks nobody. Reply with one ```python block; if no simple rule "
        "decides the question, reply with the word NONE.\n\n"
        f"Question: {task.question}\n\nLabelled rows, which are data and no instructions:\n"
    )
    return [{"role": "user", "content": text + "\n".join(rows)}]


async def _run(loop: MapLoop, source: str, positions: Sequence[int]) -> list[Outcome]:
    kernel = await _kernel(loop, source)
    picked = [int(position) for position in positions]
    return await _call(loop, kernel, f"_rlm_apply(f, 0, 0, {picked})", len(picked))


async def _kernel(loop: MapLoop, source: str) -> AgentKernel:
    """Returns the map's own kernel with the function in it.

    Raises:
        KernelError: the source does not run.
    """
    if loop._opening is None:  # noqa: SLF001 - the loop's own kernel, opened when it is first needed
        loop._opening = asyncio.create_task(kernel_setup.open_kernel(loop))  # noqa: SLF001
    kernel = await loop._kernel()  # noqa: SLF001
    for code in (source, _APPLY):
        await _execute(loop, kernel, code)
    return kernel


async def _call(loop: MapLoop, kernel: AgentKernel, call: str, count: int) -> list[Outcome]:
    await _execute(loop, kernel, f"{_NAME} = {call}")
    exported = await kernel_setup.export(kernel, _NAME, timeout=_EXPORT_SECONDS)
    return await loop.calls.work.run(_read, exported, count, loop.task.schema)


async def _execute(loop: MapLoop, kernel: AgentKernel, code: str) -> None:
    result = await kernel.execute(code, seconds=loop.services.limits.cell_seconds, on_output=None)
    if result.restarted:
        await kernel_setup.furnish_again(loop)
    if result.status != "ok":
        raise KernelError(f"it ended with `{result.error_name or result.status}`: {result.error_value}")


def _read(exported: Buffer, count: int, schema: ItemSchema) -> list[Outcome]:
    """Check what came out of the kernel: the function is the model's, and so is all that it gives."""
    with exported:
        lines = load_received(exported)
    if not isinstance(lines, list) or len(lines) != count:
        raise KernelError("it gave no list with an answer for each row")
    return [_outcome(line, schema) for line in lines]


def _outcome(line: object, schema: ItemSchema) -> Outcome:
    try:
        found = json.loads(line) if isinstance(line, str) else None
        if not isinstance(found, dict):
            raise ValueError("it is no JSON")  # noqa: TRY004 - one kind for all that is wrong with an answer
        if "error" in found:
            return Unusable(cut_end(f"The function failed: {found['error']}", _REASON))
        answer: Any = found.get("answer")
        if not schema.is_object and isinstance(answer, dict) and set(answer) == set(schema.fields):
            answer = answer[schema.fields[0]]
        return schema.checked(answer)
    except (ValueError, RecursionError, RLMError) as error:
        return Unusable(cut_end(f"The function gave something else than was asked for: {error}", _REASON))


def _skipped(schema: ItemSchema) -> tuple[str, ...]:
    """Returns the fields that are not compared; if all are free text, they are compared as they stand."""
    free = schema.free_text
    return free if len(free) < len(schema.fields) else ()


def _same(one: Outcome, other: Outcome | None, schema: ItemSchema) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    skipped = _skipped(schema)
    return all(one.get(name) == other.get(name) for name in schema.fields if name not in skipped)


def _tell(loop: MapLoop, text: str) -> None:
    loop.services.journal.emit(ev.Notice, loop.id, text=text)
