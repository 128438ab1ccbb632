"""Skills that agents' code loads: who asks is known from the connection, and has the skills of its run alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.tools.skills.skill_folders import read_file
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.tools.skills.skill import Skill

Answer = tuple[Any, list[int]]

_LISTED = 20
_PYTHON = list(sys.version_info[:2])


async def load_skill(agent: Agent, body: Mapping[str, Any], _fds: list[int]) -> Answer:
    """Hand a skill, or another file of it, to the kernel of an agent; without a name, the list of all skills.

    Raises:
        BridgeError: there is no such skill or file.
    """
    name, file = body.get("name"), body.get("file")
    began = time.monotonic()
    error: BridgeError | None = None
    if name is None:
        listed = "\n".join(skill.line for skill in agent.spec.skills.values())
        return {}, [Buffer.encode(_text_alone(listed), allow_pickle=False, rows=0).detach()]
    try:
        skill = agent.spec.skills.get(str(name))
        if skill is None:
            known = ", ".join(f"`{one}`" for one in list(agent.spec.skills)[:_LISTED]) or "none"
            raise BridgeError("failed", f"There is no skill `{str(name)[:80]}`. There are: {known}.")
        descriptors: list[int] = await agent.calls.work.run(_packed, skill, file)
        return {}, descriptors
    except BridgeError as trouble:
        error = trouble
        raise
    except (RLMError, ValueError) as trouble:
        error = BridgeError("failed", agent.services.redact(str(trouble)))
        raise error from None
    finally:
        agent.services.journal.emit(
            ev.ToolCalled,
            agent.id,
            name=_called(str(name), file),
            turn=agent.turn,
            seconds=time.monotonic() - began,
            ok=error is None,
            error=error.message if error is not None else None,
        )


def _called(name: str, file: object) -> str:
    """Returns what the tree and the log call it."""
    return f"load_skill({name[:80]!r})" if file is None else f"load_skill({name[:80]!r}, {str(file)[:80]!r})"


def _text_alone(text: str) -> dict[str, Any]:
    return {"text": text, "modules": {}, "functions": []}


def _packed(skill: Skill, file: object) -> list[int]:
    """Returns descriptors of a skill as plain data and of its functions, which are the caller's to close.

    Raises:
        ValueError: there is no such file.
    """
    if file is not None:
        return [Buffer.encode(_text_alone(read_file(skill, str(file))), allow_pickle=False, rows=0).detach()]
    about = {
        "text": skill.text,
        "modules": dict(skill.modules),
        "functions": [
            {"name": name, "forms": list(tool.forms), "python": _PYTHON} for name, tool in skill.tools.items()
        ],
    }
    found = [Buffer.encode(about, allow_pickle=False, rows=0).detach()]
    found += [form.dup().detach() for tool in skill.tools.values() for form in tool.forms.values()]
    return found
