"""The embedded `demo` model: a script in the place of a language model, which needs no key and no network.

It understands nothing. It looks at the data with real code in a real kernel, recognises a handful of
questions by their words, spreads the work over sub-agents two levels deep, and answers from what the code
computed. A question outside its repertoire gets a profile of the data, and the answer says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlm_jupyter.errors import ModelError
from rlm_jupyter.models import demo_code as code
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, Usage
from rlm_jupyter.models.demo_answers import answer
from rlm_jupyter.models.demo_look import look
from rlm_jupyter.models.demo_plan import Plan, plan_from_sub_question
from rlm_jupyter.models.demo_tables import read_tables, table_plan
from rlm_jupyter.models.demo_texts import text_plan

PROVENANCE = "scripted demo model, no language model"

_OPENING = re.compile(
    r"\AQuestion:\n(?P<question>.*?)\n\n"
    r"(?:The data \(`context`(?:, (?P<names>[^)\n]*))?\):|(?P<none>There is no data besides))",
    re.DOTALL,
)
_LOOK = re.compile(r"^LOOK (?P<json>\{.*\})$", re.MULTILINE)
_LAST_TURN = "This is your last turn"
_STUCK = 8


@dataclass(frozen=True)
class _Talk:
    """What a chat says.

    Attributes:
        question: verbatim.
        names: the notebook's names of the data.
        turn: the number of the reply that is due.
        last: the newest message.
        look: what the first cell printed.
        leaf: whether there can be no sub-agents.
        last_turn: whether this reply must answer.
        no_data: whether there is only the question.
        has_schema: whether a typed answer is asked for.
    """

    question: str
    names: tuple[str, ...]
    turn: int
    last: str
    look: dict[str, Any] | None
    leaf: bool
    last_turn: bool
    no_data: bool
    has_schema: bool


class DemoModel:
    """A scripted stand-in with the `ChatModel` protocol: free, offline, and honest about what it is."""

    name = "demo"
    scripted = True
    price = Price(0.0, 0.0)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give the next move for a chat of this package; anything else is told that nobody reads it.

        Raises:
            ModelError: the question asks for a typed answer, which a script cannot give.
        """
        text = self._reply(request.messages)
        if request.on_delta is not None:
            request.on_delta(text)
        sent = sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
        usage = Usage(-(-sent // 4), -(-len(text.encode("utf-8", "replace")) // 4), estimated=True)
        return Completion(text=text, usage=usage, cost=0.0, model=self.name)

    def _reply(self, messages: Sequence[Message]) -> str:
        talk = _read(messages)
        if talk is None:
            return "(The demo model is a script: it cannot read this prompt. Choose a language model.)"
        if talk.has_schema:
            raise ModelError(
                "The `demo` model is a script and cannot give a typed answer (`schema`). Choose a language "
                "model: `-m openai/gpt-5`, or `RLM_MODEL`."
            )
        if talk.turn > _STUCK:
            raise ModelError(
                "The `demo` model is a script and is at its wit's end with this data. Choose a language model."
            )
        handed_down = plan_from_sub_question(talk.question)
        return _root(talk) if handed_down is None else _sub_agent(handed_down, talk)


def _root(talk: _Talk) -> str:
    """Look, split, answer: three turns."""
    if talk.no_data:
        text = "There is no data: hand a variable over (`%%rlm orders`). A script knows nothing by itself."
        return _say("A script without data has nothing to compute.", code.final(text, PROVENANCE))
    if talk.turn > 1:
        return _after_look(talk, _plan(talk))
    if talk.last_turn:
        return _trouble("The limits leave one turn; the scripted demo needs two to look and to compute.")
    return _say("Let me look at the data before anything else.", look(talk.question))


def _after_look(talk: _Talk, plan: Plan) -> str:
    if plan.kind == "empty":
        text = "The data is empty: there is nothing to find."
        return _say("There is nothing in it.", code.final(text, PROVENANCE))
    if plan.kind == "unknown":
        return _trouble(plan.remark)
    if talk.turn == 2:  # noqa: PLR2004 - the second of three moves
        return _compute(talk, plan)
    if talk.turn == 3 and "PARTS " in talk.last:  # noqa: PLR2004 - the third of three moves
        return _say("The parts are in; now the whole.", answer(plan, PROVENANCE))
    return _trouble(f"The scripted demo could not deal with this data: {_last_line(talk.last)}")


def _compute(talk: _Talk, plan: Plan) -> str:
    if talk.last_turn:
        return _say(plan.thought, f"{code.alone(plan)}\n\n{answer(plan, PROVENANCE)}")
    if talk.leaf:
        return _say(f"{plan.thought} I may have no sub-agents, so I do it here.", code.alone(plan))
    thought = f"{plan.thought} I split the data in up to {plan.parts} parts, one sub-agent each."
    return _say(thought, code.spread(plan))


def _sub_agent(plan: Plan, talk: _Talk) -> str:
    """Compute a part, in two halves where that is asked for and allowed."""
    splits = plan.halves and not (talk.leaf or talk.last_turn)
    if talk.turn == 1 and splits:
        return _say("My part, in two halves.", code.halves(plan))
    if talk.turn == 2 and "PARTS " in talk.last:  # noqa: PLR2004 - the second of two moves
        return _say("Both halves are in.", "FINAL(total)")
    if talk.turn == 1 or (plan.halves and talk.turn == 2):  # noqa: PLR2004 - the halves failed
        return _say("This is small enough to do here.", code.leaf(plan))
    return _trouble(f"The scripted demo could not deal with this part: {_last_line(talk.last)}")


def _plan(talk: _Talk) -> Plan:
    """Choose what to do, from the question and what the first cell printed."""
    seen = talk.look
    if seen is None:
        return Plan("unknown", remark="The scripted demo could not read what its look at the data printed.")
    if "tables" in seen:
        alias = talk.names[0] if len(talk.names) == 1 else ""
        plan = table_plan(talk.question, read_tables(seen["tables"], alias))
    elif "documents" in seen:
        plan = text_plan(talk.question) if seen["characters"] else Plan("empty")
    elif seen.get("length") == 0:
        plan = Plan("empty")
    else:
        plan = Plan("unknown", remark="The scripted demo knows only tables and texts.")
    return replace(plan, halves=True)


def _trouble(text: str) -> str:
    return _say("A script can do no more here, so I say what the data is.", code.give_up(text, PROVENANCE))


def _say(thought: str, cell: str) -> str:
    """Make a reply; its fence is longer than any in the code, which quotes names of the data."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", cell)), default=0))
    return f"{thought}\n\n{fence}repl\n{cell}\n{fence}"


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w*(?:Error|Exception|Interrupt)\b", line)]
    return " ".join((errors or lines or [""])[-1].split())[:300]


def _read(messages: Sequence[Message]) -> _Talk | None:
    """Understand a chat that this package made; None for any other."""
    if len(messages) < 2 or messages[0]["role"] != "system":  # noqa: PLR2004 - system and question
        return None
    first = messages[1]["content"]
    match = _OPENING.search(first)
    if match is None:
        return None
    looks = [
        found
        for message in messages[2:]
        if message["role"] == "user"
        for found in _LOOK.findall(message["content"])
    ]
    return _Talk(
        question=match["question"].strip(),
        names=tuple(re.findall(r"`([^`]+)`", match["names"] or "")),
        turn=1 + sum(message["role"] == "assistant" for message in messages),
        last=messages[-1]["content"],
        look=_parse(looks[0]) if looks else None,
        leaf="You are at the depth limit" in messages[0]["content"],
        last_turn=_LAST_TURN in messages[-1]["content"],
        no_data=match["none"] is not None,
        has_schema="\n\nFINAL takes " in first[match.end() :],
    )


def _parse(text: str) -> dict[str, Any] | None:
    try:
        look = json.loads(text)
    except ValueError:
        return None
    return look if isinstance(look, dict) else None
