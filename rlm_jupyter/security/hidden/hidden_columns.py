"""Hidden columns: which parts of a question's data are to be hidden, and their values."""

from __future__ import annotations

import dataclasses
import datetime as dt
import fnmatch
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.security.hidden.arrow_texts import arrow_texts
from rlm_jupyter.security.hidden.text_columns import columns_of_text

_DEPTH: Final = 8
_WRITTEN: Final = 10_000
"""Items of a list in which a `Hidden(...)` is looked for."""
_LABEL: Final = 40
_NAMELESS: Final = "hidden"
_NUMBERS = (int, float, Decimal)


class Hidden:
    """Values that no provider may see: a column, or any collection.

    Usage:
        >>> rlm.run("Which customers left?", orders, hide=["salary", Hidden(orders.email)])
        >>> rlm.run("Who wrote most?", {"mails": mails, "people": Hidden(people)})

    The code of agents works on the real values. In what is sent to a provider, each of them is replaced by a token such
    as ``⟨email:17⟩``.

    Args:
        values: a Series, an array, a list, a dict, a DataFrame (all of its columns), a single value; or a path or a
            database, of which all columns are hidden.
        name: that the tokens have; None: the name of the Series, else ``hidden``.

    Attributes:
        values: as given.
        name: as given, or as found.
    """

    def __init__(self, values: Any, name: str | None = None) -> None:
        if isinstance(values, Hidden):
            values, name = values.values, name or values.name
        own = getattr(values, "name", None)
        self.values: Any = values
        self.name = name if name is not None else own if isinstance(own, str) else _NAMELESS

    def __reduce__(self) -> str:
        """Refuse to be sent: what is inside an object of another kind was not found, and would not be hidden.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "`Hidden(...)` stands inside of an object, where it is not looked for: put it into a dict or a list, or "
            "give `hide=[Hidden(values)]` and hand over the values as they are."
        )

    def __repr__(self) -> str:
        return f"Hidden({type(self.values).__name__}, name={self.name!r})"  # never what it holds


def read_hide(hide: object) -> tuple[str | Hidden, ...]:
    """Returns what a user gave as `hide`: names, patterns and `Hidden(...)`.

    Raises:
        ConfigError: it is something else.
    """
    if hide is None:
        return ()
    several = [hide] if isinstance(hide, (str, Hidden)) else hide
    if not isinstance(several, Iterable) or isinstance(several, Mapping):
        raise ConfigError(f"`hide` takes names of columns or `Hidden(...)`, not a `{type(hide).__name__}`.")
    found: list[str | Hidden] = []
    for one in several:
        if isinstance(one, Hidden):
            found.append(one)
        elif isinstance(one, str) and one.strip():
            found += [part.strip() for part in one.split(",") if part.strip()]
        else:
            raise ConfigError(
                "`hide` takes names of columns, patterns such as `*mail*`, or `Hidden(df.column)`, not a "
                f"`{type(one).__name__}`."
            )
    return tuple(found)


@dataclasses.dataclass
class HiddenColumn:
    """Values under one name, in the order in which they were found; their numbers count from 1.

    Attributes:
        label: the name that stands in tokens.
        values: as they are.
        texts: how they are written, where that is not as numbers are.
        owners: of each text, the place of its value; None: texts are values.
        numbers: values that are numbers, or arrays of some.
        first_number: the place of the first number among the values.
    """

    label: str
    texts: Sequence[str] = dataclasses.field(default_factory=list)
    values: list[Any] = dataclasses.field(default_factory=list)
    owners: list[int] | None = None
    numbers: list[Any] = dataclasses.field(default_factory=list)

    def value(self, place: int) -> Any:
        """Returns the value of a place; numbers come after all others."""
        first = len(self.values) if self.owners is not None else len(self.texts)
        if place >= first:
            return self.numbers[place - first]
        return self.values[place] if self.owners is not None else self.texts[place]

    def place_of_text(self, number: int) -> int:
        """Returns the place of the value that a text is a form of."""
        return number if self.owners is None else self.owners[number]

    def place_of_number(self, number: int) -> int:
        """Returns the place of a number."""
        return number + (len(self.values) if self.owners is not None else len(self.texts))

    def __len__(self) -> int:
        return self.place_of_number(len(self.numbers))

    def add(self, values: Sequence[Any], are_texts: bool = False) -> None:
        """Add values of any kinds; missing ones, flags and single letters tell nothing and are left out."""
        kinds = {str} if are_texts else set(map(type, values))
        if kinds == {str}:
            self._add_texts(values)
        elif kinds <= {int, float}:
            self.numbers += [number for number in values if not _is_nan(number)]
        else:
            leaves = [leaf for value in values for leaf in _leaves(value)]
            self.numbers += [leaf for leaf in leaves if isinstance(leaf, _NUMBERS) and not _is_nan(leaf)]
            texts = [leaf for leaf in leaves if not isinstance(leaf, _NUMBERS)]
            if all(type(leaf) is str for leaf in texts):
                self._add_texts(texts)
            else:
                self._add_forms(texts)

    def _add_texts(self, texts: Sequence[str]) -> None:
        if self.owners is not None:
            self._add_forms(list(texts))
        elif not self.texts:
            self.texts = texts
        else:
            known: list[str] = self.texts if isinstance(self.texts, list) else list(self.texts)
            known.extend(texts)
            self.texts = known

    def _add_forms(self, values: list[Any]) -> None:
        if self.owners is None:
            self.values, self.owners = list(self.texts), list(range(len(self.texts)))
        self.texts = texts = list(self.texts)
        for value in values:
            forms = _forms(value)
            self.owners += [len(self.values)] * len(forms)
            texts += forms
            self.values.append(value if type(value) is str else forms[0])


def _is_nan(number: Any) -> bool:
    return isinstance(number, (float, Decimal)) and math.isnan(number)


def _leaves(value: Any, depth: int = 0) -> list[Any]:  # noqa: PLR0911 - one for each kind
    """Returns the texts, numbers and dates of a value, whatever holds them."""
    if value is None or isinstance(value, bool) or _is_missing(value):
        return []
    if isinstance(value, (str, *_NUMBERS, dt.date, dt.time)):
        return [value]
    if isinstance(value, (bytes, bytearray)):
        return [bytes(value).decode("utf-8", "replace")]
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()
        return _leaves(value, depth) if not hasattr(value, "dtype") else [str(value)]
    if depth < _DEPTH and isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in _leaves(part, depth + 1)]
    if depth < _DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [leaf for part in value for leaf in _leaves(part, depth + 1)]
    return [str(value)]


def _is_missing(value: Any) -> bool:
    pd = sys.modules.get("pandas")
    return pd is not None and (value is pd.NA or value is pd.NaT)


def _forms(value: Any) -> list[str]:
    """Returns how a value is written; of a date, the orders of its parts that are in use."""
    if not isinstance(value, (dt.date, dt.datetime)):
        return [str(value)]
    has_time = isinstance(value, dt.datetime) and value.time() != dt.time()
    forms = [str(value)] if has_time else []
    orders = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %B %Y", "%B %d %Y", "%d %b %Y", "%b %d %Y")
    forms += [value.strftime(order) for order in orders]
    forms += [f"{value.year}, {value.month}, {value.day}", f"{value.day}.{value.month}.{value.year}"]
    return list(dict.fromkeys(forms))


class ColumnFinder:
    """Finds hidden columns in data, at any depth.

    Args:
        hide: names, patterns and `Hidden(...)` (`read_hide`).
        is_elsewhere: says of data whether its values are in files or in a database.

    Attributes:
        columns: that were found, by their labels.
        matched: the names and patterns that something was found for.
        found: the names of columns and keys whose values were taken.
        elsewhere: pairs of a name and what is hidden as a whole, but whose values are not in this process.
    """

    def __init__(
        self, hide: Sequence[str | Hidden], is_elsewhere: Callable[[Any], bool] = lambda _value: False
    ) -> None:
        self.patterns = tuple(one for one in hide if isinstance(one, str))
        self._is_elsewhere = is_elsewhere
        self.elsewhere: list[tuple[str, Any]] = []
        self.columns: dict[str, HiddenColumn] = {}
        self.matched: set[str] = set()
        self.found: set[str] = set()
        for one in hide:
            if isinstance(one, Hidden):
                self._take(one.name, one.values)

    def hides(self, name: object, path: str = "") -> bool:
        """Returns whether a column, key or attribute is hidden, and remembers by which pattern.

        Args:
            name: of the column; of several levels, each of them counts.
            path: the names of what it is in, with a point after each.
        """
        if isinstance(name, tuple):
            found = [self.hides(part, path) for part in name]  # all of them: each remembers its pattern
            return any(found)
        if not isinstance(name, str):
            return False
        patterns = {
            pattern
            for pattern in self.patterns
            if self.matches(name, pattern) or (path and self.matches(f"{path}{name}", pattern))
        }
        self.matched |= patterns
        return bool(patterns)

    @property
    def expressions(self) -> list[str]:
        """The patterns as regular expressions of case-folded names, for those who look for them elsewhere."""
        return [
            f"{re.escape(one)}|{fnmatch.translate(one)}"
            if any(char in one for char in "*?[")
            else re.escape(one)
            for one in map(str.casefold, self.patterns)
        ]

    @staticmethod
    def matches(name: str, pattern: str) -> bool:
        """Whether a name is meant by a name or pattern, in any case."""
        form, wanted = name.casefold(), pattern.casefold()
        return form == wanted or fnmatch.fnmatchcase(form, wanted)

    def unwrap(self, data: Any, depth: int = 0) -> Any:
        """Take the values of each `Hidden(...)` in data, and return the data itself.

        Looked for where a person would write it: not far down, nor in long lists; elsewhere it is refused, as no
        `Hidden` can be encoded.
        """
        if isinstance(data, Hidden):
            self._take(data.name, data.values)
            return data.values
        if type(data) not in (dict, list, tuple) or depth > _DEPTH or len(data) > _WRITTEN:
            return data
        if type(data) is dict:
            parts = {key: self._unwrap_named(key, value, depth + 1) for key, value in data.items()}
            return parts if any(parts[key] is not value for key, value in data.items()) else data
        items = [self.unwrap(value, depth + 1) for value in data]
        changed = any(new is not old for new, old in zip(items, data, strict=True))
        return type(data)(items) if changed else data

    def _unwrap_named(self, key: Any, value: Any, depth: int) -> Any:
        if isinstance(value, Hidden) and value.name == _NAMELESS:
            value = Hidden(value.values, str(key))
        return self.unwrap(value, depth)

    def search(self, data: Any, path: str = "", depth: int = 0) -> None:
        """Find the columns, keys and attributes whose names are hidden."""
        if not self.patterns or depth > _DEPTH or isinstance(data, (bytes, *_NUMBERS)):
            return
        if isinstance(data, str):
            for name, values in columns_of_text(data, lambda name: self.hides(name, path)):
                self._take(name, values)
        elif (columns := columns_of(data)) is not None:
            for name, values in columns:
                self._search_column(name, values(), path, depth)
        elif (parts := _named_parts(data)) is not None:
            for name, value in parts:
                self._search_part(name, value, path, depth)
        elif isinstance(data, (list, tuple, set, frozenset)):
            for part in data:
                self.search(part, path, depth + 1)

    def _search_column(self, name: object, values: Any, path: str, depth: int) -> None:
        if self.hides(name, path):
            self._take(_joined_name(name), values)
        elif (nested := _nested(values)) is not None:
            self.search(nested, path, depth + 1)

    def _search_part(self, name: object, value: Any, path: str, depth: int) -> None:
        if self.hides(name, path):
            self._take(_joined_name(name), value)
        else:
            self.search(value, f"{path}{name}." if isinstance(name, str) else path, depth + 1)

    def _take(self, name: str, values: Any) -> None:
        columns = columns_of(values)
        if columns is not None and not hasattr(values, "dtype"):
            for column, read in columns:
                self._take(_joined_name(column) if column is not None else name, read())
            return
        if self._is_elsewhere(values):
            self.elsewhere.append((name, values))
            return
        self.take_values(name, *_listed(values))

    def take_values(self, name: str, values: Sequence[Any], are_texts: bool = False) -> None:
        """Take the values of a column.

        Args:
            name: of the column.
            values: of any kinds.
            are_texts: whether it is known that all are texts.
        """
        self.found.add(name)
        label = "".join(char for char in name if char.isalnum() or char in "_-.")[:_LABEL] or "hidden"
        self.columns.setdefault(label, HiddenColumn(label)).add(values, are_texts)


def _named_parts(data: Any) -> Iterable[tuple[Any, Any]] | None:
    """Returns the parts of a record by their names; None if it is none."""
    if isinstance(data, Mapping):
        return data.items()
    if isinstance(data, tuple) and isinstance(names := getattr(data, "_fields", None), tuple):
        return zip(names, data, strict=False)
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return [(field.name, getattr(data, field.name, None)) for field in dataclasses.fields(data)]
    return None


def _nested(values: Any) -> list[Any] | None:
    """Returns the cells of a column that hold records or lists; None if there are none, as of nearly all columns."""
    if str(getattr(values, "dtype", "")) != "object" or not hasattr(values, "tolist"):
        return None
    cells = values.tolist()
    return cells if any(isinstance(cell, (dict, list, tuple)) for cell in cells) else None


def _joined_name(name: object) -> str:
    return "_".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _listed(values: Any) -> tuple[Sequence[Any], bool]:
    """Returns the values of a column, without the missing ones, and whether it is known that all are texts."""
    if (texts := _texts(values)) is not None:
        return texts, True
    return _any_values(values), False


def _texts(values: Any) -> Sequence[str] | None:
    """Returns the values of a column of pandas if all are texts; of ten million, each is not looked at."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(values, pd.Series):
        return None
    if (found := arrow_texts(values.dropna())) is not None:
        return found
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=False) == "string":
        return list(values.tolist())
    return None


def _any_values(values: Any) -> list[Any]:
    if hasattr(values, "dropna"):  # pandas
        values = values.dropna()
    for method in ("tolist", "to_list", "to_pylist"):
        if hasattr(values, method):
            found = getattr(values, method)()
            return found if isinstance(found, list) else [found]
    if isinstance(values, (list, tuple, set, frozenset)):
        return list(values)
    if isinstance(values, Mapping):
        return list(values.values())
    return [values]


def columns_of(data: Any) -> list[tuple[Any, Any]] | None:  # noqa: PLR0911 - one for each library
    """Returns the columns of a table as pairs of a name and a function that returns its values; None if it is none."""
    kind = type(data)
    module = kind.__module__.partition(".")[0]
    if module == "pandas" and hasattr(data, "index"):
        index = data.index
        levels = [
            (name, lambda number=number: index.get_level_values(number))
            for number, name in enumerate(index.names)
        ]
        if hasattr(data, "columns"):
            own = [
                (name, lambda number=number: data.iloc[:, number]) for number, name in enumerate(data.columns)
            ]
            return own + [level for level in levels if level[0] is not None]
        return [(data.name, lambda: data), *(level for level in levels if level[0] is not None)]
    if module == "polars" and hasattr(data, "get_columns"):
        return [(column.name, lambda column=column: column) for column in data.get_columns()]
    if module == "polars" and hasattr(data, "to_list"):
        return [(data.name, lambda: data)]
    if module == "pyarrow" and hasattr(data, "column_names"):
        return [(name, lambda name=name: data.column(name)) for name in data.column_names]
    names = getattr(getattr(data, "dtype", None), "names", None)
    if module == "numpy" and names:
        return [(name, lambda name=name: data[name]) for name in names]
    return None


def described_columns(description: Any, depth: int = 0) -> set[str]:
    """Returns all names of columns and keys that a description of data shows."""
    found: set[str] = set()
    if depth > _DEPTH:
        return found
    if isinstance(description, Mapping):
        for key in ("columns", "fields"):
            listed = description.get(key)
            for column in listed if isinstance(listed, list) else ():
                if isinstance(column, Mapping) and isinstance(column.get("name"), str):
                    found.add(column["name"])
        for value in description.values():
            found |= described_columns(value, depth + 1)
    elif isinstance(description, (list, tuple)):
        for value in description:
            found |= described_columns(value, depth + 1)
    return found
