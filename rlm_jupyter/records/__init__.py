"""A run's log: writing, loading, replay, tables and export."""

from rlm_jupyter.records.log_frames import frame
from rlm_jupyter.records.reader import Record, load

__all__ = ["Record", "frame", "load"]
