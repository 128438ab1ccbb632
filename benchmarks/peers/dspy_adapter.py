"""DSPy: `dspy.RLM` with its local interpreter, and threads by hand for what it does not do at once itself.

Its default interpreter loads Pyodide from the network, so the local one, a plain Python process, stands in.
"""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers.adapter import check, check_parts


class DSPy:
    """`dspy.RLM`, whose root's code starts threads that call `llm_query`, or `dspy.RLM` again."""

    def __init__(self, url: str) -> None:
        dspy = importlib.import_module("dspy")
        local = importlib.import_module("dspy.primitives.local_interpreter")
        self._model: Any = dspy.LM("openai/test-model", api_base=url, api_key="sk-benchmark", cache=False)
        dspy.configure(lm=self._model)
        self._rlm: Any = dspy.RLM(
            "context, question -> answer",
            max_iters=30,
            max_llm_calls=1000,
            interpreter_factory=local.LocalInterpreter,
        )

    def batch(self, width: int) -> float | None:
        """As `Adapter` says."""
        return check_parts(self._answer("batch", ""), width, 1)

    def agents(self, width: int) -> float | None:
        """As `Adapter` says."""
        return check_parts(self._answer("agents", ""), width, width)

    def one(self, name: str) -> None:
        """As `Adapter` says."""
        check(self._answer(name, ""), "2")

    def close(self) -> None:
        """Nothing is left: `dspy.RLM` ends its interpreter itself."""

    def _answer(self, name: str, context: str) -> str:
        return str(self._rlm(context=context, question=f"[{name}] Run the code.").answer)


class DSPyHost(DSPy):
    """Threads by hand in the user's own process, without an agent that asks for the batch: less work, and faster."""

    def batch(self, width: int) -> None:
        """As `Adapter` says, one thread a call."""
        with ThreadPoolExecutor(width) as threads:
            told = list(threads.map(lambda n: self._model(f"[plain] {n}")[0], range(width)))
        check([one if isinstance(one, str) else one["text"] for one in told], ["ok"] * width)

    def agents(self, width: int) -> None:
        """As `Adapter` says, one thread an agent."""
        with ThreadPoolExecutor(width) as threads:
            told = list(threads.map(lambda n: self._answer("part", str(n)), range(width)))
        check(told, [str(n) for n in range(width)])
