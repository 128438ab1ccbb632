"""The answer's card in a terminal where `rich` is installed: a frame, with tables as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.views.text_card import card_lines, part_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rlm_jupyter.views.card_protocol import Card, CardPart


def rich_card(card: Card) -> RenderableType:
    """Returns what `rich` draws of a card; all text of it is text, and no markup.

    Args:
        card: as `answer_card` makes it: clean and bounded.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    whole = card["value"] is not None and card["error"] is None
    parts: list[RenderableType] = []
    if card["error"]:
        parts.append(Text("\n".join(card_lines({**card, "value": None, "assumptions": []})), style="red"))
    if card["value"] is not None:
        parts.append(_part(card["value"], large=True))
    if taken := card.get("assumptions"):
        parts.append(Text("\n".join(["Assumptions:", *(f"  {line}" for line in taken)]), style="yellow"))
    parts.append(Text(" · ".join(card["facts"]), style="dim"))
    parts.append(Text(card["seen"], style="dim"))
    return Panel(
        Group(*parts),
        title=Text(card["title"], style="bold"),
        title_align="left",
        border_style="green" if whole else "yellow",
        expand=False,
    )


def _part(part: CardPart, *, large: bool = False) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    kind = part["kind"]
    if kind == "table":
        return _table(part)
    if kind == "record" and part.get("parts"):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column()
        for item in part["parts"]:
            grid.add_row(Text(item.get("label", "")), _part(item))
        more = [Text(f"… {part['more']}", style="dim")] if part.get("more") else []
        return Group(grid, *more)
    return Text("\n".join(part_lines(part)), style="bold" if kind == "number" and large else "")


def _table(part: CardPart) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in part.get("columns", []):
        table.add_column(
            Text(column["name"]), justify="right" if column["number"] else "left", overflow="fold"
        )
    for row in part.get("rows", []):
        table.add_row(*map(Text, row))
    told = [part.get("shape", ""), f"{part['more']} not shown" if part.get("more") else ""]
    return Group(table, Text(" · ".join(filter(None, told)), style="dim"))
