"""Databases among what is handed over: kept here, and handles of them put in their place."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.handed_over import database_of, is_database
from rlm_jupyter.errors import ContextError
from rlm_jupyter.run_setup.sources import resolved
from rlm_jupyter.values.codec.table_handle import Table

if TYPE_CHECKING:
    from rlm_jupyter.databases.database import Database


@dataclass
class Handled:
    """Data in which handles stand for databases.

    Attributes:
        value: the data.
        databases: by what their handles call them.
    """

    value: Any
    databases: dict[str, Database] = field(default_factory=dict)


def take_databases(value: Any, name: str, *, rows: int) -> Handled:
    """Put handles in the place of databases: of the data itself, or of the items of a dict.

    Args:
        value: the data.
        name: what it is called.
        rows: how many rows of a table its description may quote.

    Raises:
        ContextError: one cannot be asked, and why.
    """
    if is_database(value):
        return _handled(value, name, name, rows)
    if type(value) is not dict or not any(is_database(item) for item in value.values()):
        return Handled(value)
    whole: dict[Any, Any] = {}
    databases: dict[str, Database] = {}
    for key, item in value.items():
        whole[key] = item
        if is_database(item):
            called = key if isinstance(key, str) else f"{name}[{key!r:.60}]"
            one = _handled(item, called, called, rows)
            whole[key] = one.value
            databases |= one.databases
    return Handled(whole, databases)


def _handled(value: Any, name: str, table: str, rows: int) -> Handled:
    source = value
    if isinstance(value, Path):
        source = value = resolved(value, name)
    database = database_of(value, table)
    database.called, database.source = table, source
    from rlm_jupyter.databases.query_errors import QueryError
    from rlm_jupyter.databases.table_summary import describe_database

    try:
        about = describe_database(database, rows)
    except QueryError as error:
        raise ContextError(f"`{name}` is a database that cannot be read: {error.message}") from None
    number = secrets.token_hex(4)  # unlike those of the run that a follow-up goes on with
    only = None if database.whole else next(iter(database.relations))
    return Handled(Table(number, only, (), about), {number: database})
