"""A run's log: writing, loading, replay and export."""

from rlm_jupyter.records.reader import Record, load

__all__ = ["Record", "load"]
