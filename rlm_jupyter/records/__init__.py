"""A run's log: writing, loading, replay, tables, export, comparison; and the values that were kept beside it."""

from rlm_jupyter.records.compare import Comparison, compare
from rlm_jupyter.records.kept_values import KeptValues, values
from rlm_jupyter.records.log_frames import frame
from rlm_jupyter.records.reader import Record, load

__all__ = ["Comparison", "KeptValues", "Record", "compare", "frame", "load", "values"]
