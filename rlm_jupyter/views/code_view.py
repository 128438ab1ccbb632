"""The code behind an answer as the page shows it: its text, where each statement came from, what each part rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.answer_code.answer_code import AnswerCode
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.values.describe.short_text import short
from rlm_jupyter.views.code_secrets import without_secrets
from rlm_jupyter.views.widget_messages import MAX_BYTES, json_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rlm_jupyter.answer_code.answer_code import Step
    from rlm_jupyter.answer_code.answer_parts import Key
    from rlm_jupyter.events.levels import Level
    from rlm_jupyter.views.code_protocol import CodeStep, CodeText

_SOURCE = 0.55
"""Share of the room that the text may take."""
_CELL = 0.05
"""Share of the room that is kept for the code as a cell."""
_DETAIL = 300
_LABEL = 120
_FLOW = 160
_FILTER = 200
_ALIKE = 3
"""Agents that are named of those that ran the same statement."""
_PARTS = 120
_ENVELOPE = 1_000


def code_text(code: AnswerCode, *, max_bytes: int = MAX_BYTES) -> CodeText:
    """Make what the page is sent of the code behind an answer.

    Args:
        code: the code.
        max_bytes: of all of it as JSON; the text is cut at a line's end, and steps are left out from the last.
    """
    shown = without_secrets(str(code))
    detail = [code.detail, "secrets are left out here" if shown != str(code) else ""]
    source, cut = _fitted(clean(shown), int(max_bytes * _SOURCE))
    made: CodeText = {
        "source": source,
        "cell": "",
        "cut": cut,
        "verdict": code.verdict,
        "detail": one_line("; ".join(filter(None, detail)), _DETAIL),
        "share": round(code.share, 4),
        "recorded": code.recorded,
        "steps": [],
        "left_out": 0,
        "parts": {},
    }
    of_cell = json_size(source) if json_size(source) < _CELL * max_bytes else 0
    room = max_bytes - json_size(made) - of_cell - _ENVELOPE
    groups = _groups(code.steps, code.root)
    sent: dict[int, int] = {}
    for group in groups:
        for at in group[:_ALIKE]:
            step = _step(code.steps[at], len(group) - _ALIKE if at == group[0] else 0)
            room -= json_size(step) + 2
            if room < 0:
                break
            sent[at] = len(made["steps"])
            made["steps"].append(step)
    made["left_out"] = sum(not any(at in sent for at in group) for group in groups)
    _add_parts(made, code, sent, room)
    return made


def cell_text(code: AnswerCode, made: CodeText, taken: Iterable[str], *, max_bytes: int = MAX_BYTES) -> str:
    """Returns the code as a cell that binds none of some names; empty if that has no room.

    Args:
        code: the code.
        made: what the page is sent of it.
        taken: names of the notebook's variables.
        max_bytes: of all of it as JSON.
    """
    cell = clean(without_secrets(code.cell(taken)))
    return "" if made["cut"] or json_size(made) + json_size(cell) > max_bytes else cell


def kept_code(code: AnswerCode | None, level: Level) -> AnswerCode | None:
    """Returns the code if a file of that level may have it: recorded answers of a model are data."""
    if code is None or level == "structure" or (level == "redacted" and code.recorded):
        return None
    if level == "all":
        return code
    kept = AnswerCode(code.written, code.of_characters, whole=code.whole)
    kept.verdict = code.verdict  # without its detail, which may quote what differs
    return kept


def _fitted(source: str, room: int) -> tuple[str, int]:
    """Returns as many lines of a text as fit, and how many characters that leaves out."""
    kept = source
    while json_size(kept) > room and kept:
        shorter = min(len(kept) - 1, max(1, len(kept) * room // json_size(kept)))
        kept = kept[: kept.rfind("\n", 0, shorter) + 1]
    return kept, len(source) - len(kept)


def _groups(steps: list[Step], root: str) -> list[list[int]]:
    """Returns the places of the steps, together those that stand for the same lines of the code."""
    groups: dict[object, list[int]] = {}
    for at, step in enumerate(steps):
        alike = (step.places, step.lines) if step.places and step.agent != root else at
        groups.setdefault(alike, []).append(at)
    return list(groups.values())


def _step(step: Step, alike: int) -> CodeStep:
    return {
        "agent": one_line(step.agent, 80),
        "turn": step.turn,
        "cell": step.cell,
        "lines": step.lines,
        "places": list(step.places),
        "flow": one_line(step.flow, _FLOW),
        "filters": [one_line(text, _FILTER) for text in step.filters],
        "alike": max(0, alike),
    }


def _add_parts(made: CodeText, code: AnswerCode, sent: dict[int, int], room: int) -> None:
    """Add the parts of the answer, as many as there is room for."""
    places = {id(step): at for at, step in enumerate(code.steps)}
    labels: dict[str, set[int]] = {}
    for key in code.parts[:_PARTS]:
        rests = {places[id(step)] for step in code.part(key)}
        labels.setdefault(part_label(key), set()).update(sent[at] for at in rests if at in sent)
    for label, rests in labels.items():
        room -= json_size([label, sorted(rests)]) + 4
        if room < 0:
            return
        made["parts"][label] = sorted(rests)


def part_label(key: Key) -> str:
    """Returns a key as the card shows it; of a list the place of the item."""
    return one_line(key if isinstance(key, str) else short(key, _LABEL), _LABEL)
