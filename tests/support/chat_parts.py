"""Conversations with a scripted model: what the tests of them share."""

import contextlib
import re

from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

_QUESTION = re.compile(r"^Question:\n(.*?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)


def newest_question(messages):
    """Returns the newest question of a chat, and how many replies came since; None for a plain completion."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user" and (found := _QUESTION.findall(messages[place]["content"])):
            return found[-1], sum(one["role"] == "assistant" for one in messages[place:])
    return None


def cell(code):
    """Wrap code as a reply with a sentence before it."""
    return f"I run this.\n\n```repl\n{code}\n```"


def talking(script, plain="notes", **options):
    """A model that answers each question of a conversation by its turns; the last is repeated.

    Args:
        script: question → cells, or a function of the question that gives them.
        plain: what a plain completion gets.
    """

    def reply(messages):
        asked = newest_question(messages)
        if asked is None:
            return plain
        question, turn = asked
        turns = script(question) if callable(script) else script[question]
        said = turns[min(turn, len(turns) - 1)]
        return said if not isinstance(said, str) or "```" in said else cell(said)

    return ScriptedModel(reply, **options)


@contextlib.contextmanager
def chatting(tmp_path):
    """Returns what begins a conversation with a script; all are closed at the end."""
    begun = []

    def begin(script, context=None, *, model=None, limits=None, settings=None, **options):
        rlm = RLM(
            model=model or talking(script),
            limits=limits,
            log_dir=tmp_path / "logs",
            cache=False,
            **(settings or {}),
        )
        begun.append(rlm.chat(context, **options))
        return begun[-1]

    try:
        yield begin
    finally:
        for chat in begun:
            chat.close()
