"""Hidden columns of databases: the values that differ, by queries of one column each on the way that agents' take."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.security.hidden.arrow_texts import texts_of_arrow

if TYPE_CHECKING:
    import pyarrow as pa

    from rlm_jupyter.databases.database import Database, Relation
    from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder

SECONDS: Final = 600.0
"""For all columns of a question together."""
BYTES_OF_EACH: Final = 100
_NESTED: Final = re.compile(
    r"(?i)\b(struct|map|jsonb?|record|variant|object|union|array|list)\b|\[\]|\(.*\)\["
)


class DatabaseValues:
    """Reads the hidden columns of databases into a finder.

    Args:
        finder: says which columns are hidden, and takes their values.
        most: values of all columns together.
        is_whole: says whether all columns of a database are hidden.
    """

    def __init__(
        self, finder: ColumnFinder, most: int, is_whole: Callable[[Database], bool] = lambda _database: False
    ) -> None:
        self._finder, self._left, self._is_whole = finder, most, is_whole
        self._most = most
        self._until = time.monotonic() + SECONDS

    def read(self, databases: Iterable[Database]) -> None:
        """Read the columns of databases. Blocking.

        Raises:
            ConfigError: their values cannot be known, and why.
        """
        for database in databases:
            whole = self._is_whole(database)
            for relation in database.relations.values():
                for column, kind in relation.columns:
                    self._read_column(database, relation, column, kind, whole=whole)

    def _read_column(
        self, database: Database, relation: Relation, column: str, kind: str, *, whole: bool
    ) -> None:
        finder, paths = self._finder, paths_of(database, relation)
        hidden = [finder.hides(column, path) for path in paths]
        if whole or any(hidden):
            values = in_order(self._values(database, relation, column))
            texts = texts_of_arrow(values)
            if texts is not None and _NESTED.search(kind):  # drivers give such values as JSON
                finder.take_values(column, [_read_json(one) for one in texts])
            elif texts is not None:
                finder.take_values(column, texts, are_texts=True)
            else:
                finder.take_values(column, [one for one in values.to_pylist() if one is not None])
        elif finder.patterns and _NESTED.search(kind):
            values = self._values(database, relation, column)
            found = in_order(values).to_pylist(maps_as_pydicts="lossy")
            finder.search([_read_json(one) for one in found], f"{column}.")

    def _values(self, database: Database, relation: Relation, column: str) -> pa.ChunkedArray:
        """Returns the values of a column that differ; all of them where the database cannot tell them apart.

        Raises:
            ConfigError: they cannot be read, or there are too many.
        """
        from rlm_jupyter.databases.query_errors import (
            QueryCancelledError,
            QueryError,
            ResultTooLargeError,
        )

        name = f"{relation.name}.{column}"
        try:
            try:
                found = self._asked(database, relation, column, distinct=True)
            except (ResultTooLargeError, QueryCancelledError):
                raise
            except QueryError:
                found = self._asked(database, relation, column, distinct=False)
        except ResultTooLargeError:
            raise _refused(
                name, f"all hidden columns together have more than {self._most:,} values, or too many bytes"
            ) from None
        except QueryCancelledError:
            raise _refused(name, f"it takes longer than {SECONDS:.0f} seconds") from None
        except QueryError:  # whose message may quote a value
            raise _refused(name, "the database cannot read it") from None
        self._left -= len(found)
        return found

    def _asked(
        self, database: Database, relation: Relation, column: str, *, distinct: bool
    ) -> pa.ChunkedArray:
        from sqlglot import exp

        from rlm_jupyter.databases.running import within
        from rlm_jupyter.databases.sql_queries import written

        source = exp.alias_(relation.expression(database.dialect), "t", table=True)
        tree = exp.select(exp.column(exp.to_identifier(column, quoted=True), table="t")).from_(source)
        sql = written(tree.distinct() if distinct else tree, database.dialect)
        seconds = max(self._until - time.monotonic(), 0.01)
        bounds = (max(self._left, 0), self._most * BYTES_OF_EACH)
        return within(seconds, lambda query: database.execute(sql, query), bounds).column(0)


def in_order(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Returns values in an order that is always the same: that of a result is not, and tokens are numbered by it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(values.type):
        places = [str(value) for value in values.to_pylist()]
        return values.take(pc.sort_indices(pa.array(places, pa.large_string())))
    return values.take(pc.sort_indices(values))


def paths_of(database: Database, relation: Relation) -> list[str]:
    """Returns what may stand before the name of a column: its table, with its schema, and what the data is called."""
    names = [
        "",
        relation.name,
        *(".".join(relation.path[-length:]) for length in range(1, len(relation.path) + 1)),
    ]
    names += [f"{database.called}.{name}" if name else database.called for name in names]
    return [f"{name}." if name else "" for name in dict.fromkeys(names)]


def _read_json(value: Any) -> Any:
    """Returns what a text of a column of JSON holds."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def names_of(database: Database) -> Iterator[str]:
    """Yields the names of all columns of a database."""
    for relation in database.relations.values():
        yield from (column for column, _ in relation.columns)


def _refused(name: str, reason: str) -> ConfigError:
    return ConfigError(
        f"`hide` cannot tell the values of `{name}`: {reason}. Hand over a query or a view without that column, or the "
        "rows as a DataFrame; `hide_most` says how many values are held."
    )
