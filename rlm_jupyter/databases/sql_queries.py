"""Queries of agents, checked and rewritten as syntax trees: one SELECT, of tables that were handed over.

What is sent to a database is written anew from the tree, never the agent's text. The names of tables become the tables
themselves, spelled out, or the query that a handle is. Everything is refused that is not known to be harmless. The
database itself enforces that nothing is written; this says what may be read, and which functions may be called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.sql_functions import KNOWN, NAMED, NO_COLUMNS, TABLE_CLASSES, TABLE_FUNCTIONS

MOST_CHARACTERS = 20_000
MOST_NODES = 20_000
"""Parts of a query, with the conditions of its handle wherever it is named."""
MOST_OF_CONDITIONS = 4000
"""Parts of all conditions of a handle, with those before it wherever one names the handle."""
_MOST_TABLES = 50
_TOO_MANY = "The query, with the conditions of its handle, has too many parts: ask for less at once."
_SHOWN = 15

Source = Callable[[], exp.Expr]
"""Makes anew what stands for a table in a query: its full name, or a query in parentheses."""

_PLAIN = re.compile(r"[^\W\d][\w$]*")
"""Names that need no quotes: `$1` is a name to one parser, and a parameter to another."""
_FIRST = {"SELECT", "WITH", "FROM", "VALUES", "L_PAREN", "TABLE"}
_NODES = frozenset(
    """
    Select Union Intersect Except With CTE Subquery Table TableAlias Column Identifier Literal Star Alias Aliases From
    Where Group Having Order Ordered Limit Offset Fetch Distinct Join Lateral Values Tuple Paren Null Boolean In Between
    DataType DataTypeParam Interval IntervalSpan Var Window WindowSpec Qualify Filter WithinGroup Bracket Slice Lambda
    Kwarg PropertyEQ JSONPath JSONPathRoot JSONPathKey JSONPathSubscript JSONPathSlice JSONPathWildcard JSONPathUnion
    JSONPathRecursive JSONPathFilter JSONPathScript JSONPathSelector TableSample Pivot PivotAlias PivotAny Rollup Cube
    GroupingSets AtTimeZone FromTimeZone Any All IgnoreNulls RespectNulls HavingMax ByteString RawString HexString
    BitString UnicodeString National Comprehension ColumnDef Escape Not Neg BitwiseNot Predicate JSONKeyValue
    JSONArrayAppendItem WeekStart JSON OrderBy Cte Unnest TableColumn DType SubqueryPredicate
    """.split()  # noqa: SIM905 - names to be read, not a program
)
"""Classes of nodes, besides operators and functions, that a query may have."""


def checked_query(text: str, dialect: str, tables: Mapping[str, Source]) -> exp.Query:
    """Returns an agent's query as a tree in which each table is what the handle stands for.

    Args:
        text: of the query.
        dialect: of the database, as `sqlglot` calls it.
        tables: by the names that the query may use, in lower case.

    Raises:
        QueryError: it is not one query of these tables, or uses what is not allowed.
    """
    tree = _parsed(text, dialect)
    if not isinstance(tree, (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)):
        raise QueryError(_not_a_query(type(tree).__name__))
    if isinstance(
        tree, (exp.Subquery, exp.Values)
    ):  # some databases take no parentheses around a whole query
        outer = exp.select("*").from_(tree)
        for part in ("with_", "order", "limit", "offset"):
            if isinstance(tree, exp.Subquery) and (held := tree.args.get(part)) is not None:
                outer.set(part, held.pop())
        tree = outer
    _check(tree, dialect)
    made: exp.Query = _resolve(tree, dialect, tables)
    if (
        sum(1 for _ in made.find_all(exp.Table)) > 4 * _MOST_TABLES
    ):  # those of conditions, wherever they are repeated
        raise QueryError(_TOO_MANY)
    return made


def checked_condition(text: str, dialect: str, tables: Mapping[str, Source]) -> exp.Expr:
    """Returns an agent's condition, of a WHERE, as a tree; see `checked_query`.

    Raises:
        QueryError: it is not one condition, or uses what is not allowed.
    """
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"The condition has {len(text):,} characters; the most is {MOST_CHARACTERS:,}.")
    try:
        holder = exp.select("1").where(sqlglot.condition(text, dialect=dialect), copy=False)
    except (SqlglotError, RecursionError, ValueError) as error:
        raise QueryError(f"`{text:.100}` is not a condition of SQL: {_reason(error)}") from None
    _check(holder, dialect)
    made: exp.Expr = _resolve(holder, dialect, tables, MOST_OF_CONDITIONS).args["where"].this
    return made


def restricted(source: Source, alias: str, condition: exp.Expr) -> Source:
    """Returns the source of the rows for which a condition holds."""

    def make() -> exp.Expr:
        inner = exp.alias_(source(), alias, table=True, quoted=True, copy=False)
        rows = exp.select("*").from_(inner, copy=False)
        return rows.where(exp.paren(condition.copy(), copy=False), copy=False).subquery(copy=False)

    return make


def alias_in(condition: str, dialect: str, name: str) -> str:
    """Returns how a condition calls the table that it is of: by its own name, or `t`."""
    try:
        columns = sqlglot.condition(condition, dialect=dialect).find_all(exp.Column)
    except (SqlglotError, RecursionError, ValueError):
        return "t"
    return name if any(column.table.lower() == name.lower() for column in columns) else "t"


def size_of(tree: exp.Expr) -> int:
    """Returns the number of a tree's parts."""
    return sum(1 for _ in tree.walk())


def written(tree: exp.Expr, dialect: str) -> str:
    """Returns a tree as text for its database.

    Raises:
        QueryError: it says what that database does not know.
    """
    try:
        return tree.sql(dialect=dialect, comments=False, unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError, ValueError) as error:
        raise QueryError(f"The query cannot be written for this database: {_reason(error)}") from None


def _parsed(text: str, dialect: str) -> exp.Expr:
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"The query has {len(text):,} characters; the most is {MOST_CHARACTERS:,}.")
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
        if not tokens:
            raise QueryError("The query is empty: write SELECT ... FROM t ...")
        first = tokens[0].token_type.name
        if first not in _FIRST:  # not to be parsed: `sqlglot` logs what it does not know
            raise QueryError(_not_a_query(tokens[0].text))
        trees = [tree for tree in sqlglot.parse(text, read=dialect) if tree is not None]
    except (SqlglotError, RecursionError, ValueError) as error:
        raise QueryError(f"The query cannot be read: {_reason(error)}") from None
    if len(trees) != 1:
        raise QueryError(f"One query at a time: there are {len(trees)} statements.")
    tree = trees[0]
    if size_of(tree) > MOST_NODES:
        raise QueryError(_TOO_MANY)
    assert isinstance(tree, exp.Expr)
    return tree


def _not_a_query(what: str) -> str:
    ways = "For columns and types use .schema, for figures of each column .describe()."
    return (
        f"`{what[:40].upper()}` is not a query: only SELECT (also with WITH, UNION) is answered here. {ways}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    details = getattr(error, "errors", None)
    if details:
        first = details[0]
        return f"{first.get('description', '')} (line {first.get('line')}, near `{str(first.get('highlight'))[:40]}`)."
    return str(error).split("\n", maxsplit=1)[0][:200]


# ---------------------------------------------------------------------------------- what it may use


def _check(tree: exp.Expr, dialect: str) -> None:
    for node in tree.walk():
        kind = type(node).__name__
        if isinstance(node, exp.Func) and not isinstance(node, (exp.Connector, exp.Binary)):
            _check_function(node, kind)
        elif isinstance(node, (exp.Dot, exp.Column, exp.Identifier, exp.Literal)):
            _check_name(node, dialect)
        elif not (kind in _NODES or isinstance(node, (exp.Binary, exp.Unary))) or kind == "Operator":
            raise QueryError(f"`{_words(kind)}` is not allowed in a query here.")
        elif isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
            _check_table_function(node.this)


def _check_name(node: exp.Expr, dialect: str) -> None:
    """Refuse names and texts that a database may take for something else than the parser does."""
    if isinstance(node, exp.Dot):
        if isinstance(node.expression, exp.Func):
            raise QueryError(
                f"`{node.sql(dialect)[:100]}`: functions are called by their name alone, as f(x)."
            )
    elif isinstance(node, exp.Column):
        if not node.table and not node.this.args.get("quoted") and node.name.lower() in NO_COLUMNS:
            raise QueryError(f"`{node.name}` is not a column; what it tells is not available here.")
    elif isinstance(node, exp.Identifier):
        if not node.args.get("quoted") and not _PLAIN.fullmatch(node.name):
            raise QueryError(
                f"`{node.name[:60]}` is a name only in quotes: values are written into the query."
            )
    elif node.is_string and dialect == "mysql" and "\\" in node.name:
        raise QueryError("Texts with backslashes are not sent to this database: use CHAR(92).")


def _check_function(node: exp.Func, kind: str) -> None:
    if kind == "Anonymous":
        if isinstance(node.this, exp.Identifier) or node.name.lower() not in NAMED:
            raise QueryError(_no_function(node.name))
    elif kind not in KNOWN:
        raise QueryError(_no_function(node.sql_name()))


def _check_table_function(node: exp.Func) -> None:
    name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__
    if name not in TABLE_FUNCTIONS and name not in TABLE_CLASSES:
        raise QueryError(_no_function(node.name or node.sql_name()))


def _no_function(name: str) -> str:
    return (
        f"The function `{name[:60].lower()}` is not allowed here: only functions that compute are, not those that read "
        "files, settings or other tables, and not your own ones."
    )


def _words(kind: str) -> str:
    return {"Into": "SELECT INTO", "Lock": "FOR UPDATE", "Returning": "RETURNING"}.get(kind, kind.upper())


# ---------------------------------------------------------------------------------- what its tables are


def _resolve(tree: Any, dialect: str, tables: Mapping[str, Source], most: int = MOST_NODES) -> Any:
    """Put in the place of each name of a table what it stands for."""
    total = size_of(tree)
    named = list(tree.find_all(exp.Table))
    if (
        len(named) > _MOST_TABLES
    ):  # a planner takes minutes over hundreds, in which no database hears of a cancellation
        raise QueryError(f"The query names tables {len(named):,} times; the most is {_MOST_TABLES}.")
    for table in [node for node in named if not isinstance(node.this, exp.Func)]:
        if _is_cte(table, dialect):
            continue
        name = _full_name(table)
        source = tables.get(name.lower())
        if source is None:
            raise QueryError(f"There is no table `{name[:80]}` here. There is: {_listed(tables)}.")
        made = source()
        total += size_of(made)
        if total > most:  # each name is another copy of the conditions, which may name it again
            raise QueryError(_TOO_MANY)
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
        made.set("alias", alias.copy())
        for part in ("joins", "laterals", "pivots", "sample"):
            if (held := table.args.get(part)) is not None:
                made.set(part, held)
        if {key for key, held in table.args.items() if held} - _KEPT:
            raise QueryError(f"`{table.sql(dialect)[:100]}` is not a plain name of a table.")
        if table is tree:
            return made
        table.replace(made)
    return tree


_KEPT = {"this", "db", "catalog", "alias", "joins", "laterals", "pivots", "sample"}


def _full_name(table: exp.Table) -> str:
    parts = [table.args.get("catalog"), table.args.get("db"), table.this]
    if not all(part is None or isinstance(part, exp.Identifier) for part in parts):
        raise QueryError(f"`{table.sql()[:100]}` is not the name of a table.")
    return ".".join(part.name for part in parts if part is not None)


def _listed(tables: Iterable[str]) -> str:
    names = list(dict.fromkeys(tables))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more


def _is_cte(table: exp.Table, dialect: str) -> bool:
    """Whether a name is that of a WITH which is in scope there for any database.

    Only what is certain: a name for which it is not is looked up among the handle's tables, and written as their full
    name, which no database takes for that of a WITH.
    """
    if table.args.get("db") is not None or not isinstance(table.this, exp.Identifier):
        return False
    wanted = _folded(table.this, dialect)
    below: exp.Expr = table
    holder = table.parent
    inside: exp.CTE | None = None
    while holder is not None:
        if isinstance(holder, exp.With):
            known = holder.expressions
            until = next((at for at, one in enumerate(known) if one is inside), 0)
            until += bool(holder.args.get("recursive"))
            if any(_folded(one.args["alias"].this, dialect) == wanted for one in known[:until]):
                return True
            below, holder = holder, holder.parent  # the query of this WITH is not its scope
            if holder is None:
                return False
        else:
            clause = holder.args.get("with_") or holder.args.get("with")
            if (
                isinstance(clause, exp.With)
                and below is not clause
                and any(_folded(one.args["alias"].this, dialect) == wanted for one in clause.expressions)
            ):
                return True
        if isinstance(holder, exp.CTE):
            inside = holder
        below, holder = holder, holder.parent
    return False


def _folded(name: exp.Expr, dialect: str) -> tuple[str, bool]:
    """Returns a name such that two that are equal are equal to the database."""
    quoted = bool(name.args.get("quoted"))
    if dialect in ("duckdb", "sqlite"):
        return name.name.lower(), False
    if dialect == "postgres":
        return (name.name, False) if quoted else (name.name.lower(), False)
    return name.name, quoted
