"""rlms: each agent's REPL is a Jupyter kernel of its own, as here; its own batches, as wide as it can be told."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.peers.adapter import check, check_parts
from benchmarks.peers.figures import AGENTS


class Rlms:
    """`rlm.RLM` with `environment="ipython"` and `kernel_mode="subprocess"`.

    Its `llm_query_batched` asks 16 at once, which no argument changes.
    """

    def __init__(self, url: str) -> None:
        self._rlm: Any = importlib.import_module("rlm").RLM(
            backend="openai",
            backend_kwargs={"model_name": "test-model", "base_url": url, "api_key": "sk-benchmark"},
            environment="ipython",
            environment_kwargs={"kernel_mode": "subprocess"},
            max_depth=2,
            max_iterations=30,
            max_concurrent_subcalls=AGENTS,
        )

    def batch(self, width: int) -> float:
        """As `Adapter` says."""
        return check_parts(self._answer("batch"), width, 1)

    def agents(self, width: int) -> float:
        """As `Adapter` says. The context of a sub-agent is its prompt."""
        return check_parts(self._answer("agents"), width, width)

    def one(self, name: str) -> None:
        """As `Adapter` says."""
        check(self._answer(name), "2")

    def close(self) -> None:
        """Nothing is left: `completion` ends its kernels itself."""

    def _answer(self, name: str) -> str:
        return str(self._rlm.completion("no data", root_prompt=f"[{name}] Run the code.").response)
