"""A supervisor that is started before a kernel is wanted, so that its imports are done, or under way, when one is.

`%load_ext` begins it: what takes time is imported on a thread.
"""

from __future__ import annotations

import atexit
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_jupyter import forks

if TYPE_CHECKING:
    from rlm_jupyter.kernels.launch.environment import BaseDirectory
    from rlm_jupyter.kernels.launch.supervisor_client import Supervisor

log = logging.getLogger(__name__)

_START_SECONDS = 30.0
"""How long is waited for a system that starts no process; what comes later is not used, and ends with this process."""


@dataclass(frozen=True)
class Started:
    """A supervisor that belongs to whoever took it.

    Attributes:
        base: the directory in which its kernels live.
        supervisor: not necessarily ready.
        packages: what was installed when it was started.
    """

    base: BaseDirectory
    supervisor: Supervisor
    packages: object

    def discard(self) -> None:
        """End it, which has no kernels yet, and remove its directory."""
        self.supervisor.discard()
        self.base.remove()


class EarlyStart:
    """Starts one supervisor on a thread of its own, and holds it until it is taken. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._started: Started | None = None
        self._idle = False

    def begin(self, *, idle: bool = False) -> None:
        """Start it where kernels can be forked, unless that was done before; returns at once, and never raises.

        Args:
            idle: whether nobody waits for it yet; see `Supervisor`.
        """
        with self._lock:
            if self._thread is not None:
                self._idle = self._idle and idle
                if not idle and self._started is not None:
                    self._started.supervisor.hurry()
                return
            self._idle = idle
            thread = threading.Thread(target=self._start, name="rlm-early-start", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started: whoever wants a kernel is told so
                return
            self._thread = thread
        atexit.register(self.drop)

    def _start(self) -> None:
        try:
            started = _started(idle=self._idle)
        except Exception as error:  # whoever wants a kernel tries again, and is told
            log.debug("No supervisor of agents' kernels was started early: %s", error)
            return
        with self._lock:
            self._started = started
            if started is not None and not self._idle:
                started.supervisor.hurry()

    def take(self) -> Started | None:
        """Take it over, if it lives and has imported what is installed now; waits while it is being started."""
        started = self._let_go()
        if started is None:
            return None
        from rlm_jupyter.kernels.launch.site_packages import installed_packages

        if started.supervisor.alive and started.packages == installed_packages():
            started.supervisor.hurry()
            return started
        started.discard()
        return None

    def drop(self) -> None:
        """End it, if nobody took it; it can then be begun again."""
        started = self._let_go()
        if started is not None:
            started.discard()
            with self._lock:
                self._thread = None

    def _let_go(self) -> Started | None:
        thread = self._thread
        if thread is not None:
            thread.join(_START_SECONDS)
        with self._lock:
            started, self._started = self._started, None
            return started

    def forked(self) -> None:
        """Begin anew in a forked child: what was started is the parent's."""
        forks.never_finalize(self._started)
        atexit.unregister(self.drop)
        forks.release(self._lock)
        self._thread = self._started = None


def _started(*, idle: bool) -> Started | None:
    from rlm_jupyter.kernels.launch.environment import BaseDirectory
    from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
    from rlm_jupyter.kernels.launch.site_packages import installed_packages
    from rlm_jupyter.kernels.launch.supervisor_client import Supervisor, possible

    if not possible():
        return None
    packages = installed_packages()
    base = BaseDirectory()
    try:
        return Started(base, Supervisor(base.path, fork_server_sources(), idle=idle), packages)
    except BaseException:
        base.remove()
        raise


early_start = EarlyStart()
"""That of this process."""
forks.call_in_child(early_start.forked)
