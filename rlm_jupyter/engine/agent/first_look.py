"""A first look at the data that the harness takes itself: code and its output, before the model is asked, or for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rlm_jupyter.kernels.agent_kernel import AgentKernel

DERIVED = ("rows", "others", "more")
"""What a look makes of the data; who reads it reads the data."""
_SECONDS = 30.0
_MOST_TEXT = 50_000_000
"""Characters of a text whose lines are looked at; of a longer one only its description is shown."""
_PARSE = """\
rows, others = parse_lines(context)
describe(rows)
describe(others)
"""
_PARSE_MORE = """\
more, others = parse_lines(others)
describe(more)
"""
_FIND = 'print(*find_lines(context, question), sep="\\n")\n'
_RECORDS = """\
import pandas as pd
rows = pd.DataFrame(context)
describe(rows)
"""


@dataclass(frozen=True)
class Look:
    """What is run for a first look.

    Attributes:
        code: of the cell.
        data: the variables to compute from, as the model is to write them.
    """

    code: str
    data: str


async def plan_look(
    kernel: AgentKernel, question: str, description: Mapping[str, Any], names: Sequence[str]
) -> Look | None:
    """Bind what a first look uses in an agent's kernel, and choose its code by what the data is.

    Args:
        kernel: of the agent, idle, its data loaded.
        question: verbatim.
        description: of the data.
        names: the variables that the data is bound to: `context`, its own names, those of its items.

    Returns:
        None if a name that the code needs is taken by the user's data or tools, or the kernel does not answer.
    """
    try:
        told, fds = await kernel.bridge.request("helpers", {"question": question}, timeout=_SECONDS)
    except (BridgeError, KernelDiedError, TimeoutError):
        return None
    frames.close_all(fds)
    told = told if isinstance(told, dict) else {}
    free = told.get("names")
    bound = {name for name in free if isinstance(name, str)} if isinstance(free, list) else set()
    return choose(description, told.get("lines"), bound, names, left=told.get("left") is True)


def choose(
    description: Mapping[str, Any],
    lines: object,
    free: Collection[object],
    names: Sequence[str],
    *,
    left: bool = False,
) -> Look | None:
    """Returns the code of a first look; None if a name that it needs is taken.

    Args:
        description: of the data.
        lines: what `parse_lines` can make of its lines, and then of those that are left; empty for nothing.
        free: names of helpers that are bound.
        names: the variables that the data is bound to.
        left: whether the question's words stand in the lines that are left.
    """
    if not {"describe", "parse_lines", "find_lines"} <= set(free):
        return None
    kind, length = description.get("type"), description.get("length")
    taken = set(DERIVED) & set(names)
    if kind == "str" and isinstance(length, int) and length <= _MOST_TEXT:
        code, data = "describe(context)\n", "`context`"
        kinds = len(lines) if isinstance(lines, list) and not taken else 0
        if kinds:
            code, data = code + _PARSE, "`rows`"
        if kinds > 1:
            code, data = code + _PARSE_MORE, "`more`" if left else "`rows` or `more`"
        if description.get("truncated") is not False and "question" in free:
            code += _FIND
        return Look(code, data)
    if kind == "list" and description.get("fields") and not taken:
        return Look("describe(context)\n" + _RECORDS, "`rows`")
    texts = description.get("item_types")
    if kind in ("list", "dict") and isinstance(texts, dict) and "str" in texts and "question" in free:
        return Look("describe(context)\n" + _FIND, "`context`")
    read = description.get("variable")
    own = (
        [name for name in names if name == read]
        or [name for name in names if name != "context"]
        or ["context"]
    )
    return Look(f"describe({', '.join(own)})\n", " and ".join(f"`{name}`" for name in own))
