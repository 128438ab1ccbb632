"""A checked query, clause by clause: rows of the cluster while they are many, of this process once they are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd
from sqlglot import exp

from rlm_jupyter.databases.dask_cluster.frame_aggregates import Grouping, aggregates_in, is_aggregate
from rlm_jupyter.databases.dask_cluster.frame_expressions import parts_of
from rlm_jupyter.databases.dask_cluster.frame_functions import QueryExpressions
from rlm_jupyter.databases.dask_cluster.frame_rows import Rows, not_here
from rlm_jupyter.databases.dask_cluster.gathered_rows import Gatherer
from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.results import MOST_ROWS, unique_names

MOST_NODES = 2000
"""Parts of a query, without the values of IN: each becomes a step of a graph with a task for each partition."""
_CLAUSES: Final = (
    "with_",
    "expressions",
    "distinct",
    "from_",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
)


@dataclass(frozen=True)
class Column:
    """One expression of a SELECT.

    Attributes:
        name: of the column that it makes.
        made: the expression.
    """

    name: str
    made: exp.Expr


class FrameQuery:
    """A query of frames.

    Args:
        tables: the rows of each table, by its name.
        gatherer: brings rows here.
    """

    def __init__(self, tables: Mapping[str, Rows], gatherer: Gatherer) -> None:
        self._tables = tables
        self._gatherer = gatherer
        self._steps = 0

    def result(self, tree: exp.Expr) -> pd.DataFrame:
        """Returns the rows of a query, here.

        Raises:
            QueryError: it has what is not available, or gives too much.
        """
        listed = sum(1 for one in tree.find_all(exp.Literal) if isinstance(one.parent, exp.In))
        if (size := sum(1 for _ in tree.walk()) - listed) > MOST_NODES:
            raise QueryError(
                f"The query has {size:,} parts; the most is {MOST_NODES:,}: ask for less at once."
            )
        return self._here(self._rows(tree, {}).frame)

    def _count(self, steps: int) -> None:
        """Count what is made of the query: a star is one part of it, and may be many columns."""
        self._gatherer.check()
        self._steps += steps
        if self._steps > MOST_NODES:
            raise QueryError(
                f"The query makes more than {MOST_NODES:,} steps on its way: select fewer columns, or write shorter "
                "expressions."
            )

    def _here(self, frame: Any) -> pd.DataFrame:
        return frame if isinstance(frame, pd.DataFrame) else self._gatherer.all(frame)

    def _rows(self, tree: exp.Expr, known: Mapping[str, Rows], wanted: set[str] | None = None) -> Rows:
        if isinstance(tree, exp.Subquery):
            inner, _ = parts_of(tree, "this", "alias")
            return self._rows(inner, known, wanted)
        if not isinstance(tree, exp.Select):
            raise not_here(f"`{type(tree).__name__.upper()}`")
        clauses = dict(zip(_CLAUSES, parts_of(tree, *_CLAUSES), strict=True))
        known = self._with(clauses["with_"], known)
        if clauses["from_"] is None:
            raise not_here("A query without FROM")
        rows, names = self._source(parts_of(clauses["from_"], "this")[0], known, _used(tree))

        def subquery(node: exp.Expr) -> pd.Series[Any]:
            found = self._here(self._rows(node, known).frame)
            if len(found.columns) != 1:
                raise QueryError("A query in parentheses that stands for a value must have one column.")
            return found.iloc[:, 0]

        return _Selection(rows, names, clauses, wanted, subquery, self._gatherer, self._count).rows()

    def _with(self, clause: exp.Expr | None, known: Mapping[str, Rows]) -> Mapping[str, Rows]:
        if clause is None:
            return known
        (queries,) = parts_of(clause, "expressions")
        found = dict(known)
        for one in queries:
            inner, alias, _ = parts_of(one, "this", "alias", "materialized")
            if alias.args.get("columns"):
                raise not_here("A WITH that names its columns")
            found[alias.name.lower()] = self._rows(inner, found)  # once, however often it is named
        return found

    def _source(
        self, node: exp.Expr, known: Mapping[str, Rows], used: set[str] | None
    ) -> tuple[Rows, set[str]]:
        """Returns the rows of a FROM, and the names that the query may call them by."""
        alias = node.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            raise not_here("A table whose columns are named anew")
        if isinstance(node, exp.Table):
            parts_of(node, "this", "alias", "db", "catalog")
            rows = known.get(node.name.lower()) or self._tables.get(node.name)
            if rows is None:
                raise QueryError(f"There is no table `{node.name[:80]}` here.")
            return rows, {node.alias_or_name.lower()}
        if isinstance(node, exp.Subquery):
            return self._rows(node, known, used), {node.alias_or_name.lower()}
        raise not_here(f"`{type(node).__name__.upper()}` in FROM")


@dataclass
class _Selection:
    """One SELECT.

    Args:
        source: the rows of its FROM.
        names: what it may call them.
        clauses: by `_CLAUSES`.
        wanted: names of its columns that are used, in lower case; None: all are.
        subquery: returns the column of a query in parentheses.
        gatherer: brings rows here.
        count: is told how many expressions are made.
    """

    source: Rows
    names: set[str]
    clauses: dict[str, Any]
    wanted: set[str] | None
    subquery: Callable[[exp.Expr], pd.Series[Any]]
    gatherer: Gatherer
    count: Callable[[int], None]

    def rows(self) -> Rows:
        columns = self._columns()
        order = self._order(columns)
        keys = self._keys(columns)
        having = self._having(columns)
        made = [*(one.made for one in columns), *(key.made for key in order)]
        if having is not None:
            made.append(having)
        where = self.clauses["where"]
        conditions = [] if where is None else [self._resolved(parts_of(where, "this")[0])]
        # An alias or a number may stand for a long expression in many places.
        self.count(1 + sum(map(_size, [*(one.made for one in columns), *keys, *conditions])))
        rows = self.source.only(_columns_of([*made, *keys, *conditions]))
        for condition in conditions:
            rows = self._restricted(rows, condition)
        if keys or aggregates_in(made):
            rows, made = self._grouped(rows, keys, made)
            if having is not None:
                rows = self._restricted(rows, made[-1])
        elif having is not None:
            raise QueryError("HAVING is for groups: without GROUP BY, write WHERE.")
        rows = self._selected(rows, columns, order, made)
        return self._ordered(rows, columns, order)

    # ------------------------------------------------------------------------ names and clauses

    def _resolved(self, node: exp.Expr, aliases: Mapping[str, exp.Expr] | None = None) -> exp.Expr:
        """Returns an expression whose columns are called as those of the rows, but for queries in parentheses."""

        def resolve(one: exp.Expr) -> exp.Expr:
            if isinstance(one, exp.Column) and not isinstance(one.this, exp.Star):
                return self._column(one, aliases)
            return one

        return _replaced(node, resolve)

    def _column(self, node: exp.Expr, aliases: Mapping[str, exp.Expr] | None) -> exp.Expr:
        table, name, _, _ = parts_of(node, "table", "this", "db", "catalog")
        if table is not None and table.name.lower() not in self.names:
            raise QueryError(
                f"`{node.sql('duckdb')[:80]}`: there is no table `{table.name[:60]}` in this FROM."
            )
        found = self.source.find(name.name)
        if found is not None:
            return exp.column(exp.to_identifier(found, quoted=True))
        if aliases and table is None and name.name.lower() in aliases:
            self.count(_size(aliases[name.name.lower()]))
            return aliases[name.name.lower()].copy()
        listed = ", ".join(f"`{one[:40]}`" for one in self.source.names[:30])
        raise QueryError(f"There is no column `{name.name[:60]}` here. There is: {listed}.")

    def _columns(self) -> list[Column]:
        found: list[tuple[str, exp.Expr]] = []
        for node in self.clauses["expressions"]:
            star = node.this if isinstance(node, exp.Column) else node
            if isinstance(star, exp.Star):
                if isinstance(node, exp.Column) and node.table.lower() not in self.names:
                    raise QueryError(f"There is no table `{node.table[:60]}` in this FROM.")
                (left_out,) = parts_of(star, "except_")
                out = {one.name.lower() for one in left_out or ()}
                found += [(name, _named(name)) for name in self.source.names if name.lower() not in out]
                continue
            inner = node.this if isinstance(node, exp.Alias) else node
            name = node.alias if isinstance(node, exp.Alias) else self._name_of(inner)
            found.append((name, self._resolved(inner)))
        names = unique_names([name for name, _ in found])
        columns = [Column(name, made) for name, (_, made) in zip(names, found, strict=True)]
        whole = (
            self.clauses["distinct"] or self.clauses["group"] or aggregates_in([one.made for one in columns])
        )
        if self.wanted is None or whole:
            return columns
        return [one for one in columns if one.name.lower() in self.wanted] or columns[:1]

    def _name_of(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Column):
            return self.source.find(node.name) or node.name
        return node.sql("duckdb")[:100].lower()

    def _by_alias(self, columns: Sequence[Column]) -> dict[str, exp.Expr]:
        return {one.name.lower(): one.made for one in columns}

    def _keys(self, columns: Sequence[Column]) -> list[exp.Expr]:
        clause = self.clauses["group"]
        if clause is None:
            return []
        expressions, everything = parts_of(clause, "expressions", "all")
        if everything:
            return [one.made for one in columns if not aggregates_in([one.made])]
        keys = []
        for node in expressions:
            if isinstance(node, exp.Literal) and not node.args.get("is_string"):
                keys.append(_numbered(columns, node).made)
            else:
                keys.append(self._resolved(node, self._by_alias(columns)))
        if aggregates_in(keys):
            raise QueryError("GROUP BY cannot have an aggregate: groups come before them.")
        return list(dict.fromkeys(keys))

    def _having(self, columns: Sequence[Column]) -> exp.Expr | None:
        clause = self.clauses["having"]
        return (
            None if clause is None else self._resolved(parts_of(clause, "this")[0], self._by_alias(columns))
        )

    def _order(self, columns: Sequence[Column]) -> list[_SortKey]:
        clause = self.clauses["order"]
        if clause is None:
            return []
        found = []
        for node in parts_of(clause, "expressions")[0]:
            inner, descending, nulls_first = parts_of(node, "this", "desc", "nulls_first")
            made = self._sort_key(inner, columns)
            self.count(_size(made))
            found.append(_SortKey(made, bool(descending), bool(nulls_first)))
        if len({key.nulls_first for key in found}) == 1:
            return found
        # pandas has one place for what is missing in all columns
        apart = [
            (_SortKey(exp.Is(this=key.made.copy(), expression=exp.Null()), key.nulls_first, False), key)
            for key in found
        ]
        return [_SortKey(key.made, key.descending, False) for pair in apart for key in pair]

    def _sort_key(self, node: exp.Expr, columns: Sequence[Column]) -> exp.Expr:
        if isinstance(node, exp.Literal) and not node.args.get("is_string"):
            return _numbered(columns, node).made
        if isinstance(node, exp.Column) and node.args.get("table") is None:
            for one in columns:
                if one.name.lower() == node.name.lower():
                    return one.made
        return self._resolved(node, self._by_alias(columns))

    # ------------------------------------------------------------------------------- the rows

    def _restricted(self, rows: Rows, condition: exp.Expr) -> Rows:
        if aggregates_in([condition]):
            raise QueryError("WHERE cannot have an aggregate: write HAVING, or a query in parentheses.")
        made = QueryExpressions(rows, self.subquery, self.gatherer.check)
        made.growth(condition)
        return rows.where(made.truth(condition).true)

    def _grouped(self, rows: Rows, keys: list[exp.Expr], made: list[exp.Expr]) -> tuple[Rows, list[exp.Expr]]:
        prefix = "rlm_"
        while any(name.startswith(prefix) for name in rows.names):
            prefix += "_"
        aggregates = aggregates_in(made)
        grouping = Grouping(
            QueryExpressions(rows, self.subquery, self.gatherer.check), self.gatherer.all, prefix
        )
        found = grouping.grouped(keys, aggregates)
        replaced = {key: _named(f"{prefix}key{at}") for at, key in enumerate(keys)}
        replaced |= {node: _named(f"{prefix}sum{at}") for at, node in enumerate(aggregates)}
        made = [_replaced(node, lambda one: replaced.get(one, one)) for node in made]
        for node in made:
            for column in node.find_all(exp.Column):
                if column.name not in found.frame.columns and not _in_parentheses(column, node):
                    raise QueryError(
                        f"`{column.name[:60]}` must be in GROUP BY or in an aggregate, such as ANY_VALUE."
                    )
        return found, made

    def _selected(
        self, rows: Rows, columns: Sequence[Column], order: Sequence[_SortKey], made: Sequence[exp.Expr]
    ) -> Rows:
        """Returns the columns of the SELECT, and behind them those to sort by, under numbers."""
        expressions = QueryExpressions(rows, self.subquery, self.gatherer.check)
        wanted = [one for one in made[: len(columns) + len(order)] if not isinstance(one, exp.Rand)]
        for node in wanted:
            if any(is_aggregate(one) for one in node.walk(prune=lambda one: isinstance(one, exp.Query))):
                raise QueryError(f"`{node.sql('duckdb')[:80]}`: an aggregate cannot be inside of another.")
        growth = {f"rlm_{at}": expressions.growth(node) for at, node in enumerate(wanted)}
        held = {node.name: f"rlm_{at}" for at, node in enumerate(wanted) if self._as_it_is(rows, node)}
        if len(held) == len(wanted):  # such as of a star, which may be many
            frame = rows.frame[list(held)].rename(columns=held)
        else:
            self.count(len(wanted))
            values = {f"rlm_{at}": expressions.value(node) for at, node in enumerate(wanted)}
            frame = rows.frame.assign(**values)[list(values)]
        if not self.clauses["distinct"]:
            return Rows(frame, growth)
        if self.clauses["distinct"].args.get("on") is not None:
            raise not_here("DISTINCT ON")
        if any(key.made not in [one.made for one in columns] for key in order):
            raise QueryError("With DISTINCT, ORDER BY has columns of the SELECT only.")
        return Rows(frame.drop_duplicates(), growth)

    def _as_it_is(self, rows: Rows, node: exp.Expr) -> bool:
        """Whether an expression is a column that need not be made anew."""
        return isinstance(node, exp.Column) and not isinstance(
            rows.frame[node.name].dtype, pd.CategoricalDtype
        )

    def _ordered(self, rows: Rows, columns: Sequence[Column], order: Sequence[_SortKey]) -> Rows:
        limit, offset = _number(self.clauses["limit"]), _number(self.clauses["offset"]) or 0
        wanted = None if limit is None else limit + offset
        if wanted == 0:
            frame = rows.frame if rows.here else self.gatherer.empty(rows.frame)
            frame = frame.head(0)
        elif len(order) == 1 and isinstance(order[0].made, exp.Rand):
            if wanted is None:
                raise QueryError("ORDER BY RANDOM() needs a LIMIT here; .sample(n) does that too.")
            frame = self._sampled(rows.frame, wanted)
        elif order:
            frame = self._sorted(rows.frame, len(columns), order, wanted)
        elif wanted is not None:
            frame = rows.frame.head(wanted) if rows.here else self.gatherer.first(rows.frame, wanted)
        else:
            frame = rows.frame
        if offset:
            frame = frame.iloc[offset:]
        names = {f"rlm_{at}": one.name for at, one in enumerate(columns)}
        growth = {name: rows.growth.get(held, 1) for held, name in names.items()}
        return Rows(frame[list(names)].rename(columns=names), growth)

    def _sampled(self, frame: Any, wanted: int) -> pd.DataFrame:
        if isinstance(frame, pd.DataFrame):
            return frame.sample(n=min(wanted, len(frame)))
        return self.gatherer.sample(frame, wanted)

    def _sorted(self, frame: Any, first: int, order: Sequence[_SortKey], wanted: int | None) -> pd.DataFrame:
        if any(isinstance(key.made, exp.Rand) for key in order):
            raise not_here("RANDOM() beside other columns of ORDER BY")
        by = [f"rlm_{first + at}" for at in range(len(order))]
        ways = [not key.descending for key in order]
        place: Literal["first", "last"] = "first" if order[0].nulls_first else "last"

        def sort(rows: Any) -> Any:
            if isinstance(rows, pd.DataFrame):
                return rows.sort_values(by, ascending=ways, na_position=place, kind="stable")
            from dask.utils import M

            return rows.map_partitions(M.sort_values, by, ascending=ways, na_position=place)

        if isinstance(frame, pd.DataFrame):
            found = sort(frame)
        elif wanted is None or wanted > MOST_ROWS:
            found = sort(self.gatherer.all(frame))
        else:
            return self.gatherer.largest(frame, wanted, sort)
        whole: pd.DataFrame = found if wanted is None else found.head(wanted)
        return whole


@dataclass(frozen=True)
class _SortKey:
    """One key of ORDER BY."""

    made: exp.Expr
    descending: bool
    nulls_first: bool


def _size(node: exp.Expr) -> int:
    """Returns how many steps an expression takes; none for a column as it is."""
    if isinstance(node, exp.Column):
        return 0
    return sum(
        not isinstance(one, exp.Identifier)
        and not (isinstance(one, exp.Literal) and isinstance(one.parent, exp.In))
        for one in node.walk(prune=lambda one: isinstance(one, exp.Query))
    )


def _columns_of(nodes: Iterable[exp.Expr]) -> set[str]:
    """Returns the names of the columns of some expressions, without those of queries in parentheses."""
    found = set()
    for node in nodes:
        for one in node.walk(prune=lambda one: isinstance(one, exp.Query)):
            if isinstance(one, exp.Column):
                found.add(one.name)
    return found


def _used(tree: exp.Select) -> set[str] | None:
    """Returns the names that a SELECT may mean columns of its FROM by, in lower case; None: all."""
    found: set[str] = set()
    for part in (one for name, one in tree.args.items() if name not in ("from_", "with_")):
        for node in part if isinstance(part, list) else [part]:
            if not isinstance(node, exp.Expr):
                continue
            for one in node.walk(prune=lambda one: isinstance(one, exp.Query)):
                if isinstance(one, exp.Star) and not isinstance(one.parent, exp.Count):
                    return None
                if isinstance(one, exp.Column):
                    found.add(one.name.lower())
    return found


def _named(name: str) -> exp.Expr:
    return exp.column(exp.to_identifier(name, quoted=True))


def _numbered(columns: Sequence[Column], node: exp.Expr) -> Column:
    number = node.name
    if not number.isdecimal() or not 1 <= int(number[:6]) <= len(columns):
        raise QueryError(f"There is no column number {number[:20]} in this SELECT.")
    return columns[int(number) - 1]


def _number(clause: exp.Expr | None) -> int | None:
    """Returns the number of a LIMIT or an OFFSET."""
    if clause is None:
        return None
    (node,) = parts_of(clause, "expression")
    if not (isinstance(node, exp.Literal) and node.name.isdecimal() and len(node.name) < 16):  # noqa: PLR2004
        raise QueryError("LIMIT and OFFSET have a whole number here.")
    return int(node.name)


def _replaced(node: exp.Expr, replace: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Returns a copy of an expression with parts replaced, but for those of queries in parentheses."""
    made = replace(node)
    if made is not node:
        return made.copy()
    if isinstance(node, exp.Query):
        return node.copy()
    copy = node.copy()
    for child in list(copy.iter_expressions()):
        other = _replaced(child, replace)
        child.replace(other)
    return copy


def _in_parentheses(column: exp.Expr, root: exp.Expr) -> bool:
    """Whether a column is of a query in parentheses."""
    node = column.parent
    while node is not None:
        if isinstance(node, exp.Query):
            return True
        if node is root:
            return False
        node = node.parent
    return False
