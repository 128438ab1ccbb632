"""Recursive Language Models in Jupyter: every agent has its own kernel, every answer is a variable.

In a notebook::

    %load_ext rlm_jupyter

    %%rlm orders -o findings
    Which supplier explains the rise in refunds, and since when?

In plain Python::

    from rlm_jupyter import RLM

    run = RLM(model="openai/gpt-5").run("Which supplier explains the rise in refunds?", context=orders)
    print(run.value)

Names are loaded when they are first used, so that `import rlm_jupyter` and `%load_ext` are quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.conversation.chunks import EventChunk, TextChunk, ValueChunk
    from rlm_jupyter.conversation.conversation import Chat
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.engine.samples.samples import Samples
    from rlm_jupyter.errors import (
        AgentFailedError,
        AgentNotFoundError,
        AudioRefusedError,
        AuthenticationError,
        CellTimeoutError,
        ConfigError,
        ContextError,
        ContextTooLongError,
        EmptyReplyError,
        HiddenDataChangedError,
        ImagesRefusedError,
        KernelDiedError,
        KernelError,
        KernelStartError,
        LimitReachedError,
        LogError,
        MalformedReplyError,
        MalformedValueError,
        MissingKeyError,
        ModelError,
        NoAnswerCodeError,
        NotRecordedError,
        ProviderUnreachableError,
        RLMError,
        RunNotFoundError,
        RunStoppedError,
        ToolError,
        UnknownPriceError,
        UnsafeValueError,
        ValueTransferError,
        VariableNotFoundError,
    )
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.run_view import view
    from rlm_jupyter.sandbox_settings import Sandbox
    from rlm_jupyter.security.hidden.hidden_columns import Hidden
    from rlm_jupyter.settings import Limits
    from rlm_jupyter.tools.host_tools import host_tool
    from rlm_jupyter.tools.skills.skill import Skill
    from rlm_jupyter.tools.sub_tools import sub_tool
    from rlm_jupyter.tuning.tune import tune
    from rlm_jupyter.user_questions.audience import answering
    from rlm_jupyter.values.charts.chart import Chart
    from rlm_jupyter.values.codec.spans import Span

__version__ = "0.1.0"

__all__ = [
    "RLM",
    "AgentFailedError",
    "AgentNotFoundError",
    "AudioRefusedError",
    "AuthenticationError",
    "CellTimeoutError",
    "Chart",
    "Chat",
    "ConfigError",
    "ContextError",
    "ContextTooLongError",
    "EmptyReplyError",
    "EventChunk",
    "Hidden",
    "HiddenDataChangedError",
    "ImagesRefusedError",
    "KernelDiedError",
    "KernelError",
    "KernelStartError",
    "LimitReachedError",
    "Limits",
    "LogError",
    "MalformedReplyError",
    "MalformedValueError",
    "MissingKeyError",
    "ModelError",
    "NoAnswerCodeError",
    "NotRecordedError",
    "ProviderUnreachableError",
    "RLMError",
    "Run",
    "RunNotFoundError",
    "RunStoppedError",
    "Samples",
    "Sandbox",
    "Skill",
    "Span",
    "TextChunk",
    "ToolError",
    "UnknownPriceError",
    "UnsafeValueError",
    "ValueChunk",
    "ValueTransferError",
    "VariableNotFoundError",
    "__version__",
    "answering",
    "host_tool",
    "load_ipython_extension",
    "sub_tool",
    "tune",
    "unload_ipython_extension",
    "view",
]

_ROOMS = {
    "RLM": "rlm_jupyter.rlm",
    "Hidden": "rlm_jupyter.security.hidden.hidden_columns",
    "Chart": "rlm_jupyter.values.charts.chart",
    "Chat": "rlm_jupyter.conversation.conversation",
    "view": "rlm_jupyter.run_view",
    **dict.fromkeys(("EventChunk", "TextChunk", "ValueChunk"), "rlm_jupyter.conversation.chunks"),
    "Run": "rlm_jupyter.engine.run.run",
    "Limits": "rlm_jupyter.settings",
    "Samples": "rlm_jupyter.engine.samples.samples",
    "Sandbox": "rlm_jupyter.sandbox_settings",
    "answering": "rlm_jupyter.user_questions.audience",
    "Span": "rlm_jupyter.values.codec.spans",
    "Skill": "rlm_jupyter.tools.skills.skill",
    "host_tool": "rlm_jupyter.tools.host_tools",
    "sub_tool": "rlm_jupyter.tools.sub_tools",
    "tune": "rlm_jupyter.tuning.tune",
    **{name: "rlm_jupyter.errors" for name in __all__ if name.endswith("Error")},
}
"""Where a public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module `rlm_jupyter` has no attribute `{name}`")
    from rlm_jupyter.import_pause import no_collections

    with no_collections():
        value = getattr(importlib.import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make `%%rlm` and `%rlm` known to IPython, silently: what `%load_ext rlm_jupyter` calls."""
    from rlm_jupyter.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Stop the magics' runs and take everything back: what `%unload_ext rlm_jupyter` calls."""
    from rlm_jupyter.magics import unload

    unload(shell)
