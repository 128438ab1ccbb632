"""The language model of DSPy that asks the run: an engine of DSPy (3.4 and newer) over the bridge.

It travels into an agent's kernel as source: the standard library only; DSPy is handed over by what imported it. One
request of DSPy is one plain completion of the agent's code, as `llm_query` is: counted, limited, cached and shown.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ..answer_types import without_look_around
from ..bridge.socket_link import RLMQueryError, TooLong
from ..pending_calls import Call
from .request_text import UnsentPart, read_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ..pending_calls import Work

NAME = "llm_query"
"""What DSPy calls the model. It names no provider, so DSPy looks no prices up."""


def make_language_model(dspy: Any, ask: Callable[..., Work]) -> Any:
    """Returns a `dspy.LM` whose requests are plain completions of the run.

    What the engine refuses is raised as it is, not as DSPy's `LMUnexpectedError`: code that catches `LimitReached`
    of `llm_query` catches it here too. DSPy asks again after unreadable replies only, never after an error.

    Args:
        dspy: the module.
        ask: starts a plain completion.
    """

    class RunLM(dspy.LM):  # type: ignore[misc]
        """The model of the run, asked as `llm_query` asks it."""

        def __call__(self, *args: Any, **options: Any) -> Any:
            try:
                return super().__call__(*args, **options)
            except dspy.LMError as error:
                raise _own(error) from None

        async def acall(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().acall(*args, **options)
            except dspy.LMError as error:
                raise _own(error) from None

    engine = RunEngine(dspy.lm15, ask)
    return RunLM(NAME, cache=False, num_retries=0, engine=engine, async_engine=AsyncRunEngine(engine))


def _own(error: Exception) -> BaseException:
    """Returns the error of the run that DSPy has wrapped; DSPy's own where it is not one of these."""
    cause = error.__cause__
    return cause if isinstance(cause, RLMQueryError) else error


class RunEngine:
    """DSPy's interface of a model for code that blocks.

    Args:
        lm15: the module of DSPy that has the types of requests and responses.
        ask: starts a plain completion.

    Attributes:
        supports_response_schema: `JSONAdapter` may send a schema; the run checks replies against it.
        supported_params: what of an adapter's options reaches the run.
    """

    supports_response_schema = True
    supported_params = ("response_format",)

    def __init__(self, lm15: Any, ask: Callable[..., Work]) -> None:
        self._lm15, self._ask = lm15, ask

    def __deepcopy__(self, memo: Any) -> RunEngine:
        return self  # a module of DSPy is copied with its model; there is one line to the run

    def complete(self, request: Any) -> Any:
        """Ask the run, and wait for its response."""
        try:
            return self.response(request, self.start(request).wait())
        except TooLong as error:
            raise self.too_long(error) from error

    def stream(self, request: Any) -> Iterator[Any]:
        """Give a whole response as events: replies to an agent's code are not streamed."""
        return self.events(self.complete(request))

    def close(self) -> None:
        """Do nothing: the line to the run is the kernel's."""

    def start(self, request: Any) -> Work:
        """Start what a request of DSPy asks.

        Raises:
            lm15.UnsupportedFeatureError: it has parts or tools that no plain completion takes.
        """
        try:
            prompt, images, audio = read_request(request)
        except UnsentPart as error:
            raise self._lm15.UnsupportedFeatureError(str(error)) from None
        plan = (_schema_of(request.config.response_format), _unchanged)
        return self._ask(prompt, plan, None, images=images, audio=audio)

    def response(self, request: Any, answer: Any) -> Any:
        """Returns an answer of the run as DSPy's response. Tokens are counted by the run, and not told to its code."""
        lm15 = self._lm15
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant([lm15.TextPart(text)]),
            finish_reason="stop",
            usage=lm15.Usage(),
            adaptations=self._left_out(request.config),
        )

    def events(self, response: Any) -> Iterator[Any]:
        """Returns a response as the events of a stream."""
        return iter(self._lm15.response_to_events(response))

    def too_long(self, error: TooLong) -> Exception:
        """Returns the error after which DSPy's own modules, such as `ReAct`, shorten what they send."""
        return self._lm15.ContextLengthError(error.message)  # type: ignore[no-any-return]

    def _left_out(self, config: Any) -> tuple[Any, ...]:
        """Returns notes, for DSPy's history, of the options that the run decides by its own settings."""
        fields = [field.name for field in dataclasses.fields(config) if field.name != "response_format"]
        asked = {name: value for name in fields if isinstance(value := getattr(config, name), (int, float))}
        reason = "The settings of the run decide it."
        return tuple(
            self._lm15.Adaptation(field=f"config.{name}", action="dropped", asked=value, reason=reason)
            for name, value in asked.items()
        )


class AsyncRunEngine:
    """DSPy's interface of a model for code that awaits; see `RunEngine`."""

    def __init__(self, engine: RunEngine) -> None:
        self._engine = engine

    def __deepcopy__(self, memo: Any) -> AsyncRunEngine:
        return self

    async def complete(self, request: Any) -> Any:
        """Ask the run, and await its response; a task that is cancelled gives the request up."""
        try:
            return self._engine.response(request, await Call(self._engine.start(request)))
        except TooLong as error:
            raise self._engine.too_long(error) from error

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        """Give a whole response as events."""
        for event in self._engine.events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Do nothing."""


def _schema_of(form: Any) -> dict[str, Any] | None:
    """Returns the JSON Schema that a reply is to match; None for text, also for "any JSON"."""
    schema = form.get("schema") if isinstance(form, dict) else None
    return without_look_around(schema) if isinstance(schema, dict) else None


def _unchanged(value: Any) -> Any:
    return value
