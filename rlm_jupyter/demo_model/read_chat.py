"""What the demo reads of a chat that this package made: the question, the data's names, what the first look saw."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlm_jupyter.models.base import Message

_OPENING = re.compile(
    r"\AQuestion:\n(?P<question>.*?)\n\n"
    r"(?:The data \(`context`(?:, (?P<names>[^)\n]*))?\):|(?P<none>There is no data besides))",
    re.DOTALL,
)
_FOLLOW_UP = re.compile(
    r"\A(?:Your answer was taken: .*?\.|That run ended before there was an answer\.) A follow-up question; "
    r"your kernel and all its variables are as you left them\.\n\nQuestion:\n(?P<question>.*?)\n\n"
    r"(?:More data \((?P<names>`context_\d+`[^)\n]*)\)"
    r"|You can also call these functions|More MCP servers|FINAL takes )",
    re.DOTALL,
)
_LOOK = re.compile(r"^LOOK (?P<json>\{.*\})$", re.MULTILINE)
_READ = re.compile(
    r"^`(?P<variable>frame|texts?|data|sheets|loaded)(?:\[[^`\n]*\])?` holds what is in ", re.MULTILINE
)
_LAST_TURN = "This is your last turn"
_ANY_ANSWER = "FINAL takes any object."


@dataclass(frozen=True)
class Given:
    """Data that was handed over with one question.

    Attributes:
        variable: the name that it always has: `context`, of follow-ups `context_2` and so on.
        names: the notebook's names of it, or of its items where it is several objects.
    """

    variable: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Talk:
    """What a chat says of the question that is due.

    Attributes:
        question: verbatim; of a follow-up, that one.
        earlier: the questions before it, the oldest first.
        given: all data, the oldest first; nothing if there is only the question.
        turn: the number of the reply that is due, counted from the question.
        last: the newest message.
        look: what the first cell after the question printed.
        leaf: whether there can be no sub-agents.
        last_turn: whether this reply must answer.
        has_schema: whether a typed answer is asked for.
    """

    question: str
    earlier: tuple[str, ...]
    given: tuple[Given, ...]
    turn: int
    last: str
    look: dict[str, Any] | None
    leaf: bool
    last_turn: bool
    has_schema: bool


def read_chat(messages: Sequence[Message]) -> Talk | None:
    """Understand a chat that this package made; None for any other."""
    if len(messages) < 2 or messages[0]["role"] != "system":  # noqa: PLR2004 - system and question
        return None
    opening = _OPENING.search(messages[1]["content"])
    if opening is None:
        return None
    questions = [opening["question"].strip()]
    given = [] if opening["none"] is not None else [_first_given(opening, messages[1]["content"])]
    at, asked = 1, opening
    for place, message in enumerate(messages):
        found = _FOLLOW_UP.search(message["content"]) if message["role"] == "user" else None
        if found is not None:
            at, asked = place, found
            questions.append(found["question"].strip())
            if (names := _names(found["names"])) != ():
                given.append(Given(names[0], names[1:]))
    after = messages[at + 1 :]
    rest = messages[at]["content"][asked.end("question") :]
    looks = [line for m in after if m["role"] == "user" for line in _LOOK.findall(m["content"])]
    return Talk(
        question=questions[-1],
        earlier=tuple(questions[:-1]),
        given=tuple(given),
        turn=1 + sum(message["role"] == "assistant" for message in after),
        last=messages[-1]["content"],
        look=_parse(looks[0]) if looks else None,
        leaf="You are at the depth limit" in messages[0]["content"],
        last_turn=_LAST_TURN in messages[-1]["content"],
        has_schema="\n\nFINAL takes " in rest.replace(_ANY_ANSWER, ""),
    )


def _first_given(opening: re.Match[str], text: str) -> Given:
    """Returns the data that came first; of files, what was read of them."""
    read = _READ.search(text, opening.end())
    return Given("context", _names(opening["names"])) if read is None else Given(read["variable"])


def _names(quoted: str | None) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", quoted or ""))


def _parse(text: str) -> dict[str, Any] | None:
    try:
        look = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return look if isinstance(look, dict) else None
