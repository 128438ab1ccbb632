"""What `rlm.map` was asked for: checked before anything is started, and copied, so that it cannot change meanwhile."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.mapping.item_schema import ItemSchema
from rlm_jupyter.engine.mapping.item_text import row_texts
from rlm_jupyter.errors import ConfigError, ContextError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 20
SAMPLE_GROUPS = 3


@dataclass(frozen=True)
class MapTask:
    """One question for each item of a table.

    Attributes:
        question: verbatim.
        schema: of the answer for one item.
        frame: the columns of the table that are shown; of groups, as they were when the question was asked.
        index: of the result.
        texts: each row as a line of JSON; none where the items are groups.
        groups: the rows of each group, by position; none where the items are rows.
        sample: positions of the items that are done first.
        per: rows of one request at most; None: as many as fit.
        confirm: whether the user is asked after the sample.
        write_function: whether the model is asked, after the sample, for a function that does the same.
        use_function: whether such a function does the rest if it agrees with the sample.
        rows: of a filter: the whole table, of which the rows stay that are answered with true; None: it is none.
    """

    question: str
    schema: ItemSchema
    frame: pd.DataFrame
    index: pd.Index
    texts: tuple[str, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    sample: tuple[int, ...] = ()
    per: int | None = None
    confirm: bool = True
    write_function: bool = True
    use_function: bool = False
    rows: pd.DataFrame | None = None

    @property
    def whole(self) -> pd.DataFrame:
        """All columns that the run holds, whether the model is shown them or not."""
        return self.frame if self.rows is None else self.rows

    @property
    def count(self) -> int:
        """How many items there are."""
        return len(self.index)

    @property
    def by_group(self) -> bool:
        """Whether the items are groups of rows."""
        return bool(self.groups)

    @property
    def noun(self) -> str:
        """What one item is called."""
        return "group" if self.by_group else "row"

    @property
    def rest(self) -> list[int]:
        """Positions of the items that are not in the sample."""
        done = set(self.sample)
        return [position for position in range(self.count) if position not in done]

    def group_name(self, position: int) -> str:
        """Returns the key of a group as a text."""
        return str(self.index[position])


def read_task(
    data: Any,
    question: str,
    schema: object = None,
    *,
    columns: Sequence[Hashable] | str | None = None,
    by: Hashable | Sequence[Hashable] | None = None,
    per: int | None = None,
    sample: int | None = None,
    confirm: bool = True,
    write_function: bool = True,
    use_function: bool = False,
) -> MapTask:
    """Check what was asked; see `RLM.map`.

    Raises:
        ContextError: the data is no table.
        ConfigError: a column that does not exist, or a number that cannot be.
    """
    frame = table_of(data)
    for name, number in (("per", per), ("sample", sample)):
        if number is not None:
            check_count(name, number)
    answer = ItemSchema(schema)
    names = shown_columns(frame, columns)
    keys = [] if by is None else column_names(frame, by, "by")
    shown = frame if names is None else frame[names]
    options = {
        "per": per,
        "confirm": confirm,
        "write_function": write_function,
        "use_function": use_function,
    }
    if by is None:
        size = SAMPLE_ROWS if sample is None else sample
        return MapTask(
            question,
            answer,
            shown,
            frame.index.copy(),
            texts=tuple(row_texts(shown)),
            sample=_sample(len(frame), size),
            **options,  # type: ignore[arg-type]
        )
    index, groups = grouped_rows(frame, keys)
    size = SAMPLE_GROUPS if sample is None else sample
    return MapTask(
        question,
        answer,
        shown.copy(),
        index,
        groups=groups,
        sample=_sample(len(index), size),
        **options,  # type: ignore[arg-type]
    )


def read_filter(data: Any, question: str, **options: Any) -> MapTask:
    """Check a question of which the rows stay that are answered with true; see `RLM.filter`, and `read_task`."""
    rows = table_of(data, "filter")
    return replace(read_task(rows, question, bool, **options), rows=rows.copy())


def table_of(data: Any, verb: str = "map") -> pd.DataFrame:
    """Returns data as a DataFrame: one, a Series, a frame of polars, a list of texts or of dicts.

    Raises:
        ContextError: it is none of these.
        ConfigError: two columns have the same name.
    """
    import pandas as pd

    if isinstance(data, pd.Series):
        frame = data.to_frame(name="text" if data.name is None else data.name)
    elif isinstance(data, pd.DataFrame):
        frame = data
    elif hasattr(data, "to_dicts") and hasattr(data, "columns"):  # polars
        frame = pd.DataFrame(data.to_dicts(), columns=list(data.columns))
    elif isinstance(data, (list, tuple)) and all(isinstance(item, Mapping) for item in data):
        frame = pd.DataFrame(list(data))
    elif isinstance(data, (list, tuple)) and all(isinstance(item, str) for item in data):
        frame = pd.DataFrame({"text": list(data)})
    else:
        raise ContextError(
            f"`{verb}` takes a table and not a `{type(data).__name__}`: a DataFrame, a Series, or a list of texts or "
            "dicts. For a question about the whole of it there is `run`."
        )
    names = [str(name) for name in frame.columns]
    double = (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if double is not None:
        raise ConfigError(
            f"Two columns of the table have the name `{double:.60}`: rename one, or choose `columns`."
        )
    return frame


def check_count(name: str, number: object) -> None:
    """Refuse what is no whole number from 1 on.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigError(f"`{name}` cannot be `{number!r:.40}`: give a whole number from 1 on.")


def shown_columns(frame: pd.DataFrame, columns: Sequence[Hashable] | str | None) -> list[Hashable] | None:
    """Returns the columns that the model is shown; None for all.

    Raises:
        ConfigError: one does not exist, or there is none.
    """
    if columns is None:
        return None
    names = column_names(frame, columns, "columns")
    if not names:
        raise ConfigError(
            "`columns` is empty: name the columns that the model is shown, or leave it out for all."
        )
    return names


def column_names(frame: pd.DataFrame, given: Any, argument: str) -> list[Hashable]:
    """Returns one column or several as a list.

    Raises:
        ConfigError: one does not exist.
    """
    known: list[Any] = list(frame.columns)
    several = isinstance(given, list) or (isinstance(given, tuple) and given not in known)
    names = list(given) if several else [given]
    for name in names:
        if name not in known:
            listed = ", ".join(f"`{column}`" for column in known[:20])
            raise ConfigError(f"`{argument}`: there is no column `{name!s:.60}`. Columns: {listed}.")
    return list(dict.fromkeys(names))


def grouped_rows(frame: pd.DataFrame, keys: list[Hashable]) -> tuple[pd.Index, tuple[tuple[int, ...], ...]]:
    """Returns the keys of the groups as an index, and the positions of their rows; rows without a key have one too."""
    by: Any = keys if len(keys) > 1 else keys[0]
    grouped = frame.groupby(by, sort=True, dropna=False, observed=True)
    numbers = grouped.ngroup().to_numpy()
    rows: list[list[int]] = [[] for _ in range(grouped.ngroups)]
    for position, number in enumerate(numbers):
        rows[number].append(position)
    return grouped.size().index, tuple(map(tuple, rows))


def _sample(count: int, size: int) -> tuple[int, ...]:
    """Choose items at random, and the same ones each time: the next run must ask what the cache knows."""
    if count <= size:
        return tuple(range(count))
    return tuple(sorted(random.Random(0).sample(range(count), size)))  # noqa: S311 - no secret
