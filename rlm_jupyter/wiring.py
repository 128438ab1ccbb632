"""Where a run is put together of settings, models, kernels and records: imported when the first question is asked."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from rlm_jupyter.engine.agent.spec import AgentSpec
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.engine.completions.completions import Completions
from rlm_jupyter.engine.completions.sampling import Samplings
from rlm_jupyter.engine.mapping.map_run import MapRun
from rlm_jupyter.engine.mapping.table_run import TableRun
from rlm_jupyter.engine.operators.operator_run import OperatorRun
from rlm_jupyter.engine.operators.table_operator import TableOperator
from rlm_jupyter.engine.run.conductor import Conductor
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.engine.run.run import Run
from rlm_jupyter.engine.run.run_arguments import RunArguments
from rlm_jupyter.errors import ConfigError, ContextError
from rlm_jupyter.events.events import AnyEvent, Notice
from rlm_jupyter.events.journal import Journal
from rlm_jupyter.registry import kernel_pool, let_older_go, refuse_running, register_run, reply_cache, submit
from rlm_jupyter.run_setup.announced_estimate import announce_estimate
from rlm_jupyter.run_setup.answer_options import answer_options
from rlm_jupyter.run_setup.hidden_data import Hiding, outside, settings_with_hidden
from rlm_jupyter.run_setup.hidden_sources.confined_reader import ConfinedReader
from rlm_jupyter.run_setup.known_prices import keepable_limits
from rlm_jupyter.run_setup.question import Question
from rlm_jupyter.run_setup.question_estimate import expected_price
from rlm_jupyter.run_setup.root_spec import root_spec
from rlm_jupyter.run_setup.sources import check_local
from rlm_jupyter.run_setup.start import (
    Data,
    check_start,
    emit_run_started,
    encode,
    inherit_from_run,
    keep_values,
    new_id,
    open_log,
    redactor,
    redactor_with,
    tracer,
)
from rlm_jupyter.run_setup.strong_model import close_model, strong_model
from rlm_jupyter.run_setup.variable_names import read_names
from rlm_jupyter.security.hidden.hidden_columns import read_hide
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.tools.functions import read_tools
from rlm_jupyter.tools.mcp import Servers
from rlm_jupyter.tools.mcp_config import ServerConfig, read_servers
from rlm_jupyter.tools.run_tools import Toolkit, read_environment
from rlm_jupyter.user_questions.audience import audience
from rlm_jupyter.values.store import Store

if TYPE_CHECKING:
    from rlm_jupyter.engine.budget.shared_budget import SharedBudget
    from rlm_jupyter.engine.completions.completions import Cache
    from rlm_jupyter.engine.mapping.map_task import MapTask
    from rlm_jupyter.engine.run.recorded_run import RecordedRun
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.errors import RLMError
    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.records.log import LogWriter
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Limits, Settings
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.user_questions.audience import Audience


@dataclass(frozen=True)
class _Course:
    """How a run goes: cell by cell, its logs' place, what agents may read, whose record it follows, who is asked."""

    step: bool = False
    exposed: str | None = None
    data: Data = field(default_factory=Data)
    recorded: RecordedRun | None = None
    told: tuple[str, ...] = ()
    hidden: HiddenValues | None = None
    audience: Audience = None
    sub_tools: Mapping[str, Tool] = field(default_factory=dict)


@dataclass
class Wiring:
    """Puts the runs of one `RLM` together, and begins their lives.

    Attributes:
        settings: of the `RLM`.
        model: of the root.
        sub_model: of sub-agents and plain completions.
        price: that was given for both; None: their own.
        secrets: that were given to it, such as a key.
        on_event: called with each event of each run.
        ask_again: starts a follow-up question: `RLM.start`.
        release: called when all of its runs are closed.
    """

    settings: Settings
    model: ChatModel
    sub_model: ChatModel
    price: Price | None
    secrets: Sequence[str]
    on_event: Callable[[AnyEvent], None] | None
    ask_again: Callable[..., Run]
    release: Callable[[], Awaitable[None]]
    _open_runs: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._samplings = Samplings.of(self.settings)
        self._strong = strong_model(self.settings, next(iter(self.secrets), None))

    def start(self, asked: Question, limits: Limits) -> Run:
        """Begin a run; see `RLM.start` for what it raises.

        Args:
            asked: the question with its data and options.
            limits: what the run may spend.
        """
        if asked.recorded is not None:
            refuse_running(asked.recorded.run)
        exposed = check_start(self.settings, asked.text, asked.on_event)
        limits = self._strong_limits(limits)
        had, earlier = asked.inherited, asked.continues
        schema = _answer_schema(asked.schema) if asked.schema is not None else had.schema
        names = read_names(asked.names, asked.context)
        data, hidden = self._handed_over(asked, names)
        price = self.price if self.price is not None else self.model.price
        options = answer_options(asked, data, self.model, self.settings, price, limits)
        tools = {**had.tools, **read_tools(asked.tools, data=names)}
        env = {**had.env, **read_environment(asked.env)}
        servers = {**had.servers, **read_servers(asked.mcp)}
        spec = root_spec(
            asked,
            data,
            options,
            model=self.model,
            settings=self.settings,
            schema=schema,
            tools=tools,
            servers=servers,
        )
        run_id = new_id()
        if earlier is not None:
            spec, env, servers = inherit_from_run(earlier, run_id, spec, env, servers)
        course = _Course(
            asked.step,
            exposed,
            data,
            asked.recorded,
            options.told,
            hidden,
            audience(),
            {name: tool for name, tool in tools.items() if tool.sub_only},
        )
        inherit = self.settings.inherit_tools if asked.inherit_tools is None else asked.inherit_tools
        listeners = self._listeners(asked.on_event, self.model, hidden)
        try:
            run = self._begin(run_id, spec, env, servers, limits, listeners, inherit=inherit, course=course)
        except BaseException:
            if earlier is not None:
                earlier.continued_by = None
            raise
        run.arguments = RunArguments(self.ask_again, partial(self._branch, limits), env, servers)
        self._begin_life(run)
        if earlier is None and asked.recorded is None:  # the others do not begin at their beginning
            self._announce(run, spec, limits)
        return run

    def _handed_over(self, asked: Question, names: tuple[str, ...]) -> tuple[Data, HiddenValues | None]:
        """Encode a question's data, and find the values in it that no model is to see.

        Args:
            asked: the question; of a recorded one, whether the data is the same.
            names: of the data.
        """
        recorded = asked.recorded
        hidden_names = (*self.settings.hide, *read_hide(asked.hide))
        hiding = Hiding(hidden_names, asked.continues, reader=ConfinedReader(kernel_pool, self.settings))
        context = hiding.unwrap(asked.context)
        data = asked.data or encode(context, names, rows=self.settings.sample_rows)
        check_local(data.grants, self.settings.kernel, continues=asked.continues is not None)
        hidden = hiding.values(context, data, names)
        if recorded is not None and hidden is not None:
            recorded.hide = hidden.hide
            asked.text = hidden.restored(asked.text)  # a log has tokens
        if recorded is not None and asked.continues is None:
            recorded.check_data(data.buffer.description if data.buffer is not None else None)
        return data, hidden

    def _listeners(
        self, on_event: Callable[[AnyEvent], None] | None, model: ChatModel, hidden: HiddenValues | None
    ) -> list[Callable[[AnyEvent], None]]:
        """Returns what is called with each event of a run."""
        heard = (self.on_event, on_event, _traced(tracer(self.settings, model), hidden))
        return [listener for listener in heard if listener is not None]

    def _branch(self, limits: Limits, run: Run, **change: Any) -> Run:
        from rlm_jupyter.run_setup.recorded_question import branched

        return branched(self, run, None, change, {}, limits)

    @overload
    def start_map(
        self, task: MapTask, limits: Limits, on_event: Callable[[AnyEvent], None] | None = None
    ) -> MapRun: ...

    @overload
    def start_map(
        self,
        task: MapTask | TableOperator,
        limits: Limits,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> TableRun: ...

    def start_map(
        self,
        task: MapTask | TableOperator,
        limits: Limits,
        on_event: Callable[[AnyEvent], None] | None = None,
    ) -> TableRun:
        """Begin a run that asks about the rows of a table; see `RLM.start_map` for what it raises.

        Args:
            task: what is asked.
            limits: what the run may spend.
            on_event: called with each event of the run.
        """
        exposed = check_start(self.settings, task.question, on_event)
        hiding = Hiding(self.settings.hide, reader=ConfinedReader(kernel_pool, self.settings))
        if task.by_group and limits.depth == 0:
            raise ConfigError("`by` gives each group to a sub-agent, and the limit `depth` of 0 allows none.")
        try:
            data = encode(task.frame, (), rows=self.settings.sample_rows)
        except ContextError as error:
            if task.by_group:
                raise
            data, exposed = Data(), exposed or f"No function is written instead of requests: {error.message}"
        hidden = hiding.values(task.whole, data, ())
        spec = AgentSpec(
            id="0",
            parent=None,
            depth=0,
            question=task.question,
            model=self.sub_model,
            context=data.buffer,
            mapping=task,
        )
        listeners = self._listeners(on_event, self.sub_model, hidden)
        run = self._begin(
            new_id(),
            spec,
            {},
            {},
            limits,
            listeners,
            inherit=False,
            course=_Course(exposed=exposed, hidden=hidden),
        )
        assert isinstance(run, TableRun)
        self._begin_life(run)
        return run

    def _announce(self, run: Run, spec: AgentSpec, limits: Limits) -> None:
        """Let the head of the run's tree say what it will cost and take, as soon as that is known."""
        settings, model, sub_model, given = self.settings, self.model, self.sub_model, self.price
        announce_estimate(
            run._journal,  # noqa: SLF001 - as below
            spec,
            sub_model,
            settings,
            limits,
            lambda: given if given is not None else expected_price(settings, model, sub_model),
            engine().call_soon,
        )

    def failed(self, question: str, error: RLMError, limits: Limits) -> Run:
        """Returns a run that has failed already.

        Args:
            question: that was asked.
            error: why there is no run.
            limits: what it could have spent.
        """
        spec = AgentSpec(id="0", parent=None, depth=0, question=question, model=self.model)
        run = self._begin(new_id(), spec, {}, {}, limits, [], inherit=False)
        self._begin_life(run, error)
        return run.wait(60)

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
        course: _Course | None = None,
    ) -> Run:
        """Put a run together; its life is not begun yet."""
        handed = [
            *secrets_in(env, handed=True),
            *(secret for config in servers.values() for secret in config.secrets),
            *(course.data.secrets if course is not None else ()),
        ]
        journal = Journal(run_id, redactor([*self.secrets, *handed]))
        for listener in listeners:
            journal.subscribe(listener)
        hidden = course.hidden if course is not None else None
        writer = open_log(self.settings.log_dir, run_id, journal, hidden.hide if hidden is not None else None)
        redact = redactor_with([*self.secrets, *handed], hidden)
        offered = Servers(servers, journal.redact, lambda text: journal.emit(Notice, text=text))
        toolkit = Toolkit(env=env, servers=offered, inherit=inherit, redact=redact)
        return submit(
            engine(),
            self._wire(journal, spec, toolkit, limits, writer=writer, course=course or _Course()),
        )

    async def _wire(
        self,
        journal: Journal,
        spec: AgentSpec,
        toolkit: Toolkit,
        limits: Limits,
        *,
        writer: LogWriter | None,
        course: _Course,
    ) -> Run:
        """Put a run together, on the engine's loop."""
        conductor = await self._conductor(journal, spec, toolkit, limits, course)
        log = keep_values(conductor, writer, conductor.settings)
        emit_run_started(
            journal,
            spec,
            (self.model, self.sub_model, self._strong),
            limits,
            self.settings,
            step=course.step,
            recorded=course.recorded,
            told=(*course.told, *([course.exposed] if course.exposed is not None else [])),
            hidden=course.hidden,
        )
        return _run_type(spec)(conductor, spec, engine(), log=log, release=self._run_closed)

    async def _conductor(
        self, journal: Journal, spec: AgentSpec, toolkit: Toolkit, limits: Limits, course: _Course
    ) -> Conductor:
        """Returns what all agents of a run have in common."""
        shared = _shared_budget(self.settings)
        ledger = Ledger(limits, shared=shared, levels_above=int(spec.samples is not None))
        completions = self._completions(journal, ledger, spec, toolkit, course)
        settings = settings_with_hidden(self.settings) if course.hidden is not None else self.settings
        grants, databases = course.data.grants, dict(course.data.databases)
        sub_tools = dict(course.sub_tools)
        if spec.earlier is not None:
            sub_tools = {**spec.earlier.services.sub_tools, **sub_tools}
            databases = {**spec.earlier.services.databases, **databases}
        return Conductor(
            run=journal.run,
            settings=settings,
            limits=limits,
            journal=journal,
            ledger=ledger,
            completions=completions,
            store=_store_of(spec, self.settings),
            pool=await kernel_pool(),
            model=self.model,
            sub_model=self.sub_model,
            env=toolkit.env,
            servers=toolkit.servers,
            inherit_tools=toolkit.inherit,
            redact=toolkit.redact,
            step=course.step,
            box_limits=grants.limits(self.settings.sandbox.read),
            links=grants.links,
            recorded=course.recorded,
            databases=databases,
            hidden=course.hidden,
            audience=course.audience,
            sub_tools=sub_tools,
            strong_model=self._strong,
        )

    def _completions(
        self, journal: Journal, ledger: Ledger, spec: AgentSpec, toolkit: Toolkit, course: _Course
    ) -> Completions:
        return Completions(
            journal,
            ledger,
            samplings=self._samplings,
            price=self.price,
            cache=self._cache(),
            redact=toolkit.redact,
            recorded=course.recorded,
            question=spec.question,
            hidden=course.hidden,
        )

    def _begin_life(self, run: Run, failure: RLMError | None = None) -> None:
        with self._counting:
            self._open_runs += 1
        register_run(run)
        ended = engine().submit(run._conduct(failure))  # noqa: SLF001 - the run's life is begun in one place
        ended.add_done_callback(lambda _: let_older_go())

    async def _run_closed(self) -> None:
        """Call `release` once the last run that might use the models' connections has been closed."""
        with self._counting:
            self._open_runs -= 1
            last = not self._open_runs
        if last:
            await self.release()
            if isinstance(self.settings.strong_model, str):
                await close_model(self._strong)

    def _strong_limits(self, limits: Limits) -> Limits:
        """Returns limits that can be kept with the stronger model, too."""
        return keepable_limits(limits, [self._strong] if self._strong is not None else [], self.price)

    def _cache(self) -> Cache | None:
        """One run's view of the replies on disk; scripts are not kept."""
        if not self.settings.cache or (self.model.scripted and self.sub_model.scripted):
            return None
        from rlm_jupyter.models.cache import RunCache

        return RunCache(reply_cache())


def _run_type(spec: AgentSpec) -> type[Run]:
    if spec.mapping is None:
        return Run
    return OperatorRun if isinstance(spec.mapping, TableOperator) else MapRun


def _store_of(spec: AgentSpec, settings: Settings) -> Store:
    """Returns the values of a run, with those that its root begins with."""
    store = Store(limit=settings.value_memory)
    history = spec.memory.history if spec.memory is not None else None
    for held in (spec.context, history, *(one.data for one in spec.added)):
        if held is not None:
            store.share(held)
    return store


def _traced(
    listener: Callable[[AnyEvent], None] | None, hidden: HiddenValues | None
) -> Callable[[AnyEvent], None] | None:
    return listener if listener is None or hidden is None else outside(listener, hidden.hide)


def _shared_budget(settings: Settings) -> SharedBudget | None:
    if settings.budget is None:
        return None
    from rlm_jupyter.engine.budget.shared_budget import SharedBudget

    return SharedBudget(settings.budget)


def _answer_schema(schema: object) -> AnswerSchema:
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema

    return schema if isinstance(schema, AnswerSchema) else AnswerSchema(schema)
