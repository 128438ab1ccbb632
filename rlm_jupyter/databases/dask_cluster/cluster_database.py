"""A frame of dask whose work a cluster does: asked in SQL like a table of a database, by the notebook's own client.

Agents' code never reaches the workers, which are not confined and have the user's rights: what does is a graph of calls
of dask and pandas that this process makes of a checked query. No function, no expression and no name of an agent's is
sent, evaluated or unpickled there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.database import Database, Relation
from rlm_jupyter.databases.query_errors import QueryCancelledError, QueryError
from rlm_jupyter.errors import ContextError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from rlm_jupyter.databases.running import Query

_DIALECT = "duckdb"
"""In which queries are read: the one that knows most of what people write."""
_NOTE = (
    "Its SQL has SELECT, DISTINCT, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, WITH and queries in parentheses, COUNT, "
    "SUM, AVG, MIN, MAX, STDDEV and COUNT(DISTINCT x); JOIN, UNION and window functions are not available: use pandas "
    "on what .sql(...) returns."
)


def is_on_cluster(value: Any) -> bool:
    """Returns whether a value is a frame or a column of dask and a cluster is there to compute it.

    dask is not imported for that, and nothing is computed.
    """
    if not _is_dask_frame(value) or "distributed" not in sys.modules:
        return False
    return _default_client() is not None or _client_in(value) is not None


def _is_dask_frame(value: Any) -> bool:
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    frames = {"dask.DataFrame", "dask.Series", "dask_expr.DataFrame", "dask_expr.Series"}
    return bool(kinds & frames) and hasattr(type(value), "__dask_graph__")


def _default_client() -> Any:
    default_client: Any = sys.modules["distributed"].default_client
    try:
        client = default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def _client_in(value: Any) -> Any:
    """Returns the client of a frame that was persisted: its graph has futures."""
    futures_of: Any = sys.modules["distributed"].futures_of
    try:
        found = futures_of(value)
    except Exception:  # some were cancelled
        return None
    return found[0].client if found else None


def database_of_frame(value: Any, name: str) -> DaskCluster:
    """Returns a frame on a cluster as a database of one table.

    Raises:
        ContextError: its columns cannot be told apart by name, or its client cannot be used from here.
    """
    client = _client_in(value) or _default_client()
    if getattr(client, "_asynchronous", False):
        raise ContextError(
            f"`{name}` is of a dask client that is asynchronous: hand over a frame of a `Client(...)` that is not."
        )
    frame = value if value.ndim > 1 else value.to_frame(name=value.name or "values")
    if any(named is not None for named in frame.index._meta.names):  # noqa: SLF001 - dask has no public name for it
        frame = frame.reset_index()
    columns = [str(column) for column in frame.columns]
    if len(set(columns)) < len(columns):
        raise ContextError(f"`{name}` has several columns of one name: rename them, and hand it over again.")
    if columns != list(frame.columns):
        frame = frame.rename(columns=dict(zip(frame.columns, columns, strict=True)))
    return DaskCluster(client, frame, name)


class DaskCluster(Database):
    """A frame on a dask cluster.

    Args:
        client: of the cluster, which stays the user's.
        frame: whose columns are texts.
        name: of the one table.
    """

    def __init__(self, client: Any, frame: Any, name: str) -> None:
        from rlm_jupyter.databases.dask_cluster.frame_rows import sql_type

        columns = tuple((column, sql_type(dtype)) for column, dtype in frame.dtypes.items())
        relation = Relation(name, columns, (name,))
        super().__init__(_title(client), _DIALECT, {name: relation}, whole=False, notes=(_NOTE,))
        self._client = client
        self._frame = frame
        self._name = name

    def look(self, _: Query) -> Mapping[str, Relation]:
        """Returns its one table."""
        return self.relations

    def execute(self, sql: str, query: Query) -> pa.Table:
        """Run one query that was checked: read anew, made a graph of, computed by the workers."""
        import sqlglot

        from rlm_jupyter.databases.dask_cluster.frame_queries import FrameQuery
        from rlm_jupyter.databases.dask_cluster.frame_rows import Rows
        from rlm_jupyter.databases.dask_cluster.gathered_rows import Gatherer
        from rlm_jupyter.databases.results import collect

        try:
            tree = sqlglot.parse_one(sql, read=_DIALECT)
            tables = {self._name: Rows(self._frame)}
            found = FrameQuery(tables, Gatherer(self._client, query)).result(tree)
            query.check()
            table = _arrow(found)
            return collect(table.to_batches(), table.schema, query.check, query.bounds)
        except (QueryError, QueryCancelledError):
            raise
        except RecursionError:
            raise QueryError("The query is nested too deeply.") from None
        except (
            BaseException
        ) as error:  # some errors of `distributed` are of asyncio, and derive from nothing else
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            query.check()
            raise self.failed(error) from None

    def failed(self, error: BaseException) -> QueryError:
        """Returns an error of dask's or of a worker's, for an agent."""
        return QueryError(f"The cluster says: {self.clean(str(error) or type(error).__name__)}")


def _title(client: Any) -> str:
    try:
        number = len(client.nthreads())
    except Exception:  # it is about to close: the first query says so
        return "dask cluster"
    return f"dask cluster of {number:,} {'worker' if number == 1 else 'workers'}"


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Make an Arrow table of rows; what Arrow has no type for becomes text."""
    import pandas as pd
    import pyarrow as pa

    from rlm_jupyter.databases.results import unique_names

    columns = []
    for at in range(len(frame.columns)):
        column = frame.iloc[:, at]
        try:
            columns.append(pa.Array.from_pandas(column))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            texts = [None if one is None or one is pd.NA else str(one) for one in column.tolist()]
            columns.append(pa.array(texts, pa.string()))
    return pa.Table.from_arrays(columns, names=unique_names([str(name) for name in frame.columns]))
