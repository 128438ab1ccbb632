"""The embedded `demo` model: a script in the place of a language model, which needs no key and no network.

It understands nothing. It looks at the data with real code in a real kernel, recognises a handful of
questions by their words, spreads the work over sub-agents two levels deep, and answers from what the code
computed. A question outside its repertoire gets a profile of the data, and the answer says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rlm_jupyter.demo_model import write_code as code
from rlm_jupyter.demo_model.answers import answer
from rlm_jupyter.demo_model.first_cell import look
from rlm_jupyter.demo_model.plan import Plan, plan_from_sub_question
from rlm_jupyter.demo_model.read_chat import Talk, read_chat
from rlm_jupyter.demo_model.table_questions import in_words_of, read_tables, table_plan
from rlm_jupyter.demo_model.text_questions import text_plan
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, Usage

PROVENANCE = "scripted demo model, no language model"

_STUCK = 8
_TOGETHER = "The script read this together with the question before it. "


class DemoModel:
    """A scripted stand-in with the `ChatModel` protocol: free, offline, and honest about what it is."""

    name = "demo"
    scripted = True
    price = Price(0.0, 0.0)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Returns the next move for a chat of this package; anything else is told that nobody reads it.

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
        talk = read_chat(messages)
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


def _root(talk: Talk) -> str:
    """Look, split, answer: three turns."""
    if not talk.given:
        text = "There is no data: hand a variable over (`%%rlm orders`). A script knows nothing by itself."
        return _say("A script without data has nothing to compute.", code.final(text, PROVENANCE))
    if talk.turn > 1:
        return _after_look(talk, _plan(talk))
    if talk.last_turn:
        return _trouble(
            talk, "The limits leave one turn; the scripted demo needs two to look and to compute."
        )
    cell = look(" ".join((talk.question, *talk.earlier)), talk.given)
    if talk.earlier:
        return _say("A question more: let me look at the data with it in mind.", cell)
    return _say("Let me look at the data before anything else.", cell)


def _after_look(talk: Talk, plan: Plan) -> str:
    if plan.kind == "empty":
        text = "The data is empty: there is nothing to find."
        return _say("There is nothing in it.", code.final(text, PROVENANCE))
    if plan.kind == "unknown":
        return _trouble(talk, plan.remark)
    if talk.turn == 2:  # noqa: PLR2004 - the second of three moves
        return _compute(talk, plan)
    if talk.turn == 3 and "PARTS " in talk.last:  # noqa: PLR2004 - the third of three moves
        return _say("The parts are in; now the whole.", answer(plan, PROVENANCE))
    return _trouble(talk, f"The scripted demo could not deal with this data: {_last_line(talk.last)}")


def _compute(talk: Talk, plan: Plan) -> str:
    if talk.last_turn:
        return _say(plan.thought, f"{code.alone(plan)}\n\n{answer(plan, PROVENANCE)}")
    if talk.leaf:
        return _say(f"{plan.thought} I may have no sub-agents, so I do it here.", code.alone(plan))
    thought = f"{plan.thought} I split the data in up to {plan.parts} parts, one sub-agent each."
    return _say(thought, code.spread(plan))


def _sub_agent(plan: Plan, talk: Talk) -> str:
    """Compute a part, in two halves where that is asked for and allowed."""
    splits = plan.halves and not (talk.leaf or talk.last_turn)
    if talk.turn == 1 and splits:
        return _say("My part, in two halves.", code.halves(plan))
    if talk.turn == 2 and "PARTS " in talk.last:  # noqa: PLR2004 - the second of two moves
        return _say("Both halves are in.", "FINAL(total)")
    if talk.turn == 1 or (plan.halves and talk.turn == 2):  # noqa: PLR2004 - the halves failed
        return _say("This is small enough to do here.", code.leaf(plan))
    return _trouble(talk, f"The scripted demo could not deal with this part: {_last_line(talk.last)}")


def _plan(talk: Talk) -> Plan:
    """Choose what to do, from the question and what the first cell printed."""
    seen = talk.look
    if seen is None:
        return Plan("unknown", remark="The scripted demo could not read what its look at the data printed.")
    if "tables" in seen:
        names = talk.given[0].names
        tables = read_tables(seen["tables"], names[0] if len(names) == 1 else "")
        asked = in_words_of((*talk.earlier, talk.question), tables)
        plan = table_plan(asked, tables)
        if asked != talk.question:
            plan = replace(plan, remark=_TOGETHER + plan.remark)
    elif "documents" in seen:
        plan = text_plan(talk.question) if seen["characters"] else Plan("empty")
    elif seen.get("length") == 0:
        plan = Plan("empty")
    else:
        plan = Plan("unknown", remark="The scripted demo knows only tables and texts.")
    return replace(plan, halves=True)


def _trouble(talk: Talk, text: str) -> str:
    data = talk.given[-1].variable if talk.given else "context"
    cell = code.give_up(text, PROVENANCE, data)
    return _say("A script can do no more here, so I say what the data is.", cell)


def _say(thought: str, cell: str) -> str:
    """Make a reply; its fence is longer than any in the code, which quotes names of the data."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", cell)), default=0))
    return f"{thought}\n\n{fence}repl\n{cell}\n{fence}"


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w*(?:Error|Exception|Interrupt)\b", line)]
    return " ".join((errors or lines or [""])[-1].split())[:300]
