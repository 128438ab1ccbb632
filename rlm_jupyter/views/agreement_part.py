"""What a card says of the samples of a question: how many agree with the answer, and where the others differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.events.agreement import agreement_text
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.text.units import amount
from rlm_jupyter.views.json_numbers import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rlm_jupyter.views.card_protocol import CardAgreement, CardPart

_ROWS, _COLUMNS = 20, 8
_CELL, _WHY = 120, 1000


def agreement_part(told: Mapping[str, Any] | None) -> CardAgreement | None:
    """Returns what a card says of the samples; None if the question had none.

    Args:
        told: the fields of `SamplesCompared`, which may come from a log that somebody made.
    """
    if told is None:
        return None
    numbers = {name: count(told.get(name) or 0) for name in ("agreeing", "ran", "asked", "answered")}
    own = told.get("own") is True
    agree = numbers["agreeing"] == numbers["ran"]
    return {
        "text": agreement_text({**numbers, "own": own}),
        "state": "all" if agree else "some" if numbers["agreeing"] > 1 else "none",
        "why": clean(told.get("why") or "", _WHY),
        "check": one_line(told.get("check") or "", _CELL),
        "table": _table(told),
    }


def _table(told: Mapping[str, Any]) -> CardPart | None:
    columns, rows = (_items(told.get(name)) for name in ("columns", "rows"))
    if not rows or len(columns) < 2:  # noqa: PLR2004 - the place, and an answer
        return None
    columns = columns[:_COLUMNS]
    lines = [[one_line(cell, _CELL) for cell in _items(row)[: len(columns)]] for row in rows[:_ROWS]]
    made: CardPart = {
        "kind": "table",
        "columns": [
            {"name": one_line(name, _CELL), "number": False, "index": at == 0}
            for at, name in enumerate(columns)
        ],
        "rows": [line + [""] * (len(columns) - len(line)) for line in lines],
        "shape": amount(len(lines), "difference"),
    }
    if more := count(told.get("more") or 0) + len(rows) - len(lines):
        made["more"] = amount(more, "more difference")
    return made


def _items(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def agreement_words(part: CardAgreement) -> Iterator[str]:
    """Yields what stands besides the table, a line each: how many agree, what a verification found."""
    yield part["text"]
    if part["why"]:
        check = f" (its check gave {part['check']})" if part["check"] else ""
        yield f"Verified: {one_line(part['why'], _WHY)}{check}"
