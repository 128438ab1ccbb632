"""What the demo reads of a chat that this package made: the question, the data's names, what its cells printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rlm_jupyter.models.base import Message

_OPENING = re.compile(
    r"\AQuestion:\n(?P<question>.*?)\n\n"
    r"(?:The data \(`context`(?:, (?P<names>[^)\n]*))?\):\n|(?P<none>There is no data besides))",
    re.DOTALL,
)
_FOLLOW_UP = re.compile(
    r"\A(?:Your answer was taken: .*?\.|That run ended before there was an answer\.) A follow-up question; "
    r"your kernel and all its variables are as you left them\.\n\nQuestion:\n(?P<question>.*?)\n\n"
    r"(?:`history` has the earlier questions [^\n]*\n\n)?"
    r"(?:More data \((?P<names>`context_\d+`[^)\n]*)\)"
    r"|You can also call these functions|More MCP servers|FINAL takes )",
    re.DOTALL,
)
_READ = re.compile(
    r"^`(?P<variable>frame|texts?|data|sheets|loaded)(?:\[[^`\n]*\])?` holds what is in ", re.MULTILINE
)
_LAST_TURN = "This is your last turn"
_ANY_ANSWER = "FINAL takes any object."


@dataclass(frozen=True)
class Given:
    """Data that was handed over with one question.

    Attributes:
        variable: the name that it always has: `context`, of follow-ups `context_2` and so on; of files, the
            name of what was read of them.
        names: the notebook's names of it, or of its items where it is several objects.
        described: its description, which begins with its type.
    """

    variable: str
    names: tuple[str, ...] = ()
    described: str = ""


@dataclass(frozen=True)
class Talk:
    """What a chat says of the question that is due.

    Attributes:
        question: verbatim; of a follow-up, that one.
        earlier: the questions before it, the oldest first.
        given: all data, the oldest first; nothing if there is only the question.
        turn: the number of the reply that is due, counted from the question.
        replies: those since the question.
        last: the newest message.
        outputs: what was printed since the question, the oldest first.
        before: what was printed before the question and since the newest data came.
        cells: all replies since the newest data came.
        leaf: whether there can be no sub-agents.
        last_turn: whether this reply must answer.
        has_schema: whether a typed answer is asked for.
    """

    question: str
    earlier: tuple[str, ...]
    given: tuple[Given, ...]
    turn: int
    replies: tuple[str, ...]
    last: str
    outputs: tuple[str, ...]
    before: tuple[str, ...]
    cells: tuple[str, ...]
    leaf: bool
    last_turn: bool
    has_schema: bool

    def wrote(self, variable: str) -> bool:
        """Returns whether a cell since the question has assigned this variable."""
        return any(re.search(rf"^{variable} = ", reply, re.MULTILINE) for reply in self.replies)


def read_chat(messages: Sequence[Message]) -> Talk | None:
    """Understand a chat that this package made; None for any other."""
    if len(messages) < 2 or messages[0]["role"] != "system":  # noqa: PLR2004 - system and question
        return None
    opening = _OPENING.search(messages[1]["content"])
    if opening is None:
        return None
    questions = [opening["question"].strip()]
    given = [] if opening["none"] is not None else [_first_given(opening, messages[1]["content"])]
    at, asked, new_data = 1, opening, 1
    for place, message in enumerate(messages):
        found = _FOLLOW_UP.search(message["content"]) if message["role"] == "user" else None
        if found is not None:
            at, asked = place, found
            questions.append(found["question"].strip())
            if (names := _names(found["names"])) != ():
                new_data = place
                given.append(Given(names[0], names[1:], message["content"][found.end("names") :]))
    after = messages[at + 1 :]
    rest = messages[at]["content"][asked.end("question") :]
    return Talk(
        question=questions[-1],
        earlier=tuple(questions[:-1]),
        given=tuple(given),
        turn=1 + sum(message["role"] == "assistant" for message in after),
        replies=tuple(message["content"] for message in after if message["role"] == "assistant"),
        last=messages[-1]["content"],
        outputs=_outputs(after),
        before=_outputs(messages[new_data + 1 : at]),
        cells=tuple(m["content"] for m in messages[new_data + 1 :] if m["role"] == "assistant"),
        leaf="You are at the depth limit" in messages[0]["content"],
        last_turn=_LAST_TURN in messages[-1]["content"],
        has_schema="\n\nFINAL takes " in rest.replace(_ANY_ANSWER, ""),
    )


def _outputs(messages: Sequence[Message]) -> tuple[str, ...]:
    return tuple(message["content"] for message in messages if message["role"] == "user")


def _first_given(opening: re.Match[str], text: str) -> Given:
    """Returns the data that came first; of files, what was read of them."""
    described = text[opening.end() :]
    read = _READ.search(described)
    if read is not None:
        return Given(read["variable"], (), described)
    return Given("context", _names(opening["names"]), described)


def _names(quoted: str | None) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", quoted or ""))
