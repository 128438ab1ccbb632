"""The answer's card as plain text, for terminals, logs and the text of a saved notebook."""

from __future__ import annotations

from collections.abc import Iterator

from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.agreement_part import agreement_words
from rlm_jupyter.views.answer_card import is_inline
from rlm_jupyter.views.card_protocol import Card, CardPart, TextBlock

_WIDTH = 100
_CELL = 32
_TABLE = 120
_QUOTE = 200
"""Characters of a passage of the data; its place says where all of it is."""
_MAX_LINES = 120


def card_lines(card: Card, width: int = _WIDTH) -> list[str]:
    """Returns the lines of a card: `Answer: 12.5 %`, or the title and the value below it, set in.

    Args:
        card: as `answer_card` makes it: clean and bounded.
        width: of a short value that stands beside the title.
    """
    lines: list[str] = []
    if card["value"] is not None:
        told = list(part_lines(card["value"]))
        if len(told) == 1 and len(told[0]) <= width:
            lines.append(f"{card['title']}: {told[0]}")
        else:
            about = f" ({card['summary']})" if card["summary"] else ""
            more = [f"… {len(told) - _MAX_LINES:,} more lines"] if len(told) > _MAX_LINES else []
            lines += [f"{card['title']}{about}:", *(f"   {line}" for line in [*told[:_MAX_LINES], *more])]
    if (agreement := card["agreement"]) is not None:
        lines += [
            f"Samples: {line}" if at == 0 else f"   {line}"
            for at, line in enumerate(agreement_words(agreement))
        ]
        lines += [f"   {line}" for line in (part_lines(agreement["table"]) if agreement["table"] else ())]
    if taken := card.get("assumptions"):
        lines += ["Assumptions:", *(f"   {line}" for line in taken)]
    if card["error"]:
        first, *others = card["error"].split("\n")
        lines += [f"Error: {first}", *(f"       {line}" for line in others)]
    return lines


def fits(card: Card) -> bool:
    """Returns whether the lines of a card show as much as the card itself."""
    value = card["value"]
    return value is not None and len(list(part_lines(value))) <= _MAX_LINES and _fits(value)


def _fits(part: CardPart) -> bool:
    if part["kind"] == "table":
        lines = [[column["name"] for column in part.get("columns", [])], *part.get("rows", [])]
        wide = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return all(width <= _CELL for width in wide) and sum(wide) + 2 * len(wide) <= _TABLE
    if "passage" in part:
        return len(part["passage"]["quote"]) <= _QUOTE
    return part["kind"] != "picture" and all(map(_fits, part.get("parts", [])))


def part_lines(part: CardPart) -> Iterator[str]:
    """Yields the lines of a value, or of a part of one."""
    match part["kind"]:
        case "number":
            yield " ".join(filter(None, [part.get("text", ""), part.get("unit", "")]))
        case "text" if "passage" in part:
            passage = part["passage"]
            yield f"“{one_line(passage['quote'], _QUOTE)}” [{passage['place']}]"
        case "text":
            yield from _text(part.get("blocks", []))
        case "table":
            yield from _table(part)
            return
        case "record" | "list":
            yield from _items(part)
        case _:
            yield from (part.get("text") or "").split("\n")
    if part.get("more"):
        yield f"… {part['more']}"


def _items(part: CardPart) -> Iterator[str]:
    parts = part.get("parts", [])
    if not parts and not part.get("more"):
        yield "{} (empty)" if part["kind"] == "record" else "[] (empty)"
    if is_inline(part) and parts:
        yield ", ".join(next(part_lines(one)) for one in parts)
        return
    for item in parts:
        mark = f"{item.get('label', '')}: " if part["kind"] == "record" else "- "
        lines = list(part_lines(item)) or [""]
        if len(lines) == 1:
            yield mark + lines[0]
        elif part["kind"] == "record":
            yield mark.rstrip()
            yield from (f"   {line}" for line in lines)
        else:
            yield mark + lines[0]
            yield from (f"  {line}" for line in lines[1:])


def _text(blocks: list[TextBlock]) -> Iterator[str]:
    before = ""
    for block in blocks:
        if before and not (before == block["kind"] == "item"):
            yield ""
        before = block["kind"]
        words = "".join(text for _, text in block["text"])
        first, *others = words.split("\n")
        if block["kind"] == "item":
            mark = "• " if block["number"] is None else f"{block['number']}. "
            indent = "  " * block["level"]
            yield f"{indent}{mark}{first}"
            yield from (f"{indent}{' ' * len(mark)}{line}" for line in others)
        else:
            margin = {"code": "    ", "quote": "│ "}.get(block["kind"], "")
            yield from (f"{margin}{line}" for line in [first, *others])


def _table(part: CardPart) -> Iterator[str]:
    columns = part.get("columns", [])
    lines = [[column["name"] for column in columns], *part.get("rows", [])]
    short = [[one_line(cell, _CELL) for cell in line] for line in lines]
    widths = [max((len(line[n]) for line in short if n < len(line)), default=0) for n in range(len(columns))]
    shown, room = 0, _TABLE
    while shown < len(columns) and (shown == 0 or room >= widths[shown]):
        room -= widths[shown] + 2
        shown += 1
    for line in short:
        cells = [
            cell.rjust(width) if column["number"] else cell.ljust(width)
            for cell, width, column in zip(line[:shown], widths, columns, strict=False)
        ]
        yield "  ".join(cells).rstrip()
    hidden = len(columns) - shown
    told = [part.get("shape", ""), f"{part['more']} not shown" if part.get("more") else ""]
    told.append(f"{hidden} columns do not fit here" if hidden else "")
    yield f"[{' · '.join(filter(None, told))}]"
