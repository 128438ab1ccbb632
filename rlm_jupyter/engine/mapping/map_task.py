"""What `rlm.map` was asked for: checked before anything is started, and copied, so that it cannot change meanwhile."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
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
    for name, number, least in (("per", per, 1), ("sample", sample, 1)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < least):
            raise ConfigError(f"`{name}` cannot be `{number!r:.40}`: give a whole number from {least} on.")
    answer = ItemSchema(schema)
    names = _columns(frame, columns)
    keys = [] if by is None else _names(frame, by, "by")
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
    index, groups = _groups(frame, keys)
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


def table_of(data: Any) -> pd.DataFrame:
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
            f"`map` takes a table and not a `{type(data).__name__}`: a DataFrame, a Series, or a list of texts or "
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


def _columns(frame: pd.DataFrame, columns: Sequence[Hashable] | str | None) -> list[Hashable] | None:
    if columns is None:
        return None
    names = _names(frame, columns, "columns")
    if not names:
        raise ConfigError(
            "`columns` is empty: name the columns that the model is shown, or leave it out for all."
        )
    return names


def _names(frame: pd.DataFrame, given: Any, argument: str) -> list[Hashable]:
    known: list[Any] = list(frame.columns)
    several = isinstance(given, list) or (isinstance(given, tuple) and given not in known)
    names = list(given) if several else [given]
    for name in names:
        if name not in known:
            listed = ", ".join(f"`{column}`" for column in known[:20])
            raise ConfigError(f"`{argument}`: there is no column `{name!s:.60}`. Columns: {listed}.")
    return list(dict.fromkeys(names))


def _groups(frame: pd.DataFrame, keys: list[Hashable]) -> tuple[pd.Index, tuple[tuple[int, ...], ...]]:
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
