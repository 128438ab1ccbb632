"""Findings on the answer: there is none, a limit cut it, nothing was read for it, it was sent back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rlm_jupyter.diagnosis.finding import Finding, quoted
from rlm_jupyter.diagnosis.reply_faults import is_invented
from rlm_jupyter.text import units as fmt

if TYPE_CHECKING:
    from rlm_jupyter.diagnosis.run_facts import RunFacts
    from rlm_jupyter.events.agent_state import AgentState

_SCALARS: Final = ("str", "int", "float", "Decimal", "date", "datetime", "Timestamp", "Period")
_MOST_CODE: Final = 100_000
_REJECTED_OFTEN: Final = 2

_RAISE: Final = {
    "cost": "raise `Limits(cost=...)` (`--max-cost`)",
    "calls": "raise `Limits(calls=...)` (`--max-calls`), or ask for several items in one prompt",
    "tokens": "raise `Limits(tokens=...)` (`--max-tokens`), or lower `output_chars`",
    "seconds": "raise `Limits(seconds=...)` (`--timeout`)",
    "calls_per_agent": "raise `Limits(calls_per_agent=...)`, or ask a smaller question",
}


def ends(facts: RunFacts) -> Iterator[Finding]:
    """Yields how a run ended without a whole answer."""
    tree = facts.tree
    if tree.status in ("done", "running"):
        return
    told = tree.error or "no reason was recorded"
    if tree.status == "limit":
        name = next((one for one in _RAISE if f"`{one}`" in told), None)
        advice = "Raise the limit, or ask less." if name is None else f"To let it go on, {_RAISE[name]}."
        if tree.value is not None:
            advice += " What there was of an answer is in `run.value`."
        yield Finding("limit", "answer", f"a limit ended the run: {quoted(told, 300)}", advice)
    elif tree.status == "stopped":
        yield Finding("stopped", "answer", "the run was stopped by the user.", "Go on with `%rlm resume`.")
    else:
        kind = f"{tree.error_type}: " if tree.error_type else ""
        yield Finding(
            "failed",
            "answer",
            f"the run failed: {quoted(kind + told, 300)}",
            "`%rlm show 0` has the root's turns; `%rlm branch` goes on from one of them with other code.",
        )


def agents_without_answer(facts: RunFacts) -> Iterator[Finding]:
    """Yields the sub-agents that gave no answer, those with the same reason together."""
    reasons: dict[tuple[str, str], list[AgentState]] = {}
    for agent in facts.agents():
        if agent.parent is not None and agent.status in ("failed", "limit", "stopped"):
            reasons.setdefault((agent.status, (agent.error or "").replace(agent.id, "")), []).append(agent)
    total = sum(agent.parent is not None for agent in facts.agents())
    for (status, _), agents in reasons.items():
        first = agents[0]
        why = f", such as {first.id}: {quoted(first.error, 200)}" if first.error else ""
        yield Finding(
            "sub_agents_without_answer",
            "answer",
            f"{len(agents):,} of {fmt.amount(total, 'sub-agent')} ended without an answer ({status}){why}",
            f"Look at one with `%rlm show {first.id}`; `%rlm retry {first.id}` asks it again. What its parent "
            "made of the gap is in the parent's next turn.",
            first.id if len(agents) == 1 else None,
        )


def sent_back(facts: RunFacts) -> Iterator[Finding]:
    """Yields answers that were sent back by the schema, a check, or since the data was not looked at."""
    for agent, reasons in facts.rejected.items():
        state = facts.tree.agents.get(agent)
        if state is None or (len(reasons) < _REJECTED_OFTEN and state.status == "done"):
            continue  # one that was mended at once is what sending back is for
        turn, newest = reasons[-1]
        yield Finding(
            "sent_back",
            "answer",
            f"its answer was sent back {fmt.amount(len(reasons), 'time')}, the last time since {quoted(newest, 200)}",
            "Say the form of the answer in the question with an example, or make `schema` or the check less strict.",
            agent,
            turn,
        )


def invented(facts: RunFacts) -> Iterator[Finding]:
    """Yields answers that a model wrote down without having been shown them."""
    for agent in facts.agents():
        said = _plain_answer(agent)
        if said is None or not agent.turns or agent.mapping is not None:
            continue
        exchanges = [
            ("\n".join(message["content"] for message in turn.call.messages), turn.call.text)
            for turn in agent.turns
        ]
        look = agent.look.output if agent.look is not None else ""
        if said in look or not is_invented(said, exchanges):
            continue
        last = agent.turns[-1]
        if not any(said in _literals(cell.code) for turn in agent.turns for cell in turn.cells):
            continue  # computed, and the same characters stand in a reply by chance
        yield Finding(
            "invented_answer",
            "answer",
            f"the answer {quoted(said, 80)} was written by the model; nothing that it had been shown has it, and no "
            "code computed it.",
            f"Read its code (`%rlm show {agent.id}`). Ask for a computation, add a check (`checks=[...]`), or let "
            "several agents answer (`--samples 3`).",
            agent.id,
            last.turn,
        )


def _plain_answer(agent: AgentState) -> str | None:
    """Returns the text of an answer that is one number, date or short text; None of any other."""
    value = agent.value
    if value is None or value.get("type") not in _SCALARS or value.get("truncated"):
        return None
    text = value.get("preview")
    return text.strip() if isinstance(text, str) and text.strip() else None


def _literals(code: str) -> set[str]:
    """Returns the texts of the constants in code; none if Python cannot read it."""
    if len(code) > _MOST_CODE:
        return set()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = {_told(node) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    negative = {
        f"-{_told(node.operand)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    }
    return found | negative


def _told(node: ast.Constant) -> str:
    try:
        return str(node.value).strip()
    except ValueError:  # a whole number, written as `0x...`, of more digits than Python makes a text of
        return ""
