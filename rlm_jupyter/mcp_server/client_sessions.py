"""What clients hold: handles of files and runs, each known in the session only in which it was made."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from rlm_jupyter.mcp_server.asked_runs import AskedRun
from rlm_jupyter.mcp_server.opened_file import OpenedFile
from rlm_jupyter.mcp_server.refusals import RequestRefusedError

T = TypeVar("T")

MOST_SOURCES = 32
MOST_RUNS = 32
MOST_SESSIONS = 16
"""Of one client."""
IDLE_SECONDS = 3600.0


def new_id(prefix: str) -> str:
    """Returns a name that nobody can guess (80 bits)."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"


def _known(held: Mapping[str, T], name: str, what: str, tool: str) -> T:
    found = held.get(name)
    if found is None:
        raise RequestRefusedError(
            f"There is no such {what} in this session: `{tool}` returns one, and `status` lists them."
        )
    return found


@dataclass
class ClientSession:
    """What one client holds.

    Attributes:
        id: for the audit log; it gives no rights.
        sources: files by their handles.
        runs: by their ids; the oldest go when there are too many.
        used: when it was last asked something.
    """

    id: str = field(default_factory=lambda: new_id("session"))
    sources: dict[str, OpenedFile] = field(default_factory=dict)
    runs: dict[str, AskedRun] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)

    def source(self, handle: str) -> OpenedFile:
        """Returns the file of a handle.

        Raises:
            RequestRefusedError: this session has no such handle.
        """
        return _known(self.sources, handle, "handle", "open_source")

    def run(self, run: str) -> AskedRun:
        """Returns a run.

        Raises:
            RequestRefusedError: this session has no such run.
        """
        return _known(self.runs, run, "run", "ask")

    def add_source(self, file: OpenedFile) -> str:
        """Keep a file; return its handle.

        Raises:
            RequestRefusedError: there are too many.
        """
        if len(self.sources) >= MOST_SOURCES:
            file.close()
            raise RequestRefusedError(
                f"This session has {MOST_SOURCES} open sources, and no more are allowed: `close` one first."
            )
        handle = new_id("src")
        self.sources[handle] = file
        return handle

    def add_run(self, run: AskedRun) -> None:
        """Keep a run; the oldest one that has ended goes if there are too many."""
        self.runs[run.id] = run
        ended = [one for one in self.runs.values() if one.done]
        for oldest in ended[: max(0, len(self.runs) - MOST_RUNS)]:
            del self.runs[oldest.id]
            oldest.close()

    @property
    def busy(self) -> bool:
        """Whether a run goes on."""
        return any(not run.done for run in self.runs.values())

    def close(self) -> None:
        """Close all that it holds."""
        for file in self.sources.values():
            file.close()
        for run in self.runs.values():
            run.close()
        self.sources.clear()
        self.runs.clear()


class ClientSessions:
    """The sessions by what tells clients apart.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions: dict[tuple[str, str], ClientSession] = {}
        self._clock = clock

    def of(self, client: str, connection: str) -> ClientSession:
        """Returns the session of a client, which begins with its first request.

        Args:
            client: whose token the request has.
            connection: what tells its connections apart, where the protocol does.
        """
        now = self._clock()
        self._drop(
            key for key, one in self._sessions.items() if now - one.used > IDLE_SECONDS and not one.busy
        )
        found = self._sessions.get((client, connection))
        if found is None:
            own = {key: one for key, one in self._sessions.items() if key[0] == client}
            if len(own) >= MOST_SESSIONS:  # nobody's sessions end because of another client's
                self._drop(
                    [key for _, key in sorted((one.used, key) for key, one in own.items() if not one.busy)][
                        :1
                    ]
                )
            found = self._sessions[client, connection] = ClientSession()
        found.used = now
        return found

    def _drop(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in list(keys):
            self._sessions.pop(key).close()

    def close(self) -> None:
        """Close all."""
        self._drop(list(self._sessions))
