"""`%rlm chat`: shows or ends the notebook's conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from rlm_jupyter.magics.command_registry import command

if TYPE_CHECKING:
    import argparse

    from rlm_jupyter.magics.magics_state import MagicsState


@command(
    "chat [--close]", "The notebook's conversation (`%%rlm --chat`): its tree and answers; --close ends it."
)
def chat(magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print the conversation, or end it."""
    from rlm_jupyter.models.openai.chat_replies import clean_text
    from rlm_jupyter.views import text_tree as text

    known = magics.chat
    if known is None or known.view is None:
        raise UsageError("There is no conversation yet: `%%rlm --chat` with a question below it begins one.")
    if arguments.close:
        known.close()
        print(f"Conversation `{known.id}` has ended: the next `%%rlm --chat` begins another.")  # noqa: T201 - the output
        return
    with known.view.lock:
        drawn = text.tree(known.view.tree)
    told = [
        f"\n{n}. {one.question}\n{one.summary or one.error or 'no answer'}"
        for n, one in enumerate(known.history, 1)
    ]
    print(clean_text("\n".join([drawn, *told])))  # noqa: T201 - it is the cell's output
