"""The identity of a run: a hash over what determines it, with one for each part, so that it can be told what differs.

All that goes into it stands in the log in plain, or says nothing of a secret: texts are hashed as the log has them,
without secrets and hidden values; of environment variables, and of fields of requests that are not known by name, only
the names count. So nobody learns more from a hash than from the log beside it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Limits, Settings

_PART_DIGITS: Final = 16
_LIBRARIES: Final = (
    *("ipykernel", "ipython", "numpy", "pandas", "polars", "pyarrow", "scipy", "scikit-learn"),
    *("duckdb", "matplotlib", "cloudpickle"),
)
_NOT_OF_THE_RUN: Final = frozenset(
    {"log_dir", "cache", "keep_values", "telemetry", "early_start", "budget", "value_memory", "kernel_memory"}
    | {"kept_kernels", "ask_user_seconds", "hide_most"}
)
"""Settings that say where things are kept, not what is asked."""
_OTHER_PARTS: Final = frozenset(
    {"limits", "model", "sub_model", "strong_model", "base_url", "hide", "skills"}
)
_MAPPINGS: Final = ("parameters", "sub_parameters", "extra_body", "sub_extra_body")
_KNOWN_FIELDS: Final = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "max_completion_tokens", "n", "logprobs"}
    | {"frequency_penalty", "presence_penalty", "repetition_penalty", "reasoning_effort", "service_tier"}
)
_INSTALLED: Final = re.compile(r"(?P<name>[\w.]+)-(?P<version>[^-]+)\.(?:dist|egg)-info")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{4,}")


@dataclass(frozen=True)
class RunIdentity:
    """What determines a run.

    Attributes:
        digest: over all parts.
        parts: a hash of each: `prompt`, `question`, `data`, `models`, `settings`, `limits`, `package`, `libraries`.
    """

    digest: str
    parts: dict[str, str]


def run_identity(
    spec: AgentSpec,
    models: Sequence[ChatModel],
    limits: Limits,
    settings: Settings,
    *,
    redact: Callable[[str], str],
    hidden: HiddenValues | None = None,
) -> RunIdentity:
    """Returns the identity of a run that begins.

    Args:
        spec: of its root.
        models: of the root, of sub-agents and plain completions, and the stronger one, if there is one.
        limits: what it may spend.
        settings: of the run.
        redact: takes out of a text what the log does not have.
        hidden: values of which models, and the log, have tokens alone; None for none.
    """
    import rlm_jupyter
    from rlm_jupyter.engine.agent.fixed_text import fixed_prompt_text

    hide = str if hidden is None else hidden.hide
    content: dict[str, Any] = {
        "prompt": fixed_prompt_text(),
        "question": _question(spec, hide),
        "data": _data(spec, () if hidden is None else tuple(hidden.columns)),
        "models": [_model(model) for model in models],
        "settings": _settings(settings, hide),
        "limits": limits.model_dump(mode="json"),
        "package": rlm_jupyter.__version__,
        "libraries": [settings.kernel] if settings.kernel is not None else _libraries(),
    }
    parts = {name: _digest(part, redact)[:_PART_DIGITS] for name, part in content.items()}
    return RunIdentity(_digest(parts, str), parts)


def _digest(part: object, redact: Callable[[str], str]) -> str:
    text = json.dumps(part, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(redact(text).encode("utf-8", "surrogatepass")).hexdigest()


def _question(spec: AgentSpec, hide: Callable[[str], str]) -> list[Any]:
    return [
        hide(spec.question),
        hide(spec.schema.text) if spec.schema is not None else None,
        sorted(spec.tools),
        sorted(spec.mcp),
        [check.name for check in spec.checks.functions] if spec.checks is not None else [],
        spec.samples.samples.recorded if spec.samples is not None else None,
        spec.samples is not None and spec.samples.verify,
        spec.plain is not None and (spec.plain.part or True),
        *([[name, skill.digest] for name, skill in sorted(spec.skills.items())]),
    ]


def _data(spec: AgentSpec, hidden: tuple[str, ...]) -> list[Any]:
    """Returns what the log tells of the data; with hidden columns its shape alone."""
    shown = [spec.context, *(one.data for one in spec.added)]
    found = [_ADDRESS.sub("0x", json.dumps(one.description, default=str)) for one in shown if one is not None]
    if hidden:
        found = [
            json.dumps([one.description.get(name) for name in ("type", "shape", "length")])
            for one in shown
            if one is not None
        ]
    return [found, [*spec.names, *spec.item_names], sorted(hidden)]


def _model(model: ChatModel) -> dict[str, Any]:
    told = getattr(model, "identity", None)
    known = dict(told) if isinstance(told, Mapping) else {}
    own = known.get("parameters")
    fields = _known_fields(own) if isinstance(own, Mapping) else {}
    return {"name": model.name, "scripted": model.scripted, **_known_fields(known), "parameters": fields}


def _known_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Returns fields of requests: with their values those that are known, of others the names."""
    own = {"protocol", "base_url", "model"} | _KNOWN_FIELDS
    return {str(name): value if name in own else None for name, value in fields.items()}


def _settings(settings: Settings, hide: Callable[[str], str]) -> dict[str, Any]:
    """Returns what a run is asked with; a text of the user's, such as `instructions`, may hold a hidden value."""
    told = settings.model_dump(mode="json", exclude={*_NOT_OF_THE_RUN, *_OTHER_PARTS, *_MAPPINGS})
    for name in _MAPPINGS:
        told[name] = _known_fields(getattr(settings, name) or {})
    return {name: hide(value) if isinstance(value, str) else value for name, value in told.items()}


@functools.cache
def _libraries() -> dict[str, str]:
    """Returns the versions of what agents' kernels of this Python have; those that are not installed are left out.

    They are read from the names of directories: `importlib.metadata` parses a file for each, which takes too long
    before the first question.
    """
    found = {"python": platform.python_version(), "system": platform.system()}
    for path in reversed(sys.path):  # what comes first in the path is what is imported
        try:
            with os.scandir(path or ".") as listed:
                entries = [entry.name for entry in listed]
        except OSError:
            continue
        for entry in entries:
            told = _INSTALLED.fullmatch(entry)
            if told is not None and (name := told["name"].lower().replace("_", "-")) in _LIBRARIES:
                found[name] = told["version"]
    return found
