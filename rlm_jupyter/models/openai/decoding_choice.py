"""Which means of its server one model uses for the turns of agents: what was set, what is known, what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.decoding import TurnDecoding, default_helps, shows_thoughts, thinks
from rlm_jupyter.models.local.known_servers import known_server
from rlm_jupyter.models.openai.failure_kinds import Kind

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rlm_jupyter.models.base import CompletionRequest
    from rlm_jupyter.models.decoding import DecodingHelps
    from rlm_jupyter.models.local.discovery import LocalServer
    from rlm_jupyter.models.openai.chat_replies import Reply
    from rlm_jupyter.models.openai.failure_kinds import Failure

_BLAMED: Final = frozenset({Kind.REFUSED, Kind.SERVER, Kind.MODEL, Kind.ADDRESS})
_SERVER_ERROR: Final = 500


class DecodingChoice:
    """What one model object has learnt about the means of its server.

    Args:
        model: the model's name.
        url: of the server; only one on the loopback is asked what it is.
        key: of the server.

    Attributes:
        server: what the server says of itself; None as long as it was not asked, or if it says nothing.
    """

    def __init__(self, model: str, url: SecretStr, key: SecretStr) -> None:
        self.server: LocalServer | None = None
        self._model, self._url, self._key = model, url, key
        self._thinks: bool | None = None
        self._refused: set[str] = set()

    @property
    def window(self) -> int | None:
        """Tokens that the model holds, as the server tells; None if it was not asked or does not tell."""
        model = self.server.model(self._model) if self.server is not None else None
        return model.usable_window if model is not None else None

    async def of(self, request: CompletionRequest, given: DecodingHelps | None) -> TurnDecoding:
        """Returns the means for a request.

        The first turn of a model of which nothing tells whether it thinks goes without: its reply shows it.

        Args:
            request: only one for a block of code uses any.
            given: what was set by hand; None for what is known of the server.
        """
        if not request.code_block:
            return TurnDecoding()
        if self.server is None:
            self.server = await known_server(self._url.get_secret_value(), self._key.get_secret_value())
        if given is None and self._thinks is None:
            told = self.server.thinks if self.server is not None else None
            self._thinks = told if told is not None else thinks(self._model)
        if given is None and self._thinks is not False:
            return TurnDecoding()
        helps = given if given is not None else default_helps(self.server)
        return TurnDecoding(helps.without(self._refused))

    def without_named(self, sent: TurnDecoding, failure: Failure) -> TurnDecoding | None:
        """Returns the means without that which a refusal names; None if it names none."""
        server_error = failure.kind is Kind.SERVER and failure.status != _SERVER_ERROR
        if failure.kind not in _BLAMED or server_error:
            return None
        return sent.without(f"{failure.text} {failure.param}")

    def without_all(self, sent: TurnDecoding, failure: Failure) -> TurnDecoding | None:
        """Returns no means for a request that failed without a reason, and may succeed without them; else None.

        A server often does not say which field it does not take; and a stop text in a model's thoughts leaves no reply.
        """
        if not sent.helps or failure.kind not in (Kind.REFUSED, Kind.THOUGHTS, Kind.EMPTY):
            return None
        self._thinks = self._thinks or failure.kind is Kind.THOUGHTS
        return TurnDecoding()

    def learn(self, reply: Reply, first: TurnDecoding, last: TurnDecoding) -> None:
        """Learn from a reply.

        Args:
            reply: the reply.
            first: the means of the request as it was sent first.
            last: those with which it was answered: what is missing there was refused.
        """
        if reply.thoughts or shows_thoughts(reply.text):
            self._thinks = True
        elif self._thinks is None and not reply.blank:
            self._thinks = False
        for name in ("stop", "grammar", "prefix"):
            if getattr(first.helps, name) and not getattr(last.helps, name):
                self._refused.add(name)
