"""The tree as static HTML, for notebooks that are saved, mailed, converted, shown without a kernel or a script.

No script, no link, no attribute from data: all text is cleaned and escaped, and the only images are those that this
process wrote, as data. Readable without the style
sheet too, because GitHub and untrusted notebooks remove it: a quotation is set in, and bold is bold, by itself. The
size is bounded: every agent keeps its row, and code and outputs share what is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from rlm_jupyter.events.events import CellPicture
from rlm_jupyter.events.tree_state import AgentState, CellState, TreeState, TurnState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import clean, head_tail, one_line
from rlm_jupyter.values.charts.embedded import fitted
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.branch_rows import branches_told, with_branches
from rlm_jupyter.views.description import description
from rlm_jupyter.views.mapped_rows import row_name
from rlm_jupyter.views.protocol import Description
from rlm_jupyter.views.static_card import card_html
from rlm_jupyter.views.static_style import STYLE
from rlm_jupyter.views.text_tree import (
    DEEPEST,
    call_marks,
    calls_told,
    count_states,
    doing,
    placed,
    prose,
    roots,
    sent_told,
    tool_calls_told,
    tools_told,
)
from rlm_jupyter.views.widget_messages import Totals, summary

MAX_BYTES = 266_000
"""Of a whole static tree: 300 KB in the notebook's file, where quotes and line ends are escaped once more."""

MAX_AGENTS = 400

_CALLS = 40
"""Plain completions of an agent that have a line of their own."""

_WIDTH = 360
"""Pixels of a picture on the page at most."""

_CARD_PICTURES = 60_000
"""Characters of the pictures of the answer."""

_MOST_OF_A_PICTURE = 45_000
_LEAST_OF_A_PICTURE = 800
"""Characters of a picture at a turn. In less than that nothing could be made out: its line stands in its place."""

_OF_SHARE = 0.45
"""The part of an agent's share that its pictures may take; they are made smaller until they fit."""

_FEW_PICTURES = 6
_TERSE = 30
_LEVELS = (4000, 1500, 600, 200, 60, 0)
"""Characters of one text; an agent gets the first level at which all of its turns fit into its share."""


def static_html(
    state: TreeState,
    *,
    max_bytes: int = MAX_BYTES,
    max_agents: int = MAX_AGENTS,
    after_widget: bool = False,
) -> str:
    """Make the static tree of a run.

    Args:
        state: the tree; hold the run's lock while it is live.
        max_bytes: of the whole, in UTF-8.
        max_agents: with a row of their own; the others are counted.
        after_widget: whether it follows the live widget's output, of which then no text shows in a saved page.
    """
    return _Page(state, max_bytes, max_agents, after_widget=after_widget).render()


def text(value: object, limit: int = 2000) -> str:
    """Make text safe as HTML text."""
    return escape(head_tail(value, limit) if isinstance(value, str) else clean(value))


def line(value: object, limit: int = 200) -> str:
    """Make text safe as HTML text on one line."""
    return escape(one_line(value, limit))


def _bytes(markup: str) -> int:
    # A JSON string escapes quotes, backslashes and line ends, and the notebook's file is one.
    return len(markup.encode()) + sum(map(markup.count, '"\\\n'))


class _Page:
    """One rendering of a tree: keeps the account of bytes."""

    def __init__(
        self, state: TreeState, max_bytes: int, max_agents: int, *, after_widget: bool = False
    ) -> None:
        state = with_branches(state)
        self._state = state
        self._after_widget = after_widget
        self._totals = Totals()
        for agent in state.agents.values():
            self._totals.update(state, agent)
        card = answer_card(state, picture_chars=min(_CARD_PICTURES, max_bytes // 4))
        self._card = "" if card is None else card_html(card)
        self._shown: dict[str, list[str]] = {}
        self._choose(max_agents)
        self._summaries = {id_: self._summary(state.agents[id_]) for id_ in self._shown}
        fixed = _bytes(STYLE) + _bytes(self._head()) + _bytes(self._foot()) + 1000
        fixed += sum(_bytes(markup) + 150 for markup in self._summaries.values())
        self._room = max(0, max_bytes - fixed)
        self._waiting = len(self._shown)

    def _choose(self, max_agents: int) -> None:
        """Choose who has a row, level by level, so that many siblings do not hide the levels above."""
        level = [(id_, 0) for id_ in roots(self._state)]
        while level:
            following: list[tuple[str, int]] = []
            for id_, depth in level:
                if len(self._shown) >= max_agents or id_ in self._shown or depth > DEEPEST:
                    continue
                self._shown[id_] = []
                parent = self._state.agents[id_].parent
                if parent in self._shown:
                    self._shown[parent].append(id_)
                following += [(child, depth + 1) for child in self._state.agents[id_].children]
            level = following

    def render(self) -> str:
        run = escape(one_line(self._state.run, 80), quote=True)
        top = [id_ for id_ in self._shown if self._state.agents[id_].parent not in self._shown]
        agents = "".join(self._agent(id_, is_open=True) for id_ in top)
        if self._card:
            agents = f"<details><summary>{escape(self._folded())}</summary>{agents}</details>"
        # The class names tell MathJax, versions 2 and 3, that dollars are money here.
        after = " rlm-after-widget" if self._after_widget else ""
        return (
            f'<div class="rlm-static tex2jax_ignore mathjax_ignore{after}" data-run="{run}"><style>{STYLE}</style>'
            f"{self._head()}{agents}{self._foot()}</div>"
        )

    def _folded(self) -> str:
        """Returns what stands for the agents while they are folded away, below the answer."""
        state = self._state
        return f"How it came about: {fmt.amount(state.own_agents, 'agent')} · depth {state.depth}"

    def _head(self) -> str:
        state = self._state
        tokens = f"{fmt.count(state.input_tokens)} tokens in, {fmt.count(state.output_tokens)} out"
        facts = [
            f"depth {state.depth}",
            fmt.amount(state.own_agents, "agent"),
            calls_told(state),
            tokens,
            fmt.money(state.cost),
            fmt.duration(state.elapsed),
            *filter(None, [fmt.places(state.held)]),
        ]
        parts = [
            f'<div class="rlm-s-question"><strong>{text(state.question)}</strong></div>',
            self._card or f"<div>{_badge(state.status)} · {' · '.join(map(escape, facts))}</div>",
        ]
        if state.context is not None:
            seen = "" if self._card else f" · the model has seen {fmt.count(state.seen_chars // 4)} tokens"
            parts.append(
                f'<div class="rlm-s-dim">Context: {line(summary(state.context))}{escape(seen)}</div>'
            )
        if (sent := sent_told(state)) is not None:
            parts.append(f'<div class="rlm-s-dim">{line(sent, 300)}</div>')
        if self._card and (held := fmt.places(state.held)):
            parts.append(f'<div class="rlm-s-dim">{escape(held[0].upper() + held[1:])}</div>')
        if state.scripted or state.provenance:
            note = state.provenance or "scripted: no language model answers here"
            parts.append(f'<div class="rlm-s-note">{line(note, 500)}</div>')
        parts += [f'<div class="rlm-s-note">{line(note, 500)}</div>' for note in state.notices[-8:]]
        if (branched := branches_told(state)) is not None:
            parts.append(f'<div class="rlm-s-dim">Branches: {line(branched, 300)}</div>')
        return "".join(parts)

    def _foot(self) -> str:
        state: TreeState = self._state
        parts: list[str] = []
        if state.error and not self._card:
            name = f"{line(state.error_type)}: " if state.error_type else ""
            parts.append(f'<div class="rlm-s-error">{name}{text(state.error)}</div>')
        parts.append(f'<div class="rlm-s-dim">RLM run {line(state.run, 80)}</div>')
        return "".join(parts)

    def _summary(self, agent: AgentState) -> str:
        end = agent.finished or self._state.last
        facts = [
            fmt.amount(len(agent.turns), "turn"),
            f"{fmt.count(agent.input_tokens + agent.output_tokens)} tokens",
            fmt.money(self._totals.get(agent.id)),
            fmt.duration(max(0.0, end - agent.started)),
        ]
        value = f' <span class="rlm-s-dim">= {line(placed(agent.value), 120)}</span>' if agent.value else ""
        error = f'<div class="rlm-s-error">{line(agent.error, 300)}</div>' if agent.error else ""
        return (
            f"<summary><code>{line(agent.id, 60)}</code> {_badge(doing(self._state, agent), agent.status)} "
            f"{line(row_name(agent) or agent.question, 160)} "
            f'<span class="rlm-s-dim">· {escape(" · ".join(facts))}</span>{value}{error}</summary>'
        )

    def _agent(self, id_: str, *, is_open: bool = False) -> str:
        agent, below = self._state.agents[id_], self._shown[id_]
        share = self._room // max(1, self._waiting)
        told = agent.parent is None and self._state.value is not None  # the head quotes the run's value
        body = _body(agent, share, value=not told)
        self._room -= _bytes(body)
        self._waiting -= 1
        few = len(below) <= 8  # noqa: PLR2004  a screen
        # Open is what has something below it: each agent has its row in sight, and no more than that.
        children = "".join(self._agent(child, is_open=few and bool(self._shown[child])) for child in below)
        hidden = [child for child in agent.children if child not in self._shown]
        more = f'<div class="rlm-s-dim">… {escape(count_states(self._state, hidden))}</div>' if hidden else ""
        return (
            f'<details class="rlm-s-agent"{" open" if is_open else ""}>{self._summaries[id_]}'
            f'<blockquote class="rlm-s-body">{body}{children}{more}</blockquote></details>'
        )


def _badge(words: str, status: str = "") -> str:
    return f'<b class="rlm-s-{escape(status or words, quote=True)}">{escape(words)}</b>'


def _body(agent: AgentState, share: int, *, value: bool = True) -> str:
    """Render an agent's turns, variables and value into at most `share` bytes."""
    forms = [(limit, 0) for limit in _LEVELS]
    if number := sum(len(cell.pictures) for turn in agent.turns for cell in turn.cells):
        room = _room_of_a_picture(share, number)
        forms = [(_LEVELS[0], _MOST_OF_A_PICTURE)] if number <= _FEW_PICTURES else []
        forms += [(limit, room) for limit in (*_LEVELS[1:-1], _TERSE) if room]
        forms += [(limit, 0) for limit in _LEVELS]
    for limit, pictures in forms:
        markup = "".join(_parts(agent, limit, value=value, pictures=pictures))
        if _bytes(markup) <= share:
            return markup
    brief = f'<div class="rlm-s-dim">{fmt.amount(len(agent.turns), "turn")}, too long to be kept here</div>'
    return brief if _bytes(brief) <= share else ""


def _room_of_a_picture(share: int, number: int) -> int:
    """Returns the characters for each of an agent's pictures; 0 if that is too little to see anything.

    In steps, so that a picture that was made smaller is not made anew for each byte of difference.
    """
    room = min(share * _OF_SHARE / number, _MOST_OF_A_PICTURE)
    return 0 if room < _LEAST_OF_A_PICTURE else int(2 ** (math.floor(4 * math.log2(room)) / 4))


def _parts(agent: AgentState, limit: int, *, value: bool, pictures: int) -> Iterator[str]:
    if limit and len(agent.question) > 160 and not agent.name:  # noqa: PLR2004  as in the summary
        yield f'<div class="rlm-s-question">{text(agent.question, limit)}</div>'
    if limit and (tools := tools_told(agent)):
        yield f'<div class="rlm-s-dim">Tools: {escape(tools)}</div>'
    for turn in agent.turns:
        yield _turn(turn, limit, pictures=pictures)
    if agent.calls:
        yield _plain_calls(agent, limit)
    if agent.variables and limit:
        yield "<details><summary>Variables</summary><table>"
        for name, item in list(agent.variables.items())[:50]:
            yield f"<tr><td><code>{line(name, 80)}</code></td><td>{line(placed(item), limit)}</td></tr>"
        yield "</table></details>"
    if value and agent.value is not None and limit:
        yield f'<div class="rlm-s-value"><strong>Value</strong> {_value(agent.value, limit)}</div>'
    yield from (f'<div class="rlm-s-note">{line(note, 300)}</div>' for note in agent.notices[-4:])


def _turn(turn: TurnState, limit: int, *, pictures: int) -> str:
    call = turn.call
    tokens = ("about " if call.estimated else "") + fmt.count(call.input_tokens + call.output_tokens)
    took = "running" if call.seconds is None else fmt.duration(call.seconds)
    cached = " · from the cache" if call.cached else ""
    facts = f"Turn {turn.turn} · {tokens} tokens · {fmt.money(call.cost)} · {took}{cached}"
    if not limit:
        return f'<div class="rlm-s-dim">{escape(facts)}</div>'
    said = call.error or prose(turn)
    reply = f'<pre class="rlm-s-reply">{text(said, limit)}</pre>' if said.strip() else ""
    cells = "".join(_cell(cell, limit, pictures=pictures) for cell in turn.cells)
    told = tool_calls_told(turn, max(3, limit // 100))
    tools = "".join(f'<div class="rlm-s-dim">{line(one, limit)}</div>' for one in told)
    return f"<details><summary>{escape(facts)}</summary>{reply}{cells}{tools}</details>"


def _plain_calls(agent: AgentState, limit: int) -> str:
    """Render the completions besides its turns: how many, and the first ones with what they were for."""
    title = escape(fmt.amount(len(agent.calls), "plain completion"))
    cached = sum(call.cached for call in agent.calls)
    title += f" · {cached:,} from the cache" if cached else ""
    if not limit:
        return f'<div class="rlm-s-dim">{title}</div>'
    lines = []
    for call in agent.calls[:_CALLS]:
        asked = call.messages[-1].get("content", "") if call.messages else ""
        facts = " · ".join([call.status, *call_marks(call), fmt.money(call.cost)])
        short = min(limit, 160)
        lines.append(
            f"<tr><td>{escape(facts)}</td><td>{line(asked, short)}</td>"
            f"<td>{line(call.error or call.text, short)}</td></tr>"
        )
    more = len(agent.calls) - len(lines)
    rest = f'<div class="rlm-s-dim">… {more:,} more</div>' if more else ""
    return f"<details><summary>{title}</summary><table>{''.join(lines)}</table>{rest}</details>"


def _cell(cell: CellState, limit: int, *, pictures: int) -> str:
    parts = [f'<pre class="rlm-s-code">{text(cell.code, limit)}</pre>']
    if cell.output:
        cut = f'<div class="rlm-s-dim">{cell.cut:,} characters were cut</div>' if cell.cut else ""
        parts.append(f'<pre class="rlm-s-output">{text(cell.output, limit)}</pre>{cut}')
    if cell.error and cell.error not in cell.output:
        parts.append(f'<pre class="rlm-s-error">{text(cell.error, limit)}</pre>')
    return "".join([*parts, *(_picture(one, pictures) for one in cell.pictures)])


def _picture(shown: CellPicture, chars: int) -> str:
    """Render a picture as data, made smaller if it must be; its line if there is no room, or if it is no picture."""
    made = fitted(shown.png, chars, 2 * _WIDTH) if chars else None
    if made is None:
        return f'<div class="rlm-s-dim">{line(shown.summary)}</div>'
    words = escape(one_line(shown.summary), quote=True)
    width = min(_WIDTH, max(shown.width, made.width), round(2.5 * made.width))
    return f'<div><img alt="{words}" width="{width}" src="data:image/png;base64,{made.base64}"></div>'


def _value(given: dict[str, Any], limit: int) -> str:
    shown = description(given, rows=5, preview=limit, columns=12)
    if shown is None:
        return ""
    table = _table(shown) if shown["columns"] and shown["rows"] else ""
    preview = f"<pre>{escape(shown['preview'])}</pre>" if shown["preview"] and not table else ""
    return f"{escape(shown['summary'])}{table}{preview}"


def _table(shown: Description) -> str:
    head = "".join(f"<th>{line(column['name'], 40)}</th>" for column in shown["columns"])
    body = "".join(
        f"<tr>{''.join(f'<td>{line(item, 40)}</td>' for item in values)}</tr>" for values in shown["rows"]
    )
    return f"<table><tr>{head}</tr>{body}</table>"
