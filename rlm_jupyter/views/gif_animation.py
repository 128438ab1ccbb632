"""A run as an animated GIF: its tree as it grew, in some ten seconds, for slides and chats."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.text_card import card_lines
from rlm_jupyter.views.text_tree import count_states, doing, placed, roots, summary_line

if TYPE_CHECKING:
    from rlm_jupyter.events.levels import Level
    from rlm_jupyter.events.tree_state import AgentState

MOST_FRAMES: Final = 48
MOST_BYTES: Final = 2_000_000
_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 4.0
_LEAST_SECONDS: Final = 0.06
"""Of a frame; browsers show shorter ones for longer: https://wiki.whatwg.org/wiki/GIF"""
_MOST_EVENTS: Final = 200_000
_MOST_ROWS: Final = 18
_CARD_ROWS: Final = 6
_CHARS: Final = 112
_QUESTION: Final = 100
_SUB_QUESTION: Final = 44
_DEEPEST: Final = 12
_MOST_CODE: Final = 4_000
_SIZE: Final = 15
_LINE: Final = 22
_MARGIN: Final = 18
_INDENT: Final = 22
_FONTS: Final = ("DejaVuSansMono.ttf", "Menlo.ttc", "consola.ttf", "LiberationMono-Regular.ttf")
"""Of Linux, macOS and Windows, looked for in the system's own directories; else the one that Pillow has."""
_PAPER: Final = "#ffffff"
_INK: Final = "#1f2328"
_SOFT: Final = "#6e7781"
_LINES: Final = "#c8ced4"
_STATES: Final = {
    "running": "#0969da",
    "done": "#1a7f37",
    "failed": "#cf222e",
    "stopped": "#9a6700",
}
_SHOWN: Final = (
    ev.RunStarted,
    ev.AgentStarted,
    ev.CodeStarted,
    ev.CodeFinished,
    ev.PromptSent,
    ev.ReplyFinished,
    ev.ValueReturned,
    ev.AgentFinished,
    ev.RunFinished,
)
"""What changes a row of the tree."""


@dataclass(frozen=True)
class _Row:
    """One line of a frame; `depth` is None outside the tree, and `dot` the colour of an agent's state."""

    text: str
    depth: int | None = None
    dot: str = ""
    ink: str = _INK


def to_gif(tree: TreeState, level: Level, events: Sequence[ev.AnyEvent] = ()) -> bytes:
    """Returns a run as an animated GIF of at most `MOST_BYTES`.

    Args:
        tree: the run's state; hold the run's lock while it is live.
        level: how much of the run is in it.
        events: what happened, in order; without them there is one frame, of the run as it is.

    Raises:
        ConfigError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ConfigError(
            "A `.gif` is drawn by Pillow, which is not installed: `pip install pillow`."
        ) from None
    del Image, ImageDraw, ImageFont
    scenes = [_rows(reduced(state, level)) for state in _states(events)] or [_rows(reduced(tree, level))]
    scenes[-1] = _rows(reduced(tree, level), last=True)
    return _bounded([scene for at, scene in enumerate(scenes) if at == 0 or scene != scenes[at - 1]])


def _states(events: Sequence[ev.AnyEvent]) -> Iterator[TreeState]:
    """Replay a run; stop where a frame is taken. The state is the same object each time, further on."""
    kept = events[:_MOST_EVENTS]
    places = [at for at, event in enumerate(kept) if isinstance(event, _SHOWN)]
    count = min(MOST_FRAMES, len(places))
    taken = {places[round(n * (len(places) - 1) / max(1, count - 1))] for n in range(count)}
    if not taken:
        return
    state = TreeState(run=kept[0].run)
    for at, event in enumerate(kept):
        state.apply(event)
        if at in taken:
            yield state


# ---- what stands in a frame


def _rows(state: TreeState, *, last: bool = False) -> list[_Row]:
    rows = [
        _Row(one_line(state.question, _QUESTION)),
        _Row(one_line(summary_line(state), _CHARS), ink=_SOFT),
        _Row(""),
        *_agents(state),
    ]
    card = answer_card(state, picture_chars=0) if last else None
    if card is not None:
        lines = card_lines(card)
        rows += [_Row(""), *(_Row(line[:_CHARS]) for line in lines[:_CARD_ROWS])]
        if len(lines) > _CARD_ROWS:
            rows.append(_Row(f"… {len(lines) - _CARD_ROWS} more lines", ink=_SOFT))
    return rows


def _agents(state: TreeState) -> Iterator[_Row]:
    """Find the rows of the agents: each with what it does or gave; the others are counted, by their parents."""
    waiting = [(id_, 0) for id_ in reversed(roots(state))]
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_ROWS:
        id_, depth = waiting.pop()
        if id_ in seen:
            continue
        seen.add(id_)
        agent = state.agents[id_]
        yield _Row(_told(state, agent, depth), depth, _STATES.get(agent.status, _STATES["running"]))
        if agent.status == "running" and (code := _code(agent)):
            yield _Row(code, depth, ink=_SOFT)
        children = agent.children if depth < _DEEPEST else []
        waiting += [(child, depth + 1) for child in reversed(children)]
    left = [id_ for id_ in state.agents if id_ not in seen]
    if left:
        yield _Row(f"… and {count_states(state, left)}", 1, ink=_SOFT)


def _told(state: TreeState, agent: AgentState, depth: int) -> str:
    parts = [
        f"{one_line(agent.id, 60)} {doing(state, agent)}",
        units.amount(len(agent.turns), "turn"),
        f"{units.count(agent.input_tokens + agent.output_tokens)} tokens",
        units.money(agent.cost),
    ]
    if depth:
        parts.append(one_line(agent.question, _SUB_QUESTION))
    if agent.value is not None:
        parts.append(f"= {placed(agent.value)}")
    return one_line(" · ".join(parts), _CHARS - 2 * depth)


def _code(agent: AgentState) -> str:
    """Returns the first line of the newest cell that is no comment, import or blank."""
    cells = agent.turns[-1].cells if agent.turns else []
    lines = cells[-1].code[:_MOST_CODE].splitlines() if cells else []
    told = (
        line for line in lines if line.strip() and not line.lstrip().startswith(("#", "import ", "from "))
    )
    return one_line(next(told, ""), _CHARS)


# ---- drawing


def _bounded(scenes: list[list[_Row]]) -> bytes:
    """Returns the frames as a file; fewer of them if it is too large."""
    while True:
        made = _encoded(scenes)
        if len(made) <= MOST_BYTES or len(scenes) == 1:
            return made
        scenes = [*scenes[:-1:2], scenes[-1]] if len(scenes) > 2 else scenes[-1:]  # noqa: PLR2004


def _encoded(scenes: Sequence[Sequence[_Row]]) -> bytes:
    font = _font()
    height = 2 * _MARGIN + _LINE * max(map(len, scenes))
    width = 2 * _MARGIN + _SIZE + round(font.getlength("0" * (_CHARS + 3)))
    frames = [_drawn(scene, font, width, height) for scene in scenes]
    each = max(_LEAST_SECONDS, _SECONDS / len(frames))
    held = [round(1000 * each)] * (len(frames) - 1) + [round(1000 * _LAST_SECONDS)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=held, loop=0, optimize=True)
    return file.getvalue()


def _font() -> Any:
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, _SIZE)
        except OSError:
            continue
    return ImageFont.load_default(_SIZE)


def _drawn(rows: Sequence[_Row], font: Any, width: int, height: int) -> Any:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    above: dict[int, int] = {}
    for number, row in enumerate(rows):
        top = _MARGIN + number * _LINE
        middle = top + _LINE // 2
        left = _MARGIN
        if row.depth is not None:
            left += row.depth * _INDENT
            if row.depth and row.dot:
                start = above.get(row.depth - 1, middle)
                draw.line(
                    [(left - _INDENT + 5, start), (left - _INDENT + 5, middle), (left, middle)], fill=_LINES
                )
            if row.dot:
                above[row.depth] = middle + 6
                draw.ellipse([left, middle - 5, left + 10, middle + 5], fill=row.dot)
            left += _SIZE + 3
        draw.text((left, top + 2), row.text, fill=row.ink, font=font)
    return picture.quantize(64)
