"""The code behind an answer in the messages between the widget's two sides: a part of `protocol`, declared as there."""

from __future__ import annotations

from typing import Literal, TypedDict


class CodeStep(TypedDict):
    """A statement of the code: where it came from, and what it did to the data."""

    agent: str
    turn: int
    """0 is the first look at the data."""
    cell: int
    lines: tuple[int, int]
    """First and last line in that cell, from 1."""
    places: list[tuple[int, int]]
    """First and last line in the code, from 1."""
    flow: str
    """Rows in and out, such as `orders 5,000 → late 1,204 rows`; may be empty."""
    filters: list[str]
    """The conditions by which it chooses rows, as Python text."""
    alike: int
    """How many further agents ran the same statement."""


class CodeText(TypedDict):
    """The code behind an answer."""

    source: str
    cell: str
    """What is put into a cell: in a function where it would bind a variable of the notebook; empty for no room."""
    cut: int
    """Characters at its end that are not here."""
    verdict: Literal["reproduced", "differs", "failed", "not tried"]
    detail: str
    share: float
    """Of the characters of all code that ran."""
    recorded: int
    """Answers of plain completions that it holds."""
    steps: list[CodeStep]
    left_out: int
    """Steps that are not here."""
    parts: dict[str, list[int]]
    """Label of a part of the answer → the steps that it rests on, by their places in `steps`."""


class CodeMessage(TypedDict):
    """The answer to `code`."""

    kind: Literal["code"]
    request: str
    code: CodeText
