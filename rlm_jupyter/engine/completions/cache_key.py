"""What makes a request the same as an earlier one, for the cache of replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.models.base import CompletionRequest, Message
from rlm_jupyter.models.passing_lines import without_passing_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.completions.sampling import Sampling


def cache_request(
    messages: Sequence[Message], sampling: Sampling, sample: int | None = None
) -> CompletionRequest:
    """Returns a request as the cache knows it: without what was left to spend, and that the user could be asked.

    Seconds, tokens and money that are left differ from run to run, most of all in a run that is answered
    from the cache: with them in the key, a notebook that is run again would be paid for again. The same holds of a
    notebook that was run by hand and is run again by a program, where nobody can be asked.

    Args:
        messages: that are sent.
        sampling: how they are asked.
        sample: the number of the sample for which they are sent. The first one is asked as a question without samples
            is, so that it is not paid for a second time if that was asked before.
    """
    known: list[Message] = [
        {**message, "content": without_passing_lines(message["content"])}
        if message["role"] == "user"
        else message
        for message in messages
    ]
    return CompletionRequest(
        messages=known, max_tokens=sampling.max_tokens, parameters=sampling.parameters, sample=sample or 1
    )
