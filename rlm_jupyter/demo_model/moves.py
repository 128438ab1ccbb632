"""What all of the demo's moves have in common: a reply, and what is read of the output before it."""

from __future__ import annotations

import re

from rlm_jupyter.demo_model.literals import in_text
from rlm_jupyter.demo_model.read_chat import Talk
from rlm_jupyter.demo_model.table_answers import final, plain

LARGE = 200_000
"""Rows of a table, or characters of a text, from which on its parts go to sub-agents."""
SEVERAL = 20_000
"""The same, of all, where there are several tables or documents."""

_NO_CHART = "There is no chart: matplotlib is not installed where agents run. "


def say(thought: str, cell: str) -> str:
    """Returns a reply; its fence is longer than any in the code, which quotes names of the data."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", cell)), default=0))
    return f"{thought}\n\n{fence}repl\n{cell}\n{fence}"


def trouble(talk: Talk, text: str) -> str:
    """Returns the reply that says what the data is, where a script can do no more."""
    data = talk.given[-1].variable if talk.given else "context"
    said = f"{in_text(text)} The data is a {{type({data}).__name__}}{{size}}."
    cell = f'size = f" of length {{len({data}):,}}" if hasattr({data}, "__len__") else ""\n{final(said)}'
    return say("A script can do no more here, so I say what the data is.", cell)


def failed(talk: Talk) -> str:
    """Returns the reply to an output that is not what the cell before it should have printed."""
    return trouble(talk, f"The scripted demo could not deal with this data: {last_line(talk.last)}")


def empty() -> str:
    """Returns the reply for data that is empty."""
    return say("There is nothing in it.", plain("The data is empty: there is nothing to find."))


def missing_parts(output: str) -> list[int] | None:
    """Returns which sub-agents gave no answer, by what the cell that asked them printed; None if it printed nothing."""
    found = re.search(r"^\[((?:True|False)(?:, (?:True|False))*)\]$", output, re.MULTILINE)
    return None if found is None else [i for i, one in enumerate(found[1].split(", ")) if one == "False"]


def parts_are_in(missing: list[int]) -> str:
    """Returns the sentence for what sub-agents have answered."""
    if not missing:
        return "All parts are in. Their figures add up, so I put them together."
    many = f"{len(missing)} parts have" if len(missing) > 1 else "One part has"
    return f"{many} no answer, so I compute that here, and put all parts together."


def chart_state(talk: Talk, *, draw: bool) -> str | None:
    """Returns `drawn` if there is a chart, else why there is none, or nothing; None if it is to be drawn now."""
    if not draw or (talk.last_turn and not talk.wrote("axes")):
        return "There was no turn left to draw a chart. " if draw else ""
    if not talk.wrote("axes"):
        return None
    if re.search(r"^drawn$", talk.last, re.MULTILINE):
        return "drawn"
    missing = "matplotlib" in talk.last and re.search(r"(?:Import|ModuleNotFound)Error", talk.last)
    return _NO_CHART if missing else "There is no chart: it could not be drawn. "


def last_line(message: str) -> str:
    """Returns the last line of a message that tells an error, or its last line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w*(?:Error|Exception|Interrupt)\b", line)]
    return " ".join((errors or lines or [""])[-1].split())[:300]


def described_size(talk: Talk) -> int:
    """Returns the number that the description of an agent's data begins with: rows, keys or characters; else 0."""
    head = talk.given[0].described.split("\n", 1)[0] if talk.given else ""
    found = re.match(r"\w+ (?:of )?(\d[\d,]*)", head)
    return int(found[1].replace(",", "")) if found else 0
