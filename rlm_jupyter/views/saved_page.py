"""A run as one HTML file: the live widget over all of the run, without a kernel, a server or a network.

The file has the widget's script and style sheet, and the messages that the widget would have been sent as JSON in a
data block. Its content security policy allows this script and this style sheet by their hashes, and images that are
in the file; nothing can be requested. What a model or data wrote is only ever in the data block, where each `<`, `>`
and `&` is an escape of JSON, so that nothing in it can end the block.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events.events import AnyEvent
from rlm_jupyter.events.levels import LEVELS, Level
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views import protocol
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.branch_rows import with_branches
from rlm_jupyter.views.code_view import code_text, kept_code
from rlm_jupyter.views.saved_replay import saved_replay
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.static_style import STYLE
from rlm_jupyter.views.text_tree import DEEPEST, roots
from rlm_jupyter.views.widget_messages import rows, run_fields, without_defaults

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.answer_code import AnswerCode

MAX_BYTES = 8_000_000
"""Of the pages of all agents; a browser reads as much in a moment."""

MAX_AGENTS = 20_000
"""With a row in the tree."""

_MOST = 512_000
"""Bytes of one agent's page."""
_LEAST = 2_000
"""Bytes of room that a page needs at least, or it is left out."""
_PROMPTS = 0.25
"""Share of the room for prompts."""
_LATEST = 253402300800.0

_STATIC = Path(__file__).parent / "static"

_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}

_HALVES = re.compile("[\ud800-\udfff]")

_STYLE = """
html{color-scheme:light dark}
body{margin:0;padding:16px;background:#fff;color:#1f2328;font:13px/1.45 system-ui,sans-serif}
html[data-theme=dark] body{background:#0f1113;color:#e6e8eb}
main{max-width:1600px;margin:0 auto}
h1{font-size:15px;margin:0 0 2px}
main>p{margin:0 0 12px;color:#59636e}
html[data-theme=dark] main>p{color:#a0a7b0}
"""

_STATIC_STYLE = """
html{color-scheme:light dark}
body{max-width:1100px;margin:0 auto;padding:16px;background:#fff;color:#1f2328;font:13px/1.45 system-ui,sans-serif}
h1{font-size:15px;margin:0 0 2px}
main>p{margin:0 0 12px;color:#59636e}
@media (prefers-color-scheme:dark){body{background:#0f1113;color:#e6e8eb}main>p{color:#a0a7b0}}
"""


def saved_page(
    state: TreeState,
    *,
    level: Level = "all",
    events: Sequence[AnyEvent] = (),
    max_bytes: int = MAX_BYTES,
    code: AnswerCode | None = None,
) -> str:
    """Make the file of a run.

    Args:
        state: the tree; hold the run's lock while it is live.
        level: how much of the run is in it.
        events: what happened; with them, the file can be stepped through.
        max_bytes: of the pages of all agents; the file says what was left out.
        code: behind the answer; None if there is none. A level that leaves out data leaves out recorded answers.

    Raises:
        ConfigError: the widget's script is missing from the installation.
    """
    tree = with_branches(reduced(state, level))
    style, script = _STYLE + _asset("widget.css"), _asset("saved_page.js")
    shown = kept_code(code, level)
    parts = {} if shown is None else {"code": code_text(shown)}
    replay = saved_replay(events, level, branches=state.branch_trees)
    data = _json({**_data(tree, level, max_bytes), "replay": replay, **parts})
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; {_NO_WAY_OUT}"
    return (
        f"{_head(tree, policy)}<style>{style}</style></head><body><main><h1>{_title(tree)}</h1>"
        f'<p>{escape(_about(tree, level))}</p><h2 class="rlm-offscreen">The run</h2>'
        f'<div id="rlm-run"><p>{_NO_SCRIPT}</p></div></main>'
        f'<script type="application/json" id="rlm-data">{data}</script><script>{script}</script></body></html>\n'
    )


def static_page(state: TreeState, *, level: Level = "all") -> str:
    """Make the file of a run without any script: the static tree of saved notebooks, larger.

    Args:
        state: the tree; hold the run's lock while it is live.
        level: how much of the run is in it.
    """
    tree = with_branches(reduced(state, level))
    style = _STATIC_STYLE
    policy = f"default-src 'none'; style-src {_hash(style)} {_hash(STYLE)}; img-src data:; {_NO_WAY_OUT}"
    return (
        f"{_head(tree, policy)}<style>{style}</style></head><body><main><h1>{_title(tree)}</h1>"
        f"<p>{escape(_about(tree, level))}</p>"
        f"{static_html(tree, max_bytes=MAX_BYTES, max_agents=MAX_AGENTS)}</main></body></html>\n"
    )


_NO_WAY_OUT = "base-uri 'none'; form-action 'none'"

_NO_SCRIPT = (
    "This page shows the run by a script of its own, which this reader does not allow. A file without a script is "
    "written by <code>%rlm export -o run.html --static</code>."
)


def _head(tree: TreeState, policy: str) -> str:
    # The policy comes before all that it is about.
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="referrer" content="no-referrer"><title>{_title(tree)}</title>'
    )


def _title(tree: TreeState) -> str:
    return escape(f"RLM run {one_line(tree.run, 80)}")


def _about(tree: TreeState, level: Level) -> str:
    """Returns when the run was, and what of it is in the file."""
    asked = ""
    if 0 < tree.started < _LATEST:
        asked = time.strftime("Asked on %Y-%m-%d at %H:%M UTC. ", time.gmtime(tree.started))
    going = "The run was still going on when it was saved. " if tree.status == "running" else ""
    has = f"It has {LEVELS[level]}." if level != "all" else ""
    return f"{asked}{going}A saved file: no kernel answers here. {has}".rstrip()


def _asset(name: str) -> str:
    try:
        return (_STATIC / name).read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"`{name}` of the widget cannot be read ({error.strerror or error}): install `rlm_jupyter` again, or use "
            "`--static`."
        ) from None


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """Returns strict JSON that stands in HTML as it is: it has no `<`, `>`, `&`, and no half characters."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return _HALVES.sub("\ufffd", text).translate(_ESCAPES)


def _data(tree: TreeState, level: Level, max_bytes: int) -> dict[str, Any]:
    """Returns what the widget would be sent: the run, its rows, each agent's page, and its prompt."""
    shown = _by_level(tree, MAX_AGENTS)
    details, prompts = _pages(tree, shown, max_bytes, prompts=level == "all")
    known = rows(tree)
    for id_, agent in tree.agents.items():
        if known[id_]["elapsed"] is None:  # it ran when the file was made: clocks stand still there
            known[id_]["elapsed"] = round(max(0.0, tree.last - agent.started), 3)
    run = run_fields(tree, notices=_left_out(tree, len(shown), len(details)))
    return {
        "run": {**run, "saved": level},
        "agents": {id_: without_defaults(known[id_]) for id_ in shown},
        "details": details,
        "prompts": prompts,
    }


def _left_out(tree: TreeState, shown: int, pages: int) -> list[str]:
    told = []
    if shown < len(tree.agents):
        told.append(
            f"Of {len(tree.agents):,} agents, {shown:,} are in this file: the highest levels of the tree."
        )
    if pages < shown:
        told.append(
            f"Of {shown:,} agents, {pages:,} have a page in this file, which is bounded; the log has all."
        )
    return told


def _by_level(tree: TreeState, most: int) -> list[str]:
    """Choose the agents that are shown, level by level: a parent is always among them."""
    shown: dict[str, None] = {}
    level: Iterable[str] = roots(tree)
    for _ in range(DEEPEST):
        following: list[str] = []
        for id_ in level:
            if len(shown) < most and id_ not in shown:
                shown[id_] = None
                following += tree.agents[id_].children
        level = following
    return list(shown)


def _pages(
    tree: TreeState, shown: list[str], room: int, *, prompts: bool
) -> tuple[dict[str, protocol.Detail], dict[str, list[protocol.PromptMessage]]]:
    """Make the agents' pages and prompts; what one does not need is left for those after it."""
    details: dict[str, protocol.Detail] = {}
    sent: dict[str, list[protocol.PromptMessage]] = {}
    for number, id_ in enumerate(shown):
        if room < _LEAST:
            break
        share = min(_MOST, max(_LEAST, room // (len(shown) - number)))
        details[id_] = detail(tree, id_, max_bytes=int(share * (1 - _PROMPTS) if prompts else share))
        room -= len(json.dumps(details[id_]))
        if prompts and tree.agents[id_].turns:
            sent[id_] = prompt(tree, id_, max_bytes=max(_LEAST, int(share * _PROMPTS)))
            room -= len(json.dumps(sent[id_]))
    return details, sent
