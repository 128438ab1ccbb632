"""What a question is made of before its run begins: its data, its tools and servers, what it continues."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.spec import AgentSpec
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.engine.run.run import Run
from rlm_jupyter.engine.run.value_keeper import LogWithValues, ValueKeeper
from rlm_jupyter.errors import ConfigError, ContextError
from rlm_jupyter.events.events import AnyEvent, Notice, RunStarted
from rlm_jupyter.kernels.launch.manager import check_launch
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.run_setup.continued import follow_up_spec, root_of
from rlm_jupyter.run_setup.database_sources import take_databases
from rlm_jupyter.run_setup.lazy_data import check_whole
from rlm_jupyter.run_setup.run_identity import run_identity
from rlm_jupyter.run_setup.sources import Grants, Located, grants_for, locate
from rlm_jupyter.sandbox_settings import check_log_dir
from rlm_jupyter.security.redactor import Redactor
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.values.describe.api import describe
from rlm_jupyter.values.store import Buffer
from rlm_jupyter.values.value_files import ValueFiles, directory_of

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_jupyter.databases.database import Database
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.event_log import EventLog
    from rlm_jupyter.engine.run.recorded_run import RecordedRun
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Limits, Settings
    from rlm_jupyter.tools.mcp_config import ServerConfig


def new_id() -> str:
    """Returns an id for a run: when it was asked, and what tells it from others of that second."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _check_question(question: object, on_event: object) -> None:
    if not isinstance(question, str):
        raise ConfigError(
            f"A question is a text, not a `{type(question).__name__}`: write what you want to know."
        )
    if not question.strip():
        raise ConfigError("The question is empty: write what you want to know.")
    if on_event is not None and not callable(on_event):
        raise ConfigError(f"`on_event` takes a function of an event, not a `{type(on_event).__name__}`.")


def check_start(settings: Settings, question: object, on_event: object = None) -> str | None:
    """Refuse what is not a question, and a kernel or a sandbox that cannot work, before anything is started.

    Args:
        settings: of the run.
        question: what is asked.
        on_event: the user's listener.

    Returns:
        What the user should know of the place of the logs; None for nothing.

    Raises:
        ConfigError: it is not a question, or agents could read or change what must be kept from them.
        KernelStartError: the kernelspec or the sandbox is not there.
    """
    _check_question(question, on_event)
    if settings.bash and settings.sandbox.mode == "none":
        raise ConfigError(
            "`bash` runs scripts of a model, which need the sandbox, and the sandbox is `none`: choose another mode, "
            "or leave `bash` out."
        )
    check_launch(settings.kernel, settings.sandbox.mode)
    return check_log_dir(settings.sandbox, settings.log_dir)


def inherit_from_run(
    run: Run, run_id: str, spec: AgentSpec, env: dict[str, str], servers: dict[str, ServerConfig]
) -> tuple[AgentSpec, dict[str, str], dict[str, ServerConfig]]:
    """Returns a follow-up what it has of the run that it continues; from then on that is taken.

    Args:
        run: the run that it continues.
        run_id: its own.
        spec: of its root.
        env: environment variables that were asked for.
        servers: MCP servers that it has besides those of the earlier run.

    Raises:
        ConfigError, KernelDiedError: the run cannot be continued.
    """
    earlier = run.arguments
    known = earlier.env if earlier is not None else {}
    if any(known.get(name) != value for name, value in env.items()):
        raise ConfigError("`env` is set when a kernel starts: a follow-up has that of the run it continues.")
    both = {**(earlier.servers if earlier is not None else {}), **servers}
    with run.lock:
        root = root_of(run, replace_kernel=spec.memory is not None)
        spec = replace(follow_up_spec(spec, root), mcp=tuple(both))
        run.continued_by = run_id
    return spec, known, both


@dataclass(frozen=True)
class Data:
    """What was handed over with a question.

    Attributes:
        buffer: encoded; None where there is nothing but the question.
        names: the variables that it is bound to, besides `context`.
        item_names: where it is a dict of several variables: their names.
        grants: what agents may read because of it.
        databases: that agents may ask, by what their handles call them.
        located: the data with its paths; None if nothing was encoded.
    """

    buffer: Buffer | None = None
    names: tuple[str, ...] = ()
    item_names: tuple[str, ...] = ()
    grants: Grants = field(default_factory=Grants)
    databases: Mapping[str, Database] = field(default_factory=dict)
    located: Located | None = None

    def described(self, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Returns the description of the data, changed in all of its parts; of nothing an empty one."""
        if self.buffer is None:
            return {}
        rendered = self.located.described(changed) if self.located is not None else None
        return changed(self.buffer.description if rendered is None else rendered)

    @property
    def secrets(self) -> list[str]:
        """Passwords of databases."""
        return [secret for database in self.databases.values() for secret in database.secrets]


def encode(context: Any, names: tuple[str, ...], *, rows: int) -> Data:
    """Encode the data on the caller's thread: so it cannot change meanwhile, and what cannot go is named at once."""
    if context is None and not names:
        return Data()
    name = names[0] if len(names) == 1 else "context"
    try:
        handled = take_databases(context, name, rows=rows)
        planned = check_whole(handled.value, name)
        located = locate(handled.value, name, rows=rows)
        grants = grants_for(located.paths, planned)
        data = Buffer.encode(located.value, rows=rows, late=True, name=name)
        if located.description is not None:
            data.description = located.description
    except ContextError as error:
        raise ContextError(f"The context cannot go to an agent's kernel: {error.message}") from None
    several = len(names) > 1
    own = tuple(name for name in names if name != "context")  # what data is called in any case
    items = names if several else ()
    return Data(data, () if several else own, items, grants, handled.databases, located)


def redactor_with(secrets: Iterable[str], hidden: HiddenValues | None) -> Redactor:
    """Returns what takes secrets and hidden values out of what a model is told."""
    if hidden is None:
        return Redactor(secrets)
    from rlm_jupyter.security.hidden.hidden_values import HidingRedactor

    return HidingRedactor(secrets, hidden)


def describe_data(context: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Returns what `encode` would say of the data, without a copy of it; None where there is nothing but the question.

    Raises:
        ContextError: it cannot leave this process.
    """
    if context is None and not names:
        return None
    name = names[0] if len(names) == 1 else "context"
    handled = take_databases(context, name, rows=0)
    check_whole(handled.value, name)
    located = locate(handled.value, name, rows=0)
    return located.description if located.description is not None else describe(located.value, rows=0)


def redactor(handed: Iterable[str]) -> Redactor | None:
    """Keep secrets out of what is told: what the environment calls a secret, keys, what is handed over."""
    found = [*secrets_in(os.environ), *handed]
    return Redactor(found) if any(found) else None


def tracer(settings: Settings, model: ChatModel) -> Callable[[AnyEvent], None] | None:
    """Make spans of a run's events, where that is wanted and OpenTelemetry is there."""
    if not settings.telemetry:
        return None
    from rlm_jupyter.records.telemetry import tracing

    return tracing(getattr(model, "provider", None))


def open_log(
    directory: Path | None, run_id: str, journal: Journal, hide: Callable[[str], str] | None = None
) -> LogWriter | None:
    """Write a run's events to a log of its own; None if none is wanted.

    Args:
        directory: of logs.
        run_id: after which it is named.
        journal: of the run.
        hide: puts tokens in the place of hidden values; None: there are none.
    """
    if directory is None:
        return None
    loop = engine()

    def tell(text: str) -> None:  # the writer's thread calls it, and events are made on the engine's
        loop.call_soon(lambda: journal.emit(Notice, text=text))

    writer = LogWriter(directory.expanduser() / f"{run_id}.jsonl", on_error=tell, hide=hide)
    journal.subscribe(writer.write)
    return writer


def keep_values(conductor: Conductor, log: LogWriter | None, settings: Settings) -> EventLog | None:
    """Keep a run's values on disk beside its log, as the run goes; return what is to be waited for at its end."""
    if log is None or not settings.keep_values:
        return log
    files = ValueFiles(directory_of(log.path))
    journal = conductor.journal
    keeper = ValueKeeper(conductor, files, lambda text: journal.redact(conductor.redact(text)))
    journal.subscribe(keeper)
    return LogWithValues(log, keeper)


def emit_run_started(
    journal: Journal,
    spec: AgentSpec,
    models: tuple[ChatModel, ChatModel, ChatModel | None],
    limits: Limits,
    settings: Settings,
    *,
    step: bool,
    recorded: RecordedRun | None = None,
    told: Iterable[str] = (),
    hidden: HiddenValues | None = None,
) -> None:
    """Reports that a run begins: the first event of each.

    Args:
        journal: of the run.
        spec: of its root.
        models: of the root; of sub-agents and plain completions; and the stronger one, None for none.
        limits: what it may spend.
        settings: of the run.
        step: whether each cell waits.
        recorded: the record that it goes through; None for none.
        told: notices to begin with.
        hidden: values of which models have tokens alone; None for none.
    """
    model, sub_model, strong_model = models
    shown = _shown_data(spec)
    earlier = spec.earlier.services.run if spec.earlier is not None else None
    columns = tuple(hidden.columns) if hidden is not None else ()
    asked = [one for one in models if one is not None]
    identity = run_identity(spec, asked, limits, settings, redact=journal.redact, hidden=hidden)
    journal.emit(
        RunStarted,
        question=spec.question,
        model=model.name,
        sub_model=sub_model.name,
        scripted=model.scripted,
        provenance=getattr(model, "provenance", "scripted, no language model") if model.scripted else None,
        limits=limits.model_dump(),
        context=shown.description if shown is not None else None,
        context_names=(*spec.names, *spec.item_names),
        sandbox=settings.sandbox.mode,
        step=step,
        continues=earlier,
        resumes=recorded.run if recorded is not None else None,
        branch=str(recorded.branch) if recorded is not None and recorded.branch is not None else None,
        samples=spec.samples.samples.recorded if spec.samples is not None else None,
        verify=spec.samples is not None and spec.samples.verify,
        plain=False if spec.plain is None else "passages" if spec.plain.part else True,
        hidden=columns,
        strong_model=strong_model.name if strong_model is not None else None,
        identity=identity.digest,
        identity_parts=identity.parts,
    )
    for text in (*told, *_first_notices(spec, settings, recorded, hidden)):
        journal.emit(Notice, text=text)


def _first_notices(
    spec: AgentSpec, settings: Settings, recorded: RecordedRun | None, hidden: HiddenValues | None
) -> Iterator[str]:
    """Yields what the user should know of a run that begins."""
    shown = _shown_data(spec)
    yield from hidden.notices if hidden is not None else ()
    yield from shown.losses if shown is not None else ()
    if recorded is not None:
        yield recorded.told
    if spec.earlier is None:
        return
    earlier = spec.earlier.services
    if spec.memory is None:  # of a conversation, the tree shows it
        yield f"This continues run `{earlier.run}`: its root kernel, variables and chat."
    if earlier.settings.sandbox != settings.sandbox:
        yield "The root's kernel keeps the sandbox that it was started with; new agents get this one."


def _shown_data(spec: AgentSpec) -> Buffer | None:
    """Returns the data that a run is told to be about: what was added last to that of an earlier one."""
    return spec.added[-1].data if spec.added else spec.context
