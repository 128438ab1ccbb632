"""`by=`: each group of rows to a sub-agent with a kernel of its own, which has the group as its table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.budget.limit_errors import TURNS
from rlm_jupyter.engine.mapping.item_answers import Outcome, Unusable
from rlm_jupyter.errors import ContextError, LimitReachedError, RLMError
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.text.shorten import cut_end
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.mapping.item_schema import ItemSchema
    from rlm_jupyter.engine.mapping.map_loop import MapLoop

_REASON = 300
_NAME = 60
_OWN_LIMITS = (*TURNS, "depth")
"""Limits of single agents: that one of them meets it says nothing of the others."""


async def ask_group(loop: MapLoop, position: int) -> Outcome:
    """Let a sub-agent answer for one group.

    Raises:
        LimitReachedError: a limit of the whole run was reached.
    """
    task = loop.task
    frame = task.frame.iloc[list(task.groups[position])]
    try:
        data = await in_thread(partial(Buffer.encode, frame, rows=loop.services.settings.sample_rows))
        value = await loop.services.sub_agent(
            loop, task.question, data, schema=task.schema.check, name=task.group_name(position)[:_NAME]
        )
    except ContextError as error:
        return Unusable(cut_end(error.message, _REASON))
    except BridgeError as error:
        cause = error.__cause__
        if isinstance(cause, LimitReachedError) and cause.limit not in _OWN_LIMITS:
            raise cause from None
        return Unusable(cut_end(error.message, _REASON), kind=error.kind)
    try:
        return await loop.calls.work.run(_row, value, task.schema)
    except (ValueError, RLMError) as error:
        return Unusable(cut_end(str(error), _REASON))


def _row(value: Buffer, schema: ItemSchema) -> Outcome:
    return schema.checked(load_received(value))
