"""`%rlm diagnose`: what stands out in a run, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.magics.command_registry import command
from rlm_jupyter.magics.commands import print_output, resolve_run
from rlm_jupyter.magics.recorded_runs import known_run

if TYPE_CHECKING:
    import argparse

    from rlm_jupyter.magics.magics_state import MagicsState


@command(
    "diagnose [RUN]",
    "What stands out in a run, by id or log: errors, limits, waste of money and time, and what to do next.",
)
def diagnose(magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Print the findings."""
    run = resolve_run() if arguments.run is None else known_run(magics, arguments.run)
    print_output(run.diagnose().text)
