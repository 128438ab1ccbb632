"""The answers of a map so far: counted, and as a table with the index of the data."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.mapping.item_answers import Outcome, Unusable
from rlm_jupyter.engine.mapping.item_schema import ANSWER, ERROR
from rlm_jupyter.text.shorten import cut_end

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.map_task import MapTask

NOT_DONE = "not done"
_MOST_VALUES = 50
"""Different values of a field that are counted; one with more is no choice."""
_MOST_TOLD = 6
_LABEL = 40
_MOST_LABELS = 100
"""Of rows without an answer, in `attrs`."""


class MapResults:
    """What is known of each item. Written on the engine's loop, read from any thread.

    Args:
        task: what was asked.
    """

    def __init__(self, task: MapTask) -> None:
        self._task = task
        self._outcomes: list[Outcome | None] = [None] * task.count
        self._counters: dict[str, Counter[str]] = {name: Counter() for name in task.schema.counted}
        self.done = 0
        self.failed = 0

    def put(self, position: int, outcome: Outcome) -> None:
        """Keep the outcome of an item; the first one stays."""
        if self._outcomes[position] is not None:
            return
        self._outcomes[position] = outcome
        self.done += 1
        if isinstance(outcome, Unusable):
            self.failed += 1
            return
        for name, counter in self._counters.items():
            value = outcome.get(name)
            label = str(value).lower() if isinstance(value, bool) else str(value)
            if len(counter) < _MOST_VALUES or label in counter:
                counter[cut_end(label, _LABEL)] += 1

    def outcome(self, position: int) -> Outcome | None:
        """Returns what is known of an item; None if it is not done."""
        return self._outcomes[position]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How often each value of a flag or a choice came, the most frequent first."""
        return {
            name: dict(counter.most_common(_MOST_TOLD)) for name, counter in self._counters.items() if counter
        }

    def table(self) -> pd.DataFrame:
        """Returns what the run gives: the answers so far, or of a filter the rows that they keep."""
        return self.frame() if self._task.rows is None else self._kept(self._task.rows)

    def _kept(self, rows: pd.DataFrame) -> pd.DataFrame:
        answers = list(self._outcomes)
        kept = [place for place, one in enumerate(answers) if isinstance(one, dict) and one[ANSWER] is True]
        failed = (place for place, one in enumerate(answers) if isinstance(one, Unusable))
        table = rows.iloc[kept].copy()
        table.attrs = {
            **rows.attrs,
            "kept": len(kept),
            "not_done": answers.count(None),
            "failed": [rows.index[place] for place in itertools.islice(failed, _MOST_LABELS)],
        }
        return table

    def frame(self) -> pd.DataFrame:
        """Returns the table so far: a column for each field, and `error`; in rows not done it is "not done"."""
        import pandas as pd

        outcomes = list(self._outcomes)
        columns: dict[str, Any] = {}
        for name in self._task.schema.fields:
            values = [one.get(name) if isinstance(one, dict) else None for one in outcomes]
            columns[name] = _column(values, self._task.schema.dtypes[name])
        errors = [
            NOT_DONE if one is None else one.reason if isinstance(one, Unusable) else None for one in outcomes
        ]
        columns[ERROR] = pd.array(errors, dtype="string")
        return pd.DataFrame({name: pd.Series(array) for name, array in columns.items()}).set_axis(
            self._task.index
        )


def _column(values: list[Any], dtype: str) -> Any:
    """Returns values as an array of a dtype; of the nullable one of its kind, if some are missing."""
    import numpy as np
    import pandas as pd
    from pandas.api import types

    if dtype in ("object", "O"):
        cells = np.empty(len(values), dtype=object)
        for place, value in enumerate(values):  # a list would become a row of cells
            cells[place] = value
        return pd.Series(cells, dtype=object).array
    known = types.pandas_dtype(dtype)
    if types.is_datetime64_any_dtype(known):
        parsed = pd.to_datetime(pd.Series(values, dtype=object), errors="coerce", utc=True)
        zone = getattr(known, "tz", None)
        parsed = parsed.dt.tz_convert(zone) if zone is not None else parsed.dt.tz_localize(None)
        return parsed.astype(known).array
    if any(value is None for value in values):
        known = _nullable(known)
    return pd.Series(values, dtype=object).astype(known).array


def _nullable(known: Any) -> Any:
    import pandas as pd
    from pandas.api import types

    if types.is_extension_array_dtype(known):
        return known
    if types.is_bool_dtype(known):
        return "boolean"
    if types.is_integer_dtype(known):
        return {"i": "Int", "u": "UInt"}[known.kind] + str(8 * known.itemsize)
    if types.is_float_dtype(known):
        return known  # a missing one is `nan`
    return "string" if known.kind in "US" else pd.api.types.pandas_dtype("object")
