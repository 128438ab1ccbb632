"""Writes a run's answers, small variables and small data to disk as the run goes, so that they outlive the notebook.

It hears the run's events and does nothing that the run waits for: variables are exported by tasks of the engine's loop,
and files are written by a thread. What they are and how large they may be: `rlm_jupyter.values.value_files`.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.background import BackgroundThread, QueueFullError
from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.events import events as ev
from rlm_jupyter.values.value_files import MOST_BYTES, ValueFiles, ValueKey, remove_old

if TYPE_CHECKING:
    from pathlib import Path

    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.event_log import EventLog
    from rlm_jupyter.values.buffer import Buffer

_MOST_WAITING = 2000
_VARIABLES = {True: 50, False: 8}
"""Variables of the root that are kept, and of each sub-agent, whose answer is what counts."""
_EXPORT_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
"""How long whoever waits for the log waits for variables that a busy kernel has not given yet."""


class ValueKeeper:
    """Keeps the values of one run on disk. Lives on the engine's loop; subscribe it to the run's journal.

    Args:
        conductor: the run; it is not kept alive.
        files: where the values go.
        redact: takes secrets out of a text; a value in which it finds one is not kept.
    """

    def __init__(self, conductor: Conductor, files: ValueFiles, redact: Callable[[str], str]) -> None:
        self._conductor = weakref.ref(conductor)
        self._files = files
        self._redact = redact
        self._thread = BackgroundThread("rlm-values", most=_MOST_WAITING)
        self._changed: dict[str, dict[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._saving: set[str] = set()
        self._failed = False
        self._thread.submit(partial(remove_old, files.directory.parent))

    def __call__(self, event: ev.AnyEvent) -> None:
        """Take note of an event."""
        conductor = self._conductor()
        agent = conductor.agents.get(event.agent) if conductor is not None else None
        if conductor is None or agent is None:
            return
        match event:
            case ev.AgentStarted() if event.agent == "0":
                # Files that were handed over are named again by whoever resumes: no path is taken from a file.
                if agent.spec.context is not None and not (conductor.box_limits or conductor.links):
                    self._write(ValueKey("data", "0"), agent.spec.context)
            case ev.ValueReturned():
                if agent.value is not None:
                    self._write(ValueKey("answer", event.agent), agent.value)
            case ev.VariablesChanged():
                self._note(event)
                if event.agent == "0":
                    self._save_soon(event.agent)
            case ev.AgentFinished():
                self._save_soon(event.agent)
            case _:
                pass

    def _note(self, event: ev.VariablesChanged) -> None:
        known = self._changed.setdefault(event.agent, {})
        for name in event.removed:
            known.pop(name, None)
            self._submit(partial(self._files.remove, ValueKey("variable", event.agent, name)))
        for variable in event.variables:
            size = variable.get("bytes")
            small = (
                isinstance(size, int) and size <= MOST_BYTES["variable"] and variable.get("place") != "shared"
            )
            if small and len(known) < _VARIABLES[event.agent == "0"]:
                known[variable["name"]] = event.seq
            else:
                known.pop(variable["name"], None)
                self._submit(partial(self._files.remove, ValueKey("variable", event.agent, variable["name"])))

    def _write(self, key: ValueKey, buffer: Buffer) -> None:
        if buffer.closed or buffer.released or buffer.size > MOST_BYTES[key.role]:
            self._submit(partial(self._files.remove, key))
            return
        self._submit(partial(self._write_file, key, buffer.dup()))

    def _submit(self, job: Callable[[], Any]) -> None:
        with contextlib.suppress(
            QueueFullError
        ):  # a slow disk: the run does not wait, and the log has the rest
            self._thread.submit(job)

    def _write_file(self, key: ValueKey, buffer: Buffer) -> None:
        with buffer:
            try:
                self._files.write(key, buffer, has_secret=self._has_secret)
            except OSError as error:
                self._tell(error)

    def _has_secret(self, content: bytes) -> bool:
        text = content.decode("utf-8", "replace")
        return self._redact(text) != text

    def _tell(self, error: OSError) -> None:
        if self._failed:
            return
        self._failed = True
        text = (
            f"Values are not kept in `{self._files.directory}` ({error.strerror or error}): `%rlm resume` will have to "
            "compute them again."
        )
        with contextlib.suppress(Exception):
            engine().call_soon(lambda: self._notify(text))

    def _notify(self, text: str) -> None:
        if (conductor := self._conductor()) is not None:
            conductor.journal.emit(ev.Notice, text=text)

    # ---- variables

    def _save_soon(self, agent_id: str) -> None:
        if agent_id in self._saving or not self._changed.get(agent_id):
            return
        self._saving.add(agent_id)
        task = asyncio.get_running_loop().create_task(self._save_variables(agent_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _save_variables(self, agent_id: str) -> None:
        """Export what has changed of an agent's variables, and hand it to the thread."""
        try:
            while changed := self._changed.pop(agent_id, None):
                for name in changed:
                    await self._save_variable(agent_id, name)
        finally:
            self._saving.discard(agent_id)

    async def _save_variable(self, agent_id: str, name: str) -> None:
        conductor = self._conductor()
        agent = conductor.agents.get(agent_id) if conductor is not None else None
        if conductor is None or agent is None:
            return
        saved = conductor.holdings.saved.get((agent_id, name))
        if saved is not None:
            self._write(ValueKey("variable", agent_id, name), saved)
            return
        if agent.kernel is None or not agent.kernel.alive or agent.calls.agent is not agent:
            return
        try:
            exported = await kernel_setup.export(agent.kernel, name, figures=False, timeout=_EXPORT_SECONDS)
        except Exception:
            return  # its kernel ended meanwhile, or it has no form that is data alone
        with exported as buffer:
            self._write(ValueKey("variable", agent_id, name), buffer)

    # ---- the end

    async def settle(self) -> None:
        """Return when all so far is on disk, or could not be written; a kernel that is busy is not waited for long."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_PATIENCE_SECONDS)
        await asyncio.wrap_future(self._thread.drained())


class LogWithValues:
    """The log of a run's events together with its values: whoever waits for the one waits for both.

    Args:
        log: of the events.
        keeper: of the values.
    """

    def __init__(self, log: EventLog, keeper: ValueKeeper) -> None:
        self._log = log
        self._keeper = keeper

    @property
    def path(self) -> Path:
        """Of the log's file."""
        return self._log.path

    @property
    def whole(self) -> bool:
        """Whether nothing of the log is lost."""
        return self._log.whole

    def flush(self) -> Future[None]:
        """Return a future that is done when all events and values so far are written."""
        return engine().submit(self._both(self._log.flush()))

    def end(self) -> Future[None]:
        """Write what waits, then close the log's file; return a future that is done then."""
        return engine().submit(self._both(self._log.end()))

    async def _both(self, log: Future[None]) -> None:
        await self._keeper.settle()
        await asyncio.wrap_future(log)
