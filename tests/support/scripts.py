"""Scripts for tests: replies chosen by the question, so that agents may work in any order."""

from __future__ import annotations

import re
import threading

from rlm_jupyter.models import ScriptedModel

_QUESTION = re.compile(r"\AQuestion:\n(.*?)\n\n(?:The data|There is no data)", re.DOTALL)


def question_of(messages):
    """Returns the question of an agent's chat; None for a plain completion."""
    for message in messages:
        found = _QUESTION.search(message["content"])
        if message["role"] == "user" and found:
            return found[1]
    return None


def cell(code: str) -> str:
    """Wrap code as a reply."""
    return f"I run this.\n\n```repl\n{code}\n```"


def by_question(script, plain="plain answer", **options) -> ScriptedModel:
    """A model that answers each agent by its question's turns; the last reply is repeated.

    Args:
        script: question → list of cells (or whole replies, where they contain a fence or are marked by `Raw`).
        plain: what a plain completion gets: a text, or a function of its prompt.
    """
    lock = threading.Lock()
    seen: dict[str, int] = {}

    def reply(messages):
        question = question_of(messages)
        if question is None:
            prompt = messages[-1]["content"]
            return plain(prompt) if callable(plain) else plain
        turns = script[question]
        turn = sum(message["role"] == "assistant" for message in messages)
        with lock:
            seen[question] = seen.get(question, 0) + 1
        said = turns[min(turn, len(turns) - 1)]
        return said if not isinstance(said, str) or "```" in said or isinstance(said, Raw) else cell(said)

    return ScriptedModel(reply, **options)


class Raw(str):
    """A reply that is given as it is, not wrapped as a cell."""

    __slots__ = ()
