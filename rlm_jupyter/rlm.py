"""`RLM`: the face of the package, and the one place where settings, model, kernels and records are wired."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_jupyter.engine.agent.spec import AgentSpec
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.engine.completions.completions import Completions
from rlm_jupyter.engine.completions.sampling import Samplings
from rlm_jupyter.engine.run.batch import pairs, run_all, run_all_awaited, started
from rlm_jupyter.engine.run.conductor import Conductor
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.engine.run.run import Run, RunArguments
from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
from rlm_jupyter.errors import ConfigError, RLMError, RunStoppedError, UnknownPriceError
from rlm_jupyter.events.events import AnyEvent, Notice
from rlm_jupyter.events.journal import Journal
from rlm_jupyter.models.base import ChatModel, Price
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.registry import (
    find_run,
    kernel_pool,
    last_run,
    let_older_go,
    register_run,
    reply_cache,
    runs,
    stop_all,
    submit,
)
from rlm_jupyter.run_setup.resolve_model import choose_model
from rlm_jupyter.run_setup.start import (
    check_start,
    emit_run_started,
    encode,
    inherit_from_run,
    new_id,
    open_log,
    redactor,
    tracer,
)
from rlm_jupyter.run_setup.variable_names import read_names
from rlm_jupyter.sandbox_settings import Sandbox
from rlm_jupyter.security.redactor import Redactor
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.settings import Limits, Settings
from rlm_jupyter.tools.functions import read_tools
from rlm_jupyter.tools.mcp import Servers
from rlm_jupyter.tools.mcp_config import ServerConfig, read_servers
from rlm_jupyter.tools.run_tools import Toolkit, read_environment
from rlm_jupyter.values.store import Store

if TYPE_CHECKING:
    from rlm_jupyter.engine.completions.completions import Cache

T = TypeVar("T")


class RLM:
    """A recursive language model: asks questions about data of any size (arXiv 2512.24601).

    Usage:
        >>> from rlm_jupyter import RLM, Limits
        >>> rlm = RLM(model="demo", limits=Limits(cost=1.0, depth=2))
        >>> run = rlm.run("Which supplier explains the rise in refunds?", context=orders)
        >>> run.value

    Args:
        model: of the root: a name such as ``"openai/gpt-5"``, ``"demo"``, or an object with the `ChatModel`
            protocol. None: `RLM_MODEL`, else the scripted demo.
        sub_model: of sub-agents and plain completions; None: the same.
        base_url: of an OpenAI-compatible server; None: from the environment, else the provider's own.
        api_key: None: from the environment.
        limits: what one run may spend.
        price: USD per million tokens (prompt, completion), where the model's price is not known or wrong.
        sandbox: what agents' kernels may touch: `auto`, `none`, `bwrap`, `Sandbox(...)` or a dict of its fields.
        kernel: the kernelspec of agents' kernels, or `gateway:URL/KERNELSPEC`; None: this Python.
        log_dir: where logs are written, one file a run; None writes none.
        cache: whether replies are kept on disk and used again.
        on_event: called with each event of each run, on the engine's thread; it must not block.
        settings: further fields of `Settings`.

    Raises:
        ConfigError: a setting that cannot work; among them `MissingKeyError` and `UnknownPriceError`.
    """

    def __init__(  # noqa: PLR0913 - settings, all but the models by name
        self,
        model: str | ChatModel | None = None,
        sub_model: str | ChatModel | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        limits: Limits | Mapping[str, object] | None = None,
        price: Price | tuple[float, float] | None = None,
        sandbox: str | Sandbox | Mapping[str, object] | None = None,
        kernel: str | None = None,
        log_dir: str | Path | None = "rlm_runs",
        cache: bool = True,
        on_event: Callable[[AnyEvent], None] | None = None,
        **settings: Any,
    ) -> None:
        named = {"model": model, "sub_model": sub_model}
        changes: dict[str, Any] = {name: value for name, value in named.items() if isinstance(value, str)}
        self.settings = Settings.from_environment(
            base_url=base_url,
            sandbox=sandbox,
            kernel=kernel,
            cache=cache,
            limits=Limits.of(limits),
            **changes,
            **settings,
        ).model_copy(update={"log_dir": Path(log_dir) if log_dir is not None else None})
        self._price = Price.read(price) if price is not None else None
        given = model if model is not None else self.settings.model
        given_sub = sub_model if sub_model is not None else self.settings.sub_model
        if api_key is not None and not isinstance(api_key, str):
            raise ConfigError(f"`api_key` takes a text, not a `{type(api_key).__name__}`.")
        self._secrets: list[str] = [api_key] if api_key else []
        self.model = choose_model(given, base_url=self.settings.base_url, api_key=api_key)
        self.sub_model = (
            self.model
            if given_sub is None
            else choose_model(given_sub, base_url=self.settings.base_url, api_key=api_key)
        )
        self._made = [
            one for one in (self.model, self.sub_model) if one is not model and one is not sub_model
        ]
        self._open_runs = 0
        self._counting = threading.Lock()
        self._on_event = on_event
        self.limits = self._check_limits(self.settings.limits)
        self._samplings = Samplings.of(self.settings)

    def _check_limits(self, limits: Limits) -> Limits:
        """Refuse a money limit that cannot be kept; drop the default one, which nobody asked for."""
        unknown = [m.name for m in (self.model, self.sub_model) if m.price is None]
        if limits.cost is None or not unknown or self._price is not None:
            return limits
        if "cost" in limits.model_fields_set:
            raise UnknownPriceError(
                f"The price of `{unknown[0]}` is not known, so the limit of ${limits.cost:g} could not be kept. "
                "Give `price=(prompt, completion)` in USD per million tokens, or limit tokens instead: "
                "`Limits(cost=None, tokens=...)`."
            )
        return limits.model_copy(update={"cost": None})

    # ---- asking

    def run(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask, and block until there is an answer. See `start` for the options.

        Raises:
            RLMError: there is no whole answer; the error's `.run` has what there is.
        """
        return self.start(question, context, **options).wait_interruptibly().raise_for_error()

    async def arun(self, question: str, context: Any = None, **options: Any) -> Run:
        """Ask, and await the answer. See `start` for the options.

        The data is encoded on a thread while this loop goes on: do not change it before the first event.

        Raises:
            RLMError: there is no whole answer; the error's `.run` has what there is.
        """
        run = await started(partial(self.start, question, context, **options))
        try:
            await run
        except BaseException:
            run.stop()
            raise
        return run.raise_for_error()

    async def stream(self, question: str, context: Any = None, **options: Any) -> AsyncIterator[AnyEvent]:
        """Ask, and give the run's events as they come; leaving the loop early stops the run.

        The data is encoded on a thread, as in `arun`.

        Usage:
            >>> async for event in rlm.stream("Which supplier?", orders):
            ...     print(event.kind)
            >>> run = rlm_jupyter.rlm.last_run()
        """
        run = await started(partial(self.start, question, context, **options))
        try:
            async for event in run.stream():
                yield event
        finally:
            run.stop()

    def run_batch(
        self,
        questions: Sequence[str],
        contexts: Sequence[Any] | None = None,
        *,
        concurrency: int = 4,
        **options: Any,
    ) -> list[Run]:
        """Ask many questions, so many at once, and block until all have ended. See `start` for the options.

        Each is a run with limits of its own: the batch may spend as many times the limits as it has questions.

        Args:
            questions: one for each run.
            contexts: data, one for each question; None: none, or `context=` for all of them.
            concurrency: how many runs go on at once.
            options: as of `start`, for all of them.

        Returns:
            The runs, in order, whether they succeeded or not: see `error` and `value` of each. The newest ones
            keep their kernels; of all, the values stay.

        Raises:
            ConfigError: not as many contexts as questions, or `concurrency` is below 1.
        """
        asked = pairs(questions, contexts)
        return run_all(
            [partial(self._start_or_fail, question, **{**options, **own}) for question, own in asked],
            concurrency,
        )

    async def arun_batch(
        self,
        questions: Sequence[str],
        contexts: Sequence[Any] | None = None,
        *,
        concurrency: int = 4,
        **options: Any,
    ) -> list[Run]:
        """Ask many questions and await them all; see `run_batch`."""
        starts = [
            partial(self._start_or_fail, question, **{**options, **own})
            for question, own in pairs(questions, contexts)
        ]
        return await run_all_awaited(starts, concurrency)

    def _start_or_fail(self, question: str, context: Any = None, **options: Any) -> Run:
        """Start a run; where that cannot be, give one that has failed already."""
        try:
            return self.start(question, context, **options)
        except RLMError as error:
            return self._failed(str(question), error)

    def _failed(self, question: str, error: RLMError) -> Run:
        spec = AgentSpec(id="0", parent=None, depth=0, question=question, model=self.model)
        run = self._begin(new_id(), spec, {}, {}, self.limits, [], inherit=False, step=False)
        self._begin_life(run, error)
        return run.wait(60)

    def _begin_life(self, run: Run, failure: RLMError | None = None) -> None:
        with self._counting:
            self._open_runs += 1
        register_run(run)
        ended = engine().submit(run._conduct(failure))  # noqa: SLF001 - the run's life is begun in one place
        ended.add_done_callback(lambda _: let_older_go())

    async def _run_closed(self) -> None:
        """Close connections that were made here, once the last run that might use them has been closed."""
        with self._counting:
            self._open_runs -= 1
            last = not self._open_runs
        if last:
            for model in self._made:
                close = getattr(model, "aclose", None)
                if close is not None:
                    await close()

    def start(  # noqa: PLR0913 - options of a question, all but the data by name
        self,
        question: str,
        context: Any = None,
        *,
        names: Sequence[str] = (),
        schema: object = None,
        tools: Iterable[Callable[..., Any]] = (),
        inherit_tools: bool | None = None,
        env: Mapping[str, str] | None = None,
        mcp: Mapping[str, Mapping[str, Any]] | None = None,
        step: bool = False,
        limits: Limits | Mapping[str, object] | None = None,
        on_event: Callable[[AnyEvent], None] | None = None,
        continues: Run | None = None,
    ) -> Run:
        """Ask, and return at once.

        Args:
            question: verbatim.
            context: the data: any object; None: the question itself is the context, as in the paper.
            names: the variables' names that the data has: one for the object itself, several for a dict of them.
            schema: what the answer must be: a type, a pydantic model, a JSON Schema, or columns and dtypes.
            tools: functions that the root's code may call. They run in the agent's kernel; those marked by
                `rlm_jupyter.host_tool` in this process. A sub-agent has those that its parent's code hands it.
            inherit_tools: whether sub-agents have all tools of their parents; None: as the settings say.
            env: environment variables of the agents' kernels. Values of six characters or more are kept out of
                all records, and out of what the model is told.
            mcp: MCP servers by name: ``{"command": ..., "args": [...], "env": {...}}`` or
                ``{"url": ..., "headers": {...}}``; started when they are first needed, ended with the run.
            step: whether each cell waits for `run.next()`.
            limits: what this run may spend, instead of the limits of this `RLM`.
            on_event: called with each event of the run, on the engine's thread; it must not block.
            continues: the run that this is a follow-up to; see `Run.ask`.

        Raises:
            ConfigError: the question is empty, or a setting cannot work.
            KernelDiedError: the root kernel of the run that this is a follow-up to is gone.
            ContextError: the data cannot leave this process.
            KernelStartError: the kernelspec or the sandbox that was asked for is not there; nothing was started.
        """
        exposed = check_start(self.settings, question, on_event)
        answer = AnswerSchema(schema) if schema is not None else None
        names = read_names(names, context)
        data, bound, items = encode(context, names, rows=self.settings.sample_rows)
        functions = read_tools(tools, data=names)
        given = read_environment(env)
        configs = read_servers(mcp)
        allowed = self.limits if limits is None else self._check_limits(Limits.of(limits))
        spec = AgentSpec(
            id="0",
            parent=None,
            depth=0,
            question=question,
            model=self.model,
            context=data,
            names=bound,
            item_names=items,
            schema=answer,
            tools=functions,
            mcp=tuple(configs),
        )
        run_id = new_id()
        if continues is not None:
            spec, given, configs = inherit_from_run(continues, run_id, spec, given, configs)
        inherit = self.settings.inherit_tools if inherit_tools is None else inherit_tools
        listeners = [
            listener
            for listener in (self._on_event, on_event, tracer(self.settings, self.model))
            if listener is not None
        ]
        try:
            run = self._begin(
                run_id, spec, given, configs, allowed, listeners, inherit=inherit, step=step, exposed=exposed
            )
        except BaseException:
            if continues is not None:
                continues.continued_by = None
            raise
        run.arguments = RunArguments(self.start, given, configs)
        self._begin_life(run)
        return run

    def _begin(
        self,
        run_id: str,
        spec: AgentSpec,
        env: dict[str, str],
        servers: dict[str, ServerConfig],
        limits: Limits,
        listeners: Sequence[Callable[[AnyEvent], None]],
        *,
        inherit: bool,
        step: bool,
        exposed: str | None = None,
    ) -> Run:
        """Put a run together; its life is not begun yet."""
        handed = [
            *secrets_in(env, handed=True),
            *(secret for config in servers.values() for secret in config.secrets),
        ]
        journal = Journal(run_id, redactor([*self._secrets, *handed]))
        for listener in listeners:
            journal.subscribe(listener)
        writer = open_log(self.settings.log_dir, run_id, journal)
        redact = Redactor([*self._secrets, *handed])
        offered = Servers(servers, journal.redact, lambda text: journal.emit(Notice, text=text))
        toolkit = Toolkit(env=env, servers=offered, inherit=inherit, redact=redact)
        return submit(
            engine(),
            self._wire(run_id, journal, spec, toolkit, limits, step=step, writer=writer, exposed=exposed),
        )

    # ---- wiring

    async def _wire(
        self,
        run_id: str,
        journal: Journal,
        spec: AgentSpec,
        toolkit: Toolkit,
        limits: Limits,
        *,
        step: bool,
        writer: LogWriter | None,
        exposed: str | None,
    ) -> Run:
        """Put a run together, on the engine's loop."""
        completions = Completions(
            journal,
            ledger := Ledger(limits),
            samplings=self._samplings,
            price=self._price,
            cache=self._cache(),
            redact=toolkit.redact,
        )
        store = Store(limit=self.settings.value_memory)
        for data in (spec.context, *(one.data for one in spec.added)):
            if data is not None:
                store.share(data)
        conductor = Conductor(
            run=run_id,
            settings=self.settings,
            limits=limits,
            journal=journal,
            ledger=ledger,
            completions=completions,
            pool=await kernel_pool(),
            store=store,
            model=self.model,
            sub_model=self.sub_model,
            env=toolkit.env,
            servers=toolkit.servers,
            inherit_tools=toolkit.inherit,
            redact=toolkit.redact,
            step=step,
        )
        emit_run_started(
            journal, spec, self.model, self.sub_model, limits, self.settings, step=step, exposed=exposed
        )
        return Run(
            conductor,
            spec,
            engine(),
            log=writer,
            release=self._run_closed,
        )

    def _cache(self) -> Cache | None:
        """One run's view of the replies on disk; scripts are not kept."""
        if not self.settings.cache or (self.model.scripted and self.sub_model.scripted):
            return None
        from rlm_jupyter.models.cache import RunCache

        return RunCache(reply_cache())


__all__ = ["RLM", "RLMError", "RunStoppedError", "find_run", "last_run", "runs", "stop_all"]
