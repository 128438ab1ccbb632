"""Findings on agents' replies and cells: the same error again, no code, lost kernels, replies that were cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rlm_jupyter.diagnosis.finding import Finding, quoted
from rlm_jupyter.diagnosis.reply_faults import echoes, lacks_code
from rlm_jupyter.text import units as fmt

if TYPE_CHECKING:
    from rlm_jupyter.diagnosis.run_facts import RunFacts

_FEW: Final = 2
_FEWEST_CELLS: Final = 4
_SAID: Final = 300


def same_error(facts: RunFacts) -> Iterator[Finding]:
    """Yields errors that an agent's cells ended with more than once."""
    for agent in facts.agents():
        errors: Counter[str] = Counter()
        last: dict[str, int] = {}
        for turn in agent.turns:
            for cell in turn.cells:
                if cell.status == "error" and cell.error:
                    errors[cell.error[:_SAID]] += 1
                    last[cell.error[:_SAID]] = turn.turn
        for error, times in errors.most_common():
            if times < _FEW:
                break
            yield Finding(
                "same_error",
                "code",
                f"{times:,} cells ended with the same error, {quoted(error)}",
                "Say in the question, or in `instructions`, how this is done right; or set `strong_model`.",
                agent.id,
                last[error],
            )


def failing_cells(facts: RunFacts) -> Iterator[Finding]:
    """Yields agents of whose cells at least half ended with an error."""
    for agent in facts.agents():
        ends = Counter(cell.status for turn in agent.turns for cell in turn.cells)
        total, bad = ends.total(), ends["error"] + ends["timeout"] + ends["died"]
        if total >= _FEWEST_CELLS and 2 * bad >= total:
            yield Finding(
                "failing_cells",
                "code",
                f"{bad:,} of its {total:,} cells did not end well.",
                "The model is weak at such code: take another one (`model`, `sub_model`), set `strong_model`, or "
                "describe the data in `instructions`.",
                agent.id,
            )


def lost_kernels(facts: RunFacts) -> Iterator[Finding]:
    """Yields cells that ended a kernel, and those that ran into their time limit."""
    for agent, turn, cell in facts.cells():
        if cell.status == "died":
            yield Finding(
                "kernel_died",
                "code",
                f"its kernel died while a cell ran, for {fmt.duration(cell.seconds)}; its variables were lost.",
                "If memory was short, give it more (`--memory`), or hand sub-agents parts of the data.",
                agent.id,
                turn.turn,
            )
        elif cell.status == "timeout":
            yield Finding(
                "cell_timeout",
                "code",
                f"a cell was ended after {fmt.duration(cell.seconds)}, the limit `cell_seconds`.",
                "Raise `Limits(cell_seconds=...)`, or ask for code that reads less.",
                agent.id,
                turn.turn,
            )
    for agent_id, times in facts.replaced.items():
        yield Finding(
            "kernel_replaced",
            "code",
            f"its kernel was replaced {fmt.amount(times, 'time')}, and what it had computed was gone.",
            "The turn before says why; more memory (`--memory`) or smaller parts help.",
            agent_id,
        )


def replies_without_code(facts: RunFacts) -> Iterator[Finding]:
    """Yields agents of whose replies at least half hold no code, or repeat what they were told."""
    for agent in facts.agents():
        done = [turn for turn in agent.turns if turn.call.status == "done"]
        if len(done) > 1 and lacks_code(turn.call.text for turn in done):
            empty = sum(not turn.cells for turn in done)
            yield Finding(
                "no_code",
                "code",
                f"{empty:,} of its {len(done):,} replies held no code to run.",
                'Take a model that writes code, or `prompt="small"` if it is a small one.',
                agent.id,
            )
        for before, turn in pairwise(done):
            told = turn.call.messages[-1]["content"] if turn.call.messages else ""
            if turn.turn > before.turn and echoes(told, turn.call.text):
                yield Finding(
                    "notice_echoed",
                    "code",
                    "its reply repeats a sentence that it had just been told, in the place of a next step.",
                    'The model follows the form of the chat rather than its task: try `prompt="small"`, or another '
                    "model.",
                    agent.id,
                    turn.turn,
                )
                break


def cut_replies(facts: RunFacts) -> Iterator[Finding]:
    """Yields agents of which replies ended at their bound of tokens."""
    for agent in facts.agents():
        calls = [*(turn.call for turn in agent.turns), *agent.calls]
        cut = [call for call in calls if call.finish_reason == "length"]
        if cut:
            most = max(call.output_tokens for call in cut)
            yield Finding(
                "reply_cut",
                "code",
                f"{len(cut):,} of its {len(calls):,} replies ended at their "
                f"bound of tokens, the longest with {most:,}.",
                "Raise `completion_tokens` (`sub_completion_tokens`); or lower `reasoning_effort`.",
                agent.id,
                cut[-1].turn,
            )
