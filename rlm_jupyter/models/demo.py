"""The embedded `demo` model: a script in the place of a language model, which needs no key and no network.

It understands nothing. It looks at the data with real code in a real kernel, recognises a handful of
questions by their words, spreads the work over sub-agents two levels deep, and answers from what the code
computed. A question outside its repertoire gets a profile of the data, and the answer says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlm_jupyter.errors import ModelError
from rlm_jupyter.models import demo_code as code
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, Usage
from rlm_jupyter.models.demo_plan import Plan, plan_for, plan_from_sub_question

PROVENANCE = "scripted demo model, no language model"

_QUESTION = re.compile(
    r"\AQuestion:\n(?P<question>.*?)\n\n(?:The data \(`context`|There is no data besides)", re.DOTALL
)
_LOOK = re.compile(r"^LOOK (?P<json>\{.*\})$", re.MULTILINE)


@dataclass
class _Talk:
    """What a chat says: the question, the turn, the look that its first cell printed, and whether it may recurse."""

    question: str
    turn: int
    last: str
    look: dict[str, Any] | None
    leaf: bool
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
        sent = sum(len(message["content"].encode()) for message in request.messages)
        usage = Usage(-(-sent // 4), -(-len(text.encode()) // 4), estimated=True)
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
        handed_down = plan_from_sub_question(talk.question)
        if handed_down is not None:
            return self._sub_agent(handed_down, talk)
        return self._root(talk)

    def _root(self, talk: _Talk) -> str:
        if talk.turn == 1:
            return _say("Let me look at the data before anything else.", code.look())
        if talk.look is None:
            return _say(
                "I could not read what the data is, so I give what Python says of it.",
                code.give_up(PROVENANCE),
            )
        plan = plan_for(talk.question, talk.look)
        if plan.kind == "empty":
            return _say("There is nothing in it.", code.empty(PROVENANCE))
        if talk.turn == 2:  # noqa: PLR2004 - the second of three moves
            thought = f"{plan.thought} I split the data in {plan.parts} parts, one sub-agent each."
            if talk.leaf:
                return _say(plan.thought, code.alone(plan))
            return _say(thought, code.spread(plan))
        return _say("The parts are in; now the whole.", code.answer(plan, PROVENANCE))

    def _sub_agent(self, plan: Plan, talk: _Talk) -> str:
        if plan.halves and not talk.leaf:
            if talk.turn == 1:
                return _say("My part, in two halves.", code.halves(plan))
            return _say("Both halves are in.", code.give_total(plan))
        return _say("This is small enough to do here.", code.leaf(plan))


def _say(thought: str, cell: str) -> str:
    return f"{thought}\n\n```repl\n{cell}\n```"


def _read(messages: Sequence[Message]) -> _Talk | None:
    """Understand a chat that this package made; None for any other."""
    if len(messages) < 2 or messages[0]["role"] != "system":  # noqa: PLR2004 - system and question
        return None
    first = messages[1]["content"]
    match = _QUESTION.search(first)
    if match is None:
        return None
    turn = 1 + sum(message["role"] == "assistant" for message in messages)
    looks = [
        found
        for message in messages[2:]
        if message["role"] == "user"
        for found in _LOOK.findall(message["content"])
    ]
    return _Talk(
        question=match["question"].strip(),
        turn=turn,
        last=messages[-1]["content"],
        look=_parse(looks[0]) if looks else None,
        leaf="You are at the depth limit" in messages[0]["content"],
        has_schema="\n\nFINAL takes " in first,
    )


def _parse(text: str) -> dict[str, Any] | None:
    try:
        look = json.loads(text)
    except ValueError:
        return None
    return look if isinstance(look, dict) else None
