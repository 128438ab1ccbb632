"""DSPy: `dspy.RLM` with its local interpreter, and threads by hand for what it does not do at once itself.

`llm_query_batched` of `dspy.RLM` asks eight at once and allows 50 calls in all, and its sub-agents are calls in its
worker's code; what a user writes by hand is faster, so that is what is measured.
"""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers.adapter import check


class DSPy:
    """`dspy.RLM`; its default interpreter loads Pyodide from the network, so the local one stands in."""

    def __init__(self, url: str) -> None:
        dspy = importlib.import_module("dspy")
        local = importlib.import_module("dspy.primitives.local_interpreter")
        self._model: Any = dspy.LM("openai/test-model", api_base=url, api_key="sk-benchmark", cache=False)
        dspy.configure(lm=self._model)
        self._rlm: Any = dspy.RLM(
            "context, question -> answer", max_iters=30, interpreter_factory=local.LocalInterpreter
        )

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

    def one(self, name: str) -> None:
        """As `Adapter` says."""
        check(self._answer(name, ""), "2")

    def close(self) -> None:
        """Nothing is left: `dspy.RLM` ends its interpreter itself."""

    def _answer(self, name: str, context: str) -> str:
        return str(self._rlm(context=context, question=f"[{name}] Run the code.").answer)
