"""A line of JSON for each operation of a client: what was asked, of which source, and what came of it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.text.shorten import cut_middle

_LONGEST = 2000
_DEEPEST = 4
_MOST_ITEMS = 50


class AuditLog:
    """A file to which lines are added; readable by its owner only.

    Args:
        path: of the file, which may exist.
        redact: takes secrets out of texts.

    Raises:
        ConfigError: it cannot be written.
    """

    def __init__(self, path: Path, redact: Callable[[str], str] = lambda text: text) -> None:
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        flags = (
            os.O_WRONLY
            | os.O_APPEND
            | os.O_CREAT
            | getattr(os, "O_NOFOLLOW", 0)
            | getattr(os, "O_CLOEXEC", 0)
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise ConfigError(
                f"The audit log `{path}` cannot be written ({error.strerror}): name another file by `--audit-log`."
            ) from None

    def write(self, session: str, tool: str, outcome: str, **details: Any) -> None:
        """Add a line.

        Args:
            session: whose operation it is.
            tool: which.
            outcome: `ok`, `refused`, `failed`, `cancelled`, or `started`.
            details: what else is known; long texts are cut.

        Raises:
            RequestRefusedError: it cannot be written; nothing is served without.
        """
        line = {"time": _now(), "session": session, "tool": tool, "outcome": outcome}
        line |= {name: self._bounded(value, 0) for name, value in details.items() if value is not None}
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            with self._lock:
                os.write(self._fd, data)  # one call: lines of several processes do not mix
        except OSError as error:
            raise RequestRefusedError(
                "The server cannot write its audit log, and serves nothing without it: tell who runs it.",
                reason=str(error),
            ) from None

    def _bounded(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return str(cut_middle(self._redact(value), _LONGEST))
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if depth >= _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            items = list(value.items())[:_MOST_ITEMS]
            return {str(key)[:_LONGEST]: self._bounded(item, depth + 1) for key, item in items}
        if isinstance(value, (list, tuple)):
            return [self._bounded(item, depth + 1) for item in value[:_MOST_ITEMS]]
        return f"<{type(value).__name__}>"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _now() -> str:
    moment = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment * 1000) % 1000:03}Z"
