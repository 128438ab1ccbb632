"""Questions of an agent's code to handles of tables: checked, run in the database, told as events.

What a kernel sends is a reference that anybody can write: it is looked up among the databases of this run, and gives no
rights beyond them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.databases.database import Database
    from rlm_jupyter.databases.questions import Asked
    from rlm_jupyter.databases.running import Query
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.run.services import RunServices

Answer = tuple[Any, list[int]]

MOST_SECONDS = 60.0
"""One query may take; less if the cells of the run may not run as long."""
_LONGEST_TEXT = 4000
_NO_TABLE = "There is no such database in this run: handles are those that came with `context`."


async def ask_table(agent: Agent, body: Mapping[str, Any], _fds: list[int]) -> Answer:
    """Answer a question of a handle.

    Raises:
        BridgeError: it was refused, failed in the database, took too long or gave too much.
    """
    return await query_table(agent.services, body, partial(_tell, agent))


async def query_table(services: RunServices, body: Mapping[str, Any], tell: Callable[..., object]) -> Answer:
    """Answer a question to one of a run's databases.

    Args:
        services: of the run.
        body: the question, as a kernel sent it.
        tell: is told what came of it.

    Raises:
        BridgeError: as of `ask_table`.
    """
    database = services.databases.get(str(body.get("source")))
    if database is None:
        raise BridgeError("tool", _NO_TABLE, data={"type": "LookupError"})
    from rlm_jupyter.databases.questions import Asked

    began = time.monotonic()
    asked: Asked | None = None
    error: BridgeError | None = None
    rows: int | None = None
    try:
        asked = Asked.read(body)
        limit = services.limits.cell_seconds
        seconds = MOST_SECONDS if limit is None else min(MOST_SECONDS, limit)
        value, rows = await database.pool.run(partial(_answered, database, asked), seconds)
        if isinstance(value, Buffer):
            return {"kind": value.kind}, [value.detach()]
        return value, []
    except asyncio.CancelledError:
        error = BridgeError("stopped", "The query was cancelled.")
        raise
    except RLMError as trouble:
        message = services.journal.redact(database.clean(trouble.message))
        error = BridgeError("tool", message, data={"type": "ValueError"})
        raise error from None
    finally:
        tell(database, asked, began, rows, error)


def _answered(database: Database, asked: Asked, query: Query) -> tuple[Any, int | None]:
    """Answer on the query's thread, and encode the result there too."""
    import pyarrow as pa

    from rlm_jupyter.databases.questions import answer

    found = answer(database, asked, query)
    if isinstance(found, pa.Table):
        return Buffer.encode(found, allow_pickle=False, name="result", rows=0), found.num_rows
    return found, None


def _tell(
    agent: Agent,
    database: Database,
    asked: Asked | None,
    began: float,
    rows: int | None,
    error: BridgeError | None,
) -> None:
    if asked is not None and asked.what in ("open", "schema") and error is None:
        return  # answered here, not by the database
    agent.services.journal.emit(
        ev.TableQueried,
        agent.id,
        source=database.clean(database.title),
        table=asked.table if asked is not None else None,
        text="" if asked is None else asked.text[:_LONGEST_TEXT],
        turn=agent.turn,
        rows=rows,
        seconds=time.monotonic() - began,
        ok=error is None,
        error=error.message if error is not None else None,
    )
