"""Shows a log as text: of a run of ours, or of the exchanges of any harness."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quality.exchange import Exchange, read_log
from rlm_jupyter.errors import LogError
from rlm_jupyter.records import load
from rlm_jupyter.text.sanitize import clean
from rlm_jupyter.views.text_tree import show_agent, tree

_LONGEST = 4000
"""Characters of a message that are shown; a prompt may hold megabytes."""


def replay(path: Path) -> str:
    """Returns what happened, turn by turn.

    Raises:
        ValueError: the file is no log that is known.
    """
    try:
        return _exchanges(read_log(path))
    except ValueError:
        pass
    try:
        state = load(path).tree
    except LogError as error:
        raise ValueError(f"`{path}` is a log neither of exchanges nor of a run: {error}") from None
    return "\n\n".join([tree(state), *(show_agent(state, agent) for agent in state.agents)])


def _exchanges(exchanges: list[Exchange]) -> str:
    parts = []
    shown: list[dict[str, str]] = []
    for number, exchange in enumerate(exchanges, 1):
        # What was sent with the request before is not shown again.
        same = next(
            (n for n, (a, b) in enumerate(zip(shown, exchange.messages, strict=False)) if a != b), None
        )
        first = min(len(shown), len(exchange.messages)) if same is None else same
        prompt, completion = exchange.tokens()
        about = "about " if exchange.estimated else ""
        parts.append(
            f"Request {number} · {about}{prompt:,} tokens in, {completion:,} out · {exchange.seconds:.1f} s"
        )
        if first:
            parts.append(f"[{first} earlier messages]")
        parts += [
            f"{message['role']}:\n{_shown(message['content'])}" for message in exchange.messages[first:]
        ]
        parts.append(f"Reply:\n{_shown(exchange.reply)}")
        if exchange.error:
            parts.append(f"Error: {_shown(exchange.error)}")
        shown = exchange.messages
    return "\n\n".join(parts)


def _shown(text: str) -> str:
    return clean(text, _LONGEST)
