"""One cell of an agent: code that runs in its kernel, is told in the tree, and whose result is without secrets."""

from __future__ import annotations

import ast
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent import cell_pictures, kept_answers, kernel_checkpoints, prompt
from rlm_jupyter.engine.reply.python_syntax import parsed
from rlm_jupyter.events import events as ev
from rlm_jupyter.security.redactor import redact_ends
from rlm_jupyter.text.shorten import CutText

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.agent_kernel import AgentKernel, CellResult


async def run_cell(
    agent: Agent, kernel: AgentKernel, code: str, *, derived: Collection[str], output_chars: int
) -> tuple[CellResult, str]:
    """Run code in an agent's kernel, and tell it.

    Args:
        agent: whose code it is.
        kernel: of the agent.
        code: as the model wrote it.
        derived: names that a first look bound, whose reading is one of the data.
        output_chars: the most characters that the model is shown.

    Returns:
        The result, and what the model is shown of it.
    """
    services, journal = agent.services, agent.services.journal
    agent.cells += 1
    number = agent.cells
    if services.recorded is not None:
        code = services.recorded.code(agent.id, number, code)
    past = agent.past.cells.get(number) if agent.past is not None else None
    if past is None:
        code = await services.gate.before(agent.id, number, code)
    code = services.hidden.code(code) if services.hidden is not None else code
    agent.codes.append(code)
    agent.looked = agent.looked or reads_any(code, (*agent.data_names, *derived))
    journal.emit(ev.CodeStarted, agent.id, cell=number, turn=agent.turn, code=code)
    began = time.monotonic()
    try:
        result = past.result if past is not None else await _execute(agent, kernel, number, code)
        seconds = time.monotonic() - began
        pictures = await cell_pictures.rewritten(agent, result.pictures)
    except BaseException:
        seconds = time.monotonic() - began
        journal.emit(ev.CodeFinished, agent.id, cell=number, status="interrupted", output="", seconds=seconds)
        raise
    kernel_checkpoints.note_cell(agent, number, result, past)
    result = _without_secrets(services.redact, result)
    shown, cut = prompt.show_result(result, output_chars)
    journal.emit(
        ev.CodeFinished,
        agent.id,
        cell=number,
        status=result.status,
        output=shown,
        cut=cut,
        error=f"{result.error_name}: {result.error_value}" if result.status == "error" else None,
        seconds=seconds,
        pictures=pictures,
    )
    kept_answers.tell_difference(agent, number, result.status, shown)
    return result, shown


async def _execute(agent: Agent, kernel: AgentKernel, number: int, code: str) -> CellResult:
    def tell(stream: str, text: str) -> None:
        agent.services.journal.emit(ev.CodeOutput, agent.id, cell=number, stream=stream, text=text)

    return await kernel.execute(code, seconds=agent.services.limits.cell_seconds, on_output=tell)


def _without_secrets(redact: Callable[[str], str], result: CellResult) -> CellResult:
    """What holds a secret is not told to the model either, and before it is cut: a half of one is one too."""
    return replace(
        result,
        printed=_redacted(redact, result.printed),
        frames=_redacted(redact, result.frames),
        error_value=_redacted(redact, result.error_text).head,
    )


def _redacted(redact: Callable[[str], str], text: CutText) -> CutText:
    head, tail = redact_ends(redact, text.head, text.tail) if text.cut else (redact(text.head), text.tail)
    return CutText(head, text.cut, tail)


def reads_any(code: str, names: Collection[str]) -> bool:
    """Returns whether code reads one of the names that the data is bound to.

    Code that Python cannot parse (IPython's own syntax) is searched for the names as words.
    """
    tree = parsed(code)
    if tree is None:
        return any(re.search(rf"\b{re.escape(name)}\b", code) for name in names)
    wanted = set(names) | {"globals", "locals", "vars"}
    return any(
        isinstance(node, ast.Name) and node.id in wanted and isinstance(node.ctx, ast.Load)
        for node in ast.walk(tree)
    )
