"""`llm_query_batched(..., per=N)` of an agent's code: many items in one request, each answered for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.compaction import check_fits
from rlm_jupyter.engine.mapping.item_answers import Outcome, Unusable
from rlm_jupyter.engine.mapping.item_requests import ItemRequests
from rlm_jupyter.engine.mapping.item_schema import ANSWER, WholeAnswers
from rlm_jupyter.engine.mapping.item_text import item_text
from rlm_jupyter.errors import ConfigError, ContextTooLongError, LimitReachedError, ModelError
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.mapping.item_schema import ItemSchema
    from rlm_jupyter.kernels.host_work import HostWork
    from rlm_jupyter.models.base import Completion, Message

_MOST_ITEMS = 1000
_MOST_CHARS = 64_000_000
_EACH = "Each item is a request of its own: do what it asks."


def read_item_schema(schema: object) -> ItemSchema:
    """Read a schema that the agent's code made, before anything is asked for it.

    Raises:
        BridgeError: it is none, or is too large.
    """
    if schema is not None and not isinstance(schema, dict):
        raise BridgeError("failed", "`schema` must be a type or a JSON Schema.")
    try:
        return WholeAnswers(schema, from_agent=True)
    except ConfigError as error:
        raise BridgeError("failed", error.message) from None


async def answer_items(
    agent: Agent, body: Mapping[str, Any], schema: ItemSchema, work: HostWork
) -> dict[str, Any]:
    """Ask about the items of one pack, and return an answer or an error for each, in order.

    Raises:
        BridgeError: there are no items, or too many; or no model has the name that was given.
    """
    services = agent.services
    model = services.sub_model_named(body.get("model"))
    texts = await work.run(_texts, body.get("items"))
    question = body.get("question")
    if not isinstance(question, str) or not question.strip():
        question = _EACH

    async def ask(messages: Sequence[Message], *, again: bool) -> Completion:
        check_fits(services, model, messages[-1]["content"])
        return await services.completions.ask(
            agent.id, model, messages, purpose="repair" if again else "llm_query", turn=agent.turn
        )

    found: dict[int, Outcome] = {}
    rest = Unusable("It was not asked about.")
    try:
        await ItemRequests(question, schema, ask, work.run).outcomes(texts, found.__setitem__)
    except LimitReachedError as error:
        services.limit_seen(error)
        rest = Unusable(error.message, kind="limit")
    except ModelError as error:
        kind = "too_long" if isinstance(error, ContextTooLongError) else "failed"
        rest = Unusable(error.message, kind=kind)
    return {"answers": [_told(found.get(index, rest)) for index in range(len(texts))]}


def _told(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Unusable):
        return {"kind": outcome.kind, "error": outcome.reason}
    return {"value": outcome[ANSWER]}


def _texts(items: object) -> list[str]:
    if not isinstance(items, list) or not 1 <= len(items) <= _MOST_ITEMS:
        raise BridgeError("failed", f"`items` must be a list of 1 to {_MOST_ITEMS:,} texts or rows.")
    texts = [item_text(item) for item in items]
    if (size := sum(map(len, texts))) > _MOST_CHARS:
        raise BridgeError("too_long", f"The items have {size:,} characters; the most is {_MOST_CHARS:,}.")
    return texts
