"""Lets `import dspy` in an agent's kernel end with a default language model that asks the run.

It travels into an agent's kernel as source: the standard library only. Nothing of DSPy is imported before the agent's
code does so; where it is not installed, the import fails as ever.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from .language_model import make_language_model

if TYPE_CHECKING:
    import types
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from ..pending_calls import Work

_THREADS = 32  # of `dspy.Parallel` and `Module.batch`; DSPy's own 8 is meant for a provider's rate limits


class DspyImport:
    """A finder for `sys.meta_path` that finds nothing itself: it configures DSPy once its import has ended.

    Args:
        ask: starts a plain completion of the run, as `Words._ask` does.
    """

    def __init__(self, ask: Callable[..., Work]) -> None:
        self._ask = ask

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Returns the spec of `dspy` as the other finders have it, with a loader that configures it; else None."""
        if name != "dspy":
            return None
        others = [finder for finder in sys.meta_path if not isinstance(finder, DspyImport)]
        spec = next((found for one in others if (found := one.find_spec(name, path, target))), None)
        loader: Any = None if spec is None else spec.loader
        if not hasattr(loader, "exec_module"):  # a folder of this name, or what only an old loader can load
            return None
        load = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            load(module)
            configure(module, self._ask)

        loader.exec_module = exec_module
        return spec


def configure(dspy: Any, ask: Callable[..., Work]) -> None:
    """Make the run's plain completions DSPy's default, and switch off its caches: the run has one of its own.

    Args:
        dspy: the module. What has no engines (DSPy before 3.4) is left as it is, and stderr says so.
        ask: starts a plain completion.
    """
    try:
        if "engine" not in inspect.signature(dspy.LM.__init__).parameters:
            _tell(f"DSPy {dspy.__version__} cannot be given a model of this run: 3.4 is the first that can.")
            return
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
        dspy.configure(lm=make_language_model(dspy, ask), num_threads=_THREADS, async_max_workers=_THREADS)
    except Exception as error:  # a later DSPy may differ; it is of use without a model too
        _tell(f"DSPy could not be given a model of this run ({type(error).__name__}: {error!s:.300}).")


def _tell(problem: str) -> None:
    print(f"{problem} `llm_query(prompt, schema=...)` asks one.", file=sys.stderr)  # noqa: T201
