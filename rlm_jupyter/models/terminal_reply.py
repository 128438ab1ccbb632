"""A reply of an `InteractiveModel`, typed in a terminal."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from rlm_jupyter.text.sanitize import clean, head_tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlm_jupyter.models.interactive import PendingReply

_SHOWN = 4000
_LOOK_SECONDS = 0.1


def is_terminal() -> bool:
    """Returns whether this process can be typed at: not in a notebook's kernel, nor behind a pipe."""
    try:
        return sys.stdin is not None and sys.stdin.isatty() and os.isatty(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or an object without a descriptor
        return False


def read_reply(waiting: PendingReply) -> str:
    """Show what an agent's model is asked, and read the reply.

    An empty line ends it, unless a block of code is open. The terminal is looked at and not read for good, so that a
    run that ends meanwhile does not take the next line that is typed.

    Raises:
        EOFError: the terminal was closed, or the input ended before there was a reply.
        InterruptedError: no reply is wanted any more.
    """
    message = waiting.messages[-1]["content"] if waiting.messages else ""
    kind = (
        "a plain completion: reply with text" if waiting.plain else "reply with Python, or text with a block"
    )
    _print(
        f"\n--- Agent {waiting.agent} asks its model, which is you ({kind})\n"
        f"{clean(head_tail(message, _SHOWN), _SHOWN + 200)}\n"
        "--- Your reply; an empty line ends it:"
    )
    lines: list[str] = []
    while True:
        line = read_line(lambda: waiting.waits)
        if line is None:
            if any(lines):
                return "\n".join(lines)
            raise EOFError("the input ended")
        fences = sum(known.lstrip().startswith("```") for known in lines)
        if not line.strip() and fences % 2 == 0 and any(known.strip() for known in lines):
            return "\n".join(lines)
        lines.append(line)


def read_line(wanted: Callable[[], bool]) -> str | None:
    """Returns the next line that is typed without its end; None at the end of the input.

    Args:
        wanted: whether a line is still wanted.

    Raises:
        InterruptedError: it is not.
    """
    if os.name == "nt":  # `select` knows sockets only
        try:
            return input()
        except EOFError:
            return None
    descriptor = sys.stdin.fileno()
    while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
        if not wanted():
            raise InterruptedError("no reply is wanted any more")
    # Byte by byte, since what is read beyond the line would be lost to the shell.
    raw = bytearray()
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        raw += byte
    return raw.decode("utf-8", "replace").rstrip("\r") if raw or byte else None


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is asked in the terminal
