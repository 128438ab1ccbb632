"""The tree as plain text: deterministic, readable in a log, a terminal and a saved notebook.

RLM run 7f3a · done · 4 agents · depth 1 · 12 calls · 12,345 tokens · $0.042 · 12.3 s
Question: Which supplier explains the rise in refunds?
Context: DataFrame 1,000,000 x 6, 48.0 MB · the model has seen 3,412 tokens of it
0 done · 3 turns · 8,123 tokens · $0.03 · 12.3 s · Which supplier explains the rise …
├─ 0.1 done · 1 turn · 2,100 tokens · $0.006 · 2.1 s · Profile the refunds
│     = DataFrame 3 x 2, 0.2 kB
└─ 0.2 failed · 2 turns · 2,122 tokens · $0.006 · 4.0 s · Find the date
      ! KernelDiedError: …
Value: dict of 2
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rlm_jupyter.events.tree_state import AgentState, CallState, CellState, TreeState, TurnState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import clean, head_tail, one_line
from rlm_jupyter.views.agent_page import newest_tool_calls, tool_names
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.branch_rows import branches_of_turn, branches_told, with_branches
from rlm_jupyter.views.description import description
from rlm_jupyter.views.expected_spend import expected_line
from rlm_jupyter.views.find_agent import find_agent
from rlm_jupyter.views.mapped_rows import row_name
from rlm_jupyter.views.protocol import Agent
from rlm_jupyter.views.text_card import card_lines
from rlm_jupyter.views.widget_messages import rows, summary

MAX_AGENTS = 300
"""Rows of a text tree; the others are counted."""

DEEPEST = 50
"""Levels of a drawn tree; a log may claim any depth."""

_SIBLINGS = 40
_WIDTH = 100
_QUOTE = 4000
_PREVIEW_LINES = 20

_DOING = {
    "": "",
    "model": "waiting for the model",
    "code": "running code",
    "children": "waiting for sub-agents",
    "rate_limit": "held by a rate limit",
    "server_error": "waiting after a server error",
    "connection": "waiting after a lost connection",
    "bad_reply": "waiting after an unusable reply",
    "provider": "waiting for the provider",
    "budget": "waiting for budget",
    "concurrency": "waiting for other requests",
    "reading": "reading the prompt",
    "kernel": "starting its kernel",
    "step": "waiting for Next",
    "reply": "waiting for your reply",
    "question": "asking you",
}


def doing(state: TreeState, agent: AgentState) -> str:
    """Returns an agent's state in words: `done`, or what it does while it runs."""
    activity = state.activity(agent)
    said = one_line(agent.wait_text, 120) if activity == "reading" else ""
    return said or _DOING.get(activity, "") or agent.status


def summary_line(state: TreeState, at: float | None = None) -> str:
    """Returns a run on one line: `RLM run 7f3a · done · 4 agents · … · $0.042 · 12.3 s`; `at` as in `tree`."""
    parts = [
        f"RLM run {one_line(state.run, 40)}",
        state.status,
        fmt.amount(state.own_agents, "agent"),
        f"depth {state.depth}",
        calls_told(state),
        f"{fmt.count(state.input_tokens + state.output_tokens)} tokens",
        fmt.money(state.cost),
        fmt.duration(max(state.elapsed, (state.finished or at or 0) - state.started)),
        fmt.places(state.held),
    ]
    return " · ".join(filter(None, parts))


def calls_told(state: TreeState) -> str:
    """Returns how many completions there were, and how many of them were not sent: `12 calls (3 from the cache)`."""
    cached = f" ({fmt.count(state.cached)} from the cache)" if state.cached else ""
    return fmt.amount(state.calls, "call") + cached


def agent_line(state: TreeState, agent: AgentState, at: float | None = None) -> str:
    """Returns an agent on one line, its id first; `at` as in `tree`."""
    elapsed = (agent.finished or state.finished or at or state.last) - agent.started
    parts = [
        f"{one_line(agent.id, 60)} {doing(state, agent)}",
        fmt.amount(len(agent.turns), "turn"),
        f"{fmt.count(agent.input_tokens + agent.output_tokens)} tokens",
        fmt.money(agent.cost),
        fmt.duration(max(0.0, elapsed)),
        one_line(row_name(agent) or agent.question, _WIDTH if agent.mapping is None else 2 * _WIDTH),
    ]
    return " · ".join(parts)


def tree(
    state: TreeState, *, max_agents: int = MAX_AGENTS, at: float | None = None, with_card: bool = True
) -> str:
    """Draw the whole tree.

    Args:
        state: the tree; hold the run's lock while it is live.
        max_agents: rows that are drawn at most; the rest is counted.
        at: the time now, in seconds since the epoch, of a live tree: its clocks go on where nothing happens.
            None: the time of its newest event.
        with_card: whether the answer stands above the agents of a run that has ended.
    """
    state = with_branches(state)
    return "\n".join([*head_lines(state, at, with_card=with_card), *_Drawing(state, max_agents, at).lines()])


def head_lines(state: TreeState, at: float | None = None, *, with_card: bool = True) -> list[str]:
    """Returns the lines above the agents: the run, its question, its answer, its data, and what must be said."""
    lines = [summary_line(state, at), f"Question: {_indented(clean(state.question, _QUOTE), 10)}"]
    card = answer_card(state, picture_chars=0)
    if card is not None and with_card:
        lines += card_lines(card)
    if state.context is not None:
        seen = f"the model has seen {fmt.count(state.seen_chars // 4)} tokens"
        lines.append(f"Context: {summary(state.context)} · {seen}")
    if (sent := sent_told(state)) is not None:
        lines.append(sent)
    if (expected := expected_line(state)) is not None:
        lines.append(expected)
    if state.scripted or state.provenance:
        lines.append(f"Note: {one_line(state.provenance or 'scripted: no language model answers here', 300)}")
    lines += [f"Note: {one_line(text, 300)}" for text in state.notices]
    if (branched := branches_told(state)) is not None:
        lines.append(f"Branches: {branched}")
    return lines


def sent_told(state: TreeState) -> str | None:
    """Returns how much data was sent and what is hidden; None where neither is limited or hidden."""
    limit = state.limits.get("exposure")
    if limit is None and not state.hidden:
        return None
    most = "" if limit is None else f" of {fmt.count(int(limit))}"
    hidden = f" · hidden: {one_line(', '.join(state.hidden), 200)}" if state.hidden else ""
    return f"Data sent: {fmt.count(state.data_tokens)}{most} tokens{hidden}"


def placed(given: dict[str, Any]) -> str:
    """Returns on one line what a value is, and where it lies if not in memory."""
    place = fmt.PLACES.get(str(given.get("place")))
    return f"{summary(given)} · {place}" if place else str(summary(given))


def value_lines(value: dict[str, Any]) -> list[str]:
    """Returns what a value is, and its beginning where that says more."""
    shown = description(value, rows=8, preview=1500, columns=8)
    if shown is None:
        return []
    if shown["columns"] and shown["rows"]:
        head = [column["name"] for column in shown["columns"]]
        more = _table([head, *shown["rows"]])
    else:
        more = [line for line in shown["preview"].splitlines() if line.strip() not in shown["summary"]]
    return [f"Value: {placed(value)}", *(f"       {line}" for line in more[:_PREVIEW_LINES])]


def _table(cells: list[list[str]]) -> list[str]:
    columns = range(min(map(len, cells)))
    short = [[one_line(line[n], 24) for n in columns] for line in cells]
    widths = [max(len(line[n]) for line in short) for n in columns]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in short
    ]


def _indented(text: str, width: int) -> str:
    """Indent all lines but the first, so that no text can pass for a line of the tree."""
    return text.replace("\n", "\n" + " " * width)


def roots(state: TreeState) -> list[str]:
    """Returns the ids of the agents at the top: the root, and in a damaged log those whose parent is lost."""
    return [agent.id for agent in state.agents.values() if agent.parent not in state.agents]


class _Drawing:
    """One drawing of the tree: counts the rows that are left."""

    def __init__(self, state: TreeState, max_agents: int, at: float | None = None) -> None:
        self._at = at
        self._state = state
        self._left = max_agents
        self._seen: set[str] = set()

    def lines(self) -> Iterator[str]:
        for id_ in roots(self._state):
            yield from self._agent(id_, "", "")

    def _agent(self, id_: str, first: str, rest: str) -> Iterator[str]:
        if id_ in self._seen:
            return
        self._seen.add(id_)
        self._left -= 1
        agent = self._state.agents[id_]
        yield first + agent_line(self._state, agent, self._at)
        margin = rest + ("│  " if agent.children else "   ")
        if agent.value is not None:
            yield f"{margin}   = {placed(agent.value)}"
        if agent.error:
            yield f"{margin}   ! {one_line(agent.error, 300)}"
        yield from (f"{margin}   {one_line(text, 300)}" for text in agent.notices[-3:])
        yield from self._children(agent.children, rest)

    def _children(self, ids: Sequence[str], rest: str) -> Iterator[str]:
        shown: list[str] = []
        for number, id_ in enumerate(ids):
            if number >= _SIBLINGS or self._left - len(shown) <= 0 or len(rest) > 3 * DEEPEST:
                break
            shown.append(id_)
        others = ids[len(shown) :]
        for id_ in shown:
            last = id_ is shown[-1] and not others
            yield from self._agent(id_, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
        if others:
            yield f"{rest}└─ {count_states(self._state, others)}"


def count_states(state: TreeState, ids: Sequence[str]) -> str:
    """Returns many agents in one line: `41 more agents · 38 done · 3 failed`."""
    found = Counter(state.agents[id_].status for id_ in ids if id_ in state.agents)
    parts = [f"{number:,} {status}" for status, number in found.most_common()]
    return " · ".join([f"{fmt.amount(len(ids), 'more agent')}", *parts])


def show_agent(state: TreeState, agent_id: str) -> str:
    """Returns an agent turn by turn: replies, code, output, spend, value.

    Raises:
        AgentNotFoundError: the run has no agent of that id.
    """
    state = with_branches(state)
    agent = find_agent(state, agent_id)
    branched = branches_of_turn(state, agent)
    lines = [agent_line(state, agent), f"Question: {_indented(clean(agent.question, _QUOTE), 10)}"]
    if agent.context is not None:
        lines.append(f"Context: {placed(agent.context)}")
    if tools := tools_told(agent):
        lines.append(f"Tools: {tools}")
    plans = {call.turn: call for call in agent.calls if call.purpose == "plan"}
    for turn in agent.turns:
        if (plan := plans.get(turn.turn)) is not None:
            lines += ["", *_plan(plan)]
        lines += ["", *_turn(turn)]
        lines += [f"   {name} (agent {id_})" for id_, name in branched.get(turn.turn, ())]
    if others := [call for call in agent.calls if call.purpose != "plan"]:
        lines += ["", *_plain_calls(others)]
    if agent.variables:
        lines += ["", "Variables:"]
        lines += [f"   {one_line(name, 60)}: {placed(item)}" for name, item in agent.variables.items()]
    lines += [f"Note: {one_line(text, 300)}" for text in agent.notices]
    if agent.value is not None:
        lines += value_lines(agent.value)
    if agent.error:
        lines.append(f"Error: {_indented(clean(agent.error, _QUOTE), 7)}")
    return "\n".join(lines)


def tools_told(agent: AgentState, limit: int = 500) -> str:
    """Returns which tools and MCP servers an agent was handed, and how often it called those in the notebook."""
    return one_line(", ".join(_tool(name, agent) for name in tool_names(agent)[:_SIBLINGS]), limit)


def _tool(name: str, agent: AgentState) -> str:
    known = [tool for key, tool in agent.tools.items() if name in (key, tool.server)]
    calls, failed = sum(tool.calls for tool in known), sum(tool.failed for tool in known)
    told = f" ({fmt.amount(calls, 'call')}{f', {failed:,} failed' if failed else ''})" if calls else ""
    return f"{one_line(name, 60)}{told}"


def tool_calls_told(turn: TurnState, most: int = _SIBLINGS) -> Iterator[str]:
    """Describes a turn's calls of tools in the notebook and its queries, a line each; failures have precedence."""
    for call in newest_tool_calls(turn, most):
        error = "" if call.error is None else f" · {one_line(call.error, 300)}"
        failed = "" if call.ok else " failed"
        what = f"Query {one_line(call.name, 160)}" if call.query else f"Tool {one_line(call.name, 100)}"
        rows = "" if call.rows is None else f" · {fmt.amount(call.rows, 'row')}"
        yield f"{what}{failed} · {fmt.duration(call.seconds)}{rows}{error}"
    if (more := turn.tools_called - min(most, len(turn.tool_calls))) > 0:
        yield f"… {fmt.amount(more, 'more call')} of tools and databases"


def prose(turn: TurnState) -> str:
    """Returns a turn's reply without the code that is shown as its cells; each block becomes `[cell 1]`."""
    reply = turn.call.text
    for cell in turn.cells:
        code = cell.code.strip()
        if code and code in reply:
            before, _, after = reply.partition(code)
            before = re.sub(r"(?:^|\n)[ \t]*(?:`{3,}|~{3,})\w*[ \t]*\n\s*$", "\n", before)
            after = re.sub(r"^\s*(?:`{3,}|~{3,})[ \t]*(?=\n|$)", "", after)
            reply = f"{before}[cell {cell.cell}]{after}"
    return reply.strip()


def _turn(turn: TurnState) -> Iterator[str]:
    call = turn.call
    about = "about " if call.estimated else ""
    tokens = f"{about}{fmt.count(call.input_tokens)} tokens in, {fmt.count(call.output_tokens)} out"
    took = fmt.duration(call.seconds) if call.seconds is not None else "running"
    cached = " · from the cache" if call.cached else ""
    model = one_line(call.model, 60)
    yield f"Turn {turn.turn} · {model} · {tokens} · {fmt.money(call.cost)} · {took}{cached}"
    yield from _block(call.error or prose(turn), "! " if call.error else "")
    for cell in turn.cells:
        yield from _cell(cell)
    yield from (f"   {line}" for line in tool_calls_told(turn))


def _cell(cell: CellState) -> Iterator[str]:
    took = "" if cell.seconds is None else f" · {fmt.duration(cell.seconds)}"
    yield f"   In [{cell.cell}] {cell.status}{took}"
    yield from _block(cell.code, "   ")
    if cell.output:
        cut = f" ({cell.cut:,} characters were cut)" if cell.cut else ""
        yield f"   Out [{cell.cell}]{cut}"
        yield from _block(cell.output, "   ")
    if cell.error and cell.error not in cell.output:
        yield from _block(cell.error, "   ! ")


def _block(text: str, mark: str) -> Iterator[str]:
    for line in head_tail(text, _QUOTE).splitlines():
        yield f"   {mark}{line}"


_KINDS = {
    "repair": "asked again for its schema",
    "fallback": "for a sub-agent, at the depth limit",
    "summary": "summary of old turns",
    "plan": "plan",
}


def call_marks(call: CallState) -> list[str]:
    """Returns what a plain completion was for, where that is not a question of the code, and whether it was kept."""
    marks = [_KINDS[call.purpose]] if call.purpose in _KINDS else []
    return [*marks, "from the cache"] if call.cached else marks


def _plan(call: CallState) -> Iterator[str]:
    tokens = f"{fmt.count(call.input_tokens)} tokens in, {fmt.count(call.output_tokens)} out"
    yield f"Plan before turn {call.turn} · {tokens} · {fmt.money(call.cost)}"
    yield from _block(call.error or call.text, "! " if call.error else "")


def _plain_calls(calls: Sequence[CallState]) -> Iterator[str]:
    yield f"{fmt.amount(len(calls), 'plain completion')}:"
    for call in calls[:_SIBLINGS]:
        asked = one_line(call.messages[-1].get("content", ""), 80) if call.messages else ""
        answer = one_line(call.error or call.text, 80)
        facts = " · ".join([call.status, *call_marks(call), fmt.money(call.cost)])
        yield f"   {facts} · {asked} → {answer}"
    if len(calls) > _SIBLINGS:
        yield f"   … {len(calls) - _SIBLINGS:,} more"


def cost_table(state: TreeState) -> str:
    """Returns where the money went: a line for each agent, the dearest branch first, and the sum."""
    table = rows(state)
    order = sorted(table.values(), key=_dearest_first)
    lines = [
        f"{'agent':<12} {'own':>12} {'with children':>14} {'tokens in':>12} {'tokens out':>12}  question"
    ]
    lines += [_cost_line(item) for item in order[:MAX_AGENTS]]
    if len(order) > MAX_AGENTS:
        lines.append(f"… {len(order) - MAX_AGENTS:,} more agents")
    tokens = f"{fmt.count(state.input_tokens):>12} {fmt.count(state.output_tokens):>12}"
    lines.append(f"{'all':<12} {fmt.money(state.cost):>12} {'':>14} {tokens}  {calls_told(state)}")
    return "\n".join(lines)


def _dearest_first(item: Agent) -> tuple[float, float]:
    """Order by spend; what is not known may be the dearest."""
    total = item["cost_total"]
    return (-math.inf if total is None else -total, item["started"] or 0.0)


def _cost_line(item: Agent) -> str:
    own, total = fmt.money(item["cost"]), fmt.money(item["cost_total"])
    tokens = f"{fmt.count(item['input_tokens']):>12} {fmt.count(item['output_tokens']):>12}"
    return f"{one_line(item['id'], 60):<12} {own:>12} {total:>14} {tokens}  {one_line(item['question'], 60)}"
