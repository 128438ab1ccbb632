"""Findings on money and tokens: requests that one would do for, sub-agents that repeat their parent, long chats."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.diagnosis.finding import Finding, quoted
from rlm_jupyter.text import units as fmt

if TYPE_CHECKING:
    from rlm_jupyter.diagnosis.run_facts import RunFacts
    from rlm_jupyter.events.agent_state import AgentState, CallState

_MANY_CALLS: Final = 10
_SMALL_CALL: Final = 500
"""Tokens of prompt and reply together; a request of that size is mostly overhead and waiting."""
_MANY_SMALL: Final = 50
_ONE_AFTER_ANOTHER: Final = 0.9
"""Share of calls that began after the one before had ended."""
_LARGE_PART: Final = 0.6
_FEWEST_AGENTS: Final = 3
_LEAST_COST: Final = 0.001
_GROWN: Final = 4
_LONG_PROMPT: Final = 20_000
_CACHEABLE: Final = 1024
"""Tokens below which no provider caches a prompt."""
_CACHE_TURNS: Final = 4
_OUTPUT_CHARS: Final = 20_000
_FEW_AGAIN: Final = 3
_WHERE: Final = frozenset({"place", "turn", "name", "variable", "bytes", "summary"})
"""Of a description: what depends on where the data lies and who looked at it."""


def single_calls(facts: RunFacts) -> Iterator[Finding]:
    """Yields turns whose code asked one plain completion after another, or very many small ones."""
    for agent in facts.agents():
        by_turn: defaultdict[int, list[CallState]] = defaultdict(list)
        for call in agent.calls:
            if call.purpose in ("llm_query", "repair", "fallback") and not call.cached:
                by_turn[call.turn].append(call)
        for turn, calls in by_turn.items():
            if len(calls) < _MANY_CALLS:
                continue
            tokens = sum(call.input_tokens + call.output_tokens for call in calls) / len(calls)
            seconds = sum(call.seconds or 0.0 for call in calls)
            if _in_a_row(calls) >= _ONE_AFTER_ANOTHER:
                yield Finding(
                    "calls_in_a_row",
                    "time",
                    f"{len(calls):,} plain completions were asked one after another, in {fmt.duration(seconds)}.",
                    "`llm_query_batched(prompts)` asks them at once; say so in `instructions` if the model does not.",
                    agent.id,
                    turn,
                )
            if len(calls) >= _MANY_SMALL and tokens < _SMALL_CALL and agent.mapping is None:
                yield Finding(
                    "many_small_calls",
                    "cost",
                    f"{len(calls):,} plain completions had {tokens:,.0f} tokens each on average.",
                    "Put many items into one prompt, or use `RLM.map` (`%%rlm_map`) for one question per row.",
                    agent.id,
                    turn,
                )


def _in_a_row(calls: list[CallState]) -> float:
    """Returns the share of calls that began when the one before them had ended."""
    ordered = sorted(calls, key=lambda call: call.started)
    ends = [call.started + (call.seconds or 0.0) for call in ordered]
    after = sum(call.started >= end - 0.01 for call, end in zip(ordered[1:], ends, strict=False))
    return after / max(1, len(ordered) - 1)


def same_as_parent(facts: RunFacts) -> Iterator[Finding]:
    """Yields sub-agents that were asked what their parent was asked, about the same data."""
    for agent in facts.agents():
        parent = facts.tree.agents.get(agent.parent or "")
        if parent is None or agent.sample is not None or agent.context is None:
            continue
        same_data = _same_data(agent.context, parent.context)
        same_question = " ".join(agent.question.split()) == " ".join(parent.question.split())
        if same_data and same_question:
            yield Finding(
                "same_as_parent",
                "cost",
                f"it was asked what its parent {parent.id} was asked, about data of the same description, and took "
                f"{fmt.count(agent.input_tokens + agent.output_tokens)} tokens.",
                "A sub-agent pays off for a part of the data, or another question: lower `Limits(depth=...)`, or say "
                "so in `instructions`.",
                agent.id,
            )


def _same_data(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Returns whether two descriptions say the same of data, as far as both say it; sizes differ by process."""
    if one is None or other is None:
        return False
    names = (one.keys() & other.keys()) - _WHERE
    return one.get("type") == other.get("type") and all(_alike(one[name], other[name]) for name in names)


def _alike(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        names = one.keys() | other.keys()
        return all(name == "bytes" or _alike(one.get(name), other.get(name)) for name in names)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one == other


def bought_twice(facts: RunFacts) -> Iterator[Finding]:
    """Yields that the same plain completion was paid for more than once."""
    seen: Counter[str] = Counter()
    cost: defaultdict[str, float] = defaultdict(float)
    first: dict[str, tuple[AgentState, CallState]] = {}
    for agent, call in facts.calls():
        if call.purpose not in ("llm_query", "fallback") or call.status != "done" or call.cached:
            continue
        asked = json.dumps([[one["role"], one["content"]] for one in call.messages]).encode()
        key = hashlib.sha256(asked).hexdigest()
        seen[key] += 1
        cost[key] += call.cost or 0.0
        first.setdefault(key, (agent, call))
    again = sum(times - 1 for times in seen.values())
    if again < _FEW_AGAIN:
        return
    key, times = seen.most_common(1)[0]
    agent, call = first[key]
    words = call.messages[-1]["content"] if call.messages else ""
    yield Finding(
        "bought_twice",
        "cost",
        f"{again:,} plain completions had a prompt that had been asked before; the most frequent {times:,} times: "
        f"{quoted(words, 100)}",
        "Ask each distinct text once (`dict.fromkeys(items)`); with `cache=True` the same request is paid for once.",
        agent.id,
        call.turn,
    )


def concentrated_cost(facts: RunFacts) -> Iterator[Finding]:
    """Yields the agent that most of the money went to, if there are several."""
    total = facts.tree.cost
    agents = [agent for agent in facts.agents() if agent.cost is not None and (agent.turns or agent.calls)]
    if not total or total < _LEAST_COST or len(agents) < _FEWEST_AGENTS:
        return
    dear = max(agents, key=lambda agent: agent.cost or 0.0)
    part = (dear.cost or 0.0) / total
    if part >= _LARGE_PART:
        turns = fmt.amount(len(dear.turns), "turn")
        yield Finding(
            "cost_concentrated",
            "cost",
            f"{part:.0%} of the cost ({fmt.money(dear.cost)} of {fmt.money(total)}) is its own: {turns}, "
            f"{fmt.amount(len(dear.calls), 'other completion')}.",
            f"`%rlm cost` has all agents, `%rlm show {dear.id}` its turns; a cheaper `sub_model` helps if its plain "
            "completions are what costs.",
            dear.id,
        )


def long_chats(facts: RunFacts) -> Iterator[Finding]:
    """Yields agents whose prompts grew long, were refused as too long, or were compacted."""
    for agent in facts.agents():
        sizes = [turn.call.input_tokens for turn in agent.turns if turn.call.input_tokens]
        compacted = sum(call.purpose == "summary" for call in agent.calls)
        if compacted:
            yield Finding(
                "chat_compacted",
                "cost",
                f"its chat neared the window of its model; its old turns became notes {fmt.amount(compacted, 'time')}.",
                "Lower `output_chars`, give sub-agents the reading, or take a model with a larger window.",
                agent.id,
            )
        elif sizes and max(sizes) >= _LONG_PROMPT and max(sizes) >= _GROWN * sizes[0]:
            yield Finding(
                "long_chat",
                "cost",
                f"its prompt grew from {sizes[0]:,} to {max(sizes):,} tokens in {fmt.amount(len(sizes), 'turn')}, and "
                "each turn pays for all before it.",
                "Lower `output_chars` or `compact_at`; let code print less.",
                agent.id,
            )


def shown_outputs(facts: RunFacts) -> Iterator[Finding]:
    """Yields outputs that were cut, and agents that printed much of their data into the chat."""
    for agent in facts.agents():
        cells = [(turn, cell) for turn in agent.turns for cell in turn.cells]
        cut = [(turn, cell) for turn, cell in cells if cell.cut]
        if cut:
            gone = sum(cell.cut for _, cell in cut)
            yield Finding(
                "output_cut",
                "code",
                f"of {fmt.amount(len(cut), 'output')} {gone:,} characters were cut, so the model did not see them.",
                "Code should print counts and samples; if the model must read texts whole, `llm_query` or a larger "
                "`output_chars` does it.",
                agent.id,
                cut[-1][0].turn,
            )
        shown = sum(len(cell.output) for _, cell in cells)
        if shown >= _OUTPUT_CHARS:
            yield Finding(
                "data_in_chat",
                "cost",
                f"its cells showed the model {shown:,} characters, which are sent with each later turn.",
                "Values belong in variables: let code print less, or lower `output_chars`.",
                agent.id,
            )


def unused_prompt_cache(facts: RunFacts) -> Iterator[Finding]:
    """Yields that no prompt was read from the provider's cache, although chats repeat their beginning."""
    tree = facts.tree
    if tree.scripted or tree.cached_tokens:
        return
    for agent in facts.agents():
        sent = [turn.call for turn in agent.turns if not turn.call.cached and turn.call.status == "done"]
        if len(sent) >= _CACHE_TURNS and min(call.input_tokens for call in sent) >= _CACHEABLE:
            total = sum(call.input_tokens for call in sent)
            yield Finding(
                "prompt_cache_unused",
                "cost",
                f"its {len(sent):,} turns sent {total:,} tokens of prompt, and the provider told none that it had "
                "read from its prompt cache.",
                "docs/providers.md says which providers have one; behind a proxy it may be switched off.",
                agent.id,
            )
            return
