"""The answer's card as static HTML: the same data as on the live card, and nothing from it becomes markup."""

from __future__ import annotations

from html import escape

from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.agreement_part import agreement_words
from rlm_jupyter.views.answer_card import is_inline
from rlm_jupyter.views.card_protocol import Card, CardAgreement, CardPart, CardPassage, TextBlock

_STYLES = {"strong": "strong", "emphasis": "em", "code": "code"}
_QUOTE = 160
"""Characters of a passage that is closed."""
_WIDTH = 640
"""Pixels of a chart on the page at most."""


def card_html(card: Card) -> str:
    """Render a card.

    Args:
        card: as `answer_card` makes it: clean and bounded.
    """
    error = f'<div class="rlm-s-error">{escape(card["error"])}</div>' if card["error"] else ""
    value = f'<div class="rlm-s-answer">{_part(card["value"], large=True)}</div>' if card["value"] else ""
    return (
        f'<div class="rlm-s-card"><div class="rlm-s-dim"><b>{escape(card["title"])}</b></div>{error}{value}'
        f"{_agreement(card['agreement'])}"
        f"{_assumptions(card.get('assumptions', []))}"
        f'<div class="rlm-s-dim">{escape(" · ".join(card["facts"]))}</div>'
        f'<div class="rlm-s-dim">{escape(card["seen"])}</div></div>'
    )


def _agreement(agreement: CardAgreement | None) -> str:
    if agreement is None:
        return ""
    first, *others = [escape(line) for line in agreement_words(agreement)]
    words = "".join(f'<div class="rlm-s-dim">{line}</div>' for line in others)
    table = _table(agreement["table"]) if agreement["table"] is not None else ""
    return f'<div class="rlm-s-agreement"><b>{first}</b>{words}{table}</div>'


def _assumptions(lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="rlm-s-note"><b>Assumptions</b><ul>{items}</ul></div>'


def _part(part: CardPart, *, large: bool = False) -> str:
    match part["kind"]:
        case "text" if "passage" in part:
            made = _passage(part["passage"])
        case "text":
            made = "".join(_blocks(part.get("blocks", []))) + _more(part)
        case "table":
            made = _table(part)
        case "record" | "list":
            made = _items(part)
        case "picture":
            made = _picture(part)
        case "number":
            unit = f" {escape(part['unit'])}" if part.get("unit") else ""
            made = f"<strong>{escape(part.get('text', ''))}</strong>{unit}"
            made = f'<div class="rlm-s-big">{made}</div>' if large else made
        case _:
            made = escape(part.get("text", ""))
    return made


def _passage(passage: CardPassage) -> str:
    """Render a passage as what opens it where it stands: without a script, and without the kernel."""
    inside = f"{escape(passage['before'])}<mark>{escape(passage['quote'])}</mark>{escape(passage['after'])}"
    short = escape(one_line(passage["quote"], _QUOTE))
    return (
        f'<details class="rlm-s-passage"><summary>“{short}” <u>{escape(passage["place"])}</u></summary>'
        f"<pre>{inside}</pre></details>"
    )


def _items(part: CardPart) -> str:
    parts, is_record = part.get("parts", []), part["kind"] == "record"
    if not parts and not part.get("more"):
        return "{} (empty)" if is_record else "[] (empty)"
    if is_record:
        rows = "".join(
            f"<tr><td>{escape(one.get('label', ''))}</td><td>{_part(one)}</td></tr>" for one in parts
        )
        return f'<table class="rlm-s-record">{rows}</table>{_more(part)}'
    if is_inline(part):
        more = f" … {escape(part['more'])}" if part.get("more") else ""
        return ", ".join(map(_part, parts)) + more
    return f"<ul>{''.join(f'<li>{_part(one)}</li>' for one in parts)}</ul>{_more(part)}"


def _more(part: CardPart) -> str:
    return f'<div class="rlm-s-dim">… {escape(part["more"])}</div>' if part.get("more") else ""


def _table(part: CardPart) -> str:
    columns = part.get("columns", [])
    kinds = [' class="rlm-s-number"' if column["number"] else "" for column in columns]
    head = "".join(
        f"<th{kind}>{escape(column['name'])}</th>" for kind, column in zip(kinds, columns, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for kind, cell in zip(kinds, row, strict=False))}</tr>"
        for row in part.get("rows", [])
    )
    told = [part.get("shape", ""), f"{part['more']} not shown" if part.get("more") else ""]
    shape = escape(" · ".join(filter(None, told)))
    table = f"<table><tr>{head}</tr>{body}</table>"
    return f'<div class="rlm-s-wide" tabindex="0">{table}</div><div class="rlm-s-dim">{shape}</div>'


def _picture(part: CardPart) -> str:
    words = one_line(part.get("text", ""), 240)
    shown = part.get("picture")
    if shown is None:
        return escape(words)
    width = min(_WIDTH, shown["width"])
    alt = escape(words, quote=True)
    return f'<div><img alt="{alt}" width="{width}" src="data:image/png;base64,{shown["png"]}"></div>'


def _blocks(blocks: list[TextBlock]) -> list[str]:
    """Render a text; items that stand below each other become one list."""
    made: list[str] = []
    kind = ""
    for block in blocks:
        wanted = "" if block["kind"] != "item" else "ul" if block["number"] is None else "ol"
        if kind and kind != wanted:
            made.append(f"</{kind}>")
        if wanted and kind != wanted:
            start = f' start="{block["number"]}"' if wanted == "ol" else ""
            made.append(f"<{wanted}{start}>")
        kind = wanted
        made.append(_block(block))
    return [*made, f"</{kind}>" if kind else ""]


def _block(block: TextBlock) -> str:
    words = "".join(
        f"<{_STYLES[style]}>{escape(text)}</{_STYLES[style]}>" if style else escape(text)
        for style, text in block["text"]
    )
    match block["kind"]:
        case "heading":
            return f"<p><strong>{words}</strong></p>"
        case "item":
            deep = block["level"]
            return f"<li>{words}</li>" if not deep else f'<li class="rlm-s-in-{min(deep, 4)}">{words}</li>'
        case "code":
            return f"<pre>{words}</pre>"
        case "quote":
            return f"<blockquote>{words}</blockquote>"
    return f"<p>{words}</p>"
