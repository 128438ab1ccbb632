"""The tables of runs from their logs: one log, or all of a directory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rlm_jupyter.errors import LogError, RunNotFoundError
from rlm_jupyter.events.run_tables import table_of
from rlm_jupyter.events.table_frames import frame_of
from rlm_jupyter.records.reader import load

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.events.tree_state import TreeState

_NAMED = 3


def frame(path: str | os.PathLike[str], table: str = "agents") -> pd.DataFrame:
    """Returns a table of the runs in a directory of logs, or of one log, as a DataFrame.

    Its column `run` tells the runs apart; `docs/frames.md` describes the columns. A log that is cut short counts as
    far as it goes. In a directory, files named `*.jsonl` that are not logs of a run are left out, with a warning;
    `frame.attrs["left_out"]` has their names and the reasons.

    Args:
        path: of a log, or of a directory of logs such as `rlm_runs`.
        table: `runs`, `agents`, `turns`, `calls` or `variables`.

    Raises:
        ConfigError: there is no such table, or pandas is not installed.
        RunNotFoundError: there is nothing at `path`.
        LogError: it is a file and not a log of a run.
    """
    table_of(table)  # refused before anything is read
    where = Path(path)
    if not where.is_dir():
        return frame_of([load(where).tree], table)
    left_out: dict[str, str] = {}
    made = frame_of(_trees(where, left_out), table)
    if left_out:
        made.attrs["left_out"] = left_out
        names = ", ".join(f"`{name}`" for name in list(left_out)[:_NAMED])
        more = f" and {len(left_out) - _NAMED:,} more" if len(left_out) > _NAMED else ""
        warnings.warn(
            f"Not logs of a run, and left out: {names}{more}; `frame.attrs['left_out']` says why.",
            stacklevel=2,
        )
    return made


def _trees(directory: Path, left_out: dict[str, str]) -> Iterator[TreeState]:
    """Yields the runs of a directory's logs by the names of the files; notes what is not a log."""
    try:
        files = sorted(each for each in directory.iterdir() if each.suffix == ".jsonl" and each.is_file())
    except OSError as error:
        raise LogError(f"The directory `{directory}` cannot be read: {error.strerror or error}.") from None
    for file in files:
        try:
            yield load(file).tree
        except (LogError, RunNotFoundError) as error:
            left_out[file.name] = error.message
