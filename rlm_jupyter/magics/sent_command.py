"""`%rlm sent`: which values of the data have left this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import RLMError
from rlm_jupyter.magics.command_registry import command
from rlm_jupyter.magics.commands import print_output, resolve_run

if TYPE_CHECKING:
    import argparse

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.records.past_run import PastRun


@command("sent [RUN]", "What was sent to the provider: values by column and turn, and tokens of data.")
def sent(_magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print what left; values of large data take as long as to search for all of them."""
    from rlm_jupyter.records.sent_values import sent_text, sent_values

    run = resolve_run(arguments.run)
    data = _data_of(run)
    with run.lock:
        found = sent_values(run.tree, data)
        text = sent_text(run.tree, found, with_data=data is not None)
    print_output(text)


def _data_of(run: Run | PastRun) -> Any:
    """Returns the data that a run was asked about; None if it is not held, or is no plain data."""
    root = getattr(run, "root", None)
    context = root.spec.context if root is not None else None
    if root is None or context is None or context.closed:
        return None
    try:
        return {name: context.load() for name in root.spec.names[:1] or ("context",)}
    except RLMError:
        return None
