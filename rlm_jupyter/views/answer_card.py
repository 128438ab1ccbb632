"""The card that opens a run's tree: what was asked for, as a reader wants to see it, and in small print what it took.

One pure function of the tree for the widget, the static tree and the terminal. It reads the excerpt of the value that
the run's last event has, else the value's description; both may come from a log that somebody made, so that every field
is checked and bounded here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.values.charts.embedded import fitted
from rlm_jupyter.views.agreement_part import agreement_part
from rlm_jupyter.views.card_protocol import (
    Card,
    CardColumn,
    CardPart,
    CardPassage,
    CardPicture,
    TextBlock,
)
from rlm_jupyter.views.description import description
from rlm_jupyter.views.json_numbers import whole
from rlm_jupyter.views.markdown_blocks import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.events.events import CellPicture
    from rlm_jupyter.events.tree_state import TreeState

MAX_CHARS = 14_000
"""Of all texts of a card."""
PICTURE_CHARS = 32_000
"""Of all pictures of a card, in base64."""
_PARTS = 120
_ITEMS = 30
_DEPTH = 5
_ROWS = 12
_COLUMNS = 17
_CELL = 120
_LINE = 300
_ERROR = 1500
_ASSUMPTIONS = 20
_PASSAGE = 4000
_AROUND = 400
_PICTURES = 6
_LEAST_PICTURE = 400
_NUMBER_TEXT = 40
_INLINE = 72
_UNITS = {"unit", "units", "currency"}
_AMOUNTS = {"value", "amount", "number", "total", "quantity"}
_WITH_UNIT = re.compile(
    r"(?P<before>[$€£¥])?\s?(?P<number>[-+\u2212]?\d[\d.,_]{0,24})\s?(?P<after>%|[^\W\d_][\w/°²³µ·]{0,11})?"
)


def answer_card(state: TreeState, *, picture_chars: int = PICTURE_CHARS) -> Card | None:
    """Make the card of a run; None while it goes on.

    Args:
        state: the tree; hold the run's lock while it is live.
        picture_chars: of its pictures in base64; they are made smaller to fit.
    """
    if state.status == "running":
        return None
    making = _Making(state.pictures, picture_chars)
    value = making.value(state.excerpt, state.value)
    partial = state.status != "done"
    error = None
    if state.error or partial:
        name = f"{one_line(state.error_type, 60)}: " if state.error_type else ""
        error = name + clean(state.error or _ENDS.get(state.status, state.status), _ERROR)
    card: Card = {
        "title": "No answer" if value is None else "Partial answer" if partial else "Answer",
        "value": value,
        "summary": one_line((state.value or {}).get("summary") or "")
        if isinstance(state.value, dict)
        else "",
        "whole": making.whole,
        "agreement": agreement_part(state.agreement),
        "error": error,
        "facts": facts(state),
        "seen": seen(state),
    }
    if taken := assumptions(state):
        card["assumptions"] = taken
    return card


_ENDS = {
    "stopped": "The run was stopped.",
    "limit": "A limit of the run was reached.",
    "failed": "The run failed.",
}


def facts(state: TreeState) -> list[str]:
    """Returns what a run took: agents, completions, tokens, money, time."""
    about = "about " if state.estimated else ""
    return [
        fmt.amount(state.own_agents, "agent"),
        fmt.amount(state.calls, "call"),
        f"{about}{fmt.count(state.input_tokens + state.output_tokens)} tokens",
        "cost unknown" if state.cost is None else fmt.money(state.cost),
        fmt.duration(state.elapsed),
    ]


def assumptions(state: TreeState) -> list[str]:
    """Returns what agents asked the user and took for granted instead, a line each."""
    taken = [one for one in state.user_answers if one.by == "default"]
    lines = [
        f"{one_line(one.question, _LINE)} Assumed: {one_line(one.answer, _CELL)}"
        f" ({one_line(one.reason or 'nobody answered', _CELL)})"
        for one in taken[:_ASSUMPTIONS]
    ]
    return [*lines, *([f"{len(taken) - len(lines):,} more"] if len(taken) > len(lines) else [])]


def seen(state: TreeState) -> str:
    """Returns how much the model was shown of the data and of what code printed, beside how much data there is."""
    shown = f"The model was shown {fmt.amount(state.seen_chars, 'character')} of samples and outputs"
    size = whole((state.context or {}).get("bytes"))
    if not size:
        return shown
    share = state.seen_chars / size
    part = f" ({_percent(share)})" if share < 1 else ""
    return f"{shown}; the data has {fmt.size(size)}{part}"


def _percent(share: float) -> str:
    value = 100 * share
    if 0 < value < 0.001:  # noqa: PLR2004
        return "under 0.001 %"
    return f"about {value:.0f} %" if value >= 10 or value == 0 else f"about {float(f'{value:.2g}'):g} %"  # noqa: PLR2004


class _Making:
    """One making of a card: keeps the account of what there is room for, and whether something is missing."""

    def __init__(self, pictures: Sequence[CellPicture], picture_chars: int) -> None:
        self.whole = True
        self._pictures = list(pictures[:_PICTURES])
        self._picture_chars = picture_chars // max(1, len(self._pictures))
        self._chars = MAX_CHARS
        self._parts = _PARTS

    def value(self, excerpt: object, described: object) -> CardPart | None:
        """Make the part for the whole value; None if there is no value."""
        if isinstance(excerpt, Mapping):
            self.whole = excerpt.get("whole") is True
            made = self.part(excerpt, 0)
            if made is not None:
                return made
        self.whole = False
        return self._described(described)

    def _take(self, text: str) -> str:
        kept = text[: max(0, self._chars)]
        self._chars -= len(kept)
        self.whole = self.whole and len(kept) == len(text)
        return kept

    def _line(self, text: object, limit: int = _CELL) -> str:
        made = one_line(text, limit)
        if isinstance(text, str) and len(" ".join(text.split())) > limit:
            self.whole = False
        return self._take(made)

    def part(self, given: object, depth: int) -> CardPart | None:
        """Check and bound a part of an excerpt; None if it is none."""
        if not isinstance(given, Mapping) or depth > _DEPTH or self._parts <= 0:
            self.whole = False
            return None
        self._parts -= 1
        makers = {
            "text": self._text,
            "number": self._scalar,
            "plain": self._scalar,
            "table": self._table,
            "picture": self._picture,
        }
        kind = given.get("kind")
        if kind in ("record", "list"):
            made = self._container(given, depth)
        elif isinstance(kind, str) and kind in makers:
            made = makers[kind](given)
        else:
            self.whole = False
            return None
        made["type"] = one_line(given.get("type") or "", 60)
        if "label" in given:
            made["label"] = self._line(given["label"])
        return made

    def _text(self, given: Mapping[str, Any]) -> CardPart:
        text = given["text"] if isinstance(given.get("text"), str) else ""
        if isinstance(given.get("passage"), Mapping):
            return self._passage(text, given["passage"])
        if (number := _number_of(text)) is not None:
            return number
        length = whole(given.get("length"))
        length = len(text) if length is None else length
        room = max(0, self._chars)
        made = blocks(text, limit=room)
        self._chars -= min(room, len(text))
        part: CardPart = {"kind": "text", "blocks": made}
        missing = max(length, len(text)) - min(room, len(text))
        if missing > 0:
            self.whole = False
            part["more"] = fmt.amount(missing, "more character")
        return part

    def _passage(self, text: str, given: Mapping[str, Any]) -> CardPart:
        quote = self._take(clean(text, _PASSAGE))
        around = (given.get(side) if isinstance(given.get(side), str) else "" for side in ("before", "after"))
        before, after = (clean(side, _AROUND) for side in around)
        self._chars -= len(before) + len(after)
        block: TextBlock = {"kind": "quote", "text": [("", quote)], "level": 0, "number": None}
        place = self._take(f"{one_line(given.get('source') or 'context', _CELL)}{_lines(given.get('lines'))}")
        passage: CardPassage = {"place": place, "quote": quote, "before": before, "after": after}
        return {"kind": "text", "blocks": [block], "passage": passage}

    def _scalar(self, given: Mapping[str, Any]) -> CardPart:
        kind: Any = "number" if given["kind"] == "number" else "plain"
        return {"kind": kind, "text": self._line(given.get("text"), _LINE)}

    def _container(self, given: Mapping[str, Any], depth: int) -> CardPart:
        items = given.get("parts")
        found = list(items[:_ITEMS]) if isinstance(items, (list, tuple)) else []
        if depth <= 1 and given["kind"] == "record" and (number := _with_unit(found)) is not None:
            return number
        parts = [part for item in found if (part := self.part(item, depth + 1)) is not None]
        length = whole(given.get("length"))
        made: CardPart = {"kind": "record" if given["kind"] == "record" else "list", "parts": parts}
        missing = (len(found) if length is None else length) - len(parts)
        if missing > 0:
            self.whole = False
            made["more"] = f"{fmt.count(missing)} more"
        return made

    def _table(self, given: Mapping[str, Any]) -> CardPart:
        columns, rows = (
            list(given[name]) if isinstance(given.get(name), (list, tuple)) else []
            for name in ("columns", "rows")
        )
        if len(columns) > _COLUMNS or len(rows) > _ROWS:
            self.whole = False
        shown = [self._column(column) for column in columns[:_COLUMNS]]
        lines: list[list[str]] = []
        for row in rows[:_ROWS]:
            cells = list(row[: len(shown)]) if isinstance(row, (list, tuple)) else []
            lines.append([self._line(cell) for cell in cells] + [""] * (len(shown) - len(cells)))
        made: CardPart = {"kind": "table", "columns": shown, "rows": lines}
        shape = given.get("shape")
        sides = [whole(side) for side in shape[:8]] if isinstance(shape, (list, tuple)) else []
        if sides and sides[0] is not None:
            indexes = sum(column["index"] for column in shown)
            wide = sides[1] if len(sides) > 1 else None
            made["shape"] = " \u00d7 ".join(
                [fmt.amount(sides[0], "row"), *([fmt.amount(wide, "column")] if wide is not None else [])]
            )
            more = [
                fmt.amount(missing, f"more {noun}")
                for missing, noun in (
                    (sides[0] - len(lines), "row"),
                    ((wide or 0) - (len(shown) - indexes), "column"),
                )
                if missing > 0
            ]
            if more:
                self.whole = False
                made["more"] = ", ".join(more)
        return made

    def _column(self, given: object) -> CardColumn:
        known = given if isinstance(given, Mapping) else {}
        return {
            "name": self._line(known.get("name") or "", 80),
            "number": known.get("number") is True,
            "index": known.get("index") is True,
        }

    def _picture(self, given: Mapping[str, Any]) -> CardPart:
        made: CardPart = {"kind": "picture", "text": self._line(given.get("text"), _LINE)}
        at = given.get("picture")
        shown = self._shown(at) if isinstance(at, int) and not isinstance(at, bool) else None
        if shown is None:
            self.whole = False
        else:
            made["picture"] = shown
        return made

    def _shown(self, at: int) -> CardPicture | None:
        if not 0 <= at < len(self._pictures) or self._picture_chars < _LEAST_PICTURE:
            return None
        made = fitted(self._pictures[at].png, self._picture_chars)
        return None if made is None else {"width": made.width, "height": made.height, "png": made.base64}

    # ---- without an excerpt: large values, and those that only an agent's kernel can decode

    def _described(self, given: object) -> CardPart | None:
        known = description(given, rows=8, preview=4000, columns=12, items=20)
        if known is None:
            return None
        summary = self._line(known.get("summary"), _LINE)
        kind = known.get("type") or ""
        made: CardPart
        columns, items = known.get("columns") or [], known.get("items") or []
        if columns and known.get("rows"):
            heads = [
                {
                    "name": column["name"],
                    "number": _NUMBERS.match(column.get("dtype", "")) is not None,
                    "index": False,
                }
                for column in columns
            ]
            made = self._table({"columns": heads, "rows": known["rows"], "shape": known.get("shape")})
        elif items:
            parts: list[CardPart] = []
            for item in items:
                part: CardPart = {"kind": "plain", "text": self._take(item.get("summary", ""))}
                key = item.get("key")
                if key is not None:
                    part["label"] = self._take(key)
                parts.append(part)
            made = {"kind": "record" if all("label" in part for part in parts) else "list", "parts": parts}
            if (missing := (known.get("length") or 0) - len(parts)) > 0:
                made["more"] = f"{fmt.count(missing)} more"
        elif kind == "str" and known.get("preview"):
            made = self._text({"text": known["preview"], "length": known.get("length")})
        else:
            made = {"kind": "plain", "text": self._take(known.get("preview") or summary)}
        made["type"] = kind
        return made


def _lines(given: object) -> str:
    """Returns `, lines 3` and so on; nothing if it is not known which they are."""
    ends = [whole(end) for end in given[:2]] if isinstance(given, (list, tuple)) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:  # noqa: PLR2004
        return ""
    return f", line {ends[0]:,}" if ends[0] == ends[1] else f", lines {ends[0]:,}–{ends[1]:,}"  # noqa: RUF001 - a range


def is_inline(part: CardPart) -> bool:
    """Returns whether a list is one of a few short numbers and words, which stand on one line."""
    parts = part.get("parts", [])
    if part["kind"] != "list" or any(one["kind"] not in ("number", "plain") for one in parts):
        return False
    return sum(len(one.get("text", "")) + len(one.get("unit", "")) + 2 for one in parts) <= _INLINE


_NUMBERS = re.compile(r"(?:u?int|float|decimal|complex)", re.IGNORECASE)


def _number_of(text: str) -> CardPart | None:
    """Returns a short text that is a number with its unit, such as `12.5 %` or `€ 4,200`; None if it is not."""
    if len(text) > _NUMBER_TEXT:
        return None
    found = _WITH_UNIT.fullmatch(text.strip())
    if found is None or (found["before"] and found["after"]):
        return None
    number = (found["before"] or "") + found["number"]
    part: CardPart = {"kind": "number", "text": number}
    if found["after"]:
        part["unit"] = found["after"]
    return part


def _with_unit(parts: Sequence[object]) -> CardPart | None:
    """Returns a record of a number and its unit as the number; None if it has anything else."""
    if len(parts) != 2 or not all(isinstance(part, Mapping) for part in parts):  # noqa: PLR2004
        return None
    named: dict[str, Any] = {str(part.get("label")).lower(): part for part in parts}  # type: ignore[attr-defined]  # mappings
    amount = next((named[name] for name in _AMOUNTS & named.keys()), None)
    unit = next((named[name] for name in _UNITS & named.keys()), None)
    if amount is None or unit is None or amount.get("kind") != "number" or unit.get("kind") != "text":
        return None
    return {
        "kind": "number",
        "text": one_line(amount.get("text"), _LINE),
        "unit": one_line(unit.get("text"), 40),
    }
