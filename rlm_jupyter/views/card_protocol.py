"""The answer card in the messages between the widget's two sides: a part of `protocol`, and declared as there."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

TextStyle = Literal["", "strong", "emphasis", "code"]

StyledText = tuple[TextStyle, str]
"""A stretch of text in one style."""


class TextBlock(TypedDict):
    """A paragraph, heading, item of a list, quotation or block of code."""

    kind: Literal["paragraph", "heading", "item", "quote", "code"]
    text: list[StyledText]
    level: int
    """Of a heading, from 1; of an item or quotation, how far it is indented, from 0."""
    number: int | None
    """Of an item of a numbered list."""


class CardColumn(TypedDict):
    """A column of a table on a card."""

    name: str
    number: bool
    index: bool


class CardPicture(TypedDict):
    """A chart on a card."""

    width: int
    height: int
    png: str
    """Base64, written by the notebook's process."""


class CardPassage(TypedDict):
    """A passage of the data that an answer cites, as it was found there: where it stands, and what is around it."""

    place: str
    """Such as `context, line 3`."""
    quote: str
    before: str
    after: str


class CardPart(TypedDict):
    """A value on a card, or a part of one; each has its `kind`, and what goes with it."""

    kind: Literal["text", "number", "plain", "table", "record", "list", "picture"]
    type: NotRequired[str]
    label: NotRequired[str]
    """Its key in a dict."""
    text: NotRequired[str]
    """Of a number all digits, as JavaScript could not hold them."""
    unit: NotRequired[str]
    blocks: NotRequired[list[TextBlock]]
    """A text, cut into what it consists of."""
    passage: NotRequired[CardPassage]
    """Of a text that is a passage of the data; it is quoted, not set as Markdown."""
    columns: NotRequired[list[CardColumn]]
    rows: NotRequired[list[list[str]]]
    parts: NotRequired[list[CardPart]]
    shape: NotRequired[str]
    """Such as `1,200 rows, 6 columns`."""
    more: NotRequired[str]
    """What of it is not on the card, such as `1,190 more rows`."""
    picture: NotRequired[CardPicture]


class CardAgreement(TypedDict):
    """What the samples of a question say of its answer."""

    text: str
    """Such as `2 of 3 agree`."""
    state: Literal["all", "some", "none"]
    """How many agree with the answer: all, more than one, or at most one."""
    why: str
    """What the agent that reconciled them says of its check; may be empty."""
    check: str
    """What its check gave."""
    table: CardPart | None
    """Where the answers differ."""


class Card(TypedDict):
    """What a run was asked for, and what that took; there is none while it goes on."""

    title: str
    """`Answer`, `Partial answer` or `No answer`."""
    value: CardPart | None
    summary: str
    """What the value is, on one line."""
    whole: bool
    """Whether nothing of the value is missing on the card."""
    agreement: CardAgreement | None
    """Of the samples of the question; null if it had none."""
    error: str | None
    facts: list[str]
    assumptions: NotRequired[list[str]]
    """What agents asked the user and took for granted, because nobody answered; with the reason."""
    seen: str
    """How much of the data the model was shown."""
