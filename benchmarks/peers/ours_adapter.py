"""This package at its default settings, without a log and a cache of replies."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.adapter import check, check_parts
from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.run import Run


class Ours:
    """`RLM`, made anew for each call, as by a cell with `%%rlm`; all runs are kept in variables, as in a notebook."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runs: list[Run] = []

    def batch(self, width: int) -> float:
        """As `Adapter` says."""
        return check_parts(self._value("batch"), width, 1)

    def agents(self, width: int) -> float:
        """As `Adapter` says."""
        return check_parts(self._value("agents"), width, width)

    def one(self, name: str) -> None:
        """As `Adapter` says."""
        check(self._value(name), 2)

    def close(self) -> None:
        """End the kernels of the last run."""
        self._runs[-1].close()

    def _value(self, name: str) -> Any:
        rlm = RLM(
            model="test-model",
            base_url=self._url,
            api_key="sk-benchmark",
            limits=Limits(cost=None),
            log_dir=None,
            cache=False,
        )
        run = rlm.run(f"[{name}] Run the code.")
        self._runs.append(run)
        return run.value
