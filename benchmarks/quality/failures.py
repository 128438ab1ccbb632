"""What went wrong in a run that is not right: by its exchanges, so that it means the same for all harnesses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from benchmarks.quality.answer_forms import text_of
from benchmarks.quality.exchange import Exchange
from benchmarks.quality.graders import Verdict
from benchmarks.quality.harness import Outcome
from rlm_jupyter.diagnosis.reply_faults import echoes, is_invented, lacks_code

KINDS = ("no code", "same error", "invented answer", "wrong type", "limit", "echo of a notice", "error")
"""A run may have several; one that has none computed a wrong answer."""

_ERROR = re.compile(r"^[ \t]*(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt)\b: .+)$", re.MULTILINE)
_MOST = 100_000
"""Characters that are searched; prompts may hold long outputs."""


def failures(
    verdict: Verdict | None, outcome: Outcome, exchanges: Sequence[Exchange], *, with_code: bool
) -> list[str]:
    """Returns the kinds of failure of a run.

    Args:
        verdict: of the answer; None if there is none.
        outcome: of the run.
        exchanges: with the model, in their order.
        with_code: whether the harness has the model write code.
    """
    if verdict == "right":
        return []
    found = {
        "wrong type": verdict == "wrong type",
        "limit": outcome.limited,
        "error": outcome.error is not None and not outcome.limited,
    }
    if with_code:
        found |= {
            "no code": lacks_code(exchange.reply for exchange in exchanges),
            "same error": repeats_error(exchanges),
            "invented answer": verdict is not None and answer_is_invented(outcome.answer, exchanges),
            "echo of a notice": echoes_notice(exchanges),
        }
    return [kind for kind in KINDS if found.get(kind)]


def repeats_error(exchanges: Sequence[Exchange]) -> bool:
    """Returns whether the model was told the same error twice."""
    counts: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for exchange in exchanges:
        # Chats grow, so that an error is sent with each later request: only what is new counts.
        now = Counter(_ERROR.findall(exchange.prompt[-_MOST:]))
        counts += now - before
        before = now
    return any(count > 1 for count in counts.values())


def answer_is_invented(answer: object, exchanges: Sequence[Exchange]) -> bool:
    """Returns whether an answer was written by the model and had not been in anything that it was shown."""
    return is_invented(text_of(answer), [(exchange.prompt, exchange.reply) for exchange in exchanges])


def echoes_notice(exchanges: Sequence[Exchange]) -> bool:
    """Returns whether a reply repeats a sentence of the message before it, which came after the first reply."""
    return any(
        len(exchange.messages) > 2 and echoes(exchange.messages[-1]["content"], exchange.reply)
        for exchange in exchanges[1:]
    )
