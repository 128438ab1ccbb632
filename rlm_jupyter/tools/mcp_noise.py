"""What the `mcp` package logs about our servers: it goes to the run's notices, not to the notebook.

The package logs a traceback for each line on stdout that is not a message, as banners and logs of many servers are
(https://github.com/Aas-ee/open-webSearch/issues/35), and Python shows warnings that nobody handles on stderr.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
from collections.abc import Callable, Iterator

_LONGEST = 200
_OnLine = Callable[[str], None]
_listener: contextvars.ContextVar[_OnLine | None] = contextvars.ContextVar("rlm_mcp_listener", default=None)


@contextlib.contextmanager
def heard_by(listener: _OnLine) -> Iterator[None]:
    """Let what is logged in this task, and in those that it starts, be heard by a function and not be shown.

    Args:
        listener: takes each line on stdout that is not a message; an empty text for all else that is logged.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def keep_quiet() -> None:
    """Watch the loggers of the package; those who use it elsewhere in this process notice nothing."""
    for name in list(logging.root.manager.loggerDict):
        if name == "client" or name.partition(".")[0] == "mcp":
            logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(record: logging.LogRecord) -> bool:
    listener = _listener.get()
    if listener is None:
        return True
    listener(_line_of(record))
    return False


def _line_of(record: logging.LogRecord) -> str:
    """Return the line that could not be read, short and on one line; nothing, where the record tells of none."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name != "mcp.client.stdio" or not isinstance(error, ValueError):
        return ""
    told = getattr(error, "errors", None)  # of pydantic's `ValidationError`
    found = told(include_url=False)[0].get("input") if callable(told) else str(error)
    text = found if isinstance(found, str) else json.dumps(found, default=repr)
    return " ".join(text.split())[:_LONGEST]
