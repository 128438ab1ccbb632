"""The embedded `demo` model: a script in the place of a language model, which needs no key and no network.

It understands nothing. It looks at the data with real code in a real kernel, recognises a handful of questions by
their words, writes the few lines that an analyst would write for them, hands parts to sub-agents where there are parts
that deserve it, and answers from what the code computed. A question outside its repertoire gets a profile of the data,
and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlm_jupyter.demo_model import table_moves, text_moves
from rlm_jupyter.demo_model.first_cell import look
from rlm_jupyter.demo_model.follow_ups import plan_for_tables, plan_for_texts
from rlm_jupyter.demo_model.moves import empty, last_line, say, trouble
from rlm_jupyter.demo_model.plan import part_of
from rlm_jupyter.demo_model.read_chat import Talk, read_chat
from rlm_jupyter.demo_model.table_answers import PROVENANCE, plain
from rlm_jupyter.demo_model.table_look import Look, Seen
from rlm_jupyter.demo_model.table_questions import read_tables
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models.base import Completion, CompletionRequest, Message, Price, Usage

__all__ = ["PROVENANCE", "DemoModel"]

_STUCK = 10


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
                "The `demo` model is a script and cannot go on with this data. Choose a language model."
            )
        part = None if talk.earlier else part_of(talk.question)
        if part is not None:
            of_table = part.kind in ("table", "profile")
            return table_moves.part_move(talk, part) if of_table else text_moves.part_move(talk, part)
        return _root(talk)


def _root(talk: Talk) -> str:
    """Returns the move of the agent that has the user's question: look, compute, answer."""
    if not talk.given:
        text = "There is no data: hand a variable over (`%%rlm orders`). A script knows nothing by itself."
        return say("A script without data has nothing to compute.", plain(text))
    seen = look(talk)
    if isinstance(seen, Look):
        return _look(talk, seen)
    if seen.kind == "empty":
        return empty()
    if seen.kind == "other":
        return trouble(talk, "The scripted demo knows only tables and texts.")
    if seen.kind == "unread":
        said = "The scripted demo could not read what its look at the data printed."
        return trouble(talk, f"{said} {last_line(talk.last)}")
    return _work(talk, seen)


def _look(talk: Talk, seen: Look) -> str:
    if talk.last_turn:
        few = "one turn" if talk.turn == 1 else "no turn for another look"
        return trouble(talk, f"The limits leave {few}; the scripted demo looks first and computes then.")
    return say(seen.thought, seen.cell)


def _work(talk: Talk, seen: Seen) -> str:
    questions = (*talk.earlier, talk.question)
    if seen.kind != "tables":
        return text_moves.next_move(talk, plan_for_texts(questions, seen.names), seen)
    plan = plan_for_tables(questions, read_tables(seen.tables))
    return empty() if plan.kind == "empty" else table_moves.next_move(talk, plan)
