"""`%rlm assistant`: lets an assistant that is connected to the Jupyter server ask about this notebook's variables.

Its requests come as metadata of an `execute_request` whose code is always the same: what an assistant writes is data
here. Its runs are shown below the cell in which it was allowed, with the notebook's models, limits and sandbox.
"""

from __future__ import annotations

import contextlib
import json
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.magics import cell_magic, notebook_lookup
from rlm_jupyter.magics.command_registry import command
from rlm_jupyter.magics.task import Task

if TYPE_CHECKING:
    import argparse

    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState

METADATA = "rlm_jupyter_assistant"
"""Key of a request in the metadata of its message."""
MOST_AT_ONCE = 3
_MOST_KEPT = 20
_PREVIEW = 2000
_LONGEST = 16_000


class Permission:
    """That assistants may ask, and what came of it.

    Args:
        magics: of the notebook.
        parent: the message of the cell in which it was given: runs are shown below it.
        max_cost: USD of a run at most; None: as the notebook's settings say.
    """

    def __init__(self, magics: MagicsState, parent: Any, max_cost: float | None) -> None:
        self.magics = magics
        self.parent = parent
        self.max_cost = max_cost
        self.runs: dict[str, Run] = {}


_permissions: weakref.WeakKeyDictionary[InteractiveShell, Permission] = weakref.WeakKeyDictionary()


@command(
    "assistant [--max-cost USD] [--off]",
    "Let an assistant at the Jupyter server ask about this notebook's variables; its runs appear below this cell.",
)
def assistant(magics: MagicsState, arguments: argparse.Namespace) -> None:
    """Give the permission, or take it back."""
    shell = magics.shell
    if arguments.off:
        permission = _permissions.pop(shell, None)
        for run in permission.runs.values() if permission else ():
            run.stop()
        print("Assistants may not ask any more.")  # noqa: T201 - it is the cell's output
        return
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        raise UsageError("An assistant asks by a Jupyter server: `%rlm assistant` works in notebooks only.")
    permission = Permission(magics, get_parent(), _cost(arguments.max_cost))
    earlier = _permissions.get(shell)
    permission.runs = earlier.runs if earlier is not None else {}
    _permissions[shell] = permission
    cost = (
        "as the notebook's settings say"
        if permission.max_cost is None
        else f"at most ${permission.max_cost:g}"
    )
    print(  # noqa: T201 - it is the cell's output
        "Assistants at this Jupyter server may ask about this notebook's variables until `%rlm assistant --off`. "
        f"Their runs appear here; each costs {cost}."
    )


def _cost(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        cost = float(text)
    except ValueError:
        cost = -1.0
    if not 0 < cost < float("inf"):
        raise UsageError(f"`--max-cost` takes USD that a run may cost, such as `0.50`, not `{text}`.")
    return cost


def answer() -> str:
    """Returns the answer to the request in the metadata of the message that is being served, as JSON."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    try:
        request = _request(shell)
        return json.dumps(_serve(shell, request))
    except (RLMError, UsageError) as error:
        return json.dumps({"error": str(error)})


def _request(shell: Any) -> Mapping[str, Any]:
    parent = shell.get_parent() or {}
    request = (parent.get("metadata") or {}).get(METADATA)
    if not isinstance(request, dict):
        raise ConfigError("There is no request.")
    if not isinstance(request.get("until"), (int, float)) or time.time() > request["until"]:
        raise ConfigError("The request is too old: whoever sent it does not wait any more.")
    return request


def _serve(shell: InteractiveShell, request: Mapping[str, Any]) -> dict[str, Any]:
    permission = _permissions.get(shell)
    if permission is None:
        raise ConfigError(
            "The user has not allowed assistants in this notebook: `%rlm assistant` in a cell does."
        )
    match request.get("what"):
        case "ask":
            return _ask(permission, request)
        case "status":
            handle = request.get("handle")
            runs = permission.runs if handle is None else {str(handle): _run(permission, handle)}
            return {"runs": [_told(name, run, whole=handle is not None) for name, run in runs.items()]}
        case "pull":
            return _pull(permission, request)
    raise ConfigError("There is no such request.")


def _ask(permission: Permission, request: Mapping[str, Any]) -> dict[str, Any]:
    magics = permission.magics
    variable, question = request.get("variable"), request.get("question")
    if (
        not isinstance(variable, str)
        or not isinstance(question, str)
        or not question.strip()
        or len(question) > _LONGEST
    ):
        raise ConfigError(f"`variable` is a name, and `question` a text of 1 to {_LONGEST:,} characters.")
    known = notebook_lookup.variables(magics.shell)
    if variable not in known or not notebook_lookup.is_data(known[variable]):
        names = [name for name, value in known.items() if notebook_lookup.is_data(value)]
        raise notebook_lookup.missing("variable", variable[:80], names, "Variables")
    if sum(not run.done for run in permission.runs.values()) >= MOST_AT_ONCE:
        raise ConfigError(f"{MOST_AT_ONCE} runs of assistants go on, and no more at once are allowed.")
    task = Task(
        question=question,
        names=(variable,),
        context=known[variable],
        settings=_settings(permission, request.get("max_cost")),
        background=True,
    )
    run = cell_magic.start(magics, task)
    permission.runs[run.id] = run
    for oldest in [name for name, one in permission.runs.items() if one.done][
        : max(0, len(permission.runs) - _MOST_KEPT)
    ]:
        del permission.runs[oldest]
    with _below(permission):
        cell_magic.follow(magics, task, run)
    return _told(run.id, run)


def _settings(permission: Permission, max_cost: object) -> dict[str, Any]:
    """Returns the arguments of `RLM`: the notebook's settings, with the least of the limits in money."""
    from rlm_jupyter.settings import Limits

    settings = permission.magics.arguments_of_rlm({})
    limits: Limits = settings["limits"]
    allowed = [cost for cost in (permission.max_cost, limits.cost) if cost is not None]
    if max_cost is not None:
        if isinstance(max_cost, bool) or not isinstance(max_cost, (int, float)) or not max_cost > 0:
            raise ConfigError("`max_cost` is more than 0: USD that the answer may cost.")
        allowed.append(float(max_cost))
    asked = max_cost is not None or permission.max_cost is not None
    return {**settings, "limits": Limits.of(limits, cost=min(allowed)) if asked else limits}


@contextlib.contextmanager
def _below(permission: Permission) -> Iterator[None]:
    """Let what is shown meanwhile appear below the cell in which the permission was given."""
    shell: Any = permission.magics.shell
    served = shell.get_parent()
    shell.set_parent(permission.parent)
    try:
        yield
    finally:
        shell.set_parent(served)


def _run(permission: Permission, handle: object) -> Run:
    run = permission.runs.get(handle) if isinstance(handle, str) else None
    if run is None:
        raise ConfigError("There is no such run of an assistant in this notebook: `rlm_status` lists them.")
    return run


def _told(handle: str, run: Run, *, whole: bool = True) -> dict[str, Any]:
    """Returns what an assistant is told of a run."""
    from rlm_jupyter.values.describe.api import render

    with run.lock:
        tree = run.tree
        told: dict[str, Any] = {
            "handle": handle,
            "status": tree.status,
            "agents": len(tree.agents),
            "completions": tree.calls,
            "cost_usd": tree.cost,
        }
    if whole and run.done:
        about = run.value_description
        told["error"] = None if run.error is None else f"{type(run.error).__name__}: {run.error.message}"
        told["preview"] = None if about is None else render(about, name="answer", max_chars=_PREVIEW)
    return told


def _pull(permission: Permission, request: Mapping[str, Any]) -> dict[str, Any]:
    """Put a run's answer into a new variable of the notebook."""
    run = _run(permission, request.get("handle"))
    shell = permission.magics.shell
    name = request.get("name")
    if not isinstance(name, str) or not name.isascii() or len(name) > 80:  # noqa: PLR2004
        raise ConfigError("`name` is the name of a new variable.")
    name = notebook_lookup.out_name(name)
    if name in shell.user_ns or name in shell.user_ns_hidden:
        raise ConfigError(f"There is a variable `{name}` already: choose another name.")
    if not run.done:
        raise ConfigError("The run goes on: `rlm_status` says how far it is.")
    value = run.value
    if value is None:
        raise ConfigError("The run has no answer.")
    shell.user_ns[name] = value
    return {**_told(run.id, run), "variable": name}
