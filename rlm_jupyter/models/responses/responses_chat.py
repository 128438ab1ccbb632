"""`ResponsesChat`: a model behind OpenAI's Responses API, or a server that speaks it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.responses.reasoning_items import ReasoningItems
from rlm_jupyter.models.responses.responses_reply import ResponsesReply
from rlm_jupyter.models.responses.responses_request import responses_request
from rlm_jupyter.providers import WireFormat

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rlm_jupyter.models.base import Completion, CompletionRequest, Message
    from rlm_jupyter.models.decoding import TurnDecoding
    from rlm_jupyter.models.openai.billing import Bill
    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.openai.failures import Failure
    from rlm_jupyter.models.openai.wire import Response, Wire

_PATH: Final = "/responses"
_NO_REASONING: Final = re.compile(
    r"encrypted[_ ]content|reasoning[^.]{0,40}\bitem|item[^.]{0,40}\breasoning", re.IGNORECASE
)


class ResponsesChat(OpenAIChat):
    """A language model behind the Responses API; its arguments are those of `OpenAIChat`.

    Nothing is stored on the server, unless `parameters` say so.

    Attributes:
        keep_reasoning: whether an agent's requests carry what the model thought in its earlier turns, as items that the
            provider encrypted. Their tokens are part of the prompt, and are reserved. A server that does not take them
            is sent none from then on.
    """

    wire: WireFormat = "responses"
    hears = False

    def __init__(self, model: str, **options: Any) -> None:
        self.keep_reasoning = False
        self._items = ReasoningItems()
        super().__init__(model, **options)

    def __repr__(self) -> str:
        return f"ResponsesChat({self.name!r}, base_url={self.base_url!r})"

    @property
    def identity(self) -> dict[str, object]:
        """What tells this model from others, for the cache of replies."""
        return {**super().identity, "protocol": "responses", "keep_reasoning": self.keep_reasoning}

    def added_tokens(self, run: str, agent: str, messages: Sequence[Message]) -> int:
        """Returns the most tokens that a request has besides those of its messages.

        Args:
            run: the id of the run that asks.
            agent: the id of the agent that asks.
            messages: the chat.
        """
        return self._items.tokens((run, agent), messages) if self.keep_reasoning else 0

    def _new_reply(self) -> ResponsesReply:
        return ResponsesReply()

    def _posted(
        self, wire: Wire, fields: dict[str, object], seconds: float, request: CompletionRequest
    ) -> contextlib.AbstractAsyncContextManager[Response]:
        kept = None
        if self.keep_reasoning and request.code_block:
            messages = cast("list[Message]", fields["messages"])
            kept = self._items.of((request.run, request.agent), messages)
        return wire.posted(responses_request(fields, kept), seconds, _PATH)

    def _completion(
        self, reply: Reply, bill: Bill, decoding: TurnDecoding, request: CompletionRequest
    ) -> Completion:
        completion = super()._completion(reply, bill, decoding, request)
        if self.keep_reasoning and request.code_block and isinstance(reply, ResponsesReply):
            agent = (request.run, request.agent)
            self._items.keep(agent, completion.text, reply.items, reply.reasoning_tokens)
        return completion

    def _learn(self, failure: Failure, sent: Mapping[str, object]) -> bool:
        said = f"{failure.text} {failure.param}"
        if self.keep_reasoning and failure.refuses_content and _NO_REASONING.search(said):
            self.keep_reasoning = False
            return True
        return super()._learn(failure, sent)
